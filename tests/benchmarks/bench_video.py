"""Frames a second of writing and reading videos, and clips a second of random access.

Run by hand: ``python tests/benchmarks/bench_video.py [--frames 1500] [--json]``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from footpass_lib.video import VideoReader, VideoWriter, index_video

CLIP_FRAMES = 50
SIZES = ((128, 224), (352, 640))
GOPS = (25, 250)


def moving_picture(n_frames: int, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A panned, textured picture with a little noise, uint8 (T, H, W, 3)."""
    coarse = rng.integers(60, 180, (height // 8, width // 4, 3))
    picture = coarse.repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)
    noise = rng.integers(0, 12, (16, height, width, 3), dtype=np.uint8)
    return np.stack([np.roll(picture, -2 * t, axis=1)[:, :width] + noise[t % 16] for t in range(n_frames)])


def measure(n_frames: int, size: tuple[int, int], gop: int, clips: int, seed: int) -> dict[str, float]:
    """One row of the table."""
    rng = np.random.default_rng(seed)
    frames = moving_picture(n_frames, *size, rng)
    starts = rng.integers(0, n_frames - CLIP_FRAMES, clips)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.mp4"
        clock = [time.perf_counter()]
        with VideoWriter(path, *size, gop=gop) as writer:
            writer.write(frames)
        clock.append(time.perf_counter())
        index_video(path)
        clock.append(time.perf_counter())
        reader = VideoReader(path)
        for _ in reader.stream(0, n_frames, batch=CLIP_FRAMES):
            pass
        clock.append(time.perf_counter())
        for start in starts:
            reader.read(start, start + CLIP_FRAMES)
        clock.append(time.perf_counter())
        for start in starts:
            VideoReader(path).read(start, start + CLIP_FRAMES)
        clock.append(time.perf_counter())
        megabytes = path.stat().st_size / 1e6
    seconds = np.diff(clock)
    return {
        "height": size[0],
        "width": size[1],
        "gop": gop,
        "kB_a_frame": 1000 * megabytes / n_frames,
        "write_fps": n_frames / seconds[0],
        "index_fps": n_frames / seconds[1],
        "stream_fps": n_frames / seconds[2],
        "clips_a_second": clips / seconds[3],
        "clips_reopening": clips / seconds[4],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1500)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = [measure(arguments.frames, size, gop, arguments.clips, arguments.seed) for size in SIZES for gop in GOPS]
    if arguments.json:
        print(json.dumps(rows))
        return
    print("".join(f"{name:>16}" for name in rows[0]))
    for row in rows:
        print("".join(f"{value:16,.1f}" for value in row.values()))


if __name__ == "__main__":
    main()
