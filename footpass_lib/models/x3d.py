"""From video and boxes to features per player: the X3D backbone, its top-down pyramid and RoI pooling.

One code path serves every size: the paper's X3D-S, and what smaller profiles set otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from pytorchvideo.models.x3d import create_x3d
from torch import Tensor, nn
from torchvision.ops import roi_align

from footpass_lib.files import off, sha256_file
from footpass_lib.models.checkpointing import run_block
from footpass_lib.models.fast import DepthwiseConv3d, SpatialConv3d
from footpass_lib.models.weights import RANDOM_WEIGHTS, read_weights, seeded_initialisation, shapes_of
from footpass_lib.schema import FootpassError

STAGE_STRIDES = (4, 8, 16, 32)  # pixels of the video per cell after each residual stage; time is never strided
POOLINGS = ("mean", "flatten")


@dataclass(frozen=True)
class X3DSettings:
    """Size and shape of the path from video to player features; the defaults are the paper's."""

    width_factor: float = 2.0  # X3D's expansion factors: 2.0 and 2.2 are X3D-S, 2.0 and 5.0 are X3D-L
    depth_factor: float = 2.2
    stages: int = 4  # residual stages that are kept; the last map has stride STAGE_STRIDES[stages - 1]
    level: int = 8  # stride of the map that the pyramid ends on and players are pooled from
    pyramid_width: int = 192  # channels of each fused map
    roi_size: tuple[int, int] = (4, 2)  # rows and columns of cells that a player's box is cut into
    pooling: str = "mean"  # of the cells; flatten keeps them apart (better for players of 14 to 19 pixels)
    checkpointing: bool = False  # Extension 1: gradient checkpointing
    aligned: bool = off(True)  # whether RoIAlign takes cells for areas; the official code's are points (False)

    def __post_init__(self) -> None:
        if not 1 <= self.stages <= len(STAGE_STRIDES):
            raise FootpassError(f"stages={self.stages}: expected 1 to {len(STAGE_STRIDES)}")
        if self.level not in STAGE_STRIDES[: self.stages]:
            raise FootpassError(f"level={self.level}: {self.stages} stages give {STAGE_STRIDES[: self.stages]}")
        if self.pooling not in POOLINGS:
            raise FootpassError(f"pooling={self.pooling!r}: expected one of {', '.join(POOLINGS)}")


class X3D(nn.Module):
    """Stem and residual stages of X3D; parameter names are those of pytorchvideo's checkpoints (``blocks.*``).

    ``weights`` is a file of Kinetics weights for this size, FootpassError if they do not fit, or None for random ones.
    ``widths`` are the channels after each kept stage, (24, 48, 96, 192) for X3D-S.
    """

    def __init__(self, settings: X3DSettings, weights: Path | str | None = None) -> None:
        super().__init__()
        # SiLU is X3D's swish, in one fused operation and without a deprecated autograd function
        net = create_x3d(width_factor=settings.width_factor, depth_factor=settings.depth_factor, inner_act=nn.SiLU)
        for module in net.modules():
            if isinstance(module, nn.ReLU):
                module.inplace = True  # what comes before it needs only its own input for its gradient
        self.settings = settings
        self.blocks = net.blocks[: 1 + settings.stages]  # the stem comes first, the classifier is dropped
        stem = self.blocks[0].conv
        stem.conv_t = SpatialConv3d.like(stem.conv_t)  # pytorchvideo's names say the opposite
        stem.conv_xy = DepthwiseConv3d.like(stem.conv_xy)
        for stage in self.blocks[1:]:
            for block in stage.res_blocks:
                path = block.branch2
                path.conv_b = DepthwiseConv3d.like(path.conv_b)
                path.conv_a, path.conv_c = SpatialConv3d.like(path.conv_a), SpatialConv3d.like(path.conv_c)
                if block.branch1_conv is not None:
                    block.branch1_conv = SpatialConv3d.like(block.branch1_conv)
        self.widths = tuple(stage.res_blocks[-1].branch2.conv_c.out_channels for stage in self.blocks[1:])
        self.frozen = False
        self.weights_source = RANDOM_WEIGHTS
        self._asked_training = True
        if weights is not None:
            self._load(Path(weights))

    def _load(self, path: Path) -> None:
        state = read_weights(path)
        kept = tuple(f"blocks.{i}." for i in range(len(self.blocks)))
        state = {name: tensor for name, tensor in state.items() if name.startswith(kept)}
        found, wanted = shapes_of(state), shapes_of(self.state_dict())
        misfits = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
        if misfits:
            name = misfits[0]
            raise FootpassError(
                f"{path}: {len(misfits)} tensors do not fit an X3D of width factor {self.settings.width_factor:g} and "
                f"depth factor {self.settings.depth_factor:g}; first {name}: expected shape {wanted.get(name)}, "
                f"found {found.get(name)}"
            )
        self.load_state_dict(state)
        self.weights_source = f"{path.name} sha256:{sha256_file(path)}"

    def train(self, mode: bool = True) -> X3D:
        """As for any module, but a frozen backbone stays in eval mode: its batch-norm statistics stand still."""
        self._asked_training = mode
        return super().train(mode and not self.frozen)

    def freeze(self, frozen: bool = True) -> X3D:
        """Stop (or resume) gradients and batch-norm statistics; resuming restores the mode last asked for."""
        self.frozen = frozen
        self.requires_grad_(not frozen)
        return self.train(self._asked_training)

    def forward(self, video: Tensor) -> list[Tensor]:
        """Maps (B, C, T, H / stride, W / stride) after each kept stage, rounded up, of ``video`` (B, 3, T, H, W)."""
        recompute = self.settings.checkpointing and not self.frozen
        hidden = run_block(self.blocks[0], video, checkpointing=recompute)
        maps = []
        for stage in self.blocks[1:]:
            for block in stage.res_blocks:
                hidden = run_block(block, hidden, checkpointing=recompute)
            maps.append(hidden)
        return maps


class Fusion(nn.Module):
    """One step down the pyramid: upsample to the finer map, concatenate, convolve in space, BN, GELU."""

    def __init__(self, coarse: int, fine: int, width: int) -> None:
        super().__init__()
        self.conv = SpatialConv3d(coarse + fine, width, kernel_size=(1, 3, 3), padding=(0, 1, 1), bias=False)
        self.norm = nn.BatchNorm3d(width)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        # to the finer map's own size: x2, less a row or column where an odd size was rounded up
        coarse = F.interpolate(coarse, size=fine.shape[2:], mode="nearest")
        return F.gelu(self.norm(self.conv(torch.cat([coarse, fine], dim=1))))


class Pyramid(nn.Module):
    """Top-down path from the coarsest kept map to stride ``settings.level`` (section 4 of the FOOTPASS baseline).

    ``widths`` are the backbone's channels; ``channels`` those of the map that comes out: the coarsest where that has
    the ``level``.
    """

    def __init__(self, widths: tuple[int, ...], settings: X3DSettings) -> None:
        super().__init__()
        self.settings = settings
        skips = widths[STAGE_STRIDES.index(settings.level) : -1]
        carried = [widths[-1]] + [settings.pyramid_width] * len(skips)
        self.channels = carried[-1]
        self.fusions = nn.ModuleList(
            Fusion(coarse, fine, settings.pyramid_width) for coarse, fine in zip(carried, reversed(skips), strict=False)
        )

    def forward(self, maps: list[Tensor]) -> Tensor:
        fused = maps[-1]
        for fusion, fine in zip(self.fusions, reversed(maps[:-1]), strict=False):
            fused = run_block(fusion, fused, fine, checkpointing=self.settings.checkpointing)
        return fused


def pool_players(feature_map: Tensor, boxes: Tensor, mask: Tensor, settings: X3DSettings) -> Tensor:
    """RoIAlign of every visible player in every frame: float32 (B, M, T, C), or C * rows * columns with ``flatten``.

    The map is (B, C, T, h, w) at stride ``settings.level``; boxes (B, M, T, 4) are x0, y0, x1, y1 in pixels of the
    video; where the mask (B, M, T), bool or 0/1, is 0 they are not looked at and the features are 0.
    """
    batch, channels, frames = feature_map.shape[:3]
    visible = mask > 0
    clip, _, frame = visible.nonzero(as_tuple=True)  # each (K,)
    # half precision would round box corners to several pixels
    rois = torch.cat([(clip * frames + frame)[:, None].float(), boxes[visible].float()], dim=1)  # (K, 5)
    images = feature_map.transpose(1, 2).reshape(batch * frames, channels, *feature_map.shape[3:]).float()
    cells = roi_align(images, rois, settings.roi_size, 1 / settings.level, aligned=settings.aligned)
    cells = cells.mean(dim=(2, 3)) if settings.pooling == "mean" else cells.flatten(1)  # (K, F)
    features = cells.new_zeros(*visible.shape, cells.shape[1])
    return features.index_put((visible,), cells)


class PlayerEncoder(nn.Module):
    """X3D, pyramid and RoI pooling: video and boxes to ``channels`` features per player and frame.

    ``weights`` is a file of Kinetics weights for the X3D part, or None; ``seed`` that of the other initial weights.
    """

    def __init__(self, settings: X3DSettings, weights: Path | str | None = None, seed: int = 0) -> None:
        super().__init__()
        self.settings = settings
        with seeded_initialisation(seed):
            self.x3d = X3D(settings, weights)
            self.pyramid = Pyramid(self.x3d.widths, settings)
        cells = settings.roi_size[0] * settings.roi_size[1] if settings.pooling == "flatten" else 1
        self.channels = self.pyramid.channels * cells

    def forward(self, video: Tensor, boxes: Tensor, mask: Tensor) -> Tensor:
        """Features (B, M, T, channels) of ``video`` (B, 3, T, H, W), ``boxes`` (B, M, T, 4), ``mask`` (B, M, T)."""
        check_clip(video, boxes, mask)
        return pool_players(self.pyramid(self.x3d(video)), boxes, mask, self.settings)


def check_clip(video: Tensor, boxes: Tensor, mask: Tensor) -> None:
    """Raise a FootpassError unless the shapes are (B, 3, T, H, W), (B, M, T, 4) and (B, M, T)."""
    shapes = f"video {tuple(video.shape)}, boxes {tuple(boxes.shape)}, mask {tuple(mask.shape)}"
    if video.ndim != 5 or video.shape[1] != 3 or boxes.ndim != 4 or boxes.shape[3] != 4:
        raise FootpassError(f"{shapes}: expected (B, 3, T, H, W), (B, M, T, 4) and (B, M, T)")
    if boxes.shape[:3] != mask.shape or (boxes.shape[0], boxes.shape[2]) != (video.shape[0], video.shape[2]):
        raise FootpassError(f"{shapes}: expected the same B, M and T in all three")
