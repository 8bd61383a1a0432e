"""Whatever a command line names as its output, nothing that it reads is lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from footpass_lib.__main__ import main
from footpass_lib.data.tactical import write_tactical
from footpass_lib.events import public

HALVES = ["game_1_H1", "game_1_H2"]


@pytest.fixture()
def root(tmp_path: Path) -> Path:
    """A data root with predictions beside it."""
    rows = np.array([[f, 107, 0, 7, 3, 0.2, 0.5, 0, 0, 100, 100, 40, 90, 0] for f in range(100)], np.float32)
    write_tactical(tmp_path / "data" / "val_tactical_data.h5", dict.fromkeys(HALVES, rows))
    events = {"keys": HALVES, "events": {half: [[5, 0, 7, 1, 0.5]] for half in HALVES}}
    truth = {"keys": HALVES, "events": {half: [[5, 0, 7, 1, 1, 0]] for half in HALVES}}
    (tmp_path / "playbyplay_GT").mkdir()
    for name, content in (("made", events), ("other", events), ("playbyplay_GT/playbyplay_val", truth)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    (tmp_path / "weights.pyth").write_bytes(b"weights")
    return tmp_path


def test_no_output_is_an_input_under_any_name(root: Path, capsys: pytest.CaptureFixture):
    made, other, truth = root / "made.json", root / "other.json", root / "playbyplay_GT" / "playbyplay_val.json"
    soft, hard, round_about = root / "soft.json", root / "hard.json", root / "data" / ".." / "made.json"
    soft.symlink_to(made)
    hard.hardlink_to(made)
    gate = root / "thresholds.json"
    gate.write_text('{"pass": 0.3}')
    table = root / "data" / "val_tactical_data.h5"
    lines = [
        *(["evaluate", made, truth, "--json", out] for out in (made, truth, soft, hard, round_about)),
        ["submit", made, "--data-root", root, "--split", "val", "--out", made],
        ["submit", soft, "--data-root", root, "--split", "val", "--out", made],
        ["submit", made, "--data-root", root, "--split", "val", "--out", table],
        ["submit", made, "--data-root", root, "--split", "val", "--out", truth],
        ["infer", "--model", "taad", "--data-root", root, "--weights", root / "weights.pyth", "--out",
         root / "weights.pyth"],
        ["infer", "--model", "taad", "--data-root", root, "--out", table],
        ["fit-gate", made, "--truth", truth, "--out", hard],
        ["postprocess", made, "--thresholds", gate, "--out", gate],
        ["postprocess", made, "--merge", other, "--merge-alone", gate, "--out", gate],
    ]  # fmt: skip
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    for line in lines:
        assert main([str(part) for part in line]) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"error: {line[-1]}: is ") and error.count("\n") == 1 and "expected another" in error
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_what_is_no_input_may_be_written_again(root: Path, capsys: pytest.CaptureFixture):
    line = ["submit", root / "made.json", "--data-root", root, "--split", "val", "--out", root / "data" / "sent.json"]
    for _ in range(2):
        assert main([str(part) for part in line]) == 0
    assert (root / "data" / "sent.json").is_file() and capsys.readouterr().err == ""


def test_public_files_are_not_written_over_where_no_option_names_them(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    files = public.PublicFiles(root)
    monkeypatch.setattr(public, "find", lambda *_: files)
    out = root / "playbyplay_GT" / "playbyplay_val.json"
    assert main(["rescore", "--train", "1", "--apply", "2", "--out", str(out)]) == 1
    assert f"{out}: is a file of the data that this command reads" in capsys.readouterr().err
