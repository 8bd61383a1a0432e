"""A detector over the halves of a split: one file of logits, features beside it where they are wanted, resumable."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from footpass_lib.dataroot import DataRoot
from footpass_lib.features import feature_path, features_key, write_features
from footpass_lib.files import atomic_path
from footpass_lib.frames import file_key
from footpass_lib.inference import Batch, InferenceSettings, half_logits, half_logits_and_features, taad_logits
from footpass_lib.logits import read_attribute, write_logits
from footpass_lib.schema import game_of
from footpass_lib.weights import copy_weights

_POLL_SECONDS = 0.2


def infer_split(
    model: nn.Module,
    root: DataRoot,
    split: str,
    out: Path | str,
    settings: InferenceSettings,
    progress: bool = True,
    logits_of: Callable[[nn.Module, Batch], Tensor] = taad_logits,
    features: Path | str | None = None,
) -> Path:
    """Write the logits of every half of a split to one HDF5 file, index = absolute frame (see :func:`read_logits`).

    A finished file of the same model, settings and data is left as it is. Finished halves are kept beside it until
    the file is complete, so that a run that was killed goes on. Under ``torchrun`` (``RANK`` and ``WORLD_SIZE``)
    processes share the halves, process 0 writes the file, and all return when it is there.

    Parameters
    ----------
    model, root, settings, logits_of
        As in :func:`half_logits`.
    split
        Which halves.
    out
        The file, by custom ``preds_<split>.h5``.
    progress
        Show a bar in a terminal. ``FOOTPASS_PROGRESS=0`` turns it off too.
    features
        A folder in which the player features of every half are kept as well (a TAAD's, from the same pass over the
        video); see :class:`HalfFeatures`.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    FootpassError
        As in :func:`half_logits`, or if the file cannot be written.
    """
    out, halves = Path(out), root.halves(split)
    name = f"{type(model).__name__}.{getattr(logits_of, '__qualname__', 'logits')}"
    key = fingerprint(model, root, split, replace(settings, batch=1), name)
    if read_attribute(out, "fingerprint") == key and _have_features(features, halves, key):
        return out
    rank, processes = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    parts = {half: out.parent / f".{out.name}.{key[:16]}" / f"{half}.npy" for half in halves}
    todo = [
        half
        for half in halves[rank::processes]
        if not parts[half].is_file() or not _have_features(features, [half], key)
    ]
    off = not progress or os.environ.get("FOOTPASS_PROGRESS") == "0"
    for half in tqdm(todo, desc=f"{split} logits", unit="half", leave=False, disable=True if off else None):
        if features is None:
            logits = half_logits(model, root, half, settings, logits_of)
        else:
            logits, values, seen = half_logits_and_features(model, root, half, settings)
            write_features(feature_path(features, half), values, seen, key)
        with atomic_path(parts[half]) as part, part.open("wb") as stream:
            np.save(stream, logits)
    if rank != 0:
        _wait(lambda: read_attribute(out, "fingerprint") == key)
        return out
    _wait(lambda: all(part.is_file() for part in parts.values()))
    pieces = ((half, root.half(half).first_frame, np.load(part)) for half, part in parts.items())
    write_logits(out, pieces, {"fingerprint": key, "split": split})
    shutil.rmtree(parts[halves[0]].parent)
    return out


def fingerprint(model: nn.Module, root: DataRoot, split: str, settings: InferenceSettings, name: str) -> str:
    """SHA-256 over what logits depend on: weights, settings, the split's table and its videos."""
    digest = hashlib.sha256(f"{name} {getattr(model, 'settings', None)!r} {settings!r}".encode())
    for key, tensor in sorted(copy_weights(model).items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    digest.update(file_key(root.table_path(split)).encode())
    for game in sorted({game_of(half) for half in root.halves(split)}):
        digest.update(f"{game} {file_key(root.video(game))}".encode())
    return digest.hexdigest()


def _have_features(folder: Path | str | None, halves: Sequence[str], key: str) -> bool:
    """Whether the features of these halves are there and of this model, if any are wanted."""
    return folder is None or all(features_key(feature_path(folder, half)) == key for half in halves)


def _wait(ready: Callable[[], bool]) -> None:
    """Wait, without a limit, for what another process does: it may have hours of work left."""
    while not ready():
        time.sleep(_POLL_SECONDS)
