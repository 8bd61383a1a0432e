"""The sequence model's stage of the study: train it by plan on the detectors' logits, write the events of a split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.logits import read_logits
from footpass_lib.events.playbyplay import Events, read_events, write_events
from footpass_lib.files import file_key, key_of
from footpass_lib.models.dst import DST
from footpass_lib.models.pointer_dst import build_dst
from footpass_lib.models.weights import hash_weights
from footpass_lib.samples.drawn import PlayedHalf
from footpass_lib.samples.tokens import DSTHalf, dst_half, keep_pooled
from footpass_lib.samples.windows import DSTWindows, ListedWindows, WindowBatch, collate_windows
from footpass_lib.schema import N_CLASSES, FootpassError
from footpass_lib.spotting.stitching import decode_half
from footpass_lib.study.deviations import flat_settings
from footpass_lib.study.matches import data_key, sequence_part
from footpass_lib.study.place import Study, TrainingRun
from footpass_lib.study.plans import DSTPlan
from footpass_lib.study.pretrained import start_key, start_pretrained
from footpass_lib.training.dst_loss import DSTLoss
from footpass_lib.training.fit import fit
from footpass_lib.training.run_folder import is_finished

_DECODING = 4  # of how events are written: kept ones of another number are made anew
LogitsFiles = Mapping[str, Mapping[str, Path | str]]  # source -> split -> file


def differences(a: DSTPlan, b: DSTPlan) -> list[str]:
    """Dotted names of the settings in which two plans differ, such as ``loss.weighting``, sorted."""
    flat = [flat_settings(plan) for plan in (a, b)]
    return sorted(name for name in flat[0].keys() | flat[1].keys() if flat[0].get(name) != flat[1].get(name))


def load_halves(root: DataRoot, split: str, sources: Sequence[str], logits: LogitsFiles) -> list[DSTHalf]:
    """What the sequence model sees of every half of a split; FootpassError if a source has no file of the split."""
    return list(_halves(root, split, sources, logits))


def _halves(root: DataRoot, split: str, sources: Sequence[str], logits: LogitsFiles) -> Iterator[DSTHalf]:
    files = [logits_file(logits, source, split) for source in sources]
    for name in root.halves(split):
        tactical = root.half(name)
        yield dst_half(tactical, *(read_logits(path, name, tactical.frames) for path in files))


def logits_file(logits: LogitsFiles, source: str, split: str) -> Path:
    if split not in logits.get(source, {}):
        given = {name: sorted(files) for name, files in logits.items()}
        raise FootpassError(f"DST: no {source} logits of {split}; expected a file for them, found {given}")
    return Path(logits[source][split])


def class_counts(halves: Sequence[DSTHalf | PlayedHalf]) -> np.ndarray:
    """Events per class, drive to block, int64 (8,)."""
    classes = np.concatenate([half.events[:, 2] for half in halves])
    return np.bincount(classes, minlength=N_CLASSES)[1:]


def keep_for_training(halves: Sequence[DSTHalf], plan: DSTPlan) -> list[DSTHalf]:
    """The halves, with their pooled inputs where the plan's windows are of these and memory allows."""
    shape = plan.model.windows
    return keep_pooled(halves, shape.frames_per_token) if shape.pooled else list(halves)


def random_windows(halves: Sequence[DSTHalf], plan: DSTPlan, seed: int, epoch: int) -> DSTWindows:
    """The plan's training windows of an epoch."""
    return DSTWindows(halves, plan.model.windows, seed, epoch, plan.windows_per_half, shuffled=plan.shuffled)


def every_window(halves: Sequence[DSTHalf], plan: DSTPlan) -> DataLoader:
    """All of the halves, in windows one after the other."""
    shape = plan.model.windows
    windows = ConcatDataset([ListedWindows(half, range(0, half.n_frames, shape.window), shape) for half in halves])
    return DataLoader(windows, plan.train.batch_size, collate_fn=collate_windows)


def loss_over(model: nn.Module, loss: DSTLoss, batches: Iterable[WindowBatch]) -> float:
    """The loss of a model over batches of windows."""
    device = next(model.parameters()).device
    sums = [loss(model, WindowBatch(*(tensor.to(device) for tensor in batch))) for batch in batches]
    return float(sum(each.total for each in sums) / sum(each.weight for each in sums))


@dataclass(frozen=True)
class _Material:
    """What training needs. It is loaded when it is first asked for, because a finished run asks for nothing."""

    root: DataRoot
    plan: DSTPlan
    logits: LogitsFiles
    seed: int

    @cached_property
    def train_halves(self) -> list[DSTHalf]:
        return keep_for_training(load_halves(self.root, "train", self.plan.sources, self.logits), self.plan)

    @cached_property
    def loss(self) -> DSTLoss:
        return DSTLoss(self.plan.loss, class_counts(self.train_halves), self.plan.model.windows.frames_per_token)

    @cached_property
    def watched(self) -> DataLoader:
        """All of validation."""
        return every_window(load_halves(self.root, "val", self.plan.sources, self.logits), self.plan)

    def windows(self, epoch: int) -> DSTWindows:
        return random_windows(self.train_halves, self.plan, self.seed, epoch)

    def validate(self, model: nn.Module) -> float:
        return loss_over(model, self.loss, self.watched)


def train_dst(
    study: Study, root: DataRoot, plan: DSTPlan, logits: LogitsFiles, seed: int, name: str = "dst"
) -> tuple[DST, pd.DataFrame]:
    """Train the sequence model, or load the one that has been trained with these very settings and data.

    On the root's training matches, or those that the detectors have not seen where the profile is ``stacked``. The seed
    is that of initial weights, windows and order. The model comes with the weights of the best validation loss, in
    evaluation mode, the history with one row an epoch.
    """
    run = _run_of(study, root, plan, logits, seed, name)
    material = _Material(sequence_part(study, root), plan, logits, seed)
    model = build_dst(plan.network, seed)
    start_pretrained(study, _start(plan), model)
    result = fit(
        model,
        material.windows,
        lambda epoch: material.loss,
        replace(plan.train, seed=seed),
        run.folder,
        material.validate,
        {"key": run.key},
    )
    return result.model, result.history


def _start(plan: DSTPlan) -> str:
    """Name of the weights that the model may start from."""
    return "dst" if len(plan.sources) == 1 else "dst-fused"


def is_trained(study: Study, root: DataRoot, plan: DSTPlan, logits: LogitsFiles, seed: int, name: str = "dst") -> bool:
    """Whether :func:`train_dst` would find a finished model; parameters as there."""
    return is_finished(_run_of(study, root, plan, logits, seed, name).folder)


def _run_of(study: Study, root: DataRoot, plan: DSTPlan, logits: LogitsFiles, seed: int, name: str) -> TrainingRun:
    files = [file_key(logits_file(logits, source, split)) for source in plan.sources for split in ("train", "val")]
    trained = replace(plan, decode=None)  # decoding comes after training
    matches = data_key(sequence_part(study, root), "train", "val")
    return study.run(f"{name}-seed{seed}", trained, seed, matches, files, start_key(study, _start(plan)))


def detect_dst(
    study: Study, root: DataRoot, split: str, model: DST, plan: DSTPlan, logits: LogitsFiles, name: str = "dst"
) -> Events:
    """Events of a split, kept as ``study.models/<name>/playbyplay_<split>-<key>.json``: a finished file is read.

    The key is of the weights, the way of decoding and the data. Of the plan, ``sources`` and ``decode`` are followed;
    FootpassError if the model has other sources. The model is in evaluation mode afterwards.
    """
    if model.settings.sources != len(plan.sources):
        raise FootpassError(
            f"{split}: the model has {model.settings.sources} source(s) of logits, the plan {', '.join(plan.sources)}"
        )
    files = [file_key(logits_file(logits, source, split)) for source in plan.sources]
    way = replace(plan.decode, batch=1)
    key = key_of(hash_weights(model), model.settings, way, _DECODING, file_key(root.table_path(split)), files)
    out = study.models / name / f"playbyplay_{split}-{key[:10]}.json"
    if not out.is_file():
        model.eval()
        halves = _halves(root, split, plan.sources, logits)
        found = [decode_half(model, half, root.half(half.half), plan.decode).table for half in halves]
        write_events(out, Events(root.halves(split), pd.concat(found, ignore_index=True)), "predictions")
    return read_events(out, "predictions")
