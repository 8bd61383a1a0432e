"""What every file of FOOTPASS agrees on: ids of classes and roles, slots, columns, names of halves, mirrors.

This module imports nothing of ours, and everything else imports it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

FPS = 25
DETECTION_THRESHOLD = 0.15  # predictions below this score are not evaluated
TOLERANCE = 12  # frames between a prediction and the event that it may claim

BACKGROUND = 0
CLASSES = ("background", "drive", "pass", "cross", "throw-in", "shot", "header", "tackle", "block")
EVENT_CLASSES = CLASSES[1:]
N_CLASSES = len(CLASSES)
CLASS_ID = {name: i for i, name in enumerate(CLASSES)}

# Role ids run 1..13 in the files; index 0 is unused.
ROLES = ("", "GK", "LB", "LCB", "MCB", "RCB", "LM", "RM", "DM", "AM", "LW", "RW", "CF", "RB")
N_ROLES = len(ROLES) - 1
ROLE_ID = {name: i for i, name in enumerate(ROLES) if name}
N_TEAMS = 2
N_SLOTS = N_TEAMS * N_ROLES

# Columns of the tactical HDF5; the challenge file lacks the last one.
TACTICAL_COLUMNS = (
    "frame", "player_id", "left_to_right", "shirt_number", "role_id", "x", "y", "speed_x", "speed_y",
    "roi_x", "roi_y", "roi_width", "roi_height", "class",
)  # fmt: skip
COLUMN = {name: i for i, name in enumerate(TACTICAL_COLUMNS)}
BOX_FRAME = (1920, 1080)  # width, height of the picture that box pixels refer to
VIDEO_SIZE = (352, 640)  # height, width of the archive's small videos, which the paper's detectors are given
PITCH = (105.0, 68.0)  # metres; normalised positions times this are metres

# ASCII, and few digits: int() takes digits of every script, and refuses thousands of them with an error of its own.
HALF_NAME = re.compile(r"game_(0|[1-9][0-9]{0,8})_H([12])")


class FootpassError(ValueError):
    """Bad input of any kind: the message names the file, the half and the row, and what was expected."""


def parse_half(half: str) -> tuple[int, int]:
    """Split a half's name into game and half number: ``game_18_H2`` -> ``(18, 2)``; FootpassError for other names."""
    match = HALF_NAME.fullmatch(half) if isinstance(half, str) else None
    if match is None:
        raise FootpassError(f"{repr(half)[:60]} is no name of a half; expected game_<i>_H1 or game_<i>_H2")
    return int(match[1]), int(match[2])


def game_of(half: str) -> int:
    """Number of the match that a half belongs to; errors as in :func:`parse_half`."""
    return parse_half(half)[0]


def games_of(halves: Iterable[str]) -> tuple[int, ...]:
    """Numbers of the matches that halves belong to, ascending; errors as in :func:`parse_half`."""
    return tuple(sorted({game_of(half) for half in halves}))


def slot_of(team: np.ndarray | int, role: np.ndarray | int) -> np.ndarray | int:
    """Slot 0..25 of a team (0, 1) and a role id (1..13)."""
    return team * N_ROLES + (role - 1)


# A window may be mirrored along X (left and right goal), Y (the touchlines) or both. A mirror moves players between
# slots, because "team 0" means the side on the left and "LB" the side on a player's left hand.

MIRRORS = ("none", "x", "y", "xy")
_ROLE_PAIRS = (("LB", "RB"), ("LCB", "RCB"), ("LM", "RM"), ("LW", "RW"))


def _role_swap() -> np.ndarray:
    swap = np.arange(N_ROLES)
    for left, right in _ROLE_PAIRS:
        a, b = ROLE_ID[left] - 1, ROLE_ID[right] - 1
        swap[a], swap[b] = b, a
    return swap


def mirror_signs(mirror: str) -> tuple[int, int]:
    """Signs (x, y) that a mirror puts on velocities; a normalised position p becomes 1 - p where the sign is -1."""
    if mirror not in MIRRORS:
        raise FootpassError(f"unknown mirror {mirror!r}; expected one of {', '.join(MIRRORS)}")
    return (-1 if "x" in mirror else 1, -1 if "y" in mirror else 1)


def mirror_slots(mirror: str) -> np.ndarray:
    """Slot permutation of a mirror, shape (26,): the player in slot ``s`` is in ``perm[s]`` afterwards.

    X swaps the teams and the left/right roles, Y swaps the left/right roles, XY (a half turn) swaps the teams.
    Each permutation is its own inverse, so ``array[perm]`` mirrors an array indexed by slot.
    """
    x, y = mirror_signs(mirror)
    roles = _role_swap() if x != y else np.arange(N_ROLES)
    teams = (1, 0) if x == -1 else (0, 1)
    return np.concatenate([team * N_ROLES + roles for team in teams])
