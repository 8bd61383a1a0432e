"""Candidates: the events of two systems, joined where they mean the same one, and what each turned out to be."""

from __future__ import annotations

import numpy as np
import pandas as pd

from footpass_lib.events.nms import nms
from footpass_lib.events.playbyplay import Events
from footpass_lib.schema import TOLERANCE, FootpassError, parse_half

KEY = ["half", "team", "jersey", "class"]
COLUMNS = ("half", "frame", "team", "jersey", "class", "dst", "taad", "dst_frame", "taad_frame")
DST_LEAD = 1  # frames: the official sequence model is this much late on average


def join_systems(dst: Events, taad: Events, window: int = TOLERANCE) -> pd.DataFrame:
    """Candidates of a sequence model (DST) and a detector (TAAD), sorted, so that no order of rows matters.

    Events of one half, team, jersey and class that are at most ``window`` frames apart are one candidate; the closest
    pairs are joined first (then the better, then the earlier ones). Within one system, of several events of a player
    and class within the window only the best is a candidate at all, since no two could both be right.

    Columns are ``half, frame`` (DST's, one earlier, else TAAD's), ``team, jersey, class``, the scores ``dst`` and
    ``taad`` (NaN where a system has no such event), ``dst_frame`` and ``taad_frame`` (-1 likewise); index 0..n-1.
    FootpassError if the systems name different halves, or an event has no score.
    """
    if set(dst.halves) != set(taad.halves):
        odd = sorted(set(dst.halves) ^ set(taad.halves))[0]
        raise FootpassError(f"{odd}: only one of the two systems has this half; expected predictions of both")
    ours, theirs = (clean(events, window) for events in (dst, taad))
    pairs = _closest_pairs(ours, theirs, window)
    partner = np.full(len(ours), -1)
    partner[pairs[:, 0]] = pairs[:, 1]
    alone = np.setdiff1d(np.arange(len(theirs)), pairs[:, 1])
    joined = ours.rename(columns={"score": "dst"}).assign(dst_frame=ours["frame"])
    joined["frame"] = np.maximum(joined["frame"] - DST_LEAD, 0)
    joined["taad"] = theirs["score"].reindex(partner).to_numpy()  # NaN without a partner
    joined["taad_frame"] = theirs["frame"].reindex(partner, fill_value=-1).to_numpy()
    rest = theirs.iloc[alone].rename(columns={"score": "taad"})
    rest = rest.assign(dst=np.nan, dst_frame=-1, taad_frame=rest["frame"])
    table = pd.concat([joined[list(COLUMNS)], rest[list(COLUMNS)]], ignore_index=True)
    return sort_candidates(table.astype({"dst_frame": "int64", "taad_frame": "int64"}))


def sort_candidates(table: pd.DataFrame) -> pd.DataFrame:
    """Sort by game, half, frame, team, jersey and class, so that every later step sees one order."""
    names = table["half"].unique()
    place = table["half"].map({half: number for number, half in enumerate(sorted(names, key=parse_half))})
    columns = [table[name].to_numpy() for name in ("class", "jersey", "team", "frame")]
    return table.iloc[np.lexsort((*columns, place.to_numpy()))].reset_index(drop=True)


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
