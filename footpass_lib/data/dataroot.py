"""A data root in the official layout: which halves a split has, and where their tables and videos are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from footpass_lib.data.half import TacticalHalf
from footpass_lib.data.tactical import TacticalFile
from footpass_lib.schema import FootpassError, game_of, parse_half

SPLITS = ("train", "val", "test", "challenge")  # the official data has no test


@dataclass(frozen=True, eq=False)
class SplitIndex:
    """What a split's clips can be drawn from.

    ``events`` has the columns of :meth:`TacticalHalf.events`, with ``half`` before them and ``visible`` after them (the
    actor has a box in that very frame).
    """

    halves: pd.DataFrame  # one row a half: half, game, first_frame, n_frames
    events: pd.DataFrame


class DataRoot:
    """Tables and videos below one folder; nothing is opened before it is needed, and it may be sent to processes.

    ``data/<split>_tactical_data.h5`` (or, as the official archives unpack, ``tactical_data_VAL/val_tactical_data.h5``,
    below the root or below ``data/``) and ``videos/game_<i>.mp4``. ``cached_halves`` of each split are kept in memory
    (about 80 MB for 50 minutes); a small data root fits as a whole. ``limits`` are the halves that a split is limited
    to, see :meth:`limited`; empty as opened.
    """

    def __init__(self, path: Path | str, cached_halves: int = 2) -> None:
        self.path = Path(path)
        self.cached_halves = cached_halves
        self.limits: dict[str, tuple[str, ...]] = {}
        self._tables: dict[str, TacticalFile] = {}
        self._indices: dict[str, SplitIndex] = {}

    def table_path(self, split: str) -> Path:
        """The tactical file of a split; FootpassError, with the places looked at, if there is none."""
        if split not in SPLITS:
            raise FootpassError(f"{self.path}: unknown split {split!r}; expected one of {', '.join(SPLITS)}")
        name = f"{split}_tactical_data.h5"
        folders = ("data", f"tactical_data_{split.upper()}", f"data/tactical_data_{split.upper()}")
        places = [self.path / folder / name for folder in folders]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            listed = ", ".join(map(str, places))
            raise FootpassError(f"{self.path}: has no tactical file of {split}; looked at {listed}")
        return found

    def halves(self, split: str) -> tuple[str, ...]:
        """Names of a split's halves, by match and half; errors as in :meth:`table_path` and ``TacticalFile``."""
        return self.limits.get(split) or self._table(split).halves

    def limited(self, split: str, games: Iterable[int]) -> DataRoot:
        """The same data root, in which a split has only the halves of these matches; any half can still be read.

        FootpassError if the split has no half of them, or as in :meth:`halves`.
        """
        games = set(games)
        kept = tuple(half for half in self.halves(split) if game_of(half) in games)
        if not kept:
            raise FootpassError(f"{self.path}: {split} has no match of {', '.join(map(str, sorted(games))) or 'none'}")
        part = DataRoot(self.path, self.cached_halves)
        part._tables, part.limits = self._tables, {**self.limits, split: kept}
        return part

    def half(self, name: str) -> TacticalHalf:
        """One half, whichever split has it; FootpassError if none has, it has a bad name, or it cannot be read."""
        parse_half(name)
        present = [split for split in SPLITS if self._has(split)]
        for split in present:
            if name in self._table(split).halves:
                return self._table(split).half(name)
        raise FootpassError(f"{self.path}: no split has {name}; looked through {', '.join(present) or 'none'}")

    def video(self, game: int) -> Path:
        """The video of a match; FootpassError if it is missing."""
        path = self.path / "videos" / f"game_{game}.mp4"
        if not path.is_file():
            raise FootpassError(f"{path}: there is no such file; expected the video of match {game}")
        return path

    def index(self, split: str) -> SplitIndex:
        """Halves and events of a split; every half is read once, and the answer is kept.

        Errors as in :meth:`half`, or if the split has no class column.
        """
        if split not in self._indices:
            self._indices[split] = _index(self._table(split).half(name) for name in self.halves(split))
        return self._indices[split]

    def _has(self, split: str) -> bool:
        try:
            return self.table_path(split).is_file()
        except FootpassError:
            return False

    def _table(self, split: str) -> TacticalFile:
        if split not in self._tables:
            self._tables[split] = TacticalFile(self.table_path(split), self.cached_halves)
        return self._tables[split]


def _index(halves: Iterable[TacticalHalf]) -> SplitIndex:
    rows, events = [], []
    for half in halves:
        rows.append((half.half, game_of(half.half), half.first_frame, half.n_frames))
        table = half.events()
        table.insert(0, "half", half.half)
        table["visible"] = half.visible[table["slot"], half.index_of(table["frame"].to_numpy())]
        events.append(table)
    columns = ["half", "game", "first_frame", "n_frames"]
    return SplitIndex(pd.DataFrame(rows, columns=columns), pd.concat(events, ignore_index=True))
