"""Extension 4, post-processing: thresholds of a gate, fitted on some matches and reported on others, or without labels.

The paper tuned its gates on the very matches that it reported. Here a gate remembers which matches it was fitted on,
and :func:`report` refuses these unless told so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from footpass_lib.events.metrics import Scores, evaluate, match_events, precision_recall_f1
from footpass_lib.events.playbyplay import Events, count_table
from footpass_lib.events.statistics import events_per_second
from footpass_lib.postprocessing.corrections import Missing, fill_missing, gate, strength
from footpass_lib.postprocessing.effects import NOT_EVALUATED, TRUE_POSITIVE, verdicts
from footpass_lib.postprocessing.evidence import Evidence
from footpass_lib.postprocessing.steps import StepResult, class_values, keep_rows
from footpass_lib.schema import CLASSES, DETECTION_THRESHOLD, EVENT_CLASSES, TOLERANCE, FootpassError, game_of

PSEUDO_EVENTS = 2.0


@dataclass(frozen=True)
class CalibratedGate:
    """A gate, in which a class without a threshold passes, and the halves whose labels it was ``fitted_on``, if any.

    ``way`` is ``other matches``, ``leave one match out`` or ``training rate`` (no labels).
    """

    thresholds: Mapping[str, float]
    fitted_on: tuple[str, ...]
    way: str
    window: int = TOLERANCE
    missing: Missing = "drop"

    @property
    def games(self) -> tuple[int, ...]:
        """Matches that the gate has seen labels of, ascending."""
        return tuple(sorted(set(map(game_of, self.fitted_on))))

    def apply(self, events: Events, evidence: Evidence | None) -> StepResult:
        """Gate events; errors as in ``corrections.gate``."""
        return gate(events, evidence, self.thresholds, self.window, self.missing)


def gate_curve(strength: np.ndarray, tp: np.ndarray, n_truth: int) -> pd.DataFrame:
    """Every gate that there is for one class, from the strictest to none.

    ``strength`` (N,) is the evidence for each evaluated event, infinite where it is missing; ``tp`` (N,) says which are
    true positives. One row a gate: ``threshold`` (half way between the weakest event that passes and the strongest that
    does not; minus infinity in the last row, which is no gate), ``tp, fp, fn, f1``.
    """
    order = np.argsort(-strength, kind="stable")
    ranked = strength[order]
    last = np.flatnonzero(np.append(ranked[1:] < ranked[:-1], True)[: len(ranked)])  # last event of each strength
    found = np.cumsum(tp[order])[last]
    passing, falling = ranked[last[:-1]], ranked[last[1:]]
    with np.errstate(invalid="ignore"):
        threshold = (passing + falling) / 2
    # next to missing evidence there is no half way, and between neighbouring floats neither
    threshold = np.where(np.isinf(passing), np.nextafter(falling, math.inf), threshold)
    threshold = np.where(np.isinf(falling) | (threshold <= falling), passing, threshold)
    counts = np.stack([found, last + 1 - found, n_truth - found], axis=1)
    curve = pd.DataFrame(counts, columns=["tp", "fp", "fn"])
    curve.insert(0, "threshold", np.append(threshold, -math.inf)[: len(last)])
    return curve.assign(f1=precision_recall_f1(counts)[:, 2])


def best_threshold(curve: pd.DataFrame, pseudo_events: float) -> float:
    """The gate of a curve with the highest F1 after shrinkage; minus infinity if that is no gate.

    Shrinkage: as if there had been ``pseudo_events`` more events of the class, all found, all of which any gate would
    have lost: next to nothing beside many events, nearly everything beside a handful. Of equal gates the most lenient
    one is taken.
    """
    tp, fp, fn = (curve[name].to_numpy(float) for name in ("tp", "fp", "fn"))
    open_gate = np.isneginf(curve["threshold"].to_numpy())
    counts = np.stack([tp + pseudo_events * open_gate, fp, fn + pseudo_events * ~open_gate], axis=1)
    f1 = precision_recall_f1(counts)[:, 2]
    return float(curve["threshold"].iloc[len(f1) - 1 - f1[::-1].argmax()]) if len(f1) else -math.inf


def lossless_threshold(curve: pd.DataFrame) -> float:
    """The strictest gate of a curve that loses no true positive; minus infinity if that is no gate, or none is there.

    So may one read thresholds off two histograms, as the paper did.
    """
    kept = curve["tp"].to_numpy()
    return float(curve["threshold"].iloc[kept.argmax()]) if len(kept) and kept[-1] else -math.inf


# Extension 4: post-processing (the gate, fitted)
def fit_gate(
    events: Events,
    evidence: Evidence | None,
    truth: Events,
    *,
    classes: Sequence[str] = EVENT_CLASSES,
    window: int = TOLERANCE,
    missing: Missing = "drop",
    pseudo_events: float = PSEUDO_EVENTS,
    lossless: bool = False,
) -> CalibratedGate:
    """Thresholds with the highest F1 per class on the matches of the ground truth; this maximises Macro F1 too.

    The events are matched once, without a gate: counts are those of the evaluation if two events of one player and
    class are at least ``2 * TOLERANCE + 1`` frames apart, as after :func:`nms`. ``truth`` is that of the fitting
    matches; predictions of other halves are not looked at. Only ``classes`` may get a threshold; ``window`` and
    ``missing`` as in ``corrections.gate``, ``pseudo_events`` as in :func:`best_threshold`. A ``lossless`` gate has the
    thresholds of :func:`lossless_threshold` instead.
    """
    events = events.select(truth.halves)
    by_value = ["half", "frame", "team", "jersey", "class", "score"]  # matching breaks ties by row
    events = events.with_table(events.table.sort_values(by_value, kind="stable"))
    verdict = verdicts(events, match_events(events, truth))
    value = fill_missing(strength(events, evidence, window), missing)
    n_truth, class_id = count_table(truth), events.table["class"].to_numpy()
    thresholds = {}
    for number in _numbers(classes):
        mine = (class_id == number) & (verdict != NOT_EVALUATED)
        curve = gate_curve(value[mine], verdict[mine] == TRUE_POSITIVE, n_truth[number - 1])
        best = lossless_threshold(curve) if lossless else best_threshold(curve, pseudo_events)
        thresholds[CLASSES[number]] = best
    return CalibratedGate(_real(thresholds), truth.halves, "other matches", window, missing)


def leave_one_match_out(
    events: Events, evidence: Evidence | None, truth: Events, **settings
) -> dict[int, CalibratedGate]:
    """For each of two or more matches, a gate fitted on the others; ``settings`` as in :func:`fit_gate`."""
    games = truth.games
    if len(games) < 2:
        raise FootpassError(f"leave one match out: expected two matches or more, found {games}")
    gates = {}
    for game in games:
        others = truth.select_games(set(games) - {game})
        gates[game] = replace(fit_gate(events, evidence, others, **settings), way="leave one match out")
    return gates


def fit_rate_gate(
    events: Events,
    evidence: Evidence | None,
    training: Events,
    *,
    classes: Sequence[str] = EVENT_CLASSES,
    window: int = TOLERANCE,
    missing: Missing = "drop",
) -> CalibratedGate:
    """Thresholds without labels: as many events of a class a minute as there are in the training matches.

    ``events`` are the predictions on the very matches that will be reported, ``training`` the training matches' ground
    truth; a half lasts from its first event to its last. A class of which less is predicted gets no threshold; of
    another, at least the strongest event passes.
    """
    if not len(training):
        raise FootpassError("training rate: there is no event in the ground truth of training")
    expected = count_table(training) * _minutes(events) / _minutes(training)
    value = fill_missing(strength(events, evidence, window), missing)
    evaluated, class_id = (events.table["score"] >= DETECTION_THRESHOLD).to_numpy(), events.table["class"].to_numpy()
    thresholds = {}
    for number in _numbers(classes):
        mine = value[(class_id == number) & evaluated]
        if len(mine):
            curve = gate_curve(mine, np.zeros(len(mine), bool), 0)
            distance = (curve["fp"] - expected[number - 1]).abs().to_numpy()
            thresholds[CLASSES[number]] = float(curve["threshold"].iloc[len(distance) - 1 - distance[::-1].argmin()])
    return CalibratedGate(_real(thresholds), (), "training rate", window, missing)


def _numbers(classes: Sequence[str]) -> np.ndarray:
    """Ids of classes, ascending."""
    return np.flatnonzero(class_values(dict.fromkeys(classes, 1.0), 0.0))


def _real(thresholds: dict[str, float]) -> dict[str, float]:
    """Without those that are no gate."""
    return {name: value for name, value in thresholds.items() if value > -math.inf}


def _minutes(events: Events) -> float:
    return len(events) / (60 * events_per_second(events)) if len(events) else 0.0


@dataclass(frozen=True)
class Report:
    """A gated result and how its gate was calibrated."""

    scores: Scores
    step: StepResult  # the gated events and what became of each
    gates: Mapping[int, CalibratedGate]  # by reported match
    in_sample: bool  # whether a gate was fitted on a match that it is reported on

    @property
    def way(self) -> str:
        """How the thresholds were calibrated: ``in-sample`` or the gate's way."""
        ways = dict.fromkeys(gate.way for gate in self.gates.values())
        return "in-sample" if self.in_sample else ", ".join(ways)

    def details(self) -> dict:
        """Plain values for a record: ``calibration``, ``in_sample`` and, for each match, its gate."""
        gates = {str(game): asdict(gate) for game, gate in self.gates.items()}
        return {"calibration": self.way, "in_sample": self.in_sample, "gates": gates}


def report(
    gates: CalibratedGate | Mapping[int, CalibratedGate],
    events: Events,
    evidence: Evidence | None,
    truth: Events,
    in_sample: bool = False,
) -> Report:
    """Gate events with one gate, or with one for each match, and score them, on matches that the gate has not seen.

    A gate that was fitted on a match of ``truth`` is refused, unless ``in_sample`` allows that; the report says so
    then. Predictions of other halves than the ground truth's are left out.
    """
    if isinstance(gates, CalibratedGate):
        gates = dict.fromkeys(truth.games, gates)
    seen = [game for game in truth.games if game in gates and game in gates[game].games]
    if seen and not in_sample:
        raise FootpassError(
            f"the gate of match {seen[0]} was fitted on that match; expected other matches, or in_sample=True"
        )
    without = [game for game in truth.games if game not in gates]
    if without:
        raise FootpassError(f"match {without[0]} has no gate; there are gates of {sorted(gates)}")
    events = events.select(truth.halves)
    game = events.table["half"].map(game_of).to_numpy()
    kept = np.zeros(len(events), bool)
    for number in truth.games:
        rows = np.flatnonzero(game == number)
        changes = gates[number].apply(events.with_table(events.table.iloc[rows]), evidence).changes
        kept[rows] = (changes["new_row"] >= 0).to_numpy()
    step = keep_rows(events, kept)
    return Report(evaluate(step.events, truth), step, {game: gates[game] for game in truth.games}, bool(seen))
