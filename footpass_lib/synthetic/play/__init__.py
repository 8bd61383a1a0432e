"""The match: a script of events after the statistics of real ones, and players who move to act it out.

Start at ``match``; then in order: ``script`` (what happens), ``casting`` (who does it, and where), ``movement``,
``ball``, ``gestures``, and ``played``, which is what comes out. Imports ``events``, for the real statistics.
"""
