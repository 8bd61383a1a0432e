"""Time from a tactical file of a full-size half to arrays over slots and frames, against scans slot by slot.

Run by hand: ``python tests/benchmarks/bench_tactical.py [--frames 75000] [--json]``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from footpass_lib.schema import COLUMN, N_SLOTS
from footpass_lib.tactical import TacticalFile, TacticalHalf, dense_half, fill_box_gaps, write_tactical

CLIP_FRAMES = 50
SCANNED_FRAMES = 2  # the scans are so slow that a few frames of a clip must do


def full_half(n_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of 22 wandering players, a box three times out of five, an event every 78 frames."""
    slots = np.r_[0:11, 13:24]
    rows = np.empty((n_frames * len(slots), len(COLUMN)), np.float32)
    slot = np.tile(slots, n_frames)
    rows[:, COLUMN["frame"]] = np.repeat(np.arange(n_frames), len(slots))
    rows[:, COLUMN["player_id"]] = 100 * (1 + slot // 13) + slot
    rows[:, COLUMN["left_to_right"]] = slot // 13
    rows[:, COLUMN["shirt_number"]] = slot + 1
    rows[:, COLUMN["role_id"]] = slot % 13 + 1
    walk = np.cumsum(rng.normal(0, 0.0005, (n_frames, len(slots), 4)), axis=0).reshape(-1, 4)
    rows[:, COLUMN["x"] : COLUMN["roi_x"]] = walk + 0.5
    rows[:, COLUMN["roi_x"] : COLUMN["class"]] = np.round(1000 * np.abs(walk))
    rows[rng.random(len(rows)) < 0.4, COLUMN["roi_x"] : COLUMN["class"]] = np.nan
    rows[:, COLUMN["class"]] = 0
    rows[rng.integers(0, len(rows), n_frames // 78), COLUMN["class"]] = 2
    return rows


def scanned_boxes(rows: np.ndarray, first: int, n_frames: int) -> np.ndarray:
    """Boxes (26, n_frames, 4) by one scan of the half for every slot and frame."""
    boxes = np.full((N_SLOTS, n_frames, 4), np.nan, np.float32)
    slots = rows[:, COLUMN["left_to_right"]] * 13 + rows[:, COLUMN["role_id"]] - 1
    for slot in range(N_SLOTS):
        for t in range(n_frames):
            found = rows[(rows[:, COLUMN["frame"]] == first + t) & (slots == slot)]
            if len(found):
                boxes[slot, t] = found[-1, COLUMN["roi_x"] : COLUMN["class"]]
    return boxes


def best(work: Callable[[], object], repeats: int = 3) -> float:
    """Seconds of the fastest of some runs."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def sliced_boxes(half: TacticalHalf, first: int) -> np.ndarray:
    """What a training sample takes from a half in memory."""
    index = half.index_of(first)
    return half.box[:, index : index + CLIP_FRAMES].copy()


def measure(n_frames: int, seed: int) -> dict[str, float]:
    """Every figure of the table, in seconds unless its name says otherwise."""
    rows = full_half(n_frames, np.random.default_rng(seed))
    first = n_frames // 2
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.h5"
        write = best(lambda: write_tactical(path, {"game_0_H1": rows}), repeats=1)
        size = path.stat().st_size / 1e6
        read = best(lambda: TacticalFile(path).rows("game_0_H1"))
    dense = best(lambda: dense_half(rows, "game_0_H1"))
    half = dense_half(rows, "game_0_H1")
    scan = best(lambda: scanned_boxes(rows, first, SCANNED_FRAMES), repeats=1)
    expected = scanned_boxes(rows, first, SCANNED_FRAMES)
    np.testing.assert_array_equal(half.box[:, first : first + SCANNED_FRAMES], expected)
    clip = best(lambda: sliced_boxes(half, first), repeats=20)
    return {
        "rows": len(rows),
        "file_MB": size,
        "write": write,
        "read": read,
        "dense": dense,
        "events": best(half.events),
        "fill_box_gaps": best(lambda: fill_box_gaps(half.box)),
        "clip_from_dense": clip,
        "clip_by_scans": scan / SCANNED_FRAMES * CLIP_FRAMES,  # extrapolated from the frames scanned
        "half_by_scans_hours": scan / SCANNED_FRAMES * n_frames / 3600,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=75_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = measure(arguments.frames, arguments.seed)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:20} {value:14,.0f}" if name == "rows" else f"{name:20} {value:14.6f}")


if __name__ == "__main__":
    main()
