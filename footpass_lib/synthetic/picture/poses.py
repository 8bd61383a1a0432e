"""Poses: the angles of a body's joints while it runs, kicks, heads, throws, tackles and blocks."""

from __future__ import annotations

import numpy as np

from footpass_lib.synthetic.play.played import MOVES

# Angles of a pose, radians. Limbs: 0 hangs down, positive swings forward; "out" is away from the body's middle.
_BODY, _LIMBS = ("lean", "tilt", "twist", "lift"), ("thigh", "knee", "spread", "arm", "elbow", "out")
ANGLES = (*_BODY, *(f"{limb}_{side}" for side in "rl" for limb in _LIMBS))
ANGLE = {name: i for i, name in enumerate(ANGLES)}
_MIRROR = [*range(4), *range(10, 16), *range(4, 10)]  # a left-footed player's angle: the other side's
_MIRROR_SIGN = np.array([1, -1, -1, 1, *(12 * [1])])  # tilt and twist turn the other way


def _key(seconds: float, weight: float, **angles: float | tuple[float, float]) -> tuple[float, float, np.ndarray]:
    """A key pose: seconds to the anchor frame, weight over the running pose, and angles of all ``ANGLES``.

    A limb's angle is given for both sides, or as (right, left); angles that are not named are 0.
    """
    sides = np.array([np.broadcast_to(angles.get(limb, 0), 2) for limb in _LIMBS], float).T
    return seconds, weight, np.array([*(angles.get(name, 0) for name in _BODY), *sides.ravel()], float)


_KEY_POSES = {
    "drive": [
        _key(-0.30, 0.0, thigh=(0.2, 0)),
        _key(-0.10, 1.0, lean=0.2, thigh=(0.6, 0), knee=(0.9, 0.25), elbow=0.4, out=0.9),
        _key(0.00, 1.0, lean=0.3, thigh=(0.75, 0.1), knee=(0.25, 0.45), elbow=0.4, out=0.9),
        _key(0.12, 1.0, lean=0.3, thigh=(0.45, 0), knee=(0.4, 0.3), elbow=0.4, out=0.9),
        _key(0.32, 0.0, thigh=(0.2, 0)),
    ],
    "pass": [
        _key(-0.36, 0.0),
        _key(-0.16, 1.0, lean=0.1, thigh=(-0.6, 0.2), knee=(1.3, 0.3), spread=(0.15, 0), out=(0.5, 1.2)),
        _key(0.00, 1.0, lean=0.05, thigh=(0.5, 0), knee=(0.15, 0.3), arm=(-0.7, 0), out=(0, 1.1)),
        _key(0.16, 1.0, thigh=(1.05, 0), knee=(0.15, 0.2), arm=(0, 0.6), out=(0, 0.8)),
        _key(0.40, 0.0, thigh=(0.3, 0)),
    ],
    "cross": [
        _key(-0.44, 0.0),
        _key(-0.20, 1.0, lean=0.1, tilt=0.3, twist=-0.5, thigh=(-0.9, 0.4), knee=(1.5, 0.4), spread=(0.5, 0),
             arm=(0, 1.2), out=(0.9, 1.3)),
        _key(0.00, 1.0, tilt=0.4, twist=0.1, thigh=(0.5, 0), knee=(0.15, 0.35), spread=(0.55, 0),
             arm=(0, 0.8), out=(1, 1.4)),
        _key(0.20, 1.0, lean=-0.1, tilt=0.3, twist=0.6, thigh=(1.3, 0), knee=(0.3, 0.2), spread=(0.1, 0),
             arm=(-0.7, 0), out=(0.9, 1.3)),
        _key(0.50, 0.0, thigh=(0.3, 0)),
    ],
    "shot": [
        _key(-0.44, 0.0),
        _key(-0.20, 1.0, lean=-0.05, thigh=(-1, 0.4), knee=(1.8, 0.4), arm=(-0.5, 0.9), out=(1.1, 1.3)),
        _key(0.00, 1.0, lean=0.25, thigh=(0.6, -0.1), knee=(0.15, 0.3), arm=(-0.9, 0), out=(0.8, 1.3)),
        _key(0.16, 1.0, lean=-0.1, lift=0.12, thigh=(1.6, -0.3), knee=(0.1, 0.2), arm=(-0.8, 0.8), out=1),
        _key(0.34, 0.8, lean=0.2, thigh=(0.7, 0), knee=(0.4, 0.3), out=0.8),
        _key(0.48, 0.0),
    ],
    "throw-in": [
        _key(-0.50, 0.0, arm=1.6),
        _key(-0.36, 1.0, arm=2.9, elbow=0.5, out=0.15),
        _key(-0.14, 1.0, lean=-0.35, thigh=(-0.2, 0.3), knee=0.3, arm=2.9, elbow=1.3, out=0.15),
        _key(0.00, 1.0, lean=0.25, thigh=(-0.25, 0), arm=2.5, elbow=0.15),
        _key(0.16, 1.0, lean=0.5, thigh=(-0.4, 0.2), arm=1.5),
        _key(0.46, 0.0, arm=0.5),
    ],
    "header": [
        _key(-0.50, 0.0),
        _key(-0.26, 1.0, lean=0.35, thigh=0.8, knee=1.5, arm=-0.9),
        _key(-0.08, 1.0, lean=-0.35, lift=0.42, thigh=(-0.3, 0.2), knee=(1, 0.9), elbow=0.9, out=1.4),
        _key(0.00, 1.0, lean=0.25, lift=0.45, thigh=(0.2, 0.3), knee=0.9, arm=-0.5, elbow=0.9, out=1.1),
        _key(0.12, 1.0, lean=0.5, lift=0.3, thigh=(0.3, 0.4), knee=0.5, arm=-0.6, out=0.9),
        _key(0.28, 1.0, lean=0.3, thigh=0.5, knee=0.9, out=0.7),
        _key(0.48, 0.0),
    ],
    "tackle": [
        _key(-0.34, 0.0),
        _key(-0.16, 1.0, lean=0.1, thigh=(1, 0.2), knee=(0.6, 1), elbow=0.4, out=0.9),
        _key(0.00, 1.0, lean=-0.55, tilt=-0.3, thigh=(1.35, 0.9), knee=(0.05, 2.1), spread=(0, 0.4),
             arm=(-0.9, 0), out=(0.6, 1.2)),
        _key(0.20, 1.0, lean=-0.75, tilt=-0.4, thigh=(1.5, 1.1), knee=(0.05, 2.2), spread=(0, 0.5),
             arm=(-1.1, 0), out=(0.5, 1.2)),
        _key(0.36, 0.9, lean=0.3, thigh=(1.2, 0.4), knee=(1.7, 1.9), arm=(0.4, 0)),
        _key(0.50, 0.0),
    ],
    "block": [
        _key(-0.32, 0.0),
        _key(-0.12, 1.0, lean=0.15, thigh=(0.7, 0.1), knee=(0.9, 0.6), spread=(0.4, 0), arm=-0.7),
        _key(0.00, 1.0, lean=0.1, tilt=0.35, thigh=(0.6, 0.5), knee=(0.1, 1.1), spread=(0.85, 0.3), arm=-0.8,
             out=(0.3, 0.4)),
        _key(0.24, 1.0, lean=0.2, tilt=0.35, thigh=0.5, knee=(0.15, 1.1), spread=(0.8, 0.3), arm=-0.6, out=0.4),
        _key(0.48, 0.0),
    ],
    "wave": [
        _key(-0.48, 0.0, arm=1.5),
        _key(-0.30, 1.0, arm=2.7, out=0.5),
        _key(0.30, 1.0, arm=2.8, out=0.3),
        _key(0.48, 0.0, arm=1.5),
    ],
    "catch": [
        _key(-0.40, 0.0),
        _key(-0.10, 1.0, lean=0.3, thigh=0.5, knee=0.8, arm=1.7, elbow=0.2),
        _key(0.15, 1.0, lean=0.4, thigh=0.5, knee=0.9, arm=0.8, elbow=1.4),
        _key(0.48, 0.0, arm=0.6, elbow=1.4),
    ],
}  # fmt: skip
# Look-alikes use the same movement at another strength: (model, amplitude).
_LOOK_ALIKES = {"feint": ("pass", 0.85), "jump": ("header", 0.9), "slide": ("tackle", 1.05), "stretch": ("block", 0.9)}

_STEP = 0.02  # seconds between the rows of the pose table
_REACH = 1.0  # seconds covered on either side of the anchor


def _pose_table() -> tuple[np.ndarray, np.ndarray]:
    """Angles (moves, steps, angles) and weights (moves, steps) on a fine grid of seconds to the anchor."""
    grid = np.arange(-_REACH, _REACH + _STEP / 2, _STEP)
    angles = np.zeros((len(MOVES), len(grid), len(ANGLES)), np.float32)
    weight = np.zeros((len(MOVES), len(grid)), np.float32)
    for move, name in enumerate(MOVES[1:], start=1):
        model, amplitude = _LOOK_ALIKES.get(name, (name, 1.0))
        times, weights, poses = zip(*_KEY_POSES[model], strict=True)
        weight[move] = np.interp(grid, times, weights)
        for angle, values in enumerate(np.array(poses).T):
            angles[move, :, angle] = amplitude * np.interp(grid, times, values)
    return angles, weight


_TABLE, _WEIGHT = _pose_table()


def acting(move: np.ndarray, phase: np.ndarray, left_footed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles (S, angles) of moves at ``phase`` seconds from their anchors, and how far (S, 1) they displace the run."""
    step = np.rint((np.clip(phase, -_REACH, _REACH) + _REACH) / _STEP).astype(np.int64)
    angles = _TABLE[move, step]
    angles = np.where(left_footed[:, None], angles[:, _MIRROR] * _MIRROR_SIGN, angles)
    return angles.astype(np.float32), _WEIGHT[move, step][:, None]


def running(cycle: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """Angles (S, angles) of standing, walking and running."""
    pace = np.clip(speed / 7.5, 0, 1)
    swing = np.clip(speed / 0.8, 0, 1) * (0.28 + 0.75 * pace)
    pose = np.zeros((len(cycle), len(ANGLES)), np.float32)
    pose[:, ANGLE["lean"]] = 0.04 + 0.28 * pace
    pose[:, ANGLE["twist"]] = -0.3 * swing * np.sin(cycle)
    pose[:, ANGLE["lift"]] = 0.06 * pace * np.abs(np.cos(cycle))
    for side, sign in (("r", 1.0), ("l", -1.0)):
        wave = sign * np.sin(cycle)
        recover = np.maximum(sign * np.cos(cycle), 0)  # the leg that comes forward is bent
        pose[:, ANGLE[f"thigh_{side}"]] = swing * wave + 0.15 * pace
        pose[:, ANGLE[f"knee_{side}"]] = 0.08 + 0.25 * pace + swing * 1.35 * recover
        pose[:, ANGLE[f"arm_{side}"]] = -0.85 * swing * wave
        pose[:, ANGLE[f"elbow_{side}"]] = 0.25 + 1.25 * pace
        pose[:, ANGLE[f"out_{side}"]] = 0.18
        pose[:, ANGLE[f"spread_{side}"]] = 0.08
    return pose
