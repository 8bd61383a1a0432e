"""The notebooks as a book: runs them, makes their pages, and tells what they found and what they cost.

Start at ``runner``. Imports ``study`` and what is below it.
"""
