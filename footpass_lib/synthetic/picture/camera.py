"""The cameras and the director: where each frame of the broadcast is filmed from, and which moment it shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from footpass_lib.schema import CLASS_ID, FPS, PITCH
from footpass_lib.synthetic.picture.style import STATURE, Style
from footpass_lib.synthetic.play.played import Play

MAIN, REPLAY, CLOSE_UP = range(3)
ASPECT = 16 / 9  # of the filmed picture; a file's pixels may be slightly off square
NEAREST = 0.5  # metres; what is closer to the camera's plane is not projected


@dataclass(frozen=True)
class Camera:
    """A pinhole camera a frame, free of any resolution."""

    position: np.ndarray  # (T, 3) metres, in the coordinates of Play
    axes: np.ndarray  # (T, 3, 3) rows: unit vectors to the right of the picture, up, and forward
    focal: np.ndarray  # (T,) in picture widths: the picture spans 1 / focal metres at 1 m

    def __getitem__(self, frames: slice | np.ndarray) -> Camera:
        return Camera(self.position[frames], self.axes[frames], self.focal[frames])

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where points (T, ..., 3), in metres, appear in the picture, and their depths.

        The former (T, ..., 2) are shares of the picture's width and height, right and down from the top left corner,
        NaN behind the camera; the latter (T, ...) are metres along the viewing axis.
        """
        spread = (slice(None),) + (None,) * (points.ndim - 2)
        seen = np.einsum("tij,t...j->t...i", self.axes, points - self.position[spread])
        depth = seen[..., 2]
        scale = self.focal[spread] / np.where(depth > NEAREST, depth, np.nan)
        picture = np.stack((0.5 + scale * seen[..., 0], 0.5 - ASPECT * scale * seen[..., 1]), axis=-1)
        return picture, depth


@dataclass(frozen=True)
class Broadcast:
    """What the director puts on air."""

    camera: Camera
    shot: np.ndarray  # (T,) uint8 MAIN, REPLAY or CLOSE_UP; players are tracked in main shots only
    source: np.ndarray  # (T,) int64 frame of the play that is shown: the frame itself, or an earlier one in a replay


def aim(position: np.ndarray, target: np.ndarray, view_width: np.ndarray) -> Camera:
    """Cameras at ``position`` (T, 3), looking at ``target`` (T, 3), ``view_width`` (T,) metres wide at the target."""
    forward = target - position
    distance = np.linalg.norm(forward, axis=-1)
    forward = forward / distance[:, None]
    level = np.hypot(forward[:, 0], forward[:, 1])
    # y runs toward the viewer of the main camera, so the right hand of a look along -y is +x.
    right = np.stack((-forward[:, 1], forward[:, 0], np.zeros_like(level)), axis=-1) / level[:, None]
    up = np.stack((-forward[:, 0] * forward[:, 2], -forward[:, 1] * forward[:, 2], level**2), axis=-1) / level[:, None]
    return Camera(position, np.stack((right, up, forward), axis=1), distance / view_width)


def _follow(signal: np.ndarray, seconds: float) -> np.ndarray:
    """Trail a signal (T, ...) with two equal one-pole filters whose joint delay is ``seconds``."""
    from scipy.signal import lfilter  # takes a second, and only those who make matches need it

    keep = np.exp(-2.0 / (seconds * FPS))
    for _ in range(2):
        signal = lfilter([1 - keep], [1, -keep], signal, axis=0, zi=keep * signal[:1])[0]
    return signal


def _wander(n: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """A slow random signal (n,) of unit variance: the operator's hand."""
    knots = rng.standard_normal(int(n / (seconds * FPS)) + 3)
    return np.interp(np.arange(n) / (seconds * FPS), np.arange(len(knots)), knots)


def main_camera(play: Play, style: Style, rng: np.random.Generator) -> Camera:
    """The camera high on the halfway line that pans and zooms after the ball, a little late."""
    n = play.n_frames
    ahead = np.minimum(np.arange(n) + int(0.35 * FPS), n - 1)  # operators look where the ball is going
    ball = _follow(play.ball[ahead].astype(np.float64), style.lag)
    x = np.clip(ball[:, 0], 0.33 * style.view_width, PITCH[0] - 0.33 * style.view_width)
    y = 0.3 * PITCH[1] / 2 + 0.7 * np.clip(ball[:, 1], 0, PITCH[1] + 2)
    lift = 0.4 * style.body_height / STATURE  # keeps high balls in view
    target = np.stack((x + 0.5 * _wander(n, 3, rng), y + 0.5 * _wander(n, 4, rng), lift * ball[:, 2]), axis=-1)
    pace = _follow(np.linalg.norm(np.diff(play.ball[:, :2], axis=0, prepend=play.ball[:1, :2]), axis=1) * FPS, 1.5)
    wide = 1 + 0.10 * np.clip(pace / 12, 0, 1) + 0.04 * _wander(n, 6, rng)
    place = np.array([PITCH[0] / 2, PITCH[1] + style.camera_distance, style.camera_height])
    return aim(np.tile(place, (n, 1)), target, style.view_width * _follow(wide, 1.0))


def replay_camera(play: Play, source: np.ndarray, rng: np.random.Generator) -> Camera:
    """A second, closer camera (low at the near touchline, or behind the goal) on the frames ``source``."""
    ball = _follow(play.ball[source].astype(np.float64), 0.6)
    middle = ball.mean(axis=0)
    end = 0.0 if middle[0] < PITCH[0] / 2 else PITCH[0]
    if abs(middle[0] - end) < 28 and rng.random() < 0.5:
        outward = -1.0 if end == 0 else 1.0
        place = np.array([end + outward * rng.uniform(12, 18), PITCH[1] / 2 + rng.uniform(-16, 16), rng.uniform(6, 11)])
    else:
        place = np.array([middle[0] + rng.uniform(-24, 24), PITCH[1] + rng.uniform(9, 14), rng.uniform(5, 9)])
    ball[:, 2] = 1.0
    width = rng.uniform(13, 18) * np.linspace(1, rng.uniform(0.75, 1), len(source))
    return aim(np.broadcast_to(place, (len(source), 3)), ball, width)


def close_up_camera(play: Play, source: np.ndarray, rng: np.random.Generator) -> Camera:
    """A long lens on one player near the ball, from the near touchline."""
    centre = source[len(source) // 2]
    distance = np.linalg.norm(play.position[centre] - play.ball[centre, :2], axis=1)
    present = np.isfinite(play.position[source]).all(axis=(0, 2))
    player = int(np.argmin(np.where(present, distance, np.inf)))
    spot = _follow(play.position[source, player].astype(np.float64), 0.5)
    target = np.concatenate((spot, np.full((len(source), 1), 1.45)), axis=1)
    place = np.array([spot[:, 0].mean() + rng.uniform(-14, 14), PITCH[1] + rng.uniform(8, 14), rng.uniform(3, 6)])
    return aim(np.broadcast_to(place, (len(source), 3)), target, np.full(len(source), rng.uniform(6, 9)))


MIN_CUT = 55  # frames; shorter ones would be bridged by the interpolation of boxes (gaps under 50 frames)
_MAX_CUT = 320
# How often the picture is still elsewhere when the ball comes back into play: with the cuts that reach over from
# before, this gives the real share of throw-ins in replay (.467).
_OVERRUN = {"throw-in": 0.45, "goal-kick": 0.45, "corner": 0.08, "free-kick": 0.3, "kick-off": 0.1}
_SHOWN = 0.6  # share of the other stoppages with a replay or close-up that ends in time
_LIVE_SHARE = 0.08  # of live time that is spent on replays and close-ups (drives .079, passes .098 in the real data)


def _mask(n_frames: int, spans: Iterable[tuple[int, int]]) -> np.ndarray:
    mask = np.zeros(n_frames, bool)
    for start, stop in spans:
        mask[max(start, 0) : stop] = True
    return mask


def _stoppage_cuts(play: Play, rng: np.random.Generator) -> list[tuple[int, int]]:
    cuts = []
    for row in play.stoppages.itertuples():
        length = int(rng.integers(2 * MIN_CUT, _MAX_CUT))
        early = row.start + int(rng.integers(12, 38))
        if rng.random() < _OVERRUN.get(row.restart, 0.3):
            stop = row.stop + int(rng.integers(6, 45))
            start = min(max(early, stop - length), stop - MIN_CUT)
        elif rng.random() < _SHOWN:
            start, stop = early, min(row.stop - int(rng.integers(15, 45)), early + length)
        else:
            continue
        start, stop = max(start, 0), min(stop, play.n_frames)
        if stop - start >= MIN_CUT:
            cuts.append((start, stop))
    return cuts


def _live_cuts(play: Play, busy: np.ndarray, dead: np.ndarray, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Close-ups in running play until ``_LIVE_SHARE`` of the live frames is off the main camera; never at a shot."""
    cuts, n = [], play.n_frames
    shots = play.events.loc[play.events["class"] == CLASS_ID["shot"], "frame"]
    closed = busy | _mask(n, zip(shots - 60, shots + 60, strict=True))  # no broadcast misses a shot
    missing = _LIVE_SHARE * (~dead).sum() - (busy & ~dead).sum()
    for _ in range(40):
        length = int(rng.integers(MIN_CUT, 110))
        if missing < length / 2 or n <= length:
            break
        start = int(rng.integers(0, n - length))
        if closed[max(start - 50, 0) : start + length + 50].any():
            continue
        cuts.append((start, start + length))
        closed[start : start + length] = True
        missing -= (~dead[start : start + length]).sum()
    return cuts


def _merge(cuts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(cuts):
        if merged and start <= merged[-1][1] + MIN_CUT:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def _film_cut(play: Play, start: int, stop: int, rng: np.random.Generator) -> list[tuple[int, int, np.ndarray, Camera]]:
    """Shots that fill one cut: (shot, first frame, source frames, camera) each."""
    length = stop - start
    split = int(length * rng.uniform(0.3, 0.5)) if length > 3 * MIN_CUT else (length if rng.random() < 0.5 else 0)
    shots = []
    if split:
        live = np.arange(start, start + split)
        shots.append((CLOSE_UP, start, live, close_up_camera(play, live, rng)))
    if split < length:
        pace = rng.uniform(0.4, 0.7)  # slow motion
        begin = max(start - int(pace * (length - split)) - int(rng.integers(10, 40)), 0)
        past = begin + (pace * np.arange(length - split)).astype(np.int64)
        shots.append((REPLAY, start + split, past, replay_camera(play, past, rng)))
    return shots


def direct(play: Play, style: Style, rng: np.random.Generator) -> Broadcast:
    """Cut a half: the main camera, with replays and close-ups mostly while the ball is dead.

    About .467 of the throw-ins and .08 of the drives and passes fall outside the main shot, as in the real data:
    some cuts run over the restart, and a few close-ups are shown in running play.
    """
    n = play.n_frames
    camera = main_camera(play, style, rng)  # replaced where the director cuts away
    shot, source = np.zeros(n, np.uint8), np.arange(n)
    dead = _mask(n, zip(play.stoppages["start"], play.stoppages["stop"], strict=True))
    cuts = _stoppage_cuts(play, rng)
    cuts += _live_cuts(play, _mask(n, cuts), dead, rng)
    for start, stop in _merge(cuts):
        for kind, first, frames, view in _film_cut(play, start, stop, rng):
            span = slice(first, first + len(frames))
            shot[span], source[span] = kind, frames
            camera.position[span], camera.axes[span], camera.focal[span] = view.position, view.axes, view.focal
    return Broadcast(camera, shot, source)
