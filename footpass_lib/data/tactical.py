"""The tactical HDF5, one table of player rows a half: read it half by half, and write it."""

from __future__ import annotations

import difflib
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from footpass_lib.data.half import TacticalHalf, dense_half
from footpass_lib.data.rows import check_rows
from footpass_lib.files import atomic_path, require_room
from footpass_lib.schema import HALF_NAME, FootpassError, parse_half

_CHUNK_ROWS = 16384
# Compressions that come as plugins, by their registered number.
_PLUGINS = {307: "bzip2", 32000: "LZF", 32001: "Blosc", 32004: "LZ4", 32008: "bitshuffle", 32013: "ZFP",
            32015: "Zstandard", 32026: "Blosc2"}  # fmt: skip


class TacticalFile:
    """A tactical HDF5 file, read half by half.

    The file is open only while something is read from it, and a pickled copy leaves the cache behind: the object may
    be made in one process and used in others, forked or spawned. The ``cached_halves`` used last are kept in memory
    (about 80 MB for 50 minutes). ``drop_unassigned`` as in :func:`check_rows`.
    """

    def __init__(self, path: Path | str, cached_halves: int = 2, drop_unassigned: bool = False) -> None:
        self.path = Path(path)
        self.cached_halves = cached_halves
        self.drop_unassigned = drop_unassigned
        self._halves: tuple[str, ...] | None = None
        self._cache: OrderedDict[str, TacticalHalf] = OrderedDict()

    def __enter__(self) -> TacticalFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_cache": OrderedDict()}

    def close(self) -> None:
        """Forget the cached halves."""
        self._cache.clear()

    @property
    def halves(self) -> tuple[str, ...]:
        """Names of the halves, by match and half; what has another name is skipped, with a warning.

        FootpassError if the file is missing, cut short or no HDF5, or holds no half.
        """
        if self._halves is None:
            with _open(self.path) as file, _damage_named(self.path):
                names = list(file)
            halves = sorted((name for name in names if HALF_NAME.fullmatch(name)), key=parse_half)
            others = ", ".join(repr(name)[:60] for name in names if name not in halves)
            if not halves:
                found = f", found {others[:200]}" if others else ""
                raise FootpassError(f"{self.path}: holds no half; expected datasets named game_<i>_H<1|2>{found}")
            if others:
                warnings.warn(f"{self.path}: skipped {others[:200]}: no name of a half", stacklevel=2)
            self._halves = tuple(halves)
        return self._halves

    def rows(self, half: str) -> np.ndarray:
        """The unchecked rows of a half, float32 of shape (N, 13 or 14); errors as in :meth:`half`."""
        if half not in self.halves:
            near = difflib.get_close_matches(str(half), self.halves, n=3, cutoff=0.5) or self.halves[:3]
            raise FootpassError(f"{self.path}: has no half {half!r}; near names: {', '.join(near)}")
        with _open(self.path) as file, _damage_named(f"{self.path}: {half}"):
            table = file[half]
            if not isinstance(table, h5py.Dataset) or table.dtype.kind != "f" or table.shape is None:
                raise FootpassError(f"{self.path}: {half}: expected a dataset of float32, found {table!r}")
            _require_filters(table, f"{self.path}: {half}")
            return np.asarray(table[()], np.float32)

    def half(self, half: str) -> TacticalHalf:
        """One half as arrays; see :func:`dense_half`. A warning says how many rows had to be dropped, and why.

        FootpassError if the file cannot be read, has no such half (the message lists near names), or a row is bad.
        """
        if half in self._cache:
            self._cache.move_to_end(half)
            return self._cache[half]
        dense = dense_half(self.rows(half), half, source=self.path, drop_unassigned=self.drop_unassigned)
        if dense.dropped():
            warnings.warn(f"{self.path}: {dense.dropped()}", stacklevel=2)
        self._cache[half] = dense
        while len(self._cache) > self.cached_halves:
            self._cache.popitem(last=False)
        return dense


def write_tactical(
    path: Path | str, halves: Mapping[str, np.ndarray] | Iterable[tuple[str, np.ndarray]], level: int = 1
) -> None:
    """Write a tactical file, atomically, checking it as the reader would; equal rows give equal bytes.

    The rows of each half, shape (N, 13 or 14), are stored as float32. An iterable of pairs is consumed half by half, so
    that a season need not be in memory. ``level`` is the effort of the gzip compression, 0 to 9. FootpassError if a row
    is bad, a half comes twice or none comes, or the file cannot be written.
    """
    pairs = halves.items() if isinstance(halves, Mapping) else halves
    with atomic_path(path) as part, h5py.File(part, "w") as file:
        for half, table in pairs:
            rows = np.asarray(table, np.float32)
            check_rows(rows, half, path)
            if half in file:
                raise FootpassError(f"{path}: {half} comes twice")
            require_room(part, rows.nbytes)
            chunk = (min(len(rows), _CHUNK_ROWS), rows.shape[1])
            file.create_dataset(half, data=rows, chunks=chunk, compression="gzip", compression_opts=level, shuffle=True)
        if not len(file):
            raise FootpassError(f"{path}: there is no half to write")


def _require_filters(table: h5py.Dataset, place: str) -> None:
    """FootpassError that names a compression which this HDF5 lacks; reading would call the file damaged."""
    plan = table.id.get_create_plist()
    for code in (plan.get_filter(i)[0] for i in range(plan.get_nfilters())):
        if not h5py.h5z.filter_avail(code):
            name = _PLUGINS.get(code, "a filter of its own")
            raise FootpassError(
                f"{place}: is compressed with {name} (HDF5 filter {code}), and its plugin is missing here; expected "
                "gzip, which h5repack -f GZIP=1 makes of it where the plugin is installed"
            )


@contextmanager
def _damage_named(place: Path | str) -> Iterator[None]:
    """One clear error for the many kinds that h5py raises where bytes are wrong (a giant table is a MemoryError)."""
    try:
        yield
    except FootpassError:
        raise
    except (OSError, KeyError, RuntimeError, TypeError, ValueError, MemoryError) as error:
        raise FootpassError(f"{place}: cannot be read, the file is damaged ({error})") from error


@contextmanager
def _open(path: Path) -> Iterator[h5py.File]:
    """Open for reading, with one clear error for whatever keeps the file from being opened."""
    if not path.is_file():
        raise FootpassError(f"{path}: there is no such file; expected a tactical HDF5 file")
    try:
        file = h5py.File(path, "r", locking="best-effort")
    except OSError as error:
        reason = "cut short" if "truncated" in str(error) else "no HDF5 file, or damaged"
        raise FootpassError(f"{path}: {reason} ({error})") from error
    with file:
        yield file
