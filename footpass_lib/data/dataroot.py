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
# Folders of videos, the first ones preferred; archives may be unpacked into folders of their names, and come in parts.
_VIDEO_PLACES = tuple(
    f"{above}{folder}"
    for folder in ("videos", "videos_352x640_*", "videos_352x640_*/*", "videos/*", "videos_*", "videos_*/*")
    for above in ("", "data/")
)


def _table_places(split: str) -> tuple[str, ...]:
    """Where a split's tactical file may lie below the root."""
    folder, name = f"tactical_data_{split.upper()}", f"{split}_tactical_data.h5"
    return tuple(f"{above}{name}" for above in ("data/", f"{folder}/", f"data/{folder}/", f"{folder}/{folder}/"))


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

    ``data/<split>_tactical_data.h5`` and ``videos/game_<i>.mp4``, or where the official archives unpack:
    ``tactical_data_VAL/val_tactical_data.h5`` and ``videos_352x640_VAL/game_<i>.mp4``, below the root or below
    ``data/``; of videos in two sizes the smaller one is taken. ``cached_halves`` of each split are kept in memory
    (about 80 MB for 50 minutes); a small data root fits as a whole. ``drop_unassigned`` as in :func:`check_rows`.
    ``limits`` are the halves that a split is limited to, see :meth:`limited`; empty as opened.
    """

    def __init__(self, path: Path | str, cached_halves: int = 2, drop_unassigned: bool = False) -> None:
        self.path = Path(path)
        self.cached_halves = cached_halves
        self.drop_unassigned = drop_unassigned
        self.limits: dict[str, tuple[str, ...]] = {}
        self._tables: dict[str, TacticalFile] = {}
        self._indices: dict[str, SplitIndex] = {}
        self._videos: dict[int, Path] = {}

    def table_path(self, split: str) -> Path:
        """The tactical file of a split; FootpassError, with the places looked at, if there is none."""
        if split not in SPLITS:
            raise FootpassError(f"{self.path}: unknown split {split!r}; expected one of {', '.join(SPLITS)}")
        places = [self.path / place for place in _table_places(split)]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            listed = ", ".join(map(str, places))
            raise FootpassError(f"{self.path}: has no tactical file of {split}; looked at {listed}")
        return found

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that there are tables of."""
        return tuple(split for split in SPLITS if any((self.path / place).is_file() for place in _table_places(split)))

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
        part = DataRoot(self.path, self.cached_halves, self.drop_unassigned)
        part._tables, part.limits = self._tables, {**self.limits, split: kept}
        return part

    def half(self, name: str) -> TacticalHalf:
        """One half, whichever split has it; FootpassError if none has, it has a bad name, or it cannot be read."""
        parse_half(name)
        for split in self.splits:
            if name in self._table(split).halves:
                return self._table(split).half(name)
        raise FootpassError(f"{self.path}: no split has {name}; looked through {', '.join(self.splits) or 'none'}")

    def video(self, game: int) -> Path:
        """The video of a match; FootpassError if it is missing."""
        if game not in self._videos:
            name = f"game_{game}.mp4"
            folders = [folder for pattern in _VIDEO_PLACES for folder in sorted(self.path.glob(pattern))]
            found = next((folder / name for folder in folders if (folder / name).is_file()), None)
            if found is None:
                path, looked = self.path / "videos" / name, ", ".join(_VIDEO_PLACES)
                raise FootpassError(f"{path}: there is no such file; expected the video of match {game} in {looked}")
            self._videos[game] = found
        return self._videos[game]

    def index(self, split: str) -> SplitIndex:
        """Halves and events of a split; every half is read once, and the answer is kept.

        Errors as in :meth:`half`, or if the split has no class column.
        """
        if split not in self._indices:
            self._indices[split] = _index(self._table(split).half(name) for name in self.halves(split))
        return self._indices[split]

    def _table(self, split: str) -> TacticalFile:
        if split not in self._tables:
            self._tables[split] = TacticalFile(self.table_path(split), self.cached_halves, self.drop_unassigned)
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
