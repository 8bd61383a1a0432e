"""From networks to events: logits of a half, their peaks, and events written token by token.

Start at ``detector`` (logits) and ``peaks``; then ``decoding`` and ``stitching`` (the sequence model). Imports
``models``, ``samples`` and what is below them.
"""
