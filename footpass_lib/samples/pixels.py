"""What a detector sees of a clip: normalised pixels, enlarged boxes in pixels of the video, labels in time."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from footpass_lib.data.boxes import fill_box_gaps
from footpass_lib.data.half import TacticalHalf
from footpass_lib.schema import BACKGROUND, BOX_FRAME

PIXEL_MEAN, PIXEL_STD = 0.45, 0.225
ENLARGEMENT = 1.125
MIN_SIDE = 2.0  # pixels of the video: a smaller box shows nothing
DUMMY_BOX = (0.0, 0.0, MIN_SIDE, MIN_SIDE)  # stands where there is no box; its mask is 0


def normalise(frames: Tensor) -> Tensor:
    """Frames (..., T, H, W, 3) of uint8 as the network's input (..., 3, T, H, W): (v / 255 - .45) / .225."""
    return (frames.movedim(-1, -4).float() / 255 - PIXEL_MEAN) / PIXEL_STD


def enlarge(box: np.ndarray, factor: float = ENLARGEMENT) -> np.ndarray:
    """Enlarge boxes (..., 4) by the official rule, section 4 of the FOOTPASS baseline.

    From x, y, width, height in pixels of the 1920x1080 picture (NaN where there is none) to x0, y0, x1, y1, clipped to
    it; the rule adds more to the right and below: x0 = x - (k - 1) * w // 2 and x1 = x + k * w, the same for y.
    """
    corner, side = box[..., :2], box[..., 2:]
    with np.errstate(invalid="ignore"):  # NaN stays NaN
        low = corner - (factor - 1) * side // 2
    return np.concatenate([low, corner + factor * side], axis=-1).clip(0, np.tile(np.float32(BOX_FRAME), 2))


def to_video(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Boxes (..., 4) of the 1920x1080 picture in pixels of a video of this size."""
    return boxes * np.tile(np.float32([width / BOX_FRAME[0], height / BOX_FRAME[1]]), 2)


def large_enough(boxes: np.ndarray) -> np.ndarray:
    """Which boxes x0, y0, x1, y1 (..., 4) are ``MIN_SIDE`` pixels wide and high; a missing one is not."""
    with np.errstate(invalid="ignore"):
        return (boxes[..., 2:] - boxes[..., :2] >= MIN_SIDE).all(axis=-1)


def player_boxes(half: TacticalHalf, fill_gaps: bool) -> np.ndarray:
    """Boxes (26, T, 4) as in the file, or with gaps of fewer than 50 frames filled as in the official "has box"."""
    return fill_box_gaps(half.box, holder=half.box_holder) if fill_gaps else half.box


def dilate(class_id: np.ndarray, by: int, holder: np.ndarray | None = None) -> np.ndarray:
    """Labels (26, T) in which every event lasts ``by`` frames longer on both sides; where two meet, the nearer wins.

    With the ``holder`` (26, T) of each slot, only in frames in which its actor holds it.
    """
    labels = class_id.copy()
    for shift in range(1, by + 1):
        for to, source in ((slice(shift, None), slice(None, -shift)), (slice(None, -shift), slice(shift, None))):
            part, spread = labels[:, to], class_id[:, source]
            if holder is not None:
                spread = np.where(holder[:, to] == holder[:, source], spread, BACKGROUND)
            part[...] = np.where(part == BACKGROUND, spread, part)
    return labels


def masked_boxes(boxes: np.ndarray, mask: np.ndarray) -> tuple[Tensor, Tensor]:
    """Boxes (M, T, 4) and mask (M, T) as tensors, float32 both; a masked box becomes the dummy."""
    boxes = np.where(mask[..., None], boxes, np.float32(DUMMY_BOX)).astype(np.float32)
    return torch.from_numpy(boxes), torch.from_numpy(mask.astype(np.float32))
