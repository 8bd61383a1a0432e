"""Non-maximum suppression: of several detections of one thing, the best stays."""

from __future__ import annotations

import numpy as np
import pandas as pd

from footpass_lib.events.near import near_spans, one_axis
from footpass_lib.events.playbyplay import Events
from footpass_lib.schema import FootpassError

NMS_WINDOW = 25


def nms(events: Events, window: int = NMS_WINDOW) -> Events:
    """Keep the best of events of one half, team, jersey and class that are at most ``window`` frames apart.

    Greedy by falling score; of equal scores the earlier frame, then the earlier row goes first. What is left keeps its
    order, and another pass changes nothing. FootpassError if an event has no score, or the window is negative.
    """
    return events.with_table(events.table[survivors(events, window)])


def survivors(events: Events, window: int = NMS_WINDOW) -> np.ndarray:
    """Which events :func:`nms` keeps, shape (N,); errors as there."""
    group, score = player_groups(events.table), events.table["score"].to_numpy(float)
    return suppress(group, events.table["frame"].to_numpy(), score, window)


def player_groups(table: pd.DataFrame) -> np.ndarray:
    """Number of each event's group of half, team, jersey and class, shape (N,); FootpassError if one has no score."""
    missing = table["score"].isna().to_numpy()
    if missing.any():
        row = int(missing.argmax())
        raise FootpassError(f"{table['half'].iloc[row]}, row {row}: has no score; expected predictions")
    return table.groupby(["half", "team", "jersey", "class"], sort=False).ngroup().to_numpy()


def suppress(group: np.ndarray, frame: np.ndarray, score: np.ndarray, window: int) -> np.ndarray:
    """Greedy suppression within groups: which of N events are kept, shape (N,).

    Group ids and frames are whole numbers from 0 on; ``window`` is the largest distance in frames at which an event
    falls to a better one of its group. FootpassError if it is negative.
    """
    if window < 0:
        raise FootpassError(f"nms: window={window}, expected 0 or more frames")
    if not len(frame):
        return np.zeros(0, bool)
    place = one_axis(group, frame, window)
    in_place = np.argsort(place, kind="stable")
    place = place[in_place]
    low, high = (rows.tolist() for rows in near_spans(place, place, window))
    alive, kept = np.ones(len(place), bool), np.zeros(len(place), bool)
    for i in np.lexsort((np.arange(len(place)), -score[in_place])).tolist():
        if alive[i]:
            alive[low[i] : high[i]] = False
            kept[i] = True
    result = np.zeros(len(place), bool)
    result[in_place] = kept
    return result
