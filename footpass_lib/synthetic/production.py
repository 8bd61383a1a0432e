"""Making one match: played, filmed, tracked, and kept as a video and a part until the data root is assembled.

Start at ``make_match``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from footpass_lib.data.encode import VideoWriter
from footpass_lib.files import atomic_path, sha256_file
from footpass_lib.schema import FPS, FootpassError
from footpass_lib.synthetic.picture.bodies import Cast, assemble_cast, draw_looks
from footpass_lib.synthetic.picture.camera import Broadcast, direct
from footpass_lib.synthetic.picture.pitch import build_stadium
from footpass_lib.synthetic.picture.render import prepare, render_half
from footpass_lib.synthetic.picture.style import Style, draw_style
from footpass_lib.synthetic.play.match import SHORTEST_HALF, PlaySettings, new_match, play_half
from footpass_lib.synthetic.play.played import Play
from footpass_lib.synthetic.tracking import TrackerSettings, Tracks, tactical_rows, track, truth_events

SPLITS = ("train", "val", "test", "challenge")
# The challenge is shifted on purpose, beside its look (see style.draw_style): faster, other classes, a worse tracker.
CHALLENGE_TEMPO = 1.2
CHALLENGE_MIX = (("cross", 1.3), ("header", 1.3), ("shot", 0.8), ("tackle", 0.8))
CHALLENGE_LOSSES = 2.5
AROUND = 22  # frames before and after an event that are filmed for training
STRETCH, STRETCHES = 44, 0.12  # frames of a stretch that is filmed at random, and their share of a half


@dataclass(frozen=True)
class SyntheticSizes:
    """How much is made, and how."""

    train: float  # minutes of play in each split
    val: float
    test: float
    challenge: float
    half_minutes: float  # a split has as many matches of two such halves as come nearest, at least one
    height: int  # pixels of the videos
    width: int
    rarity: float  # see PlaySettings for this and the next two
    dead_time: float = 0.5
    lookalikes: float = 14.0
    body_height: float = 2.6  # see Style


@dataclass(frozen=True)
class Job:
    """One match to make; what is made depends on its seed, split and index only."""

    out: Path
    sizes: SyntheticSizes
    seed: int
    split: str
    index: int  # in its split
    game: int  # in the data root
    half_frames: int

    @property
    def halves(self) -> tuple[str, str]:
        return f"game_{self.game}_H1", f"game_{self.game}_H2"

    @property
    def video(self) -> Path:
        return self.out / "videos" / f"game_{self.game}.mp4"

    @property
    def part(self) -> Path:
        """The rows and events of the match, kept until all files are assembled; it is written last."""
        return self.out / "parts" / f"game_{self.game}.npz"

    @property
    def n_frames(self) -> int:
        return 2 * self.half_frames

    def settings(self) -> tuple[PlaySettings, TrackerSettings]:
        sizes, tracker = self.sizes, TrackerSettings()
        play = PlaySettings(rarity=sizes.rarity, dead_time=sizes.dead_time, lookalikes=sizes.lookalikes)
        if self.split == "challenge":
            play = replace(play, tempo=CHALLENGE_TEMPO, class_mix=CHALLENGE_MIX)
            tracker = TrackerSettings(1.5 * tracker.jitter, CHALLENGE_LOSSES * tracker.loss_rate)
        return play, tracker

    def generators(self) -> list[np.random.Generator]:
        """Of the match's squads, its look, and its two halves."""
        source = np.random.SeedSequence((self.seed, SPLITS.index(self.split), self.index))
        return [np.random.default_rng(child) for child in source.spawn(4)]


def plan(out: Path | str, sizes: SyntheticSizes, seed: int) -> list[Job]:
    """The matches of a data root, numbered through the splits; FootpassError if a length is impossible."""
    minutes = {split: getattr(sizes, split) for split in SPLITS}
    if min(*minutes.values(), sizes.half_minutes) <= 0:
        raise FootpassError(f"{out}: the minutes of splits and halves must be positive, found {sizes}")
    jobs: list[Job] = []
    for split, total in minutes.items():
        matches = max(1, round(total / (2 * sizes.half_minutes)))
        frames = round(total / (2 * matches) * 60 * FPS)
        if frames < SHORTEST_HALF:
            raise FootpassError(
                f"{out}: {total:g} minutes of {split} make halves of {frames} frames; expected at least {SHORTEST_HALF}"
            )
        jobs += [Job(Path(out), sizes, seed, split, i, len(jobs) + i, frames) for i in range(matches)]
    return jobs


def simulate(job: Job, rngs: list[np.random.Generator]) -> list[Play]:
    """Play the two halves of a match, without camera and tracker; ``rngs`` are the job's generators, unused so far."""
    settings, _ = job.settings()
    match = new_match(job.game, rngs[0])
    starts = (0, job.half_frames)
    return [play_half(match, n, job.half_frames, starts[n - 1], rngs[n + 1], settings) for n in (1, 2)]


@dataclass(frozen=True)
class TrackedHalf:
    """One half of a match as it was played, shown and tracked; ``rng`` goes on with the noise of its pictures."""

    play: Play
    cast: Cast
    broadcast: Broadcast
    tracks: Tracks
    rng: np.random.Generator

    @property
    def rows(self) -> np.ndarray:
        """Rows (N, 14) of the tactical table."""
        return tactical_rows(self.play, self.tracks)


def track_match(job: Job) -> tuple[Style, np.random.Generator, Iterator[TrackedHalf]]:
    """Play and track a match without drawing a picture: its style, the generator of its stadium, and its halves."""
    rngs = job.generators()
    plays = simulate(job, rngs)
    _, look_rng, *half_rngs = rngs
    style = draw_style(look_rng, job.split == "challenge", job.sizes.body_height)
    looks, (_, tracker) = draw_looks(look_rng), job.settings()

    def halves() -> Iterator[TrackedHalf]:
        for play, rng in zip(plays, half_rngs, strict=True):
            broadcast, cast = direct(play, style, rng), assemble_cast(play, style, looks, rng)
            yield TrackedHalf(play, cast, broadcast, track(play, cast, broadcast, tracker, rng), rng)

    return style, look_rng, halves()


def film_match(
    job: Job,
    choose: Callable[[Play], np.ndarray] | None = None,
    tick: Callable[[int], object] = lambda frames: None,
) -> list[tuple[TrackedHalf, np.ndarray]]:
    """Play, film and track one match, and write its video: of all frames, or those (T,) bool that ``choose`` names.

    Each half comes with the frames (T,) that the video has, one after the other. ``tick`` is called with the number of
    frames done since the last call.
    """
    style, look_rng, tracked = track_match(job)
    stadium, size = build_stadium(style, job.sizes.width, look_rng), (job.sizes.height, job.sizes.width)
    halves = []
    with VideoWriter(job.video, *size, crf=style.crf, preset="superfast") as video:
        for half in tracked:
            filmed = np.ones(half.play.n_frames, bool) if choose is None else choose(half.play)
            film = prepare(half.play, half.cast, half.broadcast, style, stadium, size, half.rng)
            for frames in render_half(film, filmed):
                video.write(frames)
                tick(len(frames))
            halves.append((half, filmed))
    return halves


def chosen_frames(play: Play, rng: np.random.Generator) -> np.ndarray:
    """Frames (T,) bool around events, and random stretches."""
    chosen = np.zeros(play.n_frames, bool)
    starts = rng.integers(0, max(1, play.n_frames - STRETCH), round(STRETCHES * play.n_frames / STRETCH))
    spans = [(frame - AROUND, frame + AROUND + 1) for frame in play.events["frame"]]
    for start, stop in [*spans, *((start, start + STRETCH) for start in starts)]:
        chosen[max(start, 0) : stop] = True
    return chosen


def make_match(job: Job, tick: Callable[[int], object] = lambda frames: None) -> int:
    """Make one match: write its video, then its part. Returns the number of frames; ``tick`` as in ``film_match``."""
    part = {}
    for half, _ in film_match(job, tick=tick):
        part[f"rows_{half.play.half}"] = half.rows
        part[f"events_{half.play.half}"] = truth_events(half.play, half.tracks, half.broadcast)
    with atomic_path(job.part) as path, path.open("wb") as stream:
        np.savez_compressed(stream, video=np.array(sha256_file(job.video)), **part)
    return job.n_frames


def is_done(job: Job) -> bool:
    """Whether a match is there, with the very video that its part was written for."""
    if not (job.part.is_file() and job.video.is_file()):
        return False
    with np.load(job.part) as part:
        return str(part["video"]) == sha256_file(job.video)
