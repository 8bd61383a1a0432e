"""What ``train`` and ``infer`` do with a model on a data root, in one process or several."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
from torch import nn

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.events.playbyplay import write_events
from footpass_lib.schema import FootpassError
from footpass_lib.spotting.peaks import decode_split
from footpass_lib.study.dst import detect_dst, train_dst
from footpass_lib.study.matches import open_data
from footpass_lib.study.place import Study, open_study
from footpass_lib.study.plans import DSTPlan
from footpass_lib.study.rungs import Detectors, rung_plan
from footpass_lib.study.taad import detect_official
from footpass_lib.training.processes import this_process


@dataclass(frozen=True)
class ModelRun:
    """What a command works on; ``weights`` are Kinetics weights for backbones, ``rung`` says which sequence model."""

    study: Study
    root: DataRoot
    weights: Path | None
    first: bool  # whether this is process 0, which speaks and writes
    rung: str = "base"

    @classmethod
    def open(cls, options: argparse.Namespace) -> ModelRun:
        """The run that a command line asks for; where processes share it, the first one makes the data."""
        if options.weights is not None and not options.weights.is_file():
            raise FootpassError(f"{options.weights}: there is no such file; expected weights of X3D")
        root, scratch = str(options.data_root or ""), options.from_scratch
        study = open_study(options.profile, root, seed=options.seed, from_scratch=scratch)
        processes = this_process()
        with processes.main_process_first():
            root = open_data(study, drop_unassigned=options.drop_unassigned)
        return cls(study, root, options.weights, processes.is_main_process, options.rung)

    def say(self, text: str) -> None:
        if self.first:
            print(text)

    @cached_property
    def detectors(self) -> Detectors:
        """What the sequence model stands on; trained when first asked for."""
        return Detectors(self.study, self.root, self.weights)

    @property
    def plan(self) -> DSTPlan:
        """Of the sequence model."""
        return rung_plan(self.study.profile.dst, self.rung)

    def train(self, model: str) -> tuple[nn.Module, pd.DataFrame]:
        """Train a model, or load it; what it stands on is trained and run first."""
        if model == "taad":
            return self.detectors.taad
        if model == "gnn":
            return self.detectors.gnn
        logits = self.detectors.logits(("train", "val"), self.plan.sources)
        return train_dst(self.study, self.root, self.plan, logits, self.study.seed, f"dst-{self.rung}")


def train(options: argparse.Namespace) -> None:
    """``train``: print the history of a model's training and where it is kept."""
    run = ModelRun.open(options)
    _, history = run.train(options.model)
    run.say(history.to_string(index=False, float_format="{:.4g}".format))
    run.say(f"{options.model}, profile {run.study.profile.name}, seed {run.study.seed}: kept in {run.study.models}")


def infer(options: argparse.Namespace) -> None:
    """``infer``: write the logits of a split, and its events in the official JSON."""
    if options.checkpoint is not None:
        _infer_official(options)
        return
    run = ModelRun.open(options)
    if options.model == "dst":
        _infer_dst(run, options)
        return
    logits_of = {"taad": run.detectors.taad_logits, "gnn": run.detectors.gnn_logits}[options.model]
    _decode(run, options, logits_of(options.split))


def _infer_official(options: argparse.Namespace) -> None:
    """Logits and events of a split by a detector that the official code trained, on whole pictures as there."""
    if options.model != "taad":
        raise FootpassError(f"--checkpoint: is for --model taad, found --model {options.model}")
    run = ModelRun.open(argparse.Namespace(**vars(options) | {"profile": "full"}))
    _decode(run, options, detect_official(run.study, run.root, options.split, options.checkpoint))


def _decode(run: ModelRun, options: argparse.Namespace, logits: Path) -> None:
    """Write the events of a detector's logits."""
    out = options.out or logits.with_name(f"playbyplay_{options.model.upper()}_{options.split}.json")
    if run.first:
        events = decode_split(run.root, options.split, logits)
        write_events(out, events, "predictions")
    run.say(f"{logits}: logits\n{out}: events")


def _infer_dst(run: ModelRun, options: argparse.Namespace) -> None:
    """Events of the sequence model; process 0 alone decodes, which takes a minute a match."""
    model, _ = run.train("dst")
    logits = run.detectors.logits([options.split], run.plan.sources)
    if not run.first:
        return
    name = f"dst-{run.rung}-seed{run.study.seed}"
    events = detect_dst(run.study, run.root, options.split, model, run.plan, logits, name)
    out = options.out or run.study.models / name / f"playbyplay_DST_{options.split}.json"
    write_events(out, events, "predictions")
    run.say(f"{out}: events")
