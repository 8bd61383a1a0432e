"""Learned re-scoring of a detector's and a sequence model's events, fitted on other matches than it is used on.

Start at ``study`` (each match re-scored by models of the others), then ``candidates``, ``features`` and ``model``.
Imports ``events`` and what lies below it, and no networks.
"""
