"""Exact frames of a video by number (for writing one see :mod:`footpass_lib.data.encode`).

A frame's number is its place in the order of presentation, counted from 0: time stamps only sort the frames, so a video
that starts late or stores its frames in another order (B-frames) is read right. The numbers of the annotations count
25 frames a second, which is why a video of another rate is refused unless it is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from footpass_lib.schema import FPS, FootpassError


@dataclass(frozen=True, eq=False)
class VideoIndex:
    """What is known of a video without decoding it."""

    pts: np.ndarray  # (n_frames,) int64, presentation time stamps, ascending: a picture's number is its stamp's place
    keyframes: np.ndarray  # numbers of the frames at which decoding can start, ascending
    height: int
    width: int
    fps: float  # mean rate; NaN for a single frame
    announced: int  # number of frames that the file's header speaks of, 0 if it does not


def index_video(path: Path | str) -> VideoIndex:
    """List the frames of a video from its packets, without decoding any.

    If the file is cut short (fewer packets than its header announces), the list ends before the first missing frame.
    FootpassError if it is missing, no video, or holds no frame.
    """
    with _open(Path(path)) as container:
        stream = container.streams.video[0]
        packets = []
        # A file that is cut short may raise at the cut.
        with suppress(av.FFmpegError):
            for packet in container.demux(stream):
                if packet.pts is not None and not packet.is_discard and not packet.is_corrupt:
                    packets.append((packet.pts, packet.is_keyframe))
        height, width, announced, time_base = stream.height, stream.width, stream.frames, stream.time_base
    packets.sort()
    pts = np.array([stamp for stamp, _ in packets], np.int64)
    is_key = np.array([key for _, key in packets], bool)
    if not is_key.any():
        raise FootpassError(f"{path}: holds no frame that can be decoded")
    steps = np.diff(pts)
    if (steps == 0).any():
        raise FootpassError(f"{path}: frames {steps.argmin()} and {steps.argmin() + 1} have one time stamp")
    if len(pts) < announced and len(steps):
        holes = np.flatnonzero(steps > 1.5 * np.median(steps))
        end = holes[0] + 1 if len(holes) else len(pts)
        pts, is_key = pts[:end], is_key[:end]
    span = float((pts[-1] - pts[0]) * time_base)
    fps = (len(pts) - 1) / span if span else float("nan")
    return VideoIndex(pts, np.flatnonzero(is_key), height, width, fps, announced)


class VideoReader:
    """Frames of a video by number, as RGB.

    Nothing is opened before it is needed, and every process opens the file for itself, so that a reader may be made
    in one process and used in others, forked or spawned. Listing the frames reads the file through once; touching
    ``n_frames`` before workers start spares them that. ``expect_fps`` is the rate that the video must have, within 1 %;
    None accepts any rate and counts its frames as they come. The decoder has ``threads``, 0 for one a core.
    """

    def __init__(self, path: Path | str, expect_fps: float | None = FPS, threads: int = 1) -> None:
        self.path = Path(path)
        self.expect_fps = expect_fps
        self.threads = threads
        self._index: VideoIndex | None = None
        self._decoder: _Decoder | None = None
        self._inherited: _Decoder | None = None

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_decoder": None, "_inherited": None}

    @property
    def index(self) -> VideoIndex:
        """Time stamps, keyframes and size; FootpassError if there is no such video, or its rate is another."""
        if self._index is None:
            index = index_video(self.path)
            if self.expect_fps is not None and abs(index.fps / self.expect_fps - 1) > 0.01:
                raise FootpassError(f"{self.path}: has {index.fps:.2f} frames a second; expected {self.expect_fps:g}")
            self._index = index
        return self._index

    @property
    def n_frames(self) -> int:
        """Number of frames; of a file that is cut short, those before the cut."""
        return len(self.index.pts)

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.index.height

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.index.width

    def read(self, start: int, stop: int) -> np.ndarray:
        """Frames ``start`` to ``stop - 1``, uint8 (stop - start, H, W, 3); errors as in :meth:`read_frames`."""
        return self.read_frames(range(start, stop))

    def read_frames(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Frames by number, in any order and with repetitions, uint8 (len(indices), H, W, 3).

        FootpassError if there is no such frame, or it cannot be decoded; the message names the file and the frame.
        """
        wanted, places = np.unique(np.asarray(indices, np.int64), return_inverse=True)
        self._check(wanted)
        frames = np.empty((len(wanted), self.height, self.width, 3), np.uint8)
        decoder = self._open_decoder()
        for frame, number in zip(frames, wanted, strict=True):
            decoder.read(int(number), frame)
        in_order = len(wanted) == len(places) and (places[:-1] < places[1:]).all()
        return frames if in_order else frames[places]

    def stream(self, start: int, stop: int, batch: int) -> Iterator[np.ndarray]:
        """Frames ``start`` to ``stop - 1`` in pieces of ``batch`` frames (the last may be shorter), each decoded once.

        FootpassError at once if a frame is out of range, later if one cannot be decoded.
        """
        if batch < 1:
            raise FootpassError(f"{self.path}: a batch must have at least 1 frame, found {batch}")
        self._check(np.arange(start, stop))
        return (self.read(first, min(first + batch, stop)) for first in range(start, stop, batch))

    def close(self) -> None:
        """Close the file; it is opened again when a frame is asked for."""
        if self._decoder is not None and self._decoder.pid == os.getpid():
            self._decoder.close()
        self._decoder = None

    def _check(self, wanted: np.ndarray) -> None:
        outside = wanted[(wanted < 0) | (wanted >= self.n_frames)]
        if len(outside):
            cut = f" (cut short: its header announces {self.index.announced})" * (self.n_frames < self.index.announced)
            raise FootpassError(f"{self.path}: there is no frame {outside[0]}; the video has {self.n_frames}{cut}")

    def _open_decoder(self) -> _Decoder:
        if self._decoder is not None and self._decoder.pid != os.getpid():
            # A forked process shares the file's position with its parent. The inherited decoder is kept, untouched:
            # freeing one whose threads live in the parent could wait for them for ever.
            self._inherited, self._decoder = self._decoder, None
        if self._decoder is None:
            self._decoder = _Decoder(self.path, self.index, self.threads)
        return self._decoder


class _Decoder:
    """An open video that remembers where it stands, so that reading on needs no seeking."""

    def __init__(self, path: Path, index: VideoIndex, threads: int) -> None:
        self.path, self.index, self.threads, self.pid = path, index, threads, os.getpid()
        self._reformatter = VideoReformatter()
        self._files = ExitStack()
        self._open_at_start()

    def close(self) -> None:
        self._files.close()

    def _open_at_start(self) -> None:
        self._files.close()
        self._container = self._files.enter_context(_open(self.path))
        self._stream = self._container.streams.video[0]
        self._stream.codec_context.thread_count = self.threads
        self._stream.thread_type = "AUTO"
        self._frames = self._container.decode(self._stream)
        self._next = 0  # number of the frame that the decoder gives next

    def _seek(self, keyframe: int) -> None:
        with suppress(av.FFmpegError):  # a damaged index: other ways to the frame follow
            self._container.seek(int(self.index.pts[keyframe]), stream=self._stream)
        self._frames = self._container.decode(self._stream)

    def read(self, number: int, out: np.ndarray) -> None:
        """Decode a frame into ``out``, uint8 of shape (H, W, 3)."""
        frame = self._find(number)
        if (frame.height, frame.width) != out.shape[:2]:
            size, expected = (frame.height, frame.width), out.shape[:2]
            raise FootpassError(f"{self.path}: frame {number} is {size} high and wide; the video is {expected}")
        # One thread: the converter's own threads are several times slower on frames of this size.
        plane = self._reformatter.reformat(frame, format="rgb24", threads=1).planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(frame.height, plane.line_size)  # rows end in padding
        out[:] = rows[:, : 3 * frame.width].reshape(out.shape)

    def _find(self, number: int) -> av.VideoFrame:
        keyframes = self.index.keyframes
        keyframes = keyframes[: np.searchsorted(keyframes, number, side="right")][::-1]  # latest first
        frame = None
        if self._next <= number and (not len(keyframes) or self._next >= keyframes[0]):
            frame = self._decode_to(number)
        # Some containers seek past the frame asked for; then an earlier keyframe helps.
        for keyframe in keyframes[:2]:
            if frame is None:
                self._seek(keyframe)
                frame = self._decode_to(number)
        if frame is None:
            self._open_at_start()
            frame = self._decode_to(number)
        if frame is None:
            raise FootpassError(f"{self.path}: frame {number} cannot be decoded; the file is damaged or cut short")
        return frame

    def _decode_to(self, number: int) -> av.VideoFrame | None:
        """Decode up to a frame; None if it does not come."""
        with suppress(av.FFmpegError):
            for frame in self._frames:
                place = int(np.searchsorted(self.index.pts, frame.pts))
                if place == len(self.index.pts) or self.index.pts[place] != frame.pts:
                    continue  # a picture that is not to be shown
                self._next = place + 1
                if place >= number:
                    return frame if place == number and not frame.is_corrupt else None
        self._next = len(self.index.pts)
        return None


@contextmanager
def _open(path: Path) -> Iterator[av.container.InputContainer]:
    """Open a video for reading, with one clear error for whatever keeps it from being opened."""
    if not path.is_file():
        raise FootpassError(f"{path}: there is no such file; expected a video")
    try:
        container = av.open(str(path), metadata_errors="replace")  # a title may be garbled, and is of no interest
    except (av.FFmpegError, OSError) as error:
        raise FootpassError(f"{path}: cannot be read as a video; it is damaged or cut short ({error})") from error
    with container:
        if not container.streams.video:
            raise FootpassError(f"{path}: holds no video stream")
        if container.streams.video[0].codec_context is None:  # FFmpeg knows no codec of that name
            raise FootpassError(f"{path}: cannot be read as a video; its codec is unknown, or the file is damaged")
        yield container
