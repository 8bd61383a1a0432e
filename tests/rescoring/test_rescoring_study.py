"""The fitted re-scorer, and that no label of a scored match touches its predictions."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import detect, passing_play
from sklearn.metrics import log_loss

from footpass_lib.commands import rescore as command
from footpass_lib.events import public
from footpass_lib.events.playbyplay import Events, read_events, write_events
from footpass_lib.rescoring.candidates import join_systems, match_truth
from footpass_lib.rescoring.model import fit_rescorer
from footpass_lib.rescoring.settings import RescoringSettings
from footpass_lib.rescoring.study import rescore, rescore_left_out
from footpass_lib.schema import FootpassError

SMALL = RescoringSettings(iterations=3, trees=3, seeds=2)


@pytest.fixture(scope="module")
def world():
    truth = passing_play((3, 5), 0)
    return detect(truth, 1), detect(truth, 2, 0.6, 1.0), truth, passing_play((10, 11, 12), 3)


@pytest.fixture(scope="module")
def study(world):
    return rescore_left_out(*world, SMALL)


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
    after = rescore_left_out(dst, taad, permuted(truth, 5), training, SMALL)
    for one, two in zip((*before.members, before.averaged), (*after.members, after.averaged), strict=True):
        pd.testing.assert_frame_equal(of_game(one, 5), of_game(two, 5))
    assert not of_game(before.averaged, 3)["chance"].equals(of_game(after.averaged, 3)["chance"])  # the labels matter


def test_same_seed_same_result_and_members_differ(world, study):
    same(study.averaged, rescore_left_out(*world, SMALL).averaged)
    one, two = study.members
    assert not one.candidates["chance"].equals(two.candidates["chance"])
    assert study.averaged.candidates["chance"].to_numpy() == pytest.approx(
        (one.candidates["chance"] + two.candidates["chance"]) / 2
    )


def test_processes_change_no_result(world, study):
    messages = []
    side_by_side = rescore_left_out(*world, SMALL, tell=messages.append, workers=2)
    for one, two in zip((*study.members, study.averaged), (*side_by_side.members, side_by_side.averaged), strict=True):
        same(one, two)
    assert [text.split(":")[0] for text in messages] == ["match 3", "match 5"]


def test_rescoring_ranks_better_than_a_system(world, study):
    from sklearn.metrics import roc_auc_score

    result = study.averaged.candidates
    right = match_truth(result, world[2]) >= 0
    alone = roc_auc_score(right, result["dst"].fillna(0))
    assert roc_auc_score(right, result["chance"]) > max(alone, 0.8)


def test_one_match_is_too_few(world):
    dst, taad, truth, training = world
    with pytest.raises(FootpassError, match="two matches or more, found 1"):
        rescore_left_out(dst, taad, truth.select_games([3]), training, SMALL)


def test_a_match_that_was_fitted_on_is_refused(world):
    dst, taad, truth, training = world
    rescorer = fit_rescorer(dst, taad, truth.select_games([3]), training, SMALL, 0)
    with pytest.raises(FootpassError, match="game_3_H1: the re-scorer was fitted on this half"):
        rescore([rescorer], dst, taad)


def test_one_half_is_too_few(world):
    dst, taad, truth, training = world
    with pytest.raises(FootpassError, match="1 half to fit on"):
        fit_rescorer(dst, taad, truth.select(["game_3_H1"]), training, SMALL, 0)


def test_too_few_candidates_to_split_are_refused(world):
    dst, taad, truth, training = world
    few = [events.with_table(events.table[events.table["frame"] < 500]) for events in (dst, taad, truth)]
    n = len(join_systems(*few[:2]).query("half in ('game_3_H1', 'game_5_H1')"))
    halves = few[2].select(["game_3_H1", "game_5_H1"])
    assert 20 < n < 80
    with pytest.raises(FootpassError, match=r"rescoring: \d+ candidates to fit on, expected 80 or more"):
        fit_rescorer(*few[:2], halves, training, SMALL, 0)


def test_a_third_system_is_heard_and_asked_for_each_match_without_its_labels(world, study):
    truth, asked = world[2], []

    def third_without(game):
        asked.append(game)
        return detect(truth, 7 + game, 0.9, 0.1)

    heard = rescore_left_out(*world, SMALL, third_without=third_without)
    assert asked == [3, 5] and "third" in heard.averaged.candidates
    right = match_truth(heard.averaged.candidates, truth) >= 0
    before = match_truth(study.averaged.candidates, truth) >= 0
    assert log_loss(right, heard.averaged.candidates["chance"]) < log_loss(before, study.averaged.candidates["chance"])


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
    write_events(root / "third.json", world[1], "predictions")
    run(root, "--train", "3", "--apply", "5", "--third", str(root / "third.json"), "--out", str(root / "heard.json"))
    assert read_events(root / "heard.json", "predictions").halves == made.halves
    assert (root / "heard.json").read_bytes() != first
    (root / public.VAL_TRUTH).unlink()
    write_events(root / public.VAL_TRUTH, world[2].select_games([3]), "truth")  # the labels of match 5 are gone
    run(root, "--train", "3", "--apply", "5", "--out", str(out))
    assert out.read_bytes() == first


@pytest.mark.parametrize(("arguments", "message"), [
    (("--train", "3,5", "--apply", "5"), "match 5 is in --train and in --apply"),
    (("--train", "3", "--apply", "47"), "no DST predictions of match 47; there are those of 3, 5"),
    (("--train", "3", "--apply", "5", "--third", "{root}/third.json"), "no predictions of the third system of match 5"),
    (("--train", "3;5", "--apply", "5"), "--train: '3;5' is no list of matches"),
    (("--train", "3,3", "--apply", "5"), "names a match twice"),
])  # fmt: skip
def test_command_refuses(root, world, arguments, message):
    write_events(root / "third.json", world[0].select_games([3]), "predictions")
    arguments = [text.format(root=root) for text in arguments]
    with pytest.raises(FootpassError, match=message):
        run(root, *arguments, "--out", str(root / "out.json"))
