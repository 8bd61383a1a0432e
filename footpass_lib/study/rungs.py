"""The rungs of the ablation that are trained: the sequence model alone, with the graph network's logits, with weights.

Each rung differs from the one before in one setting. Notebooks 06 to 08 train them, the later ones take their events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd
from torch import nn

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.events.playbyplay import Events
from footpass_lib.models.dst import DST
from footpass_lib.models.taad import TAAD
from footpass_lib.schema import FootpassError
from footpass_lib.study import dst, paper
from footpass_lib.study import gnn as context
from footpass_lib.study import taad as detector
from footpass_lib.study.dst import LogitsFiles
from footpass_lib.study.matches import sequence_part
from footpass_lib.study.place import Study
from footpass_lib.study.plans import DSTPlan
from footpass_lib.training.apart import train_apart

RUNGS = ("base", "fused", "weighted")
TITLES = {"base": "TAAD+DST", "fused": "+ GNN logit fusion", "weighted": "+ square-root class weights"}


def rung_plan(plan: DSTPlan, rung: str) -> DSTPlan:
    """The plan of a rung, from that of the first; FootpassError if there is no such rung."""
    if rung not in RUNGS:
        raise FootpassError(f"unknown rung {rung!r} of the ablation; expected one of {', '.join(RUNGS)}")
    if rung == "base":
        return plan
    fused = replace(plan, sources=paper.FUSED_SOURCES)  # Extension 2: GNN logits
    if rung == "fused":
        return fused
    return replace(fused, loss=replace(plan.loss, weighting=paper.WEIGHTING))  # Extension 3: square-root class weights


@dataclass(frozen=True)
class Detectors:
    """The study's detector and graph network, trained with its seed when they are first asked for, or loaded."""

    study: Study
    root: DataRoot
    weights: Path | None = None  # Kinetics weights for the backbones

    @cached_property
    def taad(self) -> tuple[TAAD, pd.DataFrame]:
        """The detector with its history."""
        return detector.train_taad(self.study, self.root, self.study.seed, weights=self.weights)

    @cached_property
    def gnn(self) -> tuple[nn.Module, pd.DataFrame]:
        """The graph network with its history; the kept features that it may stand on are made first."""
        if self._features is None:
            return context.train_gnn(self.study, self.root, self.study.seed, weights=self.weights)
        for split in ("train", "val"):
            self.taad_logits(split)
        return context.train_gnn(self.study, self.root, self.study.seed, self._features)

    @property
    def _features(self) -> Path | None:
        return detector.features_folder(self.study, self._name("taad")) if self.study.profile.gnn.cached else None

    def _name(self, model: str) -> str:
        return f"{model}-seed{self.study.seed}"

    def taad_logits(self, split: str) -> Path:
        """The detector's logits of a split."""
        return detector.detect(self.study, self.root, split, self.taad[0], self._name("taad"))

    def gnn_logits(self, split: str, part: DataRoot | None = None) -> Path:
        """The graph network's logits of a split, or of its matches in a limited data root."""
        model, _ = self.gnn
        if self._features is not None and split not in ("train", "val"):
            self.taad_logits(split)
        return context.detect_in_context(self.study, part or self.root, split, model, self._name("gnn"), self._features)

    def logits(self, splits: Sequence[str], sources: Sequence[str]) -> LogitsFiles:
        """Logits that the sequence model reads: source -> split -> file; the graph network's of its matches alone."""
        part = sequence_part(self.study, self.root)
        ways = {"taad": self.taad_logits, "gnn": lambda split: self.gnn_logits(split, part)}
        return {source: {split: ways[source](split) for split in splits} for source in sources}


def detector_logits(study: Study, root: DataRoot, splits: Sequence[str]) -> LogitsFiles:
    """Logits of both sources in splits; see ``Detectors.logits``."""
    return Detectors(study, root).logits(splits, ("taad", "gnn"))


def train_side_by_side(
    study: Study, root: DataRoot, runs: Sequence[tuple[DSTPlan, int, str]], logits: LogitsFiles
) -> list[tuple[DST, pd.DataFrame]]:
    """Train sequence models of (plan, seed, name), all with the first one's number of steps, as ``train_dst`` does.

    As many at a time as there are cores; on a GPU, and where training takes moments, one after the other.
    """
    calls = [(study, root, plan, logits, seed, name) for plan, seed, name in runs]
    train_apart(dst.train_dst, [call for call in calls if not dst.is_trained(*call)], runs[0][0].train)
    return [dst.train_dst(*call) for call in calls]


def train_rung(
    study: Study, root: DataRoot, rung: str, seeds: Sequence[int], logits: LogitsFiles
) -> list[tuple[DST, pd.DataFrame]]:
    """Models of a rung, one a seed, with their histories; see :func:`train_side_by_side`."""
    plan = rung_plan(study.profile.dst, rung)
    return train_side_by_side(study, root, [(plan, seed, f"dst-{rung}") for seed in seeds], logits)


def rung_events(study: Study, root: DataRoot, rung: str, seed: int, split: str, logits: LogitsFiles) -> Events:
    """Events of a split by a rung's model of one seed, which is trained if it is not yet.

    ``logits`` come from :func:`detector_logits` of ``train``, ``val`` and this split; detectors have the study's seed.
    """
    plan = rung_plan(study.profile.dst, rung)
    model, _ = dst.train_dst(study, root, plan, logits, seed, f"dst-{rung}")
    return dst.detect_dst(study, root, split, model, plan, logits, f"dst-{rung}-seed{seed}")
