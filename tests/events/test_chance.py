"""Random events: right in number, drawn from training, worth next to nothing."""

import numpy as np
import pandas as pd
import pytest
from conftest import passing_play

from footpass_lib.events.chance import chance_events
from footpass_lib.events.metrics import evaluate
from footpass_lib.events.playbyplay import count_table, make_events
from footpass_lib.events.statistics import consecutive
from footpass_lib.schema import FootpassError

PLAYER = ["team", "jersey"]


def test_right_in_number_between_the_two_ends_by_the_players_who_act():
    truth, training = passing_play((1, 2), seed=0), passing_play((5,), seed=1, n=300)
    made = chance_events(truth, training, np.random.default_rng(0))
    assert made.halves == truth.halves and (made.table["score"] == 1).all()
    for half in truth.halves:
        drawn, real = (events.select([half]).table for events in (made, truth))
        assert len(drawn) == len(real)
        assert [drawn["frame"].min(), drawn["frame"].max()] == [real["frame"].min(), real["frame"].max()]
        acting = set(real[PLAYER].itertuples(index=False, name=None))
        assert set(drawn[PLAYER].itertuples(index=False, name=None)) <= acting and len(drawn[PLAYER].value_counts()) > 5


def test_classes_and_gaps_are_those_of_training():
    truth, training = passing_play((1,), seed=0, n=4000), passing_play((5,), seed=1, n=1000)
    table = training.table.assign(**{"class": np.where(np.arange(len(training)) % 4, 2, 7)})
    made = chance_events(truth, training.with_table(table), np.random.default_rng(0))
    counts = count_table(made)
    assert counts[1] + counts[6] == len(made) and counts[6] / len(made) == pytest.approx(0.25, abs=0.02)
    one_gap = training.with_table(table.assign(frame=np.tile(np.arange(1000) * 10, 2)))  # the same gap over and over
    gaps = consecutive(chance_events(truth, one_gap, np.random.default_rng(0)))["gap"]
    assert gaps.max() - gaps.min() <= 1


def test_a_generator_gives_the_same_again_and_then_another():
    truth, training = passing_play((1,), seed=0), passing_play((5,), seed=1)
    draws = [np.random.default_rng(3), np.random.default_rng(3)]
    first, second = (chance_events(truth, training, rng).table for rng in draws)
    pd.testing.assert_frame_equal(first, second)
    assert not chance_events(truth, training, draws[0]).table.equals(first)


def test_few_events_and_none():
    rng, training = np.random.default_rng(0), passing_play((5,), seed=1)
    columns = {"half": ["game_1_H1"], "frame": [50], "team": [0], "jersey": [9], "class": [2]}
    one = chance_events(make_events(["game_1_H1", "game_1_H2"], columns), training, rng)
    assert one.halves == ("game_1_H1", "game_1_H2") and one.table["frame"].tolist() == [50]
    nothing = chance_events(training.with_table(training.table.iloc[:0]), training, rng)
    assert len(nothing) == 0 and nothing.halves == training.halves
    with pytest.raises(FootpassError, match="no two events of training"):
        chance_events(training, training.with_table(training.table.iloc[:1]), rng)


def test_chance_on_real_matches(public_files):
    made = chance_events(public_files.val_truth, public_files.train_truth, np.random.default_rng(0))
    scores = evaluate(made, public_files.val_truth)
    assert 0 < scores.macro_f1 < 0.02 and 0 < scores.micro_f1 < 0.02
