"""The re-scorer: two stages of tree ensembles, trained on real and simulated candidates, then calibrated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier

from footpass_lib.events.playbyplay import Events
from footpass_lib.rescoring.candidates import join_systems, match_truth
from footpass_lib.rescoring.features import EventLanguage, describe, describe_cleaned, learn_language
from footpass_lib.rescoring.settings import RescoringSettings
from footpass_lib.rescoring.simulate import collect_bundles, simulate
from footpass_lib.rescoring.thresholds import Calibration, Coverage, fit_calibration, fit_coverage
from footpass_lib.schema import N_CLASSES, FootpassError, game_of


@dataclass(frozen=True, eq=False)
class Labelled:
    """Candidates (N rows), whether each is right (bool), and how often they count in a fit."""

    candidates: pd.DataFrame
    right: np.ndarray
    copies: int


@dataclass(frozen=True, eq=False)
class Stages:
    """The models of both stages; ``second`` is empty where there is one stage."""

    language: EventLanguage
    first: tuple[ClassifierMixin, ...]
    second: tuple[ClassifierMixin, ...]

    def first_chance(self, candidates: pd.DataFrame) -> np.ndarray:
        """Probability of each candidate after the first stage, shape (N,)."""
        return _mean_chance(self.first, describe(candidates, self.language).values)

    def chance(self, candidates: pd.DataFrame) -> np.ndarray:
        """Probability of each candidate, not calibrated, shape (N,)."""
        before = self.first_chance(candidates)
        if not self.second:
            return before
        return _mean_chance(self.second, describe_cleaned(candidates, self.language, before).values)


@dataclass(frozen=True, eq=False)
class Rescorer:
    """A fitted re-scorer.

    Attributes
    ----------
    stages : Stages
    calibration : Calibration
        Fitted to probabilities of candidates of halves that their models had not seen.
    coverage : Coverage
        Of the fitting matches.
    fitted_on : tuple of str
        Halves whose labels were used.
    """

    stages: Stages
    calibration: Calibration
    coverage: Coverage
    fitted_on: tuple[str, ...]

    def chance(self, candidates: pd.DataFrame) -> np.ndarray:
        """Calibrated probability of each candidate, shape (N,)."""
        return self.calibration.apply(self.stages.chance(candidates), candidates["class"].to_numpy())


def fit_rescorer(
    dst: Events, taad: Events, truth: Events, training: Events, settings: RescoringSettings, seed: int
) -> Rescorer:
    """Fit a re-scorer on matches whose labels may be used.

    Folds of the fitting matches (their halves, if there is only one match) give every real candidate a probability
    from models that have not seen it, nor simulations made from it; the second stage and the calibration learn from
    these.

    Parameters
    ----------
    dst, taad : Events
        Predictions of the two systems; those of other halves than the ground truth's are not looked at.
    truth : Events
        Ground truth of the fitting matches, and of no other.
    training : Events
        Ground truth of training matches, for the grammar and the simulations.
    settings : RescoringSettings
    seed : int

    Raises
    ------
    FootpassError
        If there are not two halves to fit on, or candidates of one fold are all right or all wrong.
    """
    dst, taad = dst.select(truth.halves), taad.select(truth.halves)
    maker = _Maker(dst, taad, truth, training, learn_language(training), settings, seed)
    real = maker.real(truth.halves)
    fold = _folds(real.candidates, truth.halves)
    first_chance, chance = np.zeros(len(fold)), np.zeros(len(fold))
    held_out = {}
    for number in np.unique(fold):
        rows = fold == number
        halves = _others(truth.halves, real.candidates["half"][rows])
        held_out[number] = halves, maker.fit_first(halves)
        first_chance[rows] = held_out[number][1].first_chance(_rows(real.candidates, rows))
    for number, (halves, stages) in held_out.items():
        rows = fold == number
        stages = maker.fit_second(stages, halves, _part(real, ~rows), first_chance[~rows])
        chance[rows] = stages.chance(_rows(real.candidates, rows))
    stages = maker.fit_second(maker.fit_first(truth.halves), truth.halves, real, first_chance)
    class_id = real.candidates["class"].to_numpy()
    events = np.bincount(truth.table["class"], minlength=N_CLASSES)
    covered = np.bincount(class_id[real.right], minlength=N_CLASSES)
    calibration = fit_calibration(chance, class_id, real.right)
    return Rescorer(stages, calibration, fit_coverage(covered, events), truth.halves)


@dataclass(frozen=True, eq=False)
class _Maker:
    """What every fit of one re-scorer works with."""

    dst: Events
    taad: Events
    truth: Events
    training: Events
    language: EventLanguage
    settings: RescoringSettings
    seed: int

    @property
    def _real_copies(self) -> int:
        return self.settings.real_copies if self.settings.simulated_matches else 1

    def real(self, halves: Sequence[str]) -> Labelled:
        """Real candidates of some halves."""
        candidates = join_systems(self.dst.select(halves), self.taad.select(halves), self.settings.window)
        return Labelled(candidates, match_truth(candidates, self.truth.select(halves)) >= 0, self._real_copies)

    def simulated(self, halves: Sequence[str], stage: int) -> Labelled | None:
        """Candidates simulated from what happened in some halves; other training matches for each stage."""
        n = self.settings.simulated_matches
        rng = np.random.default_rng([self.seed, stage])
        games = np.random.default_rng(self.seed).permutation(self.training.games)[n * (stage - 1) : n * stage]
        if not len(games):
            return None
        played = self.training.select_games(games.tolist())
        bundles = collect_bundles(self.dst, self.taad, self.truth.select(halves), self.settings.window)
        candidates = join_systems(*simulate(bundles, played, rng), self.settings.window)
        return Labelled(candidates, match_truth(candidates, played) >= 0, 1)

    def fit_first(self, halves: Sequence[str]) -> Stages:
        """The first stage, from the labels of some halves."""
        parts = [part for part in (self.real(halves), self.simulated(halves, 1)) if part is not None]
        values = [describe(part.candidates, self.language).values for part in parts]
        return Stages(self.language, self._fit(values, parts), ())

    def fit_second(self, stages: Stages, halves: Sequence[str], real: Labelled, chance: np.ndarray) -> Stages:
        """Add a second stage; ``chance`` are the held-out probabilities of the real candidates."""
        if not self.settings.second_stage:
            return stages
        parts, values = [real], [describe_cleaned(real.candidates, self.language, chance).values]
        more = self.simulated(halves, 2)
        if more is not None:
            parts.append(more)
            believed = stages.first_chance(more.candidates)
            values.append(describe_cleaned(more.candidates, self.language, believed).values)
        return Stages(self.language, stages.first, self._fit(values, parts))

    def _fit(self, values: list[np.ndarray], parts: list[Labelled]) -> tuple[ClassifierMixin, ...]:
        right = np.concatenate([np.tile(part.right, part.copies) for part in parts])
        if right.all() or not right.any():
            raise FootpassError(f"rescoring: {len(right)} candidates, all right or all wrong; expected some of both")
        table = np.concatenate([np.tile(rows, (part.copies, 1)) for rows, part in zip(values, parts, strict=True)])
        models = [_family(name, self.settings, self._real_copies, self.seed) for name in self.settings.families]
        return tuple(model.fit(table, right) for model in models)


def _family(name: str, settings: RescoringSettings, copies: int, seed: int) -> ClassifierMixin:
    """An unfitted model. Strong regularisation, since all that is real comes from a match or two, in ``copies``."""
    if name == "boosting":
        return HistGradientBoostingClassifier(
            max_iter=settings.iterations, learning_rate=0.1, max_leaf_nodes=10, min_samples_leaf=40 * copies,
            l2_regularization=10.0, max_features=0.25, early_stopping=False, random_state=seed,
        )  # fmt: skip
    return ExtraTreesClassifier(
        n_estimators=settings.trees, min_samples_leaf=4 * copies, max_features=0.3, random_state=seed, n_jobs=1
    )


def _mean_chance(models: Sequence[ClassifierMixin], values: np.ndarray) -> np.ndarray:
    if not len(values):
        return np.zeros(0)
    return np.mean([model.predict_proba(values)[:, 1] for model in models], axis=0)


def _folds(candidates: pd.DataFrame, halves: Sequence[str]) -> np.ndarray:
    """Number of the fold of each candidate: its match, or its half where there is one match."""
    if len(halves) < 2:
        raise FootpassError(f"rescoring: {len(halves)} half to fit on, expected two or more")
    games = sorted({game_of(half) for half in halves})
    names = games if len(games) > 1 else list(halves)
    number = {half: names.index(game_of(half) if len(games) > 1 else half) for half in halves}
    return candidates["half"].map(number).to_numpy(np.int64)


def _others(halves: Sequence[str], held_out: pd.Series) -> tuple[str, ...]:
    left_out = set(held_out)
    return tuple(half for half in halves if half not in left_out)


def _rows(candidates: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    return candidates[rows].reset_index(drop=True)


def _part(labelled: Labelled, rows: np.ndarray) -> Labelled:
    return Labelled(_rows(labelled.candidates, rows), labelled.right[rows], labelled.copies)
