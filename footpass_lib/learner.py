"""One optimizer step: forward passes, the exact mean of their losses, and the update, in one process or several."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import send_to_device
from torch import Tensor, nn

from footpass_lib.precision import autocast
from footpass_lib.schema import FootpassError
from footpass_lib.training.processes import copy_from_first, sum_gradients, total
from footpass_lib.training.schedule import TrainSettings, parameter_groups, rate_factor

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
