"""The broadcast: a camera that follows play, a pitch, players drawn as sprites.

Start at ``render``; ``camera`` and ``style`` say what is seen and how it looks, ``bodies`` and ``poses`` who. Imports
``play``, whose halves it films.
"""
