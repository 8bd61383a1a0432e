"""Player tubes of a half, kept so that training need not see the video again: a small square around each player's box.

A tube follows its player: in every frame it is cut around the smoothed box, so that the player stands still in it.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np

from footpass_lib.files import atomic_path, require_room
from footpass_lib.schema import N_SLOTS, FootpassError

_STATE = ("seen", "boxes", "class_id", "filmed")
_HOLDER = "holder"  # tubes that were kept earlier have none


def tubes_path(folder: Path | str, half: str) -> Path:
    """The file with the pixels of a half in a folder of tubes; what else is kept of it lies beside, as ``.npz``."""
    return Path(folder) / f"{half}.npy"


def rows_of(seen: np.ndarray) -> np.ndarray:
    """Row (26, T) int32 of each tube, by frame and slot, where ``seen`` (26, T); -1 elsewhere."""
    return np.where(seen, np.cumsum(seen.T.ravel()).reshape(-1, N_SLOTS).T - 1, -1).astype(np.int32)


def write_tubes(
    path: Path | str, pieces: Iterable[np.ndarray], side: int, seen: np.ndarray, boxes: np.ndarray,
    class_id: np.ndarray, filmed: np.ndarray, key: str = "", holder: np.ndarray | None = None,
) -> None:  # fmt: skip
    """Keep the tubes of a half: uint8 (n, side, side, 3) in ``pieces``, by frame and slot where ``seen`` (26, T).

    ``boxes`` (N, 4) float32 are x0, y0, x1, y1 in pixels of the tubes; ``class_id`` (26, T) are the events, ``filmed``
    (T,) bool the frames that there are pictures of, ``holder`` (26, T) who holds the slots. Both files are written
    atomically, the small one, with the ``key`` of what they were made from, last.
    """
    n, path = int(seen.sum()), Path(path)
    with atomic_path(path) as part:
        require_room(part, n * side * side * 3)
        rows = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=(n, side, side, 3))
        first = 0
        for piece in pieces:
            rows[first : first + len(piece)] = piece
            first += len(piece)
        rows.flush()
        if first != n:
            raise FootpassError(f"{path}: {first} tubes were cut; expected {n}, one for each box")
    state = dict(zip(_STATE, (seen, boxes.astype(np.float32), class_id, filmed), strict=True))
    if holder is not None:
        state[_HOLDER] = holder
    with atomic_path(path.with_suffix(".npz")) as part, part.open("wb") as stream:
        np.savez_compressed(stream, key=np.array(key), **state)


class TubeHalf:
    """The tubes of one half from :func:`write_tubes`, opened when needed, in each process anew.

    FootpassError when something is read, if a file is missing or damaged.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def __getstate__(self) -> dict:
        return {"path": self.path}

    @cached_property
    def _state(self) -> dict[str, np.ndarray]:
        try:
            with np.load(self.path.with_suffix(".npz")) as kept:
                return {name: kept[name] for name in ("key", *_STATE, *({_HOLDER} & set(kept.files)))}
        except (OSError, ValueError, KeyError) as error:
            raise FootpassError(f"{self.path}: cannot be read as player tubes ({error})") from error

    @cached_property
    def rows(self) -> np.ndarray:
        """Pixels uint8 (N, side, side, 3), by frame and slot, mapped into memory."""
        try:
            rows = np.load(self.path, mmap_mode="r", allow_pickle=False)
            rows._mmap.madvise(mmap.MADV_RANDOM)  # no reading ahead: it would push what is needed out of the memory
            return rows
        except (OSError, ValueError) as error:
            raise FootpassError(f"{self.path}: cannot be read as player tubes ({error})") from error

    @cached_property
    def row_of(self) -> np.ndarray:
        """Row (26, T) int32 of each slot and frame, -1 where there is none."""
        return rows_of(self.seen)

    @property
    def key(self) -> str:
        """What the tubes were made from."""
        return str(self._state["key"])

    @property
    def seen(self) -> np.ndarray:
        """Where (26, T) there is a tube."""
        return self._state["seen"]

    @property
    def boxes(self) -> np.ndarray:
        """x0, y0, x1, y1 (N, 4) of the rows, pixels of the tube."""
        return self._state["boxes"]

    @property
    def class_id(self) -> np.ndarray:
        """Class (26, T) of the event in a frame, 0 for none."""
        return self._state["class_id"]

    @property
    def holder(self) -> np.ndarray | None:
        """Who holds each slot (26, T), where that was kept."""
        return self._state.get(_HOLDER)

    @property
    def filmed(self) -> np.ndarray:
        """Frames (T,) that there are pictures of."""
        return self._state["filmed"]

    @property
    def n_frames(self) -> int:
        """Number of frames T."""
        return self.seen.shape[1]


def read_key(path: Path | str) -> str | None:
    """What a half's tubes were made from; None if there are none, or damaged ones."""
    half = TubeHalf(path)
    try:
        return half.key if half.path.is_file() else None
    except FootpassError:
        return None
