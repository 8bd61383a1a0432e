"""Windows for the sequence model from detections alone: no positions, and players in slots of any order.

A detection is a peak of one class in the time of one player. Of positions and roles nothing is known, so that the
players of a window stand in random slots of their team's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from footpass_lib.events.playbyplay import Events
from footpass_lib.events.timeline import COLUMNS, sort_by_time
from footpass_lib.samples.tokens import EOS, N_STATE, NEUTRAL, SOS
from footpass_lib.samples.windows import Window, WindowBatch, WindowSettings, collate_windows
from footpass_lib.schema import N_CLASSES, N_ROLES, N_SLOTS, FootpassError

_MARGIN = 25  # frames of a half before and after all that is known of it
_EVIDENCE = 4.0  # of a score of 1, the most that pooled logits can be (as log odds, .5 and .9 would be nearly one)


@dataclass(frozen=True, eq=False)
class DetectedHalf:
    """A half of which only detections are known, and perhaps events.

    ``players`` (P, 2) are teams and jerseys. ``said`` (D, 3) and ``events`` (E, 3) are index, number of the player and
    class, by index; ``score`` (D,). Index 0 is ``first_frame`` of the match's video.
    """

    half: str
    first_frame: int
    n_frames: int
    players: np.ndarray
    said: np.ndarray
    score: np.ndarray
    events: np.ndarray


def detected_halves(detections: Events, truth: Events | None = None) -> list[DetectedHalf]:
    """The halves that have detections, with the events of a ground truth if there is one."""
    known = [detections.table] if truth is None else [detections.table, truth.table]
    made, events = (sort_by_time(table) for table in (known[0], known[-1]))
    halves = []
    for half in detections.halves:
        mine = made[made["half"] == half]
        told = events[events["half"] == half].iloc[: 0 if truth is None else None]
        if not len(mine):
            continue
        both = np.concatenate([mine[COLUMNS[1:]].to_numpy(np.int64), told[COLUMNS[1:]].to_numpy(np.int64)])
        first = max(0, int(both[:, 0].min()) - _MARGIN)
        players, number = np.unique(both[:, 1:3], axis=0, return_inverse=True)
        rows = np.column_stack([both[:, 0] - first, number.reshape(-1), both[:, 3]])
        n_frames = int(rows[:, 0].max()) + 1 + _MARGIN
        n, score = len(mine), mine["score"].to_numpy(float)
        halves.append(DetectedHalf(half, first, n_frames, players, rows[:n], score, rows[n:]))
    return halves


def cut_detections(
    half: DetectedHalf, start: int, settings: WindowSettings, rng: np.random.Generator, swap: bool = False
) -> tuple[Window, np.ndarray]:
    """The window that starts at an index of a half, and the player in each of its slots, (26,), -1 for nobody.

    Who is detected in it gets a random slot of the team's, or of the other team's if teams are to ``swap``; then those
    who only act; a team has 13 slots, and who comes later is left out, with what they do.
    """
    stop = min(start + settings.window, half.n_frames)
    said, events = (rows[slice(*np.searchsorted(rows[:, 0], [start, stop]))] for rows in (half.said, half.events))
    first, last = np.searchsorted(half.said[:, 0], [start, stop])
    player_of, slot_of = _seat(half, said[:, 1], events[:, 1], rng, swap)
    inputs = np.zeros((settings.n_tokens, N_SLOTS, N_STATE + N_CLASSES - 1), np.float32)
    seated = slot_of[said[:, 1]] >= 0
    index, player, class_id = said[seated].T
    place = (index - start) // settings.frames_per_token, slot_of[player], N_STATE + class_id - 1
    np.maximum.at(inputs, place, _EVIDENCE * half.score[first:last][seated])
    tokens, dropped = _tokens(events, slot_of, start, settings.max_tokens)
    return Window(torch.from_numpy(inputs).flatten(1), stop - start, torch.from_numpy(tokens), dropped), player_of


def _seat(
    half: DetectedHalf, said: np.ndarray, act: np.ndarray, rng: np.random.Generator, swap: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The player in each slot, (26,), and the slot of each player, (P,), -1 for nobody and none."""
    player_of, slot_of = np.full(N_SLOTS, -1), np.full(len(half.players), -1)
    seen = np.unique(said)
    order = np.concatenate([rng.permutation(seen), np.setdiff1d(act, seen)])
    for team in (0, 1):
        slots = (team ^ swap) * N_ROLES + rng.permutation(N_ROLES)
        mine = order[half.players[order, 0] == team][:N_ROLES]
        player_of[slots[: len(mine)]], slot_of[mine] = mine, slots[: len(mine)]
    return player_of, slot_of


def _tokens(events: np.ndarray, slot_of: np.ndarray, start: int, max_tokens: int) -> tuple[np.ndarray, int]:
    """Decoder tokens (1 + S, 3), and how many events had to be dropped."""
    index, player, class_id = events[slot_of[events[:, 1]] >= 0].T
    slot, frame = slot_of[player], index - start + 1
    order = np.lexsort((slot, frame))
    written = np.column_stack([class_id - 1, slot, frame])[order]
    after = 1 + (written[-1, 2] if len(written) else 0)
    tokens = np.concatenate([[(SOS, NEUTRAL, 0)], written, [(EOS, NEUTRAL, after)]])
    return tokens[: 1 + max_tokens], max(0, len(written) - max_tokens) + len(events) - len(written)


class DetectedWindows(Dataset):
    """Random windows for training, ``n_per_half`` a half: item i depends on the seed, the epoch and i alone."""

    def __init__(
        self, halves: Sequence[DetectedHalf], settings: WindowSettings, seed: int, epoch: int, n_per_half: int
    ) -> None:
        if not halves or n_per_half < 1 or not settings.pooled:
            found = f"{len(halves)} halves, n_per_half={n_per_half}, pooled={settings.pooled}"
            raise FootpassError(f"windows of detections: {found}; expected 1 or more, and pooled inputs")
        self.halves, self.settings = list(halves), settings
        self.seed, self.epoch, self.n_per_half = seed, epoch, n_per_half

    def __len__(self) -> int:
        return len(self.halves) * self.n_per_half

    def __getitem__(self, i: int) -> Window:
        if not 0 <= i < len(self):
            raise IndexError(f"item {i} of {len(self)}")
        half, rng = self.halves[i // self.n_per_half], np.random.default_rng([self.seed, self.epoch, i])
        start = int(rng.integers(max(1, half.n_frames - self.settings.window + 1)))
        return cut_detections(half, start, self.settings, rng, swap=bool(rng.integers(2)))[0]

    @staticmethod
    def collate(windows: Sequence[Window]) -> WindowBatch:
        return collate_windows(windows)
