"""Candidates: the events of several systems, joined where they mean the same one, and what each turned out to be."""

from __future__ import annotations

import numpy as np
import pandas as pd

from footpass_lib.events.nms import nms
from footpass_lib.events.playbyplay import Events
from footpass_lib.events.timeline import sort_by_time
from footpass_lib.schema import TOLERANCE, FootpassError

KEY = ["half", "team", "jersey", "class"]
DST_LEAD = 1  # frames: the official sequence model is this much late on average


def join_systems(dst: Events, taad: Events, third: Events | None = None, window: int = TOLERANCE) -> pd.DataFrame:
    """Candidates of a sequence model (DST), a detector (TAAD) and maybe a third system; no order of rows matters.

    Events of one half, team, jersey and class that are at most ``window`` frames apart are one candidate; the closest
    pairs are joined first (then the better, then the earlier ones), DST's with TAAD's before the third's. Within one
    system, of several events of a player and class within the window only the best is a candidate at all, since no two
    could both be right.

    Columns are ``half, frame`` (DST's, one earlier, else TAAD's, else the third's), ``team, jersey, class``, and for
    each system, ``dst, taad`` (and ``third``), its score (NaN where it has no such event) and, as in ``dst_frame``,
    its frame (-1 likewise); sorted, index 0..n-1. FootpassError if the systems name different halves, or an event has
    no score.
    """
    systems = {"dst": dst, "taad": taad} | ({} if third is None else {"third": third})
    table = None
    for name, events in systems.items():
        if set(events.halves) != set(dst.halves):
            odd = sorted(set(dst.halves) ^ set(events.halves))[0]
            raise FootpassError(f"{odd}: not all systems have this half; expected predictions of each")
        table = _add_system(table, clean(events, window), name, window)
    has_dst = table["dst"].notna()
    table["frame"] = np.where(has_dst, np.maximum(table["frame"] - DST_LEAD, 0), table["frame"])
    return sort_by_time(table)


def _add_system(table: pd.DataFrame | None, made: pd.DataFrame, name: str, window: int) -> pd.DataFrame:
    """Candidates with one more system: each of its events goes to a candidate, or becomes one."""
    made = made.assign(**{name: made["score"], f"{name}_frame": made["frame"]})
    if table is None:
        return made.drop(columns="score")
    systems = [column for column in table if column not in (*KEY, "frame") and not column.endswith("_frame")]
    pairs = _closest_pairs(table.assign(score=table[systems].max(axis=1)), made, window)
    partner = np.full(len(table), -1)
    partner[pairs[:, 0]] = pairs[:, 1]
    alone = made.iloc[np.setdiff1d(np.arange(len(made)), pairs[:, 1])].drop(columns="score")
    joined = table.assign(**{name: made[name].reindex(partner).to_numpy()})  # NaN without a partner
    joined[f"{name}_frame"] = made[f"{name}_frame"].reindex(partner, fill_value=-1).to_numpy()
    alone = alone.assign(**dict.fromkeys(systems, np.nan), **{f"{column}_frame": -1 for column in systems})
    return pd.concat([joined, alone[list(joined)]], ignore_index=True)


def clean(events: Events, window: int) -> pd.DataFrame:
    """One system's events without duplicates, in a fixed order; FootpassError if one has no score."""
    columns = ["half", "frame", "team", "jersey", "class", "score"]
    return nms(events, window).table[columns].sort_values(columns, ignore_index=True)


def _closest_pairs(first: pd.DataFrame, second: pd.DataFrame, window: int) -> np.ndarray:
    """Rows of two tables that are each other's, shape (pairs, 2): one to one, the closest first."""
    left = first[[*KEY, "frame", "score"]].reset_index(names="i")
    right = second[[*KEY, "frame", "score"]].reset_index(names="j")
    pairs = left.merge(right, on=KEY, suffixes=("", "_other"))
    distance = (pairs["frame"] - pairs["frame_other"]).abs().to_numpy()
    pairs, distance = pairs[distance <= window], distance[distance <= window]
    score = -(pairs["score"] + pairs["score_other"]).to_numpy()
    order = np.lexsort((pairs["j"], pairs["i"], score, distance))
    used_left, used_right, chosen = set(), set(), []
    for i, j in pairs[["i", "j"]].to_numpy()[order].tolist():
        if i not in used_left and j not in used_right:
            used_left.add(i)
            used_right.add(j)
            chosen.append((i, j))
    return np.array(chosen, dtype=np.int64).reshape(-1, 2)


def match_truth(candidates: pd.DataFrame, truth: Events, tolerance: int = TOLERANCE) -> np.ndarray:
    """Row of ``truth.table`` that each candidate stands for, or -1; (N,). One to one, the closest pairs first.

    Where the evaluation lets the best score choose, a label has to do without scores.
    """
    pairs = _closest_pairs(candidates.assign(score=0.0), truth.table.assign(score=0.0), tolerance)
    row = np.full(len(candidates), -1, dtype=np.int64)
    row[pairs[:, 0]] = pairs[:, 1]
    return row
