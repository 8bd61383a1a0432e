"""Whatever bytes a file holds and whatever a command line says, the answer is a result or one clear error.

Mutated structures and bytes of event files are in test_playbyplay.py; single defects of tables and videos, and what is
then said of them, in test_tactical.py and test_video.py.
"""

from __future__ import annotations

import argparse
import json
import random
import urllib.error
from collections.abc import Callable
from pathlib import Path

import av
import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from footpass_lib import __main__ as command_line
from footpass_lib.data.encode import VideoWriter
from footpass_lib.data.logits import background_logits, read_attribute, read_logits, write_logits
from footpass_lib.data.tactical import TacticalFile, write_tactical
from footpass_lib.data.video import VideoReader
from footpass_lib.events.playbyplay import read_events
from footpass_lib.schema import TACTICAL_COLUMNS, FootpassError
from footpass_lib.study import pretrain
from footpass_lib.synthetic import build

HALF = "game_3_H1"
TRUTH = {"keys": [HALF, "game_3_H2"], "events": {HALF: [[5, 0, 7, 1, 1, 0], [90, 1, 9, 2, 1, 0]], "game_3_H2": []}}
MADE = {"keys": [HALF, "game_3_H2"], "events": {HALF: [[6, 0, 7, 1, 0.9], [92, 1, 9, 2, 0.4]], "game_3_H2": []}}


def outcome(path: Path, read: Callable[[], object]) -> object:
    """What ``read`` returns, or None if it refuses the file by its name."""
    try:
        return read()
    except FootpassError as error:
        assert path.name in str(error) and len(str(error)) < 1000
        return None


def damaged(content: bytes, draw: random.Random, first: int = 0) -> bytes:
    """Bytes cut short, or with up to eight of them changed from place ``first`` on."""
    if draw.random() < 0.3:
        return content[: draw.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(draw.randint(1, 8)):
        changed[draw.randrange(first, len(content))] = draw.randrange(256)
    return bytes(changed)


# play-by-play


def test_an_event_file_cut_anywhere_is_refused(tmp_path: Path):
    path, content = tmp_path / "cut.json", json.dumps(TRUTH).encode()
    for end in range(len(content)):
        path.write_bytes(content[:end])
        assert outcome(path, lambda: read_events(path, "truth")) is None


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-32-le"])
def test_an_event_file_in_another_encoding_is_refused(tmp_path: Path, encoding: str):
    path = tmp_path / "other.json"
    path.write_bytes(json.dumps(TRUTH).encode(encoding))
    with pytest.raises(FootpassError, match=rf"other\.json: is {encoding[:6].upper()} text; expected UTF-8"):
        read_events(path, "truth")


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.one_of(st.from_regex(r"\s?game_\d+_H\d\s?"), st.text(max_size=12)))
@example(name=f"game_{'9' * 5000}_H1")
@example(name="game_1१_H1")
@example(name="\ud800")
def test_a_half_of_any_name_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, name: str):
    path = tmp_path_factory.getbasetemp() / "named.json"
    path.write_text(json.dumps({"keys": [name], "events": {name: []}}))
    events = outcome(path, lambda: read_events(path, "truth"))
    assert events is None or f"game_{events.games[0]}_H" in name  # no two spellings of one match


@pytest.mark.parametrize("depth", [10, 400, 900, 2000, 50_000])
def test_further_fields_may_be_nested_deeply_or_are_refused(tmp_path: Path, depth: int):
    path = tmp_path / "deep.json"
    path.write_text(json.dumps(TRUTH).replace("1, 0]", f"1, 0, {'[' * depth}{']' * depth}]", 1))
    outcome(path, lambda: read_events(path, "truth"))


# tracking tables


def rows(n: int = 40) -> np.ndarray:
    """A player who walks along, float32 (n, 14)."""
    values = np.zeros((n, len(TACTICAL_COLUMNS)), np.float32)
    values[:, 0] = np.arange(n)
    values[:, 1:5] = 107, 0, 7, 3
    values[:, 5] = np.linspace(0.2, 0.4, n)
    values[:, 9:13] = 100, 100, 40, 90
    return values


def all_halves(path: Path) -> int:
    file = TacticalFile(path)
    return sum(file.half(half).n_frames for half in file.halves)


def test_a_damaged_table_is_read_or_refused(tmp_path: Path):
    path = tmp_path / "val_tactical_data.h5"
    write_tactical(path, {HALF: rows(), "game_3_H2": rows()})
    content = path.read_bytes()
    kinds = set()
    for seed in range(600):
        path.write_bytes(damaged(content, random.Random(seed)))
        kinds.add(outcome(path, lambda: all_halves(path)) is None)
    assert kinds == {False, True}


def test_damaged_logits_are_read_or_refused(tmp_path: Path):
    path = tmp_path / "preds_val.h5"
    write_logits(path, [(HALF, 3, background_logits(40))], {"fingerprint": "abc"})
    content = path.read_bytes()
    for seed in range(300):
        path.write_bytes(damaged(content, random.Random(seed)))
        logits = outcome(path, lambda: read_logits(path, HALF))
        assert logits is None or logits.shape[:2] == (9, 26)
        read_attribute(path, "fingerprint")


STORED = {
    "nothing": h5py.Empty("f4"),
    "a number": np.float32(3),
    "whole numbers": rows().astype(np.int32),
    "complex numbers": rows().astype(np.complex64),
    "true and false": rows() > 0,
    "texts": np.full((40, 14), b"1"),
    "columns with names": np.zeros(40, [(name, "f4") for name in TACTICAL_COLUMNS]),
    "no value at all": np.full_like(rows(), np.nan),
    "numbers beyond float32": np.full((40, 14), 1e300),
    "a link to nothing": h5py.SoftLink("/nowhere"),
    "a link to another file": h5py.ExternalLink("nowhere.h5", "/rows"),
}


@pytest.mark.parametrize("what", STORED)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
def test_what_is_no_table_of_floats_is_refused(tmp_path: Path, what: str):
    path = tmp_path / "val_tactical_data.h5"
    with h5py.File(path, "w") as file:
        file[HALF] = STORED[what]
    with pytest.raises(FootpassError, match=rf"val_tactical_data\.h5: {HALF}"):
        all_halves(path)


def test_a_table_larger_than_memory_is_refused(tmp_path: Path):
    path = tmp_path / "val_tactical_data.h5"
    with h5py.File(path, "w") as file:  # five terabytes, none of which is stored
        file.create_dataset(HALF, shape=(10**11, 14), dtype="f4", chunks=(1024, 14))
    with pytest.raises(FootpassError, match=rf"val_tactical_data\.h5: {HALF}: cannot be read"):
        all_halves(path)


@pytest.mark.parametrize("kind", ["f2", "f8", ">f4"])
def test_floats_of_other_sizes_are_read(tmp_path: Path, kind: str):
    path = tmp_path / "val_tactical_data.h5"
    with h5py.File(path, "w") as file:
        file[HALF] = rows().astype(kind)
    assert all_halves(path) == 40


# videos


@pytest.mark.parametrize("part", ["anywhere", "index"])
def test_a_damaged_video_gives_whole_frames_or_is_refused(tmp_path: Path, part: str):
    av.logging.set_level(None)
    path, noise = tmp_path / "game_3.mp4", np.random.default_rng(0)
    with VideoWriter(path, 48, 64, gop=12) as writer:
        writer.write(noise.integers(0, 255, (30, 1, 1, 3), np.uint8).repeat(48, 1).repeat(64, 2))
    content = path.read_bytes()
    # the boxes before the pictures say where they lie, how large and of which codec they are
    first, last = (0, len(content)) if part == "anywhere" else (content.index(b"moov"), content.index(b"mdat"))
    kinds = set()
    for seed in range(250):
        path.write_bytes(damaged(content[:last], random.Random(seed), first) + content[last:])
        kinds.add(outcome(path, lambda: some_frames(path)))
    assert {None, True} <= kinds


def some_frames(path: Path) -> bool:
    with VideoReader(path, expect_fps=None) as reader:
        for number in (0, reader.n_frames - 1, reader.n_frames // 2):
            assert reader.read(number, number + 1).shape == (1, reader.height, reader.width, 3)
    return True


# the command line

BAD = ["", "-1", "0", "1", "nan", "inf", "-inf", "1e400", "9" * 400, "0.3", "abc", "18,24", "3", "18,18", ",", "1;2",
       "25", "gate.json", "other.json", "made.json", "drive", "drive,drive", "smoke", "full",
       "é\udcff"]  # fmt: skip
FILES = {
    "made.json": json.dumps(MADE), "truth.json": json.dumps(TRUTH), "text.json": "no JSON", "empty.json": "",
    "list.json": "[]", "nan.json": '{"drive": NaN}', "cut.json": json.dumps(MADE)[:60], "text.h5": "no HDF5",
    "other.json": json.dumps({"keys": ["game_4_H1"], "events": {"game_4_H1": [[5, 0, 7, 1, 0.3]]}}),
    "gate.json": json.dumps({"format": "footpass gate", "library": "1", "evidence": "scores", "window": 12,
                             "missing": "drop", "pseudo_events": 2, "steps": [],
                             "gates": [{"fitted_on": ["game_4_H1"], "thresholds": {"drive": 0.5}}]}),
    "half.json": '{"drive": 0.5}', "class.json": '{"goal": 0.5}', "kind.json": '{"drive": "high"}',
}  # fmt: skip
PLACES = [*FILES, "absent.json", "absent/deep.json", "made.json/below.json", "folder", "folder/data"]


def subcommands() -> dict[str, argparse.ArgumentParser]:
    actions = command_line._parser(command_line.COMMANDS)._actions
    return next(a for a in actions if isinstance(a, argparse._SubParsersAction)).choices


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command with arguments of its own vocabulary, most of them there, and values that fit or do not."""
    name, parser = draw(st.sampled_from(sorted(subcommands().items())))
    line = [name]
    for action in parser._actions:
        wanted = action.required and draw(st.integers(0, 9)) > 0
        if isinstance(action, argparse._HelpAction) or not (wanted or draw(st.integers(0, 3)) == 0):
            continue
        line += draw(st.permutations(action.option_strings))[:1]
        if action.nargs != 0:
            line.append(draw(values(action)))
    return line + draw(st.sampled_from([[], [], [], [], ["--help"], ["--nothing"], ["more.json"]]))


def values(action: argparse.Action) -> st.SearchStrategy[str]:
    likely = PLACES if action.type is Path else [*map(str, action.choices or ()), *BAD]
    return st.one_of(st.sampled_from(likely), st.sampled_from(likely), st.sampled_from(BAD + PLACES))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("desk")


def lay_out(folder: Path) -> None:
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (folder / "folder" / "data").mkdir(parents=True, exist_ok=True)
    for split in ("train", "val", "challenge"):
        (folder / "folder" / "data" / f"{split}_tactical_data.h5").write_text("no HDF5")


def refuse(*_: object) -> None:
    raise FootpassError("no matches are made in this test")


def offline(*_: object, **__: object) -> None:
    raise urllib.error.URLError("offline")


@settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(line=command_lines())
@example(line=["evaluate", "made.json", "truth.json", "--seed", "-1"])
@example(line=["evaluate", "made.json", "truth.json", "--resamples", "-1"])
@example(line=["evaluate", "made.json", "truth.json", "--tolerance", "-1"])
@example(line=["evaluate", "made.json", "truth.json", "--threshold", "nan"])
@example(line=["postprocess", "made.json", "--gate", "gate.json", "--nms", "9" * 400, "--out", "new.json"])
@example(line=["postprocess", "made.json", "--gate", "gate.json", "--merge", "other.json", "--out", "new.json"])
@example(line=["postprocess", "made.json", "--thresholds", "9" * 400, "--window", "9" * 400, "--out", "new.json"])
@example(line=["fit-gate", "made.json", "--truth", "truth.json", "--merge", "other.json", "--out", "new.json"])
@example(line=["fit-gate", "made.json", "--truth", "truth.json", "--leave-one-out", "--out", "new.json"])
@example(line=["synth", "--out", "new", "--profile", "smoke", "--seed", "-1"])
@example(line=["train", "--model", "taad", "--profile", "smoke", "--data-root", "folder"])
def test_any_command_line_ends_in_a_result_or_one_line(
    line: list[str], desk: Path, clean_environment: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
):
    lay_out(desk)
    clean_environment.chdir(desk)
    clean_environment.setattr(build, "_make_all", refuse)
    clean_environment.setattr(pretrain, "side_by_side", refuse)
    clean_environment.setattr("urllib.request.urlopen", offline)
    capfd.readouterr()
    try:
        code = command_line.main(line)
    except SystemExit as stop:  # of argparse: usage
        code = stop.code
        assert code in (0, 2)
    printed = capfd.readouterr()
    assert code in (0, 1, 2) and "Traceback" not in printed.err
    if code == 1:
        *notes, last = printed.err.splitlines()
        assert last.startswith("error: ") and all(note.startswith("warning: ") for note in notes), printed.err
