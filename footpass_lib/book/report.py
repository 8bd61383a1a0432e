"""The ablation in words: as a table to read, as ``reports/ablation.md``, and beside earlier runs of the whole study."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from footpass_lib.book.ablation import MISSING
from footpass_lib.events.bootstrap import Interval
from footpass_lib.files import read_object, write_text
from footpass_lib.study.place import Study
from footpass_lib.study.results import metrics_folder

_HEADINGS = {
    "context": "Before the chain",
    "chain": "The chain",
    "variant": "Beside the chain",
    "real": "Real matches (public files)",
}
_ABOUT = (
    "Written by notebook 11 from the records in `reports/metrics`. Macro F1, means over seeds. Gains are paired: "
    "over the seeds that both rows have, with the 95 % interval of a bootstrap over blocks of two minutes of play. "
    "The paper's column was measured on three real matches (games 18, 24, 47)."
)


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """The table of ``ablation.ablation_table`` as text, for a notebook or a report."""
    lines = {}
    for title, row in table.iterrows():
        there = row["seeds"] > 0
        lines[title] = {
            "matches": row["matches"],
            "seeds": f"{row['seeds']} of {row['expected']}" if there else MISSING,
            "Macro F1": f"{row['mean']:.3f}" if there else MISSING,
            "lowest to highest": f"{row['low']:.3f} to {row['high']:.3f}" if row["seeds"] > 1 else "",
            "Micro F1": f"{row['micro']:.3f}" if there else MISSING,
            "compared with": row["before"],
            "gain [95 %]": _gain_text(row) if row["before"] else "",
            "paper": "" if math.isnan(row["paper"]) else f"{row['paper']:.3f}",
        }
    return pd.DataFrame.from_dict(lines, orient="index")


def _gain_text(row: pd.Series) -> str:
    if math.isnan(row["gain"]):
        return row["why"] or MISSING
    if math.isnan(row["gain_low"]):
        return f"{row['gain']:+.3f} ({row['why']})"
    return f"{Interval(row['gain'], row['gain_low'], row['gain_high']):+.3f}"


def verdict(row: pd.Series) -> str:
    """What a row of ``ablation.ablation_table`` says of its gain, in words."""
    if math.isnan(row["gain"]):
        return row["why"] or MISSING
    if math.isnan(row["gain_low"]):
        return "no interval"
    if row["gain_low"] > 0:
        return "a gain: the interval lies above zero"
    return "a loss: the interval lies below zero" if row["gain_high"] < 0 else "open: the interval includes zero"


def ablation_path(reports: Path, profile: str) -> Path:
    """``reports/ablation.md`` for the embedded profile; beside the records of another one."""
    return (reports if profile == "embedded" else metrics_folder(reports, profile)) / "ablation.md"


def write_ablation(path: Path | str, table: pd.DataFrame, f1: pd.DataFrame, profile: str) -> None:
    """Write the tables of ``ablation.ablation_table`` and ``ablation.class_f1`` as Markdown, atomically."""
    text, f1_text = readable(table), f1.map(lambda value: MISSING if math.isnan(value) else f"{value:.2f}")
    paragraphs = [f"# Ablation, {profile} profile", _ABOUT]
    for part, heading in _HEADINGS.items():
        chosen = table["part"] == part
        if chosen.any():
            paragraphs += [f"## {heading}", _markdown(text[chosen]), "F1 per class:", _markdown(f1_text[chosen])]
    write_text(path, "\n\n".join(paragraphs) + "\n")


def _markdown(table: pd.DataFrame) -> str:
    lines = [["", *table.columns], ["---"] * (1 + len(table.columns))]
    lines += [[title, *row] for title, row in zip(table.index, table.to_numpy().tolist(), strict=True)]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def retrainings_path(reports: Path) -> Path:
    """Where ``tests/benchmarks/retrainings.py`` keeps what earlier runs of the embedded study had found."""
    return reports / "metrics" / "retrainings.json"


def retrainings(study: Study, table: pd.DataFrame) -> pd.DataFrame:
    """Scores and gains of every run of the whole study that is on record, the present one (``table``) last.

    A row a run, by what was changed since the one before: ``commit``, ``test minutes``, scores by the title of their
    row of the ablation, and gains by ``(title, "gain" | "low" | "high")``, NaN where there is none. Earlier runs are of
    the embedded profile, and shown with it only.
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


def readable_retrainings(runs: pd.DataFrame) -> pd.DataFrame:
    """The table of :func:`retrainings` with each gain as one text, as in :func:`readable`."""
    texts = {}
    for title in dict.fromkeys(column[0] for column in runs.columns if isinstance(column, tuple)):
        values = zip(*(runs[title, kind] for kind in ("gain", "low", "high")), strict=True)
        texts[title] = [MISSING if math.isnan(gain) else f"{Interval(gain, *ends):+.3f}" for gain, *ends in values]
    return pd.DataFrame(texts, index=runs.index)
