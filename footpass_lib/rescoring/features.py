"""What a re-scorer is told of each candidate: its own scores, its rivals, its neighbours, the grammar, the player."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from footpass_lib.events.near import near_spans
from footpass_lib.events.playbyplay import Events
from footpass_lib.events.statistics import RELATIONS, consecutive
from footpass_lib.events.timeline import NOBODY, Pairs, Timeline, make_timeline, near_pairs, sequence_neighbours
from footpass_lib.rescoring.thresholds import logit
from footpass_lib.schema import EVENT_CLASSES, N_CLASSES, TOLERANCE

SYSTEMS = ("dst", "taad", "third")  # the last one need not be there
FAR = 75  # frames in which other candidates are looked at one by one
CROWD = 250  # frames in which they are counted
RIVAL_WINDOW = 8  # a player does not act twice within it: rivals, of which one at most is true
NEIGHBOURS = 2
_SILENCE = 1500  # frames; a longer gap tells nothing more
GAP_EDGES = np.array([4, 8, 13, 19, 26, 38, 51, 76, 126, 251, 501])  # frames; 12 bins of gaps in the grammar
_EDGES = np.array([-FAR, -TOLERANCE, TOLERANCE + 1, FAR + 1])
_BINS = ("before", "at once", "after")
_AT_ONCE = 1


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of N candidates: ``values`` (N, F), float32, with F ``names``."""

    values: np.ndarray
    names: tuple[str, ...]


def describe(candidates: pd.DataFrame, language: EventLanguage) -> FeatureTable:
    """Features of the first stage, from the candidates alone (as ``join_systems`` returns them)."""
    line = make_timeline(candidates)
    pairs = near_pairs(line, FAR)
    scores = _scores(candidates)
    columns = _own(candidates, line, scores)
    for name, score in scores.items():
        columns |= _nearby(line, pairs, score, name)
        columns |= _crowd(line, score, name)
        columns |= _player(line, score, name)
    columns |= _sequence(line, scores["dst"] > 0, scores["dst"], language, "dst")
    return _table(columns)


def describe_cleaned(candidates: pd.DataFrame, language: EventLanguage, chance: np.ndarray) -> FeatureTable:
    """Features of the second stage: the same questions, asked of the sequence that the first stage believes in.

    ``chance`` (N,) is the first stage's probability; on matches that it was fitted on, one made without them.
    """
    line = make_timeline(candidates)
    pairs = near_pairs(line, FAR)
    own = _own(candidates, line, _scores(candidates))
    columns = own | {"first stage": chance, "first stage, logit": logit(chance)}
    columns |= _nearby(line, pairs, chance, "p") | _crowd(line, chance, "p") | _player(line, chance, "p")
    columns |= _sequence(line, _leaders(line, pairs, chance), chance, language, "p")
    return _table(columns)


def _scores(candidates: pd.DataFrame) -> dict[str, np.ndarray]:
    return {name: candidates[name].fillna(0.0).to_numpy() for name in SYSTEMS if name in candidates}


def _table(columns: dict[str, np.ndarray]) -> FeatureTable:
    return FeatureTable(np.column_stack(list(columns.values())).astype(np.float32), tuple(columns))


def _own(candidates: pd.DataFrame, line: Timeline, scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    columns = {f"is {name}": line.class_id == i for i, name in enumerate(EVENT_CLASSES, 1)}
    for name, score in scores.items():
        columns |= {f"has {name}": score > 0, name: score, f"{name}, logit": np.where(score > 0, logit(score), -6.0)}
    for name in list(scores)[1:]:
        both = (scores["dst"] > 0) & (scores[name] > 0)
        lag = (candidates["dst_frame"] - candidates[f"{name}_frame"]).to_numpy()
        columns[f"{name} to dst"] = np.where(both, lag, 0)
    start = np.full(line.half.max(initial=-1) + 1, np.iinfo(np.int64).max)
    np.minimum.at(start, line.half, line.time)
    return columns | {"minutes": (line.time - start[line.half]) / 1500}


def _nearby(line: Timeline, pairs: Pairs, score: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """Best score of each class near a candidate, by who (relation) and when (bin of the lag); and the best rivals."""
    bins = np.digitize(pairs.lag, _EDGES) - 1
    relation = line.relation(pairs.i, pairs.j)
    shape = (len(line), len(RELATIONS), len(_BINS), N_CLASSES)
    best = np.zeros(shape, np.float32)
    np.maximum.at(best, (pairs.i, relation, bins, line.class_id[pairs.j]), score[pairs.j])
    columns = {
        f"{name}: {who}, {event}, {when}": best[:, r, b, c]
        for r, who in enumerate(RELATIONS)
        for b, when in enumerate(_BINS)
        for c, event in enumerate(EVENT_CLASSES, 1)
    }
    own_class = best[np.arange(len(line)), :, :, line.class_id]  # (N, relations, bins)
    for r, who in enumerate(RELATIONS):
        columns[f"{name}: best of {who} at once"] = best[:, r, _AT_ONCE].max(axis=1)
        columns[f"{name}: same class, {who}, at once"] = own_class[:, r, _AT_ONCE]
    return columns


def _crowd(line: Timeline, score: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """How much a system sees around a candidate: summed scores, and the time to its nearest other candidates."""
    total = np.concatenate([[0.0], np.cumsum(score)])
    low, high = near_spans(line.time, line.time, CROWD)
    before, after = sequence_neighbours(line, score > 0, 1, 0)
    columns = {f"{name}: around": total[high] - total[low] - score}
    for side, rows in (("before", before[:, 0]), ("after", after[:, 0])):
        gap = np.abs(line.time - line.time[rows])
        columns[f"{name}: silence {side}"] = np.where(rows < 0, _SILENCE, np.minimum(gap, _SILENCE))
    return columns


def _player(line: Timeline, score: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """What a player does all match, this candidate apart: their shares of classes, and how much they do at all."""
    sums = np.zeros((line.player.max(initial=-1) + 1, N_CLASSES))
    np.add.at(sums, (line.player, line.class_id), score)
    others = sums[line.player]  # (N, 9): of the player's other candidates
    others[np.arange(len(line)), line.class_id] -= score
    total = others.sum(axis=1)
    share = others / np.maximum(total, 1.0)[:, None]
    columns = {f"{name}: player's share of {event}": share[:, c] for c, event in enumerate(EVENT_CLASSES, 1)}
    columns[f"{name}: player's share of this"] = share[np.arange(len(line)), line.class_id]
    return columns | {f"{name}: player's events": total}


def _leaders(line: Timeline, pairs: Pairs, chance: np.ndarray, lowest: float = 0.35) -> np.ndarray:
    """Candidates that a reader would keep: probable, and ahead of every rival."""
    rival = (line.player[pairs.i] == line.player[pairs.j]) & (np.abs(pairs.lag) <= RIVAL_WINDOW)
    ahead = (chance[pairs.j] > chance[pairs.i]) | ((chance[pairs.j] == chance[pairs.i]) & (pairs.j < pairs.i))
    beaten = np.zeros(len(line), bool)
    beaten[pairs.i[rival & ahead]] = True
    return (chance >= lowest) & ~beaten


def _sequence(
    line: Timeline, member: np.ndarray, score: np.ndarray, language: EventLanguage, name: str
) -> dict[str, np.ndarray]:
    """The neighbours in a sequence, and what the grammar says of a candidate between them."""
    before, after = sequence_neighbours(line, member, NEIGHBOURS, RIVAL_WINDOW)
    own, columns = np.arange(len(line)), {}
    links = {}
    for side, rows in (("before", before), ("after", after)):
        for k in range(NEIGHBOURS):
            row = rows[:, k]
            there = row >= 0
            relation = np.where(there, line.relation(own, row), NOBODY)
            gap = np.where(there, np.abs(line.time - line.time[row]), _SILENCE)
            label = f"{name}: {k + 1} {side}"
            columns |= {
                f"{label}, who": relation,
                f"{label}, class": np.where(there, line.class_id[row], 0),
                f"{label}, gap": np.minimum(gap, _SILENCE),
                f"{label}, score": np.where(there, score[row], 0.0),
            }
            links[side, k] = (row, relation, gap)
    return columns | _grammar(line, links, language, name)


def _grammar(line: Timeline, links: dict, language: EventLanguage, name: str) -> dict[str, np.ndarray]:
    """Log odds of the game with this candidate between its neighbours, against the game without it."""
    (left, left_relation, left_gap), (right, right_relation, right_gap) = links["before", 0], links["after", 0]
    left_class, right_class = line.class_id[left], line.class_id[right]
    nobody = (left < 0) | (right < 0)
    over = np.where(nobody, NOBODY, line.relation(left, right))
    came = language.after(left_class, line.class_id, left_relation, left_gap)
    goes = language.after(line.class_id, right_class, right_relation, right_gap)
    skips = language.after(left_class, right_class, over, left_gap + right_gap)
    return {
        f"{name}: grammar before": came,
        f"{name}: grammar after": language.before(line.class_id, right_class, right_relation, right_gap),
        f"{name}: grammar between": came + goes - skips,
        f"{name}: grammar of class": came + goes - skips - language.rarity[line.class_id],
    }


@dataclass(frozen=True, eq=False)
class EventLanguage:
    """How likely the game goes on in each way.

    ``forward`` (9, 9, 4, 12) is the log probability of the next class, relation and bin of the gap, given a class, and
    ``backward`` that of the event before; ``rarity`` (9,) is the log share of each class, 0 for background.
    """

    forward: np.ndarray
    backward: np.ndarray
    rarity: np.ndarray

    def after(self, first: np.ndarray, second: np.ndarray, relation: np.ndarray, gap: np.ndarray) -> np.ndarray:
        """Log probability that ``second`` follows ``first`` in this way; 0 where there is nobody."""
        bins = np.digitize(gap, GAP_EDGES)
        return np.where(relation == NOBODY, 0.0, self.forward[first, second, relation, bins])

    def before(self, first: np.ndarray, second: np.ndarray, relation: np.ndarray, gap: np.ndarray) -> np.ndarray:
        """Log probability that ``first`` precedes ``second`` in this way; 0 where there is nobody."""
        bins = np.digitize(gap, GAP_EDGES)
        return np.where(relation == NOBODY, 0.0, self.backward[second, first, relation, bins])


def learn_language(training: Events, pseudo_count: float = 0.5) -> EventLanguage:
    """Count the grammar in training matches; ``pseudo_count`` is added to every cell, so that nothing is impossible."""
    pairs = consecutive(training)
    relation = pd.Categorical(pairs["relation"], categories=list(RELATIONS)).codes.astype(np.int64)
    bins = np.digitize(pairs["gap"], GAP_EDGES)
    counts = np.zeros((N_CLASSES, N_CLASSES, NOBODY + 1, len(GAP_EDGES) + 1))
    np.add.at(counts, (pairs["class"].to_numpy(), pairs["next"].to_numpy(), relation, bins), 1)
    counts[1:, 1:, :NOBODY] += pseudo_count
    share = np.bincount(training.table["class"], minlength=N_CLASSES) + pseudo_count
    rarity = np.log(share / share[1:].sum())
    rarity[0] = 0.0
    return EventLanguage(_log_share(counts), _log_share(counts.transpose(1, 0, 2, 3)), rarity)


def _log_share(counts: np.ndarray) -> np.ndarray:
    """Log of each cell's share of its first index; 0 where that was never seen (background)."""
    total = counts.sum(axis=(1, 2, 3), keepdims=True)
    share = np.divide(counts, total, out=np.ones_like(counts), where=counts > 0)
    return np.log(share)
