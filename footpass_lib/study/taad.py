"""The detector's stage of the study: train it by plan, run it over a split, decode and score it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
from torch import Tensor, nn

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.frames import FrameSource
from footpass_lib.environment import cores
from footpass_lib.files import sha256_file
from footpass_lib.models.taad import TAAD
from footpass_lib.samples.clips import TAADClips
from footpass_lib.spotting.split import infer_split
from footpass_lib.study.matches import VALIDATION_SEED, data_key, detectors_part
from footpass_lib.study.place import Study
from footpass_lib.study.plans import Phase, TAADPlan
from footpass_lib.training.fit import Loss, Validation, fit, watch_loss
from footpass_lib.training.losses import LossSum, taad_loss

_VALIDATION_CLIPS = 64  # with an event, and half as many without


def clip_loss(phase: Phase) -> Loss:
    """The weighted cross-entropy of a phase, as ``fit`` calls it."""

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> LossSum:
        logits = model(batch["video"], batch["boxes"], batch["mask"])  # (B, 9, M, T)
        return taad_loss(logits, batch["labels"], batch["mask"], phase.background, phase.foreground)

    return loss


def train_taad(
    study: Study, root: DataRoot, seed: int, plan: TAADPlan | None = None, weights: Path | None = None
) -> tuple[TAAD, pd.DataFrame]:
    """Train a detector phase by phase, or load the one that has been trained with these very settings and data.

    On the root's training matches, or those for detectors where the profile is ``stacked``; the seed is that of initial
    weights, clips and order, ``weights`` a file for the backbone. The history has one row an epoch, with ``phase``.
    """
    plan, root = plan or study.profile.taad, detectors_part(study, root)
    model = TAAD(plan.model, weights, seed)
    depends = [seed, data_key(root, "train"), weights and sha256_file(weights), plan.model]
    source = FrameSource(root, root.path / "frames") if study.profile.synthetic else None
    histories = []
    for number, phase in enumerate(plan.phases, 1):
        run = study.run(f"taad-seed{seed}-phase{number}", *depends, plan.phases[:number])
        result = fit(
            model,
            lambda epoch, phase=phase: TAADClips(root, "train", phase.clips, seed, epoch, source),
            lambda epoch, phase=phase: clip_loss(phase),
            replace(phase.train, seed=seed),
            run.folder,
            validation_loss(root, phase, source),
            {"key": run.key},
        )
        histories.append(result.history.assign(phase=number))
    return model, pd.concat(histories, ignore_index=True)


def validation_loss(root: DataRoot, phase: Phase, source: FrameSource | None) -> Validation:
    """Loss on fixed clips of the validation split, without augmentation, drawn as in training."""
    half = _VALIDATION_CLIPS // 2
    settings = replace(phase.clips, augmentation=None, sqrt_total=_VALIDATION_CLIPS, background=half)
    return watch_loss(
        lambda: TAADClips(root, "val", settings, VALIDATION_SEED, 0, source), clip_loss(phase), phase.train.batch_size
    )


def detect(study: Study, root: DataRoot, split: str, model: TAAD, name: str) -> Path:
    """Logits of a split, kept as ``study.models/<name>/preds_<split>.h5``, and features that a graph network stands on.

    On a CPU, outside torchrun, as many processes as there are cores share the halves.
    """
    out = study.models / name / f"preds_{split}.h5"
    kept = features_folder(study, name) if study.profile.gnn.cached else None
    alone = not next(model.parameters()).is_cuda and "WORLD_SIZE" not in os.environ
    workers = cores() if alone else 1
    return infer_split(model, root, split, out, study.profile.taad.inference, features=kept, workers=workers)


def features_folder(study: Study, name: str) -> Path:
    """Where the player features of a detector are kept."""
    return study.models / name / "features"
