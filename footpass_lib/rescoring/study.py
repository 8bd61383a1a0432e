"""Re-scoring of matches by models fitted on others; leave one match out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from footpass_lib.events.playbyplay import Events, make_events
from footpass_lib.events.timeline import sort_by_time
from footpass_lib.rescoring.candidates import join_systems
from footpass_lib.rescoring.model import Rescorer, fit_rescorer
from footpass_lib.rescoring.settings import RescoringSettings
from footpass_lib.rescoring.thresholds import as_scores
from footpass_lib.schema import FootpassError, game_of
from footpass_lib.workers import one_thread_each

_SPACE = 1000  # seeds of two studies do not meet: member k of study s is fitted with s * 1000 + k


@dataclass(frozen=True, eq=False)
class Rescored:
    """Candidates as ``join_systems`` returns them, with ``chance`` (calibrated probability) and ``kept`` (bool)."""

    halves: tuple[str, ...]
    candidates: pd.DataFrame

    @property
    def events(self) -> Events:
        """What is kept, as predictions."""
        kept = self.candidates[self.candidates["kept"]]
        columns = {name: kept[name].to_numpy() for name in ("half", "frame", "team", "jersey", "class")}
        return make_events(self.halves, {**columns, "score": as_scores(kept["chance"].to_numpy())})


def rescore(rescorers: Iterable[Rescorer], dst: Events, taad: Events, third: Events | None = None) -> Rescored:
    """Re-score matches with the averaged probabilities of re-scorers; thresholds are chosen match by match from these.

    The re-scorers were fitted with a ``third`` system if and only if there is one. FootpassError if a re-scorer was
    fitted on a half that it is to re-score; else as in ``join_systems``.
    """
    rescorers = list(rescorers)
    seen = sorted({half for each in rescorers for half in each.fitted_on} & set(dst.halves))
    if seen:
        raise FootpassError(f"{seen[0]}: the re-scorer was fitted on this half; expected other matches")
    candidates = join_systems(dst, taad, third)
    chance = np.mean([each.chance(candidates) for each in rescorers], axis=0)
    class_id, game = candidates["class"].to_numpy(), candidates["half"].map(game_of).to_numpy()
    kept = np.zeros(len(candidates), bool)
    for number in np.unique(game):
        rows = game == number
        kept[rows] = rescorers[0].thresholds.choose(chance[rows], class_id[rows])  # coverage is the same in all
    return Rescored(dst.halves, candidates.assign(chance=chance, kept=kept))


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Every match re-scored by models of the others: by each member alone, and by all members averaged."""

    members: tuple[Rescored, ...]
    averaged: Rescored


def rescore_left_out(
    dst: Events,
    taad: Events,
    truth: Events,
    training: Events,
    settings: RescoringSettings,
    seed: int = 0,
    tell: Callable[[str], None] = lambda text: None,
    workers: int = 1,
    third_without: Callable[[int], Events] | None = None,
) -> LeaveOneOut:
    """Re-score each match of the ground truth with models fitted on the other matches.

    The labels of a match go nowhere but into the models of the others. ``training`` is the ground truth of training
    matches; ``tell`` gets a line a match. ``workers`` processes change no result. ``third_without`` gives, for a
    match, what a third system says of all matches that has seen no label of that match in any way (nor of the match it
    speaks of, or its fit looks too good). FootpassError if there is only one match; else as in ``fit_rescorer``.
    """
    games = truth.games
    if len(games) < 2:
        raise FootpassError(f"leave one match out: expected two matches or more, found {len(games)}")
    by_match: list[list[Rescored]] = []  # of each match: its members, then their average
    for game in games:
        others = truth.select_games(set(games) - {game})
        third = None if third_without is None else third_without(game)
        left_out = [None if events is None else events.select_games([game]) for events in (dst, taad, third)]
        members = fit_members(dst, taad, others, training, settings, seed, workers, third)
        alone = [rescore([each], *left_out) for each in members]
        by_match.append([*alone, rescore(members, *left_out)])
        tell(f"match {game}: re-scored by {len(members)} models of {', '.join(map(str, others.games))}")
    *members, averaged = (_together(truth.halves, matches) for matches in zip(*by_match, strict=True))
    return LeaveOneOut(tuple(members), averaged)


def fit_members(
    dst: Events,
    taad: Events,
    truth: Events,
    training: Events,
    settings: RescoringSettings,
    seed: int,
    workers: int = 1,
    third: Events | None = None,
) -> list[Rescorer]:
    """``settings.seeds`` independent re-scorers, fitted in that many processes; errors as in ``fit_rescorer``."""
    fits = [(dst, taad, truth, training, settings, seed * _SPACE + k, third) for k in range(settings.seeds)]
    if workers <= 1:
        return [_fit(*each) for each in fits]
    with one_thread_each(min(workers, len(fits))) as pool:
        return list(pool.map(_fit, *zip(*fits, strict=True)))


def _fit(*arguments: object) -> Rescorer:
    """One re-scorer, with one thread: boosting adds up in another order with several."""
    with threadpool_limits(1):
        return fit_rescorer(*arguments)


def _together(halves: tuple[str, ...], matches: Iterable[Rescored]) -> Rescored:
    return Rescored(halves, sort_by_time(pd.concat([match.candidates for match in matches], ignore_index=True)))
