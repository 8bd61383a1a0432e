"""What a training run does and when: settings, learning rates, parameter groups, and which samples a step sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from footpass_lib.schema import FootpassError

GROUPS = ("backbone", "head")
PRECISIONS = ("no", "bf16", "fp16")


@dataclass(frozen=True)
class TrainSettings:
    """Schedule of one training run. Epochs count from 1.

    Attributes
    ----------
    epochs
        How many, at most.
    steps_per_epoch
        Optimizer steps of an epoch; None for one pass over the epoch's data set. More steps than a pass has start
        another pass in a new order.
    batch_size
        Samples of one forward pass, over all processes together.
    accumulation
        Forward passes of one optimizer step.
    learning_rates
        ``head``, and ``backbone`` for models that have ``backbone_parameters()``.
    weight_decay
        On everything but biases and weights with one dimension (norms).
    warmup_steps
        The rate rises linearly over this many optimizer steps.
    milestones, factor
        From each of these epochs on, the rate is multiplied by the factor.
    frozen_epochs
        The first epochs, in which the model's ``freeze(True)`` holds.
    clip_norm
        Largest norm of all gradients together; None for no limit.
    mixed_precision
        ``no``, ``bf16``, or ``fp16`` on GPUs; a CPU without instructions for bf16 computes in single precision.
    patience
        Stop after this many epochs without a better validation; None for never.
    seed
        Of the order of samples and of dropout.
    num_workers
        Processes that load samples; does not change any result.
    checkpoint_every
        Optimizer steps between checkpoints inside an epoch; None for one at each epoch's end only. Does not change any
        result.

    Raises
    ------
    FootpassError
        If a value is out of range.
    """

    epochs: int = 20
    steps_per_epoch: int | None = None
    batch_size: int = 6
    accumulation: int = 8
    learning_rates: Mapping[str, float] = field(default_factory=lambda: {"backbone": 5e-5, "head": 1e-3})
    weight_decay: float = 1e-4
    warmup_steps: int = 50
    milestones: tuple[int, ...] = (10, 20)
    factor: float = 0.1
    frozen_epochs: int = 0
    clip_norm: float | None = None
    mixed_precision: str = "no"
    patience: int | None = None
    seed: int = 0
    num_workers: int = 0
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "steps_per_epoch", "batch_size", "accumulation", "patience", "checkpoint_every"):
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
    """What the base learning rate is multiplied by in optimizer step ``step`` (from 0, of the run), epoch ``epoch``."""
    warmup = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    return warmup * settings.factor ** sum(epoch >= milestone for milestone in settings.milestones)


def parameter_groups(model: nn.Module, settings: TrainSettings) -> list[dict]:
    """Groups for an optimizer: backbone and head, each with and without weight decay; empty ones are left out.

    Each has ``name``, ``rate`` (the base learning rate), ``lr``, ``weight_decay`` and ``params``. A model without
    ``backbone_parameters()`` is all head.

    Raises
    ------
    FootpassError
        If the model has a backbone and no learning rate is set for it.
    """
    backbone = {id(p) for p in model.backbone_parameters()} if hasattr(model, "backbone_parameters") else set()
    if backbone and "backbone" not in settings.learning_rates:
        raise FootpassError(f"training: {type(model).__name__} has a backbone, and learning_rates lacks one for it")
    members: dict[tuple[str, bool], list[nn.Parameter]] = {(n, d): [] for n in GROUPS for d in (True, False)}
    for name, parameter in model.named_parameters():
        group = "backbone" if id(parameter) in backbone else "head"
        decayed = parameter.ndim > 1 and "bias" not in name.rpartition(".")[2]
        members[group, decayed].append(parameter)
    return [
        {
            "name": name,
            "rate": settings.learning_rates[name],
            "lr": settings.learning_rates[name],
            "weight_decay": settings.weight_decay if decayed else 0.0,
            "params": parameters,
        }
        for (name, decayed), parameters in members.items()
        if parameters
    ]


def epoch_plan(n_samples: int, settings: TrainSettings, epoch: int) -> list[list[np.ndarray]]:
    """Which samples every forward pass of an epoch sees: one list of batches per optimizer step.

    A function of the seed and the epoch alone. Without ``steps_per_epoch`` every sample is used exactly once: the last
    batch may be smaller and the last step may have fewer batches; nothing is dropped or padded.
    """
    wanted = n_samples
    if settings.steps_per_epoch is not None:
        wanted = settings.steps_per_epoch * settings.accumulation * settings.batch_size
    rng = np.random.default_rng([settings.seed, epoch])
    passes = [rng.permutation(n_samples) for _ in range(-(-wanted // n_samples))]
    order = np.concatenate(passes)[:wanted]
    batches = [order[i : i + settings.batch_size] for i in range(0, wanted, settings.batch_size)]
    return [batches[i : i + settings.accumulation] for i in range(0, len(batches), settings.accumulation)]
