"""What the study costs: where the minutes of a run went, benchmarks, a GPU's figures, from records made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from footpass_lib.files import read_object
from footpass_lib.schema import N_CLASSES, FootpassError

if TYPE_CHECKING:  # it would import torch
    from footpass_lib.study.plans import GNNPlan, Phase, Profile, TAADPlan

# The records, each made by a script of ``tests/benchmarks``.
RUN = "run.json"  # profile_run: a whole run from nothing
BENCHMARKS = "benchmarks.json"  # run_all: the library beside straightforward code
GPU = "gpu.json"  # bench_gpu: the paper's sizes on a GPU
# The gated archive, as far as the cost of the full profile follows from it.
TRAIN_HALVES = 96
LOGIT_HALVES = 102  # of training and validation matches: what the sequence model reads
HALF_FRAMES = 75_000  # a half with its stoppages, 50 minutes
# What the rows of the GPU's record are of.
TRAINING_STEP, INFERENCE = "training step", "inference"


def record_path(reports: Path, name: str) -> Path:
    """Where one of the records lies."""
    return reports / "metrics" / name


def read_record(reports: Path, name: str) -> dict:
    """What one of the records says; empty if it is not there. Errors as in ``files.read_object``."""
    path = record_path(reports, name)
    return read_object(path) if path.is_file() else {}


def run_table(run: dict) -> pd.DataFrame:
    """``minutes`` of every notebook and their ``share`` of the whole, and a row ``all``."""
    minutes = pd.Series(run.get("seconds", {}), dtype=float) / 60
    table = pd.DataFrame({"minutes": minutes, "share": minutes / minutes.sum()})
    table.loc["all"] = [minutes.sum(), 1.0]
    return table


def training_table(run: dict) -> pd.DataFrame:
    """Models that the run trained, by kind: ``models``, and ``minutes each`` (of the clock, beside others)."""
    kinds = {kind: values for kind, values in run.get("training", {}).items() if values["models"]}
    lines = {kind: [v["models"], v["seconds"] / 60 / v["models"]] for kind, v in kinds.items()}
    table = pd.DataFrame.from_dict(lines, orient="index", columns=["models", "minutes each"])
    return table.astype({"models": int})


def benchmark_table(benchmarks: dict) -> pd.DataFrame:
    """A straightforward way and the library's, in processor seconds of the fastest run, by what is measured."""
    lines = {
        pair["name"]: {
            "size": pair["sizes"],
            "straightforward": pair["plain_cpu_seconds"],
            "here": pair["library_cpu_seconds"],
            "times faster": pair["plain_cpu_seconds"] / pair["library_cpu_seconds"],
            "agreement": pair["agreement"],
        }
        for pair in benchmarks.get("pairs", [])
    }
    columns = ["size", "straightforward", "here", "times faster", "agreement"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns)


def gpu_training_table(gpu: dict) -> pd.DataFrame:
    """Training steps at the paper's sizes, a row each.

    ``model``, ``precision`` (``bf16`` or ``single``), ``checkpointing`` (None where there is none), ``batch``,
    ``seconds`` of a step, ``GB`` in tensors and ``GB reserved`` with what the allocator keeps, both at their peak and
    NaN where the memory was not enough; and ``within <n> GB``, whether a process that may reserve no more did the same
    step, None where that was not tried.
    """
    steps = [row for row in gpu.get("rows", []) if row["what"] == TRAINING_STEP]
    limits = {row["limit_gb"]: f"within {row['limit_gb']:g} GB" for row in steps if row["limit_gb"] is not None}
    columns = ["model", "precision", "checkpointing", "batch", "seconds", "GB", "GB reserved", *limits.values()]
    tried = {(*_way(row), row["limit_gb"]): row["fits"] for row in steps}
    lines = [
        [*_way(row), row["batch"], row.get("seconds"), row.get("peak_gb"), row.get("reserved_gb")]
        + [tried.get((*_way(row), limit)) for limit in limits]
        for row in steps
        if row["limit_gb"] is None
    ]
    return pd.DataFrame(lines, columns=columns)


def _way(row: dict) -> tuple[str, str, bool | None]:
    return row["model"], "single" if row["precision"] == "no" else row["precision"], row.get("checkpointing")


def full_schedule(gpu: dict, profile: Profile) -> pd.DataFrame:
    """Hours that the schedule of the profile ``full`` takes at the rates of a GPU's record, if reading video is free.

    By stage: ``amount`` of ``unit`` that passes through the network (for detectors at most: no class may have the
    number of events that an epoch draws), ``rate`` (of them a second), ``hours``, and ``GB`` that the allocator
    reserved. FootpassError if the record has not exactly one row for a stage.
    """
    columns = ["amount", "unit", "rate", "hours", "GB"]
    table = {}
    for stage, amount, unit, row in _stages(gpu, profile) if gpu else ():
        rate = row["frames" if unit == "frames" else "batch"] / row["seconds"]
        table[stage] = [amount, unit, rate, amount / rate / 3600, row["reserved_gb"]]
    return pd.DataFrame.from_dict(table, orient="index", columns=columns)


def _stages(gpu: dict, profile: Profile) -> list[tuple[str, int, str, dict]]:
    """Name, amount, its unit, and the row of the GPU's record that says how fast it goes."""
    stages = []
    for model, plan in (("TAAD", profile.taad), ("TAAD+GNN", profile.gnn)):
        precision, inference = _schedule(plan).train.mixed_precision, plan.inference
        step = {"precision": precision, "checkpointing": plan.model.encoder.checkpointing}
        row = _row(gpu, model, TRAINING_STEP, **step)
        stages.append((f"{model}, training", _drawn_frames(plan), "frames", row))
        passes = LOGIT_HALVES * HALF_FRAMES * inference.window // inference.stride
        row = _row(gpu, model, INFERENCE, precision=inference.precision)
        stages.append((f"{model}, logits", passes, "frames", row))
    dst = profile.dst
    windows = TRAIN_HALVES * dst.windows_per_half * dst.train.epochs
    row = _row(gpu, "TAAD+DST", TRAINING_STEP, precision=dst.train.mixed_precision)
    return [*stages, ("TAAD+DST, training of one model", windows, "windows", row)]


def _drawn_frames(plan: TAADPlan | GNNPlan) -> int:
    """Frames of all clips that the training of a detector draws."""
    schedule = _schedule(plan)
    clips = (N_CLASSES - 1) * schedule.clips.per_class + schedule.clips.background
    return clips * schedule.clips.frames * schedule.train.epochs


def _schedule(plan: TAADPlan | GNNPlan) -> Phase | GNNPlan:
    """What holds ``clips`` and ``train``: the only phase of a detector, or the graph network's plan."""
    if hasattr(plan, "phases"):
        (phase,) = plan.phases
        return phase
    return plan


def _row(gpu: dict, model: str, what: str, **about: object) -> dict:
    """The one row of the record, made without a limit of memory, with these values; FootpassError if it is not one."""
    wanted = {"model": model, "what": what, "limit_gb": None} | about
    found = [row for row in gpu["rows"] if all(row.get(name) == value for name, value in wanted.items())]
    if len(found) != 1:
        raise FootpassError(f"the GPU's record has {len(found)} rows of {wanted}; expected one")
    return found[0]
