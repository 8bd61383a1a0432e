"""What a training run does and when: settings, learning rates, parameter groups, and which samples a step sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from footpass_lib.files import off
from footpass_lib.models.fast import PRECISIONS
from footpass_lib.schema import FootpassError

GROUPS = ("backbone", "head")


@dataclass(frozen=True)
class TrainSettings:
    """Schedule of one training run."""

    epochs: int  # they count from 1
    batch_size: int  # samples of one forward pass, over all processes together
    learning_rates: Mapping[str, float]  # of the head and, for models that have backbone_parameters(), of the backbone
    steps_per_epoch: int | None = None  # of the optimizer; None is one pass over the data, many start further passes
    accumulation: int = 1  # forward passes of one optimizer step
    weight_decay: float = 1e-4  # on everything but biases and weights with one dimension (norms)
    warmup_steps: int = 0  # optimizer steps over which the rate rises linearly
    milestones: tuple[int, ...] = ()  # from each of these epochs on the rate is multiplied by the factor
    factor: float = 0.1
    frozen_epochs: int = 0  # the first epochs, in which the model's freeze(True) holds
    clip_norm: float | None = None  # largest norm of all gradients together
    mixed_precision: str = "no"  # or bf16; a CPU without instructions for it computes in single precision
    seed: int = 0  # of the order of samples and of dropout
    num_workers: int = 0  # processes that load samples; changes no result
    official_warmup: bool = off(False)  # the warm-up that stops too early, as in the official code: see rate_factor

    def __post_init__(self) -> None:
        for name in ("epochs", "steps_per_epoch", "batch_size", "accumulation"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise FootpassError(f"training: {name}={value}, expected 1 or more")
        for name in ("weight_decay", "warmup_steps", "frozen_epochs", "seed", "num_workers"):
            if getattr(self, name) < 0:
                raise FootpassError(f"training: {name}={getattr(self, name)}, expected 0 or more")
        if self.mixed_precision not in PRECISIONS:
            expected = ", ".join(PRECISIONS)
            raise FootpassError(f"training: mixed_precision={self.mixed_precision!r}, expected one of {expected}")
        if "head" not in self.learning_rates or not set(self.learning_rates) <= set(GROUPS):
            rates = dict(self.learning_rates)
            raise FootpassError(f"training: learning_rates={rates}, expected head and, for some models, backbone")


def rate_factor(settings: TrainSettings, epoch: int, step: int) -> float:
    """What the base learning rate is multiplied by in optimizer step ``step`` (from 0, of the run), epoch ``epoch``.

    With ``official_warmup`` it rises as in the official code of the FOOTPASS baseline (``train_TAAD_Baseline.py``,
    ``train_GNN.py``): with an optimizer step, but only until forward passes, numbered from 0, are past
    ``warmup_steps``. With accumulation that is too soon: of 50 steps TAAD, with 8 passes each, takes 6 and stays at
    7/50 of its rates; the graph network, with 10, stays at 6/50.
    """
    rises = settings.warmup_steps
    if settings.official_warmup:
        rises = (settings.warmup_steps + 1) // settings.accumulation
    warmup = min(1.0, (min(step, rises) + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    return warmup * settings.factor ** sum(epoch >= milestone for milestone in settings.milestones)


def set_rates(optimizer: torch.optim.Optimizer, settings: TrainSettings, epoch: int, step: int) -> None:
    """Give every group of :func:`parameter_groups` its learning rate for one optimizer step."""
    for group in optimizer.param_groups:
        group["lr"] = group["rate"] * rate_factor(settings, epoch, step)


def rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Learning rates by group, as ``lr_<name>``."""
    return {f"lr_{group['name']}": group["lr"] for group in optimizer.param_groups}


def parameter_groups(model: nn.Module, settings: TrainSettings) -> list[dict]:
    """Groups for an optimizer: backbone and head, each with and without weight decay; empty ones are left out.

    ``rate`` is a group's base learning rate. A model without ``backbone_parameters()`` is all head.
    """
    backbone = {id(p) for p in model.backbone_parameters()} if hasattr(model, "backbone_parameters") else set()
    if backbone and "backbone" not in settings.learning_rates:
        raise FootpassError(f"training: {type(model).__name__} has a backbone, and learning_rates lacks one for it")
    members: dict[tuple[str, bool], list[nn.Parameter]] = {(n, d): [] for n in GROUPS for d in (True, False)}
    for name, parameter in model.named_parameters():
        group = "backbone" if id(parameter) in backbone else "head"
        decayed = parameter.ndim > 1 and "bias" not in name.rpartition(".")[2]
        members[group, decayed].append(parameter)
    groups = []
    for (name, decayed), parameters in members.items():
        rate, decay = settings.learning_rates.get(name), settings.weight_decay if decayed else 0.0
        if parameters:
            groups.append({"name": name, "rate": rate, "lr": rate, "weight_decay": decay, "params": parameters})
    return groups


def epoch_plan(n_samples: int, settings: TrainSettings, epoch: int) -> list[list[np.ndarray]]:
    """Which samples every forward pass of an epoch sees, by seed and epoch: one list of batches per optimizer step.

    Without ``steps_per_epoch`` every sample is used exactly once: the last batch and step may be smaller.
    """
    wanted = n_samples
    if settings.steps_per_epoch is not None:
        wanted = settings.steps_per_epoch * settings.accumulation * settings.batch_size
    rng = np.random.default_rng([settings.seed, epoch])
    passes = [rng.permutation(n_samples) for _ in range(-(-wanted // n_samples))]
    order = np.concatenate(passes)[:wanted]
    batches = [order[i : i + settings.batch_size] for i in range(0, wanted, settings.batch_size)]
    return [batches[i : i + settings.accumulation] for i in range(0, len(batches), settings.accumulation)]
