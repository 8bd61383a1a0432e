"""The small profiles' sequence model: what lets :class:`DST` learn from an hour of play. None of it is the paper's.

:class:`PointerDST` moreover points at frames, and reads action and role there. :func:`build_dst` builds the network
that belongs to settings, the paper's or one of these.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from footpass_lib.models.dst import DST, DSTSettings, Logits, Memory
from footpass_lib.models.transformer import LayerCache, NormFirst
from footpass_lib.samples.tokens import EOS, FRAME, NEUTRAL, SOS
from footpass_lib.schema import N_CLASSES, N_SLOTS, FootpassError

PLAYER_CHANNELS = 16  # out of the network of one player


@dataclass(frozen=True)
class PointerDSTSettings(DSTSettings):
    """Settings of the small variant; FootpassError if out of range, or if the windows' inputs are not pooled."""

    pointer: bool = True  # False has the paper's frame head, and action and role are read from the decoder alone

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.windows.pooled:
            raise FootpassError("DST: players share a network, expected windows of pooled inputs")


class PlayerEmbedding(nn.Module):
    """Encoder tokens (B, L, width) from pooled inputs (B, L, token_width), by a network that all slots share."""

    def __init__(self, settings: PointerDSTSettings) -> None:
        super().__init__()
        inputs, channels = settings.windows.token_width(settings.sources) // N_SLOTS, PLAYER_CHANNELS
        self.player = nn.Sequential(nn.Linear(inputs, 2 * channels), nn.GELU(), nn.Linear(2 * channels, channels))
        self.token = nn.Linear(N_SLOTS * channels, settings.width)
        self.gain = nn.Parameter(torch.full((1,), 3.0))  # against the frame encoding, whose values are larger

    def forward(self, features: Tensor) -> Tensor:
        players = features.unflatten(-1, (N_SLOTS, -1))  # (B, L, 26, inputs of a player)
        return self.gain * self.token(self.player(players).flatten(-2))


class SmallDST(DST):
    """DST with pooled tokens, :class:`PlayerEmbedding`, layer norm before sublayers, and a dense head.

    In training the dense head says which event every encoder token holds, and whose: it teaches the encoder faster.
    """

    residual = NormFirst
    settings: PointerDSTSettings

    def _feature_embedding(self) -> nn.Module:
        return PlayerEmbedding(self.settings)

    def _add_heads(self) -> None:
        super()._add_heads()
        self.dense_head = nn.Linear(self.settings.width, N_CLASSES + N_SLOTS)

    def forward(self, features: Tensor, n_frames: Tensor, inputs: Tensor, frames: Tensor | None = None) -> Logits:
        memory = self.encode(features, n_frames)
        logits = self.decode(inputs, memory, self.start(memory), frames)
        return logits._replace(dense=self.dense_head(memory.states))


class PointerMemory(NamedTuple):
    """A :class:`Memory`, and the keys that are pointed at."""

    states: Tensor
    mask: Tensor
    n_frames: Tensor
    frame_keys: Tensor  # (B, L * frames of a token, width)


class PointerDST(SmallDST):
    """A frame's logit is the product of a query of the decoder and a key of the encoder's output there.

    Action and role are read from the encoder's output at the frame that is pointed at, in training the true one.
    """

    def _add_frame_head(self) -> None:
        width = self.settings.width
        self.frame_query = nn.Linear(width, width)
        self.frame_key = nn.Linear(width, self.settings.windows.frames_per_token * width)
        self.end_key = nn.Parameter(torch.empty(1, width))
        self.reader = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, width))

    def encode(self, features: Tensor, n_frames: Tensor) -> PointerMemory:
        memory = super().encode(features, n_frames)
        keys = self.frame_key(memory.states).unflatten(-1, (-1, self.settings.width)).flatten(1, 2)
        return PointerMemory(*memory, keys)

    def decode(
        self, tokens: Tensor, memory: PointerMemory, caches: list[LayerCache], frames: Tensor | None = None
    ) -> Logits:
        """As ``DST.decode``; action and role are read at ``frames`` (B, S), or without them at the likeliest ones."""
        x = self.advance(tokens, memory, caches)
        frame_logits = self.point(x, memory)
        frames = frame_logits.argmax(dim=-1) if frames is None else frames
        return Logits(*self.read(x, memory, frames), frame_logits)

    def point(self, x: Tensor, memory: PointerMemory) -> Tensor:
        """Frame logits (B, S, 752): what is no frame of the half has one learned key; lowest where no event can be."""
        query, keys = self.frame_query(x) / self.settings.width**0.5, memory.frame_keys
        frame = torch.arange(self.settings.windows.n_frame_ids, device=x.device)
        logits = F.pad(query @ keys.transpose(1, 2), (1, len(frame) - 1 - keys.shape[1]))
        last = memory.n_frames[:, None, None]
        logits = torch.where(frame <= last, logits, query @ self.end_key.to(query.dtype).T)
        return logits.masked_fill((frame < 1) | (frame > last + 1), torch.finfo(logits.dtype).min)

    def read(self, x: Tensor, memory: Memory, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of action and role from the decoder's output and the encoder's at relative frames (B, S)."""
        token = ((frames - 1) // self.settings.windows.frames_per_token).clamp(0, memory.states.shape[1] - 1)
        there = memory.states.gather(1, token[..., None].expand(-1, -1, self.settings.width))
        return self.action_and_role(self.reader(torch.cat([x, there], dim=-1)))

    def next_token(
        self, last: Tensor, memory: PointerMemory, caches: list[LayerCache], tolerance: int = 0
    ) -> tuple[Tensor, Tensor]:
        """As ``DST.next_token``, but the frame is chosen before action and role.

        EOS stands in the frame after the last event. The window ends where all frames after that one have less than
        half of the probability together (an event is spread over several frames, "nothing more" over one); otherwise
        the likeliest of them is taken, and read. Of two events in neighbouring frames a window so has one only, and in
        its first frame, that of the EOS of an empty window, it has none: this one is left to the window before, and
        lost without one (at the beginning of a half, or everywhere if windows do not overlap).
        Probabilities are among events: of the action without SOS and EOS, of the frame among later ones.
        """
        x = self.advance(last, memory, caches)
        frame_p = self.point(x, memory)[:, 0].float().softmax(dim=-1)  # (B, 752)
        n_frames, before = memory.n_frames[:, None], last[:, :, FRAME]  # (B, 1) each
        frames = torch.arange(frame_p.shape[-1], device=frame_p.device)
        event_p = frame_p * ((frames > before + 1) & (frames <= n_frames))
        total = event_p.sum(dim=1, keepdim=True)
        ends, event_p = total < 0.5, event_p / total.clamp_min(torch.finfo(event_p.dtype).tiny)
        frame = event_p.argmax(dim=1, keepdim=True)
        actions, roles = self.read(x, memory, frame)
        action_p, action = actions[:, 0, :SOS].float().softmax(dim=-1).max(dim=-1, keepdim=True)
        role_p, role = roles[:, 0, :NEUTRAL].float().softmax(dim=-1).max(dim=-1, keepdim=True)
        near_p = (event_p * ((frames - frame).abs() <= tolerance)).sum(dim=1, keepdim=True)
        chosen = torch.where(ends, frame.new_tensor([EOS, NEUTRAL, 0]), torch.cat([action, role, frame], dim=1))
        return chosen, torch.cat([action_p, role_p, near_p], dim=1).masked_fill(ends, 0.0)


def build_dst(settings: DSTSettings, seed: int = 0) -> DST:
    """The network that belongs to the settings, with initial weights from ``seed``."""
    if not isinstance(settings, PointerDSTSettings):
        return DST(settings, seed)
    return (PointerDST if settings.pointer else SmallDST)(settings, seed)


def with_frame_softmax(settings: DSTSettings) -> DSTSettings:
    """The settings, with the paper's frame head where there is a pointer."""
    return replace(settings, pointer=False) if isinstance(settings, PointerDSTSettings) else settings
