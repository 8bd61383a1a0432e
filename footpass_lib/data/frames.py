"""Where the frames of clips come from: the videos themselves, or a copy of them decoded once."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.video import VideoReader
from footpass_lib.files import atomic_path, file_key
from footpass_lib.schema import FootpassError, game_of

_OPEN_VIDEOS = 8
_DECODED_AT_ONCE = 64


class FrameSource:
    """Frames of the matches of a data root, read from the videos or from decoded copies in a folder.

    A copy is one uint8 array (T, H, W, 3) a match in a file that is mapped into memory, so that any number of workers
    share it and a clip costs no decoding: 3 GB for 24 minutes of 128x224, which only small videos are worth. It is
    named after the video's content, and replaced when that changes. ``cache`` is the folder of the copies, of this data
    root alone; without one every clip is decoded anew.
    """

    def __init__(self, root: DataRoot, cache: Path | str | None = None) -> None:
        self.root = root
        self.cache = None if cache is None else Path(cache)
        self._readers: dict[int, VideoReader] = {}
        self._open: OrderedDict[int, None] = OrderedDict()
        self._arrays: dict[int, np.ndarray] = {}

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_arrays": {}, "_open": OrderedDict()}

    def prepare(self, games: Iterable[int]) -> None:
        """List (and decode, where there is a cache) the videos of these matches now, and not in every worker.

        FootpassError if a video is missing or cannot be read, or the cache cannot be written.
        """
        for game in games:
            self.length(game)
            if self.cache is not None:
                self._array(game)

    def length(self, game: int) -> int:
        """Number of frames of a match's video; errors as in :class:`VideoReader`."""
        return self._reader(game).n_frames

    def require(self, game: int, start: int, stop: int) -> None:
        """FootpassError unless a match's video has every frame from ``start`` to ``stop - 1``."""
        self._reader(game).require(start, stop)

    def size(self, game: int) -> tuple[int, int]:
        """Height and width of a match's video."""
        reader = self._reader(game)
        return reader.height, reader.width

    def read(self, game: int, start: int, stop: int, window: tuple[int, int, int, int] | None = None) -> np.ndarray:
        """Frames ``start`` to ``stop - 1``, or the part ``window`` (top, left, bottom, right) of each.

        A copy, uint8 (stop - start, H, W, 3); FootpassError if there is no such frame, or it cannot be decoded.
        """
        top, left, bottom, right = window or (0, 0, *self.size(game))
        if self.cache is None:
            frames = self._decoder(game).read(start, stop)
        else:
            if not 0 <= start <= stop <= self.length(game):
                asked = f"frames {start} to {stop - 1} were asked for"
                raise FootpassError(f"{self.root.video(game)}: {asked}; the video has {self.length(game)}")
            frames = self._array(game)[start:stop]
        return frames[:, top:bottom, left:right].copy()

    def _reader(self, game: int) -> VideoReader:
        if game not in self._readers:
            self._readers[game] = VideoReader(self.root.video(game))
        return self._readers[game]

    def _decoder(self, game: int) -> VideoReader:
        """The reader of a match; those used longest ago close their files."""
        self._open[game] = None
        self._open.move_to_end(game)
        while len(self._open) > _OPEN_VIDEOS:
            self._reader(self._open.popitem(last=False)[0]).close()
        return self._reader(game)

    def _array(self, game: int) -> np.ndarray:
        if game not in self._arrays:
            path = self.cache / f"game_{game}-{file_key(self.root.video(game))}.npy"
            if not path.is_file():
                self._decode(game, path)
            self._arrays[game] = np.load(path, mmap_mode="r", allow_pickle=False)
        return self._arrays[game]

    def _decode(self, game: int, path: Path) -> None:
        reader = self._reader(game)
        reader.require(0, reader.n_frames)
        shape = (reader.n_frames, reader.height, reader.width, 3)
        with atomic_path(path) as part:
            frames = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
            _reserve(part)
            first = 0
            for piece in reader.stream(0, reader.n_frames, _DECODED_AT_ONCE):
                frames[first : first + len(piece)] = piece
                first += len(piece)
            frames.flush()
        reader.close()
        for old in self.cache.glob(f"game_{game}-*.npy"):
            if old != path:
                old.unlink(missing_ok=True)


def _reserve(path: Path) -> None:
    """Take a mapped file's room on the disk now: where none is left, writing to the map would kill the process."""
    if hasattr(os, "posix_fallocate"):  # Linux
        with path.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)


def event_picture(root: DataRoot, event: tuple) -> tuple[np.ndarray, np.ndarray, int]:
    """The frame (H, W, 3) uint8 of an event, a row of :meth:`DataRoot.index`, with its boxes and the actor's slot.

    Boxes (26, 4) are x, y, width, height in pixels of the 1920x1080 frame, NaN where a slot has none.
    """
    half = root.half(event.half)
    with VideoReader(root.video(game_of(event.half))) as video:
        frame = video.read(event.frame, event.frame + 1)[0]
    return frame, half.box[:, half.index_of(event.frame)], event.slot
