"""Short windows of real detector output, by what the player was doing: the bank that logits of other play come from.

Start at :func:`collect_windows`; ``drawn`` draws from a bank. What stands out in a player's time are its anchors: an
event of his, a gesture that looks like one, an event of somebody else near him. All else is a bystander's time.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.ndimage import maximum_filter1d

from footpass_lib.data.known import KnownHalf
from footpass_lib.data.logits import background_logits
from footpass_lib.files import atomic_path
from footpass_lib.schema import EVENT_CLASSES, N_CLASSES, N_SLOTS, PITCH, FootpassError

REACH = 16  # frames of a window before and after its centre
WIDTH = 2 * REACH + 1
NEAR_BALL = 6.0  # metres

# Kinds of windows: 1 to 8 are events of the player himself, BESIDE + 1 to 8 those of another while he is near the ball.
FAR, NEAR, GESTURE = 0, len(EVENT_CLASSES) + 1, len(EVENT_CLASSES) + 2
BESIDE = GESTURE
KINDS = ("far", *EVENT_CLASSES, "near", "gesture", *(f"beside {name}" for name in EVENT_CLASSES))

_LEAST = 4  # frames that a player must be seen before and after an anchor
_STEPS = {NEAR: 11, FAR: 33}  # frames from one bystander's window to the next; there are many more far ones


@dataclass(frozen=True, eq=False)
class WindowBank:
    """N windows of one player's logits from S sources at once; FootpassError if the arrays do not fit together.

    A window may be used from ``reach[:, 0]`` frames before its centre to ``reach[:, 1]`` after it: beyond, the player
    was not seen, or something else stands out. A bystander's may be used as a whole.
    """

    sources: tuple[str, ...]
    logits: np.ndarray  # float16 (N, 33, S, 9), the centre at 16
    kind: np.ndarray  # uint8 (N,) index into KINDS
    reach: np.ndarray  # uint8 (N, 2)

    def __post_init__(self) -> None:
        n = len(self.kind)
        expected = (n, WIDTH, len(self.sources), N_CLASSES), (n,), (n, 2)
        found = self.logits.shape, self.kind.shape, self.reach.shape
        if found != expected or (n and (self.kind.max() >= len(KINDS) or self.reach.max() > REACH)):
            raise FootpassError(f"a bank with logits, kinds and reaches of shapes {found}; expected {expected}")

    def __len__(self) -> int:
        return len(self.kind)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Number of windows of each kind, by its name."""
        return {name: len(pool) for name, pool in zip(KINDS, self._pools, strict=True)}

    @cached_property
    def _pools(self) -> list[np.ndarray]:
        return [np.flatnonzero(self.kind == kind) for kind in range(len(KINDS))]

    def has(self, kind: int) -> bool:
        """Whether there is a window of this kind."""
        return len(self._pools[kind]) > 0

    def draw(self, kind: int, shape: int | tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Numbers of windows of one kind, evenly drawn; FootpassError if there is none."""
        if not self.has(kind):
            counted = ", ".join(f"{n} {name}" for name, n in self.counts.items() if n) or "none"
            raise FootpassError(f"the bank has no window of kind {KINDS[kind]!r}; it has {counted}")
        return self._pools[kind][rng.integers(len(self._pools[kind]), size=shape)]

    def save(self, path: Path | str) -> None:
        """Write the bank to an .npz file, atomically; FootpassError if that cannot be done."""
        with atomic_path(path) as part, part.open("wb") as stream:
            arrays = {"logits": self.logits, "kind": self.kind, "reach": self.reach}
            np.savez_compressed(stream, sources=np.array(self.sources), **arrays)


def load_bank(path: Path | str) -> WindowBank:
    """A bank that was saved; FootpassError, naming the file, if it is missing, damaged or something else."""
    path = Path(path)
    if not path.is_file():
        raise FootpassError(f"{path}: there is no such file; expected a bank of windows")
    try:
        with np.load(path) as stored:
            names = tuple(str(name) for name in stored["sources"])
            return WindowBank(names, stored["logits"], stored["kind"], stored["reach"])
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FootpassError(f"{path}: cannot be read as a bank of windows ({error})") from error


def join_banks(banks: Iterable[WindowBank]) -> WindowBank:
    """All windows of several banks; FootpassError if there is none, or if their sources differ."""
    banks = list(banks)
    if len({bank.sources for bank in banks}) != 1:
        found = "; ".join(sorted({", ".join(bank.sources) for bank in banks})) or "no bank"
        raise FootpassError(f"banks of the same sources are joined, found {found}")
    arrays = (np.concatenate([getattr(bank, name) for bank in banks]) for name in ("logits", "kind", "reach"))
    return WindowBank(banks[0].sources, *arrays)


def fill_kinds(bank: WindowBank) -> tuple[WindowBank, dict[str, str]]:
    """A bank that has windows of all kinds that play may ask for, and by name which kinds others stand in for.

    Where no event or gesture of a kind was collected, windows of bystanders near the ball stand in: the detectors are
    taken to see nothing of it, as of a player whom they miss. For these, if there are none, those of bystanders far
    away. Windows beside another's event may be missing, see ``drawn``. FootpassError if nobody was far from the ball.
    """
    borrowed, parts = {}, [bank]
    nearest = NEAR if bank.has(NEAR) else FAR
    for kind in (*range(1, NEAR), NEAR, GESTURE):
        if not bank.has(kind):
            rows = np.flatnonzero(bank.kind == nearest)
            if not len(rows):
                bank.draw(nearest, 1, np.random.default_rng(0))  # says what there is instead
            lent = np.full(len(rows), kind, np.uint8)
            parts.append(WindowBank(bank.sources, bank.logits[rows], lent, bank.reach[rows]))
            borrowed[KINDS[kind]] = KINDS[nearest]
    return join_banks(parts), borrowed


def collect_windows(known: KnownHalf, logits: Mapping[str, np.ndarray]) -> WindowBank:
    """The windows of a half that detectors have not learned from, and whose logits (9, 26, T) are given by source.

    Those around anchors, of players who are seen from 4 frames before to 4 after; and of bystanders seen throughout,
    one every 11 frames near the ball and every 33 elsewhere. FootpassError if logits have another shape.
    """
    values = _by_player(known, logits)
    seen = (values[:, :, 0] != background_logits(1)[:, 0, 0]).any(axis=2)
    seen_around, near = _seen_around(seen), near_ball(known)
    anchors = find_anchors(known, near)
    run = seen_around[anchors[:, 1], anchors[:, 0]]  # (A, 2)
    clear = (run >= _LEAST).all(axis=1)
    found = [anchors[clear]]
    reach = [np.minimum(anchor_room(anchors), run)[clear]]
    calm = (seen_around >= REACH).all(axis=2) & ~_around(anchors, seen.shape)
    for kind, step in _STEPS.items():
        due = np.arange(seen.shape[1]) % step == step // 2
        slot, index = np.nonzero(calm & due & (near == (kind == NEAR)))
        found.append(np.stack([index, slot, np.full(len(slot), kind)], axis=1))
        reach.append(np.full((len(slot), 2), REACH))
    index, slot, kind = np.concatenate(found).T
    frames = (index[:, None] + np.arange(-REACH, REACH + 1)).clip(0, seen.shape[1] - 1)
    windows = np.ascontiguousarray(values[slot[:, None], frames])
    return WindowBank(tuple(logits), windows, kind.astype(np.uint8), np.concatenate(reach).astype(np.uint8))


def _by_player(known: KnownHalf, logits: Mapping[str, np.ndarray]) -> np.ndarray:
    """Logits as float16 (26, T, S, 9)."""
    expected = (N_CLASSES, N_SLOTS, known.tactical.n_frames)
    for source, values in logits.items():
        if values.shape != expected:
            raise FootpassError(
                f"{known.tactical.half}: {source} logits have shape {values.shape}, expected {expected}"
            )
    return np.stack([values.transpose(1, 2, 0) for values in logits.values()], axis=2).astype(np.float16)


def _seen_around(seen: np.ndarray) -> np.ndarray:
    """For how many frames in a row before and after each one a player is seen, (26, T, 2); -1 where he is not."""
    n_frames = seen.shape[1]
    time = np.arange(n_frames)
    before = np.maximum.accumulate(np.where(seen, -1, time), axis=1)
    after = np.minimum.accumulate(np.where(seen, n_frames, time)[:, ::-1], axis=1)[:, ::-1]
    return np.where(seen[..., None], np.stack([time - before, after - time], axis=2) - 1, -1)


def near_ball(known: KnownHalf) -> np.ndarray:
    """Who is within 6 m of the ball, bool (26, T); where the tracker has no position, nobody is."""
    away = np.linalg.norm(known.tactical.position * np.float32(PITCH) - known.ball, axis=2)
    return np.nan_to_num(away, nan=np.inf) < NEAR_BALL


def find_anchors(known: KnownHalf, near: np.ndarray) -> np.ndarray:
    """What stands out in the players' time, int64 (A, 3): index, slot and kind, by slot and index.

    All events; gestures further than 16 frames from an event of the player; and whoever is ``near`` the ball at an
    event of another, unless something of his own is as close.
    """
    class_id = known.tactical.class_id
    slot, index = np.nonzero(class_id)
    anchors = np.stack([index, slot, class_id[slot, index]], axis=1).astype(np.int64)
    gestures = np.insert(known.gestures, 2, GESTURE, axis=1)
    beside, event = np.nonzero(near[:, index])
    others = np.stack([index[event], beside, BESIDE + anchors[event, 2]], axis=1)
    for extra in (gestures, others):
        taken = _around(anchors, class_id.shape)
        anchors = np.concatenate([anchors, extra[~taken[extra[:, 1], extra[:, 0]]]])
    return anchors[np.lexsort((anchors[:, 0], anchors[:, 1]))]


def _around(anchors: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Where an anchor of the player is at most 16 frames away, bool (26, T)."""
    there = np.zeros(shape, np.uint8)
    there[anchors[:, 1], anchors[:, 0]] = 1
    return maximum_filter1d(there, WIDTH, axis=1, mode="constant") > 0


def anchor_room(anchors: np.ndarray) -> np.ndarray:
    """Frames before and after each anchor that are nearer to it than to another of its player, at most 16: (A, 2)."""
    gap = np.where(np.diff(anchors[:, 1]) == 0, np.diff(anchors[:, 0]), WIDTH)
    before, after = np.insert(gap, 0, WIDTH)[: len(anchors)], np.append(gap, WIDTH)[: len(anchors)]
    return np.minimum(np.stack([(before - 1) // 2, after // 2], axis=1), REACH)
