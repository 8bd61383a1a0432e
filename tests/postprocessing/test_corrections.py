"""Decoding, suppression, gates and corrections by a detector: hand-made cases, slow references and properties."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from footpass_lib.data.half import TacticalHalf, dense_half
from footpass_lib.data.logits import write_logits
from footpass_lib.events.nms import nms, suppress
from footpass_lib.events.playbyplay import Events, make_events
from footpass_lib.postprocessing.corrections import gate, nms_step, reassign_jerseys, refine_frames, strength
from footpass_lib.postprocessing.evidence import Evidence, detection_evidence
from footpass_lib.postprocessing.steps import StepResult
from footpass_lib.schema import CLASS_ID, EVENT_CLASSES, N_SLOTS, FootpassError, slot_of
from footpass_lib.spotting.peaks import decode_detections, decode_split


def random_predictions(seed: int, n: int, frames: int = 300) -> Events:
    """Few jerseys, classes and scores, so that groups are crowded and ties occur."""
    rng = np.random.default_rng(seed)
    halves = ("game_1_H1", "game_1_H2")
    columns = {
        "half": rng.choice(halves, n),
        "frame": rng.integers(0, frames, n),
        "team": rng.integers(0, 2, n),
        "jersey": rng.integers(1, 3, n),
        "class": rng.integers(1, 4, n),
        "score": rng.integers(0, 9, n) / 8,
    }
    return make_events(halves, columns)


def slow_nms(events: Events, window: int) -> list[int]:
    """Rows kept, found as the definition reads: take the best, drop what it suppresses, repeat."""
    rows = list(events.table.itertuples(index=True))
    rows.sort(key=lambda row: (-row.score, row.frame, row.Index))
    kept = []
    for row in rows:
        same = (k for k in kept if (k.half, k.team, k.jersey, k[5]) == (row.half, row.team, row.jersey, row[5]))
        if all(abs(k.frame - row.frame) > window for k in same):
            kept.append(row)
    return sorted(row.Index for row in kept)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 150), st.sampled_from([0, 1, 5, 25, 1000]))
def test_nms_is_the_greedy_definition_and_idempotent(seed: int, n: int, window: int):
    events = random_predictions(seed, n)
    kept = nms(events, window)
    pd.testing.assert_frame_equal(kept.table, events.table.loc[slow_nms(events, window)].reset_index(drop=True))
    assert kept.halves == events.halves
    pd.testing.assert_frame_equal(nms(kept, window).table, kept.table)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_nms_does_not_depend_on_the_order_of_rows_with_different_scores(seed: int):
    rng = np.random.default_rng(seed)
    group, frame = rng.integers(0, 3, 60), rng.integers(0, 200, 60)
    score, order = rng.permutation(60) / 60, rng.permutation(60)
    np.testing.assert_array_equal(suppress(group, frame, score, 25)[order],
                                  suppress(group[order], frame[order], score[order], 25))  # fmt: skip


def test_nms_by_hand():
    columns = {
        "half": ["game_1_H1"] * 7,
        "frame": [100, 125, 126, 151, 125, 125, 125],
        "team": [0, 0, 0, 0, 1, 0, 0],
        "jersey": [9, 9, 9, 9, 9, 8, 9],
        "class": [2, 2, 2, 2, 2, 2, 5],
        "score": [0.9, 0.8, 0.5, 0.7, 0.1, 0.1, 0.1],
    }
    # 125 falls to 100, 126 to 151 (25 away); 151 is 51 from 100; another team, jersey or class is untouched
    assert nms(make_events(["game_1_H1"], columns)).table["frame"].tolist() == [100, 151, 125, 125, 125]


def test_nms_refuses_ground_truth_and_negative_windows():
    truth = make_events(["game_1_H1"], {"half": ["game_1_H1"], "frame": [3], "team": [0], "jersey": [1], "class": [2]})
    with pytest.raises(FootpassError, match="game_1_H1, row 0: has no score"):
        nms(truth)
    with pytest.raises(FootpassError, match="window=-1"):
        nms(random_predictions(0, 5), -1)
    empty = make_events(["game_1_H1"], {name: [] for name in ("half", "frame", "team", "jersey", "class", "score")})
    assert len(nms(empty)) == 0 and nms(empty).halves == ("game_1_H1",)


FIRST, N_FRAMES = 400, 120


def substituted_half() -> TacticalHalf:
    """The left CF is jersey 9 until frame 459 and 19 from 460 on; the right GK is 1; nobody else has a row."""
    rows = []
    for frame in range(FIRST, FIRST + N_FRAMES):
        for team, role, jersey in ((0, 12, 9 if frame < 460 else 19), (1, 1, 1)):
            rows.append((frame, 100, team, jersey, role, 0.5, 0.5, 0, 0, 900, 500, 40, 80, 0))
    return dense_half(np.array(rows, np.float32), "game_5_H2")


def test_decoding_by_hand():
    half = substituted_half()
    cf, keeper, unused = slot_of(0, 12), slot_of(1, 1), slot_of(0, 4)
    logits = np.zeros((9, N_SLOTS, N_FRAMES), np.float16)
    logits[0] = 4
    logits[CLASS_ID["pass"], cf, 10] = 8  # suppresses the weaker one 25 frames later
    logits[CLASS_ID["pass"], cf, 35] = 6
    logits[CLASS_ID["pass"], cf, 61] = 6  # 51 frames after the first
    logits[CLASS_ID["drive"], cf, 11] = 5  # another class is not suppressed
    logits[CLASS_ID["shot"], keeper, 10] = 5
    logits[CLASS_ID["shot"], unused, 10] = 9  # nobody there
    logits[CLASS_ID["block"], keeper, 80] = 3.9  # less than background

    def probability(top: float) -> float:
        rest = [4.0] + [0.0] * 7
        return float(np.exp(top) / (np.exp(top) + np.exp(rest).sum()))

    table = decode_detections(logits, half).table
    found = table[["frame", "team", "jersey", "class"]].to_numpy().tolist()
    assert found == [[410, 0, 9, 2], [410, 1, 1, 5], [411, 0, 9, 1], [461, 0, 19, 2]]
    np.testing.assert_allclose(table["score"], [probability(top) for top in (8, 5, 5, 6)], rtol=1e-5)
    assert len(decode_detections(logits, half, window=24)) == 5
    assert len(decode_detections(logits, half, threshold=0.8)) == 2
    assert len(decode_detections(logits * 0, half)) == 0


def test_of_several_logits_the_log_probabilities_are_averaged(tmp_path):
    half, rng = substituted_half(), np.random.default_rng(5)
    logits = [rng.normal(size=(9, N_SLOTS, N_FRAMES)).astype(np.float16) * 2 for _ in range(2)]
    files = [tmp_path / f"{number}.h5" for number in (1, 2)]
    for path, values in zip(files, logits, strict=True):
        write_logits(path, [(half.half, half.first_frame, values)])
    root = SimpleNamespace(halves=lambda split: (half.half,), half=lambda name: half)
    mean = sum(log_softmax(values.astype(float), axis=0) for values in logits) / 2
    expected = decode_detections(mean, half).table
    pd.testing.assert_frame_equal(decode_split(root, "val", *files).table, expected, rtol=1e-5)
    assert len(expected) and not expected.equals(decode_split(root, "val", files[0]).table)


@pytest.mark.parametrize("seed", range(3))
def test_decoding_against_a_slow_reference(seed: int):
    half = substituted_half()
    logits = np.random.default_rng(seed).normal(size=(9, N_SLOTS, N_FRAMES)) * 2
    expected = []
    for slot, team in ((slot_of(0, 12), 0), (slot_of(1, 1), 1)):
        p = np.exp(logits[:, slot]) / np.exp(logits[:, slot]).sum(axis=0)
        for c in range(1, 9):
            candidates = sorted((-p[c, t], t) for t in range(N_FRAMES) if p[:, t].argmax() == c)
            kept = []
            for score, t in candidates:
                if all(abs(t - other) > 5 for other in kept):
                    kept.append(t)
                    jersey = half.jersey[slot, t]
                    expected.append((FIRST + t, team, jersey, c, round(-score, 4)))
    table = decode_detections(logits, half, window=5).table
    found = [(*row[:4], round(row[4], 4)) for row in table[["frame", "team", "jersey", "class", "score"]].to_numpy()]
    assert sorted(found) == sorted(expected) and len(found) > 50
    assert table["frame"].is_monotonic_increasing


def test_logits_that_do_not_fit_are_refused():
    half = substituted_half()
    with pytest.raises(FootpassError, match=r"game_5_H2: expected logits of shape \(9, 26, 120\)"):
        decode_detections(np.zeros((9, N_SLOTS, 520)), half)
    logits = np.zeros((9, N_SLOTS, N_FRAMES))
    logits[3, 7, 20] = np.nan
    with pytest.raises(FootpassError, match="game_5_H2: slot 7, frame 420: a logit is NaN"):
        decode_detections(logits, half)


# gate, refine_frames, reassign_jerseys

ONE = "game_1_H1"
PASS, TACKLE = CLASS_ID["pass"], CLASS_ID["tackle"]


def predictions(*rows: tuple[int, int, int, int, float]) -> Events:
    """Events of one half from (frame, team, jersey, class, score)."""
    names = ("frame", "team", "jersey", "class", "score")
    return make_events([ONE], {"half": [ONE] * len(rows), **dict(zip(names, zip(*rows, strict=True), strict=True))})


def detector() -> Evidence:
    return detection_evidence(
        predictions(
            (103, 0, 9, PASS, 0.5), (110, 0, 9, PASS, 0.8), (100, 0, 8, PASS, 0.75), (104, 0, 7, PASS, 0.75),
            (100, 1, 5, PASS, 0.99), (300, 0, 9, TACKLE, 0.4),
        )
    )  # fmt: skip


def test_gate_by_hand():
    made = predictions(
        (100, 0, 9, PASS, 0.2), (100, 0, 7, PASS, 0.9), (290, 0, 9, TACKLE, 0.9), (289, 0, 9, TACKLE, 0.9),
        (100, 0, 4, PASS, 0.9), (500, 0, 9, TACKLE, 0.9), (500, 0, 9, 1, 0.1),
    )  # fmt: skip
    step = gate(made, detector(), {"pass": 0.8, "tackle": 0.4}, window=10)
    # the threshold itself passes; 7 has too little; 289 is 11 frames away; 4 was never detected; drives have no gate
    assert step.events.table["frame"].tolist() == [100, 290, 500]
    assert step.events.table["class"].tolist() == [PASS, TACKLE, 1]
    assert step.changes["change"].tolist() == ["kept", "removed", "kept", "removed", "removed", "removed", "kept"]
    assert step.changes["new_row"].tolist() == [0, -1, 1, -1, -1, -1, 2]
    assert step.changes["new_frame"].tolist() == [100, -1, 290, -1, -1, -1, 500]
    lenient = gate(made, detector(), {"pass": 0.8, "tackle": 0.4}, window=10, missing="keep")
    assert lenient.changes["change"].tolist() == ["kept", "removed", "kept", "kept", "kept", "kept", "kept"]
    own = gate(made, None, {"pass": 0.9})
    assert own.changes["change"].tolist() == ["removed"] + ["kept"] * 6
    np.testing.assert_array_equal(strength(made, detector(), 10), [0.8, 0.75, 0.4, np.nan, np.nan, np.nan, np.nan])
    assert len(gate(made, detector(), {}).events) == len(gate(made, detector(), {"pass": -math.inf}).events) == 7


def test_refining_frames_by_hand():
    made = predictions(
        (100, 0, 9, PASS, 0.2), (101, 0, 7, PASS, 0.9), (99, 0, 9, PASS, 0.2), (305, 0, 9, TACKLE, 0.9),
        (100, 0, 4, PASS, 0.9),
    )  # fmt: skip
    step = refine_frames(made, detector(), {"pass": 0.75}, window=10)
    # 99 sees only the peak of .5, too low; tackles are not asked for; 4 was never detected
    assert step.events.table["frame"].tolist() == [110, 104, 99, 305, 100]
    assert step.changes["change"].tolist() == ["moved", "moved", "kept", "kept", "kept"]
    assert step.changes[["frame", "new_frame"]].iloc[0].tolist() == [100, 110]
    assert step.events.table.drop(columns="frame").equals(made.table.drop(columns="frame"))
    assert step.events.table.dtypes.equals(made.table.dtypes)


def test_reassigning_jerseys_by_hand():
    made = predictions((100, 0, 9, PASS, 0.2), (100, 0, 4, PASS, 0.9), (300, 0, 8, TACKLE, 0.9), (300, 0, 8, 1, 0.9))
    # within 5 frames 9 has .5, 7 and 8 have .75 (the lower jersey counts), and the opponent's .99 never counts
    step = reassign_jerseys(made, detector(), {"pass": 0.25, "tackle": 0.1}, window=5)
    assert step.events.table["jersey"].tolist() == [7, 4, 8, 8]  # nothing is known of 4, nor of 8's tackles
    assert step.changes["change"].tolist() == ["re-assigned", "kept", "kept", "kept"]
    assert step.changes[["jersey", "new_jersey"]].iloc[0].tolist() == [9, 7]
    assert reassign_jerseys(made, detector(), {"pass": 0.26}, 5).events.table["jersey"].tolist() == [9, 4, 8, 8]
    absent = reassign_jerseys(made, detector(), {"pass": 0.25, "tackle": 0.1}, 5, absent=0.0)
    assert absent.events.table["jersey"].tolist() == [7, 7, 9, 8]
    assert absent.events.table["frame"].tolist() == [100, 100, 300, 300]
    # within 10 frames player 9 is ahead
    assert reassign_jerseys(made, detector(), {"pass": 0.0}, 10).events.table["jersey"].tolist() == [9, 4, 8, 8]


def test_equal_evidence_is_no_reason_to_reassign():
    made = predictions((100, 0, 8, PASS, 0.9), (100, 0, 7, PASS, 0.9))
    assert reassign_jerseys(made, detector(), {"pass": 0.0}, 5).events.table["jersey"].tolist() == [8, 7]


def test_bad_options_are_refused():
    made = predictions((100, 0, 9, PASS, 0.2))
    with pytest.raises(FootpassError, match="unknown class 'Pass'; expected one of drive, pass"):
        gate(made, detector(), {"Pass": 0.5})
    with pytest.raises(FootpassError, match="unknown class 'background'"):
        refine_frames(made, detector(), {"background": 0.5})
    with pytest.raises(FootpassError, match="pass: expected a number, found NaN"):
        gate(made, detector(), {"pass": math.nan})
    with pytest.raises(FootpassError, match="missing must be drop or keep, found 'skip'"):
        gate(made, detector(), {"pass": 0.5}, missing="skip")
    for margins, absent in (({"pass": -0.1}, None), ({"pass": 0.1}, -math.inf)):
        with pytest.raises(FootpassError, match="expected margins >= 0 and a finite value"):
            reassign_jerseys(made, detector(), margins, absent=absent)


EACH = dict.fromkeys(EVENT_CLASSES, 0.4)
STEPS: dict[str, Callable[[Events, Evidence], StepResult]] = {
    "nms": lambda made, evidence: nms_step(made),
    "gate": lambda made, evidence: gate(made, evidence, EACH),
    "gate, missing kept": lambda made, evidence: gate(made, evidence, EACH, missing="keep"),
    "gate by score": lambda made, evidence: gate(made, None, EACH),
    "frames": lambda made, evidence: refine_frames(made, evidence, EACH),
    "jerseys": lambda made, evidence: reassign_jerseys(made, evidence, dict.fromkeys(EVENT_CLASSES, 0.2), absent=0.0),
}


def random_case(seed: int) -> tuple[Events, Evidence]:
    return random_predictions(seed, 120), detection_evidence(random_predictions(seed + 1, 200))


@pytest.mark.parametrize("name", STEPS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_order_of_rows_changes_nothing_but_the_order_of_rows(name: str, seed: int):
    made, evidence = random_case(seed)
    order = np.random.default_rng(seed).permutation(len(made))
    shuffled = made.with_table(made.table.iloc[order])
    one, other = STEPS[name](made, evidence), STEPS[name](shuffled, evidence)
    columns = ["half", "frame", "team", "jersey", "class", "score"]
    by_value = [step.events.table[columns].sort_values(columns, ignore_index=True) for step in (one, other)]
    pd.testing.assert_frame_equal(*by_value)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("seed", range(3))
def test_changes_tell_how_the_result_came_about(name: str, seed: int):
    made, evidence = random_case(seed)
    before = made.table.copy()
    step = STEPS[name](made, evidence)
    pd.testing.assert_frame_equal(made.table, before)  # the input is left alone
    changes, after = step.changes, step.events.table
    assert changes["row"].tolist() == list(range(len(made))) and (changes["model"] == 0).all()
    for column in ("half", "team", "class", "frame", "jersey"):
        np.testing.assert_array_equal(changes[column], before[column])
    kept = changes[changes["new_row"] >= 0]
    assert sorted(kept["new_row"]) == list(range(len(after)))
    for column in ("frame", "jersey"):
        np.testing.assert_array_equal(kept[f"new_{column}"], after[column].to_numpy()[kept["new_row"]])
        np.testing.assert_array_equal(changes.loc[changes["new_row"] < 0, f"new_{column}"], -1)
    moved, given_away = kept["frame"] != kept["new_frame"], kept["jersey"] != kept["new_jersey"]
    labels = np.select([moved, given_away], ["moved", "re-assigned"], "kept")
    np.testing.assert_array_equal(kept["change"], labels)
    assert (changes.loc[changes["new_row"] < 0, "change"] == "removed").all()
    assert 0 < (changes["change"] != "kept").sum() < len(changes)
    assert step.events.halves == made.halves


@pytest.mark.parametrize("name", STEPS)
def test_steps_on_nothing(name: str):
    made, evidence = random_case(0)
    step = STEPS[name](made.with_table(made.table.iloc[:0]), evidence)
    assert len(step.events) == len(step.changes) == 0 and step.events.halves == made.halves


def test_nms_step_agrees_with_nms():
    made = random_predictions(0, 150)
    pd.testing.assert_frame_equal(nms_step(made, 5).events.table, nms(made, 5).table)


def test_steps_on_the_official_files(public_files):
    dst, evidence = public_files.dst_corrected, detection_evidence(public_files.taad)
    value = strength(dst, evidence, 12)
    # row by row, for a sample
    taad = public_files.taad.table
    for row in dst.table.sample(40, random_state=0).itertuples():
        same = (taad["half"] == row.half) & (taad["team"] == row.team) & (taad["jersey"] == row.jersey)
        near = taad[same & (taad["class"] == row[5]) & ((taad["frame"] - row.frame).abs() <= 12)]
        assert value[row.Index] == near["score"].max() or (near.empty and np.isnan(value[row.Index]))
    refined = refine_frames(dst, evidence, dict.fromkeys(EVENT_CLASSES, 0.0))
    assert (np.abs(refined.changes["new_frame"] - refined.changes["frame"]) <= 12).all()
    np.testing.assert_array_equal(strength(refined.events, evidence, 0)[~np.isnan(value)], value[~np.isnan(value)])
