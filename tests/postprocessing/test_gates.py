"""Gates: fitted thresholds against brute force, what they may have seen, and what a report says of it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest
from conftest import random_events

from footpass_lib.events.metrics import evaluate
from footpass_lib.events.nms import nms
from footpass_lib.events.playbyplay import Events, make_events
from footpass_lib.postprocessing import gates as calibration
from footpass_lib.postprocessing.corrections import gate, strength
from footpass_lib.postprocessing.evidence import Evidence, detection_evidence
from footpass_lib.postprocessing.gates import (
    CalibratedGate,
    best_threshold,
    fit_gate,
    fit_rate_gate,
    gate_curve,
    leave_one_match_out,
    lossless_threshold,
    report,
)
from footpass_lib.schema import CLASS_ID, EVENT_CLASSES, FootpassError
from footpass_lib.study.paper import OFFICIAL_GAMES

HALVES = ("game_1_H1", "game_1_H2", "game_2_H1", "game_3_H1", "game_3_H2")


def season(seed: int, halves: tuple[str, ...] = HALVES) -> tuple[Events, Evidence, Events]:
    """Predictions without near repeats, a detector, and truth: three matches in which good evidence is often right."""
    rng = np.random.default_rng(seed)
    truth = random_events(rng, 500, halves, truth=True, frames=8000)
    real = truth.table.assign(score=rng.integers(4, 20, len(truth)) / 20)
    invented = random_events(rng, 700, halves, truth=False, frames=8000).table
    invented = invented.assign(score=rng.integers(3, 16, 700) / 20)
    both = pd.concat([real.sample(frac=0.6, random_state=seed), invented], ignore_index=True)
    made = nms(truth.with_table(both.sample(frac=1, random_state=seed).assign(box=pd.NA, replay=pd.NA)))
    seen = pd.concat([truth.table.assign(score=rng.integers(8, 20, len(truth)) / 20),
                      made.table.assign(score=rng.integers(1, 15, len(made)) / 20)])  # fmt: skip
    return made, detection_evidence(truth.with_table(seen.sample(frac=0.7, random_state=seed))), truth


# the gates of one class


def test_the_gates_of_a_class_by_hand():
    curve = gate_curve(np.array([0.5, 0.9, 0.7, 0.7]), np.array([False, True, True, False]), 5)
    np.testing.assert_allclose(curve["threshold"], [0.8, 0.6, -np.inf])
    assert curve[["tp", "fp", "fn"]].to_numpy().tolist() == [[1, 0, 4], [2, 1, 3], [2, 2, 3]]
    np.testing.assert_allclose(curve["f1"], [2 / 6, 4 / 8, 4 / 9])
    assert best_threshold(curve, 0) == pytest.approx(0.6)


def test_gates_beside_missing_evidence():
    dropped = gate_curve(np.array([0.5, -math.inf, 0.9]), np.array([True, True, False]), 2)
    assert dropped["threshold"].tolist() == [0.7, 0.5, -math.inf] and dropped["tp"].tolist() == [0, 1, 2]
    kept = gate_curve(np.array([0.5, math.inf, 0.9]), np.array([True, True, False]), 2)
    assert kept["threshold"].iloc[0] > 0.9 and kept["threshold"].iloc[0] == pytest.approx(0.9)
    assert kept["threshold"].tolist()[1:] == [0.7, -math.inf] and kept["tp"].tolist() == [1, 1, 2]


def test_neighbouring_floats_are_told_apart():
    high = np.nextafter(0.5, 1)
    curve = gate_curve(np.array([0.5, high]), np.array([False, True]), 1)
    assert curve["threshold"].tolist() == [high, -math.inf]


def test_a_class_without_predictions_has_no_gate():
    curve = gate_curve(np.zeros(0), np.zeros(0, bool), 7)
    assert len(curve) == 0 and best_threshold(curve, 2.0) == -math.inf


def test_of_equal_gates_the_most_lenient():
    useless = gate_curve(np.array([0.2, 0.4, 0.6]), np.zeros(3, bool), 4)
    assert best_threshold(useless, 0) == -math.inf
    # F1 is .5 with the strongest alone (1 of 1 found, 3 wanted), and again with 2 of 5
    tie = gate_curve(np.array([0.9, 0.8, 0.7, 0.6, 0.5]), np.array([True, False, False, False, True]), 3)
    assert tie["f1"].iloc[[0, -1]].tolist() == [0.5, 0.5] and best_threshold(tie, 0) == -math.inf


def test_shrinkage_closes_no_gate_on_a_handful_of_events():
    def curve(n: int) -> pd.DataFrame:  # n true, then n false ones that are weaker
        return gate_curve(np.arange(2 * n, 0, -1), np.arange(2 * n) < n, n)

    # n = 1, k = 1: no gate (1 + 1 found, 1 false) 4/5; gate (1 found, 1 missed) 2/3
    assert best_threshold(curve(1), 0) == 1.5 and best_threshold(curve(1), 1) == -math.inf
    # n = 2, k = 1: no gate 6/8, gate 4/5
    assert best_threshold(curve(2), 1) == 2.5
    # k = 3: no gate 10/12, gate 4/7; with n = 30 the gate wins again: 60/63 against 66/96
    assert best_threshold(curve(2), 3) == -math.inf and best_threshold(curve(30), 3) == 30.5


def test_the_strictest_gate_that_loses_nothing():
    strength = np.array([0.5, 0.9, 0.7, 0.6, 0.2])
    assert lossless_threshold(gate_curve(strength, np.array([False, True, True, False, False]), 5)) == pytest.approx(
        0.65
    )
    assert lossless_threshold(gate_curve(strength, np.array([True, True, True, False, True]), 5)) == -math.inf
    assert lossless_threshold(gate_curve(strength, np.zeros(5, bool), 5)) == -math.inf  # nothing to lose, no gate
    assert lossless_threshold(gate_curve(np.zeros(0), np.zeros(0, bool), 7)) == -math.inf


# fitting


@pytest.mark.parametrize("missing", ["drop", "keep"])
def test_a_lossless_gate_loses_no_true_positive_where_it_was_fitted(missing: str):
    made, evidence, truth = season(0)
    base = evaluate(made, truth).per_class
    fitted = fit_gate(made, evidence, truth, missing=missing, lossless=True)
    inside = report(fitted, made, evidence, truth, in_sample=True).scores.per_class
    assert (inside["tp"] == base["tp"]).all() and (inside["fp"] <= base["fp"]).all()
    for name, threshold in fitted.thresholds.items():  # a little stricter, and one is lost
        stricter = replace(fitted, thresholds={name: threshold + 0.1})
        lost = report(stricter, made, evidence, truth, in_sample=True).scores.per_class
        assert lost["tp"][name] < base["tp"][name]
    assert missing == "drop" or fitted.thresholds
    outside = report(leave_one_match_out(made, None, truth, lossless=True), made, None, truth).scores.per_class
    assert outside["tp"].sum() < base["tp"].sum()


def brute_force(made: Events, evidence: Evidence | None, truth: Events, missing: str) -> dict[str, float]:
    """The best F1 of each class over all thresholds that could matter, each evaluated in earnest."""
    base = evaluate(made, truth).per_class["f1"].to_dict()
    for threshold in np.arange(0, 1.0001, 0.025):
        step = gate(made, evidence, dict.fromkeys(EVENT_CLASSES, threshold), missing=missing)
        f1 = evaluate(step.events, truth).per_class["f1"]
        base = {name: max(value, f1[name]) for name, value in base.items()}
    return base


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("missing", ["drop", "keep"])
@pytest.mark.parametrize("by_score", [False, True])
def test_a_fitted_gate_is_the_best_there_is(seed: int, missing: str, by_score: bool):
    made, evidence, truth = season(seed)
    evidence = None if by_score else evidence
    fitted = fit_gate(made, evidence, truth, missing=missing, pseudo_events=0)
    result = report(fitted, made, evidence, truth, in_sample=True)
    assert result.scores.per_class["f1"].to_dict() == pytest.approx(brute_force(made, evidence, truth, missing))
    assert len(fitted.thresholds) > 4
    assert result.scores.macro_f1 > evaluate(made, truth).macro_f1 + 0.01


def test_only_the_classes_asked_for_get_a_gate():
    made, evidence, truth = season(0)
    every = fit_gate(made, evidence, truth, pseudo_events=0).thresholds
    some = fit_gate(made, evidence, truth, pseudo_events=0, classes=("tackle", "pass")).thresholds
    assert some == {name: every[name] for name in ("pass", "tackle") if name in every} and some
    with pytest.raises(FootpassError, match="unknown class 'dribble'"):
        fit_gate(made, evidence, truth, classes=["dribble"])


def test_a_fit_does_not_depend_on_the_order_of_rows():
    # two predictions of one score within reach of one event: the one that is matched first decides which is right
    columns = {"half": ["game_1_H1"] * 3, "frame": [100, 110, 500], "team": [0] * 3, "jersey": [9] * 3,
               "class": [2] * 3, "score": [0.5, 0.5, 0.5]}  # fmt: skip
    made = make_events(["game_1_H1"], columns)
    truth = make_events(["game_1_H1"], {name: columns[name][:1] for name in columns if name != "score"})
    seen = made.with_table(made.table.assign(score=[0.2, 0.9, 0.4]))
    fitted = [
        fit_gate(
            made.with_table(made.table.iloc[list(order)]), detection_evidence(seen), truth, window=0, pseudo_events=0
        )
        for order in permutations(range(3))
    ]
    assert all(gate == fitted[0] for gate in fitted)
    crowded = [random_events(np.random.default_rng(k), 400, HALVES, truth=k == 0, frames=300) for k in range(3)]
    truth, made, seen = crowded
    for seed in range(5):
        shuffled = made.with_table(made.table.sample(frac=1, random_state=seed))
        evidence = detection_evidence(seen)
        assert fit_gate(shuffled, evidence, truth, pseudo_events=0) == fit_gate(made, evidence, truth, pseudo_events=0)


def test_infinite_shrinkage_is_no_gate():
    made, evidence, truth = season(0)
    assert fit_gate(made, evidence, truth, pseudo_events=1e9).thresholds == {}
    thresholds = [fit_gate(made, evidence, truth, pseudo_events=k).thresholds for k in (0, 5, 40)]
    assert len(thresholds[0]) >= len(thresholds[1]) >= len(thresholds[2])


def test_scores_that_are_not_evaluated_are_not_fitted_to():
    made, evidence, truth = season(0)
    low = made.with_table(made.table.assign(score=np.where(np.arange(len(made)) % 3 == 0, 0.1, made.table["score"])))
    without = low.with_table(low.table[low.table["score"] >= 0.15])
    assert fit_gate(low, evidence, truth) == fit_gate(without, evidence, truth)


# what has been seen


def permuted(truth: Events, game: int, seed: int) -> Events:
    """The same truth with the labels of one match permuted: who did what, when."""
    table, rng = truth.table.copy(), np.random.default_rng(seed)
    rows = table.index[table["half"].str.startswith(f"game_{game}_")]
    for column in ("frame", "team", "jersey", "class"):
        table.loc[rows, column] = rng.permutation(table.loc[rows, column].to_numpy())
    return truth.with_table(table)


@pytest.mark.parametrize("by_score", [False, True])
def test_the_labels_of_the_reported_match_do_not_move_its_thresholds(by_score: bool):
    made, evidence, truth = season(2)
    evidence = None if by_score else evidence
    gates = leave_one_match_out(made, evidence, truth, pseudo_events=0)
    for game in truth.games:
        lied_to = permuted(truth, game, seed=game)
        assert evaluate(made, lied_to).micro_f1 < evaluate(made, truth).micro_f1
        others = leave_one_match_out(made, evidence, lied_to, pseudo_events=0)
        assert others[game] == gates[game]
        # the test can tell: the gates that did see these labels have moved
        assert all(others[k].thresholds != gates[k].thresholds for k in truth.games if k != game)


def test_each_match_gets_the_gate_of_the_others():
    made, evidence, truth = season(0)
    gates = leave_one_match_out(made, evidence, truth)
    assert list(gates) == [1, 2, 3]
    assert gates[1].fitted_on == ("game_2_H1", "game_3_H1", "game_3_H2")
    assert gates[2] == replace(fit_gate(made, evidence, truth.select_games([1, 3])), way="leave one match out")
    with pytest.raises(FootpassError, match=r"expected two matches or more, found \(2,\)"):
        leave_one_match_out(made, evidence, truth.select_games([2]))


def test_a_report_gates_each_match_with_its_own_gate():
    made, evidence, truth = season(0)
    gates = leave_one_match_out(made, evidence, truth, pseudo_events=0)
    result = report(gates, made, evidence, truth)
    parts = [gates[k].apply(made.select_games([k]), evidence).events.table for k in gates]
    columns = ["half", "frame", "team", "jersey", "class", "score"]
    gated = result.step.events.table[columns]
    expected = pd.concat(parts)[columns].sort_values(columns, ignore_index=True)
    pd.testing.assert_frame_equal(gated.sort_values(columns, ignore_index=True), expected)
    assert len(result.step.changes) == len(made)
    assert result.scores.macro_f1 == evaluate(result.step.events, truth).macro_f1
    assert (result.way, result.in_sample) == ("leave one match out", False)


def test_a_report_on_fitted_matches_is_refused_unless_told_so():
    made, evidence, truth = season(0)
    fitted = fit_gate(made, evidence, truth.select(["game_1_H1"]))
    for reported in ((1,), (1, 2)):  # the other half of a match is the same match
        with pytest.raises(FootpassError, match="the gate of match 1 was fitted on that match; expected other matches"):
            report(fitted, made, evidence, truth.select_games(reported))
    with pytest.raises(FootpassError, match="match 1 was fitted"):
        report(fitted, made, evidence, truth.select(["game_1_H2"]))
    marked = report(fitted, made, evidence, truth, in_sample=True)
    assert (marked.in_sample, marked.way) == (True, "in-sample")
    elsewhere = report(fitted, made, evidence, truth.select_games([2, 3]), in_sample=True)
    assert (elsewhere.in_sample, elsewhere.way) == (False, "other matches")  # allowed, but it was not
    with pytest.raises(FootpassError, match=r"match 3 has no gate; there are gates of \[2\]"):
        report({2: fitted}, made, evidence, truth.select_games([2, 3]))


def test_a_report_tells_a_record_which_calibration_it_used():
    made, evidence, truth = season(0)
    gates = leave_one_match_out(made, evidence, truth, window=6, missing="keep")
    details = json.loads(json.dumps(report(gates, made, evidence, truth).details(), allow_nan=False))
    assert (details["calibration"], details["in_sample"]) == ("leave one match out", False)
    assert details["gates"]["2"]["fitted_on"] == ["game_1_H1", "game_1_H2", "game_3_H1", "game_3_H2"]
    assert details["gates"]["2"]["thresholds"] == gates[2].thresholds
    assert (details["gates"]["2"]["window"], details["gates"]["2"]["missing"]) == (6, "keep")


def test_a_gate_applies_its_own_window_and_rule():
    made, evidence, _ = season(0)
    thresholds = {"pass": 0.5, "tackle": 0.3}
    for window, missing in ((0, "drop"), (30, "keep")):
        applied = CalibratedGate(thresholds, (), "other matches", window, missing).apply(made, evidence)
        expected = gate(made, evidence, thresholds, window, missing)
        pd.testing.assert_frame_equal(applied.changes, expected.changes)


# without labels


def schedule(counts: dict[str, int], minutes: float, scores: dict[str, list[float]] | None = None) -> Events:
    """Events of one half that lasts some minutes, evenly spread; the first class has the first and the last event."""
    labels = [CLASS_ID[name] for name, n in counts.items() for _ in range(n)]
    order = [0, *range(2, len(labels)), 1]  # two events of the first class at the ends
    frames = np.round(np.linspace(0, minutes * 1500 - 1, len(labels))).astype(int)
    columns = {"half": ["game_9_H1"] * len(labels), "frame": frames, "team": [0] * len(labels),
               "jersey": np.arange(len(labels)) % 11, "class": np.array(labels)[order]}  # fmt: skip
    if scores:
        columns["score"] = np.array([s for name, n in counts.items() for s in scores.get(name, [1.0] * n)])[order]
    return make_events(["game_9_H1"], columns)


def test_the_training_rate_by_hand():
    training = schedule({"pass": 40, "tackle": 2, "shot": 1, "header": 3}, minutes=10)
    # twenty minutes: 80 passes, 4 tackles, 2 shots and 6 headers are to be expected, and no block
    scores = {"tackle": [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], "shot": [0.9, 0.5, 0.5, 0.5], "header": [0.5] * 6,
              "block": [0.3, 0.9]}  # fmt: skip
    made = schedule({"pass": 50, "tackle": 6, "shot": 4, "header": 6, "block": 2}, minutes=20, scores=scores)
    fitted = fit_rate_gate(made, None, training)
    # of shots 1 or 4 may pass, of which 1 is nearer to 2; one block remains
    assert fitted.thresholds == pytest.approx({"tackle": 0.55, "shot": 0.7, "block": 0.6})
    assert (fitted.fitted_on, fitted.way) == ((), "training rate")
    with pytest.raises(FootpassError, match="no event in the ground truth of training"):
        fit_rate_gate(made, None, training.with_table(training.table.iloc[:0]))


def test_the_training_rate_reaches_the_counts_that_it_aims_at():
    made, evidence, truth = season(3)
    training = schedule({"drive": 60, "pass": 3}, minutes=25)
    for missing in ("drop", "keep"):
        fitted = fit_rate_gate(made, evidence, training, missing=missing, classes=["pass", "drive"])
        result = report(fitted, made, evidence, truth)
        assert (result.way, result.in_sample) == ("training rate", False)
        minutes = sum(np.ptp(frames) + 1 for _, frames in made.table.groupby("half")["frame"]) / 1500
        after = result.step.events.table["class"]
        value = strength(made, evidence)[made.table["class"] == CLASS_ID["pass"]]
        unseen = np.isnan(value).sum() if missing == "keep" else 0
        # strengths come in twentieths, so several events share one
        assert abs((after == CLASS_ID["pass"]).sum() - max(3 * minutes / 25, unseen)) < 12
        assert (after == CLASS_ID["drive"]).sum() > 40


# the official files


@pytest.mark.parametrize("n_games", [1, 2, 3])
def test_any_matches_that_are_there_will_do(public_files, n_games: int):
    for games in combinations(public_files.val_truth.games, n_games):
        made, truth = (events.select_games(games) for events in (public_files.dst_corrected, public_files.val_truth))
        base, fitted = evaluate(made, truth).macro_f1, fit_gate(made, None, truth)
        assert report(fitted, made, None, truth, in_sample=True).scores.macro_f1 >= base
        if n_games > 1:
            gates = leave_one_match_out(made, None, truth)
            assert tuple(gates) == games and all(game not in gates[game].games for game in games)
            assert not report(gates, made, None, truth).in_sample
        else:
            with pytest.raises(FootpassError, match="expected two matches or more"):
                leave_one_match_out(made, None, truth)


def test_two_matches_are_too_few_to_fit_a_gate_on_one(public_files):
    """Left out, the shrunk score gate gains on three official matches, and loses on two of the three pairs."""
    made, truth, gains = public_files.dst_corrected, public_files.val_truth, {}
    if truth.games != OFFICIAL_GAMES:
        pytest.skip("not all official matches are here")
    for games in (truth.games, *combinations(truth.games, 2)):
        events, real = (each.select_games(games) for each in (made, truth))
        gated = report(leave_one_match_out(events, None, real), events, None, real)
        gains[games] = gated.scores.macro_f1 - evaluate(events, real).macro_f1
    assert gains[truth.games] == pytest.approx(0.0079, abs=5e-5)
    assert sum(gain < 0 for games, gain in gains.items() if len(games) == 2) == 2


def test_tuning_on_the_reported_matches_flatters(public_files):
    made, truth = public_files.dst_corrected, public_files.val_truth
    if len(truth.games) < 2:
        pytest.skip("one match only: none is left to fit on")
    base = evaluate(made, truth).macro_f1
    for pseudo_events, margin in ((0.0, 0.005), (calibration.PSEUDO_EVENTS, 0.0)):
        fitted = fit_gate(made, None, truth, pseudo_events=pseudo_events)
        seen = report(fitted, made, None, truth, in_sample=True)
        unseen = report(leave_one_match_out(made, None, truth, pseudo_events=pseudo_events), made, None, truth)
        assert seen.in_sample and not unseen.in_sample
        assert seen.scores.macro_f1 > max(base, unseen.scores.macro_f1) + margin


def test_shrinkage_leaves_the_rarest_class_of_the_official_file_alone(public_files):
    made, truth = public_files.dst_corrected, public_files.val_truth.select_games([18, 24])
    assert "tackle" in fit_gate(made, None, truth, pseudo_events=0).thresholds  # 5 predictions, 1 of them right
    assert "tackle" not in fit_gate(made, None, truth).thresholds
