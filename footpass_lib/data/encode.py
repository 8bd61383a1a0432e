"""Writing videos: frames to an mp4 file, or to the bytes of one."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from footpass_lib.files import atomic_path
from footpass_lib.schema import FPS, FootpassError


class VideoWriter:
    """Write an H.264 video (mp4, yuv420p), atomically: the file appears when the ``with`` block ends without an error.

    The same frames give the same bytes on every processor (one encoding thread, and none of x264's shortcuts of a
    processor, such as AVX-512's), and the header stands at the front of the file. FootpassError if a size, the quality
    or a frame's shape is wrong, no frame was written, or the file cannot be written.

    Parameters
    ----------
    height, width : int
        Even numbers of pixels.
    crf : int
        Quality, 0 (lossless) to 51.
    preset : str
        Effort of the encoder, ``ultrafast`` to ``veryslow``.
    gop : int
        A keyframe comes at least every so many frames: reading a frame decodes at most this many.
    """

    def __init__(
        self,
        path: Path | str,
        height: int,
        width: int,
        fps: int = FPS,
        crf: int = 23,
        preset: str = "veryfast",
        gop: int = 25,
    ) -> None:
        if height < 2 or width < 2 or height % 2 or width % 2:
            raise FootpassError(f"{path}: a video must have an even height and width, found {height} x {width}")
        if not 0 <= crf <= 51 or gop < 1:
            raise FootpassError(f"{path}: expected a crf from 0 to 51 and a gop of at least 1, found {crf} and {gop}")
        self.path, self.height, self.width, self.fps = Path(path), height, width, fps
        self.n_frames = 0
        self._options = {"crf": str(crf), "preset": preset, "g": str(gop), "threads": "1"}
        self._options["x264-params"] = "cpu-independent=1"
        self._files: ExitStack | None = None

    def __enter__(self) -> VideoWriter:
        with ExitStack() as files:
            part = files.enter_context(atomic_path(self.path))
            self._container = av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"})
            files.push(self._finish)
            self._stream = self._container.add_stream("libx264", rate=self.fps, options=self._options)
            self._stream.height, self._stream.width, self._stream.pix_fmt = self.height, self.width, "yuv420p"
            self._stream.codec_context.time_base = Fraction(1, self.fps)
            try:
                self._stream.codec_context.open()
            except av.FFmpegError as error:
                raise FootpassError(f"{self.path}: the encoder refuses {self._options} ({error})") from error
            self._reformatter = VideoReformatter()
            self._files = files.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        files, self._files = self._files, None
        files.__exit__(*error)

    def write(self, frames: np.ndarray) -> None:
        """Append frames, uint8 RGB of shape (T, H, W, 3)."""
        if self._files is None:
            raise FootpassError(f"{self.path}: a writer is used inside its with block only")
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != (self.height, self.width, 3):
            expected = f"expected uint8 of shape (T, {self.height}, {self.width}, 3)"
            raise FootpassError(f"{self.path}: {expected}, found {frames.dtype} of shape {frames.shape}")
        for rgb in np.ascontiguousarray(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame = self._reformatter.reformat(frame, format="yuv420p", threads=1)
            frame.pts, frame.time_base = self.n_frames, Fraction(1, self.fps)
            self._container.mux(self._stream.encode(frame))
            self.n_frames += 1

    def _finish(self, kind: object, error: object, trace: object) -> None:
        """Flush and close the file; runs before the atomic rename, which an error here prevents."""
        if kind is not None:
            with suppress(av.FFmpegError):
                self._container.close()
            return
        if not self.n_frames:
            raise FootpassError(f"{self.path}: no frame was written")
        self._container.mux(self._stream.encode(None))
        self._container.close()


def clip_bytes(frames: np.ndarray, fps: int = FPS, crf: int = 28) -> bytes:
    """A clip, uint8 RGB (T, H, W, 3), as the bytes of an mp4, to embed as a playable video.

    Errors as in :class:`VideoWriter`.
    """
    if frames.ndim != 4:
        raise FootpassError(f"a clip must have shape (T, H, W, 3), found {frames.shape}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with VideoWriter(path, *frames.shape[1:3], fps=fps, crf=crf, preset="medium", gop=250) as writer:
            writer.write(frames)
        return path.read_bytes()
