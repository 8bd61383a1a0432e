"""Chance: events that are right in number and otherwise drawn, the floor under every system."""

from __future__ import annotations

import numpy as np
import pandas as pd

from footpass_lib.events.playbyplay import Events, count_table, make_events
from footpass_lib.events.statistics import consecutive
from footpass_lib.schema import EVENT_CLASSES, FootpassError

_PLAYER = ["team", "jersey"]


def chance_events(truth: Events, training: Events, rng: np.random.Generator) -> Events:
    """In every half as many events as there really are, between its first and its last, of the players who act in it.

    Told are the number, the two ends and the names. The rest is drawn: classes by their shares in ``training`` (ground
    truth of other matches), times by the gaps between its consecutive events, stretched to the half, and players,
    each as likely as the other. All scores are 1. FootpassError if training has no two events in a half.
    """
    gaps = consecutive(training)["gap"].to_numpy()
    if not len(gaps):
        raise FootpassError("chance: no two events of training are in one half; expected ground truth of matches")
    shares = count_table(training) / len(training)
    parts = [_half(table, gaps, shares, rng) for _, table in truth.table.groupby("half", sort=False)]
    table = pd.concat(parts, ignore_index=True) if parts else truth.table
    columns = {name: table[name].to_list() for name in ("half", "frame", *_PLAYER, "class")}
    return make_events(truth.halves, columns | {"score": [1.0] * len(table)})


def _half(truth: pd.DataFrame, gaps: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    n, first, span = len(truth), truth["frame"].min(), np.ptp(truth["frame"])
    place = np.append(0.0, np.cumsum(rng.choice(gaps, n - 1)))  # ascending, from 0
    frame = first + np.rint(place * (span / max(place[-1], 1))).astype(np.int64)
    players = truth[_PLAYER].drop_duplicates().sort_values(_PLAYER)
    drawn = players.iloc[rng.integers(len(players), size=n)].reset_index(drop=True)
    class_id = 1 + rng.choice(len(EVENT_CLASSES), size=n, p=shares)
    return drawn.assign(half=truth["half"].iloc[0], frame=frame, **{"class": class_id})
