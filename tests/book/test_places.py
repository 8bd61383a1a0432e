"""The study in hostile places: odd paths, read-only folders, full disks, no network, no git, killed processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from test_fuzz import HALF, MADE, TRUTH, rows
from test_runner import SETUP, write

from footpass_lib.__main__ import main
from footpass_lib.book import runner
from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.encode import VideoWriter
from footpass_lib.data.features import write_features
from footpass_lib.data.frames import FrameSource
from footpass_lib.data.logits import write_logits
from footpass_lib.data.tactical import write_tactical
from footpass_lib.events import public
from footpass_lib.events.playbyplay import read_events, write_events
from footpass_lib.files import atomic_path, write_json, write_text
from footpass_lib.models.weights import save_weights
from footpass_lib.plots import base
from footpass_lib.schema import FootpassError
from footpass_lib.study import results
from footpass_lib.study.place import Study, open_study
from footpass_lib.study.profiles import PROFILES
from footpass_lib.synthetic.build import build

ODD = "spaces, açcents & 'quotes' $HOME"


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"file systems cannot be mounted here: {done.stderr.strip()}")


@pytest.fixture()
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of one megabyte."""
    if shutil.which("mount") is None:
        pytest.skip("there is no mount here")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, spare: int) -> None:
    """Leave ``spare`` bytes on a disk."""
    free = shutil.disk_usage(disk).free
    (disk / "filling").write_bytes(bytes(free - spare))


def events_file(folder: Path) -> tuple[str, str]:
    paths = folder / "made.json", folder / "truth.json"
    for path, content in zip(paths, (MADE, TRUTH), strict=True):
        path.write_text(json.dumps(content))
    return str(paths[0]), str(paths[1])


# a full disk

NOISE = np.random.default_rng(0)


def write_video(path: Path) -> None:
    with VideoWriter(path, 128, 224, crf=0) as video:
        video.write(NOISE.integers(0, 255, (12, 128, 224, 3), np.uint8))


def write_array(path: Path) -> None:
    with atomic_path(path) as part, part.open("wb") as stream:
        np.save(stream, NOISE.random(10**5))


def write_figure(path: Path) -> None:
    figure = Figure(figsize=(12, 12))
    figure.subplots().imshow(NOISE.random((900, 900)))
    base.save(figure, path.parent, path.stem)


def noisy_rows(n: int = 30_000) -> np.ndarray:
    values = rows(n)
    values[:, 5:9] = NOISE.random((n, 4))
    return values


WRITERS: dict[str, Callable[[Path], object]] = {
    "text.txt": lambda path: write_text(path, "x" * 2**21),
    "value.json": lambda path: write_json(path, list(range(10**5))),
    "tactical.h5": lambda path: write_tactical(path, {HALF: noisy_rows()}),
    "logits.h5": lambda path: write_logits(path, [(HALF, 0, NOISE.random((9, 26, 5000)).astype(np.float16))]),
    "features.h5": lambda path: write_features(
        path, NOISE.random((26, 2000, 16)).astype(np.float16), np.ones((26, 2000), bool), "key"
    ),
    "game_3.mp4": write_video,
    "array.npy": write_array,
    "figure.png": write_figure,
    "weights.safetensors": lambda path: save_weights({"w": torch.zeros(10**6)}, path),
}


@pytest.mark.parametrize("spare", [0, 2**16])
@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_named_and_leaves_what_was_there(disk: Path, name: str, spare: int):
    target = disk / name
    target.write_text("as it was")
    fill(disk, spare)
    with pytest.raises(FootpassError, match=name):
        WRITERS[name](target)
    assert sorted(path.name for path in disk.iterdir()) == sorted(["filling", name])
    assert target.read_text() == "as it was"


def test_decoded_frames_that_find_no_room_are_one_error(disk: Path, tmp_path: Path):
    """They are written to a map of the file: without room reserved for it, the process would be killed (SIGBUS)."""
    with VideoWriter(tmp_path / "videos" / "game_3.mp4", 128, 224) as video:
        video.write(np.zeros((50, 128, 224, 3), np.uint8))
    with pytest.raises(FootpassError, match=r"game_3-\w+\.npy: cannot be written \(No space left"):
        FrameSource(DataRoot(tmp_path), disk / "frames").prepare([3])
    assert not list((disk / "frames").iterdir())


# a read-only folder


@pytest.fixture()
def sealed(disk: Path) -> Path:
    """A file system that nothing can be written to, not by root either; it holds two files of events."""
    events_file(disk)
    (disk / "notebooks").mkdir()
    write(disk / "notebooks", "01_first", SETUP)
    (disk / "environment.yml").write_text("")
    mount("-o", "remount,ro", str(disk))
    return disk


def test_a_read_only_folder_is_named(sealed: Path, tmp_path: Path, capfd: pytest.CaptureFixture):
    with pytest.raises(FootpassError, match=r"new\.json: cannot be written \(Read-only file system\)"):
        write_json(sealed / "new.json", {})
    with pytest.raises(FootpassError, match=r"02_metric\.dst\.json: cannot be written \(Read-only"):
        study = Study(PROFILES["smoke"], tmp_path, None, tmp_path / "data", sealed / "reports", 0)
        results.record(study, "02_metric", "dst", {}, split="val", synthetic=True)
    for command in (
        ["evaluate", *map(str, (sealed / "made.json", sealed / "truth.json")), "--json", str(sealed / "out.json")],
        ["synth", "--profile", "smoke", "--out", str(sealed / "data")],
        ["synth", "--profile", "smoke", "--out", str(sealed / "deep" / "data")],
    ):
        capfd.readouterr()
        assert main(command) == 1
        told = capfd.readouterr().err
        assert told.startswith(f"error: {sealed}") and "Read-only" in told and told.count("\n") == 1


def test_the_runner_names_a_read_only_folder(
    sealed: Path, clean_environment: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
):
    clean_environment.chdir(sealed)
    clean_environment.setenv("FOOTPASS_PUBLIC", str(sealed))
    assert runner.main(["--profile", "smoke"]) == 1
    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith(str(sealed)) and "cannot be written (Read-only file system)" in last


# odd paths, and a machine without git


def test_seconds_of_play_in_a_folder_of_an_odd_name(tmp_path: Path, capfd: pytest.CaptureFixture):
    folder = tmp_path / ODD
    sizes = replace(
        PROFILES["smoke"].synthetic,
        height=64,
        width=112,
        train=0.34,
        val=0.34,
        test=0.34,
        challenge=0.34,
        half_minutes=0.17,
    )
    build(folder / "root", sizes, seed=1, workers=1)
    root = DataRoot(folder / "root")
    assert root.half(root.halves("val")[0]).n_frames > 0
    assert FrameSource(root, folder / "frames").read(0, 0, 2).shape[0] == 2
    write_events(folder / "copy.json", read_events(folder / "root/playbyplay_GT/playbyplay_val.json", "truth"), "truth")
    assert main(["evaluate", *events_file(folder), "--json", str(folder / "out.json")]) == 0
    assert "TP 2, FP 0, FN 0" in capfd.readouterr().out and (folder / "out.json").is_file()


@pytest.fixture(scope="module")
def without_git(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A search path with everything that the machine has but git."""
    folder = tmp_path_factory.mktemp("bin")
    for place in ("/bin", "/usr/bin"):
        for tool in Path(place).iterdir():
            if not tool.name.startswith(("git", "python")) and not (folder / tool.name).exists():
                (folder / tool.name).symlink_to(tool)
    return os.pathsep.join([str(Path(sys.executable).parent), str(folder)])


@pytest.mark.slow
def test_the_whole_way_without_git_in_a_folder_of_an_odd_name(project: Path, tmp_path: Path, without_git: str):
    root = tmp_path / ODD
    shutil.copytree(project / "footpass_lib", root / "footpass_lib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("run_all.sh", "environment.yml"):
        shutil.copy2(project / name, root / name)
    recorded = 'results.record(study, "01_first", "value", {"value": 3}, split="none", synthetic=True);'
    write(root / "notebooks", "01_first", SETUP + recorded)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FOOTPASS_", "PYTHONPATH"))}
    kept |= {"PATH": without_git, "FOOTPASS_PUBLIC": str(root)}
    command = [str(root / "run_all.sh"), "--profile", "smoke"]
    done = subprocess.run(command, env=kept, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    record = results.read_record(root / "reports" / "metrics" / "smoke" / "01_first.value.json")
    assert record["run"]["commit"] is None and record["metrics"] == {"value": 3}
    assert (root / "reports" / "index.html").is_file() and not list(root.rglob("*.part"))


# no network


def test_no_network_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture):
    def refused(*_: object, **__: object) -> None:
        raise urllib.error.URLError(ConnectionRefusedError(111, "Connection refused"))

    monkeypatch.setattr("urllib.request.urlopen", refused)
    assert main(["public", "--root", str(tmp_path / "here")]) == 1
    told = capfd.readouterr().err
    assert "Connection refused" in told and "Copy the files by hand from https://github.com/" in told
    assert told.count("\n") == 1 and not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_without_network_the_study_goes_on(
    tmp_path: Path, clean_environment: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
):
    def refused(*_: object, **__: object) -> None:
        raise public.PublicFilesMissing("cannot be reached")

    clean_environment.setattr(public, "download", refused)
    clean_environment.chdir(tmp_path)
    (tmp_path / "environment.yml").write_text("")
    runner._ensure_public(open_study("smoke"))
    assert "note: cannot be reached\n      notebooks that need these files will be skipped" in capfd.readouterr().err


ANSWERS = [b"", b"<html>please log in</html>\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"]


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_network_that_answers_nonsense_is_one_error(tmp_path: Path, answer: bytes):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(public.PublicFilesMissing, match="127.0.0.1"):
            public.download(tmp_path / "here", base_url=url, timeout=10)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


# killed processes


@pytest.mark.slow
def test_a_notebook_whose_process_is_killed_is_one_error(
    tmp_path: Path, clean_environment: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
):
    write(tmp_path / "notebooks", "01_first", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    (tmp_path / "environment.yml").write_text("")
    clean_environment.chdir(tmp_path)
    clean_environment.setenv("FOOTPASS_PUBLIC", str(tmp_path))
    left = tmp_path / "reports" / "figures" / "smoke" / ".01_plot.png.abc.part"  # of an earlier kill
    left.parent.mkdir(parents=True)
    left.write_text("half a picture")
    assert runner.main(["--profile", "smoke"]) == 1
    assert not left.exists()
    assert capfd.readouterr().err.splitlines()[-1].startswith("01_first: its process was killed")


@pytest.mark.slow
def test_workers_end_when_the_process_that_started_them_is_killed(tmp_path: Path):
    """They would wait for work for ever, each with the memory that PyTorch takes."""
    script = tmp_path / "pool.py"
    script.write_text(
        "import os, time\nfrom footpass_lib.workers import one_thread_each\n\n"
        "def ask(_):\n    time.sleep(1)\n    return os.getpid()\n\n"
        "if __name__ == '__main__':\n    with one_thread_each(2) as pool:\n"
        "        print(*pool.map(ask, range(4)), flush=True)\n        time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    workers = {int(word) for word in parent.stdout.readline().split()}
    assert workers
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until = time.monotonic() + 30
    while (alive := {worker for worker in workers if _runs(worker)}) and time.monotonic() < until:
        time.sleep(0.2)
    for worker in alive:
        os.kill(worker, signal.SIGKILL)
    assert not alive


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
