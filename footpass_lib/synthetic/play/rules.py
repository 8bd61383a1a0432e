"""What the game allows: classes by name, speeds of the ball and its carrier, what restarts take, and the settings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from footpass_lib.schema import CLASS_ID, EVENT_CLASSES, PITCH, FootpassError
from footpass_lib.synthetic.play.transitions import Mix, rarity_weights

CENTRE = np.array(PITCH) / 2
GOAL_WIDTH = 7.32  # metres
Act = IntEnum("Act", {name.upper().replace("-", "_"): CLASS_ID[name] for name in EVENT_CLASSES})  # DRIVE .. BLOCK


class BallSpeed(NamedTuple):
    """Mean speeds in m/s of the ball from an event to the next: at most, as a rule, and when it leaves the pitch."""

    most: float
    usual: float
    out: float


BALL_SPEED = {
    Act.DRIVE: BallSpeed(8, 5, 8),  # a dribbler loses the ball
    Act.PASS: BallSpeed(21, 12, 14),
    Act.CROSS: BallSpeed(23, 16, 17),
    Act.THROW_IN: BallSpeed(13, 8.5, 9),
    Act.SHOT: BallSpeed(27, 20, 24),
    Act.HEADER: BallSpeed(12, 7.5, 10),
    Act.TACKLE: BallSpeed(7, 4, 8),
    Act.BLOCK: BallSpeed(9, 5, 10),
}
BLOCK_SPEED = 22.0  # m/s of a ball on its way to the blocker
FETCH_SPEED = 10.0  # m/s at which a ball is brought back


class Restart(NamedTuple):
    """What a restart takes."""

    least: int  # frames at the very least
    near: tuple[float, float]  # how far it may be from the event before, metres along x and y
    fetch: float  # metres that the ball is brought back
    ready: int  # frames that the taker stands ready
    hold: int  # frames that the ball lies or is held there


RESTARTS = {
    "throw-in": Restart(60, (24.0, 26.0), 3.0, 28, 24),
    "corner": Restart(90, (38.0, 45.0), 20.0, 36, 20),
    "goal-kick": Restart(85, (45.0, 68.0), 20.0, 36, 20),
    "free-kick": Restart(55, (7.0, 7.0), 4.0, 36, 20),
    "kick-off": Restart(190, (np.inf, np.inf), 54.0, 20, 20),
}


@dataclass(frozen=True)
class PlaySettings:
    """How a half is played."""

    rarity: float = 0.0  # 0: real class shares, 1: all classes equally frequent; see transitions.expected_shares
    tempo: float = 1.0  # gaps with the ball in play are divided by this
    dead_time: float = 1.0  # factor on the time the ball is dead beyond what a restart takes; 1: as in real matches
    class_mix: Mix = ()  # extra factors on the class shares
    lookalikes: float = 14.0  # movements without an event per minute, both teams together

    def __post_init__(self) -> None:
        rarity_weights(self.rarity, self.class_mix)
        if not 0.5 <= self.tempo <= 2 or not 0 <= self.dead_time <= 2 or self.lookalikes < 0:
            raise FootpassError(
                f"tempo {self.tempo}, dead_time {self.dead_time}, lookalikes {self.lookalikes}; "
                "expected 0.5 to 2, 0 to 2 and >= 0"
            )


def turn(points: np.ndarray, team: np.ndarray | int) -> np.ndarray:
    """Pitch coordinates <-> a team's own frame, where it attacks towards x = 105 and has its left side at y = 0."""
    points = np.asarray(points, float)
    flip = np.broadcast_to(np.asarray(team, bool)[..., None], points.shape)
    return np.where(flip, np.array(PITCH) - points, points)


def unit(vector: np.ndarray) -> np.ndarray:
    """Vectors (..., d) scaled to length 1; the null vector stays."""
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)


def carry_reach(seconds: float) -> float:
    """Metres that a player covers with the ball from a first touch, starting slowly."""
    return min(5.2 * seconds, 1.2 * seconds + 1.8 * seconds**2)


def dead_seconds(kind: str, label: int, teams: tuple[int, int], origin: np.ndarray, place: np.ndarray) -> float:
    """Seconds that the ball needs to go out after an event of class ``label`` and to be brought back for a restart.

    ``teams`` are those of the event and of the restart, ``origin`` and ``place`` (2,) where both take place, metres.
    """
    seconds = RESTARTS[kind].fetch / FETCH_SPEED + 0.5
    if label == Act.SHOT and kind not in ("goal-kick", "kick-off"):  # off the goalkeeper
        goal = turn([PITCH[0], CENTRE[1]], teams[0])
        seconds += np.linalg.norm(origin - goal) / 20.0
        origin = goal
    if kind in ("throw-in", "free-kick"):
        metres = np.linalg.norm(origin - place)
    else:
        line = turn([PITCH[0], CENTRE[1]], teams[1] if kind == "corner" else 1 - teams[1])[0]
        metres = abs(origin[0] - line) + 13.0
    return float(seconds + metres / min(BALL_SPEED[Act(label)].out, 14.0))
