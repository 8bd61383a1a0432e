"""What is known of a video before its frames are read: which stream, which pictures, how they are turned and numbered.

Frame n is the picture that is shown n / 25 seconds after the first one. Where time stamps say so exactly, pictures are
numbered by them, and a picture that is missing leaves a hole; a file whose stamps leave that grid is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

from footpass_lib.schema import FootpassError

_EXACT = 0.25  # of a frame: a stamp that is nearer to its frame's time than this leaves no doubt
_LONGEST = 24  # hours of one video; more is damage
_STILLS = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image  # covers and the like


@dataclass(frozen=True)
class Orientation:
    """How stored pictures are to be shown: exchange rows and columns, then reverse either."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def turn(self, picture: np.ndarray) -> np.ndarray:
        """A picture (H, W, ...) as it is shown; a view."""
        shown = picture.swapaxes(0, 1) if self.transpose else picture
        return shown[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width as shown of a stored picture's (and the other way round)."""
        return (width, height) if self.transpose else (height, width)


@dataclass(frozen=True, eq=False)
class VideoIndex:
    """What is known of a video without decoding more than its first picture."""

    pts: np.ndarray  # (n,) int64, presentation time stamps of its pictures, ascending
    numbers: np.ndarray  # (n,) int64, the frame that each picture is; not every number where pictures are missing
    keyframes: np.ndarray  # which of the pictures decoding can start at, ascending
    height: int  # as shown
    width: int
    orientation: Orientation
    fps: float  # mean rate; NaN for a single picture
    announced: int  # number of pictures that the file's header speaks of, 0 if it does not

    @property
    def n_frames(self) -> int:
        """Number of the last picture, and one."""
        return int(self.numbers[-1]) + 1

    @property
    def cut_short(self) -> bool:
        """Whether the file has fewer pictures than its header announces."""
        return len(self.pts) < self.announced


def remedy(path: Path | str, options: str = "") -> str:
    """What to say of a video that has to be made anew."""
    return f"`python -m footpass_lib video {path} --out NEW.mp4{options}` makes a video that fits"


def index_video(path: Path | str, fps: float | None = None) -> VideoIndex:
    """List the pictures of a video from its packets; only the first one is decoded, for how it is turned.

    With ``fps`` pictures are numbered by their time stamps; without, as they come, and the list of a file that is cut
    short ends before the first missing one. Pictures that are there for others only (a trimmed file has them before
    time 0) are not counted. FootpassError if the file is missing or no video, has no picture or no time stamps, or
    (``fps``) another rate, or stamps that leave the grid of frames by more than a quarter of one.
    """
    with open_container(path) as container:
        stream = main_stream(container, path)
        stream.codec_context.thread_count = 1  # the first picture comes at once
        packets = _Packets()
        # A file that is cut short may raise at the cut.
        with suppress(av.FFmpegError):
            for packet in container.demux(stream):
                packets.add(packet)
        packets.check(path, container.format.name, bool(stream.codec_context.has_b_frames))
        announced = max(0, listed_packets(container, stream) - packets.n_hidden)
        size, time_base = (stream.height, stream.width), stream.time_base
    pts, is_key = packets.in_order()
    _check_stamps(path, pts, time_base)
    steps = np.diff(pts)
    if fps is None and len(pts) < announced and len(steps):
        holes = np.flatnonzero(steps > 1.5 * np.median(steps))
        end = holes[0] + 1 if len(holes) else len(pts)
        pts, is_key = pts[:end], is_key[:end]
    span = float((pts[-1] - pts[0]) * time_base)
    mean_rate = (len(pts) - 1) / span if span else float("nan")
    numbers = np.arange(len(pts)) if fps is None else _numbers(path, pts, time_base, fps, mean_rate)
    orientation = orientation_of(packets.first, path)
    return VideoIndex(pts, numbers, np.flatnonzero(is_key), *orientation.size(*size), orientation, mean_rate, announced)


class _Packets:
    """What packets of a stream say of its pictures, in the order in which they are stored."""

    def __init__(self) -> None:
        self.first: av.VideoFrame | None = None  # the first picture that can be decoded
        self.has_key = False
        self._shown: list[tuple[int, bool]] = []  # presentation time stamp, keyframe
        self._delays: set[int] = set()  # between decoding and presentation
        self._last_dts: int | None = None
        self.n_hidden = self._n_unstamped = 0
        self._restart: int | None = None

    def add(self, packet: av.Packet) -> None:
        """Count a packet, which is decoded if no picture is there yet."""
        if self.first is None:
            with suppress(av.FFmpegError):
                self.first = next(iter(packet.decode()), None)
        self.has_key |= packet.is_keyframe
        if packet.pts is None:
            self._n_unstamped += packet.size > 0
        elif packet.is_discard:
            self.n_hidden += 1
        elif not packet.is_corrupt:
            if packet.dts is not None:
                if self._last_dts is not None and packet.dts < self._last_dts and self._restart is None:
                    self._restart = len(self._shown)
                self._last_dts = packet.dts
                self._delays.add(packet.pts - packet.dts)
            self._shown.append((packet.pts, packet.is_keyframe))

    def check(self, path: Path | str, container_format: str, reorders: bool) -> None:
        """FootpassError if there is no picture, or stamps do not say when pictures are shown."""
        again = remedy(path, " --rate FPS")
        if not self._shown and self._n_unstamped:
            raise FootpassError(f"{path}: its {self._n_unstamped} pictures have no time stamps; {again}")
        if not self._shown or not self.has_key:
            raise FootpassError(f"{path}: holds no frame that can be decoded")
        if self._restart is not None:
            raise FootpassError(f"{path}: time stamps start anew after picture {self._restart - 1}; {again}")
        if container_format == "avi" and reorders and len(self._delays) == 1 < len(self._shown):
            # AVI numbers pictures as they are stored; B-frames are stored after pictures that are shown later.
            raise FootpassError(f"{path}: does not say in which order its pictures are shown (AVI, B-frames); {again}")

    def in_order(self) -> tuple[np.ndarray, np.ndarray]:
        """Time stamps as pictures are shown, and which of them are keyframes."""
        shown = sorted(self._shown)
        return np.array([stamp for stamp, _ in shown], np.int64), np.array([key for _, key in shown], bool)


def listed_packets(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> int:
    """Packets of a stream that the file's header speaks of, 0 if of none."""
    # The list of an mp4 has gone through its edits, which may leave out pictures; the header's number has not.
    listed = len(stream.index_entries) if "mp4" in container.format.name.split(",") else 0
    return listed or stream.frames


def _check_stamps(path: Path | str, pts: np.ndarray, time_base: Fraction) -> None:
    again = remedy(path, " --rate FPS")
    hours = float((int(pts[-1]) - int(pts[0])) * time_base) / 3600
    if hours > _LONGEST:
        raise FootpassError(f"{path}: its {len(pts)} pictures are shown over {hours:,.0f} hours; {again}")
    same = np.flatnonzero(np.diff(pts) == 0)
    if len(same):
        raise FootpassError(f"{path}: frames {same[0]} and {same[0] + 1} have one time stamp; {again}")


def _numbers(path: Path | str, pts: np.ndarray, time_base: Fraction, fps: float, mean_rate: float) -> np.ndarray:
    """The frames, ``fps`` a second, that pictures are; FootpassError where that is in doubt."""
    places = (pts - pts[0]) * float(time_base * Fraction(fps))
    numbers = np.rint(places).astype(np.int64)
    off, steps = np.abs(places - numbers) > _EXACT, np.diff(numbers)
    if (off.any() or (len(steps) and np.median(steps) != 1)) and abs(mean_rate / fps - 1) > 0.01:
        raise FootpassError(f"{path}: has {mean_rate:.2f} frames a second; expected {fps:g}; {remedy(path)}")
    if off.any():
        first = int(off.argmax())
        seconds = float((pts[first] - pts[0]) * time_base)
        found = f"picture {first} is shown at {seconds:.3f} s, which is frame {places[first]:.2f} of {fps:g} a second"
        raise FootpassError(
            f"{path}: {found}: pictures come at {mean_rate:.3f} a second, or not evenly; {remedy(path)}"
        )
    if (steps < 1).any():
        first = int(np.flatnonzero(steps < 1)[0])
        found = f"pictures {first} and {first + 1} are both frame {numbers[first]}"
        raise FootpassError(f"{path}: {found}, of {fps:g} a second; {remedy(path)}")
    return numbers


def orientation_of(frame: av.VideoFrame | None, path: Path | str) -> Orientation:
    """How a decoded picture is to be shown; FootpassError if that is at an angle."""
    matrix = None if frame is None else frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return Orientation()
    (a, b, _), (c, d, _), _ = np.frombuffer(bytes(matrix), np.int32).reshape(3, 3).tolist()
    # x and y as shown are a x + c y and b x + d y
    if not b and not c and a and d:
        return Orientation(False, d < 0, a < 0)
    if not a and not d and b and c:
        return Orientation(True, b < 0, c < 0)
    raise FootpassError(f"{path}: is to be shown turned by {frame.rotation} degrees; expected a multiple of 90")


def stored_size(path: Path | str) -> tuple[int, int]:
    """Height and width of a video's pictures before they are turned, from the header alone."""
    with open_container(path) as container:
        stream = main_stream(container, path)
        return stream.height, stream.width


@contextmanager
def open_container(path: Path | str) -> Iterator[av.container.InputContainer]:
    """Open a video for reading, with one clear error for whatever keeps it from being opened."""
    if not Path(path).is_file():
        raise FootpassError(f"{path}: there is no such file; expected a video")
    try:
        container = av.open(str(path), metadata_errors="replace")  # a title may be garbled, and is of no interest
    except (av.FFmpegError, OSError) as error:
        raise FootpassError(f"{path}: cannot be read as a video; it is damaged or cut short ({error})") from error
    with container:
        yield container


def main_stream(container: av.container.InputContainer, path: Path | str) -> av.video.stream.VideoStream:
    """The video among a file's streams: no cover; of several the largest, then the default one, then the first."""
    streams = [stream for stream in container.streams.video if not stream.disposition & _STILLS]
    if not streams:
        raise FootpassError(f"{path}: holds no video stream")
    readable = [stream for stream in streams if stream.codec_context is not None]
    if not readable:  # FFmpeg knows no codec of that name
        raise FootpassError(f"{path}: cannot be read as a video; its codec is unknown, or the file is damaged")
    return max(readable, key=lambda s: (s.height * s.width, bool(s.disposition & Disposition.default)))
