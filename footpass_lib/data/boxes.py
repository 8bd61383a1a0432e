"""Boxes of players over time."""

from __future__ import annotations

import numpy as np

MAX_BOX_GAP = 50  # a box missing for fewer frames than this counts as present in the official "has box"


def fill_box_gaps(boxes: np.ndarray, max_gap: int = MAX_BOX_GAP, holder: np.ndarray | None = None) -> np.ndarray:
    """Fill short gaps in the boxes (S, T, 4) of each slot by linear interpolation in time; a new array.

    A gap (NaN) is filled when it has fewer than ``max_gap`` missing frames and a box on either side (the official rule
    is 50). ``holder`` (S, T) says who holds the slot: a gap that is not one player's, with both boxes, then stays open.
    """
    filled = boxes.copy()
    gap, before, after = short_gaps(~np.isnan(boxes).any(axis=2), max_gap, holder)
    slot, index = np.nonzero(gap)
    left, right = before[slot, index], after[slot, index]
    weight = ((index - left) / (right - left))[:, None]
    filled[slot, index] = (1 - weight) * boxes[slot, left] + weight * boxes[slot, right]
    return filled


def short_gaps(
    visible: np.ndarray, max_gap: int = MAX_BOX_GAP, holder: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the gaps that :func:`fill_box_gaps` fills in what is ``visible`` (S, T) of each slot.

    With the ``holder`` (S, T) of each slot, only frames whose holder is that of the boxes before and after.

    Returns
    -------
    gap : ndarray of bool, shape (S, T)
        Not visible, but inside a short gap between two visible frames.
    before, after : ndarray of int32, shape (S, T)
        The latest visible frame up to each frame (-1 for none) and the earliest from it on (T for none).
    """
    n_frames = visible.shape[1]
    time = np.arange(n_frames, dtype=np.int32)
    before = np.maximum.accumulate(np.where(visible, time, np.int32(-1)), axis=1)
    after = np.minimum.accumulate(np.where(visible, time, np.int32(n_frames))[:, ::-1], axis=1)[:, ::-1]
    closed = (before >= 0) & (after < n_frames)
    gap = ~visible & closed & (after - before - 1 < max_gap)
    if holder is not None:
        slot, index = np.nonzero(gap)
        gap[slot, index] = (holder[slot, before[slot, index]] == holder[slot, index]) & (
            holder[slot, after[slot, index]] == holder[slot, index]
        )
    return gap, before, after
