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
            save_file(tensors, part)
        except SafetensorError as error:
            raise FootpassError(f"{path}: cannot be written ({error})") from error
        with part.open("rb") as stream:  # the file's final name must not reach the disk before the data
            os.fsync(stream.fileno())


def load_weights(model: nn.Module, path: Path | str) -> nn.Module:
    """Read weights and buffers into ``model``, which is returned; errors as in :func:`put_weights`."""
    return put_weights(model, read_tensors(Path(path)), path)


def put_weights(model: nn.Module, tensors: Mapping[str, Tensor], path: Path | str) -> nn.Module:
    """Put weights and buffers read from ``path`` into ``model``, which is returned; FootpassError unless just these."""
    found, wanted = shapes_of(tensors), shapes_of(model.state_dict())
    shared = sorted(found.keys() & wanted.keys())
    problems = {
        "missing": sorted(wanted.keys() - found.keys()),
        "unexpected": sorted(found.keys() - wanted.keys()),
        "of another shape": [f"{n} {found[n]} for {wanted[n]}" for n in shared if found[n] != wanted[n]],
    }
    misfits = [f"{what} {first_names(names)}" for what, names in problems.items() if names]
    if misfits:
        raise FootpassError(f"{path}: does not fit {type(model).__name__}: {'; '.join(misfits)}")
    model.load_state_dict(dict(tensors))
    return model


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor, by its name."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def first_names(names: list[str], limit: int = 5) -> str:
    """The first of the names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file, on the CPU; errors as in :func:`load_weights`."""
    if not path.is_file():
        raise FootpassError(f"{path}: there is no such file, expected weights in the safetensors format")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise FootpassError(f"{path}: no readable safetensors file ({error})") from error


RANDOM_WEIGHTS = "random initialisation"
_WRAPPINGS = ("model_state", "model_state_dict", "state_dict", "model")  # names that weights have in checkpoints
_PREFIXES = ("_orig_mod.", "module.", "_orig_mod.")  # of compiled models and of those trained in several processes


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """Tensors of a .safetensors file, or of .pyth/.pt without running pickled code; FootpassError if that fails.

    Weights of a checkpoint are looked for under the usual names, and ``module.`` before every name is left out.
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
    state = content
    while isinstance(state, dict) and (wrapping := next((name for name in _WRAPPINGS if name in state), None)):
        state = state[wrapping]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise FootpassError(f"{path}: expected a table of tensors, alone or under {', '.join(map(repr, _WRAPPINGS))}")
    for prefix in _PREFIXES:
        if state and all(str(name).startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


@contextmanager
def seeded_initialisation(seed: int) -> Iterator[None]:
    """Layers built inside the block draw their first weights from ``seed``; torch's own generator is left as it was.

    The same seed so gives the same weights wherever in a program a model is built: on the CPU, and moved afterwards.
    """
    kept = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(kept)
