"""The detector's stage of the study: train it by plan, run it over a split, decode and score it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.frames import FrameSource
from footpass_lib.data.tubes import TubeHalf
from footpass_lib.environment import cores
from footpass_lib.files import sha256_file
from footpass_lib.models.official import load_official_taad
from footpass_lib.models.taad import TAAD
from footpass_lib.samples.clips import TAADClips
from footpass_lib.samples.sampling import ClipSettings
from footpass_lib.samples.tubes import TubeClips, TubeSettings
from footpass_lib.schema import BACKGROUND
from footpass_lib.spotting.split import infer_split
from footpass_lib.study.matches import VALIDATION_SEED, data_key, detectors_part
from footpass_lib.study.place import Study, TrainingRun
from footpass_lib.study.plans import Phase, TAADPlan
from footpass_lib.study.pretrained import start_key, start_pretrained
from footpass_lib.study.tubes import is_long, keep_tubes
from footpass_lib.training.apart import train_apart
from footpass_lib.training.fit import Loss, fit, watch_loss
from footpass_lib.training.losses import LossSum, taad_loss
from footpass_lib.training.run_folder import is_finished

_VALIDATION_CLIPS = 64  # with an event, and half as many without


def clip_loss(phase: Phase) -> Loss:
    """The weighted cross-entropy of a phase, as ``fit`` calls it."""

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> LossSum:
        logits = model(batch["video"], batch["boxes"], batch["mask"])  # (B, 9, M, T)
        counts = batch.get("counts", batch["mask"])  # tubes: not the ends of a clip
        return taad_loss(logits, batch["labels"], counts, phase.background, phase.foreground)

    return loss


def train_taad(
    study: Study, root: DataRoot, seed: int, plan: TAADPlan | None = None, weights: Path | None = None
) -> tuple[TAAD, pd.DataFrame]:
    """Train a detector phase by phase, or load the one that has been trained with these very settings and data.

    On the root's training matches, or those for detectors where the profile is ``stacked``; the seed is that of initial
    weights, clips and order, ``weights`` a file for the backbone. The history has one row an epoch, with ``phase``.
    """
    plan, part = plan or study.profile.taad, detectors_part(study, root)
    model = TAAD(plan.model, weights, seed)
    start_pretrained(study, "taad", model)
    histories = []
    for number, phase in enumerate(plan.phases, 1):
        run = _run_of(study, part, seed, plan, weights, number)
        clips = training_clips(study, root, phase, seed)
        history = fit_phase(model, phase, seed, run, partial(clips.of_epoch, model=model), clips.watched)
        histories.append(history.assign(phase=number))
    return model, pd.concat(histories, ignore_index=True)


def fit_phase(
    model: TAAD,
    phase: Phase,
    seed: int,
    run: TrainingRun,
    of_epoch: Callable[[int], Dataset],
    watched: Callable[[], Dataset],
) -> pd.DataFrame:
    """Train a detector on the clips of each epoch, watching its loss on others; its history, a row an epoch."""
    loss, train = clip_loss(phase), replace(phase.train, seed=seed)
    watch = watch_loss(watched, loss, train.batch_size)
    return fit(model, of_epoch, lambda _: loss, train, run.folder, watch, {"key": run.key}).history


def train_taads(
    study: Study, root: DataRoot, seeds: Sequence[int], scratch: Sequence[int] = ()
) -> dict[int, tuple[TAAD, pd.DataFrame]]:
    """Detectors of several seeds with their histories, as from :func:`train_taad`, trained side by side.

    So are those of the seeds ``scratch``, which start without the weights that come with the study: ``train_taad``
    loads them.
    """
    plan, part = study.profile.taad, detectors_part(study, root)
    keep_material(study, root)
    runs = [(study, root, seed) for seed in seeds]
    runs += [(replace(study, pretrained=None), root, seed) for seed in scratch]
    folders = {_run_of(run[0], part, run[2], plan, None, len(plan.phases)).folder: run for run in runs}
    todo = [run for folder, run in folders.items() if not is_finished(folder)]
    last = plan.phases[-1]
    steps = last.clips.n_clips // last.train.batch_size if isinstance(last.clips, TubeSettings) else None
    train_apart(train_taad, todo, replace(last.train, steps_per_epoch=steps and max(1, steps)))
    return {seed: train_taad(study, root, seed) for seed in seeds}


def keep_material(study: Study, root: DataRoot) -> None:
    """Cut the tubes that training needs, if it needs some, before several processes ask for them."""
    for phase in study.profile.taad.phases:
        if isinstance(phase.clips, TubeSettings):
            for split in ("train", "val"):
                training_clips(study, root, phase).tubes(split)


def _run_of(study: Study, root: DataRoot, seed: int, plan: TAADPlan, weights: Path | None, phases: int) -> TrainingRun:
    """Where the last of some phases is kept; ``root`` is limited to the detectors' matches."""
    start = weights and sha256_file(weights)
    depends = seed, data_key(root, "train"), start_key(study, "taad"), start, plan.model, plan.phases[:phases]
    return study.run(f"taad-seed{seed}-phase{phases}", *depends)


def training_clips(study: Study, root: DataRoot, phase: Phase, seed: int = 0) -> PhaseClips:
    """What a phase of the study's detector is trained on."""
    return PhaseClips(detectors_part(study, root), phase.clips, seed, study.profile.synthetic is not None)


@dataclass(frozen=True)
class PhaseClips:
    """The clips of a phase: of pictures, or of tubes; what they are cut from is made when the first is asked for."""

    root: DataRoot
    settings: ClipSettings | TubeSettings
    seed: int
    kept: bool  # whether decoded frames are kept

    @cached_property
    def source(self) -> FrameSource | None:
        return FrameSource(self.root, self.root.path / "frames") if self.kept else None

    def of_epoch(self, epoch: int, model: nn.Module | None = None) -> Dataset:
        """Training clips; negatives of tubes are those of which a model is least sure that nothing happens."""
        if isinstance(self.settings, TubeSettings):
            judge = model and partial(false_alarms, model)
            return TubeClips(self.tubes("train"), self.settings, self.seed, epoch, judge)
        return TAADClips(self.root, "train", self.settings, self.seed, epoch, self.source)

    def watched(self) -> Dataset:
        """Fixed clips of the validation split, without augmentation, drawn as in training."""
        half = _VALIDATION_CLIPS // 2
        if isinstance(self.settings, TubeSettings):
            settings = replace(self.settings, events=_VALIDATION_CLIPS, negatives=_VALIDATION_CLIPS)
            return TubeClips(self.tubes("val"), settings, VALIDATION_SEED, 0, augment=False)
        settings = replace(self.settings, augmentation=None, sqrt_total=_VALIDATION_CLIPS, background=half)
        return TAADClips(self.root, "val", settings, VALIDATION_SEED, 0, self.source)

    def tubes(self, split: str) -> list[TubeHalf]:
        return keep_tubes(self.root, split, self.root.path / "tubes", self.settings.kept)


def false_alarms(model: nn.Module, clips: Dataset, batch_size: int = 64) -> np.ndarray:
    """How probable (N,) a detector finds an event in each clip of a player, at its surest frame that counts."""
    was_training, device, found = model.training, next(model.parameters()).device, []
    model.eval()
    with torch.inference_mode():
        for batch in DataLoader(clips, batch_size):
            logits = model(*(batch[name].to(device) for name in ("video", "boxes", "mask")))  # (B, 9, 1, T)
            event = (1 - logits.float().softmax(dim=1)[:, BACKGROUND]) * batch["counts"].to(device)
            found.append(event.amax(dim=(1, 2)).double().cpu().numpy())
    model.train(was_training)
    return np.concatenate(found)


def detect(study: Study, root: DataRoot, split: str, model: TAAD, name: str, features: bool = True) -> Path:
    """Logits of a split, kept as ``study.models/<name>/preds_<split>.h5``, and features that a graph network stands on.

    ``features`` False: without these, where no graph network will stand on this detector. On a CPU, outside torchrun,
    as many processes as there are cores share the halves.
    """
    out = study.models / name / f"preds_{split}.h5"
    kept = features_folder(study, name) if features and study.profile.gnn.cached else None
    alone = not next(model.parameters()).is_cuda and "WORLD_SIZE" not in os.environ
    workers = cores() if alone and is_long(root, split) else 1
    return infer_split(model, root, split, out, study.profile.taad.inference, features=kept, workers=workers)


def detect_official(study: Study, root: DataRoot, split: str, checkpoint: Path) -> Path:
    """Logits of a split by a detector that the official code trained, kept beside those of :func:`detect`."""
    name = f"taad-{checkpoint.stem}"
    return detect(study, root, split, load_official_taad(checkpoint), name, features=False)


def features_folder(study: Study, name: str) -> Path:
    """Where the player features of a detector are kept."""
    return study.models / name / "features"
