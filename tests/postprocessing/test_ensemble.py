"""The ensemble: hand-made cases, and what must hold for any events."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import random_events
from hypothesis import given, settings
from hypothesis import strategies as st

from footpass_lib.events.nms import nms
from footpass_lib.events.playbyplay import Events, make_events
from footpass_lib.postprocessing.ensemble import DROP, fuse, merge
from footpass_lib.schema import CLASS_ID, EVENT_CLASSES, FootpassError

HALVES = ("game_1_H1", "game_1_H2")
PASS, TACKLE, SHOT = CLASS_ID["pass"], CLASS_ID["tackle"], CLASS_ID["shot"]
COLUMNS = ["half", "frame", "team", "jersey", "class", "score"]


def model(*rows: tuple[int, int, int, int, float], halves: tuple[str, ...] = HALVES) -> Events:
    """Events of the first half from (frame, team, jersey, class, score)."""
    names = ("frame", "team", "jersey", "class", "score")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {name: [] for name in names}
    return make_events(halves, {"half": [halves[0]] * len(rows), **columns})


def rows_of(events: Events) -> list[tuple]:
    return [tuple(row) for row in events.table[COLUMNS[1:]].to_numpy().tolist()]


def by_value(events: Events) -> pd.DataFrame:
    return events.table[COLUMNS].sort_values(COLUMNS, ignore_index=True)


def test_agreeing_events_are_averaged():
    one = model((100, 0, 9, PASS, 0.9), (200, 0, 9, PASS, 0.5))
    two = model((112, 0, 9, PASS, 0.3), (213, 0, 9, PASS, 0.5))
    step = merge([one, two], window=12)
    # (100 * .9 + 112 * .3) / 1.2 = 103; 200 and 213 are too far apart
    assert rows_of(step.events) == [
        (103, 0, 9, PASS, pytest.approx(0.6)),
        (200, 0, 9, PASS, 0.5),
        (213, 0, 9, PASS, 0.5),
    ]
    assert step.changes["model"].tolist() == [0, 0, 1, 1] and step.changes["row"].tolist() == [0, 1, 0, 1]
    assert step.changes["change"].tolist() == ["merged", "kept", "merged", "kept"]
    assert step.changes["new_row"].tolist() == [0, 1, 0, 2]
    assert step.changes["new_frame"].tolist() == [103, 200, 103, 213]


@pytest.mark.parametrize("stranger", [(100, 1, 9, PASS, 0.9), (100, 0, 8, PASS, 0.9), (100, 0, 9, SHOT, 0.9)])
def test_team_jersey_and_class_must_agree(stranger):
    assert len(merge([model((100, 0, 9, PASS, 0.9)), model(stranger)]).events) == 2
    other_half = make_events(HALVES, {"half": [HALVES[1]], "frame": [100], "team": [0], "jersey": [9], "class": [PASS],
                                      "score": [0.9]})  # fmt: skip
    assert len(merge([model((100, 0, 9, PASS, 0.9)), other_half]).events) == 2


def test_half_a_frame_is_rounded_up_and_no_score_is_no_weight():
    made = merge([model((100, 0, 9, PASS, 0.5)), model((103, 0, 9, PASS, 0.5))]).events
    assert rows_of(made) == [(102, 0, 9, PASS, 0.5)]
    assert rows_of(merge([model((100, 0, 9, PASS, 0.0)), model((104, 0, 9, PASS, 0.0))]).events) == [
        (102, 0, 9, PASS, 0)
    ]
    assert rows_of(merge([model((100, 0, 9, PASS, 0.0)), model((104, 0, 9, PASS, 0.4))]).events)[0][0] == 104


def test_a_model_never_gives_two_events_to_one():
    one = model((100, 0, 9, PASS, 0.8), (110, 0, 9, PASS, 0.6))
    two = model((104, 0, 9, PASS, 0.9))
    # 104 is the best and takes the closer one, 100; 110 stays
    assert [row[0] for row in rows_of(merge([one, two]).events)] == [102, 110]
    # of two as close the better one
    assert [row[0] for row in rows_of(merge([model((100, 0, 9, PASS, 0.4), (110, 0, 9, PASS, 0.6)),
                                             model((105, 0, 9, PASS, 0.6))]).events)] == [100, 108]  # fmt: skip


def test_three_models():
    made = [
        model((100, 0, 9, PASS, 0.9)),
        model((103, 0, 9, PASS, 0.6)),
        model((96, 0, 9, PASS, 0.3), (400, 1, 2, SHOT, 0.2)),
    ]
    step = merge(made, alone={"shot": 0.3})
    assert rows_of(step.events) == [(100, 0, 9, PASS, pytest.approx(0.6))]  # (90 + 61.8 + 28.8) / 1.8 = 100.3
    assert step.changes["change"].tolist() == ["merged"] * 3 + ["removed"]


def test_rules_for_what_one_model_alone_has():
    one = model((100, 0, 9, PASS, 0.5), (200, 0, 9, TACKLE, 0.9), (300, 0, 9, SHOT, 0.5))
    two = model((400, 0, 9, PASS, 0.4), (302, 0, 9, SHOT, 0.1), (500, 0, 9, 1, 0.2))
    step = merge([one, two], alone={"pass": 0.5, "tackle": DROP, "shot": DROP})
    assert [row[0] for row in rows_of(step.events)] == [100, 300, 500]  # agreeing shots stay whatever their score
    assert step.changes["change"].tolist() == ["kept", "removed", "merged", "removed", "merged", "kept"]


def test_excluded_classes():
    one = model((100, 0, 9, TACKLE, 0.5), (200, 0, 9, PASS, 0.5))
    two = model((102, 0, 9, TACKLE, 0.9), (300, 0, 9, TACKLE, 0.9), (201, 0, 9, PASS, 0.5))
    step = merge([one, two], alone={"tackle": DROP}, excluded={1: ["tackle"]})
    # nobody could have agreed with the first model's tackle, so it stands
    assert rows_of(step.events) == [(100, 0, 9, TACKLE, 0.5), (201, 0, 9, PASS, 0.5)]
    assert step.changes["change"].tolist() == ["kept", "merged", "removed", "removed", "merged"]


def test_a_half_that_a_model_has_not_seen_is_left_to_the_others():
    one, two = model((100, 0, 9, PASS, 0.5), (100, 0, 9, SHOT, 0.5)), model(halves=HALVES[:1])
    three = model((100, 0, 9, PASS, 0.5), halves=("game_2_H1",))
    other_half = one.with_table(pd.concat([one.table, one.table.assign(half=HALVES[1])]))
    step = merge([other_half, two, three], alone={"pass": DROP})
    assert step.events.halves == (*HALVES, "game_2_H1")
    # only in the first half could another model have agreed with a pass
    found = list(zip(step.events.table["half"], step.events.table["class"], strict=True))
    assert found == [(HALVES[0], SHOT), (HALVES[1], PASS), (HALVES[1], SHOT), ("game_2_H1", PASS)]


def test_bad_options_are_refused():
    one = model((100, 0, 9, PASS, 0.5))
    with pytest.raises(FootpassError, match="merge: 0 models"):
        merge([])
    with pytest.raises(FootpassError, match="window=-1"):
        merge([one], window=-1)
    with pytest.raises(FootpassError, match="unknown class 'dribble'"):
        merge([one], alone={"dribble": DROP})
    with pytest.raises(FootpassError, match="unknown class 'dribble'"):
        merge([one], excluded={0: ["dribble"]})
    for excluded in ({1: ["tackle"]}, {0: "tackle"}):
        with pytest.raises(FootpassError, match="expected lists of classes of models 0 to 0"):
            merge([one], excluded=excluded)
    with pytest.raises(FootpassError, match="has no score"):
        merge([one, one.with_table(one.table.assign(score=np.nan))])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 150), st.sampled_from([0, 5, 12, 1000]), st.integers(1, 4))
def test_a_model_merged_with_itself_is_that_model(seed: int, n: int, window: int, copies: int):
    made = random_events(np.random.default_rng(seed), n, HALVES, truth=False, frames=60)
    same = merge([made] * copies, window)
    pd.testing.assert_frame_equal(by_value(same.events), by_value(made))
    assert same.events.halves == HALVES and len(same.changes) == copies * n
    suppressed = nms(made)
    pd.testing.assert_frame_equal(by_value(nms(merge([suppressed] * copies, window).events)), by_value(suppressed))


def slow_merge(models: list[Events], window: int) -> list[tuple]:
    """Frames, identities and scores as the definition reads: the best free event takes its closest from each model."""
    free = [(k, *row) for k, events in enumerate(models) for row in events.table[COLUMNS].itertuples(index=False)]
    merged = []
    while free:
        best = min(free, key=lambda e: (-e[6], e[2], e[0]))
        members = [best]
        for k in set(range(len(models))) - {best[0]}:
            near = [e for e in free if e[0] == k and (e[1], *e[3:6]) == (best[1], *best[3:6])]
            near = [e for e in near if abs(e[2] - best[2]) <= window]
            if near:
                members.append(min(near, key=lambda e: (abs(e[2] - best[2]), -e[6], e[2])))
        for member in members:
            free.remove(member)
        weights = [member[6] for member in members] if any(member[6] for member in members) else [1] * len(members)
        frame = np.average([member[2] for member in members], weights=weights)
        merged.append((best[1], *best[3:6], frame, np.mean([member[6] for member in members])))
    return sorted(merged)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("window", [3, 12, 40])
def test_merge_is_the_greedy_definition(seed: int, window: int):
    rng = np.random.default_rng(seed)
    made = [random_events(rng, n, HALVES, truth=False, frames=60) for n in (70, 60, 30)[: 2 + seed % 2]]
    expected = slow_merge(made, window)
    table = merge(made, window).events.table[["half", "team", "jersey", "class", "frame", "score"]]
    found = sorted(table.itertuples(index=False, name=None))
    assert len(found) == len(expected) < sum(map(len, made))
    # two events of one player and class may share a rounded frame, so scores are compared apart
    assert [row[:4] for row in found] == [row[:4] for row in expected]
    assert max(abs(a[4] - b[4]) for a, b in zip(found, expected, strict=True)) <= 0.5 + 1e-9
    np.testing.assert_allclose(sorted(row[5] for row in found), sorted(row[5] for row in expected))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_neither_the_order_of_rows_nor_of_models_matters(seed: int, n_models: int):
    rng = np.random.default_rng(seed)
    made = [random_events(rng, 80, HALVES, truth=False, frames=60) for _ in range(n_models)]
    # thirds, so that sums depend on the order of their terms
    made = [events.with_table(events.table.assign(score=events.table["score"] / 3)) for events in made]
    rules = {"alone": dict.fromkeys(EVENT_CLASSES, 0.1)}
    expected = merge(made, **rules).events.table
    shuffled = [events.with_table(events.table.iloc[rng.permutation(80)]) for events in made]
    order = rng.permutation(n_models)
    for other in (merge(shuffled, **rules), merge([made[k] for k in order], **rules)):
        pd.testing.assert_frame_equal(other.events.table, expected, check_exact=True)


@pytest.mark.parametrize("seed", range(5))
def test_every_event_is_accounted_for(seed: int):
    rng = np.random.default_rng(seed)
    made = [random_events(rng, n, HALVES, truth=False, frames=60) for n in (150, 90, 40)]
    step = merge(made, window=12, alone={"pass": DROP, "drive": 0.5}, excluded={2: ["tackle", "shot"]})
    after, changes = step.events.table, step.changes
    for k, events in enumerate(made):
        mine = changes[changes["model"] == k]
        for column in ("half", "team", "jersey", "class", "frame"):
            np.testing.assert_array_equal(mine[column], events.table[column])
    kept = changes[changes["new_row"] >= 0]
    assert set(kept["new_row"]) == set(range(len(after)))
    votes = kept.groupby("new_row").size()
    np.testing.assert_array_equal(kept["change"] == "merged", votes[kept["new_row"]].to_numpy() > 1)
    assert not kept.duplicated(["new_row", "model"]).any() and votes.max() == 3
    scores = np.concatenate([events.table["score"] for events in made])[kept.index]
    for row, members in kept.assign(score=scores).groupby("new_row"):
        event = after.loc[row]
        for column in ("half", "team", "jersey", "class"):
            assert (members[column] == event[column]).all()
        assert np.ptp(members["frame"]) <= 24 and event["score"] == pytest.approx(members["score"].mean())
        weights = members["score"] if members["score"].sum() else None
        assert abs(np.average(members["frame"], weights=weights) - event["frame"]) <= 0.5 + 1e-9
    np.testing.assert_array_equal(after.index, by_value(step.events).index)
    pd.testing.assert_frame_equal(after[COLUMNS], by_value(step.events))


def test_nothing_to_merge():
    step = merge([model(), model()])
    assert len(step.events) == len(step.changes) == 0 and step.events.halves == HALVES
    assert rows_of(merge([model(), model((100, 0, 9, PASS, 0.5))]).events) == [(100, 0, 9, PASS, 0.5)]


# agreement fusion


def test_agreement_by_hand():
    one = model((100, 0, 9, PASS, 0.9), (200, 0, 9, PASS, 0.8), (300, 0, 9, TACKLE, 0.4))
    two = model((112, 0, 9, PASS, 0.3), (213, 0, 9, PASS, 0.5))
    three = model((95, 0, 9, PASS, 0.6), (400, 1, 2, SHOT, 0.2))
    four = model((401, 1, 2, SHOT, 0.6), (400, 1, 3, SHOT, 0.9))
    step = fuse([one, two, three, four])
    assert rows_of(step.events) == [
        (100, 0, 9, PASS, pytest.approx(0.6 * (3 / 4) ** 0.5)),  # the frame of the best, 112 and 95 are near it
        (300, 0, 9, TACKLE, pytest.approx(0.4 * 0.5)),  # alone, and spared
        (401, 1, 2, SHOT, pytest.approx(0.4 * 0.5**0.5)),
    ]
    assert step.changes["change"].tolist() == [
        "merged", "removed", "kept", "merged", "removed", "merged", "merged", "merged", "removed"
    ]  # fmt: skip
    assert step.changes["new_frame"].tolist() == [100, -1, 300, 100, -1, 100, 401, 401, -1]


def test_a_cluster_is_around_its_seed_and_has_a_model_once():
    one = model((100, 0, 9, PASS, 0.9))
    two = model((112, 0, 9, PASS, 0.8), (90, 0, 9, PASS, 0.7))
    three = model((124, 0, 9, PASS, 0.6))
    # 90 is closer to the seed than 112, which is next, and takes 124 (24 frames from 100)
    assert rows_of(fuse([one, two, three]).events) == [
        (100, 0, 9, PASS, pytest.approx(0.8 * (2 / 3) ** 0.5)),
        (112, 0, 9, PASS, pytest.approx(0.7 * (2 / 3) ** 0.5)),
    ]
    assert rows_of(fuse([one, two, three], window=9).events) == []
    all_three = fuse([one, two, three], window=24, least=3).events
    assert rows_of(all_three) == [(100, 0, 9, PASS, pytest.approx((0.9 + 0.7 + 0.6) / 3))]


def test_who_does_not_name_a_half_is_not_asked():
    one = model((100, 0, 9, PASS, 0.9))
    other = make_events(HALVES[1:], {"half": [HALVES[1]], "frame": [100], "team": [0], "jersey": [9],
                                     "class": [PASS], "score": [0.5]})  # fmt: skip
    only_first = model((100, 0, 9, SHOT, 0.5), halves=HALVES[:1])
    step = fuse([model((100, 0, 9, PASS, 0.9), halves=HALVES[:1]), other])
    assert [(row.half, row.score) for row in step.events.table.itertuples()] == [(HALVES[0], 0.9), (HALVES[1], 0.5)]
    assert step.events.halves == HALVES
    assert rows_of(fuse([one, only_first]).events) == []
    assert rows_of(fuse([one, only_first], spared=["shot"]).events) == [
        (100, 0, 9, SHOT, pytest.approx(0.5 * 0.5**0.5))
    ]
    assert len(fuse([one, only_first], least=1).events) == 2


def slow_fuse(models: list[Events], window: int, least: int, spared: set[int]) -> list[tuple]:
    """As the definition reads."""
    free = [(k, *row) for k, events in enumerate(models) for row in events.table[COLUMNS].itertuples(index=False)]
    fused = []
    while free:
        seed = min(free, key=lambda e: (-e[6], e[2], e[0]))
        members = [seed]
        for k in set(range(len(models))) - {seed[0]}:
            near = [e for e in free if e[0] == k and (e[1], *e[3:6]) == (seed[1], *seed[3:6])]
            near = [e for e in near if abs(e[2] - seed[2]) <= window]
            members += [min(near, key=lambda e: (abs(e[2] - seed[2]), -e[6], e[2]))] if near else []
        for member in members:
            free.remove(member)
        n = len(members)
        if n >= least or seed[5] in spared:
            score = np.mean([member[6] for member in members]) * np.sqrt(n / len(models))
            fused.append((seed[1], *seed[3:6], seed[2], score))
    return sorted(fused)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("window", "least"), [(3, 2), (12, 2), (12, 3), (40, 1)])
def test_fusion_is_the_greedy_definition(seed: int, window: int, least: int):
    rng = np.random.default_rng(seed)
    made = [random_events(rng, n, HALVES, truth=False, frames=60) for n in (70, 60, 50, 40)]
    expected = slow_fuse(made, window, least, {TACKLE})
    step = fuse(made, window, least)
    table = step.events.table[["half", "team", "jersey", "class", "frame", "score"]]
    found = sorted(table.itertuples(index=False, name=None))
    assert [row[:5] for row in found] == [row[:5] for row in expected] and 5 < len(found) < 220
    np.testing.assert_allclose([row[5] for row in found], [row[5] for row in expected])
    pd.testing.assert_frame_equal(step.events.table[COLUMNS], by_value(step.events))
    votes = step.changes[step.changes["new_row"] >= 0].groupby("new_row").size()
    assert 2 <= votes.max() <= 4 and (votes[step.events.table["class"] != TACKLE] >= least).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_fusion_knows_no_order_of_rows_or_models(seed: int, n_models: int):
    rng = np.random.default_rng(seed)
    made = [random_events(rng, 80, HALVES, truth=False, frames=60) for _ in range(n_models)]
    made = [events.with_table(events.table.assign(score=events.table["score"] / 3)) for events in made]
    expected = fuse(made).events.table
    shuffled = [events.with_table(events.table.iloc[rng.permutation(80)]) for events in made]
    for other in (fuse(shuffled), fuse([made[k] for k in rng.permutation(n_models)])):
        pd.testing.assert_frame_equal(other.events.table, expected, check_exact=True)
    if n_models == 1:
        pd.testing.assert_frame_equal(by_value(fuse(made).events), by_value(made[0]))


def test_fusion_of_nothing_and_bad_options():
    assert len(fuse([model(), model()]).events) == 0
    one = model((100, 0, 9, PASS, 0.5))
    for options in ({"window": -1}, {"least": 0}, {"spared": "tackle"}):
        with pytest.raises(FootpassError, match="fuse: 1 models, window="):
            fuse([one], **options)
    with pytest.raises(FootpassError, match="fuse: 0 models"):
        fuse([])
    with pytest.raises(FootpassError, match="unknown class 'dribble'"):
        fuse([one], spared=["dribble"])
