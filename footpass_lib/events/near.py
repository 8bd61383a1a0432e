"""What is near in time: the one search for neighbours within a window, over places in ascending order."""

from __future__ import annotations

import numpy as np


def one_axis(group: np.ndarray, frame: np.ndarray, window: int) -> np.ndarray:
    """Frames (N,) of all groups on one axis, so far apart that no window reaches from one group to the next."""
    return np.asarray(group, np.int64) * (int(frame.max(initial=0)) + window + 1) + frame


def near_spans(places: np.ndarray, asked: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of the ascending ``places`` lie within ``window`` of each asked one, inclusive: first row and end, (Q,)."""
    low = np.searchsorted(places, asked - window, side="left")
    return low, np.searchsorted(places, asked + window, side="right")


def ranges(first: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Runs of rows written out: for run ``i`` the rows ``first[i], first[i] + 1, ...``; arrays of owners and rows."""
    owner = np.repeat(np.arange(len(first)), counts)
    return owner, np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[owner]


def near_rows(places: np.ndarray, asked: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Every near place of every asked one: number of the question and row of the place, by question, then place."""
    low, end = near_spans(places, asked, window)
    return ranges(low, end - low)
