"""A half of a simulated match with what the simulator alone knows: where the ball was, and who only made a gesture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from footpass_lib.data.half import TacticalHalf
from footpass_lib.schema import FootpassError


@dataclass(frozen=True, eq=False)
class KnownHalf:
    """A half of T frames, its gestures and its ball; FootpassError unless they fit together."""

    tactical: TacticalHalf
    gestures: np.ndarray  # int64 (G, 2): index and slot of movements that look like an event and are none
    ball: np.ndarray  # (T, 2) float32 metres, x from 0 to 105 and y from 0 to 68

    def __post_init__(self) -> None:
        half, n_frames = self.tactical.half, self.tactical.n_frames
        if not self.tactical.has_classes:
            raise FootpassError(f"{half}: its events are unknown; expected a half with its class column")
        if self.ball.shape != (n_frames, 2):
            raise FootpassError(f"{half}: a ball of shape {self.ball.shape}, expected ({n_frames}, 2)")
        if self.gestures.ndim != 2 or self.gestures.shape[1] != 2:
            raise FootpassError(f"{half}: gestures of shape {self.gestures.shape}, expected (G, 2): index and slot")
