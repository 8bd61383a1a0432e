"""Steps from events to events: suppression, gates, frames and jerseys corrected by a detector; decoding of logits.

Every step is pure and usable alone, and says what it did to each event (:class:`Step`). What a step does to an event
does not depend on the order of the rows. Thresholds and margins are given per class, by name; a class without one is
left alone. This is the fourth extension of the reproduced paper, except for the ensemble (``ensemble.py``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from footpass_lib.data.half import TacticalHalf
from footpass_lib.events.playbyplay import Events, make_events
from footpass_lib.postprocessing.evidence import Evidence
from footpass_lib.postprocessing.steps import Step, class_values, keep_rows, replace_column
from footpass_lib.schema import BACKGROUND, N_CLASSES, N_ROLES, N_SLOTS, TOLERANCE, FootpassError

NMS_WINDOW = 25
Missing = Literal["drop", "keep"]


def strength(events: Events, evidence: Evidence | None, window: int = TOLERANCE) -> np.ndarray:
    """Evidence for each event, shape (N,): its peak within the window; without a detector, the event's own score."""
    if evidence is None:
        return events.table["score"].to_numpy(float)
    return evidence.peaks(events, window).value


def gate(
    events: Events,
    evidence: Evidence | None,
    thresholds: Mapping[str, float],
    window: int = TOLERANCE,
    missing: Missing = "drop",
) -> Step:
    """Keep an event when the evidence for its player and class near its frame reaches the class's threshold.

    Parameters
    ----------
    events : Events
    evidence : Evidence or None
        None gates by the event's own score.
    thresholds : mapping of class name to value
        In the unit of the evidence. Classes without a threshold pass.
    window : int
        Frames to either side of an event in which evidence counts.
    missing : {"drop", "keep"}
        What becomes of an event of a gated class without any evidence, because its player has no box. The paper asks
        that the logit passes, so such an event falls; but one event in five has no box, and no detector can see it.

    Raises
    ------
    FootpassError
        As in ``Evidence.peaks`` and :func:`class_values`, or if ``missing`` is something else.
    """
    value = strength(events, evidence, window)
    limit = class_values(thresholds, -math.inf)[events.table["class"]]
    return keep_rows(events, fill_missing(value, missing) >= limit)  # missing evidence passes where there is no gate


def fill_missing(value: np.ndarray, missing: Missing) -> np.ndarray:
    """Evidence with what is missing as the lowest value of all (``drop``) or the highest (``keep``)."""
    if missing not in ("drop", "keep"):
        raise FootpassError(f"missing must be drop or keep, found {missing!r}")
    return np.where(np.isnan(value), -math.inf if missing == "drop" else math.inf, value)


def refine_frames(events: Events, evidence: Evidence, thresholds: Mapping[str, float], window: int = TOLERANCE) -> Step:
    """Move an event to the peak of the evidence for its player and class, where the peak reaches the threshold.

    Parameters
    ----------
    thresholds : mapping of class name to value
        Lowest peak worth following. Events of other classes, and those without evidence, stay.
    window : int
        Farthest move in frames.

    Raises
    ------
    FootpassError
        As in ``Evidence.peaks`` and :func:`class_values`.
    """
    peaks = evidence.peaks(events, window)
    moved = peaks.value >= class_values(thresholds, math.inf)[events.table["class"]]  # false for NaN
    return replace_column(events, "frame", np.where(moved, peaks.frame, events.table["frame"]), "moved")


def reassign_jerseys(
    events: Events,
    evidence: Evidence,
    margins: Mapping[str, float],
    window: int = TOLERANCE,
    absent: float | None = None,
) -> Step:
    """Give an event to the team-mate with the highest evidence, where it beats that for its player by the margin.

    Of equal team-mates the lowest jersey counts. The event keeps its frame and score. Two events of one player may
    result: :func:`nms` afterwards.

    Parameters
    ----------
    margins : mapping of class name to value
        How far the team-mate must be ahead. Events of other classes stay.
    absent : float, optional
        Evidence for a player for whom there is none (0 suits probabilities and detection files). By default his events
        stay with him, for one cannot be ahead of the unknown.

    Raises
    ------
    FootpassError
        As in ``Evidence.peaks`` and :func:`class_values`, or if a margin is negative or ``absent`` is not finite.
    """
    margin = class_values(margins, math.inf)[events.table["class"]]
    if min(margins.values(), default=0) < 0 or (absent is not None and not math.isfinite(absent)):
        raise FootpassError(
            f"reassign_jerseys: margins={dict(margins)}, absent={absent}; expected margins >= 0 and a finite value"
        )
    own = evidence.peaks(events, window).value
    if absent is not None:
        own = np.where(np.isnan(own), absent, own)
    mates = evidence.team_peaks(events, window)
    jersey = events.table["jersey"].to_numpy()
    if not mates.value.size:
        return replace_column(events, "jersey", jersey, "re-assigned")
    value = np.where(np.isnan(mates.value), -math.inf, mates.value)  # (N, M)
    best = value.argmax(axis=1)
    highest, heir = value[np.arange(len(value)), best], mates.jersey[np.arange(len(value)), best]
    ahead = (highest > own) & (highest >= own + margin)
    return replace_column(events, "jersey", np.where(ahead, heir, jersey), "re-assigned")


def nms(events: Events, window: int = NMS_WINDOW) -> Events:
    """Keep the best of events of one half, team, jersey and class that are at most ``window`` frames apart.

    Greedy by falling score; of equal scores the earlier frame, then the earlier row goes first. What is left keeps its
    order, and another pass changes nothing.

    Raises
    ------
    FootpassError
        If an event has no score, or the window is negative.
    """
    return nms_step(events, window).events


def nms_step(events: Events, window: int = NMS_WINDOW) -> Step:
    """:func:`nms` with the account of what it removed."""
    group, score = player_groups(events.table), events.table["score"].to_numpy(float)
    return keep_rows(events, suppress(group, events.table["frame"].to_numpy(), score, window))


def player_groups(table: pd.DataFrame) -> np.ndarray:
    """Number of each event's group of half, team, jersey and class, shape (N,).

    Raises
    ------
    FootpassError
        If an event has no score.
    """
    missing = table["score"].isna().to_numpy()
    if missing.any():
        row = int(missing.argmax())
        raise FootpassError(f"{table['half'].iloc[row]}, row {row}: has no score; expected predictions")
    return table.groupby(["half", "team", "jersey", "class"], sort=False).ngroup().to_numpy()


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
    return slot_events(half, index, slot, class_id[kept], score[kept])


def slot_events(
    half: TacticalHalf, index: np.ndarray, slot: np.ndarray, class_id: np.ndarray, score: np.ndarray
) -> Events:
    """Events (E,) of a half, of those who hold the slots in these frames (counted from the half's first)."""
    columns = {
        "half": [half.half] * len(index),
        "frame": index + half.first_frame,
        "team": slot // N_ROLES,
        "jersey": half.jersey[slot, index],
        "class": class_id,
        "score": score.astype(float),
    }
    return make_events([half.half], columns)


def _most_probable(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Most probable class and its probability, (26, T) each; the first of equal ones."""
    logits = logits.astype(np.float32)
    highest = logits.max(axis=0)
    with np.errstate(invalid="ignore"):
        score = 1 / np.exp(logits - highest).sum(axis=0)
    return logits.argmax(axis=0), score
