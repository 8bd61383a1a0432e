"""Several processes or threads that share the work of one machine."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice

import torch

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # read when a process starts


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
            while next_items := list(islice(items, workers)):
                yield from list(pool.map(function, next_items))
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
