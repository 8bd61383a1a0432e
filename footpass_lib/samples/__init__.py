"""What a network is given: clips of players for the detectors, windows of tokens for the sequence model.

Start at ``clips`` (detectors), then ``windows`` and ``tokens`` (sequence model). Imports ``data`` and ``events``.
"""
