"""The re-scorer: two stages of tree ensembles, trained on the candidates of some matches, then calibrated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier

from footpass_lib.events.playbyplay import Events
from footpass_lib.rescoring.candidates import join_systems, match_truth
from footpass_lib.rescoring.features import EventLanguage, describe, describe_cleaned, learn_language
from footpass_lib.rescoring.settings import RescoringSettings
from footpass_lib.rescoring.thresholds import Thresholds, fit_thresholds
from footpass_lib.schema import N_CLASSES, FootpassError, game_of, games_of

Ensemble = tuple[ClassifierMixin, ...]  # its probabilities are averaged
_LEAF = 40  # candidates in a leaf of the boosting, at least
_Values = Callable[[np.ndarray], np.ndarray]  # which candidates, bool (N,) -> their features


@dataclass(frozen=True, eq=False)
class Rescorer:
    """A fitted re-scorer: models of both stages, thresholds, and ``fitted_on``, the halves whose labels were used."""

    language: EventLanguage
    first: Ensemble
    second: Ensemble
    thresholds: Thresholds
    fitted_on: tuple[str, ...]

    def chance(self, candidates: pd.DataFrame) -> np.ndarray:
        """Calibrated probability of each candidate, shape (N,)."""
        before = _mean_chance(self.first, describe(candidates, self.language).values)
        chance = _mean_chance(self.second, describe_cleaned(candidates, self.language, before).values)
        return self.thresholds.calibrate(chance, candidates["class"].to_numpy())


def fit_rescorer(
    dst: Events,
    taad: Events,
    truth: Events,
    training: Events,
    settings: RescoringSettings,
    seed: int,
    third: Events | None = None,
) -> Rescorer:
    """Fit a re-scorer on the matches of ``truth``, whose labels may be used, and on no other's predictions.

    Folds (matches, or the halves of one) give every candidate a probability from models that have not seen it; the
    second stage and the calibration learn from these. The grammar is that of ``training``. FootpassError if there are
    not two halves to fit on, or candidates of one fold are too few, all right or all wrong.
    """
    systems = [None if events is None else events.select(truth.halves) for events in (dst, taad, third)]
    candidates = join_systems(*systems)
    right, class_id = match_truth(candidates, truth) >= 0, candidates["class"].to_numpy()
    fold, language = _folds(candidates, truth.halves), learn_language(training)

    def first_values(rows: np.ndarray) -> np.ndarray:
        return describe(_rows(candidates, rows), language).values

    def second_values(rows: np.ndarray) -> np.ndarray:
        return describe_cleaned(_rows(candidates, rows), language, first_chance[rows]).values

    first_chance = _out_of_fold(first_values, right, fold, settings, seed)
    chance = _out_of_fold(second_values, right, fold, settings, seed)
    everything = np.ones(len(fold), bool)
    first, second = (_fit(values(everything), right, settings, seed) for values in (first_values, second_values))
    n_events = np.bincount(truth.table["class"], minlength=N_CLASSES)
    thresholds = fit_thresholds(chance, class_id, right, n_events)
    return Rescorer(language, first, second, thresholds, truth.halves)


def _out_of_fold(
    values_of: _Values, right: np.ndarray, fold: np.ndarray, settings: RescoringSettings, seed: int
) -> np.ndarray:
    """Probability of each candidate, from models of the other folds, shape (N,)."""
    chance = np.zeros(len(fold))
    for number in np.unique(fold):
        rows = fold == number
        models = _fit(values_of(~rows), right[~rows], settings, seed)
        chance[rows] = _mean_chance(models, values_of(rows))
    return chance


def _fit(values: np.ndarray, right: np.ndarray, settings: RescoringSettings, seed: int) -> Ensemble:
    """Boosting and a forest, strongly regularised: all labels come from a match or two."""
    if right.all() or not right.any():
        raise FootpassError(f"rescoring: {len(right)} candidates, all right or all wrong; expected some of both")
    if len(right) < 2 * _LEAF:  # no tree could split once, and boosting would say one number of everything
        raise FootpassError(f"rescoring: {len(right)} candidates to fit on, expected {2 * _LEAF} or more")
    boosting = HistGradientBoostingClassifier(
        max_iter=settings.iterations, learning_rate=0.1, max_leaf_nodes=10, min_samples_leaf=_LEAF,
        l2_regularization=10.0, max_features=0.25, early_stopping=False, random_state=seed,
    )  # fmt: skip
    forest = ExtraTreesClassifier(
        n_estimators=settings.trees, min_samples_leaf=4, max_features=0.3, random_state=seed, n_jobs=1
    )
    return boosting.fit(values, right), forest.fit(values, right)


def _mean_chance(models: Sequence[ClassifierMixin], values: np.ndarray) -> np.ndarray:
    if not len(values):
        return np.zeros(0)
    return np.mean([model.predict_proba(values)[:, 1] for model in models], axis=0)


def _folds(candidates: pd.DataFrame, halves: Sequence[str]) -> np.ndarray:
    """Number of the fold of each candidate: its match, or its half where there is one match."""
    if len(halves) < 2:
        raise FootpassError(f"rescoring: {len(halves)} half to fit on, expected two or more")
    games = games_of(halves)
    names = games if len(games) > 1 else list(halves)
    number = {half: names.index(game_of(half) if len(games) > 1 else half) for half in halves}
    return candidates["half"].map(number).to_numpy(np.int64)


def _rows(candidates: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    return candidates[rows].reset_index(drop=True)
