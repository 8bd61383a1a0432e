"""Layers of an encoder-decoder transformer whose decoder keeps what it has computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from footpass_lib.models.fast import Dropout, StreamedLinear, attend
from footpass_lib.schema import FootpassError


@dataclass(frozen=True)
class TransformerSettings:
    """Sizes of an encoder-decoder transformer, section 6 of the FOOTPASS baseline; FootpassError if out of range."""

    width: int = 512  # of a token
    feedforward: int = 2048  # hidden width of the feed-forward layers
    encoder_layers: int = 6
    decoder_layers: int = 6
    heads: int = 8
    dropout: float = 0.1  # of attention weights too

    def __post_init__(self) -> None:
        for name in ("width", "feedforward", "encoder_layers", "decoder_layers", "heads"):
            if getattr(self, name) < 1:
                raise FootpassError(f"transformer: {name}={getattr(self, name)}, expected 1 or more")
        if self.width % (2 * self.heads):
            raise FootpassError(f"transformer: width={self.width}, expected a multiple of twice the {self.heads} heads")


@dataclass
class LayerCache:
    """Keys and values (2, B, heads, length, width / heads) of one decoder layer: of the memory, and of past tokens."""

    memory: Tensor
    room: Tensor | None = None  # past ones at the front; it grows by more than is asked for, so that few tokens copy it
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

    def __init__(self, settings: TransformerSettings) -> None:
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
    """A sublayer, dropout, the sum with its input, and layer norm after it."""

    def __init__(self, settings: TransformerSettings) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(settings.width)
        self.dropout = Dropout(settings.dropout)

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        return self.norm(x + self.dropout(sublayer(x)))


class NormFirst(Residual):
    """Layer norm before the sublayer in place of after it, which learns in fewer steps."""

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        return x + self.dropout(sublayer(self.norm(x)))


def _feed_forward(settings: TransformerSettings, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    return nn.Sequential(
        StreamedLinear(settings.width, settings.feedforward),
        activation(),
        Dropout(settings.dropout),
        StreamedLinear(settings.feedforward, settings.width),
    )


class EncoderLayer(nn.Module):
    """Self-attention over the tokens (B, L, width) where the mask is True, then a feed-forward layer."""

    def __init__(
        self,
        settings: TransformerSettings,
        residual: type[Residual] = Residual,
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.attention, self.feed_forward = Attention(settings), _feed_forward(settings, activation)
        self.around_attention, self.around_feed_forward = residual(settings), residual(settings)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.around_attention(x, lambda h: self.attention(h, self.attention.project(h), mask))
        return self.around_feed_forward(x, self.feed_forward)


class DecoderLayer(nn.Module):
    """Attention to this and earlier tokens, attention to the memory, then a feed-forward layer."""

    def __init__(self, settings: TransformerSettings, residual: type[Residual] = Residual) -> None:
        super().__init__()
        self.attention, self.cross = Attention(settings), Attention(settings)
        self.feed_forward = _feed_forward(settings)
        self.around_attention, self.around_cross = residual(settings), residual(settings)
        self.around_feed_forward = residual(settings)

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
