"""DST, the sequence model: an encoder over the frames of a window, a decoder that writes its events one by one.

Section 6 of the FOOTPASS baseline. The decoder keeps keys and values of earlier tokens and of the encoder's output, so
that teacher forcing and decoding token by token run through the same lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from footpass_lib.models import seeded_initialisation
from footpass_lib.schema import FootpassError
from footpass_lib.windows import ACTION, FRAME, N_ACTIONS, N_TOKEN_ROLES, ROLE, WindowSettings

FRAME_HEADS = ("dense", "pointer")


@dataclass(frozen=True)
class DSTSettings:
    """The sequence model's settings; the defaults are the paper's.

    Attributes
    ----------
    windows
        Shape of the windows.
    sources
        Sources of logits in an encoder token: 1 (TAAD) or 2 (TAAD and GNN).
    width, feedforward
        Channels, and hidden channels of the feed-forward layers.
    encoder_layers, decoder_layers, heads
        Of the transformer.
    dropout
        Also on attention weights.
    norm_first
        Layer norm before each sublayer in place of after it.
    frame_head
        ``dense``: a linear layer gives logits of the relative frames. ``pointer``: each frame's logit is the product
        of a query of the decoder and a key of the encoder's output there.
    base
        Of the wavelengths of the frame encoding.

    Raises
    ------
    FootpassError
        If a value is out of range.
    """

    windows: WindowSettings = field(default_factory=WindowSettings)
    sources: int = 1
    width: int = 512
    feedforward: int = 2048
    encoder_layers: int = 6
    decoder_layers: int = 6
    heads: int = 8
    dropout: float = 0.1
    norm_first: bool = False
    frame_head: str = "dense"
    base: float = 1000.0

    def __post_init__(self) -> None:
        for name in ("sources", "width", "feedforward", "encoder_layers", "decoder_layers", "heads"):
            if getattr(self, name) < 1:
                raise FootpassError(f"DST: {name}={getattr(self, name)}, expected 1 or more")
        if self.width % (2 * self.heads):
            raise FootpassError(f"DST: width={self.width}, expected a multiple of twice the {self.heads} heads")
        if self.frame_head not in FRAME_HEADS:
            raise FootpassError(f"DST: frame_head={self.frame_head!r}, expected one of {', '.join(FRAME_HEADS)}")


class Logits(NamedTuple):
    """Logits of the token after each: ``action`` (B, S, 10), ``role`` (B, S, 27), ``frame`` (B, S, 752)."""

    action: Tensor
    role: Tensor
    frame: Tensor


class Memory(NamedTuple):
    """The encoder's output.

    ``states`` (B, L, width); ``mask`` (B, 1, 1, L), True where a token has a frame of the half; ``n_frames`` (B,);
    ``frame_keys`` (B, 752, width), for the pointer only.
    """

    states: Tensor
    mask: Tensor
    n_frames: Tensor
    frame_keys: Tensor | None


@dataclass
class LayerCache:
    """Keys and values (2, B, heads, length, width / heads) of one decoder layer: of the memory, and of past tokens."""

    memory: Tensor
    past: Tensor | None = None

    def extend(self, keys_values: Tensor) -> Tensor:
        """Add those of new tokens; all so far."""
        self.past = keys_values if self.past is None else torch.cat([self.past, keys_values], dim=3)
        return self.past


class Attention(nn.Module):
    """Multi-head attention whose keys and values are made apart from its use, and can be kept."""

    def __init__(self, settings: DSTSettings) -> None:
        super().__init__()
        self.split = (settings.heads, settings.width // settings.heads)
        self.dropout = settings.dropout
        self.query = nn.Linear(settings.width, settings.width)
        self.key_value = nn.Linear(settings.width, 2 * settings.width)
        self.out = nn.Linear(settings.width, settings.width)

    def project(self, source: Tensor) -> Tensor:
        """Keys and values (2, B, heads, S, width / heads) of a source (B, S, width)."""
        return self.key_value(source).unflatten(-1, (2, *self.split)).permute(2, 0, 3, 1, 4)

    def forward(self, x: Tensor, keys_values: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        query = self.query(x).unflatten(-1, self.split).transpose(1, 2)  # (B, heads, S, width / heads)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, *keys_values, attn_mask=mask, dropout_p=dropout, is_causal=causal)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Residual(nn.Module):
    """Dropout, sum with the input, and layer norm around a sublayer."""

    def __init__(self, settings: DSTSettings) -> None:
        super().__init__()
        self.norm_first = settings.norm_first
        self.norm = nn.LayerNorm(settings.width)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        if self.norm_first:
            return x + self.dropout(sublayer(self.norm(x)))
        return self.norm(x + self.dropout(sublayer(x)))


def _feed_forward(settings: DSTSettings) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(settings.width, settings.feedforward),
        nn.ReLU(),
        nn.Dropout(settings.dropout),
        nn.Linear(settings.feedforward, settings.width),
    )


class EncoderLayer(nn.Module):
    """Self-attention over the tokens (B, L, width) where the mask is True, then a feed-forward layer."""

    def __init__(self, settings: DSTSettings) -> None:
        super().__init__()
        self.attention, self.feed_forward = Attention(settings), _feed_forward(settings)
        self.around_attention, self.around_feed_forward = Residual(settings), Residual(settings)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.around_attention(x, lambda h: self.attention(h, self.attention.project(h), mask))
        return self.around_feed_forward(x, self.feed_forward)


class DecoderLayer(nn.Module):
    """Attention to this and earlier tokens, attention to the memory, then a feed-forward layer."""

    def __init__(self, settings: DSTSettings) -> None:
        super().__init__()
        self.attention, self.cross = Attention(settings), Attention(settings)
        self.feed_forward = _feed_forward(settings)
        self.around_attention, self.around_cross = Residual(settings), Residual(settings)
        self.around_feed_forward = Residual(settings)

    def forward(self, x: Tensor, cache: LayerCache, memory_mask: Tensor) -> Tensor:
        """Several tokens may come at once only while the cache has no past; padding comes last, so no token sees it."""
        causal = cache.past is None
        x = self.around_attention(
            x, lambda h: self.attention(h, cache.extend(self.attention.project(h)), causal=causal)
        )
        x = self.around_cross(x, lambda h: self.cross(h, cache.memory, memory_mask))
        return self.around_feed_forward(x, self.feed_forward)


class DST(nn.Module):
    """Sequence model of section 6 of the FOOTPASS baseline.

    A linear layer on a one-hot is a row of a table: the one-hots of frames, actions and roles are never built.

    Parameters
    ----------
    settings
        Sizes.
    seed
        Of the initial weights.
    """

    def __init__(self, settings: DSTSettings, seed: int = 0) -> None:
        super().__init__()
        self.settings = settings
        shape, width = settings.windows, settings.width
        with seeded_initialisation(seed):
            self.feature_embedding = nn.Linear(shape.token_width(settings.sources), width)
            self.token_frame_table = nn.Embedding(shape.n_frame_ids, width)
            self.action_table = nn.Embedding(N_ACTIONS, width)
            self.role_table = nn.Embedding(N_TOKEN_ROLES, width)
            self.event_frame_table = nn.Embedding(shape.n_frame_ids, width)
            self.dropout = nn.Dropout(settings.dropout)
            self.encoder = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.encoder_layers))
            self.encoder_norm = nn.LayerNorm(width)
            self.decoder = nn.ModuleList(DecoderLayer(settings) for _ in range(settings.decoder_layers))
            self.decoder_norm = nn.LayerNorm(width)
            self.action_role_head = nn.Linear(width, N_ACTIONS + N_TOKEN_ROLES)
            if settings.frame_head == "dense":
                self.frame_head = nn.Linear(width, shape.n_frame_ids)
            else:
                self.frame_query = nn.Linear(width, width)
                self.frame_key = nn.Linear(width, shape.frames_per_token * width)
                self.end_key = nn.Parameter(torch.empty(1, width))
            for parameter in self.parameters():
                if parameter.ndim > 1:
                    nn.init.xavier_uniform_(parameter)
        encoding = frame_encoding(shape.n_frame_ids, width, settings.base)
        self.register_buffer("encoding", encoding, persistent=False)

    def encode(self, features: Tensor, n_frames: Tensor) -> Memory:
        """Read windows.

        Parameters
        ----------
        features
            (B, L, token_width), L at most the window's tokens.
        n_frames
            (B,): frames of each window that are in the half, 1 or more; what comes after has no effect.

        Raises
        ------
        FootpassError
            If the features have another shape.
        """
        shape = self.settings.windows
        n_tokens, width = shape.n_tokens, shape.token_width(self.settings.sources)
        if features.ndim != 3 or features.shape[1] > n_tokens or features.shape[2] != width:
            expected = f"expected (B, up to {n_tokens}, {width})"
            raise FootpassError(f"DST: features of shape {tuple(features.shape)}; {expected}")
        first = torch.arange(features.shape[1], device=features.device) * shape.frames_per_token + 1
        mask = (first <= n_frames[:, None])[:, None, None]  # (B, 1, 1, L)
        x = self.feature_embedding(features) + self.token_frame_table(first) + self.encoding[first]
        x = self.dropout(x)
        for layer in self.encoder:
            x = layer(x, mask)
        states = self.encoder_norm(x)
        keys = self._frame_keys(states, n_frames) if self.settings.frame_head == "pointer" else None
        return Memory(states, mask, n_frames, keys)

    def _frame_keys(self, states: Tensor, n_frames: Tensor) -> Tensor:
        """Keys (B, 752, width) of the relative frames; what is no frame of the half has one learned key."""
        keys = self.frame_key(states).unflatten(-1, (-1, self.settings.width)).flatten(1, 2)
        frame = torch.arange(self.settings.windows.n_frame_ids, device=keys.device)
        keys = F.pad(keys, (0, 0, 1, len(frame) - 1 - keys.shape[1]))
        inside = (frame >= 1) & (frame <= n_frames[:, None])
        return torch.where(inside[..., None], keys, self.end_key.to(keys.dtype))

    def start(self, memory: Memory) -> list[LayerCache]:
        """The caches of all decoder layers before the first token."""
        return [LayerCache(layer.cross.project(memory.states)) for layer in self.decoder]

    def decode(self, tokens: Tensor, memory: Memory, caches: list[LayerCache]) -> Logits:
        """Logits of what follows each of the tokens (B, S, 3), which come after those in the caches.

        Either all tokens come at once, with new caches, or one by one.
        """
        action, role, frame = tokens[..., ACTION], tokens[..., ROLE], tokens[..., FRAME]
        x = self.action_table(action) + self.role_table(role) + self.event_frame_table(frame) + self.encoding[frame]
        x = self.dropout(x)
        for layer, cache in zip(self.decoder, caches, strict=True):
            x = layer(x, cache, memory.mask)
        x = self.decoder_norm(x)
        action_role = self.action_role_head(x)
        frames = self.frame_head(x) if self.settings.frame_head == "dense" else self._point(x, memory)
        return Logits(action_role[..., :N_ACTIONS], action_role[..., N_ACTIONS:], frames)

    def _point(self, x: Tensor, memory: Memory) -> Tensor:
        """Logits (B, S, 752), lowest for frame 0 and after the first frame past the half's end."""
        logits = self.frame_query(x) @ memory.frame_keys.transpose(1, 2) / self.settings.width**0.5
        frame = torch.arange(logits.shape[-1], device=x.device)
        possible = (frame >= 1) & (frame <= memory.n_frames[:, None] + 1)
        return logits.masked_fill(~possible[:, None], torch.finfo(logits.dtype).min)

    def forward(self, features: Tensor, n_frames: Tensor, inputs: Tensor) -> Logits:
        """Logits with teacher forcing, for decoder tokens (B, S, 3) that start with SOS; the rest as in ``encode``."""
        memory = self.encode(features, n_frames)
        return self.decode(inputs, memory, self.start(memory))


def frame_encoding(n_frames: int, width: int, base: float) -> Tensor:
    """Sinusoids (n_frames, width) of the frame number: sines of rising wavelength at even places, cosines at odd."""
    angle = torch.arange(n_frames)[:, None] * base ** (-torch.arange(0, width, 2) / width)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
