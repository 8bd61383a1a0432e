"""TAAD, the track-aware action detector: class logits for every player and frame of a clip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from torch import Tensor, nn

from footpass_lib.files import off
from footpass_lib.models.context import CONTEXTS, ContextHead, ContextSettings
from footpass_lib.models.weights import seeded_initialisation
from footpass_lib.models.x3d import PlayerEncoder, X3DSettings
from footpass_lib.schema import N_CLASSES, FootpassError


@dataclass(frozen=True)
class TAADSettings:
    """The detector's settings; the defaults are the official baseline's."""

    encoder: X3DSettings = field(default_factory=X3DSettings)  # from video to player features
    hidden: int = 512  # channels of the temporal convolution
    kernel: int = 3  # its length in frames, odd
    context: str = off("none")  # or, in place of that convolution, dilated or transformer: see ContextHead
    context_sizes: ContextSettings = off(ContextSettings())

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise FootpassError(f"kernel={self.kernel}: expected an odd number of frames")
        if self.context not in CONTEXTS:
            raise FootpassError(f"context={self.context!r}: expected one of {', '.join(CONTEXTS)}")


class VideoModel(nn.Module):
    """What detectors share: a video encoder whose backbone may start from a file of Kinetics weights and be frozen."""

    def __init__(self, encoder: X3DSettings, weights: Path | str | None, seed: int) -> None:
        super().__init__()
        self.encoder = PlayerEncoder(encoder, weights, seed)

    @property
    def weights_source(self) -> str:
        """Where the backbone's first weights came from."""
        return self.encoder.x3d.weights_source

    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of X3D, which may start from Kinetics and learn slowly."""
        return self.encoder.x3d.parameters()

    def freeze(self, frozen: bool = True) -> Self:
        """Freeze (or thaw) the backbone: its weights and its batch-norm statistics."""
        self.encoder.x3d.freeze(frozen)
        return self

    def player_features(self, video: Tensor, boxes: Tensor, mask: Tensor) -> Tensor:
        """Pooled features (B, M, T, C), zero where masked; shapes and errors as in :class:`PlayerEncoder`."""
        return self.encoder(video, boxes, mask)


class TAAD(VideoModel):
    """Detector of section 4 of the FOOTPASS baseline: player features, a temporal convolution, a linear layer.

    Shapes, from the video of a clip to the logits of its players, with the paper's sizes::

        video (B, 3, T, 352, 640) -> X3D-S -> pyramid (B, 192, T, 44, 80) -> RoIAlign at boxes (B, M, T, 4)
        -> player features (B, M, T, 192) -> convolution over 3 frames (B, 512, M, T) -> logits (B, 9, M, T)

    With ``settings.context`` a :class:`ContextHead` takes the place of the last two, which is not the paper's.
    """

    def __init__(self, settings: TAADSettings, weights: Path | str | None = None, seed: int = 0) -> None:
        super().__init__(settings.encoder, weights, seed)
        self.settings = settings
        with seeded_initialisation(seed):
            self.head = self._head()

    def _head(self) -> nn.Module:
        settings, channels = self.settings, self.encoder.channels
        if settings.context != "none":
            return ContextHead(settings.context, settings.context_sizes, channels, settings.hidden)
        # convolutions over (M, T) that never mix players; the last one is linear per player and frame
        kernel, padding = (1, settings.kernel), (0, settings.kernel // 2)
        return nn.Sequential(
            nn.Conv2d(channels, settings.hidden, kernel, padding=padding, bias=False),
            nn.BatchNorm2d(settings.hidden),
            nn.GELU(),
            nn.Conv2d(settings.hidden, N_CLASSES, kernel_size=1),
        )

    def classify(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits (B, 9, M, T) of features (B, M, T, C); a head with context looks where the mask (B, M, T) is 1."""
        if isinstance(self.head, ContextHead):
            return self.head(features, mask)
        return self.head(features.permute(0, 3, 1, 2))

    def forward(self, video: Tensor, boxes: Tensor, mask: Tensor) -> Tensor:
        """Class logits (B, 9, M, T) per player and frame; FootpassError if shapes do not belong together.

        ``video`` (B, 3, T, H, W) has pixels as (v / 255 - .45) / .225, ``boxes`` (B, M, T, 4) are x0, y0, x1, y1 in
        pixels of that video, ``mask`` (B, M, T) is 1 where the player has a box.
        """
        return self.classify(self.player_features(video, boxes, mask), mask)
