"""The ablation as one table, from records alone: seeds, paired gains, the paper's column, and what is missing.

Two rows are compared over the seeds that both have, so that a row of one seed is held against that seed of the other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from footpass_lib.events.bootstrap import Interval, bootstrap_counts
from footpass_lib.files import read_object, write_text
from footpass_lib.schema import EVENT_CLASSES, FootpassError
from footpass_lib.study.paper import ABLATION
from footpass_lib.study.place import Study
from footpass_lib.study.results import metrics_folder

MISSING = "missing"
Part = Literal["context", "chain", "real"]
_UNSEEDED = 0  # a record without a seed stands beside this seed of others


@dataclass(frozen=True)
class Row:
    """One row of the ablation.

    Attributes
    ----------
    title : str
    record : str
        ``<notebook>.<name>`` of its records, without a seed.
    part : {"context", "chain", "real"}
        What stands before the chain, the chain itself, or results on real matches.
    seeds : int
        How many records there should be.
    before : str
        Title of the row that it is compared with; empty for none.
    paper : float, optional
        Macro F1 in the reproduced paper.
    """

    title: str
    record: str
    part: Part = "chain"
    seeds: int = 1
    before: str = ""
    paper: float | None = None


_BASE, _FUSED, _WEIGHTED, _POST, _ENSEMBLE = ABLATION
_OFFICIAL = "official TAAD+DST file"
ROWS = (
    Row("TAAD alone", "03_taad.taad", "context"),
    Row("TAAD+GNN", "05_taad_gnn.taad-gnn", "context", 3),
    Row("TAAD+DST", "06_taad_dst.base", "chain", 3, "", ABLATION[_BASE]),
    Row(_FUSED, "07_gnn_fusion.fused", "chain", 3, "TAAD+DST", ABLATION[_FUSED]),
    Row(_WEIGHTED, "08_class_weighting.weighted", "chain", 3, _FUSED, ABLATION[_WEIGHTED]),
    Row(_POST, "09_postprocessing.postprocessed-validation", "chain", 1, _WEIGHTED, ABLATION[_POST]),
    Row("+ ensemble", "10_ensemble.ensemble-gated", "chain", 1, _POST, ABLATION[_ENSEMBLE]),
    Row(_OFFICIAL, "02_metric.official_dst", "real"),
    Row("gates, fitted in-sample", "09_postprocessing.official-gated-in-sample", "real", 1, _OFFICIAL),
    Row("gates, match left out", "09_postprocessing.official-gated-left-out", "real", 1, _OFFICIAL),
    Row("re-scored, match left out", "13_rescoring.rescored", "real", 1, _OFFICIAL),
)


def runs_of(row: Row, records: Mapping[str, dict]) -> dict[int, dict]:
    """Records of a row by seed, ascending; one without a seed stands for seed 0."""
    form = re.compile(re.escape(row.record) + r"(?:\.seed(\d+))?")
    found = {key: form.fullmatch(key) for key in records}
    runs = {int(match[1] or _UNSEEDED): records[key] for key, match in found.items() if match}
    return dict(sorted(runs.items()))


def paired_gain(
    row: Row, before: Row, records: Mapping[str, dict], rng: np.random.Generator, resamples: int = 2000
) -> tuple[Interval | None, dict[int, float], str]:
    """By how much Macro F1 of a row is above that of another one, over the seeds that both have.

    Parameters
    ----------
    row, before : Row
    records : mapping
        As from ``read_records``.
    rng : Generator
    resamples : int

    Returns
    -------
    gain : Interval or None
        Mean over the seeds, with the 95 % interval of the paired block bootstrap (NaN if records keep no blocks);
        None if there is nothing to compare.
    by_seed : dict
        The gain of every seed that both have.
    why : str
        What is missing, or empty.
    """
    runs, others = runs_of(row, records), runs_of(before, records)
    if not runs or not others:
        return None, {}, MISSING
    common = [seed for seed in runs if seed in others]
    if not common:
        return None, {}, "no seed in common"
    mine, theirs = ([side[seed] for seed in common] for side in (runs, others))
    if len({_n_events(run) for run in mine + theirs}) > 1:
        return None, {}, "not the same events"
    differences = [a["metrics"]["macro_f1"] - b["metrics"]["macro_f1"] for a, b in zip(mine, theirs, strict=True)]
    by_seed = dict(zip(common, differences, strict=True))
    blocks = [_blocks(side) for side in (mine, theirs)]
    if any(counts is None for counts in blocks):
        return Interval(float(np.mean(differences)), math.nan, math.nan), by_seed, "no blocks kept"
    try:
        gain = bootstrap_counts(blocks[0], rng, minus=blocks[1], resamples=resamples)["macro_f1"]
    except FootpassError:
        return None, {}, "not the same events"
    return gain, by_seed, ""


def _n_events(run: dict) -> tuple[int, ...]:
    """Ground-truth events per class: a mark of the matches that a record was measured on."""
    per_class = run["metrics"]["per_class"]
    return tuple(per_class[name]["tp"] + per_class[name]["fn"] for name in EVENT_CLASSES)


def _blocks(runs: Sequence[dict]) -> np.ndarray | None:
    """Block counts (runs, blocks, 8, 3), or None if a record has none or they do not fit together."""
    counts = [np.array(run.get("details", {}).get("blocks", [])) for run in runs]
    return np.stack(counts) if counts[0].ndim == 3 and len({c.shape for c in counts}) == 1 else None


def ablation_table(
    rows: Sequence[Row], records: Mapping[str, dict], rng: np.random.Generator, resamples: int = 2000
) -> pd.DataFrame:
    """The ablation: one row for each of ``rows``, whether there are records of it or not.

    Returns
    -------
    DataFrame
        Index: titles. ``part``; ``matches`` (``synthetic test``); ``seeds`` (found) and ``expected``; ``mean, low,
        high`` (Macro F1 over seeds) and ``micro``; ``scores`` (Macro F1 by seed); ``paper``; ``before``; ``gain,
        gain_low, gain_high`` over the row ``before``; ``gains`` (by seed); ``why`` there is no gain or no interval.
        Values that are missing are NaN.
    """
    by_title = {row.title: row for row in rows}
    lines = {}
    for row in rows:
        runs = runs_of(row, records)
        scores = {seed: run["metrics"]["macro_f1"] for seed, run in runs.items()}
        micro = [run["metrics"]["micro_f1"] for run in runs.values()]
        gain, by_seed, why = None, {}, ""
        if row.before in by_title:
            gain, by_seed, why = paired_gain(row, by_title[row.before], records, rng, resamples)
        macro = list(scores.values()) or [math.nan]
        gain = gain or Interval(math.nan, math.nan, math.nan)
        lines[row.title] = {
            "part": row.part, "matches": _matches(runs), "seeds": len(runs), "expected": row.seeds,
            "mean": np.mean(macro), "low": min(macro), "high": max(macro), "micro": np.mean(micro or [math.nan]),
            "scores": scores, "paper": math.nan if row.paper is None else row.paper, "before": row.before,
            "gain": gain.estimate, "gain_low": gain.low, "gain_high": gain.high, "gains": by_seed, "why": why,
        }  # fmt: skip
    return pd.DataFrame.from_dict(lines, orient="index")


def _matches(runs: Mapping[int, dict]) -> str:
    names = {f"{'synthetic' if run['synthetic'] else 'real'} {run['split']}" for run in runs.values()}
    return " / ".join(sorted(names)) or MISSING


def class_f1(rows: Sequence[Row], records: Mapping[str, dict]) -> pd.DataFrame:
    """F1 per class, means over seeds; a row for each of ``rows``, NaN where there is no record."""
    lines = {}
    for row in rows:
        runs = [run["metrics"]["per_class"] for run in runs_of(row, records).values()]
        lines[row.title] = [np.mean([r[name]["f1"] for r in runs]) if runs else math.nan for name in EVENT_CLASSES]
    return pd.DataFrame.from_dict(lines, orient="index", columns=list(EVENT_CLASSES))


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The table of :func:`ablation_table` as text, for a notebook or a report."""
    lines = {}
    for title, row in table.iterrows():
        there = row["seeds"] > 0
        some = f"{row['seeds']} of {row['expected']}"
        lines[title] = {
            "matches": row["matches"],
            "seeds": some if there else MISSING,
            "Macro F1": f"{row['mean']:.3f}" if there else MISSING,
            "lowest to highest": f"{row['low']:.3f} to {row['high']:.3f}" if row["seeds"] > 1 else "",
            "Micro F1": f"{row['micro']:.3f}" if there else MISSING,
            "compared with": row["before"],
            "gain [95 %]": _gain_text(row) if row["before"] else "",
            "paper": "" if math.isnan(row["paper"]) else f"{row['paper']:.3f}",
        }
    return pd.DataFrame.from_dict(lines, orient="index")


def readable_retrainings(runs: pd.DataFrame) -> pd.DataFrame:
    """The table of :func:`retrainings` with each gain as one text, as in :func:`readable`."""
    texts = {}
    for title in dict.fromkeys(column[0] for column in runs.columns if isinstance(column, tuple)):
        values = zip(*(runs[title, kind] for kind in ("gain", "low", "high")), strict=True)
        texts[title] = [MISSING if math.isnan(gain) else f"{Interval(gain, *ends):+.3f}" for gain, *ends in values]
    return pd.DataFrame(texts, index=runs.index)


def _gain_text(row: pd.Series) -> str:
    if math.isnan(row["gain"]):
        return row["why"] or MISSING
    if math.isnan(row["gain_low"]):
        return f"{row['gain']:+.3f} ({row['why']})"
    return f"{Interval(row['gain'], row['gain_low'], row['gain_high']):+.3f}"


def verdict(row: pd.Series) -> str:
    """What a row of :func:`ablation_table` says of its gain, in words."""
    if math.isnan(row["gain"]):
        return row["why"] or MISSING
    if math.isnan(row["gain_low"]):
        return "no interval"
    if row["gain_low"] > 0:
        return "a gain: the interval lies above zero"
    return "a loss: the interval lies below zero" if row["gain_high"] < 0 else "open: the interval includes zero"


def retrainings_path(reports: Path) -> Path:
    """Where ``tests/benchmarks/retrainings.py`` keeps what earlier runs of the embedded study had found."""
    return reports / "metrics" / "retrainings.json"


def retrainings(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Scores and gains of every run of the whole study that is on record, the present one last.

    Parameters
    ----------
    study : Study
        Earlier runs are of the embedded profile, and shown with it only.
    table : DataFrame
        From :func:`ablation_table`, of the present run.

    Returns
    -------
    DataFrame
        One row a run, by what was changed since the one before: ``commit``, ``test minutes``, scores by the title of
        their row of the ablation, and gains by ``(title, "gain" | "low" | "high")``, NaN where there is none.

    Raises
    ------
    FootpassError
        As in ``files.read_object``.
    """
    path = retrainings_path(study.reports)
    earlier = read_object(path)["runs"] if study.profile.name == "embedded" and path.is_file() else []
    gains = {title: row[["gain", "gain_low", "gain_high"]].tolist() for title, row in table.iterrows()}
    minutes = study.profile.synthetic.test if study.profile.synthetic else math.nan
    now = {"what": "this run", "commit": "", "test_minutes": minutes, "macro_f1": table["mean"], "gain": gains}
    rows = {}
    for run in [*earlier, now]:
        row = {"commit": run["commit"], "test minutes": run["test_minutes"]}
        row |= {title: run["macro_f1"].get(title, math.nan) for title in table.index}
        for title in table.index[table["before"] != ""]:
            values = run["gain"].get(title, [math.nan] * 3)
            row |= {(title, kind): value for kind, value in zip(("gain", "low", "high"), values, strict=True)}
        rows[run["what"]] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def ablation_path(study: Study) -> Path:
    """``reports/ablation.md`` for the embedded profile; beside the records of another one."""
    return ablation_file(study.reports, study.profile.name)


def ablation_file(reports: Path, profile: str) -> Path:
    """:func:`ablation_path` of a folder of reports and a profile's name."""
    return (reports if profile == "embedded" else metrics_folder(reports, profile)) / "ablation.md"


_HEADINGS = {"context": "Before the chain", "chain": "The chain", "real": "Real matches (public files)"}


def write_ablation(path: Path | str, table: pd.DataFrame, f1: pd.DataFrame, profile: str) -> None:
    """Write the ablation as Markdown, atomically.

    Parameters
    ----------
    path : Path
    table, f1 : DataFrame
        From :func:`ablation_table` and :func:`class_f1`.
    profile : str

    Raises
    ------
    FootpassError
        If the file cannot be written.
    """
    text = readable(table)
    parts = [
        f"# Ablation, {profile} profile",
        "Written by notebook 11 from the records in `reports/metrics`. Macro F1, means over seeds. Gains are paired: "
        "over the seeds that both rows have, with the 95 % interval of a bootstrap over blocks of two minutes of play. "
        "The paper's column was measured on three real matches (games 18, 24, 47).",
    ]
    for part, heading in _HEADINGS.items():
        chosen = table["part"] == part
        if chosen.any():
            parts += [f"## {heading}", _markdown(text[chosen]), "F1 per class:", _markdown(_class_text(f1[chosen]))]
    write_text(path, "\n\n".join(parts) + "\n")


def _class_text(f1: pd.DataFrame) -> pd.DataFrame:
    return f1.map(lambda value: MISSING if math.isnan(value) else f"{value:.2f}")


def _markdown(table: pd.DataFrame) -> str:
    lines = [["", *table.columns], ["---"] * (1 + len(table.columns))]
    lines += [[title, *row] for title, row in zip(table.index, table.to_numpy().tolist(), strict=True)]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
