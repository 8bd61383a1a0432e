"""Filming: the stadium, shadows, goals, bodies and the ball, seen by the broadcast's cameras, as frames of a video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter1d

from footpass_lib.schema import FPS, PITCH
from footpass_lib.synthetic.picture import bodies
from footpass_lib.synthetic.picture.bodies import Cast
from footpass_lib.synthetic.picture.camera import Broadcast, Camera
from footpass_lib.synthetic.picture.pitch import GOAL, Stadium, film_stadium
from footpass_lib.synthetic.picture.sprites import Sprites, composite
from footpass_lib.synthetic.picture.style import Style
from footpass_lib.synthetic.play.played import Play

BATCH = 40  # frames rendered at once
_BALL_RADIUS = 0.20  # metres as drawn; a real one (0.11) is under a pixel in small pictures
_SHADE_NEAR, _SHADE_FAR = 1.06, 0.72  # light on the near and the far limbs: keeps legs and arms apart


@dataclass(frozen=True)
class Film:
    """What is needed to render any frame of a half at one resolution."""

    play: Play
    cast: Cast
    broadcast: Broadcast
    style: Style
    stadium: Stadium
    height: int
    width: int
    noise: np.ndarray  # (fields, H, W) float32, grey levels
    light: np.ndarray  # (T,) brightness


def prepare(
    play: Play, cast: Cast, broadcast: Broadcast, style: Style, stadium: Stadium, size: tuple[int, int],
    rng: np.random.Generator,
) -> Film:  # fmt: skip
    """Gather what a half's frames of ``size`` (height, width) are made of, and draw their noise and light."""
    height, width = size
    seconds = np.arange(play.n_frames) / FPS
    waves = [np.sin(2 * np.pi * seconds / period + rng.uniform(0, 6)) for period in (7.3, 23.0)]
    light = 1 + style.drift * (0.4 * waves[0] + 0.6 * waves[1])
    noise = style.noise * rng.standard_normal((8, height, width))
    return Film(play, cast, broadcast, style, stadium, height, width, noise.astype(np.float32), light)


def _pixels(camera: Camera, points: np.ndarray, film: Film) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Project points (S, ..., 3), one camera each: pixels (S, ..., 2), depth (S, ...), pixels a metre (S, ...)."""
    picture, depth = camera.project(points)
    spread = (slice(None),) + (None,) * (depth.ndim - 1)
    return picture * [film.width, film.height], depth, film.width * camera.focal[spread] / depth


def _visible(film: Film, camera: Camera, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frame and person (S,), (S,) of everybody who may be in the picture."""
    foot = film.cast.position[source]  # (B, Q, 2)
    middle = np.concatenate((foot, np.full((*foot.shape[:2], 1), 0.5 * film.style.body_height)), axis=-1)
    picture, depth = camera.project(middle)
    reach = camera.focal[:, None] * film.style.body_height / depth
    inside = (np.abs(picture - 0.5) < (0.5 + reach * [[1.0]])[..., None] + [0, 0.4]).all(axis=-1)
    return np.nonzero(inside & np.isfinite(picture).all(axis=-1))


def draw_people(film: Film, camera: Camera, source: np.ndarray) -> tuple[Sprites, Sprites]:
    """Everybody in a batch of frames, and their shadows."""
    frame, person = _visible(film, camera, source)
    joints = bodies.place_bodies(film.cast, source[frame], person)
    view = camera[frame]
    pixels, depth, scale = _pixels(view, joints, film)
    pixels, depth, scale = (values.astype(np.float32) for values in (pixels, depth, scale))
    a, b = bodies.LIMB_FROM, bodies.LIMB_TO
    middle = (depth[:, a] + depth[:, b]) / 2 - np.float32(film.cast.scale) * bodies.LIMB_BIAS
    order = np.argsort(middle, axis=1, kind="stable")  # near first
    pick = np.arange(len(frame))[:, None]
    radius = np.float32(film.cast.scale / 2) * bodies.LIMB_RADIUS * (scale[:, a] + scale[:, b])
    # Limbs behind the body's middle lie in its shade.
    turn = np.clip(0.5 + (middle.mean(axis=1, keepdims=True) - middle) / (0.5 * film.cast.scale), 0, 1)
    shade = _SHADE_FAR + (_SHADE_NEAR - _SHADE_FAR) * turn
    colour = film.cast.colours[person][:, bodies.LIMB_PART] * shade[..., None]
    figures = Sprites(
        frame, depth[:, 0], pixels[pick, a[order]], pixels[pick, b[order]],
        radius[pick, order], colour[pick, order], np.ones_like(radius),
    )  # fmt: skip
    return figures, _shadows(film, view, frame, joints)


def _on_grass(points: np.ndarray, sun: tuple[float, float]) -> np.ndarray:
    """Where the shadows of points (..., 3) fall."""
    ground = points.copy()
    ground[..., :2] += points[..., 2:] * np.asarray(sun, points.dtype)
    ground[..., 2] = 0
    return ground


def _shadows(film: Film, view: Camera, frame: np.ndarray, joints: np.ndarray) -> Sprites:
    """Dark capsules on the grass: both legs, and the trunk with the head, cast along the sun."""
    a = [bodies.JOINT[name] for name in ("ankle_r", "ankle_l", "pelvis")]
    b = [bodies.JOINT[name] for name in ("pelvis", "pelvis", "head")]
    pixels, depth, scale = _pixels(view, _on_grass(joints, film.style.sun), film)
    radius = film.cast.scale * np.array([0.12, 0.12, 0.19]) * (scale[:, a] + scale[:, b]) / 2
    black, opacity = np.zeros((*radius.shape, 3)), np.full(radius.shape, film.style.shadow)
    return Sprites(frame, depth[:, 0].astype(np.float32), pixels[:, a], pixels[:, b], radius, black, opacity)


def draw_ball(film: Film, camera: Camera, source: np.ndarray) -> tuple[Sprites, Sprites]:
    """The ball of every frame, smeared along its way, and its shadow."""
    frame = np.arange(len(source))
    now = film.play.ball[source].astype(np.float64)
    before = film.play.ball[np.maximum(source - 1, 0)]
    path = np.stack((now, now + film.style.exposure * (before - now)), axis=1)  # (B, 2, 3)
    path[..., 2] *= film.cast.scale
    spot, far, wide = _pixels(camera, _on_grass(path[:, :1], film.style.sun), film)  # of the shadow
    path[..., 2] = np.maximum(path[..., 2], _BALL_RADIUS)
    pixels, depth, scale = _pixels(camera, path, film)
    keep = np.isfinite(pixels).all(axis=(1, 2)) & (np.abs(pixels[:, 0] / [film.width, film.height] - 0.5) < 0.6).all(1)
    smallest = 0.0055 * film.width  # pixels
    radius = np.maximum(_BALL_RADIUS * scale[:, :1], smallest)
    start, stop = np.repeat(pixels[:, :1], 2, axis=1), np.repeat(pixels[:, 1:], 2, axis=1)  # a ball and its rim
    ball = Sprites(
        # Half a metre nearer than it is: a ball at a player's foot is drawn over the foot.
        frame, depth[:, 0].astype(np.float32) - 0.5, start, stop, np.concatenate((radius, radius + 0.6), axis=1),
        np.broadcast_to(np.array([[250.0] * 3, [60.0] * 3]), (len(frame), 2, 3)),
        np.broadcast_to(np.array([1.0, 0.55]), (len(frame), 2)),
    )  # fmt: skip
    flat = np.broadcast_to([0.9 * smallest, 0.0], (len(frame), 1, 2))
    shadow = Sprites(
        frame, far[:, 0].astype(np.float32), spot - 0.5 * flat, spot + 0.5 * flat,
        np.maximum(0.8 * _BALL_RADIUS * wide, 0.7 * smallest), np.zeros((len(frame), 1, 3)),
        np.full((len(frame), 1), film.style.shadow),
    )  # fmt: skip
    return ball[keep], shadow[keep & np.isfinite(spot).all(axis=(1, 2))]


def _goal_segments() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frame and net of the goal at x = 0: segments (K, 2, 3) in metres, radii (K,), opacities (K,)."""
    half, top, deep = GOAL[0] / 2, GOAL[1], 1.9
    posts = [((0, -half, 0), (0, -half, top)), ((0, half, 0), (0, half, top)), ((0, -half, top), (0, half, top))]
    net = []
    for y in np.linspace(-half, half, 10):
        net += [((0, y, top), (-0.7, y, top)), ((-0.7, y, top), (-deep, y, 0))]
    for share in np.linspace(0, 1, 5):
        x, z = -0.7 - (deep - 0.7) * share, top * (1 - share)
        net += [((x, -half, z), (x, half, z)), ((x, -half, z), (0, -half, z)), ((x, half, z), (0, half, z))]
    segments = np.array(posts + net, np.float64) + [0, PITCH[1] / 2, 0]
    radius = np.array([0.09] * 3 + [0.022] * len(net))
    opacity = np.array([1.0] * 3 + [0.42] * len(net))
    return segments, radius, opacity


def draw_furniture(film: Film, camera: Camera) -> list[Sprites]:
    """Goals with nets, and corner flags."""
    segments, radius, opacity = _goal_segments()
    segments = segments * [1, 1, film.cast.scale]
    other = segments * [-1, 1, 1] + [PITCH[0], 0, 0]
    flags = np.array([[(x, y, 0), (x, y, 1.5)] for x in (0, PITCH[0]) for y in (0, PITCH[1])])
    white, parts = np.array([240.0, 242.0, 240.0]), []
    for pieces, thick, solid in (
        (segments, radius, opacity), (other, radius, opacity), (flags, np.full(4, 0.035), np.full(4, 0.9)),
    ):  # fmt: skip
        pixels, depth, scale = _pixels(camera, np.broadcast_to(pieces, (len(camera.focal), *pieces.shape)), film)
        relative = pixels / [film.width, film.height]
        seen = np.isfinite(pixels).all(axis=(1, 2, 3)) & ((relative > -0.3) & (relative < 1.3)).all(-1).any(axis=(1, 2))
        frame = np.flatnonzero(seen)
        wide = thick * scale[frame].mean(axis=2)
        # Threads thinner than a pixel are drawn a pixel wide and paler.
        paler = np.clip(wide / 0.42, 0.35, 1)
        parts.append(Sprites(
            frame, depth[frame].max(axis=(1, 2)).astype(np.float32), pixels[frame, :, 0], pixels[frame, :, 1], wide,
            np.broadcast_to(white, (len(frame), len(thick), 3)), solid * np.where(solid < 1, paler, 1),
        ))  # fmt: skip
    return parts


def _smear(frames: np.ndarray, shift: np.ndarray) -> None:
    """Blur frames (B, 3, H, W) along the rows by the pixels (B,) that the picture moves while the shutter is open."""
    for i in np.flatnonzero(np.abs(shift) > 0.5):
        # A box of that length has the variance shift^2 / 12.
        frames[i] = gaussian_filter1d(frames[i], np.abs(shift[i]) / np.sqrt(12), axis=-1, mode="nearest", truncate=2.5)


def _pan(camera: Camera, film: Film) -> np.ndarray:
    """Pixels (B,) that the middle of the picture moves while the shutter is open."""
    forward = camera.axes[:, 2]
    turn = np.unwrap(np.arctan2(forward[:, 1], forward[:, 0]))
    turn = np.gradient(turn) if len(turn) > 1 else np.zeros(1)
    return np.clip(film.style.exposure * turn * camera.focal * film.width, -0.05 * film.width, 0.05 * film.width)


def _soften(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Blur a picture (3, H, W) along rows and columns by ``sigma`` pixels."""
    reach = int(2 * sigma + 0.5)
    taps = np.exp(-((np.arange(reach + 1) / sigma) ** 2) / 2)
    taps = (taps / (2 * taps.sum() - taps[0])).astype(np.float32)
    picture = np.pad(picture, ((0, 0), (reach, reach), (reach, reach)), mode="symmetric")
    for _ in range(2):
        n = picture.shape[-1] - 2 * reach
        soft = taps[0] * picture[..., reach : reach + n]
        for i in range(1, reach + 1):
            soft += taps[i] * (picture[..., reach - i : reach - i + n] + picture[..., reach + i : reach + i + n])
        picture = soft.swapaxes(-1, -2)
    return picture


def _develop(frames: np.ndarray, film: Film, first: int, stop: int) -> np.ndarray:
    """Lens, light and sensor: (B, 3, H, W) float to (B, H, W, 3) uint8."""
    sigma = film.style.softness * film.width / 1000
    y, x = np.mgrid[-1 : 1 : film.height * 1j, -1 : 1 : film.width * 1j]
    corners = (1 - film.style.vignette * (x**2 + y**2) / 2).astype(np.float32)
    developed = np.empty((len(frames), film.height, film.width, 3), np.uint8)
    for index, picture, out in zip(range(first, stop), frames, developed, strict=True):  # each stays in the cache
        if sigma > 0.35:
            picture = _soften(picture, sigma)
        picture *= corners * np.float32(film.light[index])
        # Shifted copies of a few fields: fresh grain at no cost.
        picture += np.roll(film.noise[7 * index % len(film.noise)], 31 * index, axis=-1)
        np.clip(picture, 0, 255, out=picture)
        for channel in range(3):
            out[..., channel] = picture[channel]
    return developed


def render(film: Film, first: int, stop: int) -> np.ndarray:
    """Frames ``first`` to ``stop`` of the broadcast, (B, height, width, 3) uint8; they must lie in one shot."""
    camera, source = film.broadcast.camera[first:stop], film.broadcast.source[first:stop]
    frames = film_stadium(film.stadium, camera, film.height, film.width)
    _smear(frames, _pan(camera, film))
    people, shadows = draw_people(film, camera, source)
    ball, ball_shadow = draw_ball(film, camera, source)
    composite(frames, [shadows, ball_shadow])
    composite(frames, draw_furniture(film, camera))
    composite(frames, [people, ball])
    return _develop(frames, film, first, stop)


def batches(broadcast: Broadcast) -> list[tuple[int, int]]:
    """Ranges of at most ``BATCH`` frames, none across a cut."""
    shot, source = broadcast.shot.astype(int), broadcast.source
    cut = (np.diff(shot) != 0) | (np.abs(np.diff(source)) > 1)
    edges = pairwise([0, *(np.flatnonzero(cut) + 1).tolist(), len(shot)])
    return [(first, min(first + BATCH, stop)) for start, stop in edges for first in range(start, stop, BATCH)]


def render_half(film: Film, filmed: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """All frames of a half, or those that are ``filmed`` (T,), batch by batch, each (B, height, width, 3) uint8."""
    for first, stop in batches(film.broadcast):
        wanted = np.ones(stop - first, bool) if filmed is None else filmed[first:stop]
        edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(np.int8)))
        for start, end in edges.reshape(-1, 2) + first:
            yield render(film, int(start), int(end))
