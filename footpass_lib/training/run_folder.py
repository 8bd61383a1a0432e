"""Where a training run stands, as safetensors and JSON: written in one go, checked when read, never pickled.

A run's folder holds ``run.json`` (what the run is), ``state.json`` with the ``checkpoint-<epoch>.safetensors`` that it
names (where it stands after its last epoch), ``history.csv`` and, once it is finished, ``best.safetensors`` and
``result.json`` in place of the state.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from footpass_lib.files import read_object, sha256_file, write_json, write_text
from footpass_lib.models.weights import copy_weights, first_names, load_weights, put_weights, read_tensors, save_weights
from footpass_lib.schema import FootpassError

History = list[dict[str, float]]  # one row per finished epoch


def best_epoch(history: History) -> int:
    """The epoch, from 1, with the lowest ``val_loss``: of equals the first, and NaN replaces nothing.

    Without a validation the last epoch is the best.
    """
    losses = [row.get("val_loss", -epoch) for epoch, row in enumerate(history)]
    return 1 + int(np.argmin(np.where(np.isnan(losses), np.inf, losses)))


def is_finished(folder: Path) -> bool:
    """Whether a training run in this folder has come to its end."""
    return (folder / "result.json").is_file()


class RunFolder:
    """The folder of a training run; with ``folder=None`` only the best weights are kept, in memory.

    ``identity``, nested dictionaries of plain values, must be the same for a run to go on: a folder with another one is
    refused. Only the process that ``writes`` changes the folder. ``history`` grows by a row with every epoch.
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
        self.reused = folder is not None and is_finished(folder)  # finished before
        self.history = self._read("result.json", "best_epoch") if self.reused else []

    def _check_identity(self, folder: Path) -> None:
        path = folder / "run.json"
        if path.is_file():
            stored, own = _flat(read_object(path)), _flat(self.identity)
            pairs = {k: (stored.get(k, "absent"), own.get(k, "absent")) for k in sorted(stored.keys() | own.keys())}
            others = [f"{k} is {theirs} there and {ours} here" for k, (theirs, ours) in pairs.items() if theirs != ours]
            if others:
                wrong = f"holds a run with other settings: {first_names(others)}"
                raise FootpassError(f"{folder}: {wrong}; use another folder")
        elif (folder / "state.json").is_file() or is_finished(folder):
            raise FootpassError(f"{folder}: holds a run without its run.json; use another folder")

    def _read(self, name: str, other: str) -> History:
        """The history in a file that holds it and something other."""
        stored = read_object(self.folder / name)
        try:
            if stored.keys() == {"history", other}:
                return _from_table(stored["history"])
        except (KeyError, TypeError, ValueError):
            pass
        raise FootpassError(f"{self.folder / name}: expected {other} and the history of a training")

    def resume(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Make the folder ready for writing, and go on from its checkpoint, if it has one."""
        path = self._last_checkpoint()
        if self.writes:
            write_json(self.folder / "run.json", self.identity)
            self._clear(but=path)
        if path is None:
            return
        kinds: dict[str, dict[str, Tensor]] = {"model": {}, "moments": {}, "best": {}}
        for name, tensor in read_tensors(path).items():
            kind, _, rest = name.partition("/")
            kinds[kind][rest] = tensor
        put_weights(model, kinds["model"], path)
        _restore_moments(kinds["moments"], model, optimizer)
        self._best = kinds["best"]
        self.history = self._read("state.json", "sha256")

    def _last_checkpoint(self) -> Path | None:
        if self.folder is None or not (self.folder / "state.json").is_file():
            return None
        path = self._checkpoint(len(self._read("state.json", "sha256")))
        if not path.is_file() or sha256_file(path) != read_object(self.folder / "state.json")["sha256"]:
            raise FootpassError(f"{path}: damaged since it was written; remove {self.folder} to start anew")
        return path

    def _checkpoint(self, epoch: int) -> Path:
        return self.folder / f"checkpoint-{epoch}.safetensors"

    def keep_best(self, model: nn.Module) -> None:
        """Keep the weights as the best so far: in memory, and in the next checkpoint."""
        self._best = copy_weights(model)

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Write a checkpoint: whenever the process is killed, the folder holds this one or the one before, whole."""
        if not self.writes:
            return
        kinds = {"model": copy_weights(model), "moments": _moments(model, optimizer), "best": self._best}
        path = self._checkpoint(len(self.history))
        save_weights({f"{kind}/{name}": t for kind, tensors in kinds.items() for name, t in tensors.items()}, path)
        write_json(self.folder / "state.json", {"sha256": sha256_file(path), "history": _to_table(self.history)})
        self._clear(but=path)
        self._write_history()

    def _write_history(self) -> None:
        write_text(self.folder / "history.csv", pd.DataFrame(self.history).to_csv(index=False))

    def _clear(self, but: Path | None) -> None:
        """Remove checkpoints but this one, and what a kill left half done."""
        for path in [*self.folder.glob("*.part"), *self.folder.glob("checkpoint-*.safetensors")]:
            if path != but:
                path.unlink()

    def finish(self) -> None:
        """Write the best weights, mark the run as finished, and remove its checkpoint."""
        if self.writes:
            save_weights(self._best, self.folder / "best.safetensors")
            self._write_history()
            result = {"best_epoch": best_epoch(self.history), "history": _to_table(self.history)}
            write_json(self.folder / "result.json", result)
            self._end()

    def _end(self) -> None:
        (self.folder / "state.json").unlink(missing_ok=True)
        self._clear(but=None)

    def load_best(self, model: nn.Module) -> nn.Module:
        """Put the best weights into the model; errors as in :func:`load_weights`."""
        if self._best:
            model.load_state_dict(self._best)
            return model
        if self.writes:
            self._end()  # if the process was killed between the end and this
        return load_weights(model, self.folder / "best.safetensors")


def _moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Tensors of the optimizer, named ``<what>/<parameter>``."""
    return {
        f"{what}/{name}": value.detach().to("cpu", copy=True).contiguous()
        for name, parameter in model.named_parameters()
        for what, value in optimizer.state[parameter].items()
    }


def _restore_moments(tensors: Mapping[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        what, _, name = key.partition("/")
        parameter = parameters[name]
        # moments take device and memory layout of their parameter; the step count stays on the CPU
        value = value if what == "step" else torch.zeros_like(parameter).copy_(value)
        optimizer.state[parameter][what] = value


def _to_table(history: History) -> dict[str, list]:
    """History for JSON, which has no NaN: None stands for it."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    values = [[row.get(name, math.nan) for name in columns] for row in history]
    return {"columns": columns, "rows": [[None if math.isnan(v) else v for v in row] for row in values]}


def _from_table(table: dict[str, list]) -> History:
    rows = [[math.nan if value is None else value for value in row] for row in table["rows"]]
    return [dict(zip(table["columns"], row, strict=True)) for row in rows]


def _flat(nested: object, prefix: str = "") -> dict[str, str]:
    """Nested dictionaries as one, with dotted names, of values as they are printed."""
    if not isinstance(nested, dict):
        return {prefix: repr(nested)}
    return {k: v for name, value in nested.items() for k, v in _flat(value, f"{prefix}.{name}".lstrip(".")).items()}
