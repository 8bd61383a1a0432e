"""Data makers and fixtures that several test files share."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

# Tests compare bits, which CPUs repeat and GPUs do not; those of test_gpu.py run where this is set.
if os.environ.get("FOOTPASS_GPU_TESTS") != "1":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

from footpass_lib.__main__ import main
from footpass_lib.events import public
from footpass_lib.events.playbyplay import Events, make_events
from footpass_lib.models.gnn import GraphSettings
from footpass_lib.study.place import DATA_SEED, Study
from footpass_lib.study.profiles import PROFILES
from footpass_lib.synthetic.build import build

PROJECT = Path(__file__).resolve().parent.parent
# Kernels and commands that tests start find the library, whether or not it is installed.
os.environ["PYTHONPATH"] = os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])])


@pytest.fixture(scope="session")
def project() -> Path:
    return PROJECT


@pytest.fixture(scope="session")
def public_files() -> public.PublicFiles:
    """The real public files, where they are at hand."""
    try:
        return public.find(project=PROJECT)
    except public.PublicFilesMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture()
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No GPU, also where tests of one are asked for: bits are compared, which only a CPU repeats."""
    from accelerate import PartialState
    from torch import cuda

    monkeypatch.setattr(cuda, "is_available", lambda: False)
    PartialState._reset_state()
    yield
    PartialState._reset_state()


@pytest.fixture()
def one_thread() -> Iterator[None]:
    """Networks compute with one thread, as in the processes that results are compared with."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture()
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No FOOTPASS variable is set."""
    for name in [name for name in os.environ if name.startswith("FOOTPASS_")]:
        monkeypatch.delenv(name)
    return monkeypatch


def random_events(
    rng: np.random.Generator, n: int, halves: tuple[str, ...], *, truth: bool, frames: int = 400
) -> Events:
    """Crowded random events: few jerseys and classes, so that groups are large and ties occur."""
    columns = {
        "half": rng.choice(halves, n),
        "frame": rng.integers(0, frames, n),
        "team": rng.integers(0, 2, n),
        "jersey": rng.integers(1, 4, n),
        "class": rng.integers(1, 9, n),
    }
    if truth:
        columns |= {"box": rng.random(n) < 0.8, "replay": rng.random(n) < 0.1}
    else:
        columns["score"] = rng.choice(np.round(np.linspace(0, 1, 9), 3), n)
    return make_events(halves, columns)


def passing_play(games: tuple[int, ...], seed: int, n: int = 100) -> Events:
    """Ground truth of drives and passes that hand the ball on, with now and then another class."""
    rng = np.random.default_rng(seed)
    halves = tuple(f"game_{game}_H{k}" for game in games for k in (1, 2))
    columns = {name: [] for name in ("half", "frame", "team", "jersey", "class")}
    for half in halves:
        classes = np.where(rng.random(n) < 0.15, rng.integers(3, 9, n), 1 + np.arange(n) % 2)
        columns["half"] += [half] * n
        columns["frame"] += np.cumsum(rng.integers(20, 60, n)).tolist()
        columns["team"] += rng.integers(0, 2, n).repeat(2)[:n].tolist()
        columns["jersey"] += rng.integers(1, 12, n).repeat(2)[:n].tolist()
        columns["class"] += classes.tolist()
    n = len(columns["half"])
    return make_events(halves, columns | {"box": rng.random(n) < 0.8, "replay": rng.random(n) < 0.1})


def detect(truth: Events, seed: int, recall: float = 0.75, wrong: float = 0.5) -> Events:
    """A system: events found with high scores, and inventions with low ones."""
    rng = np.random.default_rng(seed)
    table = truth.table[["half", "frame", "team", "jersey", "class"]]
    found = table[rng.random(len(table)) < recall]
    found = found.assign(frame=found["frame"] + rng.integers(0, 5, len(found)), score=rng.beta(6, 2, len(found)))
    made = table[rng.random(len(table)) < wrong]
    made = made.assign(jersey=rng.integers(1, 12, len(made)), score=rng.beta(2, 4, len(made)))
    return make_events(truth.halves, pd.concat([found, made]).to_dict("list"))


@pytest.fixture(scope="session")
def tiny_study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study in the smoke profile on seconds of synthetic play, with folders of its own."""
    folder = tmp_path_factory.mktemp("study")
    seconds = {"train": 0.7, "val": 0.35, "test": 0.35, "challenge": 0.35, "half_minutes": 0.17}
    sizes = replace(PROFILES["smoke"].synthetic, **seconds, rarity=0.85)  # so that rare classes occur at all
    small = GraphSettings(visual_hidden=32, visual=16, graph=16, hidden=32, recurrent=16)
    plan = replace(PROFILES["smoke"].gnn, model=small, validation_clips=4)
    profile = replace(PROFILES["smoke"], synthetic=sizes, gnn=plan)
    study = Study(profile, folder, None, folder / "data" / "tiny", folder / "reports", seed=0)
    build(study.data_root, sizes, DATA_SEED, workers=1)
    return study


# small play-by-play files, and the commands that read them


@pytest.fixture()
def put(tmp_path: Path) -> Callable[..., Path]:
    """Write a play-by-play file from the events of each half."""

    def write(name: str, **events: list[list]) -> Path:
        path = tmp_path / name
        path.write_text(json.dumps({"keys": list(events), "events": events}))
        return path

    return write


@pytest.fixture()
def run(tmp_path: Path, capsys: pytest.CaptureFixture) -> Callable[..., tuple[list[list], str]]:
    """Run ``postprocess``; what it wrote of the first half, and what it printed."""

    def postprocess(predictions: Path, *arguments: object) -> tuple[list[list], str]:
        out = tmp_path / "out.json"
        assert main(["postprocess", str(predictions), "--out", str(out), *map(str, arguments)]) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        content = json.loads(out.read_text())
        return content["events"][content["keys"][0]], printed.out

    return postprocess


@pytest.fixture()
def fit(tmp_path: Path, capsys: pytest.CaptureFixture) -> Callable[..., tuple[Path, str]]:
    """Run ``fit-gate``; where the gate is, and what was printed."""

    def fit_gate(predictions: Path, truth: Path, *arguments: object) -> tuple[Path, str]:
        out = tmp_path / "gate.json"
        line = ["fit-gate", predictions, "--truth", truth, "--out", out, *arguments]
        assert main([str(argument) for argument in line]) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return out, printed.out

    return fit_gate


@pytest.fixture()
def refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> Callable[..., str]:
    """Run a command, which is to fail with one line and to write nothing."""

    def command(predictions: Path, *arguments: object, name: str = "postprocess") -> str:
        out = tmp_path / "refused.json"
        assert main([name, str(predictions), "--out", str(out), *map(str, arguments)]) == 1
        printed = capsys.readouterr()
        assert printed.out == "" and printed.err.startswith("error: ") and printed.err.count("\n") == 1
        assert not out.exists()
        return printed.err

    return command
