"""The rows of a tactical table: check them, and turn one half into arrays of slots x frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from footpass_lib.data.boxes import short_gaps
from footpass_lib.schema import N_CLASSES, N_ROLES, N_SLOTS, TACTICAL_COLUMNS, FootpassError, parse_half, slot_of

_MAX_FRAMES = 2**18  # three hours: a stray frame number must not ask for all the memory there is
_BLOCK_ROWS = 8192
# Inclusive ranges of the columns that hold whole numbers.
_RANGES = {
    "frame": (0, 2**24 - 1),  # float32 holds no larger whole numbers without gaps
    "player_id": (0, 99_999),
    "left_to_right": (0, 1),
    "shirt_number": (0, 999),
    "role_id": (1, N_ROLES),
    "class": (0, N_CLASSES - 1),
}
_POSITION = ("x", "y")
_VELOCITY = ("speed_x", "speed_y")
_BOX = ("roi_x", "roi_y", "roi_width", "roi_height")
_Columns = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class TacticalHalf:
    """One half as arrays over the 26 slots and T frames, from the first frame with a row to the last.

    The arrays are read-only, because a :class:`TacticalFile` hands the same half out again. Positions and velocities
    are those of the file (positions normalised to the pitch), NaN where not observed; a speed that the file leaves NaN
    for an observed player is 0. Of several rows of a slot and frame the last wins, except that a row with a box beats
    one without; an event keeps its class whichever row it stands in.
    """

    half: str  # game_<i>_H<1|2>
    first_frame: int  # of the match's video, at index 0 of every array; the second half starts late
    position: np.ndarray  # (26, T, 2) float32
    velocity: np.ndarray  # (26, T, 2) float32
    box: np.ndarray  # (26, T, 4) float32: x0, y0, width, height in pixels of 1920x1080; NaN where not visible
    observed: np.ndarray  # (26, T) bool: the slot has a row with a position in this frame
    visible: np.ndarray  # (26, T) bool: it has one with a complete box
    jersey: np.ndarray  # (26, T) int16: the holder last seen, at first the first to be seen; -1 in a slot never used
    player_id: np.ndarray  # (26, T) int32: the holder's id, filled as the jersey
    class_id: np.ndarray  # (26, T) uint8: class of the event in this frame, 0 for none
    has_classes: bool  # whether the file has the class column (the challenge file has not); else class_id is all 0
    duplicates: int  # rows dropped because their slot and frame have another one

    @property
    def n_frames(self) -> int:
        """Number of frames T."""
        return self.observed.shape[1]

    @property
    def frames(self) -> range:
        """The absolute frame numbers, ``frames[t]`` for index t."""
        return range(self.first_frame, self.first_frame + self.n_frames)

    def index_of(self, frame: np.ndarray | int) -> np.ndarray | int:
        """Index into the arrays of absolute frame numbers, of any shape; FootpassError for one outside the half.

        Such a frame is most often one of another half, or counted from the half's start.
        """
        index = np.asarray(frame) - self.first_frame
        if np.any((index < 0) | (index >= self.n_frames)):
            wrong = np.asarray(frame)[(index < 0) | (index >= self.n_frames)].flat[0]
            raise FootpassError(
                f"{self.half}: frame {wrong} is outside the half; expected {self.frames[0]} to {self.frames[-1]}"
            )
        return index if index.ndim else int(index)

    def events(self) -> pd.DataFrame:
        """The events of the class column, by frame and slot; FootpassError if the file has no such column.

        Columns ``frame`` (absolute), ``slot``, ``team``, ``jersey``, ``class`` and ``has_box`` (the actor has a box
        once gaps of fewer than 50 frames are filled: the ``bbox`` flag of the official ground truth).
        """
        if not self.has_classes:
            raise FootpassError(f"{self.half}: the file has no class column, so it holds no events")
        index, slot = np.nonzero(self.class_id.T)
        has_box = self.visible | short_gaps(self.visible)[0]
        return pd.DataFrame(
            {
                "frame": index + self.first_frame,
                "slot": slot,
                "team": slot // N_ROLES,
                "jersey": self.jersey[slot, index].astype(np.int64),
                "class": self.class_id[slot, index].astype(np.int64),
                "has_box": has_box[slot, index],
            }
        )


def dense_half(rows: np.ndarray, half: str, source: Path | str = "rows") -> TacticalHalf:
    """Arrays over slots and frames from the rows of a half, which may come in any order and leave frames out.

    ``rows`` (N, 13 or 14) float32 has the columns ``schema.TACTICAL_COLUMNS``, the class being optional; ``source`` is
    what an error calls their origin. Errors as in :func:`check_rows`.
    """
    columns = check_rows(rows, half, source)
    first, last = int(columns["frame"].min()), int(columns["frame"].max())
    n_frames = last - first + 1
    if n_frames > _MAX_FRAMES:
        raise FootpassError(f"{source}: {half}: frames {first} to {last}; expected at most {_MAX_FRAMES} of them")
    # cell numbers the (slot, frame) pairs row by row of the dense arrays.
    cell = slot_of(columns["left_to_right"], columns["role_id"]) * n_frames + (columns["frame"] - first)
    class_id = np.zeros((N_SLOTS, n_frames), np.uint8)
    if "class" in columns:
        events = np.flatnonzero(columns["class"])
        class_id.flat[cell[events]] = columns["class"][events]
    has_box = ~np.isnan(sum(columns[name] for name in _BOX))  # NaN in one makes the sum NaN
    kept = _winners(cell, has_box, N_SLOTS * n_frames)
    duplicates = len(rows) - len(kept)
    if duplicates:
        columns = {name: column[kept] for name, column in columns.items()}
        cell, has_box = cell[kept], has_box[kept]
    state = _motion(columns, cell, n_frames) | _boxes(columns, has_box, cell, n_frames)
    state |= _holders(columns, cell, n_frames) | {"class_id": class_id}
    for array in state.values():
        array.flags.writeable = False
    return TacticalHalf(half=half, first_frame=first, has_classes="class" in columns, duplicates=duplicates, **state)


def check_rows(rows: np.ndarray, half: str, source: Path | str = "rows") -> dict[str, np.ndarray]:
    """Check the rows of a half, and return their columns (N,) by name.

    int32 for what is a whole number (frame, ids, class), float32 for positions, speeds and boxes. FootpassError if the
    half's name, the number of columns or a value is wrong, or there is no row; the message names the source, the half,
    the first bad row (0-based) and what was expected.
    """
    try:
        parse_half(half)
    except FootpassError as error:
        raise FootpassError(f"{source}: {error}") from None
    n_columns = len(TACTICAL_COLUMNS)
    if rows.ndim != 2 or rows.shape[1] not in (n_columns - 1, n_columns):
        wanted = f"expected {n_columns} columns, or {n_columns - 1} without the class"
        raise FootpassError(f"{source}: {half}: {wanted}, found shape {rows.shape}")
    if not len(rows):
        raise FootpassError(f"{source}: {half}: has no rows")
    columns = dict(zip(TACTICAL_COLUMNS, _by_column(rows), strict=False))
    for name, column in columns.items():
        if name in _RANGES:
            low, high = _RANGES[name]
            with np.errstate(invalid="ignore"):  # NaN becomes some integer, and the comparison finds it
                columns[name] = column.astype(np.int32)
            wrong = (columns[name] != column) | (column < low) | (column > high)
            _refuse(wrong, column, f"{name} must be a whole number from {low} to {high}", half, source)
        else:
            _refuse(np.isinf(column), column, f"{name} must be finite or NaN", half, source)
    for name in ("roi_width", "roi_height"):
        _refuse(columns[name] < 0, columns[name], f"{name} must not be negative", half, source)
    return columns


def _by_column(rows: np.ndarray) -> np.ndarray:
    """Rows (N, K) as columns (K, N), each contiguous; copied in blocks that fit the cache, twice as fast as at once."""
    columns = np.empty(rows.shape[::-1], np.float32)
    for start in range(0, len(rows), _BLOCK_ROWS):
        columns[:, start : start + _BLOCK_ROWS] = rows[start : start + _BLOCK_ROWS].T
    return columns


def _winners(cell: np.ndarray, has_box: np.ndarray, n_cells: int) -> np.ndarray:
    """Rows to keep, ascending: one for every cell, the last one, but one with a box before one without."""
    order, used = np.arange(len(cell), dtype=np.int32), np.zeros(n_cells, bool)
    used[cell] = True
    if np.count_nonzero(used) == len(cell):  # as in most halves
        return order
    row_of = np.full(n_cells, -1, np.int32)
    row_of[cell[~has_box]] = order[~has_box]  # of repeated cells, the last assignment stays
    row_of[cell[has_box]] = order[has_box]
    return order[row_of[cell] == order]


def _motion(columns: _Columns, cell: np.ndarray, n_frames: int) -> _Columns:
    """Position, velocity and observed over slots and frames; half a position is none, a missing speed is 0."""
    seen = ~np.isnan(columns["x"] + columns["y"])
    position = _spread([columns[name] for name in _POSITION], seen, cell, n_frames)
    velocity = _spread([np.nan_to_num(columns[name]) for name in _VELOCITY], seen, cell, n_frames)
    return {"position": position, "velocity": velocity, "observed": ~np.isnan(position[..., 0])}


def _boxes(columns: _Columns, has_box: np.ndarray, cell: np.ndarray, n_frames: int) -> _Columns:
    """Box and visible over slots and frames."""
    box = _spread([columns[name] for name in _BOX], has_box, cell, n_frames)
    return {"box": box, "visible": ~np.isnan(box[..., 0])}


def _holders(columns: _Columns, cell: np.ndarray, n_frames: int) -> _Columns:
    """Jersey and player_id over slots and frames, filled where the slot has no row."""
    held = {}
    for name, column, kind in (("jersey", "shirt_number", np.int16), ("player_id", "player_id", np.int32)):
        held[name] = np.full((N_SLOTS, n_frames), -1, kind)
        held[name].flat[cell] = columns[column]
    sighted = held["player_id"] >= 0
    for slot in np.flatnonzero(sighted.any(axis=1) & ~sighted.all(axis=1)):
        seen = np.where(
            sighted[slot], np.arange(n_frames), sighted[slot].argmax()
        )  # before the first sighting, the first
        for values in held.values():
            values[slot] = values[slot, np.maximum.accumulate(seen)]
    return held


_WORDS = {2: np.complex64, 4: np.complex128}  # that hold as many float32, and are moved in one go


def _spread(columns: list[np.ndarray], there: np.ndarray, cell: np.ndarray, n_frames: int) -> np.ndarray:
    """Put 2 or 4 columns (N,) into their cells of a (26, T, K) array; NaN elsewhere, and where nothing is there."""
    rows = np.stack([np.where(there, column, np.float32(np.nan)) for column in columns], axis=1)
    dense = np.full((N_SLOTS * n_frames, len(columns)), np.nan, np.float32)
    dense.view(_WORDS[len(columns)])[cell, 0] = rows.view(_WORDS[len(columns)])[:, 0]
    return dense.reshape(N_SLOTS, n_frames, len(columns))


def _refuse(wrong: np.ndarray, column: np.ndarray, expectation: str, half: str, source: Path | str) -> None:
    if wrong.any():
        row = int(wrong.argmax())
        raise FootpassError(f"{source}: {half}, row {row}: {expectation}, found {column[row]:g}")
