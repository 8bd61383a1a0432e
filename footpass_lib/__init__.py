"""A reproducible study of player-centric ball-action spotting in broadcast soccer (FOOTPASS)."""

import ctypes
import os
import sys
import warnings

__version__ = "0.1.0"


def _set_up_process() -> None:
    """Settle threads, memory and warnings of this process, before torch and others are imported."""
    # Threads that wait for each other by spinning stall a training twentyfold as soon as a core has other work; if they
    # sleep at once, two train the detector no faster than one. So they spin for a moment only. Read when torch is
    # imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    # glibc hands freed memory of large arrays back at once, and the kernel clears it again for the next one: half the
    # time of a network over whole pictures. Blocks below a gigabyte are kept (M_TRIM_THRESHOLD and M_MMAP_THRESHOLD).
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for parameter in (-1, -3):
            mallopt(parameter, 2**30)
    # pytorchvideo and torch-geometric script functions while they are imported; nobody who uses this library can help.
    warnings.filterwarnings("ignore", message=r".*torch\.jit\.script.* is deprecated", category=FutureWarning)
    # On GPUs torch-geometric recommends another library, which has to be compiled.
    warnings.filterwarnings("ignore", message=r"The usage of `scatter\(reduce='max'\)` can be accelerated")
    # Headless runs have no widgets, and none are wanted.
    warnings.filterwarnings("ignore", message="IProgress not found")


_set_up_process()
