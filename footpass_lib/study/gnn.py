"""The graph network's stage of the study: train it by plan, run it over a split.

It either has a video encoder of its own, as in the paper, or stands on the kept player features of a frozen detector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.features import HalfFeatures, feature_path, features_key
from footpass_lib.data.frames import FrameSource
from footpass_lib.data.half import TacticalHalf
from footpass_lib.data.logits import read_attribute, write_logits
from footpass_lib.environment import cores
from footpass_lib.files import file_key, key_of, sha256_file
from footpass_lib.models.gnn import build_gnn
from footpass_lib.models.weights import hash_weights
from footpass_lib.samples.clips import TAADClips
from footpass_lib.samples.feature_clips import FeatureClips
from footpass_lib.schema import FootpassError
from footpass_lib.spotting.detector import InferenceSettings, feature_logits, gnn_logits
from footpass_lib.spotting.split import infer_split
from footpass_lib.study.matches import VALIDATION_SEED, data_key, detectors_part
from footpass_lib.study.place import Study, TrainingRun
from footpass_lib.study.plans import GNNPlan
from footpass_lib.study.pretrained import start_key, start_pretrained
from footpass_lib.training.apart import train_apart
from footpass_lib.training.fit import Loss, Validation, fit, watch_loss
from footpass_lib.training.losses import gnn_loss
from footpass_lib.training.run_folder import is_finished
from footpass_lib.workers import in_threads

Batch = dict[str, Tensor]


def gamma_of(plan: GNNPlan, epoch: int) -> float:
    """Power of the focal loss in an epoch, counted from 1."""
    return [gamma for first, gamma in plan.gammas if first <= epoch][-1]


def train_gnn(
    study: Study,
    root: DataRoot,
    seed: int,
    features: Path | str | None = None,
    plan: GNNPlan | None = None,
    weights: Path | None = None,
) -> tuple[nn.Module, pd.DataFrame]:
    """Train the graph network, or load the one that has been trained with these very settings and data.

    On the root's training matches, or those for detectors where the profile is ``stacked``; the seed is that of initial
    weights, clips and order. A ``GraphNetwork`` needs ``features``, the folder of kept player features; a ``TAADGNN``
    takes the videos, FootpassError otherwise, and may start from Kinetics ``weights``. The history has ``gamma``, too.
    """
    plan = plan or study.profile.gnn
    if plan.cached != (features is not None):
        wanted = "expected them for GraphSettings and for no other"
        raise FootpassError(f"GNN: {type(plan.model).__name__} with features={features}; {wanted}")
    run = _run_of(study, root, seed, features, plan, weights)
    root = detectors_part(study, root)
    source = FrameSource(root, root.path / "frames") if features is None and study.profile.synthetic else None

    def clips(split: str, epoch: int, clip_seed: int) -> Dataset:
        settings = replace(plan.clips, augmentation=None) if split == "val" else plan.clips
        if features is not None:
            return FeatureClips(root, split, features, settings, clip_seed, epoch)
        return TAADClips(root, split, settings, clip_seed, epoch, source)

    model = build_gnn(plan.model, 0 if features is None else _channels(root, features), weights, seed)
    start_pretrained(study, "gnn", model)
    result = fit(
        model,
        lambda epoch: clips("train", epoch, seed),
        lambda epoch: _loss(gamma_of(plan, epoch)),
        replace(plan.train, seed=seed),
        run.folder,
        _validation(lambda: clips("val", 0, VALIDATION_SEED), plan),
        {"key": run.key},
    )
    return model, result.history.assign(gamma=[gamma_of(plan, epoch) for epoch in result.history["epoch"]])


def train_gnns(
    study: Study,
    root: DataRoot,
    seeds: Sequence[int],
    features: Path | str | None = None,
    plan: GNNPlan | None = None,
) -> list[tuple[nn.Module, pd.DataFrame]]:
    """Graph networks of several seeds with their histories, as from :func:`train_gnn`; see ``train_apart``."""
    plan = plan or study.profile.gnn
    calls = [(study, root, seed, features, plan) for seed in seeds]
    todo = [call for call in calls if not is_finished(_run_of(*call, None).folder)]
    train_apart(train_gnn, todo, plan.train)
    return [train_gnn(*call) for call in calls]


def _run_of(
    study: Study, root: DataRoot, seed: int, features: Path | str | None, plan: GNNPlan, weights: Path | None
) -> TrainingRun:
    root = detectors_part(study, root)
    made = None if features is None else features_key(feature_path(features, root.halves("train")[0]))
    depends = plan, seed, data_key(root, "train"), weights and sha256_file(weights), made, start_key(study, "gnn")
    return study.run(f"gnn-seed{seed}", *depends)


def _channels(root: DataRoot, features: Path | str) -> int:
    return HalfFeatures(feature_path(features, root.halves("train")[0])).channels


def _validation(make_clips: Callable[[], Dataset], plan: GNNPlan) -> Validation:
    """Loss on the first of fixed validation clips, all with the last gamma, so that epochs can be compared."""

    def watched_clips() -> Dataset:
        every = make_clips()
        order = np.random.default_rng(VALIDATION_SEED).permutation(len(every))
        return Subset(every, order[: plan.validation_clips].tolist())

    return watch_loss(watched_clips, _loss(plan.gammas[-1][1]), plan.train.batch_size)


def _loss(gamma: float) -> Loss:
    """The focal loss with a power, as ``fit`` calls it."""
    return lambda model, batch: gnn_loss(gnn_logits(model, batch), batch["labels"], batch["mask"], gamma)


def detect_in_context(
    study: Study, root: DataRoot, split: str, model: nn.Module, name: str, features: Path | str | None = None
) -> Path:
    """Logits of a split, kept as ``study.models/<name>/preds_<split>.h5``; a finished file is left as it is.

    Where the root is limited to some matches of the split, the file is ``preds_<split>-part.h5``. A
    :class:`GraphNetwork` needs ``features``, the folder with the kept player features of the split's halves.
    """
    part = "-part" if split in root.limits else ""
    out, settings = study.models / name / f"preds_{split}{part}.h5", study.profile.gnn.inference
    if features is None:
        return infer_split(model, root, split, out, settings, logits_of=gnn_logits)
    made = [features_key(feature_path(features, half)) for half in root.halves(split)]
    key = key_of(hash_weights(model), model.settings, settings, file_key(root.table_path(split)), made)
    if read_attribute(out, "fingerprint") != key:
        write_logits(out, _logits_of_halves(model, root, split, settings, features), {"fingerprint": key})
    return out


def _logits_of_halves(
    model: nn.Module, root: DataRoot, split: str, settings: InferenceSettings, features: Path | str
) -> Iterator[tuple[str, int, np.ndarray]]:
    halves = map(root.half, root.halves(split))
    workers = 1 if next(model.parameters()).is_cuda else cores()

    def logits_of(half: TacticalHalf) -> tuple[str, int, np.ndarray]:
        return half.half, half.first_frame, feature_logits(model, half, settings, features)

    yield from in_threads(workers, logits_of, halves)
