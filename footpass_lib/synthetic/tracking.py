"""The tracker: boxes with the gaps of a real one, positions imputed in the gaps, and the rows of the tactical file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from footpass_lib.data.boxes import short_gaps
from footpass_lib.schema import BOX_FRAME, CLASSES, FPS, N_ROLES, PITCH, TACTICAL_COLUMNS
from footpass_lib.synthetic.picture import bodies
from footpass_lib.synthetic.picture.bodies import Cast
from footpass_lib.synthetic.picture.camera import MAIN, Broadcast
from footpass_lib.synthetic.play.played import Play

_BATCH = 400  # frames projected at once
_SHORTEST_LOSS = 55  # frames; a shorter gap would be bridged by interpolation
_MEAN_LOSS = 60.0  # frames that a loss lasts beyond the shortest one, on average
_OCCLUSION = 0.45  # a player is missed while a nearer one covers more than this share of their box
_CONFUSION = 0.06  # chance that an occlusion costs the identity, so that the player stays lost for a while
# Chance that the body in an unusual pose is lost around its action. The chances bring the share of actors with a box
# near the real table (drive .858, pass .814, cross .705, throw-in .436, shot .810, header .666, tackle .611, block
# .783), which includes the actions in replays.
ACTION_LOSS = {"pass": 0.03, "cross": 0.18, "throw-in": 0.14, "shot": 0.11, "header": 0.25, "tackle": 0.22,
               "block": 0.1}  # fmt: skip
# Positions of players without a box.
_FOLLOWED = 0.4  # seconds: standard deviation of the bell that their true runs are smoothed with
_UNSEEN_ERROR = 2.0  # metres on each axis: the standard deviation of the error in the long run
_GROWTH = 3.0  # seconds in which it gets two thirds of the way there
_REGAIN = 1.5  # seconds before a player is seen again in which it falls to nothing
_ERROR_MEMORY = 1.5  # seconds that the error keeps its direction


@dataclass(frozen=True)
class TrackerSettings:
    """How a tracker fails."""

    jitter: float = 0.02  # standard deviation of the boxes' sides, in box heights
    loss_rate: float = 0.4  # identities lost a minute and player without a visible reason


@dataclass(frozen=True)
class Tracks:
    """What the tracker saw of P players over T frames; rectangles are left, top, width, height, pixels of 1920x1080."""

    outline: np.ndarray  # (T, P, 4) float32 of the drawn bodies, without error; NaN where not in the main picture
    box: np.ndarray  # (T, P, 4) float32 the tracker's boxes; NaN where it has none
    has_box: np.ndarray  # (T, P) bool there is a box once gaps of fewer than 50 frames are interpolated
    position: np.ndarray  # (T, P, 2) float32 metres, estimated where there is no box; NaN off the pitch
    velocity: np.ndarray  # (T, P, 2) float32 metres a second, likewise


def track(play: Play, cast: Cast, broadcast: Broadcast, settings: TrackerSettings, rng: np.random.Generator) -> Tracks:
    """Track the players of a broadcast half."""
    outline, depth = outline_bodies(play, cast, broadcast)
    outline[_inside(outline) < 0.6] = np.nan
    present = np.isfinite(outline[..., 0])
    hidden = _covered(outline, np.where(present, depth, np.nan)) > _OCCLUSION
    seen = present & ~hidden & ~_losses(play, hidden & present, settings, rng)
    noise = settings.jitter * outline[..., 3:] * _shaky((*seen.shape, 4), 0.8, rng)
    low = np.clip(outline[..., :2] + noise[..., :2], 0, BOX_FRAME)
    high = np.clip(outline[..., :2] + outline[..., 2:] + noise[..., 2:], low + 1, BOX_FRAME)
    box = np.where(seen[..., None], np.concatenate((low, high - low), axis=-1), np.nan).astype(np.float32)
    position, velocity = estimate_motion(play, seen, rng)
    return Tracks(outline, box, seen | short_gaps(seen.T)[0].T, position, velocity)


def outline_bodies(play: Play, cast: Cast, broadcast: Broadcast) -> tuple[np.ndarray, np.ndarray]:
    """Rectangles (T, P, 4) of the drawn players in main shots, pixels of 1920x1080, and their depths (T, P)."""
    outline = np.full((play.n_frames, play.n_players, 4), np.nan, np.float32)
    depth = np.full(outline.shape[:2], np.nan, np.float32)
    there = (broadcast.shot == MAIN)[:, None] & (play.slot >= 0)
    for first in range(0, play.n_frames, _BATCH):
        frame, player = np.nonzero(there[first : first + _BATCH])
        frame = frame + first
        camera = broadcast.camera[frame]
        picture, away = camera.project(bodies.place_bodies(cast, frame, player))
        # (S, limbs) radii as shares of the picture's width and height
        reach = cast.scale * bodies.LIMB_RADIUS * camera.focal[:, None] / away.mean(axis=1, keepdims=True)
        reach = np.stack((reach, reach * BOX_FRAME[0] / BOX_FRAME[1]), axis=-1)
        ends = picture[:, bodies.LIMB_FROM], picture[:, bodies.LIMB_TO]
        low = (np.minimum(*ends) - reach).min(axis=1) * BOX_FRAME
        high = (np.maximum(*ends) + reach).max(axis=1) * BOX_FRAME
        outline[frame, player] = np.concatenate((low, high - low), axis=-1)
        depth[frame, player] = away[:, 0]
    return outline, depth


def _inside(outline: np.ndarray) -> np.ndarray:
    """Share (T, P) of each rectangle that lies in the picture; 0 where there is none."""
    low, high = np.maximum(outline[..., :2], 0), np.minimum(outline[..., :2] + outline[..., 2:], BOX_FRAME)
    share = np.maximum(high - low, 0).prod(axis=-1) / outline[..., 2:].prod(axis=-1)
    return np.nan_to_num(share)


def _covered(outline: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Largest share (T, P) of each rectangle that a single nearer player's rectangle covers."""
    low, high = outline[..., :2], outline[..., :2] + outline[..., 2:]
    area = outline[..., 2:].prod(axis=-1)
    covered = np.zeros(depth.shape, np.float32)
    for other in range(depth.shape[1]):
        shared = np.minimum(high, high[:, other, None]) - np.maximum(low, low[:, other, None])
        share = np.maximum(shared, 0).prod(axis=-1) / area
        nearer = depth[:, other, None] < depth
        covered = np.fmax(covered, np.where(nearer, share, 0))
    return covered


def _losses(play: Play, hidden: np.ndarray, settings: TrackerSettings, rng: np.random.Generator) -> np.ndarray:
    """Where (T, P) an identity is lost: at random, after occlusions, around unusual poses."""
    n, p = hidden.shape
    chance = np.full((n, p), settings.loss_rate / (60 * FPS))
    chance[1:][hidden[1:] & ~hidden[:-1]] += _CONFUSION
    start, player = np.nonzero(rng.random((n, p)) < chance)
    chances = np.array([ACTION_LOSS.get(name, 0.0) for name in CLASSES])
    acts = play.events[rng.random(len(play.events)) < chances[play.events["class"]]]
    before = acts["frame"].to_numpy() - rng.integers(5, 40, len(acts))
    start, player = np.concatenate((start, before)), np.concatenate((player, acts["player"].to_numpy()))
    length = (_SHORTEST_LOSS + rng.exponential(_MEAN_LOSS, len(start))).astype(np.int64)
    edges = np.zeros((n + 1, p), np.int32)
    np.add.at(edges, (np.clip(start, 0, n), player), 1)
    np.add.at(edges, (np.clip(start + length, 0, n), player), -1)
    return np.cumsum(edges, axis=0)[:n] > 0


def _shaky(shape: tuple[int, ...], keep: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit variance along the first axis, ``keep`` of which stays from frame to frame."""
    from scipy.signal import lfilter  # as in the camera

    white = rng.standard_normal(shape) * np.sqrt(1 - keep**2)
    return lfilter([1], [1, -keep], white, axis=0)


def estimate_motion(play: Play, seen: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Positions and velocities (T, P, 2) float32, metres and metres a second, as an analyst's software fills them in.

    A player who is ``seen`` (T, P) is located within a quarter of a metre. The others are followed on other cameras
    and by hand: the true run smoothed over about a second, with a slowly varying error. Its standard deviation grows
    with the time since the player was last seen, to 2 m on each axis, and falls to nothing in the second and a half
    before the player is seen again. Velocities are those of the positions, 10 m/s at most. NaN off the pitch.
    """
    on_pitch = play.slot >= 0
    since, until = _seconds_unseen(seen & on_pitch)
    truth = _held(np.where(on_pitch[..., None], play.position, 0).astype(np.float64), on_pitch)
    followed = gaussian_filter1d(truth, _FOLLOWED * FPS, axis=0, mode="nearest")
    error = _UNSEEN_ERROR * (1 - np.exp(-since / _GROWTH)) * np.minimum(1, until / _REGAIN)
    guess = np.where(seen[..., None], truth, followed) + 0.25 * _shaky(truth.shape, 0.97, rng)
    guess += error[..., None] * _slow(truth.shape, _ERROR_MEMORY * FPS, rng)
    position = gaussian_filter1d(guess, 0.25 * FPS, axis=0, mode="nearest")
    velocity = np.gradient(position, axis=0) * FPS
    speed = np.linalg.norm(velocity, axis=-1, keepdims=True)
    velocity *= np.minimum(1, 10 / np.maximum(speed, 1e-6))  # a corrected guess is a jump, not a sprint
    outside = ~on_pitch[..., None]
    return tuple(np.where(outside, np.nan, values).astype(np.float32) for values in (position, velocity))


def _seconds_unseen(located: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Seconds (T, P) since a player was located and until he is again; an hour where that never happens."""
    frame = np.arange(len(located))[:, None]
    never = 3600 * FPS
    last = np.maximum.accumulate(np.where(located, frame, -never), axis=0)
    following = np.minimum.accumulate(np.where(located, frame, len(located) + never)[::-1], axis=0)[::-1]
    return (frame - last) / FPS, (following - frame) / FPS


def _held(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Values (T, P, 2) with those that are not ``valid`` (T, P) replaced by the last valid ones, else by the first."""
    last = np.maximum.accumulate(np.where(valid, np.arange(len(valid))[:, None], -1), axis=0)
    source = np.where(last < 0, valid.argmax(axis=0), last)
    return np.take_along_axis(values, source[..., None], axis=0)


def _slow(shape: tuple[int, ...], frames: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of unit variance along the first axis: white noise under a bell of standard deviation ``frames``."""
    bell = gaussian_filter1d(rng.standard_normal(shape), frames, axis=0, mode="wrap")
    return bell * np.sqrt(2 * frames * np.sqrt(np.pi))


def tactical_rows(play: Play, tracks: Tracks) -> np.ndarray:
    """Rows (N, 14) float32 of a half's tactical table, by frame: one for each player on the pitch.

    Columns are ``schema.TACTICAL_COLUMNS``. Positions are shares of the pitch's length and width, speeds metres a
    second, boxes pixels of the 1920x1080 picture; ``player_id`` is 100 (left squad) or 200 plus the jersey; the class
    of an event stands on its frame in its actor's row.
    """
    frame, player = np.nonzero(play.slot >= 0)
    slot = play.slot[frame, player]
    label = np.zeros(play.slot.shape, np.uint8)
    label[play.events["frame"], play.events["player"]] = play.events["class"]
    position, velocity, box = (a[frame, player] for a in (tracks.position, tracks.velocity, tracks.box))
    columns = (
        frame + play.first_frame, 100 * (play.team[player] + 1) + play.jersey[player] % 100, play.team[player],
        play.jersey[player], slot % N_ROLES + 1, *(position / PITCH).T, *velocity.T, *box.T, label[frame, player],
    )  # fmt: skip
    by_name = dict(zip(TACTICAL_COLUMNS, columns, strict=True))
    return np.stack([np.asarray(by_name[name], np.float32) for name in TACTICAL_COLUMNS], axis=1)


def truth_events(play: Play, tracks: Tracks, broadcast: Broadcast) -> np.ndarray:
    """The half's events (N, 6) as the play-by-play file lists them: frame, team, jersey, class, bbox, replay."""
    frame, player = play.events["frame"].to_numpy(), play.events["player"].to_numpy()
    columns = (
        frame + play.first_frame, play.team[player], play.jersey[player], play.events["class"],
        tracks.has_box[frame, player], broadcast.shot[frame] != MAIN,
    )  # fmt: skip
    return np.stack([np.asarray(column, np.int64) for column in columns], axis=1)
