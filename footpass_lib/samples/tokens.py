"""What the sequence model sees of a half: inputs a frame, events as tokens, and the mirrors of both.

Section 6 of the FOOTPASS baseline: game state and logits of the detectors go into the encoder, events into the decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from footpass_lib.data.half import TacticalHalf
from footpass_lib.schema import EVENT_CLASSES, N_CLASSES, N_SLOTS, FootpassError, mirror_signs, mirror_slots

ABSENT = -15.0  # position and velocity of a slot without a player
N_STATE = 5  # x, y, vx, vy, observed
STATE_WIDTH = N_SLOTS * N_STATE
LOGITS_WIDTH = N_SLOTS * N_CLASSES

SOS = len(EVENT_CLASSES)  # action 0..7 is class - 1
EOS = SOS + 1
N_ACTIONS = EOS + 1
NEUTRAL = N_SLOTS  # the role of SOS and EOS
N_TOKEN_ROLES = N_SLOTS + 1
ACTION, ROLE, FRAME = range(3)  # columns of a token

KEPT_BYTES = 2**31  # of pooled inputs: hours of matches, but not the season of the full data
_FAST, _UNIT = 10.0, 3.0  # m/s: velocities are clipped to the first when they are pooled, and count in the second
_SURE = 8.0  # logits relative to background's are clipped to it


@dataclass(frozen=True, eq=False)
class DSTHalf:
    """What the sequence model sees of a half, ready to be cut into windows.

    ``features`` (T, 364), or (T, 598) with two sources of logits, are per frame: x, y, vx, vy, observed of slot 0, of
    slot 1, ...; then the nine logits of slot 0, of slot 1, ...; then those of the second source. A slot without a
    player has -15 for position and velocity, and observed 0.
    """

    half: str  # game_<i>_H<1|2>
    first_frame: int  # of the match's video, at index 0
    features: Tensor
    events: np.ndarray  # int64 (E, 3): index, slot and class, by index and slot
    labelled: bool  # whether the events are known; if not, there are none
    pooled: Mapping[int, Tensor] = field(default_factory=dict)  # by frames a token, from every frame on: keep_pooled

    @property
    def n_frames(self) -> int:
        """Number of frames T."""
        return len(self.features)


def dst_half(
    half: TacticalHalf, taad: np.ndarray, gnn: np.ndarray | None = None, dtype: torch.dtype = torch.float16
) -> DSTHalf:
    """Encoder inputs and events of a half, from logits (9, 26, T) of the detector and perhaps the graph network.

    The features' ``dtype`` float16 takes 55 MB for 50 minutes (90 MB with ``gnn``) and keeps positions to 3 cm.
    FootpassError if logits have another shape, or a value is not finite.
    """
    observed = half.observed[..., None]  # (26, T, 1)
    motion = np.concatenate([half.position, half.velocity], axis=-1)
    state = np.concatenate([np.where(observed, motion, np.float32(ABSENT)), observed], axis=-1)
    blocks = {"game state": state.transpose(1, 0, 2), "taad logits": _by_frame(half, taad, "taad")}
    if gnn is not None:  # Extension 2: GNN logits, 234 more numbers a frame
        blocks["gnn logits"] = _by_frame(half, gnn, "gnn")
    inputs = [
        torch.from_numpy(np.ascontiguousarray(block)).to(dtype).reshape(half.n_frames, -1) for block in blocks.values()
    ]
    for name, values in zip(blocks, inputs, strict=True):
        if not values.isfinite().all():
            index, column = (~values.isfinite()).nonzero()[0].tolist()
            raise FootpassError(
                f"{half.half}: {name}: slot {column // blocks[name].shape[-1]}, frame {half.frames[index]}: expected a "
                f"finite {dtype}, found {values[index, column]}"
            )
    index, slot = np.nonzero(half.class_id.T)
    events = np.stack([index, slot, half.class_id[slot, index]], axis=1).astype(np.int64)
    return DSTHalf(half.half, half.first_frame, torch.cat(inputs, dim=1), events, half.has_classes)


def _by_frame(half: TacticalHalf, logits: np.ndarray, name: str) -> np.ndarray:
    expected = (N_CLASSES, N_SLOTS, half.n_frames)
    if logits.shape != expected:
        raise FootpassError(
            f"{half.half}: {name} logits have shape {logits.shape}, expected {expected}: classes, slots, and frames "
            f"{half.frames[0]} to {half.frames[-1]}"
        )
    return logits.transpose(2, 1, 0)  # (T, 26, 9)


def pool_inputs(features: Tensor, frames: int) -> Tensor:
    """What as many frames from each frame on say of every player: (T, 364 or 598) to float32 (T, 26 * 13 or 26 * 21).

    Per slot: x, y, vx, vy and observed, averaged over the frames, positions from -1 to 1, velocities in units of 3 m/s
    and all 0 without a player; then the highest logit of each of the eight classes relative to background's, from 0
    (background is certain) to 4, and those of the second source. At the end of the half the frames are fewer.
    """
    state = features[:, :STATE_WIDTH].float().unflatten(1, (N_SLOTS, N_STATE))
    logits = features[:, STATE_WIDTH:].float().unflatten(1, (-1, N_SLOTS, N_CLASSES))  # (T, sources, 26, 9)
    there = (len(features) - torch.arange(len(features))).clamp(max=frames)[:, None, None]  # frames that are left
    motion = _over_next(_scaled_motion(state), frames, torch.add) / there  # (T, 26, 5)
    relative = logits[..., 1:] - logits[..., :1]
    highest = _over_next(relative, frames, torch.maximum)  # (T, sources, 26, 8)
    evidence = (highest.clamp(-_SURE, _SURE) + _SURE) / 4
    return torch.cat([motion, evidence.transpose(1, 2).flatten(2)], dim=-1).flatten(1)


def _scaled_motion(state: Tensor) -> Tensor:
    """State (T, 26, 5) with positions from -1 to 1 and velocities in units of 3 m/s, all 0 without a player."""
    observed = state[..., 4:]
    velocity = state[..., 2:4].clamp(-_FAST, _FAST) / _UNIT
    return torch.cat([torch.cat([2 * state[..., :2] - 1, velocity], dim=-1) * observed, observed], dim=-1)


def _over_next(values: Tensor, frames: int, combine: Callable[..., Tensor]) -> Tensor:
    """Values (T, ...) of each frame combined with those of the next ones, ``frames`` in all or what is left."""
    combined = values.clone()
    for ahead in range(1, min(frames, len(values))):
        combine(combined[:-ahead], values[ahead:], out=combined[:-ahead])
    return combined


def keep_pooled(halves: Sequence[DSTHalf], frames: int, limit: int = KEPT_BYTES) -> list[DSTHalf]:
    """The halves with their pooled inputs, if these take at most ``limit`` bytes, to save time; else as they are."""
    per_frame = N_SLOTS * pooled_width(halves[0].features.shape[1]) * torch.float32.itemsize if halves else 0
    if per_frame * sum(half.n_frames for half in halves) > limit:
        return list(halves)
    return [replace(half, pooled={frames: pool_inputs(half.features, frames)}) for half in halves]


def pooled_width(width: int) -> int:
    """Pooled inputs of a slot, where there are ``width`` inputs a frame."""
    return N_STATE + (N_CLASSES - 1) * ((width - STATE_WIDTH) // LOGITS_WIDTH)


def mirror_pooled(inputs: Tensor, mirror: str) -> Tensor:
    """Mirror pooled inputs (N, width) as :func:`mirror_features` does those of frames."""
    signs, n = mirror_signs(mirror), inputs.shape[1] // N_SLOTS
    factor = torch.tensor([*signs, *signs] + [1] * (n - 4), dtype=inputs.dtype).repeat(N_SLOTS)
    return move_pooled(inputs, mirror_slots(mirror)) * factor


def move_pooled(inputs: Tensor, order: np.ndarray) -> Tensor:
    """Pooled inputs (N, width) in which slot j has what was in slot ``order[j]``."""
    return inputs.unflatten(1, (N_SLOTS, -1)).index_select(1, torch.from_numpy(order)).flatten(1)


def mirror_features(features: np.ndarray, mirror: str) -> np.ndarray:
    """Mirror encoder inputs (N, 364 or 598), one frame a row, as ``schema.mirror_slots`` and ``mirror_signs`` say.

    Players change slots with their logits, positions p become 1 - p and velocities change sign; the -15 of absent
    players stay. FootpassError if there is no such mirror.
    """
    n, signs = len(features), mirror_signs(mirror)
    mirrored = np.take(features, slot_columns(mirror_slots(mirror), features.shape[1]), axis=1)
    state = mirrored[:, :STATE_WIDTH]
    observed = np.repeat(state.reshape(n, N_SLOTS, N_STATE)[..., -1] > 0, N_STATE, axis=1)  # (N, 130)
    factor = np.tile(np.array([*signs, *signs, 1], features.dtype), N_SLOTS)
    shift = np.tile(np.array([*(sign < 0 for sign in signs), 0, 0, 0], features.dtype), N_SLOTS)
    mirrored[:, :STATE_WIDTH] = np.where(observed, state * factor + shift, state)
    return mirrored


def slot_columns(order: np.ndarray, width: int) -> np.ndarray:
    """Which inputs of a frame, of ``width``, stand where once slot j has what was in slot ``order[j]``."""
    kinds = [(0, N_STATE), *((start, N_CLASSES) for start in range(STATE_WIDTH, width, LOGITS_WIDTH))]
    return np.concatenate([start + (order[:, None] * n + np.arange(n)).ravel() for start, n in kinds])


def mirror_tokens(tokens: np.ndarray, mirror: str) -> np.ndarray:
    """Mirror decoder tokens (S, 3); events of one frame are put in the order of their new slots."""
    roles = np.append(mirror_slots(mirror), NEUTRAL)[tokens[:, ROLE]]
    mirrored = np.stack([tokens[:, ACTION], roles, tokens[:, FRAME]], axis=1)
    return mirrored[np.lexsort((roles, mirrored[:, FRAME]))]
