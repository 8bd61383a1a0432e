"""Heads of the detector that see more than three frames of a player: each player alone, and no frame without a box.

PAVE (arXiv 2606.28389, first of the 2026 challenge) has the transformer; the dilated convolutions are ours. Neither is
the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from footpass_lib.models.fast import Dropout
from footpass_lib.models.transformer import EncoderLayer, NormFirst, TransformerSettings
from footpass_lib.schema import N_CLASSES, FootpassError

CONTEXTS = ("none", "dilated", "transformer")


@dataclass(frozen=True)
class ContextSettings:
    """Sizes of a :class:`ContextHead`; the defaults are PAVE's, which does not state its dropout."""

    width: int = 256  # channels between the pooled features and the hidden ones
    layers: int = 4
    heads: int = 8  # of the transformer, and so are the next ones
    feedforward: int = 1024
    frames: int = 50  # with a learned position: the longest clip
    dropout: float = 0.1  # of both

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise FootpassError(f"context: frames={self.frames}, expected 1 or more")
        self.transformer()  # checks the rest

    def transformer(self) -> TransformerSettings:
        """The sizes of one of its layers."""
        return TransformerSettings(
            self.width, self.feedforward, encoder_layers=self.layers, heads=self.heads, dropout=self.dropout
        )


class DilatedLayer(nn.Module):
    """A residual convolution over frames (N, T, width), three of them ``dilation`` apart, its norm frame by frame."""

    def __init__(self, sizes: ContextSettings, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(sizes.width)
        self.conv = nn.Conv1d(sizes.width, sizes.width, 3, padding=dilation, dilation=dilation)
        self.dropout = Dropout(sizes.dropout)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        inner = F.gelu(self.norm(x)) * seen[..., None]
        return x + self.dropout(self.conv(inner.transpose(1, 2)).transpose(1, 2))


class DilatedContext(nn.Module):
    """Convolutions with dilation 1, 2, 4, ...: four of them reach 15 frames to either side."""

    def __init__(self, sizes: ContextSettings) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DilatedLayer(sizes, 2**number) for number in range(sizes.layers))

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """Frames (N, T, width), of which those count that are ``seen`` (N, T)."""
        for layer in self.layers:
            x = layer(x, seen)
        return x


class TransformerContext(nn.Module):
    """Learned positions, then layers in which a player's frames attend to those of his that are seen."""

    def __init__(self, sizes: ContextSettings) -> None:
        super().__init__()
        self.positions = nn.Parameter(0.02 * torch.randn(sizes.frames, sizes.width))
        inner = sizes.transformer()
        self.layers = nn.ModuleList(EncoderLayer(inner, NormFirst, nn.GELU) for _ in range(sizes.layers))

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """As of :class:`DilatedContext`; FootpassError if there are more frames than positions."""
        frames = len(self.positions)
        if x.shape[1] > frames:
            raise FootpassError(f"TAAD: a clip of {x.shape[1]} frames, and its context has positions of {frames}")
        seen = seen | ~seen.any(dim=1, keepdim=True)  # who is never seen sees all: attention to nothing is no number
        x = x + self.positions[: x.shape[1]]
        for layer in self.layers:
            x = layer(x, seen[:, None, None])
        return x


class ContextHead(nn.Module):
    """From pooled features (B, M, T, channels) to logits (B, 9, M, T), in place of the baseline's convolution.

    Linear to 256, context, layer norm, linear to 512, GELU, linear to 9 (norm and GELU after the context are ours). A
    frame outside the mask has logits that mean nothing, and changes nobody else's.
    """

    def __init__(self, context: str, sizes: ContextSettings, channels: int, hidden: int) -> None:
        super().__init__()
        self.enter = nn.Linear(channels, sizes.width)
        self.context = DilatedContext(sizes) if context == "dilated" else TransformerContext(sizes)
        self.leave = nn.Sequential(
            nn.LayerNorm(sizes.width), nn.Linear(sizes.width, hidden), nn.GELU(), nn.Linear(hidden, N_CLASSES)
        )

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """``mask`` (B, M, T), bool or 0/1, says who is seen when; without it everybody is."""
        seen = features.new_ones(features.shape[:3], dtype=torch.bool) if mask is None else mask > 0
        x = self.context(self.enter(features.flatten(0, 1)), seen.flatten(0, 1))
        return self.leave(x).unflatten(0, features.shape[:2]).permute(0, 3, 1, 2)
