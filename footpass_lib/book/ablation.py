"""The ablation as one table, from records alone: seeds, paired gains, the paper's column, and what is missing.

Two rows are compared over the seeds that both have, so that a row of one seed is held against that seed of the other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from footpass_lib.events.bootstrap import Interval, bootstrap_counts
from footpass_lib.schema import EVENT_CLASSES, FootpassError
from footpass_lib.study.paper import ABLATION

MISSING = "missing"
_UNKNOWN = Interval(math.nan, math.nan, math.nan)
_UNSEEDED = 0  # a record without a seed stands beside this seed of others


@dataclass(frozen=True)
class Row:
    """One row of the ablation: before the chain (``context``), in it, a ``variant`` of it, or on ``real`` matches."""

    title: str
    record: str  # <notebook>.<name> of its records, without a seed; of a variant the name may end in *
    part: Literal["context", "chain", "variant", "real"] = "chain"
    seeds: int = 1  # how many of them there should be
    before: str = ""  # title of the row that it is compared with
    paper: float | None = None  # Macro F1 in the reproduced paper


_BASE, _FUSED, _WEIGHTED, _POST, _ENSEMBLE = ABLATION
_TAAD, _OFFICIAL, _CORRECTED = "official TAAD file", "official TAAD+DST file", "official TAAD+DST, a frame earlier"
ROWS = (
    Row("TAAD alone", "03_taad.taad", "context", 3),
    Row("TAAD+GNN", "05_taad_gnn.taad-gnn", "context", 3),
    Row("TAAD+DST", "06_taad_dst.base", "chain", 3, "", ABLATION[_BASE]),
    Row(_FUSED, "07_gnn_fusion.fused", "chain", 3, "TAAD+DST", ABLATION[_FUSED]),
    Row(_WEIGHTED, "08_class_weighting.weighted", "chain", 3, _FUSED, ABLATION[_WEIGHTED]),
    Row(_POST, "09_postprocessing.postprocessed-validation", "chain", 1, _WEIGHTED, ABLATION[_POST]),
    Row("+ ensemble", "10_ensemble.ensemble-gated", "chain", 1, _POST, ABLATION[_ENSEMBLE]),
    Row("chance", "02_metric.chance", "real", 5),
    Row(_TAAD, "02_metric.official_taad", "real"),
    Row("official TAAD, threshold left out", "02_metric.official_taad_left_out", "real", 1, _TAAD),
    Row(_OFFICIAL, "02_metric.official_dst", "real"),
    Row(_CORRECTED, "02_metric.official_dst_corrected", "real", 1, _OFFICIAL),
    Row("official DST, threshold in-sample", "09_postprocessing.official-gated-in-sample", "real", 1, _CORRECTED),
    Row("official DST, threshold left out", "09_postprocessing.official-gated-left-out", "real", 1, _CORRECTED),
    Row("merged with TAAD, rule left out", "10_ensemble.official-merged", "real", 1, _CORRECTED),
    Row("re-scored, match left out", "13_rescoring.rescored", "real", 1, _CORRECTED),
)
_IMBALANCE = "real imbalance, no weights"
# Beside the chain: what else notebooks recorded. There is a row only where there are records.
VARIANTS = (
    Row("TAAD, threshold of its own", "03_taad.taad-threshold", "variant", 3, "TAAD alone"),
    Row("TAAD from scratch", "03_taad.taad-from-scratch", "variant", 1, "TAAD alone"),
    Row("TAAD+GNN, cells averaged", "05_taad_gnn.averaged", "variant", 1, "TAAD+GNN"),
    Row("TAAD+GNN, nodes with", "05_taad_gnn.nodes-*", "variant", 1, "TAAD+GNN"),
    Row("TAAD+DST from scratch", "06_taad_dst.from-scratch", "variant", 1, "TAAD+DST"),
    Row("from scratch, softmax over frames", "06_taad_dst.dense", "variant", 1, "TAAD+DST from scratch"),
    Row("from scratch, players attend", "06_taad_dst.spatial-first", "variant", 1, "TAAD+DST from scratch"),
    Row("second source:", "07_gnn_fusion.control-*", "variant", 3, "TAAD+DST"),
    Row(_IMBALANCE, "08_class_weighting.real-imbalance", "variant", 1, _FUSED),
    Row("real imbalance, weights", "08_class_weighting.real-imbalance-weighted", "variant", 1, _IMBALANCE),
    Row("ensemble, not gated", "10_ensemble.ensemble", "variant", 1, _WEIGHTED),
    Row("two models by agreement (PAVE)", "10_ensemble.agreement-two", "variant", 1, _WEIGHTED),
    Row("all seeds by agreement (PAVE)", "10_ensemble.agreement-seeds", "variant", 1, _WEIGHTED),
    Row("all models by agreement (PAVE)", "10_ensemble.agreement", "variant", 1, _WEIGHTED),
)


def variant_rows(records: Mapping[str, dict], variants: Sequence[Row] = VARIANTS) -> tuple[Row, ...]:
    """The variants that have records; one whose name ends in ``*`` becomes a row for each name that there is."""
    names = dict.fromkeys(re.sub(r"\.seed\d+$", "", key) for key in sorted(records))
    rows = []
    for row in variants:
        stem = row.record.removesuffix("*")
        if stem == row.record:
            rows += [row] if row.record in names else []
            continue
        for name in names:
            if name.startswith(stem):
                ending = name.removeprefix(stem).replace("-", " ")
                rows.append(replace(row, title=f"{row.title} {ending}", record=name))
    return tuple(rows)


def luck_of_seeds(
    rows: Sequence[Row], records: Mapping[str, dict], rng: np.random.Generator, resamples: int = 2000
) -> pd.DataFrame:
    """How wide the paired interval is between two seeds of one system, which differ by luck alone.

    A line for each of ``rows`` with two seeds or more, whose first two are compared: ``blocks`` of test play, the
    ``difference`` in Macro F1 without its sign, and the ``half-width`` of its 95 % interval: what a difference of two
    runs must have, about, to be seen on this much play.
    """
    lines = {}
    for row in rows:
        runs = list(runs_of(row, records).values())[:2]
        blocks = _blocks(runs) if len(runs) == 2 else None
        if blocks is None:
            continue
        try:
            gain = bootstrap_counts(blocks[:1], rng, minus=blocks[1:], resamples=resamples)["macro_f1"]
        except FootpassError:  # not the same events
            continue
        lines[row.title] = [blocks.shape[1], abs(gain.estimate), (gain.high - gain.low) / 2]
    return pd.DataFrame.from_dict(lines, orient="index", columns=["blocks", "difference", "half-width"])


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

    The mean with the 95 % interval of the paired block bootstrap (NaN if records keep no blocks; None if there is
    nothing to compare), the gain of every such seed, and what is missing, or nothing.
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

    By title: ``part``; ``matches`` (``synthetic test``); ``seeds`` (found) and ``expected``; ``mean, low, high`` (Macro
    F1 over seeds) and ``micro``; ``scores`` (Macro F1 by seed); ``paper``; ``before``; ``gain, gain_low, gain_high``
    over the row ``before``; ``gains`` (by seed); ``why`` there is no gain or no interval. Missing values are NaN.
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
        gain = gain or _UNKNOWN
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
