"""All commands by name: which file each is in, and what it is for.

The file of a command is imported when the command is named, so that a list of them comes at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from importlib import import_module

COMMANDS = {
    "evaluate": ("evaluate", "score a prediction file against ground truth"),
    "public": ("data", "download the public FOOTPASS files (pinned and checked)"),
    "synth": ("data", "make the synthetic matches of a profile"),
    "unpack": ("unpack", "unpack the official archives, encrypted ones too"),
    "video": ("video", "make a video of 25 frames a second and the study's size from another"),
    "train": ("train", "train a model, after those that it stands on; runs under torchrun too"),
    "infer": ("train", "logits and events of a split by a model, trained first if need be"),
    "pretrain": ("pretrain", "make the weights that small profiles start from (takes hours)"),
    "fit-gate": ("fit_gate", "fit thresholds on matches with ground truth, for postprocess to use on others"),
    "postprocess": ("postprocess", "gate, refine, re-assign, suppress and merge predictions"),
    "rescore": ("rescore", "learned re-scoring of the official DST and TAAD predictions"),
    "submit": ("submit", "check predictions and write the challenge's file"),
}


def add_parsers(commands: argparse._SubParsersAction, named: Collection[str]) -> None:
    """Add all commands to a command line; those that are ``named`` can be run, the others are listed only."""
    files = {COMMANDS[name][0] for name in named}
    for name, (file, line) in COMMANDS.items():
        if file not in files:
            commands.add_parser(name, help=line)
        elif name not in commands.choices:  # of two commands in one file the second comes with the first
            import_module(f"footpass_lib.commands.{file}").add_parser(commands)
