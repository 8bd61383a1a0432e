"""Where players would stand: formations over the thirteen roles, and the shape of both teams around the ball."""

from __future__ import annotations

import numpy as np

from footpass_lib.schema import PITCH, ROLE_ID
from footpass_lib.synthetic.play.rules import CENTRE, turn

N_BODIES = 22  # bodies 0..10 are team 0, 11..21 team 1; the first of each team is the goalkeeper
TEAM_OF_BODY = np.repeat([0, 1], 11)

# Place of each role in its team: depth from the last line (0) to the foremost player (1), side from left (-1) to right.
_BACK_FOUR = {"LB": (0.06, -0.95), "LCB": (0.0, -0.32), "RCB": (0.0, 0.32), "RB": (0.06, 0.95)}
_BACK_THREE = {"LCB": (0.02, -0.5), "MCB": (0.0, 0.0), "RCB": (0.02, 0.5)}
FORMATIONS: dict[str, dict[str, tuple[float, float]]] = {
    "4-3-3": _BACK_FOUR | {
        "DM": (0.34, 0.0), "LM": (0.52, -0.42), "RM": (0.52, 0.42), "LW": (0.9, -0.9), "RW": (0.9, 0.9),
        "CF": (1.0, 0.0)},
    "4-2-3-1": _BACK_FOUR | {
        "LM": (0.38, -0.3), "RM": (0.38, 0.3), "AM": (0.7, 0.0), "LW": (0.74, -0.9), "RW": (0.74, 0.9),
        "CF": (1.0, 0.0)},
    "4-4-2": _BACK_FOUR | {
        "LM": (0.45, -0.3), "RM": (0.45, 0.3), "LW": (0.52, -0.95), "RW": (0.52, 0.95), "AM": (0.92, -0.2),
        "CF": (1.0, 0.2)},
    "4-1-4-1": _BACK_FOUR | {
        "DM": (0.3, 0.0), "LM": (0.6, -0.35), "RM": (0.6, 0.35), "LW": (0.64, -0.95), "RW": (0.64, 0.95),
        "CF": (1.0, 0.0)},
    "3-5-2": _BACK_THREE | {
        "LB": (0.38, -1.0), "RB": (0.38, 1.0), "DM": (0.34, 0.0), "LM": (0.56, -0.4), "RM": (0.56, 0.4),
        "AM": (0.93, -0.22), "CF": (1.0, 0.22)},
    "3-4-3": _BACK_THREE | {
        "LB": (0.44, -1.0), "RB": (0.44, 1.0), "LM": (0.45, -0.28), "RM": (0.45, 0.28), "LW": (0.88, -0.7),
        "RW": (0.88, 0.7), "CF": (1.0, 0.0)},
    "5-4-1": _BACK_THREE | {
        "LB": (0.1, -1.0), "RB": (0.1, 1.0), "LM": (0.45, -0.3), "RM": (0.45, 0.3), "LW": (0.55, -0.9),
        "RW": (0.55, 0.9), "CF": (1.0, 0.0)},
}  # fmt: skip


def formation_roles(name: str) -> tuple[int, ...]:
    """Role ids of the eleven of a formation, the goalkeeper first."""
    return (ROLE_ID["GK"], *(ROLE_ID[role] for role in FORMATIONS[name]))


def formation_places(name: str) -> np.ndarray:
    """Depth and side of the eleven of a formation, (11, 2), the goalkeeper first."""
    return np.array([(0.5, 0.0), *FORMATIONS[name].values()])


def shape(ball: np.ndarray, attack: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Anchors of all 22 bodies, (T, 22, 2) in pitch metres.

    ``ball`` (T, 2) in metres and ``attack`` (T,), 1 where team 0 has the ball and 0 where team 1 has it, are smoothed
    over about a second; ``places`` (T, 22, 2) or (1, 22, 2) are depth and side of each body's role.
    """
    own = (attack, 1 - attack)
    seen = [turn(ball, np.full(len(ball), team)) for team in (0, 1)]  # the ball in each team's own frame
    line = [np.clip(0.72 * seen[k][:, 0] - 7 + 6 * own[k], 6, 58) for k in (0, 1)]
    teams = []
    for k in (0, 1):
        # Nobody waits behind the other team's last line, unless the ball is there.
        offside = np.maximum(PITCH[0] - line[1 - k] - 0.5, seen[k][:, 0])
        front = np.minimum(np.clip(line[k] + 33 + 12 * own[k], 0, 99), offside)
        teams.append(turn(_team_shape(seen[k], own[k], line[k], front, places[:, 11 * k : 11 * k + 11]), k))
    return np.concatenate(teams, axis=1)


def _team_shape(
    ball: np.ndarray, own: np.ndarray, line: np.ndarray, front: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """Anchors (T, 11, 2) in the team's own frame, from the last line and the foremost player's x (T,)."""
    depth, side = places[..., 0], places[..., 1]
    # Full-backs come forward when their team has the ball.
    depth = depth + 0.22 * own[:, None] * (np.abs(side) > 0.9) * (depth < 0.3)
    x = line[:, None] + depth * (front - line)[:, None]
    half_width = (15 + 12 * own)[:, None]
    shift = (0.52 - 0.27 * own)[:, None] * (ball[:, 1:] - CENTRE[1])
    y = np.clip(CENTRE[1] + shift + side * half_width, 3, PITCH[1] - 3)
    x[:, 0] = np.clip(1.5 + 0.13 * ball[:, 0], 2, 15)
    y[:, 0] = CENTRE[1] + np.clip(0.14 * (ball[:, 1] - CENTRE[1]), -3.5, 3.5)
    return np.stack([x, y], axis=-1)


def kick_off_shape(anchors: np.ndarray, kicking: int) -> np.ndarray:
    """Anchors (T, 22, 2) moved into the own half, and out of the centre circle for the team that does not kick off."""
    left = TEAM_OF_BODY == 0
    x = anchors[..., 0]
    x = np.where(left, np.minimum(x, CENTRE[0] - 1.5), np.maximum(x, CENTRE[0] + 1.5))
    moved = np.stack([x, anchors[..., 1]], axis=-1)
    offset = moved - CENTRE
    distance = np.linalg.norm(offset, axis=-1, keepdims=True)
    waits = (kicking != TEAM_OF_BODY)[:, None] & (distance < 10)
    away = np.where(left, -1.0, 1.0)[:, None] * np.array([10.0, 0.0])
    outside = np.where(distance > 1, offset / np.maximum(distance, 1) * 10, away)
    return np.where(waits, CENTRE + outside, moved)


def opening_stands(places: np.ndarray, kicking: int) -> np.ndarray:
    """Where the 22 bodies wait for the opening kick-off, (22, 2), from depth and side (22, 2) of their roles."""
    return kick_off_shape(shape(CENTRE[None], np.array([0.5]), places[None]), kicking)[0]


# Places at a corner in the attackers' own frame with the corner at y = 0: six in the box, two at its edge, two at home.
_CORNER_ATTACK = np.array([
    [97, 34], [99.5, 30.5], [98, 37.5], [94.5, 33], [100.5, 35.5], [95, 38.5], [86, 31], [84, 42], [62, 25], [60, 42],
])  # fmt: skip
_CORNER_DEFENCE = np.array([
    [98.6, 33.4], [100.8, 30.2], [99.5, 37], [96, 32.4], [101.8, 34.8], [96.6, 37.8], [104, 30.8],
    [99, 26], [90, 33], [72, 33],
])  # fmt: skip


def corner_shape(anchors: np.ndarray, attacking: int, near_side: bool, depth: np.ndarray) -> np.ndarray:
    """Anchors (T, 22, 2) at a corner of team ``attacking``, taken at y = 68 if ``near_side``.

    ``depth`` (22,) of the roles decides: two full-backs or midfielders of the attackers stay at home, the defenders'
    foremost player stays up.
    """
    moved = anchors.copy()
    mirrored = near_side != (attacking == 1)  # whether the corner is at y = 68 in the attackers' own frame
    for team, spots in ((attacking, _CORNER_ATTACK), (1 - attacking, _CORNER_DEFENCE)):
        placed = np.column_stack([spots[:, 0], PITCH[1] - spots[:, 1]]) if mirrored else spots
        outfield = np.arange(1, 11) + 11 * team
        key = -np.abs(depth[outfield] - 0.3) if team == attacking else depth[outfield]
        moved[:, outfield[np.argsort(key, kind="stable")]] = turn(placed, attacking)
    return moved
