"""A small model, its data and its training for the tests of training; as a script, one process of such a training."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from footpass_lib.training.fit import FitResult, fit
from footpass_lib.training.schedule import TrainSettings

N_FEATURES, N_KINDS = 6, 3


class Net(nn.Module):
    """A backbone that can be frozen, dropout and a head; batch norm or layer norm in the backbone."""

    def __init__(self, norm: str = "batch", dropout: float = 0.3, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        norms = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
        self.backbone = nn.Sequential(nn.Linear(N_FEATURES, 8), norms[norm](8), nn.GELU())
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(8, N_KINDS))
        self.frozen = False

    def backbone_parameters(self):
        return self.backbone.parameters()

    def freeze(self, frozen: bool = True) -> Net:
        self.frozen = frozen
        self.backbone.requires_grad_(not frozen)
        return self.train(self.training)

    def train(self, mode: bool = True) -> Net:
        super().train(mode)
        self.backbone.train(mode and not self.frozen)
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))


class Points(Dataset):
    """Sample ``i`` of an epoch is a function of the epoch and ``i``."""

    def __init__(self, epoch: int, n: int = 23) -> None:
        self.epoch, self.n = epoch, n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.epoch, int(i)])
        x = rng.normal(size=N_FEATURES).astype(np.float32)
        kind = int(x[:N_KINDS].argmax())
        return {
            "x": torch.from_numpy(x),
            "y": torch.tensor(kind),
            "mask": torch.tensor(i % 4 > 0),
            "i": torch.tensor(i),
        }


def masked_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    losses = F.cross_entropy(model(batch["x"]), batch["y"], reduction="none")
    return (losses * batch["mask"]).sum(), batch["mask"].sum()


def error_rate(model: nn.Module) -> float:
    samples = [Points(0, 64)[i] for i in range(64)]
    logits = model(torch.stack([s["x"] for s in samples]))
    wrong = logits.argmax(1) != torch.stack([s["y"] for s in samples])
    return wrong.float().mean().item()


SETTINGS = TrainSettings(
    epochs=3,
    batch_size=4,
    accumulation=2,
    learning_rates={"backbone": 5e-3, "head": 2e-2},
    warmup_steps=4,
    milestones=(3,),
    frozen_epochs=1,
    clip_norm=1.0,
    seed=7,
)


def run(settings: TrainSettings = SETTINGS, folder: Path | None = None, loss_fn=masked_loss, **options) -> FitResult:
    model = options.pop("model", None) or Net()
    options = {"epoch_dataset": Points, "epoch_loss": lambda epoch: loss_fn, "validate": error_rate} | options
    return fit(model, settings=settings, folder=folder, **options)


def same(a: FitResult, b: FitResult) -> bool:
    """Equal bits in weights, buffers and history; only the time may differ."""
    left, right = a.model.state_dict(), b.model.state_dict()
    weights = left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
    table = a.history.drop(columns="seconds").equals(b.history.drop(columns="seconds"))
    return weights and table and (a.best_epoch, a.steps) == (b.best_epoch, b.steps)


class Killed(BaseException):
    """Stands for the end of the process."""


def killer(after: int):
    """A loss that ends the process before forward pass number ``after``."""
    calls = iter(range(after))

    def loss(model, batch):
        if next(calls, None) is None:
            raise Killed
        return masked_loss(model, batch)

    return loss


def train(args: argparse.Namespace, case: str, rank: int) -> dict[str, list]:
    """One of the trainings of this process: what it saw in each forward pass, and all weights at the end."""
    seen: list[list[int]] = []

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        time.sleep(args.pause)
        seen.append(batch["i"].tolist())
        return masked_loss(model, batch)

    def fit_case(loss_fn) -> FitResult:
        # other first weights in every process: the first process's must win
        model = Net("layer", 0.0, seed=rank) if case == "plain" else Net(seed=rank)
        n_samples = 21 if case == "plain" else args.samples  # batch norm cannot do with a last batch of one
        return run(SETTINGS, args.folder / case, loss_fn, epoch_dataset=lambda e: Points(e, n_samples), model=model)

    if case == "resumed":
        with contextlib.suppress(Killed):
            fit_case(killer(8))
    model = fit_case(loss).model
    return {"seen": seen, "weights": torch.cat([v.reshape(-1).double() for v in model.state_dict().values()]).tolist()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", nargs="+", choices=("plain", "whole", "resumed"), required=True)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--samples", type=int, default=23)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rank = int(os.environ.get("RANK", 0))
    notes = {case: train(args, case, rank) for case in args.cases}
    (args.folder / f"process-{rank}.json").write_text(json.dumps(notes))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
