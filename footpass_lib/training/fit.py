"""One ``fit`` for every model: accumulation, mixed precision, schedule, validation, checkpoints, several processes.

What a step sees depends on the seed, the epoch and the step alone: the order of samples, and dropout, whose generator
is seeded anew before every forward pass. So nothing random has to be stored, a run that was killed and goes on repeats
what it would have done (bit for bit on a CPU), and loading in any number of workers gives the same.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import PartialState
from accelerate.utils import send_to_device
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, default_collate
from tqdm import tqdm

from footpass_lib.environment import cores
from footpass_lib.models.fast import autocast
from footpass_lib.schema import FootpassError
from footpass_lib.training.processes import copy_from_first, share, sum_gradients, this_process, total
from footpass_lib.training.run_folder import RunFolder, TrainState
from footpass_lib.training.schedule import TrainSettings, epoch_plan, parameter_groups, rate_factor
from footpass_lib.workers import side_by_side

_MANY_STEPS = 200  # of training: fewer are done before another process has started
NO_PART_OF_A_RUN = ("num_workers", "checkpoint_every")  # settings that change no result, and may change on resuming


@dataclass(frozen=True)
class FitResult:
    """What training gave.

    Attributes
    ----------
    model
        With the best weights, in evaluation mode.
    history
        One row per epoch: ``epoch``, ``step`` (optimizer steps so far), ``lr_<group>`` (of the last step),
        ``train_loss``, what ``validate`` returned, ``seconds``.
    best_epoch
        The epoch that the weights are of.
    steps
        Optimizer steps of the run.
    reused
        Whether the run was finished before and nothing was trained.
    """

    model: nn.Module
    history: pd.DataFrame
    best_epoch: int
    steps: int
    reused: bool


@dataclass
class _Run:
    """A learner with its data, its validation and its folder."""

    learner: Learner
    folder: RunFolder
    state: TrainState
    epoch_dataset: Callable[[int], Dataset]
    collate: Callable[[list], Any] | None
    validate: Callable[[nn.Module], dict[str, float]] | None
    monitor: str
    mode: str
    quiet: bool

    def train_epoch(self) -> None:
        """Train the rest of the state's epoch."""
        state, learner, settings = self.state, self.learner, self.learner.settings
        learner.model.train()
        if settings.frozen_epochs:
            learner.model.freeze(state.epoch <= settings.frozen_epochs)
        dataset = self._open_dataset()
        plan = [[share(b, learner.processes) for b in s] for s in epoch_plan(len(dataset), settings, state.epoch)]
        passes = self._passes(dataset, plan)
        with self._bar(len(plan)) as bar:
            for batches in plan[state.done :]:
                began = time.perf_counter()
                loss, weight = learner.step((next(passes) for b in batches if len(b)), state.epoch, state.step)
                state.done, state.step = state.done + 1, state.step + 1
                state.loss_sum, state.loss_weight = state.loss_sum + loss, state.loss_weight + weight
                state.seconds += time.perf_counter() - began
                bar.update()
                every = settings.checkpoint_every
                if every and state.step % every == 0 and state.done < len(plan):
                    self._checkpoint()

    def _open_dataset(self) -> Dataset:
        state = self.state
        dataset = self.epoch_dataset(state.epoch)
        if len(dataset) == 0:
            raise FootpassError(f"training: the data set of epoch {state.epoch} is empty")
        if state.done and len(dataset) != state.n_samples:
            raise FootpassError(
                f"{self.folder.folder}: epoch {state.epoch} began with {state.n_samples} samples and goes on with "
                f"{len(dataset)}; the data changed, use another folder"
            )
        state.n_samples = len(dataset)
        return dataset

    def _passes(self, dataset: Dataset, plan: list[list[np.ndarray]]) -> Iterator[tuple[int, Any, int]]:
        """Seed, batch and size of every forward pass that is still to do; what is behind is not loaded."""
        state, settings, device = self.state, self.learner.settings, self.learner.device
        rank = self.learner.processes.process_index
        todo = [
            (np.random.SeedSequence([settings.seed, state.epoch, step, i, rank]), indices.tolist())
            for step, batches in enumerate(plan[state.done :], start=state.done)
            for i, indices in enumerate(batches)
            if len(indices)
        ]
        loader = DataLoader(
            dataset,
            batch_sampler=[indices for _, indices in todo],
            num_workers=settings.num_workers,
            collate_fn=self.collate,
            pin_memory=device.type == "cuda",
            generator=torch.Generator().manual_seed(settings.seed),
        )
        for (sequence, indices), batch in zip(todo, loader, strict=True):
            yield int(sequence.generate_state(1, np.uint64)[0]), batch, len(indices)

    def _bar(self, n_steps: int) -> tqdm:
        state, epochs = self.state, self.learner.settings.epochs
        off = self.quiet or os.environ.get("FOOTPASS_PROGRESS") == "0" or not self.learner.processes.is_main_process
        title = f"epoch {state.epoch}/{epochs}"  # disable=None: shown in a terminal only
        return tqdm(
            total=n_steps, initial=state.done, desc=title, unit="step", leave=False, disable=True if off else None
        )

    def close_epoch(self) -> None:
        """Validate, note the epoch's row, keep the weights if they are the best, and write a checkpoint."""
        state, began = self.state, time.perf_counter()
        if state.loss_weight == 0:
            raise FootpassError(f"training: no batch of epoch {state.epoch} had a finite loss with a weight above 0")
        row = {"epoch": state.epoch, "step": state.step}
        row |= {f"lr_{g['name']}": g["lr"] for g in self.learner.optimizer.param_groups}
        row |= {"train_loss": state.loss_sum / state.loss_weight}
        row |= self._metrics(taken=row.keys() | {"seconds"})
        row |= {"seconds": state.seconds + time.perf_counter() - began}
        state.history.append(row)
        value = row.get(self.monitor, math.nan)
        if self._is_best(value):
            state.best_epoch, state.best_value = state.epoch, None if math.isnan(value) else value
            self.folder.keep_best(self.learner.model, state.epoch)
        state.epoch, state.done, state.n_samples = state.epoch + 1, 0, 0
        state.loss_sum = state.loss_weight = state.seconds = 0.0
        self._checkpoint()
        self.folder.write_history(state)

    def _metrics(self, taken: set[str]) -> dict[str, float]:
        """What ``validate`` says in process 0, as plain numbers; what is not finite is NaN."""
        if self.validate is None:
            return {}
        self.learner.model.eval()
        with torch.no_grad():
            metrics = self.validate(self.learner.model)
        if self.monitor not in metrics.keys() | {"train_loss"} or metrics.keys() & taken:
            expected = f"{self.monitor} among them and none of {', '.join(sorted(taken))}"
            raise FootpassError(f"training: validation gave {', '.join(sorted(metrics))}; expected {expected}")
        values, processes = (
            torch.tensor([float(v) for v in metrics.values()], dtype=torch.float64),
            self.learner.processes,
        )
        if processes.num_processes > 1:
            values = values.to(self.learner.device)
            copy_from_first([values], processes)
        return {k: v if math.isfinite(v) else math.nan for k, v in zip(metrics, values.tolist(), strict=True)}

    def _is_best(self, value: float) -> bool:
        """Whether this epoch replaces the best one: of equals the first stays, and NaN replaces nothing.

        Without anything to go by the last epoch is the best.
        """
        best = self.state.best_value
        if self.state.best_epoch == 0 or (self.validate is None and self.monitor != "train_loss"):
            return True
        if math.isnan(value) or best is None:
            return not math.isnan(value)
        return value > best if self.mode == "max" else value < best

    def _checkpoint(self) -> None:
        self.state.scaler = self.learner.scaler.state_dict()
        self.folder.save(self.learner.model, self.learner.optimizer, self.state)

    def goes_on(self) -> bool:
        settings, behind = self.learner.settings, self.state.epoch - 1
        waited = settings.patience is not None and behind - self.state.best_epoch >= settings.patience
        return behind < settings.epochs and not waited


def fit(
    model: nn.Module,
    epoch_dataset: Callable[[int], Dataset],
    loss_fn: LossFunction,
    settings: TrainSettings,
    folder: Path | str | None = None,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    *,
    monitor: str = "macro_f1",
    mode: str = "max",
    config: dict | None = None,
    collate: Callable[[list], Any] | None = None,
    on_epoch: Callable[[int], None] | None = None,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> FitResult:
    """Train a model with AdamW, and give it its best weights.

    Runs unchanged in one process or in several (``torchrun``, ``accelerate launch``): these share every global batch,
    so that a step has the same samples and the same gradient however many there are. Two things depend on their number:
    batch norm sees one process's share (its running statistics are those of process 0), and dropout draws differ.

    Parameters
    ----------
    model
        May have ``backbone_parameters()``, and must have ``freeze(bool)`` if the settings freeze it.
    epoch_dataset
        The map-style data set of an epoch (from 1), with a length of 1 or more. Sample ``i`` has to be a function of
        the epoch and ``i`` alone.
    loss_fn
        ``loss_fn(model, batch)`` gives (sum, weight), such as a ``LossSum``, or a scalar. A sum is divided by the
        weight of the whole step, so that a masked mean is exact over all forward passes and processes; a scalar
        counts as the mean over the samples of its batch.
    settings
        The schedule.
    folder
        Where the run is kept; None keeps nothing. A run that was killed goes on from its last checkpoint. One that was
        finished is not done again.
    validate
        Metrics of the model after each epoch, in evaluation mode and without gradients. Every process calls it, what
        process 0 gets is used. It must not change the data or write files in any but process 0.
    monitor, mode
        The metric (or ``train_loss``) whose ``max`` or ``min`` is the best epoch. Without ``validate`` the last epoch
        is, unless ``monitor`` is ``train_loss``.
    config
        Whatever else the result depends on, as plain JSON values: a run with another config is not gone on with.
    collate
        Makes a batch of samples; torch's default otherwise.
    on_epoch
        Called with each epoch before it begins or goes on, for instance to change the power of a focal loss.
    device
        In a single process; by default the GPU where there is one.
    progress
        Show a bar in a terminal. ``FOOTPASS_PROGRESS=0`` turns it off too.

    Raises
    ------
    FootpassError
        If arguments do not fit together, the folder holds another run or a damaged one, the loss is not finite, or a
        file cannot be written.
    """
    if mode not in ("max", "min"):
        raise FootpassError(f"training: mode={mode!r}, expected max or min")
    if settings.frozen_epochs and not hasattr(model, "freeze"):
        raise FootpassError(
            f"training: {type(model).__name__} has no freeze(), and frozen_epochs={settings.frozen_epochs}"
        )
    processes = this_process(cpu=device is not None and torch.device(device).type == "cpu")
    alone = processes.num_processes == 1
    target = torch.device(device) if device is not None and alone else processes.device
    kept = {name: value for name, value in asdict(settings).items() if name not in NO_PART_OF_A_RUN}
    identity = {"settings": kept, "config": config, "monitor": monitor, "mode": mode}
    run_folder = RunFolder(None if folder is None else Path(folder), identity, processes.is_main_process)
    if (stored := run_folder.result()) is not None:
        run_folder.clear()  # if the process was killed between the end and this
        return _result(run_folder, model.to(target), TrainState(**stored), reused=True)

    learner = Learner.make(model, loss_fn, settings, target, processes)  # waits for process 0, which may still write
    state = run_folder.resume(model, learner.optimizer) or TrainState()
    if state.scaler:  # empty in a new run, and in one that was without loss scaling
        learner.scaler.load_state_dict(state.scaler)
    run_folder.open(state)
    run = _Run(learner, run_folder, state, epoch_dataset, collate, validate, monitor, mode, quiet=not progress)
    with torch.random.fork_rng(devices=[target] if target.type == "cuda" else []):  # the caller's draws go on as before
        while run.goes_on():
            if on_epoch is not None:
                on_epoch(state.epoch)
            run.train_epoch()
            run.close_epoch()
    run_folder.finish(state)
    processes.wait_for_everyone()
    return _result(run_folder, model, state, reused=False)


def train_apart(train: Callable, runs: Sequence[tuple], settings: TrainSettings) -> None:
    """Call ``train`` with the arguments of each run, as many at a time as there are cores, with one thread each.

    What it gives cannot be sent back: it has to keep that in a folder, from where the caller gets it by calling again.
    On a GPU, with one run, and where training takes moments, nothing is done, and the caller's calls train.
    """
    workers = min(cores(), len(runs))
    long = (settings.steps_per_epoch or _MANY_STEPS) * settings.epochs >= _MANY_STEPS
    if workers > 1 and long and not torch.cuda.is_available():
        for _ in side_by_side(workers, _forget, [(train, *run) for run in runs]):
            pass


def _forget(function: Callable, *arguments: object) -> None:
    function(*arguments)


def watch_loss(
    make_clips: Callable[[], Dataset], loss_fn: LossFunction, batch_size: int
) -> Callable[[nn.Module], dict[str, float]]:
    """A ``validate`` for :func:`fit`: the mean loss over fixed clips, made when it is first asked for, as ``val_loss``.

    ``loss_fn`` gives (sum, weight), such as a ``LossSum``.
    """
    kept: list[Dataset] = []

    def validate(model: nn.Module) -> dict[str, float]:
        if not kept:
            kept.append(make_clips())
        clips, device = kept[0], next(model.parameters()).device
        total = weight = 0.0
        for start in range(0, len(clips), batch_size):
            some = [clips[i] for i in range(start, min(start + batch_size, len(clips)))]
            part = loss_fn(model, {name: value.to(device) for name, value in default_collate(some).items()})
            total, weight = total + float(part[0]), weight + float(part[1])
        return {"val_loss": total / weight}

    return validate


def _result(folder: RunFolder, model: nn.Module, state: TrainState, reused: bool) -> FitResult:
    history = pd.DataFrame(state.history)
    return FitResult(folder.load_best(model).eval(), history, state.best_epoch, state.step, reused)


LossFunction = Callable[[nn.Module, Any], Tensor | tuple[Tensor, Tensor]]


@dataclass
class Learner:
    """A model with its optimizer: one call of :meth:`step` is one optimizer step."""

    model: nn.Module
    loss_fn: LossFunction
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    settings: TrainSettings
    device: torch.device
    processes: PartialState

    @classmethod
    def make(
        cls,
        model: nn.Module,
        loss_fn: LossFunction,
        settings: TrainSettings,
        device: torch.device,
        processes: PartialState,
    ) -> Learner:
        """Move the model to its device, make the optimizer, and give every process the weights of process 0."""
        optimizer = torch.optim.AdamW(parameter_groups(model.to(device), settings), fused=True)
        scaled = device.type == "cuda" and settings.mixed_precision == "fp16"
        scaler = torch.amp.GradScaler(device.type, enabled=scaled)
        copy_from_first([*model.parameters(), *model.buffers()], processes)
        return cls(model, loss_fn, optimizer, scaler, settings, device, processes)

    def step(self, passes: Iterator[tuple[int, Any, int]], epoch: int, step: int) -> tuple[float, float]:
        """Seed, batch and size of each forward pass -> sum and weight of the loss over all of them and all processes.

        The gradient is that of sum / weight. As the weight is known only at the end, each pass is divided by the
        first one's (which keeps half precision in range) and the gradients are corrected by the ratio; with a single
        pass the ratio is exactly 1.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * rate_factor(self.settings, epoch, step)
        self.optimizer.zero_grad(set_to_none=True)
        sums, first = torch.zeros(2, device=self.device), torch.ones((), device=self.device)
        for i, (seed, batch, size) in enumerate(passes):
            torch.manual_seed(seed)
            loss, weight = self._loss(send_to_device(batch, self.device, non_blocking=True), size)
            if i == 0:
                first = torch.where(weight > 0, weight, first)
            self.scaler.scale(loss / first).backward()
            sums += torch.stack([loss.detach(), weight])
        loss, weight = total(sums, self.processes).tolist()
        if not self.scaler.is_enabled() and not (math.isfinite(loss) and math.isfinite(weight)):
            raise FootpassError(
                f"training: epoch {epoch}, step {step + 1}: the loss is {loss} / {weight}, not a number"
            )
        if weight > 0:
            self._update(first / weight)
        copy_from_first(self.model.buffers(), self.processes)
        return (loss, weight) if math.isfinite(loss) else (0.0, 0.0)  # half precision skips such a step by itself

    def _loss(self, batch: Any, size: int) -> tuple[Tensor, Tensor]:
        """Sum and weight; a loss that comes as a mean is one over the ``size`` samples of the batch."""
        with autocast(self.device, self.settings.mixed_precision):
            loss = self.loss_fn(self.model, batch)
        loss, weight = (loss * size, size) if isinstance(loss, Tensor) else loss
        return loss.float(), torch.as_tensor(weight, dtype=torch.float32, device=self.device).detach()

    def _update(self, ratio: Tensor) -> None:
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.mul_(ratio)
        sum_gradients(parameters, self.processes)
        self.scaler.unscale_(self.optimizer)
        if self.settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, self.settings.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
