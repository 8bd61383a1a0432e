"""The detection simulator: what two systems made of real events, replayed on others."""

import numpy as np
import pandas as pd
import pytest
from conftest import detect, passing_play

from footpass_lib.events.playbyplay import make_events
from footpass_lib.rescoring.simulate import ACTOR, LAST, OTHER, collect_bundles, describe_situations, simulate


@pytest.fixture(scope="module")
def world():
    truth = passing_play((3, 5), 0)
    return detect(truth, 1), detect(truth, 2, 0.6, 1.0), truth, passing_play((10, 11, 12), 3)


def test_detections_go_to_the_event_they_speak_of():
    half = ("game_3_H1",)
    columns = {"half": half * 3, "frame": [100, 140, 200], "team": [0, 0, 1], "jersey": [7, 8, 4], "class": [1, 2, 8]}
    truth = make_events(half, columns | {"box": [True] * 3, "replay": [False] * 3})
    made = {"half": half * 4, "frame": [104, 138, 205, 190], "team": [0, 0, 1, 1], "jersey": [7, 7, 4, 9]}
    dst = make_events(half, made | {"class": [1, 2, 2, 8], "score": [0.9, 0.8, 0.7, 0.6]})
    bundles = collect_bundles(dst, dst.with_table(dst.table.iloc[:0]), truth, 12)
    rows = bundles.detections[["bundle", "lag", "class", "score", "whom", "mate"]].to_numpy().tolist()
    assert rows == [
        [0, 4, 1, 0.9, ACTOR, True],
        [1, -2, 2, 0.8, LAST, True],  # the pass, given to the player before
        [2, -10, 8, 0.6, OTHER, True],
        [2, 5, 2, 0.7, ACTOR, True],
    ]
    assert bundles.first.tolist() == [0, 1, 2, 4]


def test_neighbours_of_an_event_are_other_players():
    truth = passing_play((3,), 7, n=60)
    scene = describe_situations(truth)
    for step, found in ((-1, scene.last), (1, scene.next)):
        for i in range(len(scene.table)):
            j = i + step
            while 0 <= j < len(scene.table) and scene.line.player[j] == scene.line.player[i]:
                j += step
            inside = 0 <= j < len(scene.table) and scene.line.half[j] == scene.line.half[i]
            assert found[i] == (j if inside else -1)


def share_in_time(made, truth):
    """Detections in time for an event of their player and class, per event."""
    pairs = made.table.merge(truth.table, on=["half", "team", "jersey", "class"])
    return ((pairs["frame_x"] - pairs["frame_y"]).abs() <= 12).sum() / len(truth)


def test_simulation_keeps_the_rates_of_the_systems(world):
    dst, taad, truth, training = world
    bundles = collect_bundles(dst, taad, truth, 12)
    for real, simulated in zip((dst, taad), simulate(bundles, training, np.random.default_rng(0)), strict=True):
        assert simulated.halves == training.halves
        rate, expected = len(simulated) / len(training), len(real) / len(truth)
        assert rate == pytest.approx(expected, rel=0.12)
        right, wanted = (share_in_time(*pair) for pair in ((simulated, training), (real, truth)))
        assert right == pytest.approx(wanted, rel=0.2)


def test_simulation_repeats_and_names_players_of_the_half(world):
    dst, taad, truth, training = world
    bundles = collect_bundles(dst, taad, truth, 12)
    first, second = (simulate(bundles, training, np.random.default_rng(2)) for _ in range(2))
    for one, two in zip(first, second, strict=True):
        pd.testing.assert_frame_equal(one.table, two.table)
        players = set(map(tuple, training.table[["half", "team", "jersey"]].to_numpy().tolist()))
        assert set(map(tuple, one.table[["half", "team", "jersey"]].to_numpy().tolist())) <= players
