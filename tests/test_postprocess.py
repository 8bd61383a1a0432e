"""Decoding and suppression against slow references and properties."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footpass_lib.dense import TacticalHalf, dense_half
from footpass_lib.playbyplay import Events, make_events
from footpass_lib.postprocess import decode_detections, nms, suppress
from footpass_lib.schema import CLASS_ID, N_SLOTS, FootpassError, slot_of


def random_predictions(seed: int, n: int, frames: int = 300) -> Events:
    """Few jerseys, classes and scores, so that groups are crowded and ties occur."""
    rng = np.random.default_rng(seed)
    halves = ("game_1_H1", "game_1_H2")
    columns = {
        "half": rng.choice(halves, n),
        "frame": rng.integers(0, frames, n),
        "team": rng.integers(0, 2, n),
        "jersey": rng.integers(1, 3, n),
        "class": rng.integers(1, 4, n),
        "score": rng.integers(0, 9, n) / 8,
    }
    return make_events(halves, columns)


def slow_nms(events: Events, window: int) -> list[int]:
    """Rows kept, found as the definition reads: take the best, drop what it suppresses, repeat."""
    rows = list(events.table.itertuples(index=True))
    rows.sort(key=lambda row: (-row.score, row.frame, row.Index))
    kept = []
    for row in rows:
        same = (k for k in kept if (k.half, k.team, k.jersey, k[5]) == (row.half, row.team, row.jersey, row[5]))
        if all(abs(k.frame - row.frame) > window for k in same):
            kept.append(row)
    return sorted(row.Index for row in kept)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 150), st.sampled_from([0, 1, 5, 25, 1000]))
def test_nms_is_the_greedy_definition_and_idempotent(seed: int, n: int, window: int):
    events = random_predictions(seed, n)
    kept = nms(events, window)
    pd.testing.assert_frame_equal(kept.table, events.table.loc[slow_nms(events, window)].reset_index(drop=True))
    assert kept.halves == events.halves
    pd.testing.assert_frame_equal(nms(kept, window).table, kept.table)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_nms_does_not_depend_on_the_order_of_rows_with_different_scores(seed: int):
    rng = np.random.default_rng(seed)
    group, frame = rng.integers(0, 3, 60), rng.integers(0, 200, 60)
    score, order = rng.permutation(60) / 60, rng.permutation(60)
    np.testing.assert_array_equal(suppress(group, frame, score, 25)[order],
                                  suppress(group[order], frame[order], score[order], 25))  # fmt: skip


def test_nms_by_hand():
    columns = {
        "half": ["game_1_H1"] * 7,
        "frame": [100, 125, 126, 151, 125, 125, 125],
        "team": [0, 0, 0, 0, 1, 0, 0],
        "jersey": [9, 9, 9, 9, 9, 8, 9],
        "class": [2, 2, 2, 2, 2, 2, 5],
        "score": [0.9, 0.8, 0.5, 0.7, 0.1, 0.1, 0.1],
    }
    # 125 falls to 100, 126 to 151 (25 away); 151 is 51 from 100; another team, jersey or class is untouched
    assert nms(make_events(["game_1_H1"], columns)).table["frame"].tolist() == [100, 151, 125, 125, 125]


def test_nms_refuses_ground_truth_and_negative_windows():
    truth = make_events(["game_1_H1"], {"half": ["game_1_H1"], "frame": [3], "team": [0], "jersey": [1], "class": [2]})
    with pytest.raises(FootpassError, match="game_1_H1, row 0: has no score"):
        nms(truth)
    with pytest.raises(FootpassError, match="window=-1"):
        nms(random_predictions(0, 5), -1)
    empty = make_events(["game_1_H1"], {name: [] for name in ("half", "frame", "team", "jersey", "class", "score")})
    assert len(nms(empty)) == 0 and nms(empty).halves == ("game_1_H1",)


FIRST, N_FRAMES = 400, 120


def substituted_half() -> TacticalHalf:
    """The left CF is jersey 9 until frame 459 and 19 from 460 on; the right GK is 1; nobody else has a row."""
    rows = []
    for frame in range(FIRST, FIRST + N_FRAMES):
        for team, role, jersey in ((0, 12, 9 if frame < 460 else 19), (1, 1, 1)):
            rows.append((frame, 100, team, jersey, role, 0.5, 0.5, 0, 0, 900, 500, 40, 80, 0))
    return dense_half(np.array(rows, np.float32), "game_5_H2")


def test_decoding_by_hand():
    half = substituted_half()
    cf, keeper, unused = slot_of(0, 12), slot_of(1, 1), slot_of(0, 4)
    logits = np.zeros((9, N_SLOTS, N_FRAMES), np.float16)
    logits[0] = 4
    logits[CLASS_ID["pass"], cf, 10] = 8  # suppresses the weaker one 25 frames later
    logits[CLASS_ID["pass"], cf, 35] = 6
    logits[CLASS_ID["pass"], cf, 61] = 6  # 51 frames after the first
    logits[CLASS_ID["drive"], cf, 11] = 5  # another class is not suppressed
    logits[CLASS_ID["shot"], keeper, 10] = 5
    logits[CLASS_ID["shot"], unused, 10] = 9  # nobody there
    logits[CLASS_ID["block"], keeper, 80] = 3.9  # less than background

    def probability(top: float) -> float:
        rest = [4.0] + [0.0] * 7
        return float(np.exp(top) / (np.exp(top) + np.exp(rest).sum()))

    table = decode_detections(logits, half).table
    found = table[["frame", "team", "jersey", "class"]].to_numpy().tolist()
    assert found == [[410, 0, 9, 2], [410, 1, 1, 5], [411, 0, 9, 1], [461, 0, 19, 2]]
    np.testing.assert_allclose(table["score"], [probability(top) for top in (8, 5, 5, 6)], rtol=1e-5)
    assert len(decode_detections(logits, half, window=24)) == 5
    assert len(decode_detections(logits, half, threshold=0.8)) == 2
    assert len(decode_detections(logits * 0, half)) == 0


@pytest.mark.parametrize("seed", range(3))
def test_decoding_against_a_slow_reference(seed: int):
    half = substituted_half()
    logits = np.random.default_rng(seed).normal(size=(9, N_SLOTS, N_FRAMES)) * 2
    expected = []
    for slot, team in ((slot_of(0, 12), 0), (slot_of(1, 1), 1)):
        p = np.exp(logits[:, slot]) / np.exp(logits[:, slot]).sum(axis=0)
        for c in range(1, 9):
            candidates = sorted((-p[c, t], t) for t in range(N_FRAMES) if p[:, t].argmax() == c)
            kept = []
            for score, t in candidates:
                if all(abs(t - other) > 5 for other in kept):
                    kept.append(t)
                    jersey = half.jersey_at(slot, FIRST + t)
                    expected.append((FIRST + t, team, jersey, c, round(-score, 4)))
    table = decode_detections(logits, half, window=5).table
    found = [(*row[:4], round(row[4], 4)) for row in table[["frame", "team", "jersey", "class", "score"]].to_numpy()]
    assert sorted(found) == sorted(expected) and len(found) > 50
    assert table["frame"].is_monotonic_increasing


def test_logits_that_do_not_fit_are_refused():
    half = substituted_half()
    with pytest.raises(FootpassError, match=r"game_5_H2: expected logits of shape \(9, 26, 120\)"):
        decode_detections(np.zeros((9, N_SLOTS, 520)), half)
    logits = np.zeros((9, N_SLOTS, N_FRAMES))
    logits[3, 7, 20] = np.nan
    with pytest.raises(FootpassError, match="game_5_H2: slot 7, frame 420: a logit is NaN"):
        decode_detections(logits, half)
