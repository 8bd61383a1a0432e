"""``fit-gate``, and ``postprocess`` with its gates: on which matches they may be used, and how their files are read."""

from __future__ import annotations

import json

import pytest

from footpass_lib import __version__
from footpass_lib.__main__ import main
from footpass_lib.schema import CLASS_ID

ONE, TWO, THREE = "game_1_H1", "game_2_H1", "game_3_H1"


def passes(right: list[float], wrong: list[float]) -> tuple[list[list], list[list]]:
    """Predictions with these scores, far apart, and the ground truth that makes them right or wrong."""
    made = [[1000 * (i + 1), 0, 9, CLASS_ID["pass"], score] for i, score in enumerate([*right, *wrong])]
    return made, [[*event[:4], 1, 0] for event in made[: len(right)]]


GOOD = passes([0.9, 0.8, 0.8, 0.8, 0.8], [0.3, 0.3, 0.3, 0.2])  # the best gate is half way between .3 and .8
OTHER = passes([0.7, 0.5], [0.6, 0.4])


def test_a_gate_fitted_on_one_set_and_used_on_another(put, fit, run, tmp_path):
    made, made_before = put("made.json", **{ONE: OTHER[0]}), put("fit.json", **{TWO: GOOD[0], THREE: GOOD[0]})
    labels = put("fit_truth.json", **{TWO: GOOD[1], THREE: []})
    gate, printed = fit(made_before, labels, "--games", 2)
    assert printed == f"fitted on match 2: pass 0.55\n{gate}: 1 gate on scores\n"
    assert json.loads(gate.read_text()) == {
        "format": "footpass gate", "library": __version__, "evidence": "scores", "window": 12, "missing": "drop",
        "pseudo_events": 2.0, "steps": [],
        "gates": [{"fitted_on": [TWO], "thresholds": {"pass": pytest.approx(0.55)}}],
    }  # fmt: skip
    truth, record = put("t.json", **{ONE: OTHER[1]}), tmp_path / "r.json"
    rows, printed = run(made, "--gate", gate, "--truth", truth, "--json", record)
    assert rows == [OTHER[0][0], OTHER[0][2]]  # .7 and .6 reach .55; .5 and .4 do not
    assert "thresholds of the gate: other matches\n  match 1: fitted on match 2: pass 0.55\n" in printed
    step = json.loads(record.read_text())["steps"][0]["changes"]["all"]
    assert [step[name] for name in ("removed", "tp lost", "tp gained", "fp removed")] == [2, 1, 0, 1]
    content = json.loads(record.read_text())["gate"]
    assert (content["calibration"], content["in_sample"], content["file"]) == ("other matches", False, str(gate))
    assert content["gates"]["1"]["fitted_on"] == [TWO]
    # as many shrinkage events that no gate is worth it
    gate, printed = fit(made_before, labels, "--games", 2, "--pseudo-events", 100)
    assert "fitted on match 2: no threshold\n" in printed and run(made, "--gate", gate)[0] == OTHER[0]


def test_a_gate_may_not_judge_the_matches_that_it_was_fitted_on(put, fit, run, refused, tmp_path):
    made, truth = put("made.json", **{ONE: GOOD[0], TWO: OTHER[0]}), put("truth.json", **{ONE: GOOD[1], TWO: OTHER[1]})
    for fitted_on, seen in (([], "1, 2"), (["--games", "1"], "1")):
        gate, _ = fit(made, truth, *fitted_on)
        for more in ([], ["--truth", truth]):  # not even without a report: the file that is written is one
            error = refused(made, "--gate", gate, *more)
            assert (
                f"{gate}: was fitted on matches {seen}; expected others, found match 1 (" in error
                and "--in-sample" in error
            )
    # the other half of a match is the same match
    second = put("second.json", **{"game_1_H2": GOOD[0]})
    assert "expected others, found match 1" in refused(second, "--gate", gate)
    rows, printed = run(made, "--gate", gate, "--in-sample", "--json", tmp_path / "r.json")
    assert rows == GOOD[0][:5]
    assert "thresholds of the gate: in-sample; it was fitted on matches that it is used on here" in printed
    record = json.loads((tmp_path / "r.json").read_text())
    assert (record["gate"]["calibration"], record["gate"]["in_sample"]) == ("in-sample", True)
    # allowed, but it was not
    rows, printed = run(made, "--games", 2, "--gate", gate, "--in-sample", "--json", tmp_path / "r.json")
    assert rows == [OTHER[0][0], OTHER[0][2]] and "in-sample" not in printed
    assert json.loads((tmp_path / "r.json").read_text())["gate"]["in_sample"] is False


def test_each_match_gets_the_gate_that_has_not_seen_it(put, fit, run, refused):
    made, truth = put("made.json", **{ONE: OTHER[0], TWO: GOOD[0]}), put("truth.json", **{ONE: OTHER[1], TWO: GOOD[1]})
    gates, printed = fit(made, truth, "--leave-one-out")
    assert printed == f"fitted on match 2: pass 0.55\nfitted on match 1: no threshold\n{gates}: 2 gates on scores\n"
    rows, printed = run(made, "--gate", gates)
    assert rows == [OTHER[0][0], OTHER[0][2]]
    first, second = "match 1: fitted on match 2: pass 0.55", "match 2: fitted on match 1: no threshold"
    assert f"leave one match out\n  {first}\n  {second}\n" in printed
    stranger = put("stranger.json", **{THREE: GOOD[0]})
    assert f"{gates}: 2 of 2 gates have not seen match 3; expected one such gate" in refused(stranger, "--gate", gates)
    alone = put("one.json", **{ONE: OTHER[1]})
    error = refused(made, "--truth", alone, "--leave-one-out", name="fit-gate")
    assert "expected two matches or more, found (1,)" in error


def test_the_fitting_set_goes_through_the_earlier_steps_and_its_own_evidence(put, fit, run, capsys):
    repeats = [[event[0] + 5, *event[1:4], 0.29] for event in GOOD[0][:5]]  # wrong until they are suppressed
    made, seen = put("made.json", **{ONE: OTHER[0]}), put("seen.json", **{ONE: OTHER[0]})
    fitting, truth = put("fit.json", **{TWO: [*GOOD[0], *repeats]}), put("truth.json", **{TWO: GOOD[1]})
    half = put("half.json", **{TWO: [[*event[:4], event[4] / 2] for event in GOOD[0]]})
    gate, printed = fit(fitting, truth, "--nms", "--evidence", half)
    assert "pass 0.275\n" in printed and "1 gate on detections" in printed  # between .15 and .4
    assert run(made, "--nms", "--gate", gate, "--evidence", seen)[0] == OTHER[0]
    gate, printed = fit(fitting, truth, "--nms")
    assert "pass 0.55\n" in printed
    assert json.loads(gate.read_text())["steps"] == [{"step": "nms", "settings": {"window": 25}}]
    # a gate on scores looks at scores, whatever another step is told
    rows, _ = run(made, "--nms", "--gate", gate, "--evidence", seen, "--refine", 0.99)
    assert rows == [OTHER[0][0], OTHER[0][2]]
    for steps, words in (([], "comes after no step here"), (["--nms", 3], "comes after other settings")):
        assert main([str(v) for v in ["postprocess", made, *steps, "--gate", gate, "--out", gate.parent / "o"]]) == 0
        assert f"warning: {gate}: the gate was fitted after nms, and {words}\n" == capsys.readouterr().err


def test_a_gate_is_used_on_the_kind_of_evidence_that_it_was_fitted_on(put, fit, refused):
    fitting, truth = put("fit.json", **{TWO: GOOD[0]}), put("truth.json", **{TWO: GOOD[1]})
    gate, _ = fit(fitting, truth, "--evidence", fitting)
    made = put("made.json", **{ONE: GOOD[0]})
    assert f"{gate}: was fitted on detections; expected such evidence, found scores" in refused(made, "--gate", gate)


def test_two_models_are_merged_before_the_fit_and_before_the_gate(put, fit, run):
    made = put("made.json", **{ONE: OTHER[0], TWO: GOOD[0]})
    truth = put("truth.json", **{ONE: OTHER[1], TWO: GOOD[1]})
    # the other model has every pass of match 2, at half the score
    halved = [[*event[:4], event[4] / 2] for event in GOOD[0]]
    merge = ["--merge", put("other.json", **{TWO: halved, THREE: halved})]
    gate, printed = fit(made, truth, "--games", 2, *merge)
    assert "pass 0.4125\n" in printed  # between three quarters of .3 and of .8
    rows, printed = run(made, "--games", 1, *merge, "--gate", gate, "--truth", truth)
    assert len(rows) == 3 and "3 events of 1 halves" in printed


def test_what_cannot_be_fitted_is_refused(put, refused, tmp_path):
    made, truth = put("made.json", **{ONE: GOOD[0]}), put("truth.json", **{ONE: GOOD[1]})
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    strangers = put("strangers.json", **{TWO: GOOD[1]})
    cases = {
        ("--truth", bad): f"error: {bad}: no valid JSON",
        ("--truth", strangers): f"{strangers}: names no half of {made}",
        ("--truth", truth, "--games", 2): f"{truth}: has no match 2, which --games names; it has 1",
        ("--truth", truth, "--pseudo-events", -1): "--pseudo-events: expected a finite number, 0 or more",
        ("--truth", truth, "--kind", "logit", "--evidence", made): f"{made}: --kind is for logits",
    }
    for arguments, message in cases.items():
        error = refused(made, *arguments, name="fit-gate")
        assert message in error or (arguments[2:3] == ("--evidence",) and str(strangers) in error), error
    assert main(["fit-gate", str(made), "--truth", str(truth), "--out", str(truth)]) == 1


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format", None, "format: expected 'footpass gate', as fit-gate writes it, found nothing"),
        ("library", 3, "library: expected a version, found 3"),
        ("evidence", "odds", "evidence: expected one of scores, detections, probability, logit, found odds"),
        ("window", -1, "window: expected a whole number of frames, found -1"),
        ("window", True, "window: expected a whole number of frames, found True"),
        ("missing", ["drop"], "missing: expected drop or keep, found ['drop']"),
        ("pseudo_events", float("nan"), "pseudo_events: expected a number, 0 or more, found nan"),
        ("steps", [{"step": "nms"}], "steps: expected a list of steps with settings, found"),
        ("gates", [], "gates: expected a list of gates, found []"),
        ("gates", ["a"], "gates[0]: expected an object, found a"),
        ("fitted_on", [], "gates[0].fitted_on: expected names of halves like game_18_H1, found []"),
        ("fitted_on", ["game_1"], "gates[0].fitted_on: expected names of halves like game_18_H1, found ['game_1']"),
        ("fitted_on", None, "gates[0].fitted_on: expected names of halves like game_18_H1, found nothing"),
        ("thresholds", 0.5, "gates[0].thresholds: expected an object {class: number}, found 0.5"),
        ("thresholds", {"goal": 0.5}, "gates[0].thresholds: expected classes out of drive, pass, cross"),
        ("thresholds", {"pass": 10**400}, "gates[0].thresholds.pass: expected a finite number, found 1000"),
    ],
)
def test_a_bad_gate_file_is_one_line_that_names_the_field(put, fit, refused, field, value, message):
    made = put("made.json", **{ONE: GOOD[0]})
    gate, _ = fit(put("fit.json", **{TWO: GOOD[0]}), put("truth.json", **{TWO: GOOD[1]}))
    content = json.loads(gate.read_text())
    where = content["gates"][0] if field in content["gates"][0] else content
    where[field] = value
    if value is None:
        del where[field]
    gate.write_text(json.dumps(content))
    assert refused(made, "--gate", gate).startswith(f"error: {gate}: {message}")
