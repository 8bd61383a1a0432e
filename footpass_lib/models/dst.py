"""DST, the sequence model: an encoder over the frames of a window, a decoder that writes its events one by one.

Section 6 of the FOOTPASS baseline; the small profiles' variant is ``pointer_dst``. The decoder keeps keys and values of
earlier tokens and of the encoder's output: teacher forcing and decoding token by token run through the same lines.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from footpass_lib.models.dst_settings import DSTSettings
from footpass_lib.models.fast import Dropout
from footpass_lib.models.player_attention import PlayerAttention
from footpass_lib.models.transformer import (
    DecoderLayer,
    EncoderLayer,
    LayerCache,
    Residual,
    frame_encoding,
)
from footpass_lib.models.weights import seeded_initialisation
from footpass_lib.samples.tokens import ACTION, EOS, FRAME, N_ACTIONS, N_TOKEN_ROLES, NEUTRAL, ROLE, SOS
from footpass_lib.schema import FootpassError


class Logits(NamedTuple):
    """Logits of the token after each."""

    action: Tensor  # (B, S, 10)
    role: Tensor  # (B, S, 27)
    frame: Tensor  # (B, S, 752)
    dense: Tensor | None = None  # a variant's, for training: (B, L, 9 + 26), class and slot in each encoder token


class Memory(NamedTuple):
    """The encoder's output."""

    states: Tensor  # (B, L, width)
    mask: Tensor  # (B, 1, 1, L), True where a token has a frame of the half
    n_frames: Tensor  # (B,), of the half in each window


class DST(nn.Module):
    """Sequence model of section 6 of the FOOTPASS baseline.

    A linear layer on a one-hot is a row of a table: the one-hots of frames, actions and roles are never built. A
    variant overrides what is a method or attribute of its own here: ``residual``, the embedding of features, the heads.
    """

    residual: type[Residual] = Residual

    def __init__(self, settings: DSTSettings, seed: int = 0) -> None:
        super().__init__()
        self.settings = settings
        shape, width = settings.windows, settings.width
        with seeded_initialisation(seed):  # the order of construction decides who gets which random numbers
            self.feature_embedding = self._feature_embedding()
            self.token_frame_table = nn.Embedding(shape.n_frame_ids, width)
            self.action_table = nn.Embedding(N_ACTIONS, width)
            self.role_table = nn.Embedding(N_TOKEN_ROLES, width)
            self.event_frame_table = nn.Embedding(shape.n_frame_ids, width)
            self.dropout = Dropout(settings.dropout)
            layers = range(settings.encoder_layers), range(settings.decoder_layers)
            self.encoder = nn.ModuleList(EncoderLayer(settings, self.residual) for _ in layers[0])
            self.encoder_norm = nn.LayerNorm(width)
            self.decoder = nn.ModuleList(DecoderLayer(settings, self.residual) for _ in layers[1])
            self.decoder_norm = nn.LayerNorm(width)
            self._add_heads()
            _draw(self)
            self.players: PlayerAttention | None = None
            if settings.player_attention != "none":  # last, so that all the rest starts as without it
                self.players = PlayerAttention(settings, self.residual)
                _draw(self.players)
        encoding = frame_encoding(shape.n_frame_ids, width, settings.base)
        self.register_buffer("encoding", encoding, persistent=False)

    def _feature_embedding(self) -> nn.Module:
        return nn.Linear(self.settings.windows.token_width(self.settings.sources), self.settings.width)

    def _add_heads(self) -> None:
        self.action_role_head = nn.Linear(self.settings.width, N_ACTIONS + N_TOKEN_ROLES)
        self._add_frame_head()

    def _add_frame_head(self) -> None:
        self.frame_head = nn.Linear(self.settings.width, self.settings.windows.n_frame_ids)

    def encode(self, features: Tensor, n_frames: Tensor) -> Memory:
        """Read windows: ``features`` (B, L, token_width), L at most the window's tokens, FootpassError if not.

        ``n_frames`` (B,), 1 or more, of each window are in the half: what comes after has no effect.
        """
        shape = self.settings.windows
        n_tokens, width = shape.n_tokens, shape.token_width(self.settings.sources)
        if features.ndim != 3 or features.shape[1] > n_tokens or features.shape[2] != width:
            expected = f"expected (B, up to {n_tokens}, {width})"
            raise FootpassError(f"DST: features of shape {tuple(features.shape)}; {expected}")
        first = torch.arange(features.shape[1], device=features.device) * shape.frames_per_token + 1
        mask = (first <= n_frames[:, None])[:, None, None]  # (B, 1, 1, L)
        x = self.feature_embedding(features) + self.token_frame_table(first) + self.encoding[first]
        if self.players is not None:
            x = x + self.players(features, first, mask)
        x = self.dropout(x)
        for layer in self.encoder:
            x = layer(x, mask)
        return Memory(self.encoder_norm(x), mask, n_frames)

    def start(self, memory: Memory) -> list[LayerCache]:
        """The caches of all decoder layers before the first token."""
        return [LayerCache(layer.cross.project(memory.states).contiguous()) for layer in self.decoder]

    def advance(self, tokens: Tensor, memory: Memory, caches: list[LayerCache]) -> Tensor:
        """The decoder's output (B, S, width) after each of the tokens (B, S, 3), which come after those in the caches.

        Either all tokens come at once, with new caches, or one by one.
        """
        action, role, frame = tokens[..., ACTION], tokens[..., ROLE], tokens[..., FRAME]
        x = self.action_table(action) + self.role_table(role) + self.event_frame_table(frame) + self.encoding[frame]
        x = self.dropout(x)
        for layer, cache in zip(self.decoder, caches, strict=True):
            x = layer(x, cache, memory.mask)
        return self.decoder_norm(x)

    def action_and_role(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of action (B, S, 10) and role (B, S, 27)."""
        action_role = self.action_role_head(x)
        return action_role[..., :N_ACTIONS], action_role[..., N_ACTIONS:]

    def decode(self, tokens: Tensor, memory: Memory, caches: list[LayerCache], frames: Tensor | None = None) -> Logits:
        """Logits of what follows each of the tokens, which come as in :meth:`advance`.

        ``frames`` (B, S) of the tokens that follow are for a variant that reads there.
        """
        x = self.advance(tokens, memory, caches)
        return Logits(*self.action_and_role(x), self.frame_head(x))

    def forward(self, features: Tensor, n_frames: Tensor, inputs: Tensor, frames: Tensor | None = None) -> Logits:
        """Logits with teacher forcing, for decoder tokens (B, S, 3) that start with SOS; the rest as in the methods."""
        memory = self.encode(features, n_frames)
        return self.decode(inputs, memory, self.start(memory), frames)

    def next_token(
        self, last: Tensor, memory: Memory, caches: list[LayerCache], tolerance: int = 0
    ) -> tuple[Tensor, Tensor]:
        """The likeliest token (B, 3) after ``last`` (B, 1, 3), and the probabilities (B, 3), as in `choose_token`."""
        action, role, frame, _ = self.decode(last, memory, caches)
        return choose_token(Logits(action[:, -1], role[:, -1], frame[:, -1]), memory.n_frames, tolerance)


def _draw(part: nn.Module) -> None:
    """Draw first weights, all but biases and the like."""
    for parameter in part.parameters():
        if parameter.ndim > 1:
            nn.init.xavier_uniform_(parameter)


def choose_token(logits: Logits, n_frames: Tensor, tolerance: int = 0) -> tuple[Tensor, Tensor]:
    """The likeliest possible token (B, 3), and the probabilities (B, 3) of its action, role and frame.

    From logits (B, 10), (B, 27), (B, 752) and ``n_frames`` (B,). Impossible are SOS, an event of no slot, and a frame
    outside 1..n_frames. EOS has the neutral role, and its frame means nothing. Probabilities are those of the whole
    softmax, as in the paper, and of all frames of the half at most ``tolerance`` from the chosen one.
    """
    action_p, role_p, frame_p = (values.float().softmax(dim=-1) for values in logits[:3])
    action = action_p.index_fill(-1, torch.tensor([SOS], device=n_frames.device), -1.0).argmax(dim=-1)
    role = torch.where(action == EOS, NEUTRAL, role_p[:, :NEUTRAL].argmax(dim=-1))
    frames = torch.arange(frame_p.shape[-1], device=n_frames.device)
    inside = (frames >= 1) & (frames <= n_frames[:, None])  # (B, 752)
    frame = frame_p.masked_fill(~inside, -1.0).argmax(dim=-1)
    chosen = torch.stack([action, role, frame], dim=-1)
    columns = zip((action_p, role_p), chosen.split(1, dim=-1), strict=False)
    near = inside & ((frames - frame[:, None]).abs() <= tolerance)
    confidence = [p.gather(-1, column) for p, column in columns] + [(frame_p * near).sum(dim=-1, keepdim=True)]
    return chosen, torch.cat(confidence, dim=-1)
