"""Who did what, when, as a table: reading and writing event files, matching and scoring, intervals, statistics.

Start at ``playbyplay`` (the table and its files), then ``metrics``. Imports nothing of the library but ``schema`` and
``files``.
"""
