"""The broadcast: a camera that follows play, a pitch, players drawn as sprites.

Start at ``render``.
"""
