import numpy as np
import pytest

from footpass_lib.events import statistics
from footpass_lib.events.playbyplay import make_events


@pytest.fixture()
def play():
    """Two halves: drive, pass (same player), drive by a team-mate, tackle by an opponent | a lone shot."""
    return make_events(["game_1_H1", "game_1_H2"], {
        "half": ["game_1_H1"] * 4 + ["game_1_H2"], "frame": [100, 120, 150, 160, 9000], "team": [0, 0, 0, 1, 1],
        "jersey": [7, 7, 9, 7, 3], "class": [1, 2, 1, 7, 5], "box": [1, 0, 1, 1, 0], "replay": [0, 1, 0, 0, 0],
    })  # fmt: skip


def test_class_table(play):
    table = statistics.class_table(play)
    assert table["events"].to_dict() == {
        "drive": 2, "pass": 1, "cross": 0, "throw-in": 0, "shot": 1, "header": 0, "tackle": 1, "block": 0,
    }  # fmt: skip
    assert table.loc["drive", ["share", "has box", "in replay", "with box"]].tolist() == [0.4, 1.0, 0.0, 2]
    assert table.loc["pass", ["has box", "in replay"]].tolist() == [0.0, 1.0]


def test_consecutive_pairs_stay_within_a_half(play):
    shuffled = play.with_table(play.table.iloc[[3, 4, 1, 0, 2]])
    for events in (play, shuffled):
        pairs = statistics.consecutive(events)
        assert pairs["gap"].tolist() == [20, 30, 10]
        assert pairs["relation"].tolist() == ["same player", "team-mate", "opponent"]


def test_transitions(play):
    table = statistics.transitions(play)
    assert table.shape == (8, 24) and table.to_numpy().sum() == 3
    assert table.loc["drive", ("same player", "pass")] == 1
    assert table.loc["pass", ("team-mate", "drive")] == 1
    assert table.loc["drive", ("opponent", "tackle")] == 1


def test_grammar(play):
    found = statistics.grammar(statistics.transitions(play))
    assert found["drives tackled"] == 0.5 and found["passed on"] == 0.5 and np.isnan(found["shots blocked"])
    assert found["entropy"] == pytest.approx(2 / 3)  # two drives of one bit each, one pass of none


def test_events_side_by_side(play):
    alone = play.select(["game_1_H1"])
    by_class, grammars = statistics.compare({"both": play, "first": alone})
    assert by_class.shape == (9, 6) and grammars.index.tolist() == ["both", "first"]
    assert by_class.loc["all"].tolist() == pytest.approx([1, 1, 3 / 5, 3 / 4, 1 / 5, 1 / 4])
    assert by_class.loc["drive", ("share", "first")] == 0.5 and by_class.loc["tackle", ("has box", "both")] == 1
    assert grammars.loc["both"].equals(statistics.grammar(statistics.transitions(play)))


def test_windows_and_density(play):
    assert statistics.window_counts(play, seconds=1).tolist() == [2, 0, 2, 1]
    assert statistics.events_per_second(play) == pytest.approx(5 * 25 / 62)
    empty = make_events(["game_1_H1"], {name: [] for name in ("half", "frame", "team", "jersey", "class")})
    assert statistics.window_counts(empty).tolist() == [] and statistics.events_per_second(empty) == 0
    assert statistics.class_table(empty)["share"].sum() == 0


def test_the_real_training_events(public_files):
    train = public_files.train_truth
    table = statistics.class_table(train)
    assert table["events"].tolist() == [35527, 45621, 2156, 1730, 1097, 3642, 285, 1269]
    assert table["with box"].tolist() == [30477, 37144, 1519, 754, 889, 2426, 174, 994]
    gaps = statistics.consecutive(train)["gap"]
    assert np.quantile(gaps, [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]).round().tolist() == [
        4,
        14,
        25,
        37,
        57,
        194,
        986,
    ]
    assert statistics.transitions(train).to_numpy().sum() == len(train) - 96
    real = statistics.grammar(statistics.transitions(train))
    assert real.round(3).tolist() == [0.008, 0.363, 0.869, 1.579]
