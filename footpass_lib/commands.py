"""The commands that train models and run them over a data root: ``train`` and ``infer``, in one process or several."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import nn

from footpass_lib.ablation import rung_plan
from footpass_lib.config import DSTPlan, Study, open_study
from footpass_lib.context import detect_in_context, train_gnn
from footpass_lib.data import open_data, sequence_part
from footpass_lib.dataroot import DataRoot
from footpass_lib.detector import decode_split, detect, features_folder, train_taad
from footpass_lib.playbyplay import write_events
from footpass_lib.processes import this_process
from footpass_lib.schema import FootpassError
from footpass_lib.sequence import LogitsFiles, detect_dst, train_dst


@dataclass(frozen=True)
class Job:
    """What a command works on.

    Attributes
    ----------
    study : Study
    root : DataRoot
    weights : Path or None
        Kinetics weights for backbones.
    first : bool
        Whether this is process 0, which speaks and writes.
    rung : str
        Which sequence model, see ``ablation.RUNGS``.
    """

    study: Study
    root: DataRoot
    weights: Path | None
    first: bool
    rung: str = "base"

    @classmethod
    def open(cls, options: argparse.Namespace) -> Job:
        """The job that a command line asks for; where processes share it, the first one makes the data."""
        if options.weights is not None and not options.weights.is_file():
            raise FootpassError(f"{options.weights}: there is no such file; expected weights of X3D")
        study = open_study(options.profile, str(options.data_root or ""), seed=options.seed)
        processes = this_process()
        with processes.main_process_first():
            root = open_data(study)
        return cls(study, root, options.weights, processes.is_main_process, options.rung)

    def say(self, text: str) -> None:
        if self.first:
            print(text)

    def train(self, model: str) -> tuple[nn.Module, pd.DataFrame]:
        """Train a model, or load it; what it stands on is trained and run first."""
        if model == "taad":
            return train_taad(self.study, self.root, self.study.seed, weights=self.weights)
        if model == "dst":
            return train_dst(
                self.study, self.root, self.plan, self.sources("train", "val"), self.study.seed, f"dst-{self.rung}"
            )
        if not self.study.profile.gnn.cached:
            return train_gnn(self.study, self.root, self.study.seed, weights=self.weights)
        for split in ("train", "val"):
            self.logits("taad", split)
        return train_gnn(self.study, self.root, self.study.seed, self.kept_features)

    @property
    def plan(self) -> DSTPlan:
        """Of the sequence model."""
        return rung_plan(self.study.profile.dst, self.rung)

    def sources(self, *splits: str) -> LogitsFiles:
        """Logits that the sequence model hears; detectors are trained first if they are not yet."""
        part = sequence_part(self.study, self.root)
        roots = {"taad": self.root, "gnn": part}  # as in ``ablation.detector_logits``
        return {name: {split: self.logits(name, split, roots[name]) for split in splits} for name in self.plan.sources}

    @property
    def kept_features(self) -> Path | None:
        """Where the detector's features are, if the graph network stands on them."""
        name = f"taad-seed{self.study.seed}"
        return features_folder(self.study, name) if self.study.profile.gnn.cached else None

    def logits(self, model: str, split: str, root: DataRoot | None = None) -> Path:
        """Logits of a split by a model, which is trained first if it is not yet; of another root's halves if given."""
        name = f"{model}-seed{self.study.seed}"
        if model == "taad":
            return detect(self.study, self.root, split, self.train(model)[0], name)
        network, _ = self.train(model)
        if self.kept_features is not None:
            self.logits("taad", split)
        return detect_in_context(self.study, root or self.root, split, network, name, self.kept_features)


def run_train(options: argparse.Namespace) -> None:
    """``train``: print the history of a model's training and where it is kept."""
    job = Job.open(options)
    _, history = job.train(options.model)
    job.say(history.to_string(index=False, float_format="{:.4g}".format))
    job.say(f"{options.model}, profile {job.study.profile.name}, seed {job.study.seed}: kept in {job.study.models}")


def run_infer(options: argparse.Namespace) -> None:
    """``infer``: write the logits of a split, and its events in the official JSON."""
    job = Job.open(options)
    if options.model == "dst":
        _infer_dst(job, options)
        return
    logits = job.logits(options.model, options.split)
    out = options.out or logits.with_name(f"playbyplay_{options.model.upper()}_{options.split}.json")
    if job.first:
        events = decode_split(job.root, options.split, logits)
        write_events(out, events, "predictions")
    job.say(f"{logits}: logits\n{out}: events")


def _infer_dst(job: Job, options: argparse.Namespace) -> None:
    """Events of the sequence model; process 0 alone decodes, which takes a minute a match."""
    model, _ = job.train("dst")
    logits = job.sources(options.split)
    if not job.first:
        return
    name = f"dst-{job.rung}-seed{job.study.seed}"
    events = detect_dst(job.study, job.root, options.split, model, job.plan, logits, name)
    out = options.out or job.study.models / name / f"playbyplay_DST_{options.split}.json"
    write_events(out, events, "predictions")
    job.say(f"{out}: events")
