"""The paper's fourth extension: gates, frame refinement, jersey re-assignment, merging two models' events.

Start at ``corrections`` (the rules), then ``gates`` (their thresholds, and on which matches these may be
fitted). Imports ``data`` and ``events``.
"""
