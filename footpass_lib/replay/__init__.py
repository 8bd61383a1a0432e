"""Replay of a detector: how it answered the events of some matches, played over the events of others.

Of these only the ground truth is known: no video is needed. Start at ``fit`` (what is learned), then ``play``;
``likeness`` asks how like the detector its replay is, ``windows`` gives what was played to a sequence model. Imports
``events``, ``samples`` and what lies below them.
"""
