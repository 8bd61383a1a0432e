"""Make a video that the study reads from one that it refuses: 25 frames a second from the first picture on, small."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from tqdm import tqdm

from footpass_lib.data.encode import VideoWriter
from footpass_lib.data.video_index import (
    Orientation,
    listed_packets,
    main_stream,
    open_container,
    orientation_of,
    remedy,
)
from footpass_lib.schema import FPS, FootpassError

_LONGEST_HOLE = 600  # seconds; more is damage


@dataclass(frozen=True)
class Resampled:
    """What became of a video: frames written, pictures that it had, and frames that repeat the one before."""

    n_frames: int
    n_pictures: int
    repeated: tuple[int, ...]


def resample_video(
    source: Path | str,
    target: Path | str,
    height: int,
    width: int,
    rate: float | None = None,
    crf: int = 20,
    progress: bool = False,
) -> Resampled:
    """Write a video whose frame n is the picture that the source shows nearest to n / 25 seconds after its first one.

    Pictures are turned as they are to be shown and fitted to ``height`` x ``width``; sound is left out. ``rate`` says
    how many pictures a second the source has, in place of its time stamps. A source that is cut short gives a warning.
    FootpassError if it cannot be read, its time stamps are missing, go back or leap (and no ``rate`` is given), or if
    the target is the source or cannot be written.
    """
    source, target = Path(source), Path(target)
    if rate is not None and not 1 <= rate <= 1000:
        raise FootpassError(f"{source}: expected a rate of 1 to 1000 pictures a second, found {rate}")
    if target.exists() and source.exists() and target.samefile(source):
        raise FootpassError(f"{target}: is the video that is read; expected another file to write")
    pictures = _Pictures(source, height, width, rate)
    done, before, repeated = 0, -1, []
    with VideoWriter(target, height, width, crf=crf) as writer:
        bar = tqdm(total=pictures.expected(), unit="frame", desc=target.name, disable=None if progress else True)
        with bar:
            for picture, shown in _nearest(pictures):
                if shown == before:
                    repeated.append(done)
                writer.write(picture[None])
                done, before = done + 1, shown
                bar.update()
    if pictures.n_missing:
        lost = f"{pictures.n_missing} pictures could not be read"
        warnings.warn(f"{source}: is cut short or damaged; {lost}", stacklevel=2)
    return Resampled(done, pictures.n_seen, tuple(repeated))


class _Pictures:
    """The pictures of a video in the order in which they are shown, with their times; what is damaged is left out."""

    def __init__(self, path: Path, height: int, width: int, rate: float | None) -> None:
        self.path, self.height, self.width, self.rate = path, height, width, rate
        self.n_seen = self.n_missing = 0
        self._first = self._last = 0  # time stamps
        self.orientation = Orientation()
        self._reformatter = VideoReformatter()

    def expected(self) -> int | None:
        """About how many frames there will be; None if the file does not say."""
        with open_container(self.path) as container:
            stream = main_stream(container, self.path)
            if self.rate:
                return math.ceil(stream.frames * FPS / self.rate) or None
            return container.duration and math.ceil(container.duration / av.time_base * FPS)

    def __iter__(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """Pictures with the frame, 25 a second and not rounded, as which they are shown."""
        for frame in self._decode():
            if frame.is_corrupt:
                self.n_missing += 1
                continue
            if self.n_seen == 0:
                self.orientation = orientation_of(frame, self.path)
            place = self._place(frame)
            self.n_seen += 1
            yield place, frame
        if not self.n_seen:
            raise FootpassError(f"{self.path}: holds no frame that can be decoded")

    def _place(self, frame: av.VideoFrame) -> float:
        if self.rate is not None:
            return self.n_seen * FPS / self.rate
        last, again = self.n_seen - 1, remedy(self.path, " --rate FPS")
        if frame.pts is None:
            raise FootpassError(f"{self.path}: picture {last + 1} has no time stamp; {again}")
        if self.n_seen == 0:
            self._first = self._last = frame.pts
        pause = (frame.pts - self._last) * frame.time_base
        if pause < 0:
            raise FootpassError(f"{self.path}: time stamps go back after picture {last}; {again}")
        if pause > _LONGEST_HOLE:
            found = f"nothing is shown for {float(pause):.0f} s after picture {last}"
            raise FootpassError(f"{self.path}: {found}; expected at most {_LONGEST_HOLE} s; {again}")
        self._last = frame.pts
        return float((frame.pts - self._first) * frame.time_base * FPS)

    def _decode(self) -> Iterator[av.VideoFrame]:
        with open_container(self.path) as container:
            stream = main_stream(container, self.path)
            stream.thread_type = "AUTO"
            listed = listed_packets(container, stream)
            with suppress(av.FFmpegError):  # a file that is cut short may raise at the cut
                for packet in container.demux(stream):
                    listed -= packet.size > 0
                    try:
                        frames = packet.decode()
                    except av.FFmpegError:
                        self.n_missing += 1
                        continue
                    yield from frames
            self.n_missing += max(0, listed)

    def fit(self, frame: av.VideoFrame) -> np.ndarray:
        """A picture as it is shown, uint8 (height, width, 3)."""
        height, width = self.orientation.size(self.height, self.width)
        fitted = self._reformatter.reformat(frame, width, height, "rgb24", interpolation="BICUBIC")
        return np.ascontiguousarray(self.orientation.turn(fitted.to_ndarray()))


def _nearest(pictures: _Pictures) -> Iterator[tuple[np.ndarray, int]]:
    """For every frame the picture that is shown nearest to its time (the earlier of two), and which one it is."""
    number, held = 0, None
    for shown, (place, frame) in enumerate(pictures):
        if held is not None:
            # Rounded, so that a picture half-way between two frames is the same on every machine.
            end = math.floor(round((held[0] + place) / 2, 6)) + 1
            yield from ((pictures.fit(held[1]), shown - 1) for _ in range(number, end))
            number = max(number, end)
        held, last = (place, frame), shown
    end = math.floor(held[0] + 0.25) + 1  # frames go to the time of the last picture
    yield from ((pictures.fit(held[1]), last) for _ in range(number, end))
