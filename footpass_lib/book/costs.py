"""What the study costs: where the minutes of a run went, benchmarks, a GPU's figures, from records made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from footpass_lib.files import read_object
from footpass_lib.schema import N_CLASSES, FootpassError

if TYPE_CHECKING:  # they would import torch
    from footpass_lib.samples.sampling import ClipSettings
    from footpass_lib.study.plans import GNNPlan, Profile, TAADPlan
    from footpass_lib.training.schedule import TrainSettings


def run_path(reports: Path) -> Path:
    """Where ``tests/benchmarks/profile_run.py`` keeps what it says of a whole run."""
    return reports / "metrics" / "run.json"


def benchmarks_path(reports: Path) -> Path:
    """Where ``tests/benchmarks/run_all.py`` keeps its pairs."""
    return reports / "metrics" / "benchmarks.json"


def gpu_path(reports: Path) -> Path:
    """Where ``tests/benchmarks/bench_gpu.py`` keeps its rows."""
    return reports / "metrics" / "gpu.json"


def read_run(reports: Path) -> dict:
    """What is kept of a whole run from nothing; empty if there is nothing. Errors as in ``files.read_object``."""
    return _read(run_path(reports))


def read_benchmarks(reports: Path) -> dict:
    """What is kept of the benchmarks; as :func:`read_run`."""
    return _read(benchmarks_path(reports))


def read_gpu(reports: Path) -> dict:
    """What is kept of the paper's sizes on a GPU; as :func:`read_run`."""
    return _read(gpu_path(reports))


def _read(path: Path) -> dict:
    return read_object(path) if path.is_file() else {}


def run_table(run: dict) -> pd.DataFrame:
    """Minutes by notebook, with their share of the whole, and the whole.

    Parameters
    ----------
    run : dict
        From :func:`read_run`.

    Returns
    -------
    DataFrame
        Index: names of notebooks, then ``all``. ``minutes`` and ``share``.
    """
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
    """The pairs of a straightforward way and the library's.

    Returns
    -------
    DataFrame
        Index: what is measured. ``size``; ``straightforward`` and ``here``, processor seconds of the fastest run;
        ``times faster``; ``agreement`` of the two results.
    """
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
    """Training steps at the paper's sizes.

    Returns
    -------
    DataFrame
        One row each: ``model``, ``precision`` (``bf16`` or ``single``), ``checkpointing`` (None where there is none),
        ``batch``, ``seconds`` of a step, ``GB`` in tensors and ``GB reserved`` with what the allocator keeps, both at
        their peak and NaN where the memory was not enough; and ``within <n> GB``, whether a process that may reserve no
        more did the same step, None where that was not tried.
    """
    steps = [row for row in gpu.get("rows", []) if row["what"] == "training step"]
    limits = {row["limit_gb"]: f"within {row['limit_gb']:g} GB" for row in steps if row["limit_gb"] is not None}
    columns = ["model", "precision", "checkpointing", "batch", "seconds", "GB", "GB reserved", *limits.values()]
    tried = {(*_kind(row), row["limit_gb"]): row["fits"] for row in steps}
    lines = [
        [*_kind(row), row["batch"], row.get("seconds"), row.get("peak_gb"), row.get("reserved_gb")]
        + [tried.get((*_kind(row), limit)) for limit in limits]
        for row in steps
        if row["limit_gb"] is None
    ]
    return pd.DataFrame(lines, columns=columns)


def _kind(row: dict) -> tuple:
    return row["model"], "single" if row["precision"] == "no" else row["precision"], row.get("checkpointing")


def _row(gpu: dict, model: str, what: str, **about: object) -> dict:
    """The one row of the record, made without a limit of memory, with this model and name, and these values.

    Raises
    ------
    FootpassError
        If no row, or more than one, is like that.
    """
    wanted = {"model": model, "what": what, "limit_gb": None} | about
    found = [row for row in gpu["rows"] if all(row.get(name) == value for name, value in wanted.items())]
    if len(found) != 1:
        raise FootpassError(f"the GPU's record has {len(found)} rows of {wanted}; expected one")
    return found[0]


def full_schedule(
    gpu: dict, profile: Profile, train_halves: int = 96, halves: int = 102, half_frames: int = 75_000
) -> pd.DataFrame:
    """Hours that the profile's schedule takes at the rates of a GPU's record, if reading video costs nothing.

    Parameters
    ----------
    gpu : dict
        From :func:`read_gpu`.
    profile : Profile
        ``full``: the record's settings.
    train_halves, halves, half_frames : int
        Of the archive: halves with training events, halves that need logits, and frames of a half with its stoppages.

    Returns
    -------
    DataFrame
        Index: stage. ``amount`` of ``unit`` that passes through the network (for detectors at most: no class may have
        the number of events that an epoch draws), ``rate`` (of them a second), ``hours``, and ``GB`` that the
        allocator reserved.
    """
    if not gpu:
        return pd.DataFrame(columns=["amount", "unit", "rate", "hours", "GB"])
    lines = {}
    for model, plan in (("TAAD", profile.taad), ("TAAD+GNN", profile.gnn)):
        clips, train, inference = *_clips_and_schedule(plan), plan.inference
        drawn = ((N_CLASSES - 1) * clips.per_class + clips.background) * clips.frames * train.epochs
        about = {"precision": train.mixed_precision, "checkpointing": plan.model.encoder.checkpointing}
        lines[f"{model}, training"] = drawn, "frames", _row(gpu, model, "training step", **about)
        passes = halves * half_frames * inference.window // inference.stride
        lines[f"{model}, logits"] = passes, "frames", _row(gpu, model, "inference", precision=inference.precision)
    dst, steps = profile.dst, {"precision": profile.dst.train.mixed_precision}
    windows = train_halves * dst.windows_per_half * dst.train.epochs
    lines["TAAD+DST, training of one model"] = windows, "windows", _row(gpu, "TAAD+DST", "training step", **steps)
    table = {}
    for name, (amount, unit, row) in lines.items():
        rate = row["frames" if unit == "frames" else "batch"] / row["seconds"]
        table[name] = [amount, unit, rate, amount / rate / 3600, row["reserved_gb"]]
    return pd.DataFrame.from_dict(table, orient="index", columns=["amount", "unit", "rate", "hours", "GB"])


def _clips_and_schedule(plan: TAADPlan | GNNPlan) -> tuple[ClipSettings, TrainSettings]:
    """Of the only phase of a detector, or of the graph network."""
    if hasattr(plan, "phases"):
        (phase,) = plan.phases
        return phase.clips, phase.train
    return plan.clips, plan.train
