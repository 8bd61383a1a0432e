"""Candidates, their features, the grammar, thresholds."""

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import random_events
from sklearn.linear_model import LogisticRegression

from footpass_lib.events.playbyplay import make_events
from footpass_lib.events.timeline import make_timeline, near_pairs, sequence_neighbours
from footpass_lib.rescoring.candidates import join_systems, match_truth
from footpass_lib.rescoring.features import GAP_EDGES, describe, describe_cleaned, learn_language
from footpass_lib.rescoring.settings import RescoringSettings, rescoring_settings
from footpass_lib.rescoring.thresholds import Thresholds, as_scores, expected_f1, fit_coverage, fit_thresholds
from footpass_lib.schema import DETECTION_THRESHOLD, FootpassError

HALVES = ("game_3_H1", "game_3_H2")


def events(rows, halves=HALVES):
    """Events from (half number, frame, team, jersey, class[, score])."""
    names = ("frame", "team", "jersey", "class", "score")
    columns = {name: [row[i + 1] for row in rows] for i, name in enumerate(names[: len(rows[0]) - 1])}
    return make_events(halves, {"half": [halves[row[0] - 1] for row in rows], **columns})


def crowd(seed=0, n=120):
    rng = np.random.default_rng(seed)
    return tuple(random_events(rng, n, HALVES, truth=False, frames=900) for _ in range(2))


def test_systems_are_joined_by_player_class_and_time():
    dst = events([(1, 100, 0, 7, 2, 0.9), (1, 300, 0, 7, 2, 0.8), (2, 100, 0, 7, 2, 0.7)])
    taad = events([(1, 112, 0, 7, 2, 0.6), (1, 313, 0, 7, 2, 0.5), (1, 100, 0, 8, 2, 0.4), (2, 100, 0, 7, 1, 0.3)])
    table = join_systems(dst, taad)
    shown = table[["half", "frame", "jersey", "class", "dst", "taad", "dst_frame", "taad_frame"]].fillna(0)
    assert shown.to_numpy().tolist() == [
        ["game_3_H1", 99, 7, 2, 0.9, 0.6, 100, 112],  # one frame before DST's
        ["game_3_H1", 100, 8, 2, 0.0, 0.4, -1, 100],
        ["game_3_H1", 299, 7, 2, 0.8, 0.0, 300, -1],  # 13 frames apart: two candidates
        ["game_3_H1", 313, 7, 2, 0.0, 0.5, -1, 313],
        ["game_3_H2", 99, 7, 2, 0.7, 0.0, 100, -1],
        ["game_3_H2", 100, 7, 1, 0.0, 0.3, -1, 100],
    ]


def test_a_third_system_joins_what_the_two_have_made():
    dst = events([(1, 100, 0, 7, 2, 0.9)])
    taad = events([(1, 104, 0, 7, 2, 0.6), (1, 300, 0, 8, 1, 0.5)])
    third = events([(1, 310, 0, 8, 1, 0.8), (1, 111, 0, 7, 2, 0.7), (2, 50, 1, 9, 6, 0.4)])
    table = join_systems(dst, taad, third)
    shown = table[["half", "frame", "jersey", "dst", "taad", "third", "dst_frame", "taad_frame", "third_frame"]]
    assert shown.fillna(0).to_numpy().tolist() == [
        ["game_3_H1", 99, 7, 0.9, 0.6, 0.7, 100, 104, 111],
        ["game_3_H1", 300, 8, 0.0, 0.5, 0.8, -1, 300, 310],
        ["game_3_H2", 50, 9, 0.0, 0.0, 0.4, -1, -1, 50],
    ]
    two = join_systems(dst, taad)
    pd.testing.assert_frame_equal(table.iloc[:2][list(two)], two)
    language = learn_language(events([(1, 40 * k, k % 2, 7, 1 + k % 8) for k in range(50)]))
    names = set(describe(table, language).names)
    assert {"third", "third to dst"} < names and "third" not in describe(two, language).names


def test_of_duplicates_of_one_system_the_best_is_left():
    dst = events([(1, 100, 0, 7, 2, 0.6), (1, 108, 0, 7, 2, 0.9)])
    nothing = make_events(HALVES, {name: [] for name in ("half", "frame", "team", "jersey", "class", "score")})
    assert join_systems(dst, nothing)["dst"].tolist() == [0.9]
    assert join_systems(nothing, dst)["taad"].tolist() == [0.9]


def test_the_closest_partner_is_taken():
    dst = events([(1, 100, 0, 7, 2, 0.9)])
    taad = events([(1, 90, 0, 7, 2, 0.9), (1, 104, 0, 7, 2, 0.3)])
    table = join_systems(dst, taad, window=11)  # 14 frames apart: neither TAAD event suppresses the other
    assert table.loc[table["dst"].notna(), "taad_frame"].tolist() == [104]


def test_order_of_rows_does_not_matter():
    dst, taad = crowd()
    expected = join_systems(dst, taad)
    rng = np.random.default_rng(1)
    mixed = [e.with_table(e.table.sample(frac=1, random_state=rng)) for e in (dst, taad)]
    pd.testing.assert_frame_equal(join_systems(*mixed), expected)


def test_refusals_of_candidates():
    dst, taad = crowd()
    with pytest.raises(FootpassError, match="game_3_H2: not all systems have this half"):
        join_systems(dst, taad.select(HALVES[:1]))
    with pytest.raises(FootpassError, match="game_3_H1, row 0: has no score"):
        join_systems(events([(1, 5, 0, 7, 2)]), taad)


def test_labels_are_one_to_one_and_within_tolerance():
    dst = events([(1, 100, 0, 7, 2, 0.9), (1, 120, 0, 7, 2, 0.4), (1, 120, 0, 7, 3, 0.4), (1, 120, 1, 7, 2, 0.4)])
    nothing = dst.with_table(dst.table.iloc[:0])
    candidates = join_systems(dst, nothing)
    truth = events([(1, 111, 0, 7, 2), (1, 119, 1, 7, 2), (2, 120, 0, 7, 3)])
    row = match_truth(candidates, truth)
    by_frame = dict(
        zip(zip(candidates["frame"], candidates["team"], candidates["class"], strict=True), row, strict=True)
    )
    assert by_frame == {(99, 0, 2): -1, (119, 0, 2): 0, (119, 0, 3): -1, (119, 1, 2): 1}


def test_players_keep_their_number_when_the_teams_change_ends():
    line = make_timeline(events([(1, 1, 0, 7, 2), (1, 2, 1, 7, 2), (2, 1, 0, 7, 2), (2, 2, 1, 7, 2)]).table)
    assert line.player[0] == line.player[3] and line.player[1] == line.player[2] and line.player[0] != line.player[1]


def test_near_pairs_as_a_double_loop_finds_them():
    candidates = join_systems(*crowd())
    line = make_timeline(candidates)
    half, frame = candidates["half"].tolist(), candidates["frame"].tolist()
    expected = [
        (i, j, frame[j] - frame[i])
        for i, j in itertools.product(range(len(half)), repeat=2)
        if i != j and half[i] == half[j] and abs(frame[i] - frame[j]) <= 30
    ]
    pairs = near_pairs(line, 30)
    assert list(zip(*(column.tolist() for column in pairs), strict=True)) == expected


def test_neighbours_pass_over_rivals_and_halves():
    rows = [(1, 100, 0, 7, 2), (1, 140, 0, 8, 2), (1, 144, 0, 8, 3), (1, 170, 1, 4, 2), (2, 10, 0, 7, 2)]
    line = make_timeline(events(rows).table)
    before, after = sequence_neighbours(line, np.ones(5, bool), 2, rival_window=8)
    assert before.tolist() == [[-1, -1], [0, -1], [0, -1], [2, 1], [-1, -1]]
    assert after.tolist() == [[1, 2], [3, -1], [3, -1], [-1, -1], [-1, -1]]
    member = np.array([False, True, False, False, False])
    before, after = sequence_neighbours(line, member, 1, rival_window=8)
    assert before[:, 0].tolist() == [-1, -1, -1, 1, -1] and after[:, 0].tolist() == [1, -1, -1, -1, -1]


def test_grammar_counts_what_follows_what():
    rows = [(1, 100 * k, 0, 7, 1 + k % 2) for k in range(41)]  # drive, pass, drive, ... of one player
    language = learn_language(events(rows), pseudo_count=1e-9)
    gap, same = np.array([100]), np.array([0])
    assert language.after(np.array([1]), np.array([2]), same, gap)[0] == pytest.approx(0.0, abs=1e-6)  # always: log 1
    assert language.after(np.array([1]), np.array([2]), np.array([3]), gap)[0] == 0.0  # nobody says nothing
    smooth = learn_language(events(rows), pseudo_count=0.5)
    cells = 8 * 3 * (len(GAP_EDGES) + 1)
    assert smooth.after(np.array([1]), np.array([2]), same, gap)[0] == pytest.approx(np.log(20.5 / (20 + 0.5 * cells)))
    never = smooth.after(np.array([1]), np.array([7]), same, gap)[0]
    assert never == pytest.approx(np.log(0.5 / (20 + 0.5 * cells)))


def test_features_are_finite_and_named_once():
    candidates = join_systems(*crowd())
    language = learn_language(events([(1, 40 * k, k % 2, 7, 1 + k % 8) for k in range(50)]))
    for table in (
        describe(candidates, language),
        describe_cleaned(candidates, language, np.full(len(candidates), 0.4)),
    ):
        assert table.values.shape == (len(candidates), len(table.names)) and table.values.dtype == np.float32
        assert np.isfinite(table.values).all() and len(set(table.names)) == len(table.names)


def test_features_of_a_half_do_not_depend_on_other_matches():
    dst, taad = crowd()
    others = tuple(name.replace("_3_", "_5_") for name in HALVES)
    both = []
    for made in (dst, taad):
        copy = made.table.assign(half=made.table["half"].str.replace("_3_", "_5_"))
        table = pd.concat([made.table, copy])[["half", "frame", "team", "jersey", "class", "score"]]
        both.append(make_events(HALVES + others, table.to_dict("list")))
    language = learn_language(events([(1, 40 * k, k % 2, 7, 1 + k % 8) for k in range(50)]))
    alone = describe(join_systems(dst, taad), language).values
    together = describe(join_systems(*both), language).values
    assert np.array_equal(together[: len(alone)], alone)
    assert np.array_equal(together[len(alone) :], alone)


def test_nearby_features_tell_who_and_when():
    dst = events([(1, 100, 0, 7, 2, 0.9), (1, 130, 0, 8, 1, 0.8), (1, 135, 1, 9, 7, 0.4)])
    candidates = join_systems(dst, dst.with_table(dst.table.iloc[:0]))
    language = learn_language(events([(1, 40 * k, k % 2, 7, 1 + k % 8) for k in range(50)]))
    table = describe(candidates, language)
    column = {name: table.values[:, i] for i, name in enumerate(table.names)}
    assert column["dst: team-mate, drive, after"] == pytest.approx([0.8, 0, 0])
    assert column["dst: opponent, tackle, at once"] == pytest.approx([0, 0.4, 0])
    assert column["dst: opponent, pass, before"] == pytest.approx([0, 0, 0.9])
    assert column["dst: 1 before, gap"].tolist() == [1500, 30, 5]


def test_expected_f1_is_near_its_mean_over_draws():
    rng = np.random.default_rng(0)
    chance = rng.random(300)
    right = rng.random((2000, 300)) < chance
    order = np.argsort(-chance)
    hits = np.cumsum(right[:, order], axis=1)
    drawn = 2 * hits / (np.arange(1, 301) + right.sum(axis=1, keepdims=True))
    assert expected_f1(chance, chance.sum()) == pytest.approx(drawn.mean(axis=0), abs=0.01)


def test_choice_is_the_best_threshold_of_each_class():
    rng = np.random.default_rng(3)
    chance, class_id = rng.random(60).round(3), rng.integers(1, 4, 60)
    thresholds = Thresholds(LogisticRegression(), np.full(9, 0.8))
    kept = thresholds.choose(chance, class_id)
    for number in (1, 2, 3):
        mine = class_id == number
        n_events = chance[mine].sum() / 0.8
        values = {
            c: 2 * chance[mine & (chance >= c)].sum() / ((mine & (chance >= c)).sum() + n_events) for c in chance[mine]
        }
        assert chance[mine & kept].min() == max(values, key=values.get)
    assert not thresholds.choose(np.zeros(0), np.zeros(0, int)).size


def test_calibration_mends_overconfidence():
    rng = np.random.default_rng(5)
    odds, class_id = rng.normal(0, 2, 4000), rng.integers(1, 9, 4000)
    right = rng.random(4000) < 1 / (1 + np.exp(-odds / 2))  # the truth is half as sure
    chance = 1 / (1 + np.exp(-odds))
    mended = fit_thresholds(chance, class_id, right, np.full(9, 500)).calibrate(chance, class_id)
    assert np.abs(mended - 1 / (1 + np.exp(-odds / 2))).mean() < 0.03


def test_a_class_with_few_candidates_is_calibrated_like_all():
    rng = np.random.default_rng(6)
    odds = rng.normal(0, 2, 3000)
    class_id = np.where(np.arange(3000) < 2, 7, 2)
    right = rng.random(3000) < 1 / (1 + np.exp(-odds))
    right[:2] = True
    chance = np.array([0.3, 0.3])
    fitted = fit_thresholds(1 / (1 + np.exp(-odds)), class_id, right, np.full(9, 500))
    few, many = fitted.calibrate(chance, np.array([7, 2]))
    assert many == pytest.approx(0.3, abs=0.04) and few == pytest.approx(many, abs=0.15)


def test_coverage_shrinks_toward_the_whole():
    covered, n = np.zeros(9, int), np.zeros(9, int)
    n[2], covered[2], n[7], covered[7] = 1000, 800, 2, 0
    share = fit_coverage(covered, n)
    assert share[2] == pytest.approx(0.8, abs=0.001) and 0.7 < share[7] < 0.8


def test_scores_keep_their_order_and_are_evaluated():
    chance = np.linspace(0, 1, 50)
    scores = as_scores(chance)
    assert (np.diff(scores) > 0).all() and scores[0] > DETECTION_THRESHOLD and scores[-1] == 1.0


def test_settings():
    assert rescoring_settings("smoke").seeds == 1 and rescoring_settings("embedded") == RescoringSettings()
    with pytest.raises(FootpassError, match="unknown profile 'tiny'"):
        rescoring_settings("tiny")
    for wrong in ({"iterations": 0}, {"trees": 0}, {"seeds": -1}):
        with pytest.raises(FootpassError, match=f"{next(iter(wrong))}="):
            replace(RescoringSettings(), **wrong)
