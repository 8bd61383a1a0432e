"""One half as it was played: what the simulator hands to the camera, the renderer and the tracker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

# What a body is doing. The first nine are the event classes (see schema.CLASSES); the rest are movements without an
# event, so that a detector cannot call every unusual pose an action.
MOVES = (
    "run", "drive", "pass", "cross", "throw-in", "shot", "header", "tackle", "block",
    "feint",  # a kick swing past the ball, or without one
    "jump",  # a jump without a header (goalkeepers, duels)
    "slide",  # a slide that reaches nothing
    "wave",  # arms overhead: claims, shouts
    "stretch",  # a lunge without contact
    "catch",  # a goalkeeper gathers the ball
)  # fmt: skip
MOVE_ID = {name: i for i, name in enumerate(MOVES)}


@dataclass(frozen=True)
class Play:
    """A half of T frames (25 a second) with P players, substitutes included.

    Pitch coordinates are metres: x from 0 (goal line on the left of the picture) to 105, y from 0 (far touchline, top
    of the picture) to 68 (near touchline, where the camera stands), z up. Team 0 defends x = 0. Facing its opponents'
    goal, team 0 has its left side at small y, team 1 at large y.

    Attributes
    ----------
    half : str
        ``game_<i>_H<1|2>``.
    first_frame : int
        Index of this half's frame 0 in the video of the match.
    position, velocity : (T, P, 2) float32
        Metres and metres per second; NaN while a player is not on the pitch.
    heading : (T, P) float32
        Direction the body faces, radians, 0 = +x, pi/2 = +y.
    move : (T, P) uint8
        Index into ``MOVES``; 0 ("run") also stands for walking and standing.
    phase : (T, P) float32
        Seconds to the anchor frame of the move: negative before, 0 at the anchor, positive after; 0 where move is 0.
    ball : (T, 3) float32
        Metres; z is the height of the ball's centre.
    slot : (T, P) int8
        Slot 0..25 that the player holds, -1 while not on the pitch.
    team, jersey : (P,) int
    referee : (T, 2) float32
    events : DataFrame
        One row an event, by frame: ``frame`` (0-based in this half), ``player`` (index into P), ``class`` (1..8).
    stoppages : DataFrame
        One row a time the ball is dead: ``start``, ``stop`` (frames, half open), ``restart`` (text: throw-in,
        goal-kick, corner, kick-off, free-kick). The director shows replays here.
    """

    half: str
    first_frame: int
    position: np.ndarray
    velocity: np.ndarray
    heading: np.ndarray
    move: np.ndarray
    phase: np.ndarray
    ball: np.ndarray
    slot: np.ndarray
    team: np.ndarray
    jersey: np.ndarray
    referee: np.ndarray
    events: pd.DataFrame
    stoppages: pd.DataFrame

    @property
    def n_frames(self) -> int:
        return self.position.shape[0]

    @property
    def n_players(self) -> int:
        return self.position.shape[1]
