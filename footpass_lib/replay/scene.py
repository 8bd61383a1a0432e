"""Events of a ground truth with what surrounds them, as a replay compares them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from footpass_lib.events.playbyplay import Events
from footpass_lib.events.timeline import Timeline, make_timeline, sort_by_time
from footpass_lib.schema import FootpassError, games_of

GAPS = (30, 100)  # frames between events: short, usual and long
_LONGEST = 2000  # frames; a longer gap tells nothing more


@dataclass(frozen=True, eq=False)
class Scene:
    """Sorted events (N,) of some halves and what surrounds them.

    ``last, next`` (N,) are the nearest events of another player, -1 where the half has none. Events are compared by
    class, ``box``, ``replay``, and ``gap`` (N, 2), the frames since the event before and to the next, whoever acts.
    """

    halves: tuple[str, ...]
    table: pd.DataFrame
    line: Timeline
    last: np.ndarray
    next: np.ndarray
    box: np.ndarray
    replay: np.ndarray
    gap: np.ndarray

    def __len__(self) -> int:
        return len(self.table)

    @property
    def games(self) -> tuple[int, ...]:
        """Numbers of the matches, ascending."""
        return games_of(self.halves)


def describe_scene(truth: Events) -> Scene:
    """Sort a ground truth and look around each of its events; FootpassError if it lacks the fields box and replay."""
    if truth.table[["box", "replay"]].isna().any(axis=None):
        raise FootpassError("replay: the ground truth lacks the fields box and replay")
    table = sort_by_time(truth.table)
    line, rows = make_timeline(table), np.arange(len(table))
    gap = np.empty((len(rows), 2), np.int64)
    for side, step in enumerate((-1, 1)):
        other = np.clip(rows + step, 0, max(len(rows) - 1, 0))
        there = (line.half[other] == line.half) & (other != rows)
        frames = np.where(there, np.abs(line.time[other] - line.time), _LONGEST)
        gap[:, side] = np.minimum(frames, _LONGEST)
    last, following = (_another_player(line, step) for step in (-1, 1))
    box, replay = (table[name].to_numpy(dtype=bool) for name in ("box", "replay"))
    return Scene(truth.halves, table, line, last, following, box, replay, gap)


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


def kinds(scene: Scene) -> np.ndarray:
    """What events are alike in, shape (N, 5), the most important first: class, box, replay, and gaps, in three bins."""
    bins = np.digitize(scene.gap, GAPS)
    return np.column_stack([scene.line.class_id, scene.box, scene.replay, bins[:, ::-1]]).astype(np.int64)


def quiet_stretches(line: Timeline, reach: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where all events are farther than ``reach`` frames, between the first and the last one of a half.

    Arrays (Q,): row of the event before, the time at which a stretch begins, and its frames.
    """
    frames = np.where(np.diff(line.half) == 0, np.diff(line.time), 0) - 2 * reach - 1
    before = np.flatnonzero(frames > 0)
    return before, line.time[before] + reach + 1, frames[before]
