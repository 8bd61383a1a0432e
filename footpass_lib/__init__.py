"""A reproducible study of player-centric ball-action spotting in broadcast soccer (FOOTPASS)."""

import warnings

__version__ = "0.1.0"

# pytorchvideo and torch-geometric script functions while they are imported; nobody who uses this library can help it.
warnings.filterwarnings("ignore", message=r".*torch\.jit\.script.* is deprecated", category=FutureWarning)
# Headless runs have no widgets, and none are wanted.
warnings.filterwarnings("ignore", message="IProgress not found")
