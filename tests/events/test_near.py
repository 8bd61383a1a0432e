"""The search for neighbours in time against plain loops over random events, and what stands on it likewise."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import random_events

from footpass_lib.events.near import near_rows, near_spans, one_axis, ranges
from footpass_lib.events.nms import player_groups


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("window", [0, 1, 12, 75, 1000])
def test_near_events_as_a_plain_loop_finds_them(seed: int, window: int):
    halves = ("game_1_H1", "game_1_H2", "game_2_H1")
    table = random_events(np.random.default_rng(seed), 150, halves, truth=False).table
    group, frame = player_groups(table), table["frame"].to_numpy()
    places = one_axis(group, frame, window)
    order = np.argsort(places, kind="stable")
    expected = [
        (i, k)
        for i in range(len(table))
        for k, j in enumerate(order.tolist())
        if group[i] == group[j] and abs(frame[i] - frame[j]) <= window
    ]
    question, row = near_rows(places[order], places, window)
    assert list(zip(question.tolist(), row.tolist(), strict=True)) == expected
    first, end = near_spans(places[order], places, window)
    assert (end - first).tolist() == np.bincount([i for i, _ in expected], minlength=len(table)).tolist()


def test_places_need_not_be_asked_for_in_order_or_be_there():
    question, row = near_rows(np.array([3, 5, 5, 40]), np.array([41, 4, 20, 5]), 1)
    assert question.tolist() == [0, 1, 1, 1, 3, 3] and row.tolist() == [3, 0, 1, 2, 1, 2]
    assert [len(found) for found in near_rows(np.zeros(0, int), np.array([7]), 3)] == [0, 0]
    assert len(one_axis(np.zeros(0, int), np.zeros(0, int), 3)) == 0


def test_ranges_write_runs_out():
    owner, rows = ranges(np.array([5, 2, 9]), np.array([2, 0, 3]))
    assert owner.tolist() == [0, 0, 2, 2, 2] and rows.tolist() == [5, 6, 9, 10, 11]
