"""Making the weights that come with the study, stage by stage; each stage keeps what it made, and is not redone.

Matches are filmed around their events, and a detector is trained on tubes of the players (1). Further matches are
filmed whole: the graph network is trained on the detector's features of some (2), and both detectors' logits on the
others fill a bank (3). From it come the logits of matches that are played, but not filmed, on which the sequence
models are trained (4).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import pandas as pd
from torch import nn

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.tubes import TubeHalf, tubes_path
from footpass_lib.environment import cores
from footpass_lib.models.taad import TAAD
from footpass_lib.samples.tubes import TubeClips
from footpass_lib.study import gnn as context
from footpass_lib.study import taad as detector
from footpass_lib.study.matches import VALIDATION_SEED
from footpass_lib.study.place import Study
from footpass_lib.study.plans import PretrainPlan, Profile
from footpass_lib.study.tubes import film_tubes
from footpass_lib.synthetic.build import build
from footpass_lib.synthetic.production import Job, SyntheticSizes, plan
from footpass_lib.training.fit import fit, watch_loss
from footpass_lib.workers import side_by_side

_EVERY = 20  # of so many filmed matches one is for the validation loss
_MINUTES = 0.5  # of the splits that a stage has no use for, at least


class Pretraining:
    """The stages of a plan, kept in a folder; ``profile`` says how large pictures and networks are."""

    def __init__(self, folder: Path, profile: Profile, plans: PretrainPlan) -> None:
        self.folder, self.plans = folder, plans
        whole = replace(
            profile.synthetic, train=plans.whole, val=plans.watched, test=plans.banked, challenge=_MINUTES
        )  # fmt: skip
        own = replace(profile, synthetic=whole, taad=plans.taad, gnn=plans.gnn, dst=plans.dst, stacked=False)
        self.study = Study(own, folder, None, folder / "matches", folder / "reports", plans.seed)

    @cached_property
    def tubes(self) -> list[list[TubeHalf]]:
        """Stage 1a: tubes of the filmed matches, for training and for the validation loss."""
        jobs, side = self._jobs(self.plans.filmed, "filmed"), self.plans.taad.phases[0].clips.kept
        calls = [(job, self.folder / "tubes", side) for job in jobs]
        for _ in side_by_side(cores(), film_tubes, calls):
            pass
        kept = [[TubeHalf(tubes_path(self.folder / "tubes", half)) for half in job.halves] for job in jobs]
        watched = [halves for i, halves in enumerate(kept) if i % _EVERY == 0]
        others = [halves for i, halves in enumerate(kept) if i % _EVERY] or kept
        return [sum(others, []), sum(watched, [])]

    def _jobs(self, minutes: float, name: str) -> list[Job]:
        sizes = replace(_only(self.study.profile.synthetic), train=minutes)
        return [job for job in plan(self.folder / name, sizes, self.plans.seed + 1) if job.split == "train"]

    @cached_property
    def taad(self) -> tuple[TAAD, pd.DataFrame]:
        """Stage 1b: the detector and its history."""
        (phase,), seed = self.plans.taad.phases, self.plans.seed
        model = TAAD(self.plans.taad.model, None, seed)
        run = self.study.run("taad", self.plans.taad, self.plans.filmed, self.study.profile.synthetic)
        watched = replace(phase.clips, events=10 * phase.train.batch_size, negatives=10 * phase.train.batch_size)
        judge = partial(detector.false_alarms, model)
        result = fit(
            model,
            lambda epoch: TubeClips(self.tubes[0], phase.clips, seed, epoch, judge),
            lambda epoch: detector.clip_loss(phase),
            replace(phase.train, seed=seed),
            run.folder,
            watch_loss(
                lambda: TubeClips(self.tubes[1], watched, VALIDATION_SEED, 0, augment=False),
                detector.clip_loss(phase),
                phase.train.batch_size,
            ),
            {"key": run.key},
        )
        return model, result.history

    @cached_property
    def root(self) -> DataRoot:
        """Stage 2a: whole matches; train is for the graph network, test for the bank."""
        build(self.study.data_root, self.study.profile.synthetic, self.plans.seed + 2, cores())
        return DataRoot(self.study.data_root, 16)

    def taad_logits(self, split: str) -> Path:
        """The detector's logits of a split, with features beside them."""
        return detector.detect(self.study, self.root, split, self.taad[0], "taad")

    @cached_property
    def gnn(self) -> tuple[nn.Module, pd.DataFrame]:
        """Stage 2b: the graph network and its history."""
        for split in ("train", "val"):
            self.taad_logits(split)
        features = detector.features_folder(self.study, "taad")
        return context.train_gnn(self.study, self.root, self.plans.seed, features)

    def gnn_logits(self, split: str) -> Path:
        """The graph network's logits of a split."""
        self.taad_logits(split)
        features = detector.features_folder(self.study, "taad")
        return context.detect_in_context(self.study, self.root, split, self.gnn[0], "gnn", features)


def _only(sizes: SyntheticSizes) -> SyntheticSizes:
    """Sizes whose splits are as small as can be."""
    return replace(sizes, train=_MINUTES, val=_MINUTES, test=_MINUTES, challenge=_MINUTES)


def timed(stage: Callable[[], object], say: Callable[[str], object], what: str) -> object:
    """What a stage gives; says how long it took."""
    began = time.monotonic()
    made = stage()
    say(f"{what}: {(time.monotonic() - began) / 60:.1f} minutes")
    return made
