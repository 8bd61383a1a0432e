"""The sequence model on a detector's replay: nothing of the match that is scored, and kept runs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import passing_play

from footpass_lib.replay.planted import PlantedDetector, plant
from footpass_lib.replay.windows import detected_halves
from footpass_lib.schema import FootpassError
from footpass_lib.study import replay
from footpass_lib.study.place import open_study

DETECTOR = PlantedDetector(recall=0.8, unseen=0.1, spread=2.0, false_alarms=0.5, sure=0.8)


@pytest.fixture(scope="module")
def matches():
    truth, training = passing_play((3, 5, 8), 0, n=60), passing_play((10, 11, 12), 3, n=60)
    return plant(DETECTOR, truth, np.random.default_rng(0)), truth, training


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    opened = open_study("smoke")
    return replace(opened, project=tmp_path_factory.mktemp("replay"))


def test_labels_of_a_match_change_nothing_that_it_is_scored_with(matches):
    said, truth, training = matches
    table, rows = truth.table.copy(), np.flatnonzero(truth.table["half"].str.startswith("game_5_"))
    order = np.random.default_rng(1).permutation(rows)
    for name in ("team", "jersey", "class", "box"):
        table.loc[rows, name] = table[name].to_numpy()[order]
    before, after = (replay.leave_out(said, each, training, 0) for each in (truth, truth.with_table(table)))
    same = [one.played.table.equals(two.played.table) for one, two in zip(before, after, strict=True)]
    assert [fold.game for fold in before] == [3, 5, 8] and same == [False, True, False]
    assert all(fold.game not in fold.detector.scene.games for fold in before)
    with pytest.raises(FootpassError, match="expected two matches or more"):
        replay.leave_out(said, truth.select_games([3]), training, 0)


def test_a_run_is_kept_and_repeats(matches, study):
    said, _, training = matches
    plan = replay.replay_plan(study)
    dst = replace(plan.first, train=replace(plan.first.train, epochs=1, steps_per_epoch=2))
    run = replay.SequenceRun(
        "any", dst, 0, replay.made_up(training, 0), {"real": said.select_games([3])}, replay.start(study)
    )
    (first,) = replay.run_all(study, [run])
    kept = first.weights.stat().st_mtime_ns
    (second,) = replay.run_all(study, [run])
    pd.testing.assert_frame_equal(first.events["real"].table, second.events["real"].table)
    assert second.weights == first.weights and first.weights.stat().st_mtime_ns == kept
    other = replace(run, listen={"real": said.select_games([5])}, start=first.weights)
    (third,) = replay.run_all(study, [other])
    assert third.weights != first.weights and set(third.events["real"].halves) == {"game_5_H1", "game_5_H2"}


def test_what_is_written_down_names_players_that_were_detected(matches, study):
    said, *_ = matches
    plan = replay.replay_plan(study).first
    model = replay.build_dst(plan.network, 0)
    replay.start_from(replay.start(study), model)
    events = replay.write_down(model, said, plan.decode, 0)
    again = replay.write_down(model, said, plan.decode, 0)
    pd.testing.assert_frame_equal(events.table, again.table)
    assert len(events) and events.halves == said.halves and events.table["score"].between(0, 1).all()
    columns = ["half", "team", "jersey"]
    named = set(map(tuple, events.table[columns].to_numpy().tolist()))
    assert named <= set(map(tuple, said.table[columns].to_numpy().tolist()))
    nothing = said.with_table(said.table.iloc[:0])
    assert len(replay.write_down(model, nothing, plan.decode, 0)) == 0


def test_training_matches_are_apart_from_those_held_out(study):
    training = passing_play(tuple(range(20, 32)), 0, n=4)
    plan = replace(replay.replay_plan(study), matches=10, held_out=2)
    learn, held = replay.training_matches(training, plan)
    assert len(learn.games) == 8 and len(held.games) == 2 and not set(learn.games) & set(held.games)
    with pytest.raises(FootpassError, match="more matches than are held out"):
        replace(plan, held_out=10)
    assert replay.replay_plan(open_study("full")).first.model == plan.first.model  # without positions, no larger one


def test_first_minutes():
    truth = passing_play((3,), 0, n=100)
    start = truth.table.groupby("half")["frame"].min()
    short = replay.first_minutes(truth, truth, 1.0)
    since = short.table["frame"] - short.table["half"].map(start)
    assert 0 < len(short) < len(truth) and since.max() <= 1500 and short.halves == truth.halves


def test_every_half_has_another_detector(matches):
    _, _, training = matches
    halves = replay.made_up(training, 0)
    assert [half.half for half in halves] == list(training.halves)
    rates = [len(half.said) / len(half.events) for half in halves]
    assert max(rates) > 1.2 * min(rates)
    assert len(detected_halves(plant(PlantedDetector(), training, np.random.default_rng(0)))) == len(halves)
