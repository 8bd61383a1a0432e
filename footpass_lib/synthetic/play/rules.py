"""What the game allows: classes by name, speeds of the ball and its carrier, what restarts take, and the settings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from footpass_lib.schema import CLASS_ID, PITCH, FootpassError
from footpass_lib.synthetic.play.transitions import Mix, class_weights

CENTRE = np.array(PITCH) / 2
SAME, MATE, OPPONENT = 0, 1, 2  # relation of an actor to the one before, as in ``calibration.RELATIONS``


class Act(IntEnum):
    """Ids of the event classes."""

    DRIVE = CLASS_ID["drive"]
    PASS = CLASS_ID["pass"]
    CROSS = CLASS_ID["cross"]
    THROW_IN = CLASS_ID["throw-in"]
    SHOT = CLASS_ID["shot"]
    HEADER = CLASS_ID["header"]
    TACKLE = CLASS_ID["tackle"]
    BLOCK = CLASS_ID["block"]


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


@dataclass(frozen=True)
class Restart:
    """What a restart takes: frames at the very least, how far it may be from the event before (m along x and y), metres
    that the ball is brought back, frames that the taker stands ready, and that the ball lies or is held there.
    """

    least: int
    near: tuple[float, float]
    fetch: float
    ready: int
    hold: int


RESTARTS = {
    "throw-in": Restart(60, (24.0, 26.0), 3.0, 28, 24),
    "corner": Restart(90, (38.0, 45.0), 20.0, 36, 20),
    "goal-kick": Restart(85, (45.0, 68.0), 20.0, 36, 20),
    "free-kick": Restart(55, (7.0, 7.0), 4.0, 36, 20),
    "kick-off": Restart(190, (np.inf, np.inf), 54.0, 20, 20),
}


@dataclass(frozen=True)
class PlaySettings:
    """How a half is played.

    Attributes
    ----------
    rarity : float
        0 = real class shares, 1 = all classes equally frequent; see ``calibration.expected_shares``.
    tempo : float
        Gaps with the ball in play are divided by this.
    dead_time : float
        Factor on the time the ball is dead beyond what a restart takes at the least; 1 = as in real matches.
    class_mix : tuple of (class name, factor)
        Extra factors on the class shares.
    substitutions : int
        Changes per team and half.
    lookalikes : float
        Movements without an event per minute, both teams together.
    """

    rarity: float = 0.0
    tempo: float = 1.0
    dead_time: float = 1.0
    class_mix: Mix = ()
    substitutions: int = 1
    lookalikes: float = 14.0

    def __post_init__(self) -> None:
        class_weights(self.rarity, self.class_mix)
        if not 0.5 <= self.tempo <= 2 or not 0 <= self.dead_time <= 2:
            raise FootpassError(f"tempo {self.tempo}, dead_time {self.dead_time}; expected 0.5 to 2 and 0 to 2")
        if not 0 <= self.substitutions <= 5 or self.lookalikes < 0:
            raise FootpassError(
                f"substitutions {self.substitutions}, lookalikes {self.lookalikes}; expected 0 to 5 and >= 0"
            )


def turn(points: np.ndarray, team: np.ndarray | int) -> np.ndarray:
    """Pitch coordinates <-> a team's own frame, where it attacks towards x = 105 and has its left side at y = 0."""
    points = np.asarray(points, float)
    flip = np.broadcast_to(np.asarray(team, bool)[..., None], points.shape)
    return np.where(flip, np.array(PITCH) - points, points)


def carry_reach(seconds: float) -> float:
    """Metres that a player covers with the ball from a first touch, starting slowly."""
    return min(5.2 * seconds, 1.2 * seconds + 1.8 * seconds**2)


def dead_seconds(kind: str, label: int, teams: tuple[int, int], origin: np.ndarray, place: np.ndarray) -> float:
    """Seconds that the ball needs to go out after an event and to be brought back to the place of the restart.

    Parameters
    ----------
    kind : str
        Key of ``RESTARTS``.
    label : int
        Class of the event after which the ball goes out.
    teams : (int, int)
        Teams of that event and of the restart.
    origin, place : (2,)
        Places of that event and of the restart, metres.
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
