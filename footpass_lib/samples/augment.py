"""Augmentation of a training clip: one draw moves and colours all its frames, and moves its boxes with them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F
from torchvision.tv_tensors import BoundingBoxes, Video

from footpass_lib.samples.pixels import PIXEL_MEAN, PIXEL_STD
from footpass_lib.schema import FootpassError

_LUMA = (0.2989, 0.587, 0.114)


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes; the geometric ones are the official baseline's, which names no colour ranges.

    Scale, brightness, contrast and saturation are factors from 1 - value to 1 + value.
    """

    translation: float = 0.10  # largest shift in each direction, as a share of the clip's height and width
    rotation: float = 1.5  # largest angle, degrees
    scale: float = 0.10
    flip: float = 0.5  # probability of a mirror image
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2

    def __post_init__(self) -> None:
        for name, value in ((f.name, getattr(self, f.name)) for f in fields(self)):
            limit = 45 if name == "rotation" else 1
            if not 0 <= value <= limit or (name == "scale" and value == 1):
                raise FootpassError(f"augmentation: {name}={value}, expected 0 to {limit}")


@dataclass(frozen=True)
class Motion:
    """One draw from an :class:`Augmentation`, of geometry and colour factors; the defaults change nothing."""

    shift: tuple[float, float] = (0.0, 0.0)  # down and to the right, pixels
    angle: float = 0.0  # degrees, clockwise
    scale: float = 1.0
    flip: bool = False  # left and right are swapped, after everything else
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0


def draw_motion(settings: Augmentation, height: int, width: int, rng: np.random.Generator) -> Motion:
    """Draw one, uniformly over the ranges, for a clip of this height and width."""

    def around(centre: float, spread: float) -> float:
        return centre + spread * rng.uniform(-1, 1)

    return Motion(
        shift=(around(0, settings.translation * height), around(0, settings.translation * width)),
        angle=around(0, settings.rotation),
        scale=around(1, settings.scale),
        flip=bool(rng.random() < settings.flip),
        brightness=around(1, settings.brightness),
        contrast=around(1, settings.contrast),
        saturation=around(1, settings.saturation),
    )


def margin(settings: Augmentation, height: int, width: int) -> int:
    """Pixels around a crop from which every motion that may be drawn still fills the crop."""
    angle, shortest = math.radians(settings.rotation), 1 - settings.scale
    half_height, half_width = (0.5 + settings.translation) * height, (0.5 + settings.translation) * width
    down = (half_height + half_width * math.sin(angle)) / shortest - height / 2
    across = (half_width + half_height * math.sin(angle)) / shortest - width / 2
    return max(0, math.ceil(max(down, across)))


def normalise_coloured(frames: Tensor, motion: Motion) -> Tensor:
    """Frames (T, H, W, 3) of uint8 as normalised pixels (T, 3, H, W), with its colours.

    Brightness, contrast (about the clip's mean grey) and saturation, in this order, are affine in a pixel's colours,
    and so is the normalisation: one matrix product does all four. The result is clipped to what pixels can give.
    """
    pixels = frames.movedim(-1, 1).contiguous().float().flatten(2)  # (T, 3, H * W)
    luma, one = torch.tensor(_LUMA), torch.eye(3)
    grey = luma @ pixels.mean(dim=(0, 2)) * motion.brightness
    saturate = motion.saturation * one + (1 - motion.saturation) * luma.expand(3, 3)
    matrix = saturate * (motion.brightness * motion.contrast) / (255 * PIXEL_STD)
    # the mean grey that contrast mixes in has no colour, so that saturation leaves it as it is
    offset = ((1 - motion.contrast) * grey / 255 - PIXEL_MEAN) / PIXEL_STD
    n_frames = len(frames)
    coloured = torch.baddbmm(offset.expand(n_frames, 3, 1), matrix.expand(n_frames, 3, 3), pixels)
    coloured.clamp_((0 - PIXEL_MEAN) / PIXEL_STD, (1 - PIXEL_MEAN) / PIXEL_STD)
    return coloured.unflatten(2, frames.shape[1:3])


def move(video: Tensor, boxes: Tensor, motion: Motion) -> tuple[Tensor, Tensor]:
    """Shift, turn, scale and flip a clip (T, 3, H, W) and its boxes (..., 4) together.

    The video is normalised: what comes in from outside is 0, the mean grey. Boxes are x0, y0, x1, y1 in pixels; NaN
    stays NaN, a turned box becomes the upright box around it, and none is clipped.
    """
    height, width = video.shape[-2:]
    moved, flat = Video(video), boxes.reshape(-1, 4)
    corners = BoundingBoxes(flat, format="XYXY", canvas_size=(height, width), clamping_mode=None)
    if motion.angle or any(motion.shift) or motion.scale != 1:
        down, right = motion.shift
        geometry = {"angle": motion.angle, "translate": [right, down], "scale": motion.scale, "shear": [0.0, 0.0]}
        moved = F.affine(moved, **geometry, interpolation=InterpolationMode.BILINEAR)
        corners = F.affine(corners, **geometry)
    if motion.flip:
        moved, corners = F.horizontal_flip(moved), F.horizontal_flip(corners)
    return moved.as_subclass(Tensor), corners.as_subclass(Tensor).reshape(boxes.shape)
