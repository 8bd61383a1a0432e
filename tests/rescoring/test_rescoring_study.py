"""The simulator, the fitted re-scorer, and that no label of a scored match touches its predictions."""

import json

import numpy as np
import pandas as pd
import pytest

from footpass_lib.commands import rescore as command
from footpass_lib.events import public
from footpass_lib.events.playbyplay import Events, make_events, read_events, write_events
from footpass_lib.rescoring.model import fit_rescorer
from footpass_lib.rescoring.settings import RescoringSettings
from footpass_lib.rescoring.simulate import ACTOR, LAST, OTHER, collect_bundles, describe_situations, simulate
from footpass_lib.rescoring.study import leave_one_match_out, rescore
from footpass_lib.schema import FootpassError

SMALL = RescoringSettings(iterations=3, trees=3, simulated_matches=1, seeds=2)
KEY = ["half", "frame", "team", "jersey", "class"]


def play(games, seed, n=100):
    """Ground truth of drives and passes that hand the ball on, with now and then another class."""
    rng = np.random.default_rng(seed)
    halves = tuple(f"game_{game}_H{k}" for game in games for k in (1, 2))
    columns = {name: [] for name in KEY}
    for half in halves:
        classes = np.where(rng.random(n) < 0.15, rng.integers(3, 9, n), 1 + np.arange(n) % 2)
        columns["half"] += [half] * n
        columns["frame"] += np.cumsum(rng.integers(20, 60, n)).tolist()
        columns["team"] += rng.integers(0, 2, n).repeat(2)[:n].tolist()
        columns["jersey"] += rng.integers(1, 12, n).repeat(2)[:n].tolist()
        columns["class"] += classes.tolist()
    n = len(columns["half"])
    return make_events(halves, columns | {"box": rng.random(n) < 0.8, "replay": rng.random(n) < 0.1})


def detect(truth, seed, recall=0.75, wrong=0.5):
    """A system: events found with high scores, and inventions with low ones."""
    rng = np.random.default_rng(seed)
    table = truth.table[KEY]
    found = table[rng.random(len(table)) < recall]
    found = found.assign(frame=found["frame"] + rng.integers(0, 5, len(found)), score=rng.beta(6, 2, len(found)))
    made = table[rng.random(len(table)) < wrong]
    made = made.assign(jersey=rng.integers(1, 12, len(made)), score=rng.beta(2, 4, len(made)))
    return make_events(truth.halves, pd.concat([found, made]).to_dict("list"))


@pytest.fixture(scope="module")
def world():
    truth = play((3, 5), 0)
    return detect(truth, 1), detect(truth, 2, 0.6, 1.0), truth, play((10, 11, 12), 3)


@pytest.fixture(scope="module")
def study(world):
    return leave_one_match_out(*world, SMALL)


def permuted(truth: Events, game: int, seed: int = 0) -> Events:
    """The same ground truth with the labels of one match shuffled among its events."""
    table = truth.table.copy()
    rows = table["half"].str.startswith(f"game_{game}_").to_numpy()
    order = np.random.default_rng(seed).permutation(rows.sum())
    for name in ("team", "jersey", "class", "box", "replay"):
        table.loc[rows, name] = table.loc[rows, name].to_numpy()[order]
    return truth.with_table(table)


def same(first, second):
    pd.testing.assert_frame_equal(first.candidates, second.candidates)


def of_game(rescored, game):
    table = rescored.candidates
    return table[table["half"].str.startswith(f"game_{game}_")].reset_index(drop=True)


def test_labels_of_a_match_do_not_reach_its_predictions(world, study):
    dst, taad, truth, training = world
    before = study
    after = leave_one_match_out(dst, taad, permuted(truth, 5), training, SMALL)
    for one, two in zip((*before.members, before.averaged), (*after.members, after.averaged), strict=True):
        pd.testing.assert_frame_equal(of_game(one, 5), of_game(two, 5))
    assert not of_game(before.averaged, 3)["chance"].equals(of_game(after.averaged, 3)["chance"])  # the labels matter


def test_same_seed_same_result_and_members_differ(world, study):
    same(study.averaged, leave_one_match_out(*world, SMALL).averaged)
    one, two = study.members
    assert not one.candidates["chance"].equals(two.candidates["chance"])
    assert study.averaged.candidates["chance"].to_numpy() == pytest.approx(
        (one.candidates["chance"] + two.candidates["chance"]) / 2
    )


def test_processes_change_no_result(world, study):
    told = []
    side_by_side = leave_one_match_out(*world, SMALL, tell=told.append, workers=2)
    for one, two in zip((*study.members, study.averaged), (*side_by_side.members, side_by_side.averaged), strict=True):
        same(one, two)
    assert [text.split(":")[0] for text in told] == ["match 3", "match 5"]


def test_rescoring_ranks_better_than_a_system(world, study):
    from sklearn.metrics import roc_auc_score

    from footpass_lib.rescoring.candidates import match_truth

    result = study.averaged.candidates
    right = match_truth(result, world[2]) >= 0
    alone = roc_auc_score(right, result["dst"].fillna(0))
    assert roc_auc_score(right, result["chance"]) > max(alone, 0.8)


def test_one_match_is_too_few(world):
    dst, taad, truth, training = world
    with pytest.raises(FootpassError, match="two matches or more, found 1"):
        leave_one_match_out(dst, taad, truth.select_games([3]), training, SMALL)


def test_a_match_that_was_fitted_on_is_refused(world):
    dst, taad, truth, training = world
    rescorer = fit_rescorer(dst, taad, truth.select_games([3]), training, SMALL, 0)
    with pytest.raises(FootpassError, match="game_3_H1: the re-scorer was fitted on this half"):
        rescore([rescorer], dst, taad, SMALL.window)


def test_one_half_is_too_few(world):
    dst, taad, truth, training = world
    with pytest.raises(FootpassError, match="1 half to fit on"):
        fit_rescorer(dst, taad, truth.select(["game_3_H1"]), training, SMALL, 0)


@pytest.mark.parametrize("settings", [{"simulated_matches": 0}, {"second_stage": False}, {"families": ("trees",)}])
def test_parts_can_be_left_out(world, settings):
    dst, taad, truth, training = world
    settings = RescoringSettings(iterations=4, trees=4, seeds=1) if not settings else RescoringSettings(
        **({"iterations": 4, "trees": 4, "simulated_matches": 1, "seeds": 1} | settings)
    )  # fmt: skip
    chance = leave_one_match_out(dst, taad, truth, training, settings).averaged.candidates["chance"]
    assert chance.between(0, 1).all() and chance.nunique() > 20


def test_detections_go_to_the_event_they_speak_of():
    half = ("game_3_H1",)
    columns = {"half": half * 3, "frame": [100, 140, 200], "team": [0, 0, 1], "jersey": [7, 8, 4], "class": [1, 2, 8]}
    truth = make_events(half, columns | {"box": [True] * 3, "replay": [False] * 3})
    made = {"half": half * 4, "frame": [104, 138, 205, 190], "team": [0, 0, 1, 1], "jersey": [7, 7, 4, 9]}
    dst = make_events(half, made | {"class": [1, 2, 2, 8], "score": [0.9, 0.8, 0.7, 0.6]})
    bundles = collect_bundles(dst, dst.with_table(dst.table.iloc[:0]), truth, 12)
    told = bundles.detections[["bundle", "lag", "class", "score", "whom", "mate"]].to_numpy().tolist()
    assert told == [
        [0, 4, 1, 0.9, ACTOR, True],
        [1, -2, 2, 0.8, LAST, True],  # the pass, given to the man before
        [2, -10, 8, 0.6, OTHER, True],
        [2, 5, 2, 0.7, ACTOR, True],
    ]
    assert bundles.first.tolist() == [0, 1, 2, 4]


def test_neighbours_of_an_event_are_other_players():
    truth = play((3,), 7, n=60)
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
        men = set(map(tuple, training.table[["half", "team", "jersey"]].to_numpy().tolist()))
        assert set(map(tuple, one.table[["half", "team", "jersey"]].to_numpy().tolist())) <= men


@pytest.fixture()
def root(world, tmp_path):
    dst, taad, truth, training = world
    for name, content, kind in (
        (public.TRAIN_TRUTH, training, "truth"), (public.VAL_TRUTH, truth, "truth"),
        (public.DST_PREDICTIONS, dst, "predictions"), (public.TAAD_PREDICTIONS, taad, "predictions"),
    ):  # fmt: skip
        write_events(tmp_path / name, content, kind)
    return tmp_path


def run(root, *arguments):
    import argparse

    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    options = parser.parse_args(["rescore", "--public-root", str(root), "--profile", "smoke", *arguments])
    options.run(options)


def test_command_writes_an_official_file_without_reading_labels(root, world, capsys):
    out = root / "out.json"
    run(root, "--train", "3", "--apply", "5", "--out", str(out))
    first = out.read_bytes()
    made = read_events(out, "predictions")
    assert made.halves == ("game_5_H1", "game_5_H2") and len(made) > 60
    assert set(json.loads(first)) == {"keys", "events"} and f"{len(made)} of" in capsys.readouterr().out
    (root / public.VAL_TRUTH).unlink()
    write_events(root / public.VAL_TRUTH, world[2].select_games([3]), "truth")  # the labels of match 5 are gone
    run(root, "--train", "3", "--apply", "5", "--out", str(out))
    assert out.read_bytes() == first


@pytest.mark.parametrize(("arguments", "message"), [
    (("--train", "3,5", "--apply", "5"), "match 5 is in --train and in --apply"),
    (("--train", "3", "--apply", "47"), "no DST predictions of match 47; there are those of 3, 5"),
    (("--train", "3;5", "--apply", "5"), "--train: '3;5' is no list of matches"),
    (("--train", "3,3", "--apply", "5"), "names a match twice"),
])  # fmt: skip
def test_command_refuses(root, arguments, message):
    with pytest.raises(FootpassError, match=message):
        run(root, *arguments, "--out", str(root / "out.json"))
