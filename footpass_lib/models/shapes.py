"""What a network is made of: its parameters, and the shapes that its layers give."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor, nn

from footpass_lib.models.taad import TAAD
from footpass_lib.models.x3d import check_clip, pool_players


def count_parameters(model: nn.Module) -> int:
    """Number of trainable weights."""
    return sum(parameter.numel() for parameter in model.parameters())


def layer_shapes(model: TAAD, video: Tensor, boxes: Tensor, mask: Tensor) -> pd.DataFrame:
    """Shapes at the joints of the detector in one forward pass, a row each in their order: ``part``, ``output``."""
    encoder = model.eval().encoder
    check_clip(video, boxes, mask)
    with torch.inference_mode():
        maps = encoder.x3d(video)
        pyramid = encoder.pyramid(maps)
        features = pool_players(pyramid, boxes, mask, encoder.settings)
        logits = model.classify(features, mask)
    joints = [("video", video), *(("X3D map", stage) for stage in maps), ("pyramid map", pyramid)]
    joints += [("player features", features), ("logits", logits)]
    return pd.DataFrame([(part, str(tuple(output.shape))) for part, output in joints], columns=["part", "output"])
