"""``python -m footpass_lib postprocess``: hand-made events with known answers, fitted gates, logits, errors."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from footpass_lib.__main__ import main
from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.logits import background_logits, write_logits
from footpass_lib.events.metrics import evaluate
from footpass_lib.events.playbyplay import Events, make_events, read_events, write_events
from footpass_lib.events.public import DST_PREDICTIONS, TAAD_PREDICTIONS, VAL_TRUTH
from footpass_lib.postprocessing.corrections import refine_frames
from footpass_lib.postprocessing.evidence import detection_evidence, read_logit_evidence
from footpass_lib.postprocessing.gates import fit_gate, leave_one_match_out, report
from footpass_lib.schema import CLASS_ID, EVENT_CLASSES, N_ROLES
from footpass_lib.study.place import Study

ONE, TWO = "game_1_H1", "game_2_H1"
PASS, TACKLE, SHOT = CLASS_ID["pass"], CLASS_ID["tackle"], CLASS_ID["shot"]

MADE = [
    [100, 0, 9, PASS, 0.9], [112, 0, 9, PASS, 0.6], [300, 0, 9, TACKLE, 0.4], [500, 1, 5, SHOT, 0.8],
    [700, 0, 8, PASS, 0.3],
]  # fmt: skip
SEEN = [
    [104, 0, 9, PASS, 0.7], [300, 0, 7, TACKLE, 0.6], [300, 0, 9, TACKLE, 0.3], [505, 1, 5, SHOT, 0.2],
    [702, 0, 8, PASS, 0.8],
]  # fmt: skip
TRUTH = [[103, 0, 9, PASS, 1, 0], [300, 0, 7, TACKLE, 1, 0], [714, 0, 8, PASS, 1, 0]]


def row(printed: str, name: str) -> list[int]:
    """Counts of a step in the table of all steps."""
    table = printed.split("what each step did:\n")[1]
    return [int(v) for line in table.splitlines() if line.split()[0] == name for v in line.split()[1:]]


# each step by hand


def test_a_gate_on_the_events_own_scores(put, run):
    rows, printed = run(put("made.json", **{ONE: MADE, TWO: []}), "--thresholds", 0.5)
    assert rows == [MADE[0], MADE[1], MADE[3]]
    assert row(printed, "gate") == [5, 2, 0, 0, 0, 3]
    assert "thresholds of the gate: given: drive 0.5, pass 0.5" in printed and "Macro F1" not in printed
    assert printed.endswith("out.json: 3 events of 2 halves\n")


def test_a_gate_on_a_detector_with_thresholds_by_class(put, run, tmp_path):
    thresholds = tmp_path / "thresholds.json"
    thresholds.write_text(json.dumps({"shot": 0.3, "tackle": 0.3, "pass": 0.75}))
    files = [put("made.json", **{ONE: MADE}), "--evidence", put("seen.json", **{ONE: SEEN})]
    rows, _ = run(*files, "--thresholds", thresholds)
    assert rows == [MADE[2], MADE[4]]  # .3 reaches .3; passes see .7, .7 and .8; the shot sees .2
    rows, _ = run(*files, "--thresholds", 0.1, "--window", 3)
    assert rows == [MADE[2], MADE[4]]  # nothing is seen of the first two passes and the shot within 3 frames
    rows, _ = run(*files, "--thresholds", 0.1, "--window", 3, "--thresholds-missing", "keep")
    assert rows == MADE


def test_events_move_to_the_peak(put, run):
    files = [put("made.json", **{ONE: MADE}), "--evidence", put("seen.json", **{ONE: SEEN})]
    rows, printed = run(*files, "--refine", 0.3)
    assert [event[0] for event in rows] == [104, 104, 300, 500, 702]
    assert [event[1:] for event in rows] == [event[1:] for event in MADE]
    assert row(printed, "refine") == [5, 0, 3, 0, 0, 5]


def test_a_team_mate_who_is_ahead_gets_the_event(put, run):
    files = [put("made.json", **{ONE: MADE}), "--evidence", put("seen.json", **{ONE: SEEN})]
    rows, printed = run(*files, "--reassign", 0.25)
    assert [event[2] for event in rows] == [9, 9, 7, 5, 8]
    assert row(printed, "reassign") == [5, 0, 0, 1, 0, 5]
    assert run(*files, "--reassign", 0.35)[0] == MADE
    unseen = put("unseen.json", **{ONE: [[300, 0, 6, TACKLE, 0.9]]})
    assert run(unseen, *files[1:], "--reassign", 0.5)[0] == [[300, 0, 6, TACKLE, 0.9]]
    assert run(unseen, *files[1:], "--reassign", 0.5, "--reassign-absent", 0)[0] == [[300, 0, 7, TACKLE, 0.9]]


def test_of_near_repeats_the_best_stays(put, run):
    made = put("made.json", **{ONE: MADE})
    assert run(made, "--nms")[0] == [MADE[0], *MADE[2:]]
    assert run(made, "--nms", 11)[0] == MADE


def test_the_order_of_steps_is_the_one_given(put, run):
    files = [put("made.json", **{ONE: MADE}), "--evidence", put("seen.json", **{ONE: SEEN})]
    nms, refine = ("--nms", 4), ("--refine", 0.0)
    before = [[104, 0, 9, PASS, 0.9], [104, 0, 9, PASS, 0.6]]
    assert run(*files, *nms, *refine)[0][:2] == before
    rows, printed = run(*files, *nms, *refine, *nms)
    assert rows[0] == before[0] and rows[1][3] == TACKLE
    lines = printed.split("what each step did:\n")[1].splitlines()[1:4]
    assert [line.split()[:3] for line in lines] == [["nms", "5", "0"], ["refine", "5", "0"], ["nms", "5", "1"]]


def test_two_models_become_one(put, run):
    other = [[108, 0, 9, PASS, 0.5], [300, 0, 9, TACKLE, 0.8], [900, 0, 9, PASS, 0.9], [950, 0, 9, PASS, 0.2]]
    files = [put("made.json", **{ONE: MADE[:3]}), "--merge",
             put("other.json", **{ONE: other, TWO: [[50, 1, 3, PASS, 0.4]]})]  # fmt: skip
    rows, printed = run(*files)
    # (100, .9) takes the closest one, 108 at .5: frame (90 + 54) / 1.4 = 102.9, score .7
    assert rows == [[103, 0, 9, PASS, pytest.approx(0.7)], MADE[1], [300, 0, 9, TACKLE, pytest.approx(0.6)],
                    *other[2:]]  # fmt: skip
    assert row(printed, "merge") == [3, 0, 1, 0, 3, 6] and "6 events of 2 halves" in printed
    rows, _ = run(*files, "--merge-exclude", "tackle", "--merge-alone", 0.5)
    assert rows == [[103, 0, 9, PASS, pytest.approx(0.7)], MADE[1], MADE[2], other[2]]
    assert run(*files, "--merge-window", 0, "--merge-alone", 1.01)[0] == [[300, 0, 9, TACKLE, pytest.approx(0.6)]]


def test_ground_truth_says_what_a_step_was_worth(put, run, tmp_path):
    files = [put("made.json", **{ONE: MADE}), "--evidence", put("seen.json", **{ONE: SEEN}), "--truth",
             put("truth.json", **{ONE: TRUTH})]  # fmt: skip
    steps = ["--reassign", 0.2, "--refine", 0.3, "--nms"]
    rows, printed = run(*files, *steps, "--json", tmp_path / "report.json")
    assert [event[:4] for event in rows] == [[104, 0, 9, PASS], [300, 0, 7, TACKLE], [500, 1, 5, SHOT],
                                             [702, 0, 8, PASS]]  # fmt: skip
    # tp lost, tp gained, fp removed, fp added
    assert row(printed, "reassign")[6:] == [0, 1, 1, 0]
    assert row(printed, "refine")[6:] == [0, 1, 1, 0]  # 700 is 14 frames from 714, 702 is 12
    assert row(printed, "nms")[6:] == [0, 0, 1, 0]
    # as given: 1 of 3 passes is right, of 2; at the end both of 2
    assert "as given: Macro F1 0.0500, Micro F1 0.2500" in printed  # pass 2/5
    assert "reassign: Macro F1 0.1750, Micro F1 0.5000" in printed  # and tackle 1
    assert "nms: Macro F1 0.2500, Micro F1 0.8571" in printed  # pass and tackle 1; 6/7
    record = json.loads((tmp_path / "report.json").read_text())
    assert [step["step"] for step in record["steps"]] == ["reassign", "refine", "nms"] and record["gate"] is None
    assert record["steps"][0]["settings"]["margins"]["tackle"] == 0.2
    assert record["steps"][0]["changes"]["tackle"] == {
        "events before": 1, "removed": 0, "moved": 0, "re-assigned": 1, "added": 0, "events after": 1, "tp lost": 0,
        "tp gained": 1, "fp removed": 1, "fp added": 0, "f1 before": 0.0, "f1 after": 1.0,
    }  # fmt: skip
    assert record["scores"]["before"]["macro_f1"] == pytest.approx(0.05)
    assert record["scores"]["after"]["micro_f1"] == pytest.approx(6 / 7)
    assert record["options"]["evidence"].endswith("seen.json") and record["options"]["window"] == 12


# logits


def test_logits_speak_of_slots_and_the_data_root_of_players(tiny_study: Study, run, refused, tmp_path):
    root = DataRoot(tiny_study.data_root)
    half = root.half(root.halves("val")[0])
    slot, index = np.argwhere(half.visible[:, 20:-20])[0] + [0, 20]
    logits = background_logits(half.n_frames)
    logits[:, slot, index - 3] = 0
    logits[PASS, slot, index - 3] = 3.0
    path = tmp_path / "preds_val.h5"
    write_logits(path, [(half.half, half.first_frame, logits)])
    frame, team, jersey = half.frames[index], int(slot) // N_ROLES, int(half.jersey[slot, index])
    columns = {"half": [half.half] * 2, "frame": [frame, frame], "team": [team] * 2, "jersey": [jersey] * 2,
               "class": [PASS, SHOT], "score": [0.5, 0.5]}  # fmt: skip
    made = tmp_path / "made.json"
    write_events(made, make_events([half.half], columns), "predictions")
    probability = np.exp(3) / (np.exp(3) + 8)
    files = [made, "--evidence", path, "--data-root", root.path]
    peak = read_logit_evidence(path, [half]).peaks(read_events(made, "predictions"), 12)
    assert peak.value[0] == pytest.approx(probability) and peak.frame[0] == frame - 3
    kept = [frame, team, jersey, PASS, 0.5]
    assert run(*files, "--thresholds", probability - 0.01)[0] == [kept]
    assert run(*files, "--thresholds", probability + 0.01)[0] == []
    assert run(*files, "--thresholds", 2.9, "--kind", "logit")[0] == [kept]
    moved, _ = run(*files, "--refine", 0.5)
    assert [event[0] for event in moved] == [frame - 3, frame]

    gate = ["--thresholds", 0.5]
    assert f"{path}: logits are of slots; expected --data-root" in refused(made, "--evidence", path, *gate)
    absent = make_events(["game_999_H1"], {name: values[:1] for name, values in columns.items()})
    strangers = tmp_path / "strangers.json"
    write_events(strangers, absent.with_table(absent.table.assign(half="game_999_H1")), "predictions")
    assert f"{path}: {root.path}: no split has game_999_H1" in refused(strangers, *files[1:], *gate)
    other = tmp_path / "none.h5"
    assert f"{other}: there is no such file" in refused(made, "--evidence", other, "--data-root", root.path, *gate)


# errors


def test_what_does_not_fit_together_is_refused(put, refused):
    made = put("made.json", **{ONE: MADE})
    seen = ["--evidence", made]
    cases = {
        (): "expected a step or more, for example --gate gate.json or --nms",
        ("--thresholds", 0.5, "--nms", "--thresholds", 0.4): "--gate: expected one gate, found 2",
        ("--thresholds", 0.5, "--gate", made): "--gate: expected one gate, found 2",
        ("--merge", made, "--merge", made): "--merge: expected one merge, found 2",
        ("--refine", 0.5): "--refine: expected --evidence with it",
        ("--reassign", 0.5): "--reassign: expected --evidence with it",
        ("--nms", "--merge-window", 3): "--merge-window: belongs to --merge, which is not there",
        ("--nms", "--reassign-absent", 0): "--reassign-absent: belongs to --reassign, which is not there",
        ("--nms", "--thresholds-missing", "keep"): "--thresholds-missing: belongs to --thresholds, which is not there",
        ("--nms", *seen): "--evidence: is for --gate, --thresholds, --refine or --reassign; none of them is there",
        ("--thresholds", 0.5, "--in-sample"): "--in-sample: belongs to --gate, which is not there",
        (*seen, "--thresholds", 0.5, "--kind", "logit"): f"{made}: --kind is for logits",
        ("--merge", made, "--merge-exclude", "tackles"): "--merge-exclude: unknown class 'tackles'",
        ("--merge", made, "--merge-window", -1): "--merge-window: expected a whole number from 0",
        ("--thresholds", "nan"): "--thresholds: drive: expected a finite number, found nan",
        ("--nms", -1): "--nms: expected a number of frames, found '-1'",
        ("--thresholds", 0.5, "--window", -1): "--window: expected a whole number from 0 to 100000, found -1",
        ("--reassign", -1, *seen): "--reassign: expected margins of 0 or more, found -1",
    }
    for arguments, message in cases.items():
        assert message in refused(made, *arguments), arguments


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read (No such file or directory); expected for --thresholds a number, or a JSON file"),
        ("{", "no valid JSON"),
        ("[0.5]", "expected for --thresholds a number, or a JSON file"),
        ('{"Pass": 0.5}', "unknown class 'Pass'; expected one of drive, pass"),
        ('{"pass": "high"}', "pass: expected a finite number, found high"),
        ('{"pass": Infinity}', "pass: expected a finite number, found inf"),
        ('{"pass": true}', "pass: expected a finite number, found True"),
    ],
)
def test_bad_thresholds_are_one_line(put, refused, tmp_path, content, message):
    path = tmp_path / "thresholds.json"
    if content is not None:
        path.write_text(content)
    error = refused(put("made.json", **{ONE: MADE}), "--thresholds", path)
    assert error.startswith(f"error: {path}: ") and message in error


def test_bad_files_are_named(put, refused, tmp_path):
    made, bad = put("made.json", **{ONE: MADE}), tmp_path / "bad.json"
    bad.write_text("{")
    gate = ["--thresholds", 0.5]
    for arguments in (
        [bad, *gate], [made, *gate, "--evidence", bad], [made, *gate, "--truth", bad],
        [made, "--merge", bad], [made, "--gate", bad],
    ):  # fmt: skip
        assert refused(*arguments).startswith(f"error: {bad}: no valid JSON")
    elsewhere = put("elsewhere.json", **{TWO: SEEN})
    error = refused(made, *gate, "--evidence", elsewhere)
    assert f"{made} by {elsewhere}: {ONE}: there are events but no evidence" in error
    strangers = put("strangers.json", **{TWO: TRUTH})
    assert f"{strangers}: names no half of {made}" in refused(made, *gate, "--truth", strangers)
    assert f"{made}: has no match 2, which --games names; it has 1" in refused(made, *gate, "--games", 2)
    assert "--games: 'two' is no list of matches" in refused(made, *gate, "--games", "two")


def test_no_input_is_written_over(put, tmp_path, capsys):
    made, other = put("made.json", **{ONE: MADE}), put("other.json", **{ONE: SEEN})
    (tmp_path / "folder").mkdir()
    around = tmp_path / "folder" / ".." / "other.json"
    before = [made.read_bytes(), other.read_bytes()]
    merge = ["postprocess", str(made), "--merge", str(other)]
    for targets in (["--out", made], ["--out", around], ["--out", tmp_path / "o.json", "--json", made]):
        assert main([*merge, *map(str, targets)]) == 1
        assert f"{targets[-1]}: is read by this command" in capsys.readouterr().err
    same = str(tmp_path / "o.json")
    assert main([*merge, "--out", same, "--json", same]) == 1
    assert "is to be written twice" in capsys.readouterr().err
    assert [made.read_bytes(), other.read_bytes()] == before and not (tmp_path / "o.json").exists()


def test_halves_without_ground_truth_are_written_and_warned_of_once(put, tmp_path, capsys):
    made, truth = put("made.json", **{ONE: MADE, TWO: MADE}), put("truth.json", **{ONE: TRUTH})
    out = tmp_path / "out.json"
    arguments = ["--truth", str(truth), "--thresholds", "0.5", "--nms", "--out", str(out)]
    assert main(["postprocess", str(made), *arguments]) == 0
    printed = capsys.readouterr()
    assert printed.err.count(f"no ground truth for {TWO}") == 1 and row(printed.out, "gate")[:2] == [10, 4]
    assert len(read_events(out, "predictions").select([TWO])) == 2


# the official files


def same(one: Events, other: Events) -> None:
    columns = ["half", "frame", "team", "jersey", "class", "score"]
    tables = [e.table[columns].sort_values(columns, ignore_index=True) for e in (one, other)]
    pd.testing.assert_frame_equal(*tables)


def test_the_official_files_match_by_match(public_files, fit, tmp_path, capsys):
    dst, taad, truth = (public_files.root / name for name in (DST_PREDICTIONS, TAAD_PREDICTIONS, VAL_TRUTH))
    out, record = tmp_path / "out.json", tmp_path / "record.json"
    steps = ["--evidence", taad, "--refine", 0.6]
    gate, _ = fit(dst, truth, *steps, "--leave-one-out", "--pseudo-events", 0, "--missing", "keep")
    arguments = ["postprocess", dst, *steps, "--gate", gate, "--truth", truth, "--json", record, "--out", out]
    assert main([str(argument) for argument in arguments]) == 0
    evidence = detection_evidence(public_files.taad)
    refined = refine_frames(public_files.dst, evidence, dict.fromkeys(EVENT_CLASSES, 0.6)).events
    gates = leave_one_match_out(refined, evidence, public_files.val_truth, missing="keep", pseudo_events=0)
    expected = report(gates, refined, evidence, public_files.val_truth)
    result = read_events(out, "predictions")
    same(result, expected.step.events)
    assert len(result) < len(public_files.dst)
    content = json.loads(record.read_text())
    assert content["scores"]["before"]["macro_f1"] == evaluate(public_files.dst, public_files.val_truth).macro_f1
    assert content["scores"]["after"]["macro_f1"] == expected.scores.macro_f1
    details = json.loads(json.dumps(expected.details()))
    assert {name: content["gate"][name] for name in details} == details and content["gate"]["evidence"] == "detections"
    printed = capsys.readouterr().out
    assert f"Macro F1 {expected.scores.macro_f1:.4f}, Micro F1 {expected.scores.micro_f1:.4f}" in printed

    # fitted on one match and used on another, from the same files
    games = public_files.val_truth.games
    gate, _ = fit(dst, truth, "--games", games[0])
    arguments = ["postprocess", dst, "--games", ",".join(map(str, games[1:])), "--gate", gate, "--out", out]
    assert main([str(argument) for argument in arguments]) == 0
    fitted = fit_gate(public_files.dst, None, public_files.val_truth.select_games(games[:1]))
    same(read_events(out, "predictions"), fitted.apply(public_files.dst.select_games(games[1:]), None).events)
