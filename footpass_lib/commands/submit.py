"""The challenge's prediction file: everything a server would stumble over, found before it is sent."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from footpass_lib.commands.steps import add_drop_option, naming
from footpass_lib.data.dataroot import SPLITS, DataRoot
from footpass_lib.data.half import TacticalHalf
from footpass_lib.events.playbyplay import UNKNOWN, Events, read_events, write_events
from footpass_lib.schema import DETECTION_THRESHOLD, EVENT_CLASSES, N_ROLES, FootpassError

_IDENTITY = ["half", "frame", "team", "jersey", "class"]


def complete(events: Events, halves: Sequence[str]) -> Events:
    """The same predictions in the order in which they are to be sent: by half, frame, team, jersey and class.

    Refused are other halves than these, events without a score, and two that are the same but for their scores.
    """
    missing = [half for half in halves if half not in events.halves]
    unknown = [half for half in events.halves if half not in halves]
    if missing or unknown:
        wrong = f"lacks {', '.join(missing)}" if missing else f"names {', '.join(unknown)}, which is not asked for"
        raise FootpassError(f"the file {wrong}; expected {', '.join(halves)}")
    table = events.table
    if table["score"].isna().any():
        row = table[table["score"].isna()].iloc[0]
        raise FootpassError(f"{row['half']}: the event in frame {row['frame']} has no score; expected predictions")
    twice = table.duplicated(_IDENTITY)
    if twice.any():
        row = table[twice].iloc[0]
        who = f"team {row['team']}, number {row['jersey']}, {EVENT_CLASSES[row['class'] - 1]}"
        raise FootpassError(f"{row['half']}: frame {row['frame']}, {who}: the event is there twice")
    place = table["half"].map({half: i for i, half in enumerate(halves)})
    order = table.assign(place=place).sort_values(["place", *_IDENTITY[1:]], kind="stable").index
    return Events(tuple(halves), table.loc[order].reset_index(drop=True))


def check_against(events: Events, halves: Iterable[TacticalHalf]) -> None:
    """Refuse events that lie outside their half, of nobody known, or whose team has nobody with that number in it."""
    for half in halves:
        own = events.table[events.table["half"] == half.half]
        outside = ~own["frame"].between(half.frames[0], half.frames[-1])
        if outside.any():
            frame = own["frame"][outside].iloc[0]
            span = f"{half.frames[0]} to {half.frames[-1]}"
            raise FootpassError(f"{half.half}: an event in frame {frame}; the half goes from {span}")
        if (own["jersey"] == UNKNOWN).any():
            frame = own["frame"][own["jersey"] == UNKNOWN].iloc[0]
            raise FootpassError(f"{half.half}: frame {frame}: the jersey is unknown (-1), and would match nothing")
        for team in (0, 1):
            numbers = np.unique(half.jersey[team * N_ROLES : (team + 1) * N_ROLES])
            wrong = own[(own["team"] == team) & ~own["jersey"].isin(numbers)]
            if len(wrong):
                row = wrong.iloc[0]
                there = ", ".join(str(number) for number in numbers if number >= 0)
                raise FootpassError(
                    f"{half.half}: frame {row['frame']}: team {team} has no number {row['jersey']}; it has {there}"
                )


def what_counts(events: Events, threshold: float = DETECTION_THRESHOLD) -> pd.DataFrame:
    """Predictions a half, and ``all``: drive..block and ``scored`` (their sum) from the threshold on, ``below`` it."""
    table, rows = events.table, {}
    for half in events.halves:
        own = table[table["half"] == half]
        counted = own["score"] >= threshold
        counts = np.bincount(own["class"][counted], minlength=len(EVENT_CLASSES) + 1)[1:]
        rows[half] = [*counts, counts.sum(), (~counted).sum()]
    result = pd.DataFrame.from_dict(rows, orient="index", columns=[*EVENT_CLASSES, "scored", "below"])
    return pd.concat([result, result.sum().rename("all").to_frame().T])


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command ``submit`` to a command line."""
    parser = commands.add_parser("submit")
    parser.add_argument("predictions", type=Path, help="play-by-play JSON with [frame, team, jersey, class, score]")
    parser.add_argument("--data-root", type=Path, required=True, help="folder in the official layout")
    add_drop_option(parser)
    parser.add_argument("--split", choices=SPLITS, default="challenge", help="which matches (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="where to write the file")
    parser.set_defaults(run=run_submit)


def run_submit(options: argparse.Namespace) -> None:
    """``submit``: check a prediction file against the tracking data, write it sorted, say what would be scored."""
    root = DataRoot(options.data_root, drop_unassigned=options.drop_unassigned)
    with naming(options.predictions):
        events = complete(read_events(options.predictions, "predictions"), root.halves(options.split))
        check_against(events, map(root.half, events.halves))
    write_events(options.out, events, "predictions")
    print(what_counts(events).to_string())
    print(f"{options.out}: {len(events)} events of {len(events.halves)} halves, ready to be sent")
