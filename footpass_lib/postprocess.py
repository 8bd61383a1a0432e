"""From scores to events: decoding detector logits, and non-maximum suppression."""

from __future__ import annotations

import numpy as np

from footpass_lib.dense import TacticalHalf
from footpass_lib.playbyplay import Events, make_events
from footpass_lib.schema import BACKGROUND, N_CLASSES, N_ROLES, N_SLOTS, FootpassError

NMS_WINDOW = 25


def nms(events: Events, window: int = NMS_WINDOW) -> Events:
    """Keep the best of events of one half, team, jersey and class that are at most ``window`` frames apart.

    Greedy by falling score; of equal scores the earlier frame, then the earlier row goes first. What is left keeps its
    order, and another pass changes nothing.

    Raises
    ------
    FootpassError
        If an event has no score, or the window is negative.
    """
    table = events.table
    score = table["score"].to_numpy(float)
    if np.isnan(score).any():
        row = int(np.isnan(score).argmax())
        raise FootpassError(f"{table['half'][row]}, row {row}: has no score; expected predictions to suppress")
    group = table.groupby(["half", "team", "jersey", "class"], sort=False).ngroup().to_numpy()
    return events.with_table(table[suppress(group, table["frame"].to_numpy(), score, window)])


def suppress(group: np.ndarray, frame: np.ndarray, score: np.ndarray, window: int) -> np.ndarray:
    """Greedy suppression within groups.

    Parameters
    ----------
    group, frame, score : ndarray, shape (N,)
        Group ids and frames, whole numbers from 0 on, and scores.
    window : int
        Largest distance in frames at which an event falls to a better one of its group.

    Returns
    -------
    ndarray of bool, shape (N,)
        Which are kept.

    Raises
    ------
    FootpassError
        If the window is negative.
    """
    if window < 0:
        raise FootpassError(f"nms: window={window}, expected 0 or more frames")
    if not len(frame):
        return np.zeros(0, bool)
    # one axis for all groups, so far apart that no window reaches from one to the next
    place = np.asarray(group, np.int64) * (int(frame.max()) + window + 1) + frame
    in_place = np.argsort(place, kind="stable")
    place = place[in_place]
    low = np.searchsorted(place, place - window, side="left").tolist()
    high = np.searchsorted(place, place + window, side="right").tolist()
    alive, kept = np.ones(len(place), bool), np.zeros(len(place), bool)
    for i in np.lexsort((np.arange(len(place)), -score[in_place])).tolist():
        if alive[i]:
            alive[low[i] : high[i]] = False
            kept[i] = True
    result = np.zeros(len(place), bool)
    result[in_place] = kept
    return result


def decode_detections(
    logits: np.ndarray, half: TacticalHalf, window: int = NMS_WINDOW, threshold: float = 0.0
) -> Events:
    """Events from a detector's logits, as in section 4 of the FOOTPASS baseline.

    Softmax over the classes; wherever the most probable class is not background it is a candidate, with its
    probability as the score; non-maximum suppression per slot and class; the slot's holder in that frame is the actor.

    Parameters
    ----------
    logits : ndarray, shape (9, 26, T)
        Aligned with the half (``read_logits(path, half.half, half.frames)``).
    half : TacticalHalf
        Whose frames and jerseys they are. Slots that nobody ever holds give no event.
    window : int
        See :func:`nms`.
    threshold : float
        Lowest score of a candidate.

    Returns
    -------
    Events
        By frame, then slot, with absolute frames.

    Raises
    ------
    FootpassError
        If the shape is not the half's, a logit is NaN or infinite, or the window is negative.
    """
    expected = (N_CLASSES, N_SLOTS, half.n_frames)
    if logits.shape != expected:
        raise FootpassError(f"{half.half}: expected logits of shape {expected}, found {logits.shape}")
    best, score = _most_probable(logits)
    if np.isnan(score).any():
        slot, index = np.argwhere(np.isnan(score))[0]
        raise FootpassError(f"{half.half}: slot {slot}, frame {half.frames[index]}: a logit is NaN or infinite")
    index, slot = np.nonzero(((best != BACKGROUND) & (score >= threshold) & (half.jersey >= 0)).T)
    class_id, score = best[slot, index], score[slot, index]
    kept = suppress(slot * N_CLASSES + class_id, index, score, window)
    index, slot = index[kept], slot[kept]
    columns = {
        "half": [half.half] * len(index),
        "frame": index + half.first_frame,
        "team": slot // N_ROLES,
        "jersey": half.jersey[slot, index],
        "class": class_id[kept],
        "score": score[kept].astype(float),
    }
    return make_events([half.half], columns)


def _most_probable(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Most probable class and its probability, (26, T) each; the first of equal ones."""
    logits = logits.astype(np.float32)
    highest = logits.max(axis=0)
    with np.errstate(invalid="ignore"):
        score = 1 / np.exp(logits - highest).sum(axis=0)
    return logits.argmax(axis=0), score
