"""A reproducible study of player-centric ball-action spotting in broadcast soccer (FOOTPASS)."""

__version__ = "0.1.0"
