"""Weights of a model in safetensors files: written atomically, checked against the model when read, never pickled."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save, save_file
from torch import Tensor, nn

from footpass_lib.files import atomic_path
from footpass_lib.schema import FootpassError


def copy_weights(model: nn.Module) -> dict[str, Tensor]:
    """The model's weights and buffers as they are now, on the CPU."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in model.state_dict().items()}


def hash_weights(model: nn.Module) -> str:
    """SHA-256 over names, types, shapes and values of the model's weights and buffers, as hexadecimal text."""
    return hashlib.sha256(save(copy_weights(model))).hexdigest()


def save_weights(weights: nn.Module | Mapping[str, Tensor], path: Path | str) -> None:
    """Write weights and buffers to a safetensors file, atomically; FootpassError if that cannot be done."""
    tensors = copy_weights(weights) if isinstance(weights, nn.Module) else dict(weights)
    with atomic_path(path) as part:
        try:
            write_tensors(tensors, part)
        except SafetensorError as error:
            raise FootpassError(f"{path}: cannot be written ({error})") from error


def load_weights(model: nn.Module, path: Path | str) -> nn.Module:
    """Read weights and buffers into ``model``, which is returned; errors as in :func:`put_weights`."""
    return put_weights(model, read_tensors(Path(path)), path)


def put_weights(model: nn.Module, tensors: Mapping[str, Tensor], path: Path | str) -> nn.Module:
    """Put weights and buffers read from ``path`` into ``model``, which is returned; FootpassError unless just these."""
    own = model.state_dict()
    shared = sorted(own.keys() & tensors.keys())
    problems = {
        "missing": sorted(own.keys() - tensors.keys()),
        "unexpected": sorted(tensors.keys() - own.keys()),
        "of another shape": [
            f"{n} {tuple(tensors[n].shape)} for {tuple(own[n].shape)}"
            for n in shared
            if tensors[n].shape != own[n].shape
        ],
    }
    found = [f"{what} {first_names(names)}" for what, names in problems.items() if names]
    if found:
        raise FootpassError(f"{path}: does not fit {type(model).__name__}: {'; '.join(found)}")
    model.load_state_dict(dict(tensors))
    return model


def first_names(names: list[str], limit: int = 5) -> str:
    """The first of the names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file in place, through to the disk; for files that are given their final name later."""
    save_file(dict(tensors), path)
    with path.open("rb") as stream:  # a later rename must not reach the disk before the data
        os.fsync(stream.fileno())


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file, on the CPU; errors as in :func:`load_weights`."""
    if not path.is_file():
        raise FootpassError(f"{path}: there is no such file, expected weights in the safetensors format")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise FootpassError(f"{path}: no readable safetensors file ({error})") from error


RANDOM_WEIGHTS = "random initialisation"


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """Read a file of weights (.safetensors, or .pyth/.pt without running any pickled code).

    FootpassError if the file is missing, cannot be read safely, or holds anything but tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FootpassError(f"{path}: no such file; expected X3D weights (.safetensors or .pyth)")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise FootpassError(f"{path}: cannot be read as weights ({error})") from error
    state = content.get("model_state", content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise FootpassError(f"{path}: expected a table of tensors, alone or under 'model_state'")
    return state


@contextmanager
def seeded_initialisation(seed: int) -> Iterator[None]:
    """Layers built inside the block draw their first weights from ``seed``; torch's own generator is left as it was.

    Layers take no generator of their own, so this is the way to the same weights for the same seed wherever in a
    program a model is built. Layers must be built on the CPU and moved afterwards.
    """
    kept = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(kept)
