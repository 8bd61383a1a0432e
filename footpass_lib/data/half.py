"""One half of a match as arrays of slots x frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from footpass_lib.data.boxes import short_gaps
from footpass_lib.data.rows import Columns, check_rows, choose_rows
from footpass_lib.schema import N_ROLES, N_SLOTS, FootpassError, slot_of

_MAX_FRAMES = 2**18  # three hours: a stray frame number must not ask for all the memory there is
_POSITION = ("x", "y")
_VELOCITY = ("speed_x", "speed_y")
_BOX = ("roi_x", "roi_y", "roi_width", "roi_height")


@dataclass(frozen=True, eq=False)
class TacticalHalf:
    """One half as arrays over the 26 slots and T frames, from the first frame with a row to the last.

    The arrays are read-only, because a :class:`TacticalFile` hands the same half out again. Positions and velocities
    are those of the file (positions normalised to the pitch), NaN where not observed; a speed that the file leaves NaN
    for an observed player is 0. Of several rows of a slot and frame one stays: that of the player who has an event
    there, before one with a box, before the last.
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
    n_rows: int = 0  # rows read, the dropped ones among them
    lost_events: int = 0  # that went with dropped rows, of whatever kind
    unassigned: int = 0  # rows dropped because they have no team, role or shirt

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

    @property
    def box_holder(self) -> np.ndarray | None:
        """Who a slot's boxes are of (26, T), where players shared slots: a gap is then filled between boxes of one.

        None where none did: a gap across a substitution is then filled, too, as by the official rule, one of slots.
        """
        return self.jersey if self.duplicates else None

    def dropped(self) -> str:
        """What was dropped of the table and why, in a line; empty if nothing was."""
        shared = (
            f"{self.half}: {self.duplicates:,} of {self.n_rows:,} rows dropped: another row has their team, role and "
            "frame (the one of the player with an event stays, else one with a box, else the last)"
        )
        nobody = f"{self.half}: {self.unassigned:,} of {self.n_rows:,} rows dropped: without team, role or shirt"
        lost = f"{self.lost_events} event{'s' * (self.lost_events > 1)} went with them"
        counted = ((shared, self.duplicates), (nobody, self.unassigned), (lost, self.lost_events))
        return "; ".join(text for text, n in counted if n)

    def events(self) -> pd.DataFrame:
        """The events of the class column, by frame and slot; FootpassError if the file has no such column.

        Columns ``frame`` (absolute), ``slot``, ``team``, ``jersey``, ``class`` and ``has_box`` (the actor has a box
        once gaps of fewer than 50 frames are filled: the ``bbox`` flag of the official ground truth).
        """
        if not self.has_classes:
            raise FootpassError(f"{self.half}: the file has no class column, so it holds no events")
        index, slot = np.nonzero(self.class_id.T)
        has_box = self.visible | short_gaps(self.visible, holder=self.box_holder)[0]
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


def dense_half(rows: np.ndarray, half: str, source: Path | str = "rows", drop_unassigned: bool = False) -> TacticalHalf:
    """Arrays over slots and frames from the rows of a half, which may come in any order and leave frames out.

    ``rows`` (N, 13 or 14) float32 has the columns ``schema.TACTICAL_COLUMNS``, the class being optional; ``source`` is
    what an error calls their origin. ``drop_unassigned`` and errors as in :func:`check_rows`.
    """
    columns = check_rows(rows, half, source, drop_unassigned)
    first, last = int(columns["frame"].min()), int(columns["frame"].max())
    n_frames = last - first + 1
    if n_frames > _MAX_FRAMES:
        raise FootpassError(f"{source}: {half}: frames {first} to {last}; expected at most {_MAX_FRAMES} of them")
    # cell numbers the (slot, frame) pairs row by row of the dense arrays.
    cell = slot_of(columns["left_to_right"], columns["role_id"]) * n_frames + (columns["frame"] - first)
    has_box = ~np.isnan(sum(columns[name] for name in _BOX))  # NaN in one makes the sum NaN
    kept = choose_rows(columns, cell, has_box, N_SLOTS * n_frames)
    class_id, lost = _events(columns, cell, kept, n_frames)
    counts = {"n_rows": len(rows), "duplicates": len(cell) - len(kept), "lost_events": lost}
    counts["unassigned"] = len(rows) - len(cell)
    if counts["unassigned"] and "class" in columns:
        counts["lost_events"] += int(np.count_nonzero(rows[:, -1]) - np.count_nonzero(columns["class"]))
    if counts["duplicates"]:
        columns = {name: column[kept] for name, column in columns.items()}
        cell, has_box = cell[kept], has_box[kept]
    state = _motion(columns, cell, n_frames) | _boxes(columns, has_box, cell, n_frames)
    state |= _holders(columns, cell, n_frames) | {"class_id": class_id}
    for array in state.values():
        array.flags.writeable = False
    return TacticalHalf(half=half, first_frame=first, has_classes="class" in columns, **counts, **state)


def _events(columns: Columns, cell: np.ndarray, kept: np.ndarray, n_frames: int) -> tuple[np.ndarray, int]:
    """Class of the event in each slot and frame (26, T), in whichever row of its actor; events without room."""
    class_id = np.zeros((N_SLOTS, n_frames), np.uint8)
    if "class" not in columns:
        return class_id, 0
    events, jersey, label = np.flatnonzero(columns["class"]), columns["shirt_number"], columns["class"]
    own = events
    if len(kept) < len(cell):
        holder = np.full(class_id.size, -1, np.int32)
        holder[cell[kept]] = jersey[kept]
        own = events[holder[cell[events]] == jersey[events]]
    class_id.flat[cell[own]] = label[own]  # of two events of one player in one frame, the last stays
    different = np.unique(np.stack([cell[events], jersey[events], label[events]]), axis=1)
    return class_id, different.shape[1] - int(np.count_nonzero(class_id))


def _motion(columns: Columns, cell: np.ndarray, n_frames: int) -> Columns:
    """Position, velocity and observed over slots and frames; half a position is none, a missing speed is 0."""
    seen = ~np.isnan(columns["x"] + columns["y"])
    position = _spread([columns[name] for name in _POSITION], seen, cell, n_frames)
    velocity = _spread([np.nan_to_num(columns[name]) for name in _VELOCITY], seen, cell, n_frames)
    return {"position": position, "velocity": velocity, "observed": ~np.isnan(position[..., 0])}


def _boxes(columns: Columns, has_box: np.ndarray, cell: np.ndarray, n_frames: int) -> Columns:
    """Box and visible over slots and frames."""
    box = _spread([columns[name] for name in _BOX], has_box, cell, n_frames)
    return {"box": box, "visible": ~np.isnan(box[..., 0])}


def _holders(columns: Columns, cell: np.ndarray, n_frames: int) -> Columns:
    """Jersey and player_id over slots and frames, filled where the slot has no row."""
    held = {}
    for name, column, kind in (("jersey", "shirt_number", np.int16), ("player_id", "player_id", np.int32)):
        held[name] = np.full((N_SLOTS, n_frames), -1, kind)
        held[name].flat[cell] = columns[column]
    sighted = held["player_id"] >= 0
    for slot in np.flatnonzero(sighted.any(axis=1) & ~sighted.all(axis=1)):
        seen = np.where(sighted[slot], np.arange(n_frames), sighted[slot].argmax())  # before the first, the first
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
