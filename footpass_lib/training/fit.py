"""One loop for every model: batch, loss, backward, step, evaluate, keep the best. Start at :func:`train_epochs`.

What a step sees depends on the seed, the epoch and the step alone: the order of samples, and dropout, whose generator
is seeded anew before every forward pass. So nothing random has to be stored, a run that was killed repeats its last
epoch as it would have been (bit for bit on a CPU), and loading in any number of workers gives the same.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import PartialState
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from footpass_lib.files import settings_that_count
from footpass_lib.models.fast import autocast
from footpass_lib.schema import FootpassError
from footpass_lib.training.processes import copy_from_first, share, sum_gradients, this_process, total
from footpass_lib.training.run_folder import RunFolder, best_epoch
from footpass_lib.training.schedule import TrainSettings, epoch_plan, parameter_groups, rates, set_rates

Loss = Callable[[nn.Module, Any], tuple[Tensor, Tensor]]  # (model, batch) -> sum and weight, such as a LossSum
Validation = Callable[[nn.Module], float]  # the loss of a model that is in evaluation mode
NO_PART_OF_A_RUN = ("num_workers",)  # settings that change no result, and may change on resuming


@dataclass(frozen=True)
class FitResult:
    """What training gave."""

    model: nn.Module  # in evaluation mode, with the weights of its best epoch
    history: pd.DataFrame  # a row an epoch: epoch, step (so far), lr_<group>, train_loss, perhaps val_loss, seconds
    best_epoch: int
    steps: int
    reused: bool  # the run was finished before, and nothing was trained


def fit(
    model: nn.Module,
    epoch_dataset: Callable[[int], Dataset],
    epoch_loss: Callable[[int], Loss],
    settings: TrainSettings,
    folder: Path | str | None = None,
    validate: Validation | None = None,
    config: dict | None = None,
) -> FitResult:
    """Train a model with AdamW, on a GPU where there is one, and give it the weights of its best epoch.

    ``epoch_dataset`` gives the map-style data set of an epoch, from 1, which may ``collate`` its batches; sample i is a
    function of the epoch and i alone. ``epoch_loss`` gives its loss, whose sum is divided by the weight of the whole
    step: a masked mean is exact over all forward passes and processes. ``validate`` gives the loss by which the best
    epoch is chosen (what process 0 gets is used); without it the last one is the best.

    A run that was killed goes on in its ``folder`` after its last whole epoch, and one that was finished is not done
    again, unless ``config``, what else the result depends on in plain JSON values, is another. FootpassError if
    arguments do not fit together, the folder holds another run or a damaged one, the loss is not finite, or a file
    cannot be written.

    Processes (``torchrun``, ``accelerate launch``) share every global batch: a step has the same samples and the same
    gradient however many there are. Two things depend on their number: batch norm sees one process's share (its running
    statistics are those of process 0), and dropout draws differ.
    """
    if settings.frozen_epochs and not hasattr(model, "freeze"):
        missing = f"{type(model).__name__} has no freeze(), and frozen_epochs={settings.frozen_epochs}"
        raise FootpassError(f"training: {missing}")
    processes = this_process()
    counting = settings_that_count(settings)
    kept = {name: value for name, value in counting.items() if name not in NO_PART_OF_A_RUN}
    identity = {"settings": kept, "config": config}
    run = RunFolder(None if folder is None else Path(folder), identity, processes.is_main_process)
    model.to(processes.device)
    if not run.reused:
        optimizer = torch.optim.AdamW(parameter_groups(model, settings), fused=True)
        copy_from_first([*model.parameters(), *model.buffers()], processes)  # also waits for what process 0 wrote
        run.resume(model, optimizer)
        gpu = [processes.device] if processes.device.type == "cuda" else []
        with torch.random.fork_rng(devices=gpu):  # the caller's draws go on as before
            train_epochs(model, optimizer, epoch_dataset, epoch_loss, settings, validate, run)
        run.finish()
        processes.wait_for_everyone()
    history = pd.DataFrame(run.history)
    best, steps = best_epoch(run.history), int(history["step"].iloc[-1])
    return FitResult(run.load_best(model).eval(), history, best, steps, run.reused)


def train_epochs(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    epoch_dataset: Callable[[int], Dataset],
    epoch_loss: Callable[[int], Loss],
    settings: TrainSettings,
    validate: Validation | None,
    run: RunFolder,
) -> None:
    """The loop itself, on from the last epoch that the run has in its history."""
    processes, step = this_process(), run.history[-1]["step"] if run.history else 0
    for epoch in range(len(run.history) + 1, settings.epochs + 1):
        began, loss_of, epoch_sums = time.perf_counter(), epoch_loss(epoch), np.zeros(2)  # loss, weight
        start_epoch(model, settings, epoch)
        for batches in load_steps(epoch_dataset(epoch), settings, epoch, processes):
            set_rates(optimizer, settings, epoch, step)
            optimizer.zero_grad()
            sums, unit = torch.zeros(2, device=processes.device), torch.ones((), device=processes.device)
            for number, (seed, batch) in enumerate(batches):  # gradients accumulate
                torch.manual_seed(seed)
                with autocast(processes.device, settings.mixed_precision):
                    loss, weight = loss_of(model, batch)
                if number == 0:  # stands for the weight of the whole step until that is known
                    unit = torch.where(weight > 0, weight, unit)
                (loss / unit).backward()
                sums += torch.stack([loss.detach(), weight])
            step, step_sums = step + 1, total(sums, processes).tolist()
            if weight_of(step_sums, epoch, step) > 0:
                sum_gradients(model, unit / step_sums[1], processes)
                clip_gradients(model, settings.clip_norm)
                optimizer.step()
            copy_from_first(model.buffers(), processes)  # running statistics of batch norm
            epoch_sums += step_sums
        row = {"epoch": epoch, "step": step, **rates(optimizer), "train_loss": mean_loss(*epoch_sums, epoch)}
        if validate is not None:
            row["val_loss"] = evaluate(model, validate, processes)
        run.history.append(row | {"seconds": time.perf_counter() - began})
        if best_epoch(run.history) == epoch:
            run.keep_best(model)
        run.save(model, optimizer)


def load_steps(
    dataset: Dataset, settings: TrainSettings, epoch: int, processes: PartialState
) -> Iterator[Iterator[tuple[int, Any]]]:
    """The steps of an epoch: each gives seed and batch (this process's share) of one forward pass after the other."""
    if len(dataset) == 0:
        raise FootpassError(f"training: the data set of epoch {epoch} is empty")
    plan = [[share(batch, processes) for batch in step] for step in epoch_plan(len(dataset), settings, epoch)]
    loader = DataLoader(
        dataset,
        batch_sampler=[batch.tolist() for step in plan for batch in step if len(batch)],
        num_workers=settings.num_workers,
        collate_fn=getattr(dataset, "collate", None),
        pin_memory=processes.device.type == "cuda",
        generator=torch.Generator().manual_seed(settings.seed),
    )
    loaded = iter(loader)
    off = os.environ.get("FOOTPASS_PROGRESS") == "0" or not processes.is_main_process
    bar = tqdm(plan, f"epoch {epoch}/{settings.epochs}", unit="step", leave=False, disable=True if off else None)
    for number, step in enumerate(bar):  # disable=None: the bar is shown in a terminal only
        places = [[settings.seed, epoch, number, i, processes.process_index] for i in range(len(step)) if len(step[i])]
        seeds = [int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0]) for place in places]
        yield ((seed, send_to_device(next(loaded), processes.device, non_blocking=True)) for seed in seeds)


def start_epoch(model: nn.Module, settings: TrainSettings, epoch: int) -> None:
    """Training mode, with the backbone frozen or thawed."""
    model.train()
    if settings.frozen_epochs:
        model.freeze(epoch <= settings.frozen_epochs)


def weight_of(sums: list[float], epoch: int, step: int) -> float:
    """The weight of a step's loss, if both are finite."""
    loss, weight = sums
    if not (math.isfinite(loss) and math.isfinite(weight)):
        raise FootpassError(f"training: epoch {epoch}, step {step}: the loss is {loss} / {weight}, not a number")
    return weight


def clip_gradients(model: nn.Module, norm: float | None) -> None:
    """Scale all gradients together down to a norm, if they have a larger one."""
    if norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), norm)


def mean_loss(loss_sum: float, weight: float, epoch: int) -> float:
    """The loss of an epoch, in which something has to count."""
    if weight == 0:
        raise FootpassError(f"training: no batch of epoch {epoch} had a weight above 0")
    return float(loss_sum / weight)


def evaluate(model: nn.Module, validate: Validation, processes: PartialState) -> float:
    """What ``validate`` says in process 0; NaN if that is not finite."""
    model.eval()
    with torch.no_grad():
        value = torch.tensor([validate(model)], dtype=torch.float64, device=processes.device)
    copy_from_first([value], processes)
    return value.item() if math.isfinite(value.item()) else math.nan


def watch_loss(make_clips: Callable[[], Dataset], loss_of: Loss, batch_size: int) -> Validation:
    """A ``validate`` for :func:`fit`: the mean loss over fixed clips, which are made when it is first asked for."""
    kept: list[Dataset] = []

    def validate(model: nn.Module) -> float:
        if not kept:
            kept.append(make_clips())
        device, loss_sum, loss_weight = next(model.parameters()).device, 0.0, 0.0
        for batch in DataLoader(kept[0], batch_size):
            loss, weight = loss_of(model, send_to_device(batch, device))
            loss_sum, loss_weight = loss_sum + float(loss), loss_weight + float(weight)
        return loss_sum / loss_weight

    return validate
