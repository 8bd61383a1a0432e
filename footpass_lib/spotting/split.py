"""A detector over the halves of a split: one file of logits, features beside it where they are wanted, resumable."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.features import feature_path, features_key, write_features
from footpass_lib.data.logits import read_attribute, write_logits
from footpass_lib.files import atomic_path, file_key, key_of
from footpass_lib.models.weights import copy_weights, hash_weights
from footpass_lib.schema import games_of
from footpass_lib.spotting.detector import Batch, InferenceSettings, half_logits, half_logits_and_features, taad_logits
from footpass_lib.workers import side_by_side

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
    workers: int = 1,
) -> Path:
    """Write the logits of every half of a split to one HDF5 file, index = absolute frame (see :func:`read_logits`).

    Arguments and errors as in :func:`half_logits`; ``out``, by custom ``preds_<split>.h5``, is returned. In a folder
    ``features`` the player features of every half are kept as well (a TAAD's, from the same pass over the video, see
    :class:`HalfFeatures`).

    A finished file of the same model, settings and data is left as it is. Finished halves are kept beside it until
    the file is complete, so that a run that was killed goes on. Under ``torchrun`` (``RANK`` and ``WORLD_SIZE``)
    processes share the halves, each among its ``workers``, process 0 writes the file, and all return when it is there.
    """
    out, halves = Path(out), root.halves(split)
    name = f"{type(model).__name__}.{getattr(logits_of, '__qualname__', 'logits')}"
    key = fingerprint(model, root, split, replace(settings, batch=1), name)
    if read_attribute(out, "fingerprint") == key and _have_features(features, halves, key):
        return out
    rank, processes = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    kept = {half: out.parent / f".{out.name}.{key[:16]}" / f"{half}.npy" for half in halves}
    todo = [h for h in halves[rank::processes] if not (kept[h].is_file() and _have_features(features, [h], key))]
    off = not progress or os.environ.get("FOOTPASS_PROGRESS") == "0"
    calls = [(root, half, kept[half], settings, logits_of, features, key) for half in todo]
    with tqdm(total=len(todo), desc=f"{split} logits", unit="half", leave=False, disable=True if off else None) as bar:
        for _ in _infer_halves(model, calls, workers):
            bar.update()
    if rank != 0:
        _wait(lambda: read_attribute(out, "fingerprint") == key)
        return out
    _wait(lambda: all(path.is_file() for path in kept.values()))
    pieces = ((half, root.half(half).first_frame, np.load(path)) for half, path in kept.items())
    write_logits(out, pieces, {"fingerprint": key, "split": split})
    shutil.rmtree(kept[halves[0]].parent)
    return out


def _infer_halves(model: nn.Module, calls: list[tuple], workers: int) -> Iterator[None]:
    """Call :func:`_infer_half`, here or, with several workers for several halves, in processes of their own."""
    if min(workers, len(calls)) < 2:
        for call in calls:
            yield _infer_half(model, *call)
        return
    # a model is sent as class, settings and weights, because layers of pytorchvideo hold functions that cannot be sent
    weights = {name: tensor.numpy() for name, tensor in copy_weights(model).items()}
    yield from side_by_side(workers, _infer_half_apart, [(type(model), model.settings, weights, *c) for c in calls])


def _infer_half_apart(kind: type[nn.Module], settings: object, weights: dict[str, np.ndarray], *call: object) -> None:
    model = kind(settings)
    model.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
    _infer_half(model, *call)


def _infer_half(
    model: nn.Module,
    root: DataRoot,
    half: str,
    out: Path,
    settings: InferenceSettings,
    logits_of: Callable[[nn.Module, Batch], Tensor],
    features: Path | str | None,
    key: str,
) -> None:
    """Write the logits of one half to ``out``, and its features to their folder."""
    if features is None:
        logits = half_logits(model, root, half, settings, logits_of)
    else:
        logits, values, seen = half_logits_and_features(model, root, half, settings)
        write_features(feature_path(features, half), values, seen, key)
    with atomic_path(out) as path, path.open("wb") as stream:
        np.save(stream, logits)


def fingerprint(model: nn.Module, root: DataRoot, split: str, settings: InferenceSettings, name: str) -> str:
    """SHA-256 over what logits depend on: weights, settings, the split's table and its videos."""
    videos = {game: file_key(root.video(game)) for game in games_of(root.halves(split))}
    table = file_key(root.table_path(split))
    return key_of(name, hash_weights(model), getattr(model, "settings", None), settings, table, videos)


def _have_features(folder: Path | str | None, halves: Sequence[str], key: str) -> bool:
    """Whether the features of these halves are there and of this model, if any are wanted."""
    return folder is None or all(features_key(feature_path(folder, half)) == key for half in halves)


def _wait(ready: Callable[[], bool]) -> None:
    """Wait, without a limit, for what another process does: it may have hours of work left."""
    while not ready():
        time.sleep(_POLL_SECONDS)
