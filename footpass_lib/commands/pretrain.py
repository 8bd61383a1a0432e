"""``python -m footpass_lib pretrain``: make the weights that come with the study anew."""

from __future__ import annotations

import argparse
from pathlib import Path

from footpass_lib.schema import FootpassError


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command ``pretrain`` to a command line."""
    command = commands.add_parser("pretrain")
    command.add_argument("--profile", default="embedded", help="whose networks: smoke or embedded (%(default)s)")
    command.add_argument("--work", type=Path, default=Path("data/pretraining"), help="kept stages (%(default)s)")
    command.add_argument("--out", type=Path, required=True, help="folder of the weights and their card")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Make what is missing, stage by stage, and write weights and card."""
    # Imported here: torch takes seconds, which the other commands need not wait for.
    from footpass_lib.study.pretrain import Pretraining
    from footpass_lib.study.profiles import PRETRAIN, get_profile

    profile = get_profile(options.profile)
    if options.profile not in PRETRAIN:
        names = ", ".join(PRETRAIN)
        raise FootpassError(f"profile {options.profile} has no weights of the study's own; expected one of {names}")
    for line in Pretraining(options.work.resolve(), profile, PRETRAIN[options.profile]).publish(options.out):
        print(line, flush=True)
