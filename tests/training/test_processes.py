from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from train_worker import SETTINGS, Net, Points, masked_loss, run, same

from footpass_lib.schema import FootpassError
from footpass_lib.training.processes import share, this_process
from footpass_lib.workers import at_once, in_threads, side_by_side

pytestmark = pytest.mark.usefixtures("on_cpu")

ROOT = Path(__file__).parents[2]
WORKER = ROOT / "tests" / "train_worker.py"


class Place:
    """Where a process stands among others."""

    def __init__(self, process_index: int, num_processes: int) -> None:
        self.process_index, self.num_processes = process_index, num_processes


@given(n=st.integers(1, 30), processes=st.integers(1, 8))
def test_shares_make_up_the_batch(n, processes):
    batch = np.arange(n) * 3
    shares = [share(batch, Place(rank, processes)) for rank in range(processes)]
    assert np.concatenate(shares).tolist() == batch.tolist()
    sizes = [len(s) for s in shares]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] - sizes[-1] <= 1


def environment() -> dict[str, str]:
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    one = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}  # bits are compared with those of a CPU
    return os.environ | one | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


@pytest.mark.slow
def test_killed_process_goes_on_exactly(tmp_path, one_thread):
    """SIGKILL a training that is in its second epoch, or just before it."""
    command = [sys.executable, str(WORKER), str(tmp_path), "--cases", "whole", "--pause", "0.15"]
    process = subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE)
    deadline, folder = time.monotonic() + 120, tmp_path / "whole"
    while not (folder / "state.json").exists():
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read().decode()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stderr.close()
    assert not (folder / "result.json").exists()
    result = run(SETTINGS, folder, model=Net(seed=9))
    assert not result.reused and same(result, run())


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(FootpassError, match="this is process 2, and there are 1 GPUs; expected at most one process"):
        this_process()


def launch(folder: Path, *options: str) -> list[dict]:
    """Notes of two processes that trained together."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    torchrun = [
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-addr",
        "127.0.0.1",
        "--master-port",
        port,
    ]
    command = [sys.executable, *torchrun, str(WORKER), str(folder), *options]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"process-{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize(
    ("total", "workers", "expected"),
    [  # of all left, then one less, down to one
        (1, 2, [1]),
        (2, 2, [2, 1]),
        (3, 2, [3, 2, 1]),
        (4, 2, [2, 2, 2, 1]),
        (7, 2, [2, 2, 2, 2, 3, 2, 1]),
        (5, 4, [5, 4, 3, 2, 1]),
        (7, 4, [4, 4, 4, 4, 3, 2, 1]),
    ],
)
def test_a_small_rest_shares_the_cores_with_the_last_round(total, workers, expected):
    for left, room in zip(range(total, 0, -1), expected, strict=True):
        assert min(left, at_once(left, total, workers)) == room


@given(total=st.integers(1, 60), workers=st.integers(1, 16))
def test_nobody_is_idle_while_calls_wait_and_never_more_than_half_as_many_again_run(total, workers):
    for left in range(total, 0, -1):
        assert min(left, workers) <= min(left, at_once(left, total, workers)) <= 1.5 * workers


@pytest.mark.slow
def test_side_by_side_runs_every_call_once_and_hands_on_what_it_raises():
    assert list(side_by_side(2, pow, [])) == []
    assert sorted(side_by_side(2, pow, [(2, 0), (2, 1), (2, 2)])) == [1, 2, 4]
    assert sorted(side_by_side(2, pow, [(2, i) for i in range(7)])) == [1, 2, 4, 8, 16, 32, 64]
    with pytest.raises(ZeroDivisionError):
        list(side_by_side(2, pow, [(1, 1), (0, -1), (1, 1)]))


@pytest.mark.slow
def test_two_processes(tmp_path, one_thread):
    """Case ``plain`` has 21 samples: a last batch of one, of which the second process has nothing."""
    notes = launch(tmp_path, "--cases", "plain", "whole", "resumed", "--samples", "24")

    seen: list[list[int]] = []

    def loss(model, batch):
        seen.append(batch["i"].tolist())
        return masked_loss(model, batch)

    # the same as one process
    one = run(model=Net("layer", dropout=0.0), loss_fn=loss, epoch_dataset=lambda epoch: Points(epoch, 21))
    second = iter(notes[1]["plain"]["seen"])
    pairs = zip(notes[0]["plain"]["seen"], seen, strict=True)
    union = [share + (next(second) if len(batch) > 1 else []) for share, batch in pairs]
    assert union == seen and next(second, None) is None
    assert 1 in map(len, seen)
    two = load_file(tmp_path / "plain" / "best.safetensors")
    difference = max((two[n] - v).abs().max().item() for n, v in one.model.state_dict().items())
    print(f"largest difference of a weight: {difference:.1e}")
    assert difference < 1e-5
    history = pd.read_csv(tmp_path / "plain" / "history.csv")
    pd.testing.assert_frame_equal(history.drop(columns="seconds"), one.history.drop(columns="seconds"), rtol=1e-5)

    # one state in both, also of batch norm, and a run that was stopped goes on exactly
    for case in ("plain", "whole", "resumed"):
        assert notes[0][case]["weights"] == notes[1][case]["weights"]
    assert notes[0]["whole"]["weights"] == notes[0]["resumed"]["weights"]
    assert len(notes[0]["resumed"]["seen"]) == len(notes[0]["whole"]["seen"]) - 6  # the second epoch was begun anew
    left, right = (pd.read_csv(tmp_path / case / "history.csv") for case in ("whole", "resumed"))
    pd.testing.assert_frame_equal(left.drop(columns="seconds"), right.drop(columns="seconds"), check_exact=True)


def test_threads_keep_the_order_draw_no_more_than_they_work_on_and_compute_with_one_thread_each():
    drawn = []

    def items() -> Iterator[int]:
        for i in range(5):
            drawn.append(i)
            yield i

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        results = in_threads(2, lambda i: (i, torch.get_num_threads()), items())
        assert next(results) == (0, 1) and drawn == [0, 1]
        assert list(results) == [(i, 1) for i in range(1, 5)]
        assert torch.get_num_threads() == 3
        with pytest.raises(ZeroDivisionError):
            list(in_threads(2, lambda i: 1 // i, items()))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
