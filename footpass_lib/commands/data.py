"""``python -m footpass_lib public`` and ``synth``: get the public files, make synthetic matches."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from footpass_lib.environment import cores
from footpass_lib.events import public
from footpass_lib.schema import FPS, FootpassError


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the commands ``public`` and ``synth`` to a command line."""
    get = commands.add_parser("public")
    get.add_argument("--root", type=Path, default=public.DEFAULT_ROOT, help="where to (%(default)s)")
    get.set_defaults(run=run_public)

    synth = commands.add_parser("synth")
    synth.add_argument("--out", type=Path, required=True, help="folder of the data root")
    synth.add_argument("--profile", default="embedded", help="whose sizes: smoke or embedded (%(default)s)")
    synth.add_argument("--seed", type=int, help="seed of the matches (the study's own by default)")
    synth.add_argument("--workers", type=int, default=cores(), help="processes (%(default)s)")
    synth.set_defaults(run=run_synth)


def run_public(options: argparse.Namespace) -> None:
    """``public``: download what is missing."""
    files = public.download(options.root)
    print(f"{options.root}: {files.describe()}")


def run_synth(options: argparse.Namespace) -> None:
    """``synth``: make the matches, and say how fast."""
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
