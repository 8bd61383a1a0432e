"""The commands train and infer on a data root of one's own, in one process and under torchrun."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file

from footpass_lib.__main__ import main
from footpass_lib.commands import model_run
from footpass_lib.data.logits import background_logits, read_logits, write_logits
from footpass_lib.events.playbyplay import read_events
from footpass_lib.study.place import WEIGHTS, Study
from footpass_lib.study.profiles import PROFILES


@pytest.fixture(scope="module")
def own_root(tiny_study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny matches as somebody's own data: nothing says that they are synthetic."""
    path = tmp_path_factory.mktemp("own") / "root"
    shutil.copytree(tiny_study.data_root, path, ignore=shutil.ignore_patterns("build.json", "manifest.json", "frames"))
    return path


def launch(folder: Path, *arguments: str, processes: int = 1) -> str:
    """Run the command line in a folder of its own, as a user would, and return what it printed."""
    folder.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FOOTPASS_")}
    environment = kept | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m"]
    if processes > 1:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        command += ["torch.distributed.run", "--nproc-per-node", str(processes)]
        command += ["--master-addr", "127.0.0.1", "--master-port", port, "-m"]
    command += ["footpass_lib", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def histories(folder: Path) -> list[pd.DataFrame]:
    return [pd.read_csv(path) for path in sorted(folder.rglob("history.csv"))]


@pytest.mark.slow
def test_train_and_infer_alone_and_under_torchrun(own_root: Path, tmp_path: Path):
    common = ["--profile", "smoke", "--data-root", str(own_root)]
    printed = launch(tmp_path / "one", "train", "--model", "taad", *common)
    assert "val_loss" in printed and "taad, profile smoke, seed 0: kept in" in printed
    launch(tmp_path / "two", "train", "--model", "taad", *common, processes=2)
    one, two = histories(tmp_path / "one"), histories(tmp_path / "two")
    assert len(one) == len(two) == 1  # of the only phase
    for single, shared in zip(one, two, strict=True):
        assert single["step"].tolist() == shared["step"].tolist()
        # the same samples and global batches; batch norm sees one process's share, so losses are near, not the same
        np.testing.assert_allclose(shared["train_loss"], single["train_loss"], rtol=0.35)
    weights = [next((tmp_path / name).rglob("*phase1*/best.safetensors")) for name in ("one", "two")]
    first, second = map(load_file, weights)
    assert weights[0].parent.name == weights[1].parent.name and first.keys() == second.keys()

    printed = launch(tmp_path / "one", "infer", "--model", "taad", "--split", "val", *common)
    shutil.copytree(tmp_path / "one", tmp_path / "shared")
    for path in (tmp_path / "shared").rglob("taad-seed0"):
        shutil.rmtree(path)
    events = tmp_path / "events.json"
    arguments = ["infer", "--model", "taad", "--split", "val", "--out", str(events), *common]
    launch(tmp_path / "shared", *arguments, processes=2)
    found = next((tmp_path / "one").rglob("playbyplay_TAAD_val.json"))
    assert str(found) in printed and found.read_bytes() == events.read_bytes()
    assert read_events(events, "predictions").halves == read_events(own_root / TRUTH, "truth").halves
    for half in read_events(events, "predictions").halves:
        logits = [read_logits(next((tmp_path / name).rglob("preds_val.h5")), half) for name in ("one", "shared")]
        np.testing.assert_array_equal(*logits)


TRUTH = Path("playbyplay_GT") / "playbyplay_val.json"


@pytest.mark.slow
def test_graph_network_and_sequence_model_bring_what_they_stand_on(own_root: Path, tmp_path: Path):
    common = ["--profile", "smoke", "--data-root", str(own_root)]
    launch(tmp_path / "study", "infer", "--model", "gnn", "--split", "val", *common)
    models = tmp_path / "study" / "data" / "models" / "smoke"
    kept = sorted(path.relative_to(models).as_posix() for path in models.rglob("*.h5"))
    assert {"gnn-seed0/preds_val.h5", "taad-seed0/preds_train.h5", "taad-seed0/preds_val.h5"} <= set(kept)
    halves = read_events(models / "gnn-seed0" / "playbyplay_GNN_val.json", "predictions").halves
    out = tmp_path / "events.json"
    printed = launch(tmp_path / "study", "infer", "--model", "dst", "--rung", "fused", "--out", str(out), *common)
    assert f"{out}: events" in printed and read_events(out, "predictions").halves == halves
    assert len(list(models.glob("dst-fused-seed0-*/best.safetensors"))) == 1


@pytest.mark.parametrize("command", ["train", "infer"])
def test_from_scratch_is_without_the_weights_that_come_with_the_study(command, own_root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FOOTPASS_FROM_SCRATCH", raising=False)
    monkeypatch.setitem(PROFILES, "embedded", replace(PROFILES["embedded"], pretrained=True))
    opened = []
    monkeypatch.setattr(model_run, command, lambda options: opened.append(model_run.ModelRun.open(options).study))
    arguments = [command, "--model", "dst", "--profile", "embedded", "--data-root", str(own_root)]
    assert main(arguments) == 0 and main([*arguments, "--from-scratch"]) == 0
    assert [study.pretrained for study in opened] == [WEIGHTS, None]


def test_an_official_checkpoint_is_run_at_full_size(own_root: Path, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    asked = []

    def detect(study, root, split, checkpoint):
        asked.append((study.profile.name, split, checkpoint.name))
        halves = [root.half(half) for half in root.halves(split)]
        write_logits(tmp_path / "preds.h5", [(h.half, h.first_frame, background_logits(h.n_frames)) for h in halves])
        return tmp_path / "preds.h5"

    monkeypatch.setattr(model_run, "detect_official", detect)
    common = ["infer", "--checkpoint", "curr_model_19.pt", "--data-root", str(own_root), "--model"]
    assert main([*common, "taad"]) == 0
    assert asked == [("full", "val", "curr_model_19.pt")]
    assert len(read_events(tmp_path / "playbyplay_TAAD_val.json", "predictions")) == 0
    assert main([*common, "gnn"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "error: --checkpoint: is for --model taad, found --model gnn"


def test_what_is_wrong_is_one_line(own_root: Path, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    root = ["--data-root", str(own_root)]
    cases = {
        ("--weights", "nothing.pyth", "--profile", "smoke", *root): "nothing.pyth: there is no such file",
        ("--profile", "large", *root): "unknown profile 'large'",
        ("--profile", "full", "--data-root", str(tmp_path)): "holds no FOOTPASS archive",
    }
    for arguments, message in cases.items():
        assert main(["train", "--model", "taad", *arguments]) == 1
        printed = capsys.readouterr()
        assert printed.out == "" and message in printed.err and printed.err.count("\n") == 1
