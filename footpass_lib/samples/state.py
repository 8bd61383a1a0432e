"""The state of the game, frame by frame: where players are and how they move."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from footpass_lib.data.half import TacticalHalf
from footpass_lib.schema import N_ROLES, N_SLOTS

# Columns of the game state, named as in the tactical file.
STATE = ("left_to_right", "x", "y", "speed_x", "speed_y", "role_id", "shirt_number")


def game_state(half: TacticalHalf, frames: range) -> tuple[Tensor, Tensor]:
    """Game state (26, T, 7) of the slots in consecutive absolute frames of a half, and who is observed, bool (26, T).

    Columns as in ``STATE``, values as in the tactical file; position and velocity are 0 where not observed.
    """
    cut = half.index_of(np.asarray(frames))
    present = half.observed[:, cut]  # (26, T)
    position, velocity = (
        torch.from_numpy(np.where(present[..., None], values[:, cut], np.float32(0)))
        for values in (half.position, half.velocity)
    )
    jersey = torch.from_numpy(half.jersey[:, cut].astype(np.float32))
    return state_of(torch.arange(N_SLOTS), position, velocity, jersey), torch.from_numpy(present)


def state_of(slots: Tensor, position: Tensor, velocity: Tensor, jersey: Tensor) -> Tensor:
    """Game state (..., M, T, 7) from slots (..., M), position and velocity (..., M, T, 2) and jersey (..., M, T)."""
    slots = slots[..., None].expand(jersey.shape)  # (..., M, T)
    team, role = slots // N_ROLES, slots % N_ROLES + 1  # a slot is both
    state = [team[..., None], position, velocity, role[..., None], jersey[..., None]]
    return torch.cat([column.to(position.dtype) for column in state], dim=-1)
