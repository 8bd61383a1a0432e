"""What one training step of the detector costs: memory kept for the backward pass, peak memory, and time."""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from footpass_lib.models.taad import TAAD, TAADSettings
from footpass_lib.training.losses import taad_loss

MB = 1e6


@dataclass(frozen=True)
class StepCost:
    """One training step that is to be measured: on clips of this shape, with or without recomputed blocks."""

    model: TAADSettings
    batch: int
    frames: int
    height: int
    width: int
    players: int = 5
    checkpointing: bool = False
    frozen: bool = False  # the backbone

    def settings(self) -> TAADSettings:
        """The model's settings with this step's checkpointing."""
        return replace(self.model, encoder=replace(self.model.encoder, checkpointing=self.checkpointing))


def random_clips(step: StepCost, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Video, boxes, mask and labels of the step's shape, from a seed: what they show does not change the cost."""
    draw = torch.Generator().manual_seed(seed)
    video = torch.randn(step.batch, 3, step.frames, step.height, step.width, generator=draw)
    shape = (step.batch, step.players, step.frames)
    corner = torch.rand(*shape, 2, generator=draw) * torch.tensor([step.width, step.height]) / 2
    size = torch.tensor([step.width, step.height]) / 4
    labels = torch.randint(0, 9, shape, generator=draw)
    return video, torch.cat([corner, corner + size], dim=-1), torch.ones(shape), labels


def measure_step(step: StepCost) -> dict[str, float]:
    """Measure one step in a process of its own: ``seconds`` (the faster of two) and number of ``trainable`` weights.

    Also ``kept_mb`` (tensors kept for the backward pass) and ``peak_mb`` (highest memory above what was used before).
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (step,))


def _measure(step: StepCost) -> dict[str, float]:
    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = TAAD(step.settings()).train().freeze(step.frozen).to(device)
    video, boxes, mask, labels = (tensor.to(device) for tensor in random_clips(step))

    def loss() -> Tensor:
        return taad_loss(model(video, boxes, mask), labels, mask).mean

    before, seconds = _peak(device), []
    for _ in range(2):
        started = time.perf_counter()
        loss().backward()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
        model.zero_grad(set_to_none=True)
    peak = _peak(device) - before
    kept = saved_tensor_bytes(loss)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return {"kept_mb": kept / MB, "peak_mb": peak / MB, "seconds": min(seconds), "trainable": trainable}


def _peak(device: str) -> float:
    """Highest memory so far, in bytes."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.is_file():  # on Linux ru_maxrss starts from the parent's, even in a fresh process; this does not
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def saved_tensor_bytes(forward: Callable[[], object]) -> int:
    """Bytes that autograd keeps for the backward pass of ``forward()``, each storage once, without the weights."""
    storages = {}  # held until the end, so that no address is used twice

    def pack(tensor: Tensor) -> Tensor:
        if not (tensor.is_leaf and tensor.requires_grad):
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        kept = forward()
    total = sum(storage.nbytes() for storage in storages.values())
    del kept
    return total
