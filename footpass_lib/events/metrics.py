"""The evaluation protocol of FOOTPASS: matching, precision, recall, F1, average precision, intervals.

A prediction is right when it names the team, the jersey and the class of an event within a few frames of it. Everything
here is counted from one matching, a table of predictions and a table of ground-truth events that know of each other.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from footpass_lib.events.near import near_spans, one_axis
from footpass_lib.events.playbyplay import UNKNOWN, Events
from footpass_lib.schema import DETECTION_THRESHOLD, EVENT_CLASSES, TOLERANCE, FootpassError

N_EVENT_CLASSES = len(EVENT_CLASSES)
THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(1, 20))  # that a system of our own is tried with


@dataclass(frozen=True)
class Matching:
    """Predictions and ground truth of the evaluated halves, matched.

    The predictions (``half, frame, team, jersey, class, score``) have ``tp`` (bool), ``truth_row`` (index into
    ``truth``, -1 for a false positive) and ``offset`` (prediction minus truth, frames; 0 for a false positive). The
    ground-truth events have ``found`` (bool).
    """

    predictions: pd.DataFrame
    truth: pd.DataFrame
    halves: tuple[str, ...]

    def per_half(self) -> dict[str, Matching]:
        """The same matching, half by half."""
        return {half: self._only(half) for half in self.halves}

    def at(self, threshold: float) -> Matching:
        """The matching of the predictions that reach a threshold.

        Matching goes by falling score, so a higher threshold changes nothing for the predictions that remain.
        """
        predictions = self.predictions[self.predictions["score"] >= threshold].reset_index(drop=True)
        found = np.zeros(len(self.truth), dtype=bool)
        found[predictions["truth_row"][predictions["tp"]]] = True
        return Matching(predictions, self.truth.assign(found=found), self.halves)

    def _only(self, half: str) -> Matching:
        predictions = self.predictions[self.predictions["half"] == half]
        return Matching(predictions, self.truth[self.truth["half"] == half], (half,))


def match_events(
    predictions: Events,
    truth: Events,
    *,
    threshold: float = DETECTION_THRESHOLD,
    tolerance: int = TOLERANCE,
    missing: Literal["miss", "error", "skip"] = "miss",
) -> Matching:
    """Match predictions to events as the FOOTPASS evaluation does.

    Per half, predictions with a score below ``threshold`` are dropped and the rest are grouped by team, jersey and
    class. By falling score (ties in the order of the file) each takes the closest event of its group that is still
    free and at most ``tolerance`` frames away (of two as close, the one earlier in the file), or counts as a false
    positive. A jersey of -1 is unknown, and matches no other.

    Parameters
    ----------
    threshold : float
        Smallest score that is evaluated.
    tolerance : int
        Frames, inclusive.
    missing : {"miss", "error", "skip"}
        What to do with ground-truth halves that the predictions do not name: count their events as misses (with a
        warning), refuse (FootpassError), or leave them out. Leaving them out is what the official evaluator does,
        although it prints that they count; it is here only to show the difference. Predicted halves without ground
        truth are ignored (with a warning) or refused.
    """
    halves = _evaluated_halves(predictions, truth, missing)
    events = truth.table[truth.table["half"].isin(halves)].reset_index(drop=True)
    table = predictions.table
    # Written so that a NaN score is dropped.
    table = table[table["half"].isin(halves) & (table["score"] >= threshold)].reset_index(drop=True)
    truth_row = _match_rows(table, events, tolerance)
    tp = truth_row >= 0
    found = np.zeros(len(events), dtype=bool)
    found[truth_row[tp]] = True
    offset = np.zeros(len(table), dtype=np.int64)
    offset[tp] = table["frame"].to_numpy()[tp] - events["frame"].to_numpy()[truth_row[tp]]
    columns = ["half", "frame", "team", "jersey", "class", "score"]
    matched = table[columns].assign(tp=tp, truth_row=truth_row, offset=offset)
    return Matching(matched, events.assign(found=found), halves)


def _evaluated_halves(predictions: Events, truth: Events, missing: str) -> tuple[str, ...]:
    if missing not in ("miss", "error", "skip"):
        raise FootpassError(f"missing must be miss, error or skip, found {missing!r}")
    absent = [half for half in truth.halves if half not in predictions.halves]
    extra = [half for half in predictions.halves if half not in truth.halves]
    if missing == "error" and (absent or extra):
        wrong = f"no predictions for {', '.join(absent)}" if absent else f"no ground truth for {', '.join(extra)}"
        raise FootpassError(f"predictions and ground truth name different halves: {wrong}")
    if absent and missing == "miss":
        warnings.warn(f"no predictions for {', '.join(absent)}: all their events count as misses", stacklevel=3)
    if extra:
        warnings.warn(f"no ground truth for {', '.join(extra)}: their predictions are ignored", stacklevel=3)
    return tuple(half for half in truth.halves if missing != "skip" or half not in absent)


def _match_rows(predictions: pd.DataFrame, events: pd.DataFrame, tolerance: int) -> np.ndarray:
    """Row of ``events`` that each prediction takes, or -1; shape (len(predictions),)."""
    frame = np.append(predictions["frame"], events["frame"])
    place = one_axis(_groups(predictions, events), frame, tolerance)
    asked, place = np.split(place, [len(predictions)])
    row_of = np.argsort(place, kind="stable")  # events in the order of the axis
    low, high = near_spans(place[row_of], asked, tolerance)
    taken, free = np.full(len(predictions), -1, dtype=np.int64), (events["jersey"] != UNKNOWN).tolist()
    order = np.argsort(-predictions["score"].to_numpy(), kind="stable")
    order = order[low[order] < high[order]]  # the others have no event nearby
    asked, place, rows = asked.tolist(), place.tolist(), row_of.tolist()
    for i, first, end in zip(order.tolist(), low[order].tolist(), high[order].tolist(), strict=True):
        near = [(abs(place[row] - asked[i]), row) for row in rows[first:end] if free[row]]
        if near:
            row = min(near)[1]
            taken[i], free[row] = row, False
    return taken


def _groups(*tables: pd.DataFrame) -> np.ndarray:
    """Number of the group of half, team, jersey and class that each row of the tables is in, one after the other."""
    names = ["half", "team", "jersey", "class"]
    return pd.concat([table[names] for table in tables]).groupby(names, sort=False).ngroup().to_numpy()


@dataclass(frozen=True)
class Scores:
    """Scores of one system; ``micro_f1``, ``precision`` and ``recall`` are over all events together."""

    per_class: pd.DataFrame  # index drive..block; columns tp, fp, fn (counts), precision, recall, f1
    macro_f1: float  # mean of the eight class F1s, the ranking metric; a class without events and predictions counts 0
    micro_f1: float
    precision: float
    recall: float

    def as_dict(self) -> dict:
        """Plain values for a record: ``macro_f1``, ``micro_f1``, ``precision``, ``recall``, ``per_class``."""
        per_class = {
            name: {k: int(v) if k in ("tp", "fp", "fn") else float(v) for k, v in row.items()}
            for name, row in self.per_class.to_dict("index").items()
        }
        totals = {k: float(getattr(self, k)) for k in ("macro_f1", "micro_f1", "precision", "recall")}
        return {**totals, "per_class": per_class}


def class_counts(matching: Matching) -> np.ndarray:
    """TP, FP and FN per class, shape (8, 3), drive to block."""
    predictions, truth = matching.predictions, matching.truth
    tp = predictions["tp"].to_numpy()
    counts = [predictions["class"][tp], predictions["class"][~tp], truth["class"][~truth["found"]]]
    return np.stack([np.bincount(c, minlength=N_EVENT_CLASSES + 1)[1:] for c in counts], axis=1)


def precision_recall_f1(counts: np.ndarray) -> np.ndarray:
    """Precision, recall and F1 from counts (..., 3) of TP, FP, FN; shape (..., 3), 0 where undefined."""
    tp, fp, fn = np.moveaxis(np.asarray(counts, dtype=float), -1, 0)
    pairs = ((tp, tp + fp), (tp, tp + fn), (2 * tp, 2 * tp + fp + fn))
    return np.stack([np.divide(a, b, out=np.zeros_like(a), where=b > 0) for a, b in pairs], axis=-1)


def score(matching: Matching) -> Scores:
    """Precision, recall and F1 per class, Macro and Micro F1."""
    counts = class_counts(matching)
    rates = precision_recall_f1(counts)
    per_class = pd.DataFrame(counts, index=list(EVENT_CLASSES), columns=["tp", "fp", "fn"])
    per_class = per_class.assign(precision=rates[:, 0], recall=rates[:, 1], f1=rates[:, 2])
    precision, recall, micro_f1 = precision_recall_f1(counts.sum(axis=0))
    return Scores(per_class, float(rates[:, 2].mean()), float(micro_f1), float(precision), float(recall))


def evaluate(predictions: Events, truth: Events, **protocol) -> Scores:
    """Match and score in one step; keywords as in :func:`match_events`."""
    return score(match_events(predictions, truth, **protocol))


def summary(ranking: Matching, threshold: float) -> dict[str, float]:
    """One system in a row: its scores at a threshold, and ``mAP`` of the whole ranking, made with ``threshold=0``."""
    scores = score(ranking.at(threshold))
    row = {name: getattr(scores, name) for name in ("macro_f1", "micro_f1", "precision", "recall")}
    return {"threshold": threshold, **row, "mAP": float(average_precision(ranking)["mAP"])}


def best_threshold(ranking: Matching, thresholds: Sequence[float] = THRESHOLDS) -> float:
    """The threshold with the highest Macro F1, the lowest of equal ones; the matching was made with ``threshold=0``.

    Choose it on other matches than those that are scored with it.
    """
    return float(max(thresholds, key=lambda threshold: (score(ranking.at(threshold)).macro_f1, -threshold)))


def recall_splits(matching: Matching) -> pd.DataFrame:
    """Recall of events with and without a box, live and in replay, per class (drive..block) and over ``all``.

    Columns ``(split, n | found | recall)`` for the splits ``with box``, ``without box``, ``live`` and ``replay``; a
    recall is NaN where there is no event. FootpassError if the ground truth does not say which events have a box.
    """
    truth = matching.truth
    if truth[["box", "replay"]].isna().any(axis=None):
        raise FootpassError("the ground truth lacks the fields box and replay")
    box, replay = truth["box"].astype(bool), truth["replay"].astype(bool)
    columns = {}
    for name, chosen in {"with box": box, "without box": ~box, "live": ~replay, "replay": replay}.items():
        labels = truth["class"].to_numpy()
        n = _per_class_and_all(labels[chosen])
        found = _per_class_and_all(labels[chosen & truth["found"]])
        recall = np.divide(found, n, out=np.full(len(n), np.nan), where=n > 0)
        columns |= {(name, "n"): n, (name, "found"): found, (name, "recall"): recall}
    return pd.DataFrame(columns, index=[*EVENT_CLASSES, "all"])


def _per_class_and_all(labels: np.ndarray) -> np.ndarray:
    counts = np.bincount(labels, minlength=N_EVENT_CLASSES + 1)[1:]
    return np.append(counts, counts.sum())


def precision_recall_curve(matching: Matching, class_id: int | None = None) -> pd.DataFrame:
    """Precision, recall and F1 as the score threshold falls, for one class or (None) for all.

    One matching (made with ``threshold=0``) holds the whole curve, see :meth:`Matching.at`. One row a distinct score,
    falling: ``threshold, precision, recall, f1``.
    """
    predictions, truth = matching.predictions, matching.truth
    if class_id is not None:
        predictions, truth = (t[t["class"] == class_id] for t in (predictions, truth))
    scores = predictions["score"].to_numpy()
    order = np.argsort(-scores, kind="stable")
    tp = np.cumsum(predictions["tp"].to_numpy()[order])
    fp = np.arange(1, len(order) + 1) - tp
    rates = precision_recall_f1(np.stack([tp, fp, len(truth) - tp], axis=1))
    curve = pd.DataFrame(rates, columns=["precision", "recall", "f1"])
    curve.insert(0, "threshold", scores[order])
    return curve.drop_duplicates("threshold", keep="last", ignore_index=True)


def average_precision(matching: Matching) -> pd.Series:
    """11-point interpolated average precision per class (drive..block) and their mean (``mAP``).

    The precision at recall 0, .1, ..., 1 is the highest one reached at that recall or beyond. It ranges over the
    predictions that the matching holds: match with ``threshold=0`` for the whole ranking. NaN for a class without
    events; the mean leaves it out.
    """
    values = []
    for class_id in range(1, N_EVENT_CLASSES + 1):
        if not (matching.truth["class"] == class_id).any():
            values.append(np.nan)
            continue
        curve = precision_recall_curve(matching, class_id)
        recall, precision = curve["recall"].to_numpy(), curve["precision"].to_numpy()
        reached = recall[None, :] >= np.linspace(0, 1, 11)[:, None] - 1e-12  # (11, N)
        values.append(np.where(reached, precision, 0.0).max(axis=1, initial=0.0).mean())
    series = pd.Series(values, index=list(EVENT_CLASSES), name="AP")
    return pd.concat([series, pd.Series({"mAP": series.mean()}, name="AP")])
