"""Which candidates to keep: calibrated probabilities, and the threshold with the highest expected F1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from footpass_lib.schema import DETECTION_THRESHOLD, N_CLASSES

_LIMIT = 1e-4  # probabilities are kept this far from 0 and 1
_STRENGTH = 0.3  # inverse of the penalty on what is a class's own
_PSEUDO_EVENTS = 20.0  # as many events of each class count as covered like all classes together


def logit(chance: np.ndarray) -> np.ndarray:
    """Log odds of probabilities."""
    chance = np.clip(chance, _LIMIT, 1 - _LIMIT)
    return np.log(chance / (1 - chance))


@dataclass(frozen=True, eq=False)
class Thresholds:
    """How probabilities are read and cut: Platt scaling with a slope and an offset of their own for each class.

    ``coverage`` (9,) is the share of the real events of each class that are among the candidates at all.
    """

    calibration: LogisticRegression
    coverage: np.ndarray

    def calibrate(self, chance: np.ndarray, class_id: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, shape (N,)."""
        return self.calibration.predict_proba(_design(chance, class_id))[:, 1]

    def choose(self, chance: np.ndarray, class_id: np.ndarray) -> np.ndarray:
        """Which candidates to keep, bool (N,): per class as many of the most probable as expected F1 asks for.

        The number of events of a class is estimated as the sum of its (calibrated) probabilities over its coverage.
        """
        kept = np.zeros(len(chance), bool)
        for number in range(1, N_CLASSES):
            rows = np.flatnonzero(class_id == number)
            if len(rows):
                n_events = chance[rows].sum() / self.coverage[number]
                best = int(expected_f1(chance[rows], n_events).argmax()) + 1
                kept[rows[np.argsort(-chance[rows], kind="stable")[:best]]] = True
        return kept


def fit_thresholds(chance: np.ndarray, class_id: np.ndarray, right: np.ndarray, n_events: np.ndarray) -> Thresholds:
    """Fit to out-of-fold probabilities (N,), what became of the candidates (bool) and real events per class id (9,).

    The L2 penalty holds a class with few candidates near the common curve, and hardly touches that.
    """
    calibration = LogisticRegression(C=_STRENGTH, max_iter=500).fit(_design(chance, class_id), right)
    return Thresholds(calibration, fit_coverage(np.bincount(class_id[right], minlength=N_CLASSES), n_events))


def fit_coverage(covered: np.ndarray, n_events: np.ndarray) -> np.ndarray:
    """Coverage from counts per class id (9,), shrunken toward the coverage over all classes."""
    overall = covered.sum() / max(n_events.sum(), 1)
    return (covered + _PSEUDO_EVENTS * overall) / (n_events + _PSEUDO_EVENTS)


def _design(chance: np.ndarray, class_id: np.ndarray) -> np.ndarray:
    """Common log odds, scaled up so that the penalty leaves them alone, then each class's offset and log odds."""
    odds = logit(chance)
    own = class_id[:, None] == np.arange(1, N_CLASSES)
    return np.column_stack([10 * odds, own, own * odds[:, None]])


def expected_f1(chance: np.ndarray, n_events: float) -> np.ndarray:
    """Expected F1 of keeping the 1, 2, ..., N most probable candidates, given that there are ``n_events``; shape (N,).

    A ratio of expectations: ``2 T / (k + n_events)`` with ``k`` kept, ``T`` the sum of their probabilities.
    """
    ranked = np.sort(chance)[::-1]
    return 2 * np.cumsum(ranked) / (np.arange(1, len(ranked) + 1) + n_events)


def as_scores(chance: np.ndarray) -> np.ndarray:
    """Probabilities as scores that the evaluation does not drop: a monotone map onto 0.16 .. 1."""
    low = DETECTION_THRESHOLD + 0.01
    return np.round(low + (1 - low) * chance, 6)
