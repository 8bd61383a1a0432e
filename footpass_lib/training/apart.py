"""Several networks trained side by side, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from footpass_lib.environment import cores
from footpass_lib.training.schedule import TrainSettings
from footpass_lib.workers import side_by_side

_MANY_STEPS = 200  # of training, of all runs together: fewer are done before another process has started


def train_apart(train: Callable, runs: Sequence[tuple], settings: TrainSettings) -> None:
    """Call ``train`` with the arguments of each run, as many at a time as there are cores, with one thread each.

    It keeps what it gives in a folder, from where the caller gets it by calling again. On a GPU, with one run, and if
    training takes moments, nothing is done, and the caller's calls train.
    """
    workers = min(cores(), len(runs))
    long = (settings.steps_per_epoch or _MANY_STEPS) * settings.epochs * len(runs) >= _MANY_STEPS
    if workers > 1 and long and not torch.cuda.is_available():
        for _ in side_by_side(workers, _forget, [(train, *run) for run in runs]):
            pass


def _forget(function: Callable, *arguments: object) -> None:
    function(*arguments)
