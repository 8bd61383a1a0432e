"""Extension 4, post-processing: gates, frames and jerseys corrected by a detector, suppression (merging: ``ensemble``).

Every step is pure and usable alone, and says what it did to each event (:class:`StepResult`). What a step does to an
event does not depend on the order of the rows. Thresholds and margins are given per class, by name; a class without one
is left alone. The evidence must be that of a detector that was run on every half with events.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

from footpass_lib.events.nms import NMS_WINDOW, survivors
from footpass_lib.events.playbyplay import Events
from footpass_lib.postprocessing.evidence import Evidence
from footpass_lib.postprocessing.steps import StepResult, class_values, keep_rows, replace_column
from footpass_lib.schema import TOLERANCE, FootpassError

Missing = Literal["drop", "keep"]


def strength(events: Events, evidence: Evidence | None, window: int = TOLERANCE) -> np.ndarray:
    """Evidence for each event, shape (N,): its peak within the window; without a detector, the event's own score."""
    if evidence is None:
        return events.table["score"].to_numpy(float)
    return evidence.peaks(events, window).value


# Extension 4: post-processing (gate)
def gate(
    events: Events,
    evidence: Evidence | None,
    thresholds: Mapping[str, float],
    window: int = TOLERANCE,
    missing: Missing = "drop",
) -> StepResult:
    """Keep an event when the evidence for its player and class near its frame reaches the class's threshold.

    Thresholds are in the unit of the evidence; without any, the event's own score is gated. ``window`` is in frames to
    either side. An event of a gated class whose player has no box has no evidence: in the paper it falls
    (``missing="drop"``), but that is one event in five, which no detector can see (``keep``).
    """
    value = strength(events, evidence, window)
    limit = class_values(thresholds, -math.inf)[events.table["class"]]
    return keep_rows(events, fill_missing(value, missing) >= limit)  # missing evidence passes where there is no gate


def fill_missing(value: np.ndarray, missing: Missing) -> np.ndarray:
    """Evidence with what is missing as the lowest value of all (``drop``) or the highest (``keep``)."""
    if missing not in ("drop", "keep"):
        raise FootpassError(f"missing must be drop or keep, found {missing!r}")
    return np.where(np.isnan(value), -math.inf if missing == "drop" else math.inf, value)


# Extension 4: post-processing (refine)
def refine_frames(
    events: Events, evidence: Evidence, thresholds: Mapping[str, float], window: int = TOLERANCE
) -> StepResult:
    """Move an event to the peak of the evidence for its player and class, where the peak reaches the threshold.

    Events of classes without a threshold, and those without evidence, stay. ``window`` is the farthest move in frames.
    """
    peaks = evidence.peaks(events, window)
    moved = peaks.value >= class_values(thresholds, math.inf)[events.table["class"]]  # false for NaN
    return replace_column(events, "frame", np.where(moved, peaks.frame, events.table["frame"]), "moved")


# Extension 4: post-processing (reassign)
def reassign_jerseys(
    events: Events,
    evidence: Evidence,
    margins: Mapping[str, float],
    window: int = TOLERANCE,
    absent: float | None = None,
) -> StepResult:
    """Give an event to the team-mate with the highest evidence, where it beats that for its player by the margin.

    Of equal team-mates the lowest jersey counts. Two events of one player may result: :func:`nms_step` afterwards.
    Margins are 0 or more; events of classes without one stay. ``absent`` stands for the evidence of a player for whom
    there is none (0 suits probabilities and detection files); by default their events stay with them.
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


# Extension 4: post-processing (nms)
def nms_step(events: Events, window: int = NMS_WINDOW) -> StepResult:
    """``nms`` with the account of what it removed."""
    return keep_rows(events, survivors(events, window))
