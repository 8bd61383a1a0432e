"""Tubes that a detector is trained on: cut from a data root's videos, or from matches filmed around their events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.half import TacticalHalf, dense_half
from footpass_lib.data.tubes import TubeHalf, read_key, tubes_path, write_tubes
from footpass_lib.data.video import VideoReader
from footpass_lib.environment import cores
from footpass_lib.files import file_key, key_of
from footpass_lib.samples.tubes import TubePlaces, tube_places
from footpass_lib.schema import game_of
from footpass_lib.spotting.detector import open_video
from footpass_lib.synthetic.production import Job, chosen_frames, film_match
from footpass_lib.workers import side_by_side

_AT_ONCE = 64  # frames decoded
_MANY_FRAMES = 5000  # of a split: fewer are done before another process has started


def keep_tubes(root: DataRoot, split: str, folder: Path, side: int) -> list[TubeHalf]:
    """Tubes of a split's halves, cut from the videos if they are not there yet, by as many processes as cores."""
    calls = [(root, half, tubes_path(folder, half), side) for half in root.halves(split)]
    if is_long(root, split):
        for _ in side_by_side(min(cores(), len(calls)), _cut_half, calls):
            pass
    else:
        for call in calls:
            _cut_half(*call)
    return [TubeHalf(path) for *_, path, _ in calls]


def is_long(root: DataRoot, split: str) -> bool:
    """Whether a split, by the length of its first half, is worth processes of its own."""
    halves = root.halves(split)
    return root.half(halves[0]).n_frames * len(halves) >= _MANY_FRAMES


def _cut_half(root: DataRoot, name: str, path: Path, side: int) -> None:
    half = root.half(name)
    key = key_of(file_key(root.video(game_of(name))), name, side)
    if read_key(path) == key:
        return
    with open_video(root, half) as reader:
        places = tube_places(half, (reader.height, reader.width), side)
        frames = reader.stream(half.first_frame, half.first_frame + half.n_frames, _AT_ONCE)
        _write(path, half, places, frames, np.ones(half.n_frames, bool), key)


def _write(
    path: Path, half: TacticalHalf, places: TubePlaces, frames: Iterator[np.ndarray], filmed: np.ndarray, key: str
) -> None:
    """Keep the tubes of a half in the frames that are filmed, (T,) bool, whose pictures come one after the other."""
    places = replace(places, seen=places.seen & filmed)
    boxes = places.boxes_within().transpose(1, 0, 2)[places.seen.T]
    at = np.flatnonzero(filmed)

    def pieces() -> Iterator[np.ndarray]:
        done = 0
        for some in frames:
            for k, frame in zip(at[done : done + len(some)], some, strict=True):
                yield places.cut(frame[None], k)
            done += len(some)

    write_tubes(path, pieces(), places.side, places.seen, boxes, half.class_id, filmed, key, half.jersey)


def film_tubes(job: Job, folder: Path, side: int) -> None:
    """Film a match around its events and in some random stretches, and keep the tubes of both halves; no video stays.

    A match whose tubes are there is left as it is.
    """
    key = key_of(job.sizes, job.seed, job.split, job.index, side)
    paths = [tubes_path(folder, half) for half in job.halves]
    if all(read_key(path) == key for path in paths):
        return
    halves = film_match(job, lambda play: chosen_frames(play, np.random.default_rng([job.seed, job.index, 7])))
    with VideoReader(job.video) as reader:
        first = 0
        for path, (half, filmed) in zip(paths, halves, strict=True):
            tactical = dense_half(half.rows, half.play.half)
            stop = first + int(filmed.sum())
            places = tube_places(tactical, (reader.height, reader.width), side)
            _write(path, tactical, places, reader.stream(first, stop, _AT_ONCE), filmed, key)
            first = stop
    job.video.unlink()
