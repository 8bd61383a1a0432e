"""What a detector says of a player and a class around a frame: read from its logits, or from a file of its detections.

Post-processing asks every detector the same two questions, whatever its output looks like: how high does the evidence
for this player and class rise within a window, and where; and how high does it rise for each of their team-mates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from footpass_lib.data.boxes import short_gaps
from footpass_lib.data.half import TacticalHalf
from footpass_lib.data.logits import background_logits, read_logits
from footpass_lib.events.near import near_rows
from footpass_lib.events.playbyplay import UNKNOWN, Events
from footpass_lib.schema import N_CLASSES, N_ROLES, N_SLOTS, FootpassError

Kind = Literal["probability", "logit"]
_JERSEYS = 1000  # a player is numbered team * 1000 + jersey
_FRAME_BITS = 32


class Peaks(NamedTuple):
    """Evidence near events: its highest value, and the absolute frame where it is reached.

    Of equally high frames the one nearest to the event counts, then the earlier. Where there is no evidence, the value
    is NaN and the frame -1.
    """

    value: np.ndarray
    frame: np.ndarray


class TeamPeaks(NamedTuple):
    """Peaks of N events for up to M team-mates each, arrays (N, M): jerseys ascending, filled up with -1 and NaN."""

    jersey: np.ndarray
    value: np.ndarray
    frame: np.ndarray


class _Questions(NamedTuple):
    """Of one half: who (team * 1000 + jersey), what, and around which frame; arrays (Q,)."""

    player: np.ndarray
    class_id: np.ndarray
    frame: np.ndarray


class Evidence(ABC):
    """What one detector says of some halves; see :func:`detection_evidence` and :func:`logit_evidence`."""

    def __init__(self, halves: Mapping[str, _Detections | _Logits]) -> None:
        self._halves = halves

    @property
    def halves(self) -> tuple[str, ...]:
        """Halves that the detector was run on."""
        return tuple(self._halves)

    def players(self, half: str) -> np.ndarray:
        """Everybody the detector can speak of, ``team * 1000 + jersey``, ascending."""
        return self._halves[half].players

    @abstractmethod
    def _readings(self, half: str, asked: _Questions, window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All there is on the questions within the window: number of the question, frame and value, arrays (R,)."""

    def peaks(self, events: Events, window: int) -> Peaks:
        """Highest evidence for the player and class of each of N events, within ``window`` frames of it; arrays (N,).

        There is none for a player whom the detector never sees near the event. Refused is a half with events that the
        detector was not run on.
        """
        result = Peaks(np.full(len(events), np.nan), np.full(len(events), -1))
        player, class_id, frame = _questions(events)
        for half, rows in self._by_half(events, window):
            found = self._ask(half, _Questions(player[rows], class_id[rows], frame[rows]), window)
            result.value[rows], result.frame[rows] = found
        return result

    def team_peaks(self, events: Events, window: int) -> TeamPeaks:
        """As :meth:`peaks`, for the class of each event and every team-mate of its player, the player left out."""
        player, class_id, frame = _questions(events)
        by_half = self._by_half(events, window)
        sizes = [np.bincount(self.players(half) // _JERSEYS).max(initial=0) for half, _ in by_half]
        shape = len(events), max(sizes, default=0)
        result = TeamPeaks(np.full(shape, -1), np.full(shape, np.nan), np.full(shape, -1))
        for half, rows in by_half:
            known = self.players(half)
            team_mate = (known // _JERSEYS == player[rows, None] // _JERSEYS) & (known != player[rows, None])
            event, who = np.nonzero(team_mate)
            place = np.cumsum(team_mate, axis=1)[event, who] - 1
            asked = rows[event]
            found = self._ask(half, _Questions(known[who], class_id[asked], frame[asked]), window)
            result.jersey[asked, place] = known[who] % _JERSEYS
            result.value[asked, place], result.frame[asked, place] = found
        return result

    def _by_half(self, events: Events, window: int) -> list[tuple[str, np.ndarray]]:
        if window < 0:
            raise FootpassError(f"evidence: window={window}, expected 0 or more frames")
        rows = events.table.groupby("half", sort=False).indices
        for half in rows:
            if half not in self.halves:
                known = ", ".join(self.halves) or "no half"
                raise FootpassError(f"{half}: there are events but no evidence; the detector was run on {known}")
        return list(rows.items())

    def _ask(self, half: str, asked: _Questions, window: int) -> Peaks:
        """The best reading on each question."""
        question, frame, value = self._readings(half, asked, window)
        order = np.lexsort((frame, np.abs(frame - asked.frame[question]), -value, question))
        answered, first = np.unique(question[order], return_index=True)
        result = Peaks(np.full(len(asked.frame), np.nan), np.full(len(asked.frame), -1))
        result.value[answered], result.frame[answered] = value[order][first], frame[order][first]
        return result


def _questions(events: Events) -> _Questions:
    team, jersey, class_id, frame = (
        events.table[name].to_numpy(np.int64) for name in ("team", "jersey", "class", "frame")
    )
    # of an unknown player, who is no team-mate of anybody, no detector can speak
    return _Questions(np.where(jersey == UNKNOWN, UNKNOWN, team * _JERSEYS + jersey), class_id, frame)


def _place(asked: _Questions) -> np.ndarray:
    """Player, class and frame in one number: ``(player * 9 + class) << 32 | frame``."""
    return ((asked.player * N_CLASSES + asked.class_id) << _FRAME_BITS) + asked.frame


@dataclass(frozen=True, eq=False)
class _Detections:
    """Detections of a half, sorted by ``_place``."""

    place: np.ndarray
    score: np.ndarray
    players: np.ndarray


class DetectionEvidence(Evidence):
    """Made by :func:`detection_evidence`."""

    def _readings(self, half: str, asked: _Questions, window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        detections = self._halves[half]
        # frames have 31 bits, so that no window of as many reaches another group
        window = min(window, (1 << _FRAME_BITS - 1) - 1)
        question, row = near_rows(detections.place, _place(asked), window)
        return question, detections.place[row] & ((1 << _FRAME_BITS) - 1), detections.score[row]


def detection_evidence(detections: Events) -> DetectionEvidence:
    """Evidence from scored events, such as the official TAAD file: the best score of a detection in the window.

    Where no detection of the player and class lies in the window, there is no evidence: such a file does not tell a
    player who does nothing from one who is not seen.
    """
    table = detections.table
    score = table["score"].to_numpy(float)
    if np.isnan(score).any():
        row = int(np.isnan(score).argmax())
        raise FootpassError(f"{table['half'].iloc[row]}, row {row}: has no score; expected detections")
    asked = _questions(detections)
    place = _place(asked)
    rows = table.groupby("half", sort=False).indices
    halves = {}
    for half in detections.halves:
        mine = rows.get(half, np.zeros(0, np.int64))
        mine = mine[asked.player[mine] != UNKNOWN]
        mine = mine[np.argsort(place[mine], kind="stable")]
        halves[half] = _Detections(place[mine], score[mine], np.unique(asked.player[mine]))
    return DetectionEvidence(halves)


@dataclass(frozen=True, eq=False)
class _Logits:
    """Logits (9, 26, T) of a half from its first frame on, its players (P,), and the slot each is seen in (P, T)."""

    first_frame: int
    logits: np.ndarray
    players: np.ndarray
    slot: np.ndarray


class LogitEvidence(Evidence):
    """Made by :func:`logit_evidence`."""

    def __init__(self, halves: dict[str, _Logits], kind: Kind) -> None:
        super().__init__(halves)
        self.kind = kind

    def _readings(self, half: str, asked: _Questions, window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        data = self._halves[half]
        known = np.isin(asked.player, data.players)
        number = np.searchsorted(data.players, asked.player[known])
        index = asked.frame[known, None] - data.first_frame + np.arange(-window, window + 1)  # (K, 2 window + 1)
        inside = (index >= 0) & (index < data.slot.shape[1])
        slot = np.where(inside, data.slot[number[:, None], np.where(inside, index, 0)], -1)
        row, column = np.nonzero(slot >= 0)
        index, slot, question = index[row, column], slot[row, column], np.flatnonzero(known)[row]
        logits = data.logits[:, slot, index].astype(np.float32)  # (9, R)
        value = logits[asked.class_id[question], np.arange(len(question))]
        if self.kind == "probability":
            highest = logits.max(axis=0)
            value = np.exp(value - highest) / np.exp(logits - highest).sum(axis=0)
        return question, index + data.first_frame, value.astype(float)


def logit_evidence(halves: Iterable[tuple[TacticalHalf, np.ndarray]], kind: Kind = "probability") -> LogitEvidence:
    """Evidence from a detector's logits: the probability, or the logit, of the class in the slot that the player is in.

    Each half comes with its logits (9, 26, T), finite. The probability is a softmax over the nine classes. The slot is
    looked up frame by frame: evidence follows a player whose role changes. There is none where the player has no box
    (gaps of fewer than 50 frames between two boxes being filled, as the detector does), whatever the logits hold there.
    """
    if kind not in ("probability", "logit"):
        raise FootpassError(f"kind of evidence must be probability or logit, found {kind!r}")
    return LogitEvidence({half.half: _half_logits(half, logits) for half, logits in halves}, kind)


def read_logit_evidence(path: Path | str, halves: Iterable[TacticalHalf], kind: Kind = "probability") -> LogitEvidence:
    """Evidence from a file of logits (35 MB of memory for 50 minutes); see :func:`logit_evidence`."""
    return logit_evidence(((half, read_logits(path, half.half, half.frames)) for half in halves), kind)


def _half_logits(half: TacticalHalf, logits: np.ndarray) -> _Logits:
    expected = (N_CLASSES, N_SLOTS, half.n_frames)
    if logits.shape != expected:
        raise FootpassError(f"{half.half}: expected logits of shape {expected}, found {logits.shape}")
    finite = np.isfinite(logits).all(axis=0)
    if not finite.all():
        slot, index = np.argwhere(~finite)[0]
        raise FootpassError(f"{half.half}: slot {slot}, frame {half.frames[index]}: a logit is NaN or infinite")
    # the detector writes this where it saw nothing (a box that is too small, say); it is no opinion
    silent = (logits == background_logits(1)).all(axis=0)
    gap, _, after = short_gaps(half.visible)
    same = half.jersey == np.take_along_axis(half.jersey, np.minimum(after, half.n_frames - 1), axis=1)
    player = np.arange(N_SLOTS)[:, None] // N_ROLES * _JERSEYS + half.jersey  # (26, T)
    seen = (half.visible | (gap & same)) & ~silent
    players = np.unique(player[seen])
    slot_of = np.full((len(players), half.n_frames), -1, np.int8)
    # of two slots that show one player, one with a box of its own comes before one whose gap was filled
    for shown in (seen & ~half.visible, seen & half.visible):
        slot, index = np.nonzero(shown)
        slot_of[np.searchsorted(players, player[slot, index]), index] = slot
    return _Logits(half.first_frame, logits, players, slot_of)
