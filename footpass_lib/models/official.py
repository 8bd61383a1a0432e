"""Checkpoints of the official code, read into the models here: the same tensors under other names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from footpass_lib.models.taad import TAAD, TAADSettings
from footpass_lib.models.weights import put_weights, read_weights
from footpass_lib.models.x3d import X3DSettings
from footpass_lib.schema import FootpassError

# The official detector's layers, by the first part of their names, and what they are called here.
_TAAD_LAYERS = {
    "conv_L16_32": "encoder.pyramid.fusions.0.conv", "bn_L16_32": "encoder.pyramid.fusions.0.norm",
    "conv_L8_16": "encoder.pyramid.fusions.1.conv", "bn_L8_16": "encoder.pyramid.fusions.1.norm",
    "conv1": "head.0", "bn1": "head.1", "fc1": "head.3",
}  # fmt: skip
_BACKBONE = re.compile(r"x3d\.(blocks\.[0-4]\..+)")
_UNUSED = re.compile(r"x3d_L4\..+|x3d\.blocks\.5\..+")  # the first blocks a second time, and the classifier of Kinetics
_DEPTHS = {3: 2.2, 5: 5.0}  # residual blocks of the first stage: X3D-S and X3D-L


def load_official_taad(path: Path | str) -> TAAD:
    """The detector of a checkpoint that the official code wrote (section 4 of the FOOTPASS baseline), in eval mode.

    Alone or under ``model_state_dict`` and the like, with or without ``module.``; X3D-S and X3D-L are told apart. As in
    the official code, boxes are not moved by half a cell before they are pooled. FootpassError if tensors are missing,
    are of another model or of other shapes.
    """
    tensors = read_weights(path)
    blocks = {name.split(".")[4] for name in tensors if name.startswith("x3d.blocks.1.res_blocks.")}
    if "fc1.weight" not in tensors or len(blocks) not in _DEPTHS:
        raise FootpassError(
            f"{path}: holds no official TAAD; expected its layers, X3D-S or X3D-L, {', '.join(_TAAD_LAYERS)}"
        )
    model = TAAD(TAADSettings(encoder=X3DSettings(depth_factor=_DEPTHS[len(blocks)], aligned=False)))
    return put_weights(model, _renamed(tensors), path).eval()


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of the official detector under our names; those of unknown layers keep theirs."""
    renamed = {}
    for name, tensor in tensors.items():
        layer, _, what = name.partition(".")
        if _UNUSED.fullmatch(name):
            continue
        if backbone := _BACKBONE.fullmatch(name):
            renamed[f"encoder.x3d.{backbone[1]}"] = tensor
        elif layer == "conv1":  # over time; here over players and time, of which it sees one player
            renamed[f"{_TAAD_LAYERS[layer]}.{what}"] = tensor.unsqueeze(2)
        elif layer == "fc1" and what == "weight":
            renamed[f"{_TAAD_LAYERS[layer]}.{what}"] = tensor[:, :, None, None]
        else:
            renamed[f"{_TAAD_LAYERS.get(layer, layer)}.{what}"] = tensor
    return renamed
