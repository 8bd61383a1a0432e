"""Player features of a half, kept so that what is trained on top of a frozen network need not see the video again."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from footpass_lib.data.logits import read_attribute
from footpass_lib.files import atomic_path, require_room
from footpass_lib.schema import N_SLOTS, FootpassError


def feature_path(folder: Path | str, half: str) -> Path:
    """The file of a half in a folder of features."""
    return Path(folder) / f"{half}.h5"


def write_features(path: Path | str, features: np.ndarray, seen: np.ndarray, key: str) -> None:
    """Keep the features (26, T, C) float16 of a half, atomically: those of players with a box, ``seen`` (26, T), alone.

    ``key`` says what they were made from.
    """
    with atomic_path(path) as part, h5py.File(part, "w") as file:
        require_room(part, features.nbytes + seen.nbytes)
        file.attrs["key"] = key
        file["seen"] = seen
        file["rows"] = features.transpose(1, 0, 2)[seen.T]  # (N, C), by frame and slot


def features_key(path: Path | str) -> str | None:
    """What the features of a file were made from; None if there is no such file, or a damaged one."""
    return read_attribute(path, "key")


class HalfFeatures:
    """The features of one half from :func:`write_features`; the file is opened when needed, in each process anew.

    FootpassError when something is read, if the file is missing or holds something else.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._rows: h5py.Dataset | None = None
        self._seen = np.zeros((N_SLOTS, 0), bool)
        self._first = np.zeros(1, np.int64)

    def __getstate__(self) -> dict:
        return {"path": self.path}

    def __setstate__(self, state: dict) -> None:
        self.__init__(state["path"])

    @property
    def n_frames(self) -> int:
        """Number of frames T."""
        self._open()
        return self._seen.shape[1]

    @property
    def channels(self) -> int:
        """Number of features C."""
        return self._open().shape[1]

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Features float16 (26, stop - start, C), 0 where a slot has no box, and where it has one (26, stop - start).

        Frames count from the half's first.
        """
        rows = self._open()
        if not 0 <= start <= stop <= self.n_frames:
            raise FootpassError(f"{self.path}: frames {start} to {stop} were asked for; it has {self.n_frames}")
        seen = self._seen[:, start:stop]
        dense = np.zeros((stop - start, N_SLOTS, rows.shape[1]), np.float16)
        dense[seen.T] = rows[self._first[start] : self._first[stop]]
        return dense.transpose(1, 0, 2), seen

    def _open(self) -> h5py.Dataset:
        if self._rows is None:
            try:
                file = h5py.File(self.path, "r", locking="best-effort")
                self._seen, self._rows = file["seen"][()], file["rows"]
            except (OSError, KeyError) as error:
                raise FootpassError(f"{self.path}: cannot be read as player features ({error})") from error
            self._first = np.concatenate([[0], self._seen.sum(axis=0).cumsum()])
        return self._rows
