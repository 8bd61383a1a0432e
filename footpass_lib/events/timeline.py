"""One time axis for the events of all halves, and questions about neighbours on it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import pandas as pd

from footpass_lib.events.near import near_rows
from footpass_lib.schema import parse_half

COLUMNS = ["half", "frame", "team", "jersey", "class"]  # what a timeline is made of
SAME_PLAYER, TEAM_MATE, OPPONENT = range(3)  # in the order of ``statistics.RELATIONS``
NOBODY = 3
_HALF_LENGTH = 1 << 22  # frames between the zeros of two halves: no window reaches across


@dataclass(frozen=True)
class Timeline:
    """Candidates (or events) of any number of halves as arrays (N,), by time: frames on an axis where halves lie apart.

    ``half`` and ``player`` are numbers. A player keeps theirs all match: (team, jersey) of the first half is
    (1 - team, jersey) of the second.
    """

    time: np.ndarray
    half: np.ndarray
    team: np.ndarray
    player: np.ndarray
    class_id: np.ndarray

    def __len__(self) -> int:
        return len(self.time)

    def part(self, rows: slice | np.ndarray) -> Timeline:
        """Some of the rows, numbered as here."""
        return Timeline(*(getattr(self, field.name)[rows] for field in fields(self)))

    def relation(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Who acts in row ``j``, seen from row ``i`` of the same half: the same player, a team-mate or an opponent."""
        other = np.where(self.team[i] == self.team[j], TEAM_MATE, OPPONENT)
        return np.where(self.player[i] == self.player[j], SAME_PLAYER, other)


def sort_by_time(table: pd.DataFrame) -> pd.DataFrame:
    """Sort by game, half, frame, team, jersey and class, so that every later step sees one order."""
    names = table["half"].unique()
    place = table["half"].map({half: number for number, half in enumerate(sorted(names, key=parse_half))})
    columns = [table[name].to_numpy() for name in ("class", "jersey", "team", "frame")]
    return table.iloc[np.lexsort((*columns, place.to_numpy()))].reset_index(drop=True)


def make_timeline(table: pd.DataFrame) -> Timeline:
    """The timeline of a table with ``half, frame, team, jersey, class``, sorted as :func:`sort_by_time` sorts."""
    names = table["half"].unique().tolist()
    half = table["half"].map({name: i for i, name in enumerate(names)}).to_numpy(np.int64)
    game, number = np.array([parse_half(name) for name in names], dtype=np.int64).reshape(-1, 2)[half].T
    team, jersey = (table[name].to_numpy(np.int64) for name in ("team", "jersey"))
    side = np.where(number == 1, team, 1 - team)
    player = np.unique((game * 2 + side) * 1000 + jersey, return_inverse=True)[1]
    time = half * _HALF_LENGTH + table["frame"].to_numpy(np.int64)
    return Timeline(time, half, team, player, table["class"].to_numpy(np.int64))


class Pairs(NamedTuple):
    """Pairs of rows that are near each other, arrays (P,): rows and ``lag``, the time of ``j`` minus that of ``i``."""

    i: np.ndarray
    j: np.ndarray
    lag: np.ndarray


def near_pairs(line: Timeline, window: int) -> Pairs:
    """All ordered pairs of different rows at most ``window`` frames apart, by ``i``, then ``j``."""
    i, j = near_rows(line.time, line.time, window)
    other = i != j
    i, j = i[other], j[other]
    return Pairs(i, j, line.time[j] - line.time[i])


def sequence_neighbours(
    line: Timeline, member: np.ndarray, count: int, rival_window: int
) -> tuple[np.ndarray, np.ndarray]:
    """For each row the nearest members of a sequence before and after it that could be true beside it.

    Rows, two arrays (N, count), the nearest first; -1 where the half has no more. ``member`` (N,) says which rows are
    in the sequence. A member of the same player within ``rival_window`` frames is a rival and no neighbour.
    """
    rows = np.flatnonzero(member)
    place = np.searchsorted(rows, np.arange(len(line)))
    steps = np.arange(count + 2)
    sides = (place[:, None] - 1 - steps, place[:, None] + member[:, None] + steps)
    return tuple(_first_real(line, rows, positions, count, rival_window) for positions in sides)


def _first_real(line: Timeline, rows: np.ndarray, positions: np.ndarray, count: int, rival_window: int) -> np.ndarray:
    """Of the members at some positions, those of the same half that are no rivals; the first ``count``, else -1."""
    if not len(rows):
        return np.full((len(line), count), -1)
    own = np.arange(len(line))[:, None]
    found = rows[np.clip(positions, 0, len(rows) - 1)]
    good = (positions >= 0) & (positions < len(rows)) & (line.half[found] == line.half[own])
    good &= (line.player[found] != line.player[own]) | (np.abs(line.time[found] - line.time[own]) > rival_window)
    order = np.argsort(~good, axis=1, kind="stable")[:, :count]
    return np.where(np.take_along_axis(good, order, 1), np.take_along_axis(found, order, 1), -1)
