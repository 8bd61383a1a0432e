"""A match on disk as arrays: tracking tables, video, kept logits and features, and the folder that holds them.

Start at ``dataroot`` (what lies where), then ``tactical`` (rows of a half) and ``half`` (the same as arrays). Imports
``events``.
"""
