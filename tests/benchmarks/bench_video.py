"""Exact frames of clips of a video, against opening the file anew for each of them.

Run by hand: ``python tests/benchmarks/bench_video.py [--frames 1500] [--clips 6] [--quick] [--json]``, with the
repository's root in ``PYTHONPATH``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from footpass_lib.data.encode import VideoWriter
from footpass_lib.data.video import VideoReader
from footpass_lib.data.video_index import index_video
from tests.benchmarks.common import Case, best, main

GOPS = (25, 250)  # frames from keyframe to keyframe: what the library writes, and what encoders do by default


@dataclass(frozen=True)
class Sizes:
    """Frames of the video and their size, clips and their frames."""

    frames: int = 1500
    height: int = 352
    width: int = 640
    clips: int = 6
    clip_frames: int = 50
    seed: int = 0


FULL, QUICK = Sizes(), Sizes(frames=60, height=32, width=64, clips=3, clip_frames=5)


def write_video(path: Path, sizes: Sizes, gop: int) -> None:
    """A panned, textured picture with a little noise."""
    rng = np.random.default_rng(sizes.seed)
    height, width = sizes.height, sizes.width
    coarse = rng.integers(60, 180, (height // 8, width // 4, 3))
    picture = coarse.repeat(8, axis=0).repeat(8, axis=1).astype(np.uint8)
    noise = rng.integers(0, 12, (16, height, width, 3), dtype=np.uint8)
    with VideoWriter(path, height, width, gop=gop) as writer:
        for t in range(sizes.frames):
            writer.write((np.roll(picture, -2 * t, axis=1)[:, :width] + noise[t % 16])[None])


def clip_from_start(path: Path, start: int, stop: int) -> np.ndarray:
    """Open the file, decode from its first frame and count."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        frames = []
        for number, frame in enumerate(container.decode(stream)):
            if number >= start:
                frames.append(frame.to_ndarray(format="rgb24"))
            if number == stop - 1:
                break
    return np.stack(frames)


def clip_from_keyframe(path: Path, start: int, stop: int) -> np.ndarray:
    """Open the file, seek to the keyframe before the clip, and count from that one's time stamp."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        ticks = 1 / (stream.average_rate * stream.time_base)  # of a frame
        late = stream.start_time or 0
        container.seek(late + round(start * ticks), stream=stream)
        frames = []
        for frame in container.decode(stream):
            number = round((frame.pts - late) / ticks)
            if number >= start:
                frames.append(frame.to_ndarray(format="rgb24"))
            if number == stop - 1:
                break
    return np.stack(frames)


def cases(sizes: Sizes) -> Iterator[Case]:
    """Clips at random places, for either distance of keyframes; from the start of the file only for one."""
    starts = np.random.default_rng(sizes.seed).integers(0, sizes.frames - sizes.clip_frames, sizes.clips).tolist()
    clips = [(start, start + sizes.clip_frames) for start in starts]
    from_start = "clips, decoded from the file's start", clip_from_start
    with tempfile.TemporaryDirectory() as folder:
        for gop in GOPS:
            path = Path(folder) / f"gop{gop}.mp4"
            write_video(path, sizes, gop)
            with VideoReader(path) as reader:
                assert reader.n_frames == sizes.frames  # lists the frames, which training does once
                from_keyframe = f"clips, from keyframes {gop} apart", clip_from_keyframe
                for name, plain in (from_start, from_keyframe) if gop == GOPS[0] else (from_keyframe,):
                    yield _case(name, plain, path, reader, clips, sizes)


def _case(
    name: str,
    plain: Callable[[Path, int, int], np.ndarray],
    path: Path,
    reader: VideoReader,
    clips: list[tuple[int, int]],
    sizes: Sizes,
) -> Case:
    return Case(
        name,
        "the file opened for each clip, against a reader that stays open and has listed the frames; one decoder thread",
        f"{sizes.clips} clips x {sizes.clip_frames} frames of {sizes.frames:,}, {sizes.height}x{sizes.width}",
        lambda: [plain(path, *clip) for clip in clips],
        lambda: [reader.read(*clip) for clip in clips],
        plain_arrays=lambda read: {"frames": np.stack(read)},
        library_arrays=lambda read: {"frames": np.stack(read)},
    )


def figures(sizes: Sizes) -> dict[str, float]:
    """What else of the library takes time, in seconds a frame."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for gop in GOPS:
            path = Path(folder) / f"gop{gop}.mp4"
            works = {"write": lambda path=path, gop=gop: write_video(path, sizes, gop)}
            works["list"] = lambda path=path: index_video(path)
            works["stream"] = lambda path=path: list(VideoReader(path).stream(0, sizes.frames, sizes.clip_frames))
            for name, work in works.items():
                found[f"{name}, keyframes {gop} apart"] = best(work, 0).seconds / sizes.frames
    return found


if __name__ == "__main__":
    main(__doc__, cases, FULL, QUICK, figures)
