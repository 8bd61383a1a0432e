"""Play that is tracked and not rendered: its rows, its gestures, and what a table has to agree with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from footpass_lib.schema import FPS, FootpassError
from footpass_lib.study.profiles import PROFILES
from footpass_lib.synthetic.play.played import MOVE_ID
from footpass_lib.synthetic.production import plan, simulate
from footpass_lib.synthetic.unfilmed import as_known, gestures, known_half, play_unfilmed

SIZES = replace(PROFILES["smoke"].synthetic, train=1, half_minutes=0.25)


@pytest.fixture(scope="module")
def job():
    return plan("unfilmed", SIZES, seed=7)[0]


@pytest.fixture(scope="module")
def halves(job):
    return play_unfilmed(job)


def test_a_job_gives_the_same_play_again(job, halves):
    again = simulate(job, job.generators())
    for half, play in zip(halves, again, strict=True):
        np.testing.assert_array_equal(half.play.position, play.position)
        pd.testing.assert_frame_equal(half.play.events, play.events)
        np.testing.assert_array_equal(as_known(half).ball, play.ball[:, :2])


def test_gestures_are_the_anchor_frames_of_moves_without_an_event(halves):
    for half in halves:
        play, known = half.play, as_known(half)
        assert len(known.gestures) > 2
        for index, slot in known.gestures:
            player = int(np.flatnonzero(play.slot[index] == slot)[0])
            assert play.move[index, player] >= MOVE_ID["feint"] and play.phase[index, player] == 0
            assert known.tactical.class_id[slot, index] == 0
        anchors = (play.move >= MOVE_ID["feint"]) & (play.phase == 0)
        assert len(known.gestures) == anchors.sum()


def test_gestures_one_after_the_other_are_two(halves):
    play = halves[0].play
    move, phase = np.zeros_like(play.move), np.zeros_like(play.phase)
    for frame, name in ((40, "feint"), (65, "jump"), (120, "pass")):
        span = np.arange(frame - 12, frame + 13)
        move[span, 4], phase[span, 4] = MOVE_ID[name], (span - frame) / FPS
    slot = int(play.slot[40, 4])
    assert gestures(replace(play, move=move, phase=phase)).tolist() == [[40, slot], [65, slot]]


def test_events_stand_in_the_table_as_played(halves):
    for half in halves:
        known, events = as_known(half), half.play.events
        assert np.count_nonzero(known.tactical.class_id) == len(events) > 2
        slot = half.play.slot[events["frame"], events["player"]]
        np.testing.assert_array_equal(known.tactical.class_id[slot, events["frame"]], events["class"])


def test_a_table_of_another_play_is_refused(halves):
    first, second = halves
    with pytest.raises(FootpassError, match=r"game_0_H2: the table has \d+ events in 375 frames from 375; expected"):
        known_half(first.play, as_known(second).tactical)
