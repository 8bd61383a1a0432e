"""The bank of windows, and logits drawn from it: who and when is collected, and where it comes to stand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from footpass_lib.data.half import TacticalHalf
from footpass_lib.data.known import KnownHalf
from footpass_lib.data.logits import background_logits
from footpass_lib.samples import drawn
from footpass_lib.samples.bank import (
    BESIDE,
    FAR,
    GESTURE,
    KINDS,
    NEAR,
    REACH,
    WIDTH,
    WindowBank,
    anchor_room,
    collect_windows,
    fill_kinds,
    find_anchors,
    join_banks,
    load_bank,
    near_ball,
)
from footpass_lib.samples.drawn import draw_epoch, draw_half, draw_logits, played_half
from footpass_lib.samples.tokens import dst_half
from footpass_lib.schema import CLASS_ID, EVENT_CLASSES, PITCH, FootpassError

T = 400
PASS, DRIVE = CLASS_ID["pass"], CLASS_ID["drive"]
# index, slot, class: two events of slot 3, one of slot 9, and one near the half's end
EVENTS = ((100, 3, PASS), (110, 3, DRIVE), (200, 9, CLASS_ID["shot"]), (397, 3, PASS))
GESTURES = ((60, 3), (300, 5))
NEAR_SLOTS = (3, 5, 9)  # a metre from the ball, everybody else 40 metres away
BACKGROUND = background_logits(1)[:, 0, 0]


def make_known(events=EVENTS, gestures=GESTURES, hidden=()) -> KnownHalf:
    """Everybody is seen in every frame, but for the (slot, first, stop) that are hidden; slots 20 to 25 are empty."""
    observed = np.zeros((26, T), bool)
    observed[:20] = True
    visible = observed.copy()
    for slot, first, stop in hidden:
        visible[slot, first:stop] = False
    ball = np.tile(np.float32([50, 30]), (T, 1))
    position = np.tile(np.float32([90, 30]) / np.float32(PITCH), (26, T, 1))
    position[NEAR_SLOTS, :] = np.float32([51, 30]) / np.float32(PITCH)
    position[~observed] = np.nan
    class_id = np.zeros((26, T), np.uint8)
    for index, slot, label in events:
        class_id[slot, index] = label
    tactical = TacticalHalf(
        half="game_3_H1",
        first_frame=50,
        position=position,
        velocity=np.where(observed[..., None], 0, np.nan).repeat(2, axis=2).astype(np.float32),
        box=np.where(visible[..., None], 10, np.nan).repeat(4, axis=2).astype(np.float32),
        observed=observed,
        visible=visible,
        jersey=np.ones((26, T), np.int16),
        player_id=np.ones((26, T), np.int32),
        class_id=class_id,
        has_classes=True,
        duplicates=0,
    )
    return KnownHalf(tactical, np.array(gestures, np.int64).reshape(-1, 2), ball)


def tagged(known: KnownHalf) -> dict[str, np.ndarray]:
    """Logits that say whose they are, and when: class 1 has the slot, class 2 the frame; the second source negative."""
    logits = np.zeros((9, 26, T), np.float16)
    logits[1], logits[2] = np.arange(26)[:, None], np.arange(T)
    seen = known.tactical.visible
    return {
        "taad": np.where(seen, logits, background_logits(1)),
        "gnn": np.where(seen, -logits, background_logits(1)),
    }


def made_bank(per_kind: int = 3, reach: int = REACH) -> WindowBank:
    """Every kind has windows: class 0 has the kind, class 1 the place in the window, class 2 the window's number."""
    kind = np.arange(len(KINDS)).repeat(per_kind).astype(np.uint8)
    logits = np.zeros((len(kind), WIDTH, 2, 9), np.float16)
    logits[..., 0] = kind[:, None, None]
    logits[..., 1] = np.arange(WIDTH)[:, None]
    logits[..., 2] = np.arange(len(kind))[:, None, None]
    logits[:, :, 1] *= -1
    return WindowBank(("taad", "gnn"), logits, kind, np.full((len(kind), 2), reach, np.uint8))


def drawn_of(half, seed=0, eagerness=0.0, bank=None, **options) -> np.ndarray:
    return draw_logits(bank or made_bank(), half, np.random.default_rng(seed), eagerness=eagerness, **options)


# what stands out


def test_anchors_are_events_gestures_and_who_is_beside_an_event():
    known = make_known()
    near = near_ball(known)
    assert np.array_equal(np.flatnonzero(near.all(axis=1)), NEAR_SLOTS) and near.sum() == 3 * T
    found = {tuple(anchor) for anchor in find_anchors(known, near).tolist()}
    own = set(EVENTS) | {(60, 3, GESTURE), (300, 5, GESTURE)}
    beside = {(i, s, BESIDE + label) for i, actor, label in EVENTS for s in NEAR_SLOTS if s != actor}
    assert found == own | beside


def test_a_gesture_or_another_events_nearness_gives_way_to_an_own_event():
    known = make_known(gestures=((116, 3), (127, 3)), events=(*EVENTS, (205, 5, PASS)))
    found = {tuple(anchor) for anchor in find_anchors(known, near_ball(known)).tolist()}
    assert (127, 3, GESTURE) in found and (116, 3, GESTURE) not in found
    assert (205, 5, PASS) in found and (200, 5, BESIDE + CLASS_ID["shot"]) not in found
    assert (200, 3, BESIDE + CLASS_ID["shot"]) in found


def test_anchors_of_a_player_share_the_frames_between_them():
    anchors = np.array([(10, 1, 1), (20, 1, 2), (25, 1, 2), (26, 2, 1), (100, 2, 3)])
    assert anchor_room(anchors).tolist() == [[16, 5], [4, 2], [2, 16], [16, 16], [16, 16]]
    assert anchor_room(anchors[:0]).shape == (0, 2)


# the bank


def test_windows_are_of_the_right_players_and_frames():
    known = make_known()
    bank = collect_windows(known, tagged(known))
    assert bank.sources == ("taad", "gnn") and bank.logits.dtype == np.float16
    slot, frame = bank.logits[:, REACH, 0, 1].astype(int), bank.logits[:, REACH, 0, 2].astype(int)
    for kind, label in ((PASS, PASS), (DRIVE, DRIVE), (GESTURE, GESTURE)):
        wanted = {(i, s) for i, s, c in EVENTS if c == label and i < T - 4} if kind != GESTURE else set(GESTURES)
        assert set(zip(frame[bank.kind == kind], slot[bank.kind == kind], strict=True)) == wanted
    assert set(slot[bank.kind == NEAR]) <= set(NEAR_SLOTS)
    assert set(slot[bank.kind == FAR]) == set(range(20)) - set(NEAR_SLOTS)
    for window, (before, after), s, f in zip(bank.logits, bank.reach, slot, frame, strict=True):
        used = window[REACH - before : REACH + after + 1]
        np.testing.assert_array_equal(used[:, 0, 1], s)
        np.testing.assert_array_equal(used[:, 0, 2], np.arange(f - before, f + after + 1))
        np.testing.assert_array_equal(used[:, 1], -used[:, 0])


def test_bystanders_are_far_from_what_they_do_themselves():
    known = make_known()
    bank = collect_windows(known, tagged(known))
    anchors = find_anchors(known, near_ball(known))
    still = np.isin(bank.kind, (NEAR, FAR))
    assert (bank.reach[still] == REACH).all() and still.sum() > 100
    for s, f in bank.logits[still][:, REACH, 0, 1:3].astype(int):
        assert (abs(anchors[anchors[:, 1] == s, 0] - f) > REACH).all()


def test_reach_ends_where_the_player_is_hidden_or_something_else_is_nearer():
    known = make_known(hidden=((9, 207, 230), (5, 298, 299), (5, 185, 190)))
    bank = collect_windows(known, tagged(known))
    reach = {name: bank.reach[bank.kind == KINDS.index(name)].tolist() for name in ("pass", "drive", "shot")}
    assert reach == {"pass": [[16, 5]], "drive": [[4, 16]], "shot": [[16, 6]]}  # the last pass ends with the half
    assert bank.counts["gesture"] == 1  # that of slot 5 has two frames before it
    beside = bank.kind == BESIDE + CLASS_ID["shot"]
    assert bank.logits[beside, REACH, 0, 1].tolist() == [3, 5] and bank.reach[beside].tolist() == [[16, 16], [10, 16]]
    unseen = (bank.logits == BACKGROUND).all(axis=(2, 3))
    for gone, (before, after) in zip(unseen, bank.reach, strict=True):
        assert not gone[REACH - before : REACH + after + 1].any()


def test_a_bank_is_saved_and_joined(tmp_path):
    known = make_known()
    bank = collect_windows(known, tagged(known))
    bank.save(tmp_path / "bank.npz")
    again = load_bank(tmp_path / "bank.npz")
    assert again.sources == bank.sources and len(again) == len(bank) == sum(bank.counts.values())
    for name in ("logits", "kind", "reach"):
        np.testing.assert_array_equal(getattr(again, name), getattr(bank, name))
        assert getattr(again, name).dtype == getattr(bank, name).dtype
    both = join_banks([bank, again])
    assert len(both) == 2 * len(bank) and both.counts["pass"] == 2 * bank.counts["pass"]


def test_files_that_hold_no_bank_are_named(tmp_path):
    path = tmp_path / "bank.npz"
    with pytest.raises(FootpassError, match=r"bank\.npz: there is no such file"):
        load_bank(path)
    bank = made_bank()
    bank.save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(FootpassError, match=r"bank\.npz: cannot be read as a bank"):
        load_bank(path)
    np.savez(path, sources=np.array(["taad"]), logits=bank.logits, kind=bank.kind, reach=bank.reach)
    with pytest.raises(FootpassError, match=r"bank\.npz: cannot be read as a bank.*shapes"):
        load_bank(path)
    np.savez(path, kind=bank.kind)
    with pytest.raises(FootpassError, match=r"bank\.npz: cannot be read as a bank"):
        load_bank(path)


def test_what_does_not_fit_together_is_refused():
    known = make_known()
    logits = tagged(known)
    with pytest.raises(FootpassError, match=r"game_3_H1: gnn logits have shape \(9, 26, 399\), expected"):
        collect_windows(known, logits | {"gnn": logits["gnn"][..., 1:]})
    with pytest.raises(FootpassError, match="joined, found taad; taad, gnn"):
        join_banks([made_bank(), collect_windows(known, {"taad": logits["taad"]})])
    with pytest.raises(FootpassError, match="found no bank"):
        join_banks([])
    with pytest.raises(FootpassError, match=r"game_3_H1: a ball of shape \(3, 2\)"):
        KnownHalf(known.tactical, known.gestures, known.ball[:3])


# drawing


def test_event_windows_stand_at_their_events():
    known = make_known()
    half = played_half(known)
    logits = drawn_of(half)
    assert logits.shape == (2, 9, 26, T) and logits.dtype == np.float16
    for index, slot, kind in find_anchors(known, near_ball(known)).tolist():
        assert logits[0, :3, slot, index].tolist()[:2] == [kind, REACH]
        window = logits[0, 2, slot, index]
        for step in (-1, 1):  # eight frames or more, or half way to the next anchor
            reach = 0
            while 0 <= index + step * reach < T and logits[0, 2, slot, index + step * reach] == window:
                assert logits[0, 1, slot, index + step * reach] == REACH + step * reach
                reach += 1
            assert reach > 8 or index in (100, 110, 397)


def test_all_else_is_bystanders_by_their_distance():
    half = played_half(make_known(events=(), gestures=()))
    kind = drawn_of(half)[0, 0]
    assert (kind[list(NEAR_SLOTS)] == NEAR).all()
    assert (kind[[s for s in range(20) if s not in NEAR_SLOTS]] == FAR).all()


def test_where_nobody_is_seen_is_background():
    hidden = ((3, 95, 105), (9, 100, 160), (2, 0, 30), (4, 380, T))
    known = make_known(hidden=hidden)
    filled, as_tracked = played_half(known), played_half(known, fill_gaps=False)
    unseen = np.zeros((26, T), bool)
    unseen[20:] = unseen[9, 100:160] = unseen[2, :30] = unseen[4, 380:] = True
    for half, more in ((filled, False), (as_tracked, True)):
        gone = unseen.copy()
        gone[3, 95:105] = more  # a gap that is short enough
        np.testing.assert_array_equal(half.seen, ~gone)
        for values in drawn_of(half, eagerness=1.0):
            np.testing.assert_array_equal((values.transpose(1, 2, 0) == BACKGROUND).all(axis=2), gone)


def test_eagerness_moves_events_and_not_background():
    half = played_half(make_known())
    calm, eager, other = drawn_of(half), drawn_of(half, eagerness=1.0), drawn_of(half, eagerness=2.0)
    moved = (eager.astype(np.float64) - calm)[:, :, half.seen]  # (S, 9, seen)
    assert not moved[:, 0].any()
    offsets = moved[:, 1:].mean(axis=(1, 2))
    np.testing.assert_allclose(moved[:, 1:], np.broadcast_to(offsets[:, None, None], moved[:, 1:].shape), atol=0.02)
    assert abs(offsets[0] - offsets[1]) > 0.1
    np.testing.assert_allclose((other - calm)[:, 3][:, half.seen].mean(axis=1), 2 * offsets, atol=0.02)
    np.testing.assert_array_equal(eager[:, :, ~half.seen], calm[:, :, ~half.seen])


def test_draws_repeat_with_their_generator_and_leave_sources_out():
    half = played_half(make_known())
    first = drawn_of(half, eagerness=0.7)
    np.testing.assert_array_equal(first, drawn_of(half, eagerness=0.7))
    assert not np.array_equal(first, drawn_of(half, seed=1, eagerness=0.7))
    for number, name in enumerate(("taad", "gnn")):
        np.testing.assert_array_equal(first[[number]], drawn_of(half, eagerness=0.7, sources=[name]))


def test_a_window_that_fills_the_room_is_preferred():
    bank = made_bank(per_kind=1)
    short = WindowBank(bank.sources, bank.logits, bank.kind, np.full_like(bank.reach, 2))
    half = played_half(make_known(events=((200, 3, PASS),), gestures=()))
    only = drawn_of(half, bank=short)[0, 0, 3]
    assert np.flatnonzero(only == PASS).tolist() == [198, 199, 200, 201, 202]
    counts = [np.count_nonzero(drawn_of(half, s, bank=join_banks([short, bank]))[0, 0, 3] == PASS) for s in range(40)]
    assert np.mean(np.array(counts) > 5) > 0.8


def test_a_bank_without_a_kind_is_named():
    bank, half = made_bank(), played_half(make_known())

    def without(*kinds: int) -> WindowBank:
        kept = ~np.isin(bank.kind, kinds)
        return WindowBank(bank.sources, bank.logits[kept], bank.kind[kept], bank.reach[kept])

    with pytest.raises(FootpassError, match="no window of kind 'pass'; it has 3 far, 3 drive, 3 cross"):
        drawn_of(half, bank=without(PASS))
    with pytest.raises(FootpassError, match="the bank has no logits of dst; it has taad, gnn"):
        drawn_of(half, sources=["dst"])
    few = drawn_of(half, bank=without(*(BESIDE + 1 + i for i in range(len(EVENT_CLASSES)))))
    assert few[0, 0, 5, 200] == NEAR  # a bystander at another's event stays one


# halves for the sequence model


def test_a_drawn_half_is_what_files_of_its_logits_would_give():
    known = make_known()
    half = played_half(known)
    logits = draw_logits(made_bank(), half, np.random.default_rng(4))
    expected = dst_half(known.tactical, *logits)
    found = draw_half(made_bank(), half, np.random.default_rng(4))
    assert torch.equal(found.features, expected.features) and found.features.shape == (T, 598)
    np.testing.assert_array_equal(found.events, expected.events)
    assert (found.half, found.first_frame, found.labelled) == (expected.half, expected.first_frame, True)
    one = draw_half(made_bank(), half, np.random.default_rng(4), ["taad"])
    assert torch.equal(one.features, expected.features[:, :364])


def test_epochs_take_turns_and_depend_on_seed_epoch_and_place_alone():
    bank, halves = made_bank(), [played_half(make_known(events=((50 + i, 3, PASS),))) for i in range(5)]
    turns = [[half.events[0, 0] - 50 for half in draw_epoch(bank, halves, 1, epoch, 2)] for epoch in range(1, 6)]
    assert len({*turns[0], *turns[1]}) == 4 and {i for turn in turns for i in turn} == {0, 1, 2, 3, 4}
    again = {half.events[0, 0]: half.features for half in draw_epoch(bank, halves, 1, 1, 2)}
    for half in draw_epoch(bank, halves, 1, 1, 5):
        if half.events[0, 0] in again:
            assert torch.equal(half.features, again[half.events[0, 0]])
    one, two = (draw_epoch(bank, halves, 1, epoch, 5)[0].features for epoch in (1, 2))
    assert not torch.equal(one, two)
    assert not torch.equal(one, draw_epoch(bank, halves, 2, 1, 5)[0].features)
    with pytest.raises(FootpassError, match="2 of 0 halves are to be drawn"):
        draw_epoch(bank, [], 0, 1, 2)


@pytest.mark.parametrize(("total", "number"), [(7, 3), (4, 4), (5, 1), (6, 2)])
def test_all_halves_are_seen_equally_often(total, number):
    epochs = [drawn._in_turn(total, number, 0, epoch) for epoch in range(1, 2 * total + 1)]
    counts = np.bincount(np.concatenate(epochs), minlength=total)
    assert counts.max() - counts.min() <= 2 and counts.min() >= 1
    assert all(list(e) == sorted(set(e)) for e in epochs)


def test_what_a_bank_lacks_is_stood_in_for():
    kinds = np.array([FAR, FAR, NEAR, PASS, BESIDE + PASS], np.uint8)
    windows = np.arange(5, dtype=np.float16)[:, None, None, None] * np.ones((1, WIDTH, 1, 9), np.float16)
    bank = WindowBank(("taad",), windows, kinds, np.full((5, 2), REACH, np.uint8))
    filled, borrowed = fill_kinds(bank)
    assert borrowed == {name: "near" for name in (*EVENT_CLASSES, "gesture") if name != "pass"}
    assert all(filled.counts[name] == 1 for name in (*EVENT_CLASSES, "near", "gesture")) and filled.counts["far"] == 2
    assert (filled.logits[filled.kind == GESTURE] == 2).all() and (filled.logits[filled.kind == PASS] == 3).all()
    assert filled.counts["beside drive"] == 0  # these may be missing
    again, nothing = fill_kinds(filled)
    assert len(again) == len(filled) and nothing == {}
    alone, borrowed = fill_kinds(WindowBank(("taad",), windows[:1], kinds[:1], bank.reach[:1]))
    assert set(borrowed.values()) == {"far"} and alone.counts["near"] == 1
    with pytest.raises(FootpassError, match="no window of kind 'far'; it has 1 pass"):
        fill_kinds(WindowBank(("taad",), windows[3:4], kinds[3:4], bank.reach[3:4]))
