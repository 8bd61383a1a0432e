"""Why events are missed: what a system predicted nearby instead."""

from __future__ import annotations

import numpy as np
import pandas as pd

from footpass_lib.events.metrics import Matching
from footpass_lib.events.playbyplay import UNKNOWN
from footpass_lib.schema import EVENT_CLASSES, TOLERANCE

NEAR = 50  # frames within which the right event at a wrong time still counts as "late or early"
REASONS = ("found", "no box", "wrong class", "wrong player", "wrong time", "nothing near")


def explain_misses(matching: Matching, tolerance: int = TOLERANCE, near: int = NEAR) -> pd.DataFrame:
    """Count events per class by what became of them.

    A missed event counts under the first reason that holds: its actor has no box; a false positive in time names the
    actor with another class; one in time names another player (of either team) with this class; one names the actor
    with this class, up to ``near`` frames away; or there is nothing of the kind. In time is up to ``tolerance`` frames
    away. The table has the rows drive..block and ``all``, and the columns ``REASONS``.
    """
    truth = matching.truth.reset_index(drop=True)
    wrong = matching.predictions[~matching.predictions["tp"]]
    key = ["half", "frame", "team", "jersey", "class"]
    missed = truth.loc[~truth["found"], key].reset_index(names="row")
    pairs = missed.merge(wrong[key], on="half", suffixes=("", "_made"))
    distance = (pairs["frame_made"] - pairs["frame"]).abs()
    same_player = pairs["team"].eq(pairs["team_made"]) & pairs["jersey"].eq(pairs["jersey_made"])
    same_player &= pairs["jersey"].ne(UNKNOWN)
    same_class = pairs["class"].eq(pairs["class_made"])
    in_time = distance <= tolerance
    holds = {
        "wrong class": in_time & same_player & ~same_class,
        "wrong player": in_time & same_class & ~same_player,
        "wrong time": (distance <= near) & same_class & same_player,
    }
    flags = [truth["found"], ~truth["box"].fillna(True).astype(bool)]
    flags += [truth.index.isin(pairs["row"][flag]) for flag in holds.values()]
    reason = np.select([np.asarray(flag, dtype=bool) for flag in flags], REASONS[:-1], REASONS[-1])
    names = pd.Categorical.from_codes(truth["class"] - 1, list(EVENT_CLASSES))
    table = pd.crosstab(names, reason, dropna=False).reindex(list(EVENT_CLASSES), columns=list(REASONS), fill_value=0)
    table.index.name = table.columns.name = None
    return pd.concat([table, table.sum().rename("all").to_frame().T])
