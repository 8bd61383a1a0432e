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
    """

    half: str  # game_<i>_H<1|2>
    first_frame: int  # of this half in the video of the match
    position: np.ndarray  # (T, P, 2) float32 metres, NaN while a player is not on the pitch
    velocity: np.ndarray  # (T, P, 2) float32 metres a second, NaN likewise
    heading: np.ndarray  # (T, P) float32 radians: 0 = the body faces +x, pi/2 = +y
    move: np.ndarray  # (T, P) uint8 index into MOVES; 0 ("run") also stands for walking and standing
    phase: np.ndarray  # (T, P) float32 seconds since the anchor frame of the move, negative before; 0 where move is 0
    ball: np.ndarray  # (T, 3) float32 metres, of its centre
    slot: np.ndarray  # (T, P) int8 slot 0..25 that the player holds, -1 while not on the pitch
    team: np.ndarray  # (P,) int
    jersey: np.ndarray  # (P,) int
    referee: np.ndarray  # (T, 2) float32 metres
    events: pd.DataFrame  # by frame: frame (0-based in this half), player (index into P), class (1..8)
    stoppages: pd.DataFrame  # times the ball is dead: start, stop (frames, half open), restart (key of rules.RESTARTS)

    @property
    def n_frames(self) -> int:
        return self.position.shape[0]

    @property
    def n_players(self) -> int:
        return self.position.shape[1]
