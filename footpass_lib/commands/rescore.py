"""``python -m footpass_lib rescore``: re-score official predictions of some matches with models of others."""

from __future__ import annotations

import argparse
from pathlib import Path

from footpass_lib.commands.places import keep_sources
from footpass_lib.environment import cores
from footpass_lib.events import public
from footpass_lib.events.playbyplay import Events, read_events, write_events
from footpass_lib.schema import FootpassError


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command ``rescore`` to a command line."""
    parser = commands.add_parser("rescore")
    parser.add_argument("--public-root", type=Path, help="folder of the public files (the usual places by default)")
    parser.add_argument("--train", required=True, metavar="GAMES", help="matches to fit on, for example 18,24")
    parser.add_argument("--apply", required=True, metavar="GAMES", help="other matches, to re-score")
    parser.add_argument("--third", type=Path, help="predictions of a third system, fitted on no label of --apply")
    parser.add_argument("--out", "--json", type=Path, required=True, help="where to write the predictions")
    parser.add_argument("--profile", default="embedded", help="size: smoke, embedded or full (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    parser.set_defaults(run=run_rescore)


def run_rescore(options: argparse.Namespace) -> None:
    """Fit on the labels of ``--train``, write the re-scored predictions of ``--apply``; their labels are not read."""
    from footpass_lib.rescoring.settings import rescoring_settings  # scikit-learn takes a second to import
    from footpass_lib.rescoring.study import fit_members, rescore

    fit, apply = (parse_games(getattr(options, name), f"--{name}") for name in ("train", "apply"))
    both = sorted(set(fit) & set(apply))
    if both:
        raise FootpassError(f"match {both[0]} is in --train and in --apply; expected different matches")
    settings, files = rescoring_settings(options.profile), public.find(options.public_root)
    keep_sources(options.out, [files.root])
    systems = [files.dst, files.taad]
    for events, what in zip(systems, ("DST predictions", "TAAD predictions"), strict=True):
        _check_games(events, fit + apply, what, files.root)
    third = read_events(options.third, "predictions") if options.third else None
    if third is not None:
        _check_games(third, fit + apply, "predictions of the third system", options.third)
        systems.append(third)
    _check_games(files.val_truth, fit, "labels", files.root)
    labels, workers = files.val_truth.select_games(fit), cores()
    members = fit_members(files.dst, files.taad, labels, files.train_truth, settings, options.seed, workers, third)
    result = rescore(members, *(events.select_games(apply) for events in systems))
    write_events(options.out, result.events, "predictions")
    names = ", ".join(map(str, apply))
    print(f"{options.out}: {len(result.events)} of {len(result.candidates)} candidates kept, matches {names}")


def parse_games(text: str, option: str) -> list[int]:
    """Numbers of matches from ``18,24``, each named once."""
    names = [name.strip() for name in text.split(",")]
    if not all(name.isascii() and name.isdigit() for name in names):
        raise FootpassError(f"{option}: {text!r} is no list of matches; expected numbers like 18,24")
    games = [int(name) for name in names]
    if len(set(games)) < len(games):
        raise FootpassError(f"{option}: {text!r} names a match twice")
    return games


def _check_games(events: Events, games: list[int], what: str, root: Path) -> None:
    absent = [game for game in games if game not in events.games]
    if absent:
        raise FootpassError(
            f"{root}: no {what} of match {absent[0]}; there are those of {', '.join(map(str, events.games))}"
        )
