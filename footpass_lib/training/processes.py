"""Several processes that train one model together: shares of a batch, sums of gradients, one state of the model.

The model is not wrapped, so that it has the same methods and weight names everywhere, parts of it may be frozen and
thawed at any time, and a process without samples can take part in a step. In a single process nothing is exchanged.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast, reduce
from torch import Tensor, nn

from footpass_lib.schema import FootpassError

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # read when a process starts


def this_process(cpu: bool = False) -> PartialState:
    """This process among those that ``torchrun`` or ``accelerate launch`` started; on CPUs where there is no GPU.

    Told nothing, accelerate takes each of several processes on CPUs for the only one.

    Raises
    ------
    FootpassError
        If there are more processes than GPUs.
    """
    cpu, place = cpu or not torch.cuda.is_available(), int(os.environ.get("LOCAL_RANK", "0"))
    if not cpu and place >= torch.cuda.device_count():
        found = f"this is process {place + 1}, and there are {torch.cuda.device_count()} GPUs"
        raise FootpassError(f"training: {found}; expected at most one process a GPU (torchrun --nproc-per-node)")
    return PartialState(cpu=cpu)


def share(batch: np.ndarray, processes: PartialState) -> np.ndarray:
    """This process's part of a global batch. Parts differ by at most one sample; process 0 has the most."""
    return np.array_split(batch, processes.num_processes)[processes.process_index]


def total(values: Tensor, processes: PartialState) -> Tensor:
    """Sum of ``values`` over the processes."""
    return reduce(values, "sum") if processes.num_processes > 1 else values


def sum_gradients(parameters: Sequence[nn.Parameter], processes: PartialState) -> None:
    """Replace every gradient by its sum over the processes; one that no process has stays None."""
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


def side_by_side(workers: int, function: Callable, calls: Iterable[tuple]) -> Iterator:
    """What ``function`` gives for each call's arguments, in processes with one thread each, in the order they end.

    As many run at once as there are workers, and at the end a few more where that spares idle ones (:func:`at_once`).
    """
    waiting = deque(calls)
    total, running = len(waiting), set()
    with one_thread_each(workers + _extra(total, workers)) as pool:
        while waiting or running:
            room = at_once(len(waiting) + len(running), total, workers)
            while waiting and len(running) < room:
                running.add(pool.submit(function, *waiting.popleft()))
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (call.result() for call in done)


def at_once(left: int, total: int, workers: int) -> int:
    """How many of the ``left`` of ``total`` calls, all about as long, may run at once.

    Three calls for two workers would take two rounds, with one worker idle in the second; begun together they share the
    cores and take one and a half. So the last full round takes the rest along, if that is at most half a round.
    """
    extra = _extra(total, workers)
    return left if left <= workers + extra else workers


def _extra(total: int, workers: int) -> int:
    rest = total % workers
    return rest if 2 * rest <= workers else 0


def in_threads(workers: int, function: Callable, items: Iterable) -> Iterator:
    """What ``function`` gives for each item, in their order, as many at a time as there are workers.

    They share this process, where each computes with one thread: less to start than :func:`side_by_side`, for work that
    is nearly all inside PyTorch. No more items are drawn than are worked on.
    """
    items, before = iter(items), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(workers) as pool:
            while some := list(islice(items, workers)):
                yield from list(pool.map(function, some))
    finally:
        torch.set_num_threads(before)


@contextmanager
def one_thread_each(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes with one thread each, of PyTorch and of linear algebra, so that they do not crowd each other.

    They are fresh ones: forked ones may hang, once PyTorch has started threads.
    """
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin_worker) as pool:
            yield pool
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _begin_worker() -> None:
    """One thread, and an end as soon as the process that started this one is gone: else it would wait for ever."""
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
