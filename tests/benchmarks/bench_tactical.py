"""A tactical half as arrays, and the boxes of a training clip from it, against loops and scans over the file's rows.

Run by hand: ``python tests/benchmarks/bench_tactical.py [--frames 75000] [--quick] [--json]``, with the repository's
root in ``PYTHONPATH``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from torch import Tensor

from footpass_lib.data.boxes import fill_box_gaps
from footpass_lib.data.half import TacticalHalf, dense_half
from footpass_lib.data.tactical import TacticalFile, write_tactical
from footpass_lib.samples.pixels import DUMMY_BOX, ENLARGEMENT, MIN_SIDE, enlarge, large_enough, masked_boxes, to_video
from footpass_lib.schema import BOX_FRAME, COLUMN, N_SLOTS
from tests.benchmarks.common import CLASS, FRAME, HALF, ROLE, TEAM, Arrays, Case, best, main, wandering_rows

PICTURE = (352, 640)
_HOLDERS = {"jersey": COLUMN["shirt_number"], "player_id": COLUMN["player_id"]}
_POSITION, _VELOCITY = slice(COLUMN["x"], COLUMN["y"] + 1), slice(COLUMN["speed_x"], COLUMN["speed_y"] + 1)
_BOX = slice(COLUMN["roi_x"], COLUMN["roi_height"] + 1)


@dataclass(frozen=True)
class Sizes:
    """Frames of the half; frames and players of a clip."""

    frames: int = 75_000
    clip_frames: int = 50
    players: int = 5
    seed: int = 0


FULL, QUICK = Sizes(), Sizes(frames=160, clip_frames=4, players=2)


def read_rows(path: Path) -> np.ndarray:
    """The rows of the half, (N, 14)."""
    with h5py.File(path, "r") as file:
        return file[HALF][()]


def empty_arrays(n_frames: int) -> dict[str, np.ndarray]:
    """What a half without rows would be."""
    shape = (N_SLOTS, n_frames)
    return {
        **{name: np.full((*shape, 2), np.nan, np.float32) for name in ("position", "velocity")},
        "box": np.full((*shape, 4), np.nan, np.float32),
        **{name: np.zeros(shape, bool) for name in ("observed", "visible")},
        **{name: np.full(shape, -1, np.int32) for name in ("jersey", "player_id")},
        "class_id": np.zeros(shape, np.uint8),
    }


def half_row_by_row(path: Path) -> Arrays:
    """Arrays of the half in a loop over its rows; then the holders of each slot, forward and backward, in a loop."""
    rows = read_rows(path)
    first = int(rows[:, FRAME].min())
    dense = empty_arrays(int(rows[:, FRAME].max()) - first + 1)
    for row in rows:
        cell = int(row[TEAM]) * 13 + int(row[ROLE]) - 1, int(row[FRAME]) - first
        dense["position"][cell] = row[_POSITION]
        dense["velocity"][cell] = row[_VELOCITY]
        dense["box"][cell] = row[_BOX]
        dense["observed"][cell] = True
        dense["visible"][cell] = row[_BOX.start] == row[_BOX.start]
        dense["class_id"][cell] = row[CLASS]
        for name, column in _HOLDERS.items():
            dense[name][cell] = row[column]
    for name in _HOLDERS:
        for slot in dense[name]:
            fill_holder(slot)
    return dense


def fill_holder(slot: np.ndarray) -> None:
    """Fill where a slot has nobody (-1), in place: forward in time, then backward before the first sighting."""
    for order in (range(1, len(slot)), range(len(slot) - 2, -1, -1)):
        for t in order:
            if slot[t] < 0:
                slot[t] = slot[t - order.step]


def half_slot_by_slot(path: Path) -> Arrays:
    """Arrays of the half from one boolean scan of its rows for each of the 26 slots; holders filled by pandas."""
    rows = read_rows(path)
    frame = rows[:, FRAME].astype(int) - int(rows[:, FRAME].min())
    dense = empty_arrays(int(frame.max()) + 1)
    for slot in range(N_SLOTS):
        found = (rows[:, TEAM] * 13 + rows[:, ROLE] - 1) == slot
        if not found.any():
            continue
        own, t = rows[found], frame[found]
        dense["position"][slot, t] = own[:, _POSITION]
        dense["velocity"][slot, t] = own[:, _VELOCITY]
        dense["box"][slot, t] = own[:, _BOX]
        dense["observed"][slot, t] = True
        dense["visible"][slot, t] = ~np.isnan(own[:, _BOX]).any(axis=1)
        dense["class_id"][slot, t] = own[:, CLASS]
        for name, column in _HOLDERS.items():
            holder = pd.Series(own[:, column], index=t).reindex(range(dense[name].shape[1]))
            dense[name][slot] = holder.ffill().bfill()
    return dense


def half_arrays(half: TacticalHalf) -> Arrays:
    """The arrays of the library's half."""
    values = {field.name: getattr(half, field.name) for field in fields(half)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def clip_by_scans(rows: np.ndarray, slots: np.ndarray, first: int, n_frames: int) -> dict[str, np.ndarray]:
    """Enlarged boxes in pixels of the video and their mask, by a scan of the half for every slot and frame."""
    boxes = np.tile(np.float32(DUMMY_BOX), (len(slots), n_frames, 1))
    mask = np.zeros((len(slots), n_frames), np.float32)
    row_slots = rows[:, TEAM] * 13 + rows[:, ROLE] - 1
    for m, slot in enumerate(slots):
        for t in range(n_frames):
            found = rows[(rows[:, FRAME] == first + t) & (row_slots == slot)]
            if not len(found) or np.isnan(found[-1, _BOX]).any():
                continue
            corners = []
            for axis in (0, 1):  # x and width, y and height
                corner, side = found[-1, _BOX][[axis, axis + 2]]
                low, high = corner - (ENLARGEMENT - 1) * side // 2, corner + ENLARGEMENT * side
                scale = BOX_FRAME[axis] / PICTURE[1 - axis]
                corners.append([min(max(edge, 0), BOX_FRAME[axis]) / scale for edge in (low, high)])
            (x0, x1), (y0, y1) = corners
            if x1 - x0 >= MIN_SIDE and y1 - y0 >= MIN_SIDE:
                boxes[m, t], mask[m, t] = (x0, y0, x1, y1), 1
    return {"boxes": boxes, "mask": mask}


def clip_from_dense(half: TacticalHalf, slots: np.ndarray, first: int, n_frames: int) -> tuple[Tensor, Tensor]:
    """The same from a half in memory, with the functions of the library's clips."""
    index = half.index_of(first)
    boxes = to_video(enlarge(half.box[slots, index : index + n_frames]), *PICTURE)
    return masked_boxes(boxes, large_enough(boxes))


def cases(sizes: Sizes) -> Iterator[Case]:
    """Loading a half in two straightforward ways, and the boxes of a training clip."""
    rows = wandering_rows(sizes.frames, sizes.seed)
    half_size = f"{sizes.frames:,} frames, {len(rows):,} rows"
    measures = "from the file to arrays over slots and frames: "
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.h5"
        write_tactical(path, {HALF: rows})
        for name, way, plain in (
            ("half, row by row", "a loop over the rows", half_row_by_row),
            ("half, slot by slot", "a boolean scan of the rows for each slot", half_slot_by_slot),
        ):
            yield Case(
                name,
                f"{measures}{way}, against TacticalFile, which checks every value too",
                half_size,
                lambda plain=plain: plain(path),
                lambda: TacticalFile(path).half(HALF),
                library_arrays=half_arrays,
            )
    half = dense_half(rows, HALF)
    slots, first = np.flatnonzero(half.observed.any(axis=1))[: sizes.players], sizes.frames // 2
    yield Case(
        "boxes and mask of a clip",
        "rows in memory, a boolean scan of all of them for each player and frame, against slices of arrays in memory",
        f"{sizes.players} players x {sizes.clip_frames} frames of {half_size}",
        lambda: clip_by_scans(rows, slots, first, sizes.clip_frames),
        lambda: clip_from_dense(half, slots, first, sizes.clip_frames),
        tolerance=1e-5,
        library_arrays=lambda result: {name: x.numpy() for name, x in zip(("boxes", "mask"), result, strict=True)},
    )


def figures(sizes: Sizes) -> dict[str, float]:
    """What else of the library takes time, in seconds."""
    rows = wandering_rows(sizes.frames, sizes.seed)
    half = dense_half(rows, HALF)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.h5"
        write = best(lambda: write_tactical(path, {HALF: rows}), 0).seconds
        read = best(lambda: TacticalFile(path).rows(HALF), 1).seconds
    return {
        "write the file": write,
        "read the rows": read,
        "rows to arrays": best(lambda: dense_half(rows, HALF), 1).seconds,
        "list the events": best(half.events, 1).seconds,
        "fill gaps in boxes": best(lambda: fill_box_gaps(half.box), 1).seconds,
    }


if __name__ == "__main__":
    main(__doc__, cases, FULL, QUICK, figures)
