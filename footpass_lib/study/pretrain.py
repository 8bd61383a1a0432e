"""Making the weights that come with the study, stage by stage; each stage keeps what it made, and is not redone.

Matches are filmed around their events, and a detector is trained on tubes of the players (1). Further matches are
filmed whole: the graph network is trained on the detector's features of some (2), and both detectors' logits on the
others fill a bank (3). From it come the logits of matches that are played, but not filmed, on which the sequence
models are trained (4).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path

import pandas as pd
from torch import nn

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.tubes import TubeHalf, tubes_path
from footpass_lib.environment import cores
from footpass_lib.files import sha256_file, write_json
from footpass_lib.models.dst import DST
from footpass_lib.models.shapes import count_parameters
from footpass_lib.models.taad import TAAD
from footpass_lib.samples.bank import WindowBank
from footpass_lib.samples.drawn import PlayedHalf
from footpass_lib.samples.tubes import TubeClips
from footpass_lib.schema import FootpassError
from footpass_lib.study import gnn as context
from footpass_lib.study import paper
from footpass_lib.study import taad as detector
from footpass_lib.study.bank import collect_bank, play_halves, pretrain_dst
from footpass_lib.study.dst import load_halves
from footpass_lib.study.matches import VALIDATION_SEED
from footpass_lib.study.place import Study
from footpass_lib.study.plans import DSTPlan, PretrainPlan, Profile
from footpass_lib.study.pretrained import publish_weights
from footpass_lib.study.results import hardware, versions
from footpass_lib.study.tubes import film_tubes
from footpass_lib.synthetic.build import build
from footpass_lib.synthetic.production import Job, SyntheticSizes, plan
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
        watched, others = kept[::_EVERY], [halves for i, halves in enumerate(kept) if i % _EVERY] or kept
        return [[half for halves in part for half in halves] for part in (others, watched)]

    def _jobs(self, minutes: float, name: str) -> list[Job]:
        sizes = replace(_only(self.study.profile.synthetic), train=minutes)
        return [job for job in plan(self.folder / name, sizes, self.plans.seed + 1) if job.split == "train"]

    @cached_property
    def taad(self) -> tuple[TAAD, pd.DataFrame]:
        """Stage 1b: the detector and its history."""
        (phase,), seed = self.plans.taad.phases, self.plans.seed
        model = TAAD(self.plans.taad.model, None, seed)
        run = self.study.run(
            "taad", self.plans.taad.model, phase, seed, self.plans.filmed, _only(self.study.profile.synthetic)
        )
        clips, some = phase.clips, 10 * phase.train.batch_size
        judge = partial(detector.false_alarms, model)
        history = detector.fit_phase(
            model, phase, seed, run,
            lambda epoch: TubeClips(self.tubes[0], clips, seed, epoch, judge),
            lambda: TubeClips(
                self.tubes[1], replace(clips, events=some, negatives=some), VALIDATION_SEED, 0, augment=False
            ),
        )  # fmt: skip
        return model, history

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

    @cached_property
    def bank(self) -> WindowBank:
        """Stage 3: windows of both detectors' logits on matches that neither has learned from."""
        logits = {"taad": {"test": self.taad_logits("test")}, "gnn": {"test": self.gnn_logits("test")}}
        return collect_bank(self.root, "test", logits, self.study.profile.synthetic, self.plans.seed + 2)

    @cached_property
    def played(self) -> list[PlayedHalf]:
        """Stage 4a: matches that are not filmed."""
        return play_halves(_only(self.study.profile.synthetic), self.plans.played, self.plans.seed + 3)

    def dst_plan(self, fused: bool) -> DSTPlan:
        """Of the sequence model with one source of logits, or with both."""
        return replace(self.plans.dst, sources=paper.FUSED_SOURCES if fused else self.plans.dst.sources)

    def dst(self, fused: bool) -> tuple[DST, pd.DataFrame]:
        """Stage 4b: a sequence model and its history."""
        plan = self.dst_plan(fused)
        logits = {"taad": {"val": self.taad_logits("val")}, "gnn": {"val": self.gnn_logits("val")}}
        watched = load_halves(self.root, "val", plan.sources, logits)
        folder = self.study.models / ("dst-fused" if fused else "dst")
        return pretrain_dst(plan, self.bank, self.played, self.plans.seed, folder, watched=watched)

    def stages(self) -> dict[str, Callable[[], tuple[nn.Module, pd.DataFrame]]]:
        """How each of ``pretrained.NAMES`` is made, in the order in which they stand on each other."""
        return {
            "taad": lambda: self.taad,
            "gnn": lambda: self.gnn,
            "dst": lambda: self.dst(fused=False),
            "dst-fused": lambda: self.dst(fused=True),
        }

    def publish(self, out: Path) -> Iterator[str]:
        """Make what is not kept yet, write weights in half precision and ``card.json``; a line a model on the way.

        FootpassError, before hours are spent, if there can be no folder ``out``.
        """
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FootpassError(f"{out}: no folder can be made there ({error.strerror})") from error
        models = {}
        for name, stage in self.stages().items():
            began = time.monotonic()
            model, history = stage()
            path = publish_weights(model, out / f"{name}.safetensors")
            models[name] = {
                "sha256": sha256_file(path), "bytes": path.stat().st_size, "parameters": count_parameters(model),
                "epochs": len(history), "steps": int(history["step"].iloc[-1]),
                "validation_loss": round(float(history["val_loss"].min()), 4),
                "training_minutes": round(float(history["seconds"].sum()) / 60, 1),
            }  # fmt: skip
            yield f"{path}: {models[name]['steps']} steps; {(time.monotonic() - began) / 60:.1f} minutes just now"
        minutes = {name: getattr(self.plans, name) for name in ("filmed", "whole", "banked", "watched", "played")}
        seeds = {"filmed": self.plans.seed + 1, "whole, banked, watched": self.plans.seed + 2}
        card = {
            "profile": self.study.profile.name, "data": "synthetic", "minutes": minutes,
            "seeds": seeds | {"played": self.plans.seed + 3}, "matches": asdict(_only(self.study.profile.synthetic)),
            "models": models, "versions": versions(), "machine": hardware(),
        }  # fmt: skip
        write_json(out / "card.json", card)
        yield f"{out / 'card.json'}: what they were made from"


def _only(sizes: SyntheticSizes) -> SyntheticSizes:
    """Sizes whose splits are as small as can be."""
    return replace(sizes, train=_MINUTES, val=_MINUTES, test=_MINUTES, challenge=_MINUTES)
