"""Exact frames of a video by number (for writing one see :mod:`footpass_lib.data.encode`).

The numbers of the annotations count 25 frames a second from the first picture on; which picture is which frame says
:mod:`footpass_lib.data.video_index`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from footpass_lib.data.video_index import VideoIndex, index_video, main_stream, open_container, remedy
from footpass_lib.schema import FPS, FootpassError


class VideoReader:
    """Frames of a video by number, as RGB.

    Nothing is opened before it is needed, and every process opens the file for itself, so that a reader may be made
    in one process and used in others, forked or spawned. Listing the frames reads the file through once; touching
    ``n_frames`` before workers start spares them that. Time stamps number frames at ``expect_fps`` a second, as
    in :func:`index_video`; None accepts any rate and counts frames as they come. Pictures are turned as they are to be
    shown. The decoder has ``threads``, 0 for one a core.
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
        """Time stamps, numbers, keyframes and size; errors as in :func:`index_video`."""
        if self._index is None:
            self._index = index_video(self.path, self.expect_fps)
        return self._index

    @property
    def n_frames(self) -> int:
        """Number of frames, holes among them; of a file that is cut short, those before the cut."""
        return self.index.n_frames

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
        pictures = self._pictures(wanted)
        frames = np.empty((len(wanted), self.height, self.width, 3), np.uint8)
        decoder = self._open_decoder()
        for frame, picture in zip(frames, pictures, strict=True):
            decoder.read(int(picture), frame)
        in_order = len(wanted) == len(places) and (places[:-1] < places[1:]).all()
        return frames if in_order else frames[places]

    def stream(self, start: int, stop: int, batch: int) -> Iterator[np.ndarray]:
        """Frames ``start`` to ``stop - 1`` in pieces of ``batch`` frames (the last may be shorter), each decoded once.

        FootpassError at once if a frame is out of range, later if one cannot be decoded.
        """
        if batch < 1:
            raise FootpassError(f"{self.path}: a batch must have at least 1 frame, found {batch}")
        self.require(start, stop)
        return (self.read(first, min(first + batch, stop)) for first in range(start, stop, batch))

    def close(self) -> None:
        """Close the file; it is opened again when a frame is asked for."""
        if self._decoder is not None and self._decoder.pid == os.getpid():
            self._decoder.close()
        self._decoder = None

    def require(self, start: int, stop: int) -> None:
        """FootpassError, with the first that is missing, unless the video has frames ``start`` to ``stop - 1``."""
        self._pictures(np.arange(start, stop))

    def _pictures(self, wanted: np.ndarray) -> np.ndarray:
        """Which pictures frames are, by their places in the index; errors as in :meth:`require`."""
        index = self.index
        outside = wanted[(wanted < 0) | (wanted >= index.n_frames)]
        if len(outside):
            cut = f" (cut short: its header announces {index.announced})" * index.cut_short
            raise FootpassError(f"{self.path}: there is no frame {outside[0]}; the video has {index.n_frames}{cut}")
        pictures = np.searchsorted(index.numbers, wanted)
        missing = np.flatnonzero(index.numbers[pictures] != wanted)
        if len(missing):
            place = pictures[missing[0]]
            first, last = index.numbers[place - 1] + 1, index.numbers[place] - 1
            all_missing = f"{index.n_frames - len(index.numbers)} of {index.n_frames} are missing"
            found = f"there is no frame {wanted[missing[0]]}: by the time stamps, {first} to {last} are missing"
            raise FootpassError(f"{self.path}: {found} ({all_missing}); {remedy(self.path)}, with repeated pictures")
        return pictures

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
        self._container = self._files.enter_context(open_container(self.path))
        self._stream = main_stream(self._container, self.path)
        self._stream.codec_context.thread_count = self.threads
        self._stream.thread_type = "AUTO"
        self._frames = self._container.decode(self._stream)
        self._next = 0  # the picture that the decoder gives next

    def _seek(self, keyframe: int) -> None:
        with suppress(av.FFmpegError):  # a damaged index: other ways to the frame follow
            self._container.seek(int(self.index.pts[keyframe]), stream=self._stream)
        self._frames = self._container.decode(self._stream)
        self._next = 0

    def read(self, picture: int, out: np.ndarray) -> None:
        """Decode a picture, by its place in the index, into ``out``, uint8 of shape (H, W, 3)."""
        frame, turn = self._find(picture), self.index.orientation
        size, expected = turn.size(frame.height, frame.width), out.shape[:2]
        if size != expected:
            number = self.index.numbers[picture]
            raise FootpassError(f"{self.path}: frame {number} is {size} high and wide; the video is {expected}")
        # One thread: the converter's own threads are several times slower on frames of this size.
        plane = self._reformatter.reformat(frame, format="rgb24", threads=1).planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(frame.height, plane.line_size)  # rows end in padding
        out[:] = turn.turn(rows[:, : 3 * frame.width].reshape(frame.height, frame.width, 3))

    def _find(self, picture: int) -> av.VideoFrame:
        keyframes = self.index.keyframes
        keyframes = keyframes[: np.searchsorted(keyframes, picture, side="right")][::-1]  # latest first
        frame = None
        if self._next <= picture and (not len(keyframes) or self._next >= keyframes[0]):
            frame = self._decode_to(picture)
        # Some containers seek past the picture asked for; then an earlier keyframe helps.
        for keyframe in keyframes[:2]:
            if frame is None:
                self._seek(keyframe)
                frame = self._decode_to(picture)
        if frame is None:
            self._open_at_start()
            frame = self._decode_to(picture)
        if frame is None:
            number = self.index.numbers[picture]
            raise FootpassError(f"{self.path}: frame {number} cannot be decoded; the file is damaged or cut short")
        return frame

    def _decode_to(self, picture: int) -> av.VideoFrame | None:
        """Decode up to a picture; None if it does not come."""
        pts = self.index.pts
        with suppress(av.FFmpegError):
            for frame in self._frames:
                place = len(pts) if frame.pts is None else int(np.searchsorted(pts, frame.pts))
                if place == len(pts) or pts[place] != frame.pts:
                    continue  # a picture that is not to be shown
                if place < self._next:  # damaged: pictures come as they are shown, one after the other
                    break
                self._next = place + 1
                if place >= picture:
                    return frame if place == picture and not frame.is_corrupt else None
        self._next = len(pts)
        return None
