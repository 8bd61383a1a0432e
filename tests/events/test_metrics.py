import numpy as np
import pandas as pd
import pytest
from conftest import random_events

from footpass_lib.events import bootstrap, metrics
from footpass_lib.events.metrics import match_events
from footpass_lib.events.playbyplay import make_events
from footpass_lib.schema import EVENT_CLASSES, FootpassError
from footpass_lib.study.paper import OFFICIAL_F1, OFFICIAL_GAMES

HALF = "game_0_H1"


def events(*rows, halves=(HALF,), truth=False):
    """Events of one half from (frame, team, jersey, class, score) or, for truth, (frame, team, jersey, class)."""
    columns = (
        dict(zip(("frame", "team", "jersey", "class", "score"), zip(*rows, strict=True), strict=False)) if rows else {}
    )
    columns = columns or {name: [] for name in ("frame", "team", "jersey", "class")}
    if truth:
        columns |= {"box": [1] * len(rows), "replay": [0] * len(rows)}
    return make_events(halves, {"half": [halves[0]] * len(rows), **columns})


def counts(predictions, truth, **protocol):
    return metrics.class_counts(match_events(predictions, truth, **protocol)).sum(axis=0).tolist()


# hand-made cases


def test_tolerance_is_inclusive():
    truth = events((100, 0, 7, 2), truth=True)
    for frame, expected in ((88, [1, 0, 0]), (112, [1, 0, 0]), (87, [0, 1, 1]), (113, [0, 1, 1])):
        assert counts(events((frame, 0, 7, 2, 0.9)), truth) == expected
    assert counts(events((113, 0, 7, 2, 0.9)), truth, tolerance=13) == [1, 0, 0]


@pytest.mark.parametrize("wrong", [(100, 1, 7, 2), (100, 0, 8, 2), (100, 0, 7, 1)])
def test_team_jersey_and_class_must_agree(wrong):
    assert counts(events((*wrong, 0.9)), events((100, 0, 7, 2), truth=True)) == [0, 1, 1]


def test_low_scores_are_dropped_and_the_threshold_itself_is_kept():
    truth = events((100, 0, 7, 2), truth=True)
    assert counts(events((100, 0, 7, 2, 0.1499)), truth) == [0, 0, 1]
    assert counts(events((100, 0, 7, 2, 0.15)), truth) == [1, 0, 0]


def test_the_confident_prediction_chooses_first_even_if_it_is_farther():
    truth = events((100, 0, 7, 2), truth=True)
    matching = match_events(events((100, 0, 7, 2, 0.5), (110, 0, 7, 2, 0.6)), truth)
    assert matching.predictions["tp"].tolist() == [False, True]
    assert matching.predictions["offset"].tolist() == [0, 10]


def test_the_closest_free_event_is_taken_and_the_earlier_of_two_as_close():
    truth = events((90, 0, 7, 2), (104, 0, 7, 2), truth=True)
    matching = match_events(events((98, 0, 7, 2, 0.9), (99, 0, 7, 2, 0.8)), truth)
    assert matching.predictions["truth_row"].tolist() == [1, 0]
    tie = events((90, 0, 7, 2), (110, 0, 7, 2), truth=True)
    assert match_events(events((100, 0, 7, 2, 0.9)), tie).predictions["truth_row"].tolist() == [0]


def test_tied_scores_go_in_the_order_of_the_file():
    truth = events((100, 0, 7, 2), truth=True)
    first = match_events(events((105, 0, 7, 2, 0.5), (100, 0, 7, 2, 0.5)), truth)
    assert first.predictions["tp"].tolist() == [True, False]


def test_scores_of_a_hand_counted_case():
    truth = events((10, 0, 1, 1), (50, 0, 1, 1), (90, 0, 1, 2), (130, 1, 1, 7), truth=True)
    made = events((10, 0, 1, 1, 0.9), (90, 0, 1, 2, 0.9), (91, 0, 1, 2, 0.8), (200, 0, 1, 2, 0.7))
    scores = metrics.evaluate(made, truth)
    assert scores.per_class.loc["drive", ["tp", "fp", "fn"]].tolist() == [1, 0, 1]
    assert scores.per_class.loc["pass", ["tp", "fp", "fn"]].tolist() == [1, 2, 0]
    assert scores.per_class.loc["tackle", ["tp", "fp", "fn"]].tolist() == [0, 0, 1]
    assert scores.per_class["f1"].to_dict() == pytest.approx(
        dict.fromkeys(EVENT_CLASSES, 0.0) | {"drive": 2 / 3, "pass": 0.5}
    )
    assert scores.macro_f1 == pytest.approx((2 / 3 + 0.5) / 8)
    assert (scores.precision, scores.recall, scores.micro_f1) == pytest.approx((2 / 4, 2 / 4, 0.5))
    assert scores.as_dict()["per_class"]["pass"] == {
        "tp": 1,
        "fp": 2,
        "fn": 0,
        "precision": 1 / 3,
        "recall": 1.0,
        "f1": 0.5,
    }


def test_average_precision_by_hand():
    # Ranking TP, FP, TP over four events: recall .25 at precision 1, recall .5 at precision 2/3, nothing beyond.
    truth = events(*[(100 * i, 0, 1, 2) for i in range(4)], truth=True)
    made = events((0, 0, 1, 2, 0.9), (50, 0, 1, 2, 0.8), (100, 0, 1, 2, 0.7))
    ap = metrics.average_precision(match_events(made, truth, threshold=0))
    assert ap["pass"] == pytest.approx((3 * 1 + 3 * 2 / 3) / 11)  # recalls 0, .1, .2 and .3, .4, .5
    assert np.isnan(ap["drive"]) and ap["mAP"] == ap["pass"]


def test_recall_splits_by_hand():
    truth = make_events([HALF], {
        "half": [HALF] * 4, "frame": [0, 100, 200, 300], "team": [0] * 4, "jersey": [1] * 4, "class": [1, 1, 1, 2],
        "box": [1, 1, 0, 0], "replay": [0, 0, 0, 1],
    })  # fmt: skip
    table = metrics.recall_splits(match_events(events((0, 0, 1, 1, 0.9), (200, 0, 1, 1, 0.9)), truth))
    assert table.loc["drive", ("with box", "recall")] == 0.5 and table.loc["drive", ("without box", "recall")] == 1.0
    assert table.loc["all", ("replay", "n")] == 1 and table.loc["all", ("replay", "found")] == 0
    assert np.isnan(table.loc["pass", ("live", "recall")])
    with pytest.raises(FootpassError, match="box and replay"):
        metrics.recall_splits(match_events(events((0, 0, 1, 1, 0.9)), events((0, 0, 1, 1))))


# halves


def two_halves():
    columns = {"half": [HALF, "game_0_H2"], "frame": [10, 90], "team": [0, 0], "jersey": [1, 1], "class": [1, 1]}
    return make_events([HALF, "game_0_H2"], columns | {"box": [1, 1], "replay": [0, 0]})


def test_a_missing_half_counts_as_missed_with_a_warning():
    with pytest.warns(UserWarning, match="no predictions for game_0_H2"):
        assert counts(events((10, 0, 1, 1, 0.9)), two_halves()) == [1, 0, 1]


def test_a_missing_half_can_be_refused_or_skipped():
    made = events((10, 0, 1, 1, 0.9))
    with pytest.raises(FootpassError, match="no predictions for game_0_H2"):
        match_events(made, two_halves(), missing="error")
    assert counts(made, two_halves(), missing="skip") == [1, 0, 0]
    with pytest.raises(FootpassError, match="missing must be"):
        match_events(made, two_halves(), missing="ignore")


def test_an_empty_half_that_is_named_is_not_missing():
    made = make_events([HALF, "game_0_H2"], {k: [] for k in ("half", "frame", "team", "jersey", "class", "score")})
    assert counts(made, two_halves(), missing="error") == [0, 0, 2]


def test_predictions_without_ground_truth_are_ignored_with_a_warning():
    made = events((10, 0, 1, 1, 0.9), halves=("game_5_H1",))
    with pytest.warns(UserWarning) as caught:
        assert counts(made, events((10, 0, 1, 1), truth=True)) == [0, 0, 1]
    assert any("no ground truth for game_5_H1" in str(w.message) for w in caught)
    with pytest.raises(FootpassError, match="name different halves"):
        match_events(made, events((10, 0, 1, 1), truth=True), missing="error")


# against a slow, obvious reference


def reference_counts(predictions, truth, threshold, tolerance):
    """The protocol written down literally."""
    result = np.zeros((8, 3), dtype=int)
    key = ["frame", "team", "jersey", "class"]
    for half in truth.halves:
        mine_all, real_all = (e.table[e.table["half"] == half] for e in (predictions, truth))
        made = [tuple(r) for r in mine_all[[*key, "score"]].to_numpy()]
        real = [tuple(r) for r in real_all[key].to_numpy()]
        for group in {r[1:4] for r in [*made, *real]}:
            free = [r[0] for r in real if r[1:4] == group]
            mine = [r for r in made if r[1:4] == group and r[4] >= threshold]
            kind = int(group[2]) - 1
            for prediction in sorted(mine, key=lambda r: -r[4]):
                near = [f for f in free if abs(f - prediction[0]) <= tolerance]
                if near:
                    free.remove(min(near, key=lambda f: abs(f - prediction[0])))
                    result[kind, 0] += 1
                else:
                    result[kind, 1] += 1
            result[kind, 2] += len(free)
    return result


@pytest.mark.parametrize("seed", range(20))
def test_matches_the_reference_on_random_events(seed):
    rng = np.random.default_rng(seed)
    halves = ("game_1_H1", "game_1_H2")
    truth = random_events(rng, 120, halves, truth=True)
    made = random_events(rng, 200, halves, truth=False)
    for threshold, tolerance in ((0.15, 12), (0.5, 3), (0.0, 40)):
        matching = match_events(made, truth, threshold=threshold, tolerance=tolerance)
        assert (metrics.class_counts(matching) == reference_counts(made, truth, threshold, tolerance)).all()


def test_invariances():
    rng = np.random.default_rng(0)
    truth = random_events(rng, 100, (HALF,), truth=True)
    made = random_events(rng, 150, (HALF,), truth=False)
    made = made.with_table(made.table.assign(score=rng.permutation(np.linspace(0.2, 0.9, 150))))  # no ties
    base = metrics.class_counts(match_events(made, truth))
    shuffled = made.with_table(made.table.sample(frac=1, random_state=1))
    assert (metrics.class_counts(match_events(shuffled, truth)) == base).all()
    moved = [e.with_table(e.table.assign(frame=e.table["frame"] + 1000)) for e in (made, truth)]
    assert (metrics.class_counts(match_events(*moved)) == base).all()
    perfect = truth.with_table(truth.table.assign(score=1.0))
    assert metrics.evaluate(perfect, truth).macro_f1 == 1.0


def test_a_higher_threshold_is_a_prefix_of_the_ranking():
    rng = np.random.default_rng(3)
    truth = random_events(rng, 150, (HALF,), truth=True)
    made = random_events(rng, 250, (HALF,), truth=False)
    ranking = match_events(made, truth, threshold=0)
    curve = metrics.precision_recall_curve(ranking).set_index("threshold")
    for threshold in (0.0, 0.25, 0.5, 0.875, 1.0):
        direct = match_events(made, truth, threshold=threshold)
        assert (metrics.class_counts(ranking.at(threshold)) == metrics.class_counts(direct)).all()
        pd.testing.assert_frame_equal(ranking.at(threshold).truth, direct.truth)
        assert curve.loc[threshold, "f1"] == pytest.approx(metrics.score(direct).micro_f1)
        row = metrics.summary(ranking, threshold)
        assert (row["threshold"], row["macro_f1"]) == (threshold, metrics.score(direct).macro_f1)
        assert row["mAP"] == metrics.average_precision(ranking)["mAP"]


# bootstrap


@pytest.fixture()
def two_systems():
    rng = np.random.default_rng(5)
    halves = ("game_1_H1", "game_1_H2")
    truth = random_events(rng, 600, halves, truth=True, frames=45_000)
    good = truth.with_table(truth.table.assign(score=0.9).sample(frac=0.8, random_state=0))
    bad = truth.with_table(truth.table.assign(score=0.9).sample(frac=0.5, random_state=1))
    return match_events(good, truth), match_events(bad, truth)


def test_blocks_hold_every_count_once(two_systems):
    for matching in two_systems:
        blocks = bootstrap.block_counts(matching)
        assert (blocks.sum(axis=0) == metrics.class_counts(matching)).all()
    assert len(bootstrap.block_counts(two_systems[0])) == 2 * 15


def test_blocks_place_a_true_positive_with_its_event_and_strays_at_the_edge():
    truth = events((0, 0, 1, 1), (2999, 0, 1, 1), (6000, 0, 1, 1), truth=True)
    made = events((3005, 0, 1, 1, 0.9), (99_999, 0, 1, 2, 0.9))
    blocks = bootstrap.block_counts(match_events(made, truth))
    assert blocks.shape == (3, 8, 3)
    assert blocks[:, 0].tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 1]] and blocks[2, 1].tolist() == [0, 1, 0]


def test_a_half_without_events_is_one_block():
    truth = events((0, 0, 1, 1), (6000, 0, 1, 1), halves=(HALF, "game_0_H2"), truth=True)
    made = events((70_000, 1, 4, 3, 0.9), halves=("game_0_H2", HALF))
    blocks = bootstrap.block_counts(match_events(made, truth))
    assert blocks.shape == (4, 8, 3)
    assert blocks.sum(axis=(1, 2)).tolist() == [1, 0, 1, 1] and blocks[3, 2].tolist() == [0, 1, 0]


def test_intervals_hold_the_estimate_and_pairing_narrows_them(two_systems):
    good, bad = two_systems
    alone = bootstrap.bootstrap(good, np.random.default_rng(0), resamples=500)
    for key in ("macro_f1", "micro_f1"):
        assert alone[key].low < alone[key].estimate < alone[key].high
        assert alone[key].estimate == pytest.approx(getattr(metrics.score(good), key))
    paired = bootstrap.bootstrap(good, np.random.default_rng(0), other=bad, resamples=500)
    expected = metrics.score(good).macro_f1 - metrics.score(bad).macro_f1
    assert paired["macro_f1"].estimate == pytest.approx(expected) and paired["macro_f1"].low > 0
    nothing = bootstrap.bootstrap(good, np.random.default_rng(0), other=good, resamples=50)["macro_f1"]
    assert (nothing.low, nothing.estimate, nothing.high) == (0, 0, 0)


def test_bootstrap_of_kept_counts_is_that_of_the_matching_and_averages_runs(two_systems):
    good, bad = map(bootstrap.block_counts, two_systems)
    direct = bootstrap.bootstrap(two_systems[0], np.random.default_rng(3), other=two_systems[1], resamples=200)
    kept = bootstrap.bootstrap_counts(good.tolist(), np.random.default_rng(3), minus=bad.tolist(), resamples=200)
    assert kept == direct
    runs = bootstrap.bootstrap_counts(np.stack([good, bad, bad]), np.random.default_rng(3), resamples=200)["macro_f1"]
    expected = np.mean([metrics.score(two_systems[i]).macro_f1 for i in (0, 1, 1)])
    assert runs.estimate == pytest.approx(expected) and runs.low < expected < runs.high
    shifted = np.roll(bad, 1, axis=0)
    with pytest.raises(FootpassError, match="same blocks"):
        bootstrap.bootstrap_counts(good, np.random.default_rng(0), minus=shifted)


def test_bootstrap_repeats_with_its_generator(two_systems):
    draws = [bootstrap.bootstrap(two_systems[0], np.random.default_rng(seed), resamples=100) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_bootstrap_agrees_with_resampling_the_events_themselves():
    # Blocks of one event each: Micro F1 = recall-like statistic of independent events, so the spread is known.
    n = 400
    truth = events(*[(3000 * i, 0, 1, 2) for i in range(n)], truth=True)
    made = events(*[(3000 * i, 0, 1, 2, 0.9) for i in range(n // 2)])
    interval = bootstrap.bootstrap(match_events(made, truth), np.random.default_rng(0), resamples=4000)["micro_f1"]
    draws = np.random.default_rng(1).binomial(n, 0.5, 100_000) / n  # recall; precision is 1
    low, high = np.quantile(2 * draws / (1 + draws), [0.025, 0.975])
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.006)


def test_bootstrap_refuses_what_cannot_be_compared(two_systems):
    other = match_events(events((10, 0, 1, 1, 0.9)), events((10, 0, 1, 1), truth=True))
    with pytest.raises(FootpassError, match="same ground truth"):
        bootstrap.bootstrap(two_systems[0], np.random.default_rng(0), other=other)
    empty = make_events([], {k: [] for k in ("half", "frame", "team", "jersey", "class", "score")})
    with pytest.raises(FootpassError, match="no half"):
        bootstrap.bootstrap(match_events(empty, empty), np.random.default_rng(0))


# the official files

OFFICIAL_COUNTS = {
    "dst": ([1089, 1403, 38, 46, 23, 26, 1, 11], [436, 434, 26, 30, 19, 71, 4, 28]),
    "taad": ([950, 1228, 41, 32, 24, 59, 4, 20], [2167, 1115, 239, 91, 171, 578, 330, 530]),
}
OFFICIAL_EVENTS = [1572, 1928, 70, 69, 41, 111, 13, 51]


@pytest.mark.parametrize("system", OFFICIAL_COUNTS)
def test_official_counts_on_games_18_and_24(public_files, system):
    truth = public_files.val_truth.select_games([18, 24])
    table = metrics.evaluate(getattr(public_files, system).select_games([18, 24]), truth).per_class
    tp, fp = OFFICIAL_COUNTS[system]
    assert table["tp"].tolist() == tp and table["fp"].tolist() == fp
    assert (table["tp"] + table["fn"]).tolist() == OFFICIAL_EVENTS


@pytest.mark.parametrize("system", OFFICIAL_COUNTS)
def test_official_f1_on_all_three_games(public_files, system):
    if public_files.val_truth.games != OFFICIAL_GAMES:
        pytest.skip("the three official validation games are not all here")
    scores = metrics.evaluate(getattr(public_files, system), public_files.val_truth)
    assert (round(scores.macro_f1, 4), round(scores.micro_f1, 4)) == OFFICIAL_F1[system.upper()]
