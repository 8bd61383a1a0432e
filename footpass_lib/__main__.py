"""Command line: ``python -m footpass_lib`` evaluate, public, synth, train, infer, postprocess, rescore or submit."""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from footpass_lib.commands.postprocess import add_parser as add_postprocess_parser
from footpass_lib.commands.rescore import add_parser as add_rescore_parser
from footpass_lib.commands.submit import add_parser as add_submit_parser
from footpass_lib.data.dataroot import SPLITS
from footpass_lib.environment import cores
from footpass_lib.events import bootstrap, metrics, public
from footpass_lib.events.playbyplay import read_events
from footpass_lib.files import write_json
from footpass_lib.schema import DETECTION_THRESHOLD, FPS, TOLERANCE, FootpassError

MODELS = ("taad", "gnn", "dst")
RUNGS = ("base", "fused", "weighted")  # as ablation.RUNGS, which would import torch
# Whole numbers that options of any command may have; generators of random numbers take no others, nor would memory.
_NUMBERS = {"seed": (0, 2**32 - 1), "resamples": (1, 10**6), "workers": (1, 1024), "tolerance": (0, 2**31 - 1)}


def _evaluate(options: argparse.Namespace) -> None:
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


def _public(options: argparse.Namespace) -> None:
    files = public.download(options.root)
    print(f"{options.root}: {files.describe()}")


def _synth(options: argparse.Namespace) -> None:
    # Imported here: torch takes seconds, which the other commands need not wait for.
    from footpass_lib.study.place import DATA_SEED
    from footpass_lib.study.profiles import get_profile
    from footpass_lib.synthetic.build import SPLITS, build

    sizes = get_profile(options.profile).synthetic
    if sizes is None:
        raise FootpassError(f"the profile {options.profile} uses the gated archive; it has no synthetic matches")
    started = time.monotonic()
    seed = DATA_SEED if options.seed is None else options.seed
    manifest = build(options.out, sizes, seed, options.workers)
    frames = round(sum(getattr(sizes, split) for split in SPLITS) * 60 * FPS)
    seconds = time.monotonic() - started
    matches = ", ".join(f"{split} {len(games)}" for split, games in manifest["matches"].items())
    print(f"{options.out}: synthetic matches: {matches}; {seconds:.0f} s, {frames / seconds:.0f} frames/s")


def _train(options: argparse.Namespace) -> None:
    from footpass_lib.commands.train import run_train

    run_train(options)


def _infer(options: argparse.Namespace) -> None:
    from footpass_lib.commands.train import run_infer

    run_infer(options)


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", choices=MODELS, required=True, help="which model")
    parser.add_argument("--rung", choices=RUNGS, default=RUNGS[0], help="which dst: with more of the extensions")
    parser.add_argument("--profile", default="embedded", help="smoke, embedded or full (%(default)s)")
    parser.add_argument("--data-root", type=Path, help="folder in the official layout (data/<profile> by default)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the training (%(default)s)")
    parser.add_argument("--weights", type=Path, help="file of Kinetics weights for the backbone (none by default)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m footpass_lib", description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")

    evaluate = commands.add_parser("evaluate", help="score a prediction file against ground truth")
    evaluate.add_argument("predictions", type=Path, help="play-by-play JSON with [frame, team, jersey, class, score]")
    evaluate.add_argument("truth", type=Path, help="play-by-play JSON with [frame, team, jersey, class, box, replay]")
    evaluate.add_argument("--per-half", action="store_true", help="a table for each half, too")
    evaluate.add_argument("--strict", action="store_true", help="refuse files that name different halves")
    evaluate.add_argument("--json", type=Path, metavar="OUT", help="write the scores as JSON")
    evaluate.add_argument("--threshold", type=float, default=DETECTION_THRESHOLD, help="smallest score (%(default)s)")
    evaluate.add_argument("--tolerance", type=int, default=TOLERANCE, help="frames (%(default)s)")
    evaluate.add_argument("--resamples", type=int, default=2000, help="bootstrap resamples (%(default)s)")
    evaluate.add_argument("--seed", type=int, default=0, help="seed of the bootstrap (%(default)s)")
    evaluate.set_defaults(run=_evaluate)

    get = commands.add_parser("public", help="download the public FOOTPASS files (pinned and checked)")
    get.add_argument("--root", type=Path, default=public.DEFAULT_ROOT, help="where to (%(default)s)")
    get.set_defaults(run=_public)

    synth = commands.add_parser("synth", help="make the synthetic matches of a profile")
    synth.add_argument("--out", type=Path, required=True, help="folder of the data root")
    synth.add_argument("--profile", default="embedded", help="whose sizes: smoke or embedded (%(default)s)")
    synth.add_argument("--seed", type=int, help="seed of the matches (the study's own by default)")
    synth.add_argument("--workers", type=int, default=cores(), help="processes (%(default)s)")
    synth.set_defaults(run=_synth)

    train = commands.add_parser("train", help="train a model, after those that it stands on; runs under torchrun too")
    _add_model_options(train)
    train.set_defaults(run=_train)

    infer = commands.add_parser("infer", help="logits and events of a split by a model, trained first if need be")
    _add_model_options(infer)
    infer.add_argument("--split", choices=SPLITS, default="val", help="which matches (%(default)s)")
    infer.add_argument("--out", type=Path, help="where to write the events (beside the logits by default)")
    infer.set_defaults(run=_infer)

    add_postprocess_parser(commands)
    add_rescore_parser(commands)
    add_submit_parser(commands)
    return parser


def _check_numbers(options: argparse.Namespace) -> None:
    for name, (low, high) in _NUMBERS.items():
        value = getattr(options, name, None)
        if value is not None and not low <= value <= high:
            raise FootpassError(f"--{name}: expected a whole number from {low} to {high}, found {str(value)[:20]}")


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
            _check_numbers(options)
            options.run(options)
    except FootpassError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output (head, less) has seen enough
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
