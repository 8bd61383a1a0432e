"""A reproducible study of player-centric ball-action spotting in broadcast soccer (FOOTPASS)."""

import os
import warnings

__version__ = "0.1.0"

# Threads that wait for each other by spinning stall a training twentyfold as soon as a core has other work. Read when
# torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# pytorchvideo and torch-geometric script functions while they are imported; nobody who uses this library can help it.
warnings.filterwarnings("ignore", message=r".*torch\.jit\.script.* is deprecated", category=FutureWarning)
# Headless runs have no widgets, and none are wanted.
warnings.filterwarnings("ignore", message="IProgress not found")
