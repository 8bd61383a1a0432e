"""``python -m footpass_lib train`` and ``infer``: train models and run them over a data root."""

from __future__ import annotations

import argparse
from pathlib import Path

from footpass_lib.commands.steps import add_drop_option
from footpass_lib.data.dataroot import SPLITS

MODELS = ("taad", "gnn", "dst")
RUNGS = ("base", "fused", "weighted")  # as study.rungs.RUNGS, which would import torch


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the commands ``train`` and ``infer`` to a command line."""
    train = commands.add_parser("train")
    _add_model_options(train)
    train.set_defaults(run=run_train)

    infer = commands.add_parser("infer")
    _add_model_options(infer)
    infer.add_argument("--split", choices=SPLITS, default="val", help="which matches (%(default)s)")
    infer.add_argument("--checkpoint", type=Path, metavar="FILE", help="run this detector, which the official code "
                       "trained, in place of the study's (--model taad; at the full profile's size)")  # fmt: skip
    infer.add_argument("--out", type=Path, help="where to write the events (beside the logits by default)")
    infer.set_defaults(run=run_infer)


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", choices=MODELS, required=True, help="which model")
    parser.add_argument("--rung", choices=RUNGS, default=RUNGS[0], help="which dst: with more of the extensions")
    parser.add_argument("--profile", default="embedded", help="smoke, embedded or full (%(default)s)")
    parser.add_argument("--data-root", type=Path, help="folder in the official layout (data/<profile> by default)")
    add_drop_option(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of the training (%(default)s)")
    parser.add_argument("--weights", type=Path, help="file of Kinetics weights for the backbone (none by default)")
    parser.add_argument("--from-scratch", action="store_true", help="without the weights that come with the study")


# Both import torch, which takes seconds that the other commands need not wait for.


def run_train(options: argparse.Namespace) -> None:
    """``train``: print the history of a model's training and where it is kept."""
    from footpass_lib.commands.model_run import train

    train(options)


def run_infer(options: argparse.Namespace) -> None:
    """``infer``: write the logits of a split, and its events in the official JSON."""
    from footpass_lib.commands.model_run import infer

    infer(options)
