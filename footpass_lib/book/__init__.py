"""The notebooks as a book: runs them, makes their pages, and tells what they found and what they cost.

Start at ``runner``, which runs ``notebooks`` that are not ``current``; ``ablation`` and ``report`` make the table that
the study ends with. Imports ``study`` and what is below it.
"""
