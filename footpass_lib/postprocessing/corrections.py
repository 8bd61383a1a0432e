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

from footpass_lib.events.nms import NMS_WINDOW, survivors
from footpass_lib.events.playbyplay import Events
from footpass_lib.postprocessing.evidence import Evidence
from footpass_lib.postprocessing.steps import Step, class_values, keep_rows, replace_column
from footpass_lib.schema import TOLERANCE, FootpassError

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


def nms_step(events: Events, window: int = NMS_WINDOW) -> Step:
    """:func:`nms` with the account of what it removed."""
    return keep_rows(events, survivors(events, window))
