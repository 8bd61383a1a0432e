"""Windows of detections: what is in them, and who sits where."""

import numpy as np
import pytest
from conftest import detect, passing_play

from footpass_lib.events.playbyplay import make_events
from footpass_lib.replay.windows import DetectedWindows, cut_detections, detected_halves
from footpass_lib.samples.tokens import ACTION, EOS, FRAME, N_STATE, ROLE, SOS
from footpass_lib.samples.windows import WindowSettings
from footpass_lib.schema import N_ROLES, N_SLOTS, FootpassError

SHAPE = WindowSettings(window=100, frames_per_token=5, pooled=True)
HALF = "game_3_H1"


def events(rows, **more):
    columns = dict(zip(("frame", "team", "jersey", "class"), map(list, zip(*rows, strict=True)), strict=True))
    return make_events((HALF,), {"half": [HALF] * len(rows), **columns, **more})


@pytest.fixture(scope="module")
def half():
    said = events([(1000, 0, 7, 1), (1012, 0, 7, 2), (1012, 1, 4, 8)], score=[0.9, 0.5, 0.25])
    truth = events([(1002, 0, 7, 1), (1014, 0, 7, 2), (1040, 1, 9, 1)], box=[True] * 3, replay=[False] * 3)
    (made,) = detected_halves(said, truth)
    return made


def test_a_window_by_hand(half):
    assert half.first_frame == 975 and half.n_frames == 91  # 25 frames before and after all that is known
    window, player_of = cut_detections(half, 0, SHAPE, np.random.default_rng(0))
    inputs = window.features.unflatten(1, (N_SLOTS, -1)).numpy()  # (20, 26, 13)
    slots = {tuple(half.players[player]): slot for slot, player in enumerate(player_of) if player >= 0}
    assert window.n_frames == 91 and len(slots) == 3
    assert all(slot // N_ROLES == team for (team, _), slot in slots.items())
    there = {(token, slot, channel - N_STATE + 1): inputs[token, slot, channel] for token, slot, channel in
             zip(*inputs.nonzero(), strict=True)}  # fmt: skip
    wanted = {(5, slots[0, 7], 1): 3.6, (7, slots[0, 7], 2): 2.0, (7, slots[1, 4], 8): 1.0}
    assert there == pytest.approx(wanted)
    assert window.tokens.tolist()[1:] == [
        [0, slots[0, 7], 28], [1, slots[0, 7], 40], [0, slots[1, 9], 66], [EOS, N_SLOTS, 67]
    ]  # fmt: skip


def test_teams_may_be_swapped_and_players_sit_anywhere(half):
    seats = set()
    for seed in range(40):
        window, player_of = cut_detections(half, 0, SHAPE, np.random.default_rng(seed), swap=True)
        (slot,) = np.flatnonzero(player_of == 0)  # number 7 of team 0
        assert slot >= N_ROLES and window.tokens[1, ROLE] == slot
        seats.add(int(slot))
    assert len(seats) > 8


def test_windows_end_with_the_half_and_see_what_is_in_them(half):
    window, _ = cut_detections(half, 60, SHAPE, np.random.default_rng(0))
    assert window.n_frames == 31 and window.features.count_nonzero() == 0
    assert window.tokens[:, ACTION].tolist() == [SOS, 0, EOS] and window.tokens[1, FRAME] == 6


def test_a_team_has_no_more_slots_than_roles():
    rows = [(100 + k, 0, k, 1) for k in range(1, 17)]
    (half,) = detected_halves(events(rows, score=[0.5] * 16), events(rows, box=[True] * 16, replay=[False] * 16))
    window, player_of = cut_detections(half, 0, SHAPE, np.random.default_rng(0))
    assert (player_of[:N_ROLES] >= 0).all() and (player_of[N_ROLES:] < 0).all()
    assert window.dropped == 3 and len(window.tokens) == 13 + 2


def test_training_windows_repeat_and_may_be_batched():
    truth = passing_play((3, 5), 0)
    halves = detected_halves(detect(truth, 1), truth)
    one, two = (DetectedWindows(halves, SHAPE, 0, epoch, 3) for epoch in (1, 1))
    assert len(one) == 3 * len(halves)
    assert all((one[i].features == two[i].features).all() for i in range(len(one)))
    batch = one.collate([one[i] for i in range(4)])
    assert batch.features.shape == (4, 20, SHAPE.token_width()) and (batch.dropped == 0).all()
    with pytest.raises(IndexError):
        one[len(one)]
    with pytest.raises(FootpassError, match="expected 1 or more, and pooled inputs"):
        DetectedWindows(halves, WindowSettings(), 0, 1, 1)


def test_without_ground_truth_there_are_no_events():
    truth = passing_play((3,), 0)
    halves = detected_halves(detect(truth, 1))
    assert [half.half for half in halves] == list(truth.halves) and not any(len(half.events) for half in halves)
