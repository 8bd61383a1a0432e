"""What the study costs: where the minutes of a whole run went, and the benchmarks, from records measured by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from footpass_lib.files import read_object


def run_path(reports: Path) -> Path:
    """Where ``tests/benchmarks/profile_run.py`` keeps what it says of a whole run."""
    return reports / "metrics" / "run.json"


def benchmarks_path(reports: Path) -> Path:
    """Where ``tests/benchmarks/run_all.py`` keeps its pairs."""
    return reports / "metrics" / "benchmarks.json"


def read_run(reports: Path) -> dict:
    """What is kept of a whole run from nothing; empty if there is nothing. Errors as in ``files.read_object``."""
    return _read(run_path(reports))


def read_benchmarks(reports: Path) -> dict:
    """What is kept of the benchmarks; as :func:`read_run`."""
    return _read(benchmarks_path(reports))


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
    """Models that the run trained, by kind: ``models``, and ``minutes each`` (of one core, where several ran at
    once).
    """
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
