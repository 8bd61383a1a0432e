"""The sequence model's stage of the study: train it by plan on the detectors' logits, write the events of a split."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.logits import read_logits
from footpass_lib.events.playbyplay import Events, read_events, write_events
from footpass_lib.files import file_key, sha256_text
from footpass_lib.models.dst import DST
from footpass_lib.models.weights import hash_weights
from footpass_lib.samples.tokens import keep_pooled
from footpass_lib.samples.windows import DSTHalf, DSTWindows, ListedWindows, WindowBatch, collate_windows, dst_half
from footpass_lib.schema import N_CLASSES, FootpassError
from footpass_lib.spotting.stitching import decode_half
from footpass_lib.study.matches import sequence_part
from footpass_lib.study.place import Study
from footpass_lib.study.plans import DSTPlan
from footpass_lib.training.dst_loss import dst_loss, loss_options
from footpass_lib.training.fit import fit
from footpass_lib.training.losses import LossSum
from footpass_lib.training.run_folder import is_finished

_DECODING = 4  # of how events are written: kept ones of another number are made anew
LogitsFiles = Mapping[str, Mapping[str, Path | str]]  # source -> split -> file


def differences(a: DSTPlan, b: DSTPlan) -> list[str]:
    """Dotted names of the settings in which two plans differ, such as ``loss.weighting``, sorted."""
    flat = [_flatten(asdict(plan)) for plan in (a, b)]
    return sorted(name for name in flat[0].keys() | flat[1].keys() if flat[0].get(name) != flat[1].get(name))


def _flatten(values: Mapping, prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in values.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def load_halves(root: DataRoot, split: str, sources: Sequence[str], logits: LogitsFiles) -> list[DSTHalf]:
    """What the sequence model sees of every half of a split.

    Parameters
    ----------
    root : DataRoot
    split : str
    sources : sequence of str
        ``taad``, or ``taad`` and ``gnn``.
    logits : mapping of source to mapping of split to path
        Files ``preds_<split>.h5``.

    Raises
    ------
    FootpassError
        If a source has no file of the split, or as in ``read_logits`` and ``dst_half``.
    """
    return list(_halves(root, split, sources, logits))


def _halves(root: DataRoot, split: str, sources: Sequence[str], logits: LogitsFiles) -> Iterator[DSTHalf]:
    files = [_file(logits, source, split) for source in sources]
    for name in root.halves(split):
        tactical = root.half(name)
        yield dst_half(tactical, *(read_logits(path, name, tactical.frames) for path in files))


def _file(logits: LogitsFiles, source: str, split: str) -> Path:
    if split not in logits.get(source, {}):
        given = {name: sorted(files) for name, files in logits.items()}
        raise FootpassError(f"DST: no {source} logits of {split}; expected a file for them, found {given}")
    return Path(logits[source][split])


def class_counts(halves: Sequence[DSTHalf]) -> np.ndarray:
    """Events per class, drive to block, int64 (8,)."""
    classes = np.concatenate([half.events[:, 2] for half in halves])
    return np.bincount(classes, minlength=N_CLASSES)[1:]


def train_dst(
    study: Study, root: DataRoot, plan: DSTPlan, logits: LogitsFiles, seed: int, name: str = "dst"
) -> tuple[DST, pd.DataFrame]:
    """Train the sequence model, or load the one that has been trained with these very settings and data.

    Parameters
    ----------
    study : Study
        Trained models are kept below ``study.models``. A training that was killed goes on.
    root : DataRoot
        Its training matches, or those that the detectors have not seen where the profile is ``stacked``, are used.
    plan : DSTPlan
    logits : mapping of source to mapping of split to path
        Files of the splits ``train`` and ``val``, of each of the plan's sources.
    seed : int
        Of initial weights, windows and order.
    name : str
        What the folder is called, before seed and settings.

    Returns
    -------
    model : DST
        With the weights of the best validation loss, in evaluation mode.
    history : DataFrame
        One row an epoch.

    Raises
    ------
    FootpassError
        If data are missing or bad, or the folder of models holds something else.
    """
    folder, key = _run_of(study, root, plan, logits, seed, name)
    root = sequence_part(study, root)

    @cache  # a finished run asks for no data
    def halves() -> list[DSTHalf]:
        loaded, shape = load_halves(root, "train", plan.sources, logits), plan.model.windows
        return keep_pooled(loaded, shape.frames_per_token) if shape.pooled else loaded

    @cache
    def loss() -> Callable[[nn.Module, WindowBatch], LossSum]:
        options = loss_options(plan.loss, class_counts(halves()))
        return partial(dst_loss, frames_per_token=plan.model.windows.frames_per_token, **options)

    @cache
    def validation() -> Callable[[nn.Module], dict[str, float]]:
        return _validation(load_halves(root, "val", plan.sources, logits), plan, loss())

    result = fit(
        DST(plan.network, seed),
        lambda epoch: DSTWindows(
            halves(), plan.model.windows, seed, epoch, plan.windows_per_half, shuffled=plan.shuffled
        ),
        lambda model, batch: loss()(model, batch),
        replace(plan.train, seed=seed),
        folder,
        lambda model: validation()(model),
        monitor="val_loss",
        mode="min",
        config={"key": key},
        collate=collate_windows,
    )
    return result.model, result.history


def is_trained(study: Study, root: DataRoot, plan: DSTPlan, logits: LogitsFiles, seed: int, name: str = "dst") -> bool:
    """Whether :func:`train_dst` would find a finished model; parameters as there."""
    folder, _ = _run_of(study, root, plan, logits, seed, name)
    return is_finished(folder)


def _run_of(study: Study, root: DataRoot, plan: DSTPlan, logits: LogitsFiles, seed: int, name: str) -> tuple[Path, str]:
    """Folder of a training run, and the key of all that it depends on."""
    root = sequence_part(study, root)
    files = [_file(logits, source, split) for source in plan.sources for split in ("train", "val")]
    parts = [asdict(replace(plan, decode=None)), seed, root.limits]  # decoding comes after training
    parts += [file_key(path) for path in (*files, root.table_path("train"), root.table_path("val"))]
    key = sha256_text(json.dumps(parts, sort_keys=True))
    return study.models / f"{name}-seed{seed}-{key[:10]}", key


def _validation(
    halves: Sequence[DSTHalf], plan: DSTPlan, loss: Callable[[nn.Module, WindowBatch], LossSum]
) -> Callable[[nn.Module], dict[str, float]]:
    """The training loss over all of validation, in windows one after the other."""
    shape = plan.model.windows
    windows = ConcatDataset([ListedWindows(half, range(0, half.n_frames, shape.window), shape) for half in halves])
    loader = DataLoader(windows, plan.train.batch_size, collate_fn=collate_windows)

    def validate(model: nn.Module) -> dict[str, float]:
        device = next(model.parameters()).device
        sums = [loss(model, WindowBatch(*(part.to(device) for part in batch))) for batch in loader]
        return {"val_loss": float(sum(part.total for part in sums) / sum(part.weight for part in sums))}

    return validate


def detect_dst(
    study: Study, root: DataRoot, split: str, model: DST, plan: DSTPlan, logits: LogitsFiles, name: str = "dst"
) -> Events:
    """Events of a split, kept as ``study.models/<name>/playbyplay_<split>-<key>.json``.

    The key is of the weights, the way of decoding and the data: a finished file is read, others stay beside it.

    Parameters
    ----------
    study, root, logits
        As in :func:`train_dst`.
    split : str
        Its events need not be known.
    model : DST
        On the device that is to be used; it is in evaluation mode afterwards.
    plan : DSTPlan
        Whose ``sources`` and ``decode`` are followed.
    name : str
        Of the folder.

    Raises
    ------
    FootpassError
        If the model has other sources than the plan, or as in :func:`load_halves` and ``decode_half``.
    """
    if model.settings.sources != len(plan.sources):
        raise FootpassError(
            f"{split}: the model has {model.settings.sources} source(s) of logits, the plan {', '.join(plan.sources)}"
        )
    files = [_file(logits, source, split) for source in plan.sources]
    parts = [
        hash_weights(model),
        repr(model.settings),
        asdict(replace(plan.decode, batch=1)),
        _DECODING,
    ]
    parts += [file_key(path) for path in (*files, root.table_path(split))]
    key = sha256_text(json.dumps(parts, sort_keys=True))
    out = study.models / name / f"playbyplay_{split}-{key[:10]}.json"
    if not out.is_file():
        model.eval()
        halves = _halves(root, split, plan.sources, logits)
        found = [decode_half(model, half, root.half(half.half), plan.decode).table for half in halves]
        write_events(out, Events(root.halves(split), pd.concat(found, ignore_index=True)), "predictions")
    return read_events(out, "predictions")
