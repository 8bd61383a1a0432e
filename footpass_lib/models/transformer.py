"""Layers of an encoder-decoder transformer whose decoder keeps what it has computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from footpass_lib.models.fast import Dropout, StreamedLinear, attend

if TYPE_CHECKING:
    from footpass_lib.models.dst import DSTSettings


@dataclass
class LayerCache:
    """Keys and values (2, B, heads, length, width / heads) of one decoder layer: of the memory, and of past tokens.

    Those of the past stand at the front of ``room``, which grows by more than is asked for, so that few tokens copy it.
    """

    memory: Tensor
    room: Tensor | None = None
    length: int = 0

    def extend(self, keys_values: Tensor) -> Tensor:
        """Add those of new tokens; all so far."""
        start, self.length = self.length, self.length + keys_values.shape[3]
        if self.room is None:
            self.room = keys_values
        elif self.length <= self.room.shape[3]:
            self.room[..., start : self.length, :] = keys_values
        else:
            spare = keys_values.new_empty(*keys_values.shape[:3], self.length, keys_values.shape[4])
            self.room = torch.cat([self.room[..., :start, :], keys_values, spare], dim=3)
        return self.room[..., : self.length, :]


class Attention(nn.Module):
    """Multi-head attention whose keys and values are made apart from its use, and can be kept."""

    def __init__(self, settings: DSTSettings) -> None:
        super().__init__()
        self.split = (settings.heads, settings.width // settings.heads)
        self.dropout = settings.dropout
        self.query = StreamedLinear(settings.width, settings.width)
        self.key_value = StreamedLinear(settings.width, 2 * settings.width)
        self.out = StreamedLinear(settings.width, settings.width)

    def project(self, source: Tensor) -> Tensor:
        """Keys and values (2, B, heads, S, width / heads) of a source (B, S, width)."""
        return self.key_value(source).unflatten(-1, (2, *self.split)).permute(2, 0, 3, 1, 4)

    def forward(self, x: Tensor, keys_values: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        query = self.query(x).unflatten(-1, self.split).transpose(1, 2)  # (B, heads, S, width / heads)
        plain = x.device.type == "cpu" and (self.training or x.shape[1] == 1)
        mix = attend if plain else F.scaled_dot_product_attention
        odds = self.dropout if self.training else 0.0
        mixed = mix(query, *keys_values, attn_mask=mask, dropout_p=odds, is_causal=causal)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Residual(nn.Module):
    """Dropout, sum with the input, and layer norm around a sublayer."""

    def __init__(self, settings: DSTSettings) -> None:
        super().__init__()
        self.norm_first = settings.norm_first
        self.norm = nn.LayerNorm(settings.width)
        self.dropout = Dropout(settings.dropout)

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        if self.norm_first:
            return x + self.dropout(sublayer(self.norm(x)))
        return self.norm(x + self.dropout(sublayer(x)))


def _feed_forward(settings: DSTSettings) -> nn.Sequential:
    return nn.Sequential(
        StreamedLinear(settings.width, settings.feedforward),
        nn.ReLU(),
        Dropout(settings.dropout),
        StreamedLinear(settings.feedforward, settings.width),
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
        causal = cache.room is None
        x = self.around_attention(
            x, lambda h: self.attention(h, cache.extend(self.attention.project(h)), causal=causal)
        )
        x = self.around_cross(x, lambda h: self.cross(h, cache.memory, memory_mask))
        return self.around_feed_forward(x, self.feed_forward)


def frame_encoding(n_frames: int, width: int, base: float) -> Tensor:
    """Sinusoids (n_frames, width) of the frame number: sines of rising wavelength at even places, cosines at odd."""
    angle = torch.arange(n_frames)[:, None] * base ** (-torch.arange(0, width, 2) / width)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
