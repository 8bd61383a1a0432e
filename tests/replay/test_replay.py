"""The replay of a detector: what it learns of a planted one, and what it plays over other events."""

import numpy as np
import pandas as pd
import pytest
from conftest import passing_play

from footpass_lib.events.metrics import match_events
from footpass_lib.events.playbyplay import make_events
from footpass_lib.replay.fit import ACTOR, LAST, OTHER, fit_replay
from footpass_lib.replay.likeness import by_class, habits
from footpass_lib.replay.planted import PlantedDetector, any_detector, plant
from footpass_lib.replay.play import choose_answers, play
from footpass_lib.replay.scene import describe_scene, kinds, quiet_stretches
from footpass_lib.schema import FootpassError

HALF = ("game_3_H1",)
HABITS = PlantedDetector(recall=0.7, unseen=0.2, early=-3.0, spread=2.0, wrong_class=0.1, wrong_player=0.1,
                         false_alarms=0.5, sure=0.8)  # fmt: skip


@pytest.fixture(scope="module")
def matches():
    """Events to learn from, other events, and what the planted detector says of both."""
    here, there = passing_play((3, 5), 0, n=600), passing_play((10, 11, 12), 3, n=600)
    said = [plant(HABITS, truth, np.random.default_rng(k)) for k, truth in enumerate((here, there))]
    return here, there, *said


def table(frames, teams, jerseys, classes, **more):
    columns = {"half": HALF * len(frames), "frame": frames, "team": teams, "jersey": jerseys, "class": classes}
    return make_events(HALF, columns | more)


def test_detections_go_to_the_event_they_speak_of():
    truth = table([100, 140, 200, 500], [0, 0, 1, 1], [7, 8, 4, 4], [1, 2, 8, 1], box=[True] * 4, replay=[False] * 4)
    made = table(
        [104, 138, 205, 190, 300, 310], [0, 0, 1, 1, 1, 1], [7, 7, 4, 9, 9, 9], [1, 2, 2, 8, 3, 3],
        score=[0.9, 0.8, 0.7, 0.6, 0.5, 0.4],
    )  # fmt: skip
    replay = fit_replay(made, truth)
    rows = replay.answers[["event", "lag", "class", "score", "whom", "mate"]].to_numpy().tolist()
    assert rows == [
        [0, 4, 1, 0.9, ACTOR, True],
        [1, -2, 2, 0.8, LAST, True],  # the pass, given to the player before
        [2, -10, 8, 0.6, OTHER, True],
        [2, 5, 2, 0.7, ACTOR, True],
    ]
    assert replay.first.tolist() == [0, 1, 2, 4, 4]
    # at rest from 251 to 449: a burst of one player
    assert replay.tape[["time", "class", "score"]].to_numpy().tolist() == [[49, 3, 0.5], [59, 3, 0.4]]
    assert replay.tape_frames == 199 and replay.tape["player"].nunique() == 1


def test_quiet_stretches_are_what_no_event_is_near():
    scene = describe_scene(passing_play((3, 5), 2, n=80))
    before, start, frames = quiet_stretches(scene.line, 10)
    quiet = {int(first) + k for first, n in zip(start, frames, strict=True) for k in range(n)}
    expected = set()
    for half in np.unique(scene.line.half):
        times = scene.line.time[scene.line.half == half]
        away = np.abs(np.arange(times[0], times[-1])[:, None] - times).min(axis=1)
        expected |= set((np.flatnonzero(away > 10) + times[0]).tolist())
    assert quiet == expected and (scene.line.time[before] + 11 == start).all()


def test_neighbours_of_an_event_are_other_players():
    scene = describe_scene(passing_play((3,), 7, n=60))
    for step, found in ((-1, scene.last), (1, scene.next)):
        for i in range(len(scene)):
            j = i + step
            while 0 <= j < len(scene) and scene.line.player[j] == scene.line.player[i]:
                j += step
            inside = 0 <= j < len(scene) and scene.line.half[j] == scene.line.half[i]
            assert found[i] == (j if inside else -1)


def test_a_planted_detector_is_recovered(matches):
    here, there, said_here, said_there = matches
    played = habits(match_events(play(fit_replay(said_here, here), there, np.random.default_rng(0)), there))
    real = habits(match_events(said_there, there))
    # with 10 % wrong class and 10 % wrong player, 81 % of what is found counts
    assert real["found, with box"] == pytest.approx(HABITS.recall * 0.81, abs=0.06)  # chance hits add to it
    assert real["early or late"] == pytest.approx(HABITS.early, abs=0.3)
    for name in ("found, with box", "found, without box", "found, live", "wrong class", "wrong player"):
        assert played[name] == pytest.approx(real[name], abs=0.04), name
    for name in ("early or late", "spread"):
        assert played[name] == pytest.approx(real[name], abs=0.4), name
    for name in ("score, right", "score, wrong"):
        assert played[name] == pytest.approx(real[name], abs=0.02), name
    rate = "false alarms a minute, near events"
    assert played[rate] == pytest.approx(real[rate], rel=0.1)


def test_another_detector_has_another_replay(matches):
    here, there, said_here, _ = matches
    blind = plant(PlantedDetector(recall=0.3, unseen=0.0, spread=6.0), here, np.random.default_rng(1))
    one, two = (
        habits(match_events(play(fit_replay(said, here), there, np.random.default_rng(0)), there))
        for said in (said_here, blind)
    )
    assert one["found, with box"] - two["found, with box"] > 0.2
    assert one["false alarms a minute, near events"] > 3 * two["false alarms a minute, near events"]


def test_answers_come_from_events_that_are_alike_and_go_on(matches):
    here, there, said, _ = matches
    scene, replay = describe_scene(there), fit_replay(said, here)
    donor = choose_answers(replay, scene, np.random.default_rng(0))
    theirs, ours = kinds(replay.scene)[donor], kinds(scene)
    common = np.isin(ours[:, 0], (1, 2))  # of the rare classes there are too few to be alike in all
    assert (theirs[common, :2] == ours[common, :2]).all() and (theirs[:, 0] == ours[:, 0]).all()
    assert (np.diff(donor) == 1).mean() > 0.2  # passages stay together


def test_what_is_said_at_rest_keeps_its_rate_and_bursts():
    rng = np.random.default_rng(0)
    frames = np.arange(40) * 1000
    flags = {"box": [True] * 40, "replay": [False] * 40}
    truth = table(frames, [0, 1] * 20, rng.integers(1, 12, 40), [1] * 40, **flags)
    bursts = rng.integers(200, 800, 39) + frames[:-1]
    at = (bursts[:, None] + np.array([0, 30, 60])).ravel()
    made = table(at, [0] * 117, np.repeat(rng.integers(1, 12, 39), 3), [7] * 117, score=rng.uniform(0.3, 0.6, 117))
    replay = fit_replay(made, truth)
    counts, shares = [], []
    for k in range(10):
        played = play(replay, truth, np.random.default_rng(k))
        found = habits(match_events(played, truth))
        counts.append(len(played))
        shares.append(found["in bursts"])
    assert np.mean(counts) == pytest.approx(117, rel=0.15) and np.mean(shares) > 0.9


def test_playing_repeats_and_names_players_of_the_half(matches):
    here, there, said, _ = matches
    replay = fit_replay(said, here)
    first, second = (play(replay, there, np.random.default_rng(2)) for _ in range(2))
    pd.testing.assert_frame_equal(first.table, second.table)
    assert first.halves == there.halves and replay.fitted_on == here.halves
    players = set(map(tuple, there.table[["half", "team", "jersey"]].to_numpy().tolist()))
    assert set(map(tuple, first.table[["half", "team", "jersey"]].to_numpy().tolist())) <= players


def test_a_class_that_was_never_seen_is_answered_as_another(matches):
    here, there, said, _ = matches
    drives = here.with_table(here.table[here.table["class"] == 1])
    replay = fit_replay(said, drives)
    only = there.with_table(there.table[there.table["class"] == 7])
    played = match_events(play(replay, only, np.random.default_rng(0)), only)
    assert played.truth["found"].mean() > 0.2


def test_precision_and_recall_of_several_plays(matches):
    _, there, _, said = matches
    played = [match_events(plant(HABITS, there, np.random.default_rng(k)), there) for k in (5, 6)]
    rates = by_class([match_events(said, there), *played])
    assert (rates["recall", "lowest"] <= rates["recall", "mean"]).all()
    assert (rates["precision", "mean"] <= rates["precision", "highest"]).all()
    alone = by_class(played[:1])
    assert (alone["recall", "lowest"] == alone["recall", "highest"]).all()


def test_habits_of_the_planted_detector_are_checked():
    with pytest.raises(FootpassError, match="recall=1.5, expected 0 to 1"):
        PlantedDetector(recall=1.5)
    truth = passing_play((3,), 0)
    oracle = match_events(plant(PlantedDetector(), truth, np.random.default_rng(0)), truth)
    assert oracle.truth["found"].all() and oracle.predictions["tp"].all()
    assert any_detector(np.random.default_rng(0)) != any_detector(np.random.default_rng(1))


def test_what_cannot_be_learned_from_is_refused(matches):
    here, _, said, _ = matches
    with pytest.raises(FootpassError, match="no event to learn from"):
        fit_replay(said, here.with_table(here.table.iloc[:0]))
    with pytest.raises(FootpassError, match="game_5_H1: expected predictions of every half"):
        fit_replay(said.select_games([3]), here)
    with pytest.raises(FootpassError, match="box and replay"):
        play(fit_replay(said, here), said, np.random.default_rng(0))
