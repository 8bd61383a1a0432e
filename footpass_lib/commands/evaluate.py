"""``python -m footpass_lib evaluate``: score a prediction file against ground truth."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from footpass_lib.events import bootstrap, metrics
from footpass_lib.events.playbyplay import read_events
from footpass_lib.files import write_json
from footpass_lib.schema import DETECTION_THRESHOLD, TOLERANCE


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command ``evaluate`` to a command line."""
    parser = commands.add_parser("evaluate")
    add = parser.add_argument
    add("predictions", type=Path, help="play-by-play JSON with [frame, team, jersey, class, score]")
    add("truth", type=Path, help="play-by-play JSON with [frame, team, jersey, class, box, replay]")
    add("--per-half", action="store_true", help="a table for each half, too")
    add("--strict", action="store_true", help="refuse files that name different halves")
    add("--json", type=Path, metavar="OUT", help="write the scores as JSON")
    add("--threshold", type=float, default=DETECTION_THRESHOLD, help="smallest score (%(default)s)")
    add("--tolerance", type=int, default=TOLERANCE, help="frames (%(default)s)")
    add("--resamples", type=int, default=2000, help="bootstrap resamples (%(default)s)")
    add("--seed", type=int, default=0, help="seed of the bootstrap (%(default)s)")
    parser.set_defaults(run=run_evaluate)


def run_evaluate(options: argparse.Namespace) -> None:
    """``evaluate``: print the scores and, with ``--json``, write them."""
    predictions = read_events(options.predictions, "predictions")
    truth = read_events(options.truth, "truth")
    missing = "error" if options.strict else "miss"
    ranking = metrics.match_events(predictions, truth, threshold=0, tolerance=options.tolerance, missing=missing)
    matching = ranking.at(options.threshold)
    scores, ap = metrics.score(matching), metrics.average_precision(ranking)
    intervals = bootstrap.bootstrap(matching, np.random.default_rng(options.seed), resamples=options.resamples)
    halves = {half: metrics.score(part) for half, part in matching.per_half().items()} if options.per_half else {}
    if options.json:
        result = scores.as_dict() | {"ap": {k: None if np.isnan(v) else float(v) for k, v in ap.items()}}
        result["intervals"] = {k: [v.low, v.high] for k, v in intervals.items()}
        if halves:
            result["per_half"] = {half: part.as_dict() for half, part in halves.items()}
        write_json(options.json, result)
    print(_report(matching, scores, ap, intervals))
    for half, part in halves.items():
        print(f"\n{half}: Macro F1 {part.macro_f1:.4f}, Micro F1 {part.micro_f1:.4f}\n{_table(part.per_class)}")


def _table(per_class: pd.DataFrame) -> str:
    return per_class.to_string(float_format="{:.3f}".format)


def _report(
    matching: metrics.Matching, scores: metrics.Scores, ap: pd.Series, intervals: dict[str, bootstrap.Interval]
) -> str:
    total = scores.per_class[["tp", "fp", "fn"]].sum()
    lines = [
        f"{len(matching.halves)} halves, {len(matching.truth)} events, {len(matching.predictions)} predictions",
        _table(scores.per_class.assign(AP=ap)),
        f"all: TP {total['tp']}, FP {total['fp']}, FN {total['fn']}, "
        f"precision {scores.precision:.3f}, recall {scores.recall:.3f}, mAP {ap['mAP']:.3f}",
        f"Macro F1 {intervals['macro_f1']}   Micro F1 {intervals['micro_f1']}   (95 % block bootstrap)",
    ]
    if not matching.truth[["box", "replay"]].isna().any(axis=None):
        overall = metrics.recall_splits(matching).loc["all"]
        names = ("with box", "without box", "live", "replay")
        lines.append("recall " + ", ".join(f"{n} {overall[(n, 'recall')]:.3f}" for n in names))
    return "\n".join(lines)
