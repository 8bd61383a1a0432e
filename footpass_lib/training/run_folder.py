"""Where a training run stands, as safetensors and JSON: written as a unit, checked when read, never pickled.

A run's folder holds ``run.json`` (what the run is), ``checkpoint-<step>/`` (where it stands), ``best.safetensors``,
``history.csv`` and, once it is finished, ``result.json`` in place of the checkpoint.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from footpass_lib.files import read_object, sha256_file, write_json, write_text
from footpass_lib.models.weights import copy_weights, load_weights, read_tensors, save_weights, some, write_tensors
from footpass_lib.schema import FootpassError

_CHECKED = ("model.safetensors", "optimizer.safetensors")


@dataclass
class TrainState:
    """Where a run stands, besides weights and optimizer moments.

    Attributes
    ----------
    epoch
        The epoch under way, from 1.
    done
        Optimizer steps of it that are behind.
    step
        Optimizer steps of the run that are behind.
    loss_sum, loss_weight
        Of this epoch so far.
    seconds
        Spent on this epoch so far.
    n_samples
        Of this epoch's data set; 0 before it was opened.
    best_epoch, best_value
        The best validation so far; 0 and None before the first.
    history
        One row per finished epoch.
    scaler
        State of the loss scaling of half precision.
    """

    epoch: int = 1
    done: int = 0
    step: int = 0
    loss_sum: float = 0.0
    loss_weight: float = 0.0
    seconds: float = 0.0
    n_samples: int = 0
    best_epoch: int = 0
    best_value: float | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    scaler: dict[str, float] = field(default_factory=dict)


def _moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Tensors of the optimizer, named ``<what>/<parameter>``."""
    named = {
        f"{what}/{name}": value for name, p in model.named_parameters() for what, value in optimizer.state[p].items()
    }
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in named.items()}


def _restore_moments(tensors: Mapping[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        what, _, name = key.partition("/")
        parameter = parameters[name]
        # moments take device and memory layout of their parameter; the step count stays on the CPU
        value = value if what == "step" else torch.zeros_like(parameter).copy_(value)
        optimizer.state[parameter][what] = value


def _to_table(rows: list[dict[str, float]]) -> dict[str, list]:
    """History for JSON, which keeps no order of names and has no NaN: None stands for it."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    values = [[row.get(name, math.nan) for name in columns] for row in rows]
    return {"columns": columns, "rows": [[None if math.isnan(v) else v for v in row] for row in values]}


def _from_table(table: dict[str, list]) -> list[dict[str, float]]:
    rows = [[math.nan if value is None else value for value in row] for row in table["rows"]]
    return [dict(zip(table["columns"], row, strict=True)) for row in rows]


def is_finished(folder: Path) -> bool:
    """Whether a training run in this folder has come to its end."""
    return (folder / "result.json").is_file()


class RunFolder:
    """The folder of a training run; with ``folder=None`` the best weights are kept in memory and nothing is written.

    Parameters
    ----------
    folder
        Made if needed.
    identity
        What must be the same for the run to go on: nested dictionaries of plain values.
    writes
        Whether this process is the one that writes.

    Raises
    ------
    FootpassError
        If the identity is no JSON, or the folder holds a run with another one.
    """

    def __init__(self, folder: Path | None, identity: dict, writes: bool = True) -> None:
        self.folder, self.writes = folder, writes and folder is not None
        self._best: dict[str, Tensor] = {}
        try:
            self.identity = json.loads(json.dumps(identity, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise FootpassError(f"training: settings and config must be plain JSON values ({error})") from error
        if folder is not None:
            self._check_identity(folder)

    def _check_identity(self, folder: Path) -> None:
        path = folder / "run.json"
        if path.is_file():
            stored, own = _flat(read_object(path)), _flat(self.identity)
            pairs = {k: (stored.get(k, "absent"), own.get(k, "absent")) for k in sorted(stored.keys() | own.keys())}
            told = [f"{k} is {theirs} there and {ours} here" for k, (theirs, ours) in pairs.items() if theirs != ours]
            if told:
                raise FootpassError(f"{folder}: holds a run with other settings: {some(told)}; use another folder")
        elif _checkpoints(folder) or (folder / "result.json").exists():
            raise FootpassError(f"{folder}: holds a run without its run.json; use another folder")

    def result(self) -> dict | None:
        """``best_epoch``, ``step`` and ``history`` of a finished run, else None."""
        path = self.folder / "result.json" if self.folder else None
        if path is None or not path.is_file():
            return None
        stored = read_object(path)
        if stored.keys() != {"best_epoch", "step", "history"}:
            raise FootpassError(f"{path}: expected best_epoch, step and history")
        return stored | {"history": _from_table(stored["history"])}

    def resume(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> TrainState | None:
        """Put the last checkpoint into model and optimizer; None where there is none.

        Raises
        ------
        FootpassError
            If the checkpoint is broken or belongs to another model.
        """
        found = _checkpoints(self.folder) if self.folder else []
        if not found:
            return None
        path = found[-1]
        stored = read_object(path / "state.json")
        for name in _CHECKED:
            if not (path / name).is_file() or sha256_file(path / name) != stored.get("sha256", {}).get(name):
                raise FootpassError(f"{path / name}: damaged since it was written; remove {self.folder} to start anew")
        load_weights(model, path / _CHECKED[0])
        _restore_moments(read_tensors(path / _CHECKED[1]), model, optimizer)
        try:
            state = TrainState(**stored["state"])
            state.history = _from_table(stored["state"]["history"])
        except (KeyError, TypeError) as error:
            raise FootpassError(f"{path / 'state.json'}: no training state ({error})") from error
        return state

    def open(self, state: TrainState) -> None:
        """Make the folder ready for writing: note the identity, settle what a kill left half done."""
        if self.writes:
            write_json(self.folder / "run.json", self.identity)
            self._settle(state)

    def keep_best(self, model: nn.Module, epoch: int) -> None:
        """Keep the weights as the best so far. They replace the former best with the next checkpoint, not before it."""
        if self.folder is None:
            self._best = copy_weights(model)
        elif self.writes:
            save_weights(model, self.folder / f"best.{epoch}.part")

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, state: TrainState) -> None:
        """Write a checkpoint: whenever the process is killed, the folder holds this one or the one before, whole."""
        if not self.writes:
            return
        path = self.folder / f"checkpoint-{state.step:09d}"
        part = path.with_suffix(".part")
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            write_tensors(copy_weights(model), part / _CHECKED[0])
            write_tensors(_moments(model, optimizer), part / _CHECKED[1])
            plain = asdict(state) | {"history": _to_table(state.history)}
            write_json(part / "state.json", {"state": plain, "sha256": {n: sha256_file(part / n) for n in _CHECKED}})
            part.rename(path)
        except (OSError, SafetensorError) as error:
            raise FootpassError(f"{path}: cannot be written ({error})") from error
        self._settle(state)

    def _settle(self, state: TrainState) -> None:
        """The best weights that the last checkpoint knows of take their place; older and half-written things go."""
        pending = self.folder / f"best.{state.best_epoch}.part"
        if pending.exists():
            pending.replace(self.folder / "best.safetensors")
        for path in _checkpoints(self.folder)[:-1]:
            path.rename(path.with_suffix(".part"))  # half-removed, it must not look like a checkpoint
        for path in self.folder.glob("*.part"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def write_history(self, state: TrainState) -> None:
        """Write ``history.csv``."""
        if self.writes:
            write_text(self.folder / "history.csv", pd.DataFrame(state.history).to_csv(index=False))

    def finish(self, state: TrainState) -> None:
        """Mark the run as finished, and remove its checkpoint."""
        if self.writes:
            self.write_history(state)
            result = {"best_epoch": state.best_epoch, "step": state.step, "history": _to_table(state.history)}
            write_json(self.folder / "result.json", result)
        self.clear()

    def clear(self) -> None:
        """Remove the checkpoint, which a finished run does not need."""
        if self.writes:
            for path in _checkpoints(self.folder):
                shutil.rmtree(path)

    def load_best(self, model: nn.Module) -> nn.Module:
        """Put the best weights into the model; errors as in :func:`load_weights`."""
        if self.folder is not None:
            return load_weights(model, self.folder / "best.safetensors")
        model.load_state_dict(self._best)
        return model


def _checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints of a run, oldest first."""
    return sorted(path for path in folder.glob("checkpoint-*") if path.suffix != ".part")


def _flat(nested: object, prefix: str = "") -> dict[str, str]:
    """Nested dictionaries as one, with dotted names, of values as they are printed."""
    if not isinstance(nested, dict):
        return {prefix: repr(nested)}
    return {k: v for name, value in nested.items() for k, v in _flat(value, f"{prefix}.{name}".lstrip(".")).items()}
