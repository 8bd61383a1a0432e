"""A detection simulator: what two systems made of real events, replayed on other real events.

On the fitting matches every detection is attached to the event that it most likely speaks of. An event with its
detections is a bundle. The simulator gives each event of other matches, of which only the ground truth is known, the
detections of a bundle of the same class in a similar situation. As practice for the re-scorer this did not pay
(notebook 13): nothing imports it; it waits to become a replay of detectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from footpass_lib.events.near import near_spans, ranges
from footpass_lib.events.playbyplay import Events, make_events
from footpass_lib.rescoring.candidates import clean, sort_candidates
from footpass_lib.rescoring.timeline import NOBODY, Timeline, make_timeline
from footpass_lib.schema import N_CLASSES

SYSTEMS = ("dst", "taad")
ACTOR, LAST, NEXT, OTHER = range(4)  # whom a detection names: the actor, the one before or after, someone else
_REACH = 100  # frames in which a detection may prefer a farther event of its player to the nearest one
_STRANGER = {"class": 15, "player": 30}  # frames that another class, another player are worth
_SURE = 75  # frames around an event in which its detections are replayed whatever happens next
_MISMATCH = {"box": 3.0, "replay": 3.0, "last_class": 0.7, "next_class": 0.7, "last_who": 1.0, "next_who": 1.0}


@dataclass(frozen=True, eq=False)
class Situations:
    """Sorted events and what surrounds them.

    ``last, next`` (N,) are the nearest events of another player, -1 where the half has none; ``signs`` is what bundles
    are compared by: class, box, replay, and class, relation and log gap of the neighbours, whoever acts.
    """

    table: pd.DataFrame
    line: Timeline
    last: np.ndarray
    next: np.ndarray
    signs: dict[str, np.ndarray]


def describe_situations(truth: Events) -> Situations:
    """Sort a ground truth and look around each of its events."""
    table = sort_candidates(truth.table)
    line = make_timeline(table)
    rows = np.arange(len(line))
    signs = {"class": line.class_id}
    signs |= {name: table[name].fillna(False).to_numpy(dtype=bool) for name in ("box", "replay")}
    for name, step in (("last", -1), ("next", 1)):
        other = np.clip(rows + step, 0, len(rows) - 1)
        there = (line.half[other] == line.half) & (other != rows)
        gap = np.where(there, np.abs(line.time[other] - line.time), 2000)
        signs[f"{name}_class"] = np.where(there, line.class_id[other], 0)
        signs[f"{name}_who"] = np.where(there, line.relation(rows, other), NOBODY)
        signs[f"{name}_gap"] = np.log(np.minimum(gap, 2000) + 8.0)
    return Situations(table, line, _another_player(line, -1), _another_player(line, 1), signs)


def _another_player(line: Timeline, step: int) -> np.ndarray:
    """Row of the nearest event of another player in the same half, before (-1) or after (1), else -1."""
    n = len(line)
    change = np.ones(n, bool)
    change[1:] = (line.player[1:] != line.player[:-1]) | (line.half[1:] != line.half[:-1])
    run = np.cumsum(change) - 1
    first = np.flatnonzero(change)
    last = np.append(first[1:], n) - 1
    rows = last[np.maximum(run - 1, 0)] if step < 0 else first[np.minimum(run + 1, len(first) - 1)]
    there = (run > 0) if step < 0 else (run < len(first) - 1)
    return np.where(there & (line.half[rows] == line.half), rows, -1) if n else np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Bundles:
    """Events of the fitting matches (``signs`` as in :class:`Situations`) with the detections attached to them.

    ``detections`` has, by ``bundle``, ``system`` (0 DST, 1 TAAD), ``lag`` (frames after the event), ``class``,
    ``score``, ``whom``, ``mate`` (whether the named player is of the event's team) and ``player`` (their number); those
    of bundle b begin at ``first[b]``, shape (bundles + 1,).
    """

    signs: dict[str, np.ndarray]
    detections: pd.DataFrame
    first: np.ndarray


def collect_bundles(dst: Events, taad: Events, truth: Events, window: int) -> Bundles:
    """Attach every detection of two systems to an event of the ground truth.

    The event is the nearest one, if another class and another player are counted as so many frames more; a detection
    far from everything goes to the nearest event. ``window`` as in ``join_systems``.
    """
    scene = describe_situations(truth)
    attached = [_attach(clean(events.select(truth.halves), window), scene) for events in (dst, taad)]
    detections = pd.concat([made.assign(system=i) for i, made in enumerate(attached)], ignore_index=True)
    order = np.lexsort((detections["score"], detections["lag"], detections["system"], detections["bundle"]))
    detections = detections.iloc[order].reset_index(drop=True)
    first = np.searchsorted(detections["bundle"].to_numpy(), np.arange(len(scene.table) + 1))
    return Bundles(scene.signs, detections, first)


def _attach(made: pd.DataFrame, scene: Situations) -> pd.DataFrame:
    """The event of each detection and what it says of it."""
    both = pd.concat([scene.table[["half", "frame", "team", "jersey", "class"]], made], ignore_index=True)
    line = make_timeline(both)  # one numbering of players for both
    n = len(scene.table)
    time = line.time[:n]
    rows = np.arange(n, len(line))
    low, high = near_spans(time, line.time[rows], _REACH)
    nearest = _nearest(time, line.half[:n], line.time[rows], line.half[rows])
    low, high = np.where(high > low, low, nearest), np.where(high > low, high, nearest + 1)
    i, j = ranges(low, high - low)
    i = rows[i]
    cost = np.abs(line.time[i] - line.time[j]) + _STRANGER["class"] * (line.class_id[i] != line.class_id[j])
    cost = cost + _STRANGER["player"] * (line.player[i] != line.player[j])
    order = np.lexsort((j, cost, i))
    best = order[np.append(True, i[order][1:] != i[order][:-1])] if len(order) else order
    i, j = i[best], j[best]
    last, following = scene.last[j], scene.next[j]
    named = [line.player[i] == line.player[j]]
    named += [(other >= 0) & (line.player[i] == line.player[other]) for other in (last, following)]
    columns = {"bundle": j, "lag": line.time[i] - line.time[j], "class": line.class_id[i]}
    columns |= {"score": made["score"].to_numpy(), "whom": np.select(named, (ACTOR, LAST, NEXT), OTHER)}
    return pd.DataFrame(columns | {"mate": line.team[i] == line.team[j], "player": line.player[i]})


def _nearest(times: np.ndarray, halves: np.ndarray, time: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Row of the nearest of some sorted events of the same half (a half without events lends the next one's)."""
    right = np.clip(np.searchsorted(times, time), 0, len(times) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(np.abs(times[left] - time) < np.abs(times[right] - time), left, right)


def simulate(
    bundles: Bundles, truth: Events, rng: np.random.Generator, *, spread: float = 0.7, noise: float = 0.15
) -> tuple[Events, Events]:
    """Detections of the two systems on events of which only the ground truth is known.

    ``spread`` says how far from the most similar bundle the choice may stray (scale of Gumbel noise on the distance),
    ``noise`` is the standard deviation of normal noise on the log odds of scores. Returns DST's and TAAD's events.
    """
    scene = describe_situations(truth)
    donor = _choose_bundles(bundles, scene, rng, spread)
    target, row = ranges(bundles.first[donor], bundles.first[donor + 1] - bundles.first[donor])
    replayed = {name: bundles.detections[name].to_numpy()[row] for name in bundles.detections}
    team, jersey = _name_players(scene, target, replayed, rng)
    odds = np.log(replayed["score"] / (1 - replayed["score"]).clip(1e-6)) + rng.normal(0, noise, len(row))
    frame = scene.table["frame"].to_numpy()[target] + replayed["lag"]
    side = np.where(replayed["lag"] < 0, scene.signs["last_gap"][target], scene.signs["next_gap"][target])
    possible = (frame >= 0) & (np.abs(replayed["lag"]) <= np.maximum(np.exp(side), _SURE))
    columns = {"half": scene.table["half"].to_numpy()[target], "frame": frame, "team": team, "jersey": jersey}
    columns |= {"class": replayed["class"], "score": 1 / (1 + np.exp(-odds))}
    chosen = [possible & (replayed["system"] == number) for number in range(len(SYSTEMS))]
    return tuple(make_events(truth.halves, {k: v[rows] for k, v in columns.items()}) for rows in chosen)


def _choose_bundles(
    bundles: Bundles, scene: Situations, rng: np.random.Generator, spread: float, chunk: int = 2000
) -> np.ndarray:
    """A bundle for each event: of its class, near in situation, with some luck; shape (N,)."""
    donor = np.zeros(len(scene.table), np.int64)
    for number in range(1, N_CLASSES):
        pool = np.flatnonzero(bundles.signs["class"] == number)
        pool = pool if len(pool) else np.arange(len(bundles.signs["class"]))  # a class that was never seen
        rows = np.flatnonzero(scene.line.class_id == number)
        for start in range(0, len(rows), chunk):
            chunk_rows = rows[start : start + chunk]
            distance = _distance(scene.signs, chunk_rows, bundles.signs, pool)
            distance -= spread * rng.gumbel(size=distance.shape)
            donor[chunk_rows] = pool[distance.argmin(axis=1)]
    return donor


def _distance(
    ours: dict[str, np.ndarray], rows: np.ndarray, theirs: dict[str, np.ndarray], pool: np.ndarray
) -> np.ndarray:
    """Dissimilarity of situations, shape (rows, pool)."""
    total = np.zeros((len(rows), len(pool)))
    for name, weight in _MISMATCH.items():
        total += weight * (ours[name][rows, None] != theirs[name][None, pool])
    for name in ("last_gap", "next_gap"):
        total += np.abs(ours[name][rows, None] - theirs[name][None, pool])
    return total


def _name_players(
    scene: Situations, target: np.ndarray, replayed: dict[str, np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Team and jersey of replayed detections: the actor's, a neighbour's, or someone else's of the half."""
    line, team, jersey = scene.line, scene.line.team, scene.table["jersey"].to_numpy(np.int64)
    who = np.full(len(target), -1)
    for whom, rows in ((ACTOR, np.arange(len(line))), (LAST, scene.last), (NEXT, scene.next)):
        mine = replayed["whom"] == whom
        who[mine] = rows[target[mine]]
    same_side = (who >= 0) & ((team[who] == team[target]) == replayed["mate"])
    # a player that has no counterpart is drawn once for all detections of a bundle that name them
    pair = np.stack([target, replayed["player"]], axis=1)
    _, first, group = np.unique(pair, axis=0, return_index=True, return_inverse=True)
    side = np.where(replayed["mate"], team[target], 1 - team[target])[first]
    drawn = _draw_players(line, line.half[target][first], side, rng)[group.reshape(-1)]
    who = np.where(same_side, who, drawn)
    return team[who], jersey[who]


def _draw_players(line: Timeline, half: np.ndarray, side: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of random events of given halves and teams: a player who acts often is drawn often."""
    group = line.half * 2 + line.team
    order = np.argsort(group, kind="stable")
    wanted = half * 2 + side
    low = np.searchsorted(group[order], wanted)
    count = np.searchsorted(group[order], wanted, side="right") - low
    place = low + (rng.random(len(wanted)) * count).astype(np.int64)
    return order[np.minimum(place, len(order) - 1)]
