"""The weights that come with the study, as Kinetics weights come with the paper: where small profiles start.

``python -m footpass_lib pretrain`` makes them, from synthetic matches of seeds that no split uses; the folder
``pretrained`` holds them and their model card.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from footpass_lib.files import key_of, read_object, sha256_file
from footpass_lib.models.weights import copy_weights, put_weights, read_tensors, save_weights
from footpass_lib.study.place import Study

NAMES = ("taad", "gnn", "dst", "dst-fused")
LEARNED_FROM = dict(zip(NAMES, ("filmed", "whole", "played", "played"), strict=True))  # kind of matches in the card


def start_pretrained(study: Study, name: str, model: nn.Module) -> str | None:
    """Give the model the weights of that name, if the study starts from them; their SHA-256, or None.

    FootpassError if the file is missing, or its weights are another network's.
    """
    path = weights_file(study, name)
    return start_from(path, model) if path else None


def start_key(study: Study, name: str) -> str | None:
    """What a training run's key says of the weights of that name that it starts from; None from scratch."""
    path = weights_file(study, name)
    return sha256_file(path) if path and path.is_file() else None


def weights_file(study: Study, name: str) -> Path | None:
    """Where the weights of that name are, if the study starts from them."""
    return study.pretrained and study.pretrained / f"{name}.safetensors"


def start_from(path: Path, model: nn.Module) -> str:
    """Give the model the weights of a file; its SHA-256, or FootpassError as above."""
    put_weights(model, in_single_precision(read_tensors(path)), path)
    return sha256_file(path)


def in_single_precision(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Half precision numbers in single precision, others as they are."""
    return {n: tensor.float() if tensor.dtype == torch.float16 else tensor for n, tensor in tensors.items()}


def publish_weights(model: nn.Module, path: Path) -> Path:
    """Write a model's weights in half precision; whole numbers, such as counters, stay as they are."""
    kept = {n: tensor.half() if tensor.is_floating_point() else tensor for n, tensor in copy_weights(model).items()}
    save_weights(kept, path)
    return path


def weights_hash(study: Study) -> str | None:
    """One short key of all weights that a study starts from, for records; None if it starts from scratch."""
    if study.pretrained is None:
        return None
    files = sorted(study.pretrained.glob("*.safetensors"))
    return key_of({path.name: sha256_file(path) for path in files})[:12] if files else None


def weights_table(study: Study) -> pd.DataFrame:
    """What the model card says of the weights that a study starts from, a row a model; none if it starts from scratch.

    Minutes of play and steps that a model has learned from, minutes that this took, and the file's size and hash.
    """
    columns = ["minutes of play", "steps", "training minutes", "bytes", "SHA-256"]
    path = study.pretrained and study.pretrained / "card.json"
    card = read_object(path) if path and path.is_file() else {"models": {}}
    rows = {
        name: [card["minutes"][LEARNED_FROM[name]], made["steps"], made["training_minutes"], made["bytes"],
               made["sha256"][:12]]
        for name, made in card["models"].items()
    }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)
