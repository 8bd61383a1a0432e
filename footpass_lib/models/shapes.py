"""What a network is made of: its parameters, and the shapes that its layers give."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import torch
from torch import Tensor, nn

from footpass_lib.models.taad import TAAD


def count_parameters(model: nn.Module) -> int:
    """Number of trainable weights."""
    return sum(parameter.numel() for parameter in model.parameters())


def layer_shapes(model: TAAD, video: Tensor, boxes: Tensor, mask: Tensor) -> pd.DataFrame:
    """Shapes at the joints of the detector in one forward pass, a row each in their order: ``part``, ``output``."""
    seen: list[tuple[str, str]] = [("video", str(tuple(video.shape)))]
    joints = {"X3D map": model.encoder.x3d, "pyramid map": model.encoder.pyramid}

    def note(label: str) -> Callable:
        def hook(module: nn.Module, inputs: tuple, output: object) -> None:
            tensors = [output] if isinstance(output, Tensor) else [o for o in output if isinstance(o, Tensor)]
            seen.extend((label, str(tuple(tensor.shape))) for tensor in tensors)

        return hook

    handles = [block.register_forward_hook(note(label)) for label, block in joints.items()]
    try:
        with torch.inference_mode():
            features = model.eval().player_features(video, boxes, mask)
            seen += [("player features", str(tuple(features.shape)))]
            seen += [("logits", str(tuple(model.classify(features).shape)))]
    finally:
        for handle in handles:
            handle.remove()
    return pd.DataFrame(seen, columns=["part", "output"])
