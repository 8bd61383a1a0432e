"""Bodies: a small skeleton, posed by what a player does, placed on the pitch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from footpass_lib.schema import FPS, N_ROLES, PITCH
from footpass_lib.synthetic.picture.poses import ANGLE, acting, running
from footpass_lib.synthetic.picture.style import STATURE, Style
from footpass_lib.synthetic.play.played import Play

PARTS = ("skin", "shirt", "sleeve", "shorts", "socks", "boots", "hair")


@dataclass(frozen=True)
class Cast:
    """Everybody who is drawn: the play's P players, then the referee and two assistants (Q = P + 3)."""

    position: np.ndarray  # (T, Q, 2) float32 metres, NaN while off the pitch
    heading: np.ndarray  # (T, Q) float32 radians
    cycle: np.ndarray  # (T, Q) float32 phase of the run in radians, driven by the distance covered
    speed: np.ndarray  # (T, Q) float32 metres a second
    move: np.ndarray  # (T, Q) uint8
    phase: np.ndarray  # (T, Q) float32
    left_footed: np.ndarray  # (Q,) bool
    colours: np.ndarray  # (Q, 7, 3) float32 grey levels 0..255 of PARTS
    scale: float  # drawn metres for a metre of body


_SKINS = ((0.87, 0.68, 0.56), (0.78, 0.57, 0.44), (0.55, 0.37, 0.27), (0.36, 0.24, 0.18))
_HAIRS = ((0.10, 0.08, 0.07), (0.25, 0.16, 0.10), (0.55, 0.42, 0.22), (0.06, 0.06, 0.07))
_BOOTS = ((0.08, 0.08, 0.08), (0.92, 0.92, 0.92), (0.9, 0.25, 0.1), (0.85, 0.9, 0.2))


def draw_looks(rng: np.random.Generator) -> np.ndarray:
    """Looks of everybody in a match, so that players look the same in both halves: (3, 100, 4) indices.

    By club (2 = officials) and jersey modulo 100: skin, boots, hair, and whether they are left-footed.
    """
    return np.stack([rng.integers(0, 4, (3, 100)) for _ in range(3)] + [rng.random((3, 100)) < 0.25], axis=-1)


def _dress(play: Play, style: Style, looks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours (Q, 7, 3) of everybody's parts, and who is left-footed (Q,)."""
    keeper = play.slot % N_ROLES == 0
    on_pitch = play.slot >= 0
    keepers = (on_pitch & keeper).sum(axis=0) > (on_pitch & ~keeper).sum(axis=0)
    club = play.team if play.half.endswith("1") else 1 - play.team  # clubs change ends at half-time
    kits = [(style.keepers if keepers[p] else style.kits)[club[p]] for p in range(play.n_players)]
    kits += [style.officials] * 3
    look = looks[np.append(club, [2, 2, 2]), np.append(play.jersey, [0, 1, 2]) % 100]
    rows = [
        (_SKINS[skin], *kit, _BOOTS[boots], _HAIRS[hair])
        for (skin, boots, hair, _), kit in zip(look, kits, strict=True)
    ]
    return np.array(rows, np.float32) * 255, look[:, 3].astype(bool)


def _officials(play: Play) -> np.ndarray:
    """Positions (T, 3, 2) of the referee and the assistants, who keep level with the second last defender."""
    x = np.where(play.slot >= 0, play.position[..., 0], np.nan)
    left = np.sort(np.where(play.team == 0, x, np.inf), axis=1)[:, 1]
    right = np.sort(np.where(play.team == 1, x, -np.inf), axis=1)[:, -2]
    left, right = np.minimum(left, PITCH[0] / 2), np.maximum(right, PITCH[0] / 2)
    near = np.stack((left, np.full_like(left, PITCH[1] + 1.0)), axis=-1)
    away = np.stack((right, np.full_like(right, -1.0)), axis=-1)
    return np.stack((play.referee, near, away), axis=1)


def assemble_cast(play: Play, style: Style, looks: np.ndarray, rng: np.random.Generator) -> Cast:
    """Players and officials of a half, dressed (``looks`` from :func:`draw_looks`), with the phase of their run."""
    n, q = play.n_frames, play.n_players + 3
    position = np.concatenate((play.position, _officials(play)), axis=1).astype(np.float32)
    velocity = np.gradient(position, axis=0) * FPS
    velocity[:, : play.n_players] = play.velocity
    velocity = np.nan_to_num(velocity)
    speed = np.linalg.norm(velocity, axis=-1)
    extra = np.arctan2(play.ball[:, None, 1] - position[:, -3:, 1], play.ball[:, None, 0] - position[:, -3:, 0])
    heading = np.concatenate((play.heading, extra), axis=1).astype(np.float32)
    backward = np.cos(heading) * velocity[..., 0] + np.sin(heading) * velocity[..., 1] < -0.3 * speed
    step = speed / FPS / (0.8 + 0.42 * speed) * np.where(backward, -1, 1)  # cycles; strides grow with speed
    cycle = 2 * np.pi * (np.cumsum(np.nan_to_num(step), axis=0) + rng.random(q))
    still = np.zeros((n, 3))
    colours, left_footed = _dress(play, style, looks)
    return Cast(
        position=position,
        heading=np.nan_to_num(heading),
        cycle=np.mod(cycle, 2 * np.pi).astype(np.float32),
        speed=speed.astype(np.float32),
        move=np.concatenate((play.move, still.astype(np.uint8)), axis=1),
        phase=np.concatenate((play.phase, still.astype(np.float32)), axis=1),
        left_footed=left_footed,
        colours=colours,
        scale=style.body_height / STATURE,
    )


def pose_angles(cast: Cast, frames: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Joint angles (S, angles) of S pairs of frame and person."""
    pose = running(cast.cycle[frames, people], cast.speed[frames, people])
    move = cast.move[frames, people]
    busy = np.flatnonzero(move)
    angles, weight = acting(move[busy], cast.phase[frames, people][busy], cast.left_footed[people][busy])
    pose[busy] = pose[busy] * (1 - weight) + angles * weight
    return pose


_SIDES = {"r": -1.0, "l": 1.0}  # the left is positive
_BODY_JOINTS = ("pelvis", "waist", "neck", "head", "hair")
_SIDE_JOINTS = ("shoulder", "elbow", "hand", "hip", "thigh", "knee", "ankle", "toe")
JOINTS = (*_BODY_JOINTS, *(f"{name}_{side}" for side in _SIDES for name in _SIDE_JOINTS))
JOINT = {name: i for i, name in enumerate(JOINTS)}
# Limbs as capsules: from joint, to joint, radius in metres, part that gives the colour, bias toward the viewer.
_LIMBS = [
    ("waist", "neck", 0.165, "shirt", 0.02), ("hip_r", "hip_l", 0.13, "shorts", 0.0),
    ("shoulder_r", "shoulder_l", 0.09, "shirt", 0.01), ("head", "head", 0.125, "skin", 0.0),
    ("hair", "hair", 0.12, "hair", 0.0),
]  # fmt: skip
for _side in _SIDES:
    _LIMBS += [
        (f"hip_{_side}", f"knee_{_side}", 0.09, "skin", -0.02),
        (f"hip_{_side}", f"thigh_{_side}", 0.125, "shorts", 0.02),
        (f"knee_{_side}", f"ankle_{_side}", 0.07, "socks", 0.0),
        (f"ankle_{_side}", f"toe_{_side}", 0.06, "boots", 0.01),
        (f"shoulder_{_side}", f"elbow_{_side}", 0.07, "sleeve", 0.02),
        (f"elbow_{_side}", f"hand_{_side}", 0.055, "skin", 0.03),
    ]
_start, _stop, _radius, _part, _bias = zip(*_LIMBS, strict=True)
LIMB_FROM, LIMB_TO = (np.array([JOINT[name] for name in names]) for names in (_start, _stop))
LIMB_RADIUS, LIMB_BIAS = np.array(_radius, np.float32), np.array(_bias, np.float32)
LIMB_PART = np.array([PARTS.index(name) for name in _part])


def _direction(pitch: np.ndarray, out: np.ndarray, side: float) -> np.ndarray:
    """Unit vectors (S, 3) forward, left, up of a limb that hangs at pitch 0; ``side`` is +1 on the left."""
    return np.stack((np.sin(pitch) * np.cos(out), side * np.sin(out), -np.cos(pitch) * np.cos(out)), axis=-1)


def _skeleton(pose: np.ndarray) -> np.ndarray:
    """Joints (S, joints, 3) in metres forward, left and up of the pelvis."""
    angle = {name: pose[:, i] for name, i in ANGLE.items()}
    lean, tilt, twist = angle["lean"], angle["tilt"], angle["twist"]
    spine = np.stack((np.sin(lean) * np.cos(tilt), np.sin(tilt), np.cos(lean) * np.cos(tilt)), axis=-1)
    across = np.stack((-np.sin(twist) * np.cos(lean), np.cos(twist) * np.cos(tilt), -np.sin(tilt)), axis=-1)
    head = (0.70 * spine + [0.03, 0, 0]).astype(np.float32)
    hair = head + 0.05 * spine + [-0.035, 0, 0]
    joints = [np.zeros_like(spine), 0.12 * spine, 0.42 * spine, head, hair]
    for side, sign in _SIDES.items():
        arm, out, thigh, spread = (angle[f"{name}_{side}"] for name in ("arm", "out", "thigh", "spread"))
        bend = thigh - angle[f"knee_{side}"]
        shoulder = 0.47 * spine + sign * 0.17 * across
        elbow = shoulder + 0.29 * _direction(arm, out, sign)
        hand = elbow + 0.28 * _direction(arm + angle[f"elbow_{side}"], 0.6 * out, sign)
        hip = np.broadcast_to(np.array([0, sign * 0.095, -0.02], np.float32), spine.shape)
        leg = _direction(thigh, spread, sign)
        knee = hip + 0.43 * leg
        ankle = knee + 0.42 * _direction(bend, spread, sign)
        toe = ankle + 0.17 * np.stack((np.cos(bend), np.zeros_like(bend), np.sin(bend)), axis=-1)
        joints += [shoulder, elbow, hand, hip, hip + 0.24 * leg, knee, ankle, toe]
    return np.stack(joints, axis=1, dtype=np.float32, casting="same_kind")


def place_bodies(cast: Cast, frames: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Joints (S, joints, 3) in metres on the pitch, of S pairs of frame and person; the lowest one is on the grass."""
    pose = pose_angles(cast, frames, people)
    points = _skeleton(pose)
    points[..., 2] += (pose[:, ANGLE["lift"]] + 0.06 - points[..., 2].min(axis=1))[:, None]
    points *= cast.scale
    heading, position = cast.heading[frames, people], cast.position[frames, people]
    cos, sin = np.cos(heading)[:, None], np.sin(heading)[:, None]
    placed = np.empty_like(points)
    # Facing +x, the left hand is at smaller y: y grows toward the near touchline.
    placed[..., 0] = position[:, None, 0] + cos * points[..., 0] + sin * points[..., 1]
    placed[..., 1] = position[:, None, 1] + sin * points[..., 0] - cos * points[..., 1]
    placed[..., 2] = points[..., 2]
    return placed
