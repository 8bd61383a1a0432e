"""Synthetic matches in FOOTPASS's own file format, for want of videos that may be shared.

Start at ``build``, then ``production.make_match``: a match is played (``play``), filmed (``picture``), tracked
(``tracking``) and written. Imports ``events`` and ``data``, whose files it writes, and nothing that learns.
"""
