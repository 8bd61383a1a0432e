"""Several processes that train one model together: shares of a batch, sums of gradients, one state of the model.

The model is not wrapped, so that it has the same methods and weight names everywhere, parts of it may be frozen and
thawed at any time, and a process without samples can take part in a step. In a single process nothing is exchanged.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast, reduce
from torch import Tensor, nn

from footpass_lib.schema import FootpassError


def this_process() -> PartialState:
    """This process among those that ``torchrun`` or ``accelerate launch`` started: on the GPUs, or else on CPUs.

    FootpassError where there are more processes than GPUs.
    """
    cpu, place = not torch.cuda.is_available(), int(os.environ.get("LOCAL_RANK", "0"))
    if not cpu and place >= torch.cuda.device_count():
        found = f"this is process {place + 1}, and there are {torch.cuda.device_count()} GPUs"
        raise FootpassError(f"training: {found}; expected at most one process a GPU (torchrun --nproc-per-node)")
    return PartialState(cpu=cpu)  # left to itself, it takes each of several processes on CPUs for the only one


def share(batch: np.ndarray, processes: PartialState) -> np.ndarray:
    """This process's part of a global batch. Parts differ by at most one sample; process 0 has the most."""
    return np.array_split(batch, processes.num_processes)[processes.process_index]


def total(values: Tensor, processes: PartialState) -> Tensor:
    """Sum of ``values`` over the processes."""
    return reduce(values, "sum") if processes.num_processes > 1 else values


def sum_gradients(model: nn.Module, factor: Tensor, processes: PartialState) -> None:
    """Replace every gradient by its sum over the processes, each times its factor; one that none has stays None."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.mul_(factor)
    if processes.num_processes == 1 or not parameters:
        return
    present = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
    gradients = [(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in parameters]
    summed = reduce(torch.cat([present, *gradients]), "sum")  # one exchange for all of them
    parts = summed.split([len(parameters), *(p.numel() for p in parameters)])
    for parameter, seen, part in zip(parameters, parts[0].tolist(), parts[1:], strict=True):
        parameter.grad = part.view_as(parameter).clone() if seen else None


@torch.no_grad()
def copy_from_first(tensors: Iterable[Tensor], processes: PartialState) -> None:
    """Overwrite the tensors of every process by those of process 0."""
    if processes.num_processes == 1:
        return
    by_type: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        by_type.setdefault(tensor.dtype, []).append(tensor)
    for alike in by_type.values():
        flat = broadcast(torch.cat([tensor.reshape(-1) for tensor in alike]))
        for tensor, part in zip(alike, flat.split([tensor.numel() for tensor in alike]), strict=True):
            tensor.copy_(part.view_as(tensor))
