"""Files of detector logits: ``preds_<split>.h5``, float16 (9, 26, frames) for each half, index = absolute frame."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np

from footpass_lib.files import atomic_path, require_room
from footpass_lib.schema import BACKGROUND, N_CLASSES, N_SLOTS, FootpassError

# Of background where a slot has no box, the other logits being 0: no loss has ever shaped what the network says there.
# The eight events together then have a probability of 2e-8, and the value is no outlier among real logits.
BACKGROUND_LOGIT = 20.0
_CHUNK_FRAMES = 2048


def background_logits(n_frames: int) -> np.ndarray:
    """Logits (9, 26, n_frames) of certain background, float16."""
    logits = np.zeros((N_CLASSES, N_SLOTS, n_frames), np.float16)
    logits[BACKGROUND] = BACKGROUND_LOGIT
    return logits


def write_logits(
    path: Path | str, halves: Iterable[tuple[str, int, np.ndarray]], attributes: dict[str, str] | None = None
) -> None:
    """Write a file of logits atomically; the frames before a half's first are filled with background.

    ``halves`` gives name, first frame, and logits (9, 26, T) from that frame on; ``attributes`` are the file's.
    FootpassError if an array has another shape, or the file cannot be written.
    """
    with atomic_path(path) as part, h5py.File(part, "w") as file:
        file.attrs.update(attributes or {})
        for half, first_frame, logits in halves:
            if logits.shape[:2] != (N_CLASSES, N_SLOTS) or logits.ndim != 3:
                expected = f"expected logits ({N_CLASSES}, {N_SLOTS}, T)"
                raise FootpassError(f"{path}: {half}: {expected}, found shape {logits.shape}")
            whole = np.concatenate([background_logits(first_frame), logits.astype(np.float16)], axis=2)
            require_room(part, whole.nbytes)
            chunks = (N_CLASSES, N_SLOTS, min(_CHUNK_FRAMES, whole.shape[2]))
            packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
            dataset = file.create_dataset(half, data=whole, chunks=chunks, **packed)
            dataset.attrs["first_frame"] = first_frame


def read_logits(path: Path | str, half: str, frames: range | None = None) -> np.ndarray:
    """Read the logits of a half, float16 (9, 26, number of frames), from an official file or :func:`write_logits`.

    ``frames`` are the absolute frames to return, such as ``TacticalHalf.frames`` for an array that is aligned with the
    half; those that the file does not reach are background. All frames from 0 on by default. FootpassError if the file
    is missing or broken, has no such half, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FootpassError(f"{path}: there is no such file; expected an HDF5 file of logits")
    try:
        with h5py.File(path, "r", locking="best-effort") as file:
            if half not in file:
                raise FootpassError(f"{path}: has no logits of {half}; it has {', '.join(file) or 'none'}")
            dataset = file[half]
            if not isinstance(dataset, h5py.Dataset) or dataset.shape[:2] != (N_CLASSES, N_SLOTS) or dataset.ndim != 3:
                raise FootpassError(f"{path}: {half}: expected a dataset ({N_CLASSES}, {N_SLOTS}, T), found {dataset}")
            if frames is None:
                return dataset[()].astype(np.float16, copy=False)
            if frames.step != 1 or frames.start < 0:
                raise FootpassError(f"{path}: {half}: expected frames in a row from 0 or later, found {frames}")
            logits = background_logits(len(frames))
            stored = dataset[:, :, frames.start : frames.stop]
            logits[:, :, : stored.shape[2]] = stored
            return logits
    except (OSError, KeyError, RuntimeError) as error:  # h5py raises them all where bytes are wrong
        raise FootpassError(f"{path}: cannot be read as an HDF5 file of logits ({error})") from error


def read_attribute(path: Path | str, name: str) -> str | None:
    """An attribute of a file of logits; None if there is none, or no such file, or a damaged one."""
    try:
        with h5py.File(path, "r", locking="best-effort") as file:
            return file.attrs.get(name)
    except (OSError, KeyError, RuntimeError):
        return None
