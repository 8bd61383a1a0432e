import json
import subprocess
import sys

import pytest

from footpass_lib.__main__ import main

KEYS = ["game_1_H1", "game_1_H2"]
TRUTH = {"keys": KEYS, "events": {KEYS[0]: [[10, 0, 7, 1, 1, 0], [40, 0, 7, 2, 0, 0]], KEYS[1]: [[9, 1, 2, 7, 1, 0]]}}
MADE = {"keys": KEYS, "events": {KEYS[0]: [[12, 0, 7, 1, 0.9], [90, 0, 7, 2, 0.8]], KEYS[1]: [[9, 1, 2, 7, 0.1]]}}


@pytest.fixture()
def files(tmp_path):
    paths = tmp_path / "made.json", tmp_path / "truth.json"
    for path, content in zip(paths, (MADE, TRUTH), strict=True):
        path.write_text(json.dumps(content))
    return paths


def run(*arguments):
    return main([str(a) for a in arguments])


def test_evaluate_prints_a_table_and_writes_json(files, tmp_path, capsys):
    out = tmp_path / "out.json"
    assert run("evaluate", *files, "--json", out, "--per-half") == 0
    text = capsys.readouterr().out
    assert "TP 1, FP 1, FN 2" in text and "Macro F1 0.1250 [" in text and "recall with box 0.500" in text
    assert "game_1_H2: Macro F1 0.0000" in text
    result = json.loads(out.read_text())
    assert result["macro_f1"] == 1 / 8 and result["micro_f1"] == pytest.approx(2 * 1 / (2 * 1 + 1 + 2))
    assert result["per_class"]["drive"] == {"tp": 1, "fp": 0, "fn": 0, "precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert result["per_class"]["pass"]["fp"] == 1 and list(result["per_class"])[-1] == "block"
    assert result["ap"]["tackle"] == 1.0 and result["ap"]["shot"] is None  # the ranking ignores the threshold
    assert result["per_half"]["game_1_H1"]["per_class"]["drive"]["tp"] == 1
    assert run("evaluate", *files, "--json", tmp_path / "again.json", "--per-half") == 0
    assert (tmp_path / "again.json").read_text() == out.read_text()


def test_threshold_and_tolerance_are_settings(files, capsys):
    assert run("evaluate", *files, "--threshold", 0.05, "--tolerance", 1) == 0
    assert "TP 1, FP 2, FN 2" in capsys.readouterr().out


def test_missing_halves_warn_once_and_strict_refuses(files, tmp_path, capsys):
    part = tmp_path / "part.json"
    part.write_text(json.dumps({"keys": KEYS[:1], "events": {KEYS[0]: MADE["events"][KEYS[0]]}}))
    assert run("evaluate", part, files[1]) == 0
    caught = capsys.readouterr()
    assert caught.err.count("no predictions for game_1_H2") == 1 and "FN 2" in caught.out
    assert run("evaluate", part, files[1], "--strict") == 1
    assert "error: predictions and ground truth name different halves" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content, message", [("{", "no valid JSON"), ('{"keys": []}', "'events' must be"), (None, "cannot be read")]
)
def test_bad_files_are_one_line(files, tmp_path, capsys, content, message):
    bad = tmp_path / "bad.json"
    if content is not None:
        bad.write_text(content)
    assert run("evaluate", bad, files[1]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {bad}: ") and message in error and error.count("\n") == 1


def test_a_reader_that_stops_early_is_no_error_message(files):
    shell = f"{sys.executable} -m footpass_lib evaluate {files[0]} {files[1]} --per-half | head -1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
    assert done.stdout.startswith("2 halves") and "Traceback" not in done.stderr


def test_no_command_shows_usage(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2 and "{evaluate,public" in capsys.readouterr().err
