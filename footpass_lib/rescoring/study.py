"""Re-scoring of matches by models fitted on others; leave one match out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from footpass_lib.events.playbyplay import Events, make_events
from footpass_lib.rescoring.candidates import join_systems, sort_candidates
from footpass_lib.rescoring.model import Rescorer, fit_rescorer
from footpass_lib.rescoring.settings import RescoringSettings
from footpass_lib.rescoring.thresholds import as_scores, choose
from footpass_lib.schema import FootpassError, game_of
from footpass_lib.workers import one_thread_each

_SPACE = 1000  # seeds of two studies do not meet: member k of study s is fitted with s * 1000 + k


@dataclass(frozen=True, eq=False)
class Rescored:
    """Re-scored candidates of some matches.

    Attributes
    ----------
    halves : tuple of str
    candidates : DataFrame
        As ``join_systems`` returns them, with ``chance`` (calibrated probability) and ``kept`` (bool).
    """

    halves: tuple[str, ...]
    candidates: pd.DataFrame

    @property
    def events(self) -> Events:
        """What is kept, as predictions."""
        kept = self.candidates[self.candidates["kept"]]
        columns = {name: kept[name].to_numpy() for name in ("half", "frame", "team", "jersey", "class")}
        return make_events(self.halves, {**columns, "score": as_scores(kept["chance"].to_numpy())})


def rescore(rescorers: Iterable[Rescorer], dst: Events, taad: Events, window: int) -> Rescored:
    """Re-score matches with the averaged probabilities of re-scorers that were fitted on others.

    Thresholds are chosen match by match from the probabilities alone.

    Raises
    ------
    FootpassError
        If a re-scorer was fitted on a half that it is to re-score; or as in ``join_systems``.
    """
    rescorers = list(rescorers)
    seen = sorted({half for each in rescorers for half in each.fitted_on} & set(dst.halves))
    if seen:
        raise FootpassError(f"{seen[0]}: the re-scorer was fitted on this half; expected other matches")
    candidates = join_systems(dst, taad, window)
    chance = np.mean([each.chance(candidates) for each in rescorers], axis=0)
    class_id, game = candidates["class"].to_numpy(), candidates["half"].map(game_of).to_numpy()
    kept = np.zeros(len(candidates), bool)
    for number in np.unique(game):
        rows = game == number
        kept[rows] = choose(chance[rows], class_id[rows], rescorers[0].coverage)
    return Rescored(dst.halves, candidates.assign(chance=chance, kept=kept))


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Every match re-scored by models of the others: by each member alone, and by all members averaged."""

    members: tuple[Rescored, ...]
    averaged: Rescored


def leave_one_match_out(
    dst: Events,
    taad: Events,
    truth: Events,
    training: Events,
    settings: RescoringSettings,
    seed: int = 0,
    tell: Callable[[str], None] = lambda text: None,
    workers: int = 1,
) -> LeaveOneOut:
    """Re-score each match of the ground truth with models fitted on the other matches.

    The labels of a match go nowhere but into the models of the others: changing them changes nothing in its own
    predictions.

    Parameters
    ----------
    dst, taad : Events
        Predictions for the matches of the ground truth.
    truth : Events
        Two matches or more.
    training : Events
        Ground truth of training matches.
    settings : RescoringSettings
    seed : int
    tell : callable
        Is told of each match that is done.
    workers : int
        Processes that fit models; changes no result.

    Raises
    ------
    FootpassError
        If there is only one match; or as in ``fit_rescorer``.
    """
    games = truth.games
    if len(games) < 2:
        raise FootpassError(f"leave one match out: expected two matches or more, found {len(games)}")
    parts: list[list[Rescored]] = []
    labels = {game: truth.select_games(set(games) - {game}) for game in games}
    fits = [fit for others in labels.values() for fit in _fits(dst, taad, others, training, settings, seed)]
    fitted = _fitted(fits, workers)
    for game, others in labels.items():
        members = list(islice(fitted, settings.seeds))
        scored = dst.select_games([game]), taad.select_games([game])
        alone = [rescore([each], *scored, settings.window) for each in members]
        parts.append([*alone, rescore(members, *scored, settings.window)])
        tell(f"match {game}: re-scored by {len(members)} models of {', '.join(map(str, others.games))}")
    together = [_together(truth.halves, same) for same in zip(*parts, strict=True)]
    return LeaveOneOut(tuple(together[:-1]), together[-1])


def fit_members(
    dst: Events,
    taad: Events,
    truth: Events,
    training: Events,
    settings: RescoringSettings,
    seed: int,
    workers: int = 1,
) -> list[Rescorer]:
    """``settings.seeds`` independent re-scorers, fitted in that many processes; errors as in ``fit_rescorer``."""
    return list(_fitted(_fits(dst, taad, truth, training, settings, seed), workers))


def _fits(
    dst: Events, taad: Events, truth: Events, training: Events, settings: RescoringSettings, seed: int
) -> list[tuple]:
    """Arguments of ``fit_rescorer`` for each member."""
    seeds = [seed * _SPACE + k for k in range(settings.seeds)]
    return [(dst, taad, truth, training, settings, each) for each in seeds]


def _fitted(fits: list[tuple], workers: int) -> Iterator[Rescorer]:
    """Re-scorers in the order of ``fits``."""
    if workers <= 1:
        yield from map(_fit, fits)
        return
    with one_thread_each(min(workers, len(fits))) as pool:
        yield from pool.map(_fit, fits)


def _fit(arguments: tuple) -> Rescorer:
    """One re-scorer, with one thread: boosting adds up in another order with several."""
    with threadpool_limits(1):
        return fit_rescorer(*arguments)


def _together(halves: tuple[str, ...], parts: tuple[Rescored, ...]) -> Rescored:
    return Rescored(halves, sort_candidates(pd.concat([part.candidates for part in parts], ignore_index=True)))
