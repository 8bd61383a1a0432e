"""Poses: the angles of a body's joints while it runs, kicks, heads, throws, tackles and blocks."""

from __future__ import annotations

import numpy as np

from footpass_lib.synthetic.play.played import MOVES

# Angles of a pose, radians. Limbs: 0 hangs down, positive swings forward; "out" is away from the body's middle.
ANGLES = ("lean", "tilt", "twist", "lift",
           "thigh_r", "knee_r", "spread_r", "thigh_l", "knee_l", "spread_l",
           "arm_r", "elbow_r", "out_r", "arm_l", "elbow_l", "out_l")  # fmt: skip
ANGLE = {name: i for i, name in enumerate(ANGLES)}
_MIRROR = [ANGLE[n[:-2] + ("_l" if n.endswith("_r") else "_r")] if n[-2:] in ("_r", "_l") else ANGLE[n] for n in ANGLES]
_MIRROR_SIGN = np.array([-1.0 if n in ("tilt", "twist") else 1.0 for n in ANGLES])

# Key poses by seconds to the anchor frame: (seconds, weight over the running pose, angles); unnamed angles are 0.
_ARMS_OUT = {"out_r": 0.9, "out_l": 0.9, "elbow_r": 0.4, "elbow_l": 0.4}
_OVERHEAD = {"arm_r": 2.9, "arm_l": 2.9, "out_r": 0.15, "out_l": 0.15}
_KEY_POSES: dict[str, list[tuple[float, float, dict[str, float]]]] = {
    "drive": [
        (-0.30, 0.0, {"thigh_r": 0.2}),
        (-0.10, 1.0, {"lean": 0.2, "thigh_r": 0.6, "knee_r": 0.9, "knee_l": 0.25, **_ARMS_OUT}),
        (0.00, 1.0, {"lean": 0.3, "thigh_r": 0.75, "knee_r": 0.25, "knee_l": 0.45, "thigh_l": 0.1, **_ARMS_OUT}),
        (0.12, 1.0, {"lean": 0.3, "thigh_r": 0.45, "knee_r": 0.4, "knee_l": 0.3, **_ARMS_OUT}),
        (0.32, 0.0, {"thigh_r": 0.2}),
    ],
    "pass": [
        (-0.36, 0.0, {}),
        (-0.16, 1.0, {"lean": 0.1, "thigh_r": -0.6, "knee_r": 1.3, "thigh_l": 0.2, "knee_l": 0.3, "out_l": 1.2,
                      "out_r": 0.5, "spread_r": 0.15}),
        (0.00, 1.0, {"lean": 0.05, "thigh_r": 0.5, "knee_r": 0.15, "knee_l": 0.3, "out_l": 1.1, "arm_r": -0.7}),
        (0.16, 1.0, {"lean": 0.0, "thigh_r": 1.05, "knee_r": 0.15, "knee_l": 0.2, "arm_l": 0.6, "out_l": 0.8}),
        (0.40, 0.0, {"thigh_r": 0.3}),
    ],
    "cross": [
        (-0.44, 0.0, {}),
        (-0.20, 1.0, {"lean": 0.1, "tilt": 0.3, "twist": -0.5, "thigh_r": -0.9, "knee_r": 1.5, "spread_r": 0.5,
                      "thigh_l": 0.4, "knee_l": 0.4, "arm_l": 1.2, "out_l": 1.3, "out_r": 0.9}),
        (0.00, 1.0, {"tilt": 0.4, "twist": 0.1, "thigh_r": 0.5, "knee_r": 0.15, "spread_r": 0.55, "knee_l": 0.35,
                     "arm_l": 0.8, "out_l": 1.4, "out_r": 1.0}),
        (0.20, 1.0, {"lean": -0.1, "tilt": 0.3, "twist": 0.6, "thigh_r": 1.3, "knee_r": 0.3, "spread_r": 0.1,
                     "knee_l": 0.2, "arm_r": -0.7, "out_l": 1.3, "out_r": 0.9}),
        (0.50, 0.0, {"thigh_r": 0.3}),
    ],
    "shot": [
        (-0.44, 0.0, {}),
        (-0.20, 1.0, {"lean": -0.05, "thigh_r": -1.0, "knee_r": 1.8, "thigh_l": 0.4, "knee_l": 0.4, "arm_l": 0.9,
                      "out_l": 1.3, "out_r": 1.1, "arm_r": -0.5}),
        (0.00, 1.0, {"lean": 0.25, "thigh_r": 0.6, "knee_r": 0.15, "thigh_l": -0.1, "knee_l": 0.3, "out_l": 1.3,
                     "arm_r": -0.9, "out_r": 0.8}),
        (0.16, 1.0, {"lean": -0.1, "lift": 0.12, "thigh_r": 1.6, "knee_r": 0.1, "thigh_l": -0.3, "knee_l": 0.2,
                     "arm_r": -0.8, "arm_l": 0.8, "out_l": 1.0, "out_r": 1.0}),
        (0.34, 0.8, {"lean": 0.2, "thigh_r": 0.7, "knee_r": 0.4, "knee_l": 0.3, "out_l": 0.8, "out_r": 0.8}),
        (0.48, 0.0, {}),
    ],
    "throw-in": [
        (-0.50, 0.0, {"arm_r": 1.6, "arm_l": 1.6}),
        (-0.36, 1.0, {**_OVERHEAD, "elbow_r": 0.5, "elbow_l": 0.5}),
        (-0.14, 1.0, {**_OVERHEAD, "lean": -0.35, "elbow_r": 1.3, "elbow_l": 1.3, "thigh_r": -0.2, "knee_r": 0.3,
                      "thigh_l": 0.3, "knee_l": 0.3}),
        (0.00, 1.0, {"lean": 0.25, "arm_r": 2.5, "arm_l": 2.5, "elbow_r": 0.15, "elbow_l": 0.15, "thigh_r": -0.25}),
        (0.16, 1.0, {"lean": 0.5, "arm_r": 1.5, "arm_l": 1.5, "thigh_r": -0.4, "thigh_l": 0.2}),
        (0.46, 0.0, {"arm_r": 0.5, "arm_l": 0.5}),
    ],
    "header": [
        (-0.50, 0.0, {}),
        (-0.26, 1.0, {"lean": 0.35, "thigh_r": 0.8, "knee_r": 1.5, "thigh_l": 0.8, "knee_l": 1.5, "arm_r": -0.9,
                      "arm_l": -0.9}),
        (-0.08, 1.0, {"lean": -0.35, "lift": 0.42, "thigh_r": -0.3, "knee_r": 1.0, "thigh_l": 0.2, "knee_l": 0.9,
                      "out_r": 1.4, "out_l": 1.4, "elbow_r": 0.9, "elbow_l": 0.9}),
        (0.00, 1.0, {"lean": 0.25, "lift": 0.45, "thigh_r": 0.2, "knee_r": 0.9, "thigh_l": 0.3, "knee_l": 0.9,
                     "out_r": 1.1, "out_l": 1.1, "arm_r": -0.5, "arm_l": -0.5, "elbow_r": 0.9, "elbow_l": 0.9}),
        (0.12, 1.0, {"lean": 0.5, "lift": 0.30, "thigh_r": 0.3, "knee_r": 0.5, "thigh_l": 0.4, "knee_l": 0.5,
                     "out_r": 0.9, "out_l": 0.9, "arm_r": -0.6, "arm_l": -0.6}),
        (0.28, 1.0, {"lean": 0.3, "thigh_r": 0.5, "knee_r": 0.9, "thigh_l": 0.5, "knee_l": 0.9, "out_r": 0.7,
                     "out_l": 0.7}),
        (0.48, 0.0, {}),
    ],
    "tackle": [
        (-0.34, 0.0, {}),
        (-0.16, 1.0, {"lean": 0.1, "thigh_r": 1.0, "knee_r": 0.6, "thigh_l": 0.2, "knee_l": 1.0, **_ARMS_OUT}),
        (0.00, 1.0, {"lean": -0.55, "tilt": -0.3, "thigh_r": 1.35, "knee_r": 0.05, "thigh_l": 0.9, "knee_l": 2.1,
                     "spread_l": 0.4, "arm_r": -0.9, "out_l": 1.2, "out_r": 0.6}),
        (0.20, 1.0, {"lean": -0.75, "tilt": -0.4, "thigh_r": 1.5, "knee_r": 0.05, "thigh_l": 1.1, "knee_l": 2.2,
                     "spread_l": 0.5, "arm_r": -1.1, "out_l": 1.2, "out_r": 0.5}),
        (0.36, 0.9, {"lean": 0.3, "thigh_r": 1.2, "knee_r": 1.7, "thigh_l": 0.4, "knee_l": 1.9, "arm_r": 0.4}),
        (0.50, 0.0, {}),
    ],
    "block": [
        (-0.32, 0.0, {}),
        (-0.12, 1.0, {"lean": 0.15, "thigh_r": 0.7, "knee_r": 0.9, "spread_r": 0.4, "thigh_l": 0.1, "knee_l": 0.6,
                      "arm_r": -0.7, "arm_l": -0.7}),
        (0.00, 1.0, {"lean": 0.1, "tilt": 0.35, "thigh_r": 0.6, "knee_r": 0.1, "spread_r": 0.85, "thigh_l": 0.5,
                     "knee_l": 1.1, "spread_l": 0.3, "arm_r": -0.8, "arm_l": -0.8, "out_r": 0.3, "out_l": 0.4}),
        (0.24, 1.0, {"lean": 0.2, "tilt": 0.35, "thigh_r": 0.5, "knee_r": 0.15, "spread_r": 0.8, "thigh_l": 0.5,
                     "knee_l": 1.1, "spread_l": 0.3, "arm_r": -0.6, "arm_l": -0.6, "out_r": 0.4, "out_l": 0.4}),
        (0.48, 0.0, {}),
    ],
    "wave": [
        (-0.48, 0.0, {"arm_r": 1.5, "arm_l": 1.5}),
        (-0.30, 1.0, {"arm_r": 2.7, "arm_l": 2.7, "out_r": 0.5, "out_l": 0.5}),
        (0.30, 1.0, {"arm_r": 2.8, "arm_l": 2.8, "out_r": 0.3, "out_l": 0.3}),
        (0.48, 0.0, {"arm_r": 1.5, "arm_l": 1.5}),
    ],
    "catch": [
        (-0.40, 0.0, {}),
        (-0.10, 1.0, {"lean": 0.3, "thigh_r": 0.5, "knee_r": 0.8, "thigh_l": 0.5, "knee_l": 0.8, "arm_r": 1.7,
                      "arm_l": 1.7, "elbow_r": 0.2, "elbow_l": 0.2}),
        (0.15, 1.0, {"lean": 0.4, "thigh_r": 0.5, "knee_r": 0.9, "thigh_l": 0.5, "knee_l": 0.9, "arm_r": 0.8,
                     "arm_l": 0.8, "elbow_r": 1.4, "elbow_l": 1.4}),
        (0.48, 0.0, {"arm_r": 0.6, "arm_l": 0.6, "elbow_r": 1.4, "elbow_l": 1.4}),
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
    for move, name in enumerate(MOVES):
        model, amplitude = _LOOK_ALIKES.get(name, (name, 1.0))
        keys = _KEY_POSES.get(model)
        if keys is None:
            continue
        times = [key[0] for key in keys]
        weight[move] = np.interp(grid, times, [key[1] for key in keys])
        for angle, name_of_angle in enumerate(ANGLES):
            angles[move, :, angle] = amplitude * np.interp(grid, times, [key[2].get(name_of_angle, 0) for key in keys])
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
