"""The match: a script of events after the statistics of real ones, and players who move to act it out.

Start at ``match``.
"""
