"""Windows of the sequence model: tokens against a slow reference, mirrors, padding, random draws, batches."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from footpass_lib.data.half import TacticalHalf
from footpass_lib.samples.tokens import EOS, NEUTRAL, SOS, DSTHalf, dst_half, mirror_features, mirror_tokens
from footpass_lib.samples.windows import (
    DSTWindows,
    ListedWindows,
    WindowSettings,
    collate_windows,
    cut_window,
    shuffle_slots,
)
from footpass_lib.schema import CLASS_ID, MIRRORS, ROLE_ID, FootpassError, mirror_slots, slot_of

FIRST_FRAME = 1000
SHORT = WindowSettings(window=30, max_tokens=25)
Event = tuple[int, int, int]  # index, slot, class


def make_half(n_frames: int = 100, events: list[Event] | None = (), seed: int = 0, half: str = "game_3_H2"):
    """A half in which four slots are always empty and others now and then; None for events leaves the classes out."""
    rng = np.random.default_rng(seed)
    observed = rng.random((26, n_frames)) < 0.9
    observed[[1, 7, 14, 20]] = False
    position = rng.random((26, n_frames, 2)).astype(np.float32)
    velocity = rng.normal(0, 4, (26, n_frames, 2)).astype(np.float32)
    position[~observed], velocity[~observed] = np.nan, np.nan
    class_id = np.zeros((26, n_frames), np.uint8)
    for index, slot, event_class in events or ():
        class_id[slot, index] = event_class
    return TacticalHalf(
        half=half,
        first_frame=FIRST_FRAME,
        position=position,
        velocity=velocity,
        box=np.full((26, n_frames, 4), np.nan, np.float32),
        observed=observed,
        visible=np.zeros_like(observed),
        jersey=np.ones((26, n_frames), np.int16),
        player_id=np.ones((26, n_frames), np.int32),
        class_id=class_id,
        has_classes=events is not None,
        duplicates=0,
    )


def make_logits(n_frames: int = 100, seed: int = 1) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(9, 26, n_frames)).astype(np.float32)
    logits.flags.writeable = False  # a cache may hand them out so
    return logits


def prepared(
    events: list[Event] | None = (), n_frames: int = 100, two: bool = False, half: str = "game_3_H2"
) -> DSTHalf:
    gnn = make_logits(n_frames, 2) if two else None
    return dst_half(make_half(n_frames, events, half=half), make_logits(n_frames), gnn, torch.float32)


def slow_row(half: TacticalHalf, sources: list[np.ndarray], index: int) -> list[float]:
    row = []
    for slot in range(26):
        if half.observed[slot, index]:
            row += [*half.position[slot, index], *half.velocity[slot, index], 1.0]
        else:
            row += [-15.0, -15.0, -15.0, -15.0, 0.0]
    for logits in sources:
        for slot in range(26):
            row += [logits[class_id, slot, index] for class_id in range(9)]
    return row


@pytest.mark.parametrize(("two", "width"), [(False, 364), (True, 598)])
def test_encoder_tokens_are_the_papers(two, width):
    half, sources = make_half(), [make_logits(), make_logits(seed=2)][: 1 + two]
    dense = dst_half(half, *sources, dtype=torch.float32)
    window = cut_window(dense, 20, SHORT)
    assert window.features.shape == (30, width) and window.features.dtype == torch.float32
    assert SHORT.token_width(1 + two) == width
    expected = np.array([slow_row(half, sources, 20 + r) for r in range(30)], np.float32)
    np.testing.assert_array_equal(window.features.numpy(), expected)


def test_paper_settings_are_the_defaults():
    settings = WindowSettings()
    assert (settings.window, settings.n_tokens, settings.n_frame_ids, settings.max_tokens) == (750, 750, 752, 25)


def test_several_frames_a_token_are_concatenated_in_order():
    half = prepared()
    one = cut_window(half, 5, SHORT).features
    settings = WindowSettings(window=30, frames_per_token=4)
    four = cut_window(half, 5, settings).features
    assert four.shape == (8, 4 * 364) == (settings.n_tokens, settings.token_width())
    for token in range(7):
        assert torch.equal(four[token], torch.cat([one[4 * token + k] for k in range(4)]))
    assert torch.equal(four[7, : 2 * 364], one[28:].flatten()) and not four[7, 2 * 364 :].any()


def slow_pooled(rows: np.ndarray, sources: int) -> np.ndarray:
    """Pooled inputs (26, 5 + 8 * sources) of the frames of one token (frames, 130 + 234 * sources)."""
    pooled = np.zeros((26, 5 + 8 * sources))
    for slot in range(26):
        for row in rows:
            x, y, vx, vy, observed = row[5 * slot : 5 * slot + 5]
            if observed:
                vx, vy = (max(-10, min(10, v)) / 3 for v in (vx, vy))
                pooled[slot, :5] += np.array([2 * x - 1, 2 * y - 1, vx, vy, 1]) / len(rows)
        for source in range(sources):
            first = 130 + 234 * source + 9 * slot
            for c in range(1, 9):
                highest = max(row[first + c] - row[first] for row in rows)
                pooled[slot, 4 + 8 * source + c] = (max(-8, min(8, highest)) + 8) / 4
    return pooled


@pytest.mark.parametrize("two", [False, True])
def test_pooled_inputs_against_a_slow_reference(two):
    half = prepared(two=two)
    half.features[:, 130:] *= 5  # so that some are clipped
    half.features[3, 2:4] = torch.tensor([14.0, -12.0])
    settings = WindowSettings(window=30, frames_per_token=5, pooled=True)
    window = cut_window(half, 0, settings)
    assert window.features.shape == (6, settings.token_width(1 + two))
    for token, got in enumerate(window.features.unflatten(1, (26, -1)).numpy()):
        want = slow_pooled(half.features[5 * token : 5 * token + 5].numpy(), 1 + two)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    last = cut_window(half, 88, settings)  # 12 frames: two tokens, and one of two frames
    want = slow_pooled(half.features[98:].numpy(), 1 + two)
    np.testing.assert_allclose(last.features[2].unflatten(0, (26, -1)).numpy(), want, rtol=1e-5, atol=1e-5)
    assert last.n_frames == 12 and not last.features[3:].any()


@pytest.mark.parametrize("mirror", MIRRORS)
def test_pooled_inputs_are_mirrored_and_shuffled_as_frames_are(mirror):
    half = prepared([(3, 1, 2), (9, 20, 7)], two=True)
    settings = WindowSettings(window=30, frames_per_token=5, pooled=True)
    pooled = cut_window(half, 10, settings, mirror)
    turned = torch.from_numpy(mirror_features(half.features.numpy(), mirror))
    expected = cut_window(replace(half, features=turned), 10, settings)
    torch.testing.assert_close(pooled.features, expected.features)
    order = np.concatenate([np.roll(np.arange(13), 4), 13 + np.arange(13)[::-1]])
    by_frame = replace(settings, pooled=False)
    shuffled = shuffle_slots(cut_window(half, 10, by_frame, mirror), order, by_frame)
    again = replace(half, features=shuffled.features.view(30, -1))
    torch.testing.assert_close(shuffle_slots(pooled, order, settings).features, cut_window(again, 0, settings).features)
    assert torch.equal(shuffle_slots(pooled, order, settings).tokens, shuffled.tokens)


def test_pooled_windows_end_with_a_token():
    with pytest.raises(FootpassError, match="frames_per_token=4, expected a divisor of the window's 30 frames"):
        WindowSettings(window=30, frames_per_token=4, pooled=True)


def test_half_precision_keeps_the_values_nearly():
    half = make_half()
    exact = dst_half(half, make_logits(), dtype=torch.float32)
    small = dst_half(half, make_logits())
    assert small.features.dtype == torch.float16
    torch.testing.assert_close(small.features.float(), exact.features, rtol=1e-3, atol=1e-3)
    assert torch.equal(small.features == -15, exact.features == -15)
    assert cut_window(small, 0, SHORT).features.dtype == torch.float32


@pytest.mark.parametrize("mirror", MIRRORS)
def test_a_window_is_a_copy(mirror):
    half = prepared()
    before = half.features.clone()
    cut_window(half, 0, SHORT, mirror).features.fill_(7)
    assert torch.equal(half.features, before)


def test_decoder_tokens_by_hand():
    lb, cf = slot_of(0, ROLE_ID["LB"]), slot_of(1, ROLE_ID["CF"])
    drive, shot, block = (CLASS_ID[name] for name in ("drive", "shot", "block"))
    half = prepared([(19, 0, drive), (20, cf, drive), (49, cf, shot), (49, lb, block), (50, lb, drive)])
    tokens = cut_window(half, 20, SHORT).tokens.tolist()
    assert tokens == [[SOS, 26, 0], [0, 24, 1], [7, 1, 30], [4, 24, 30], [EOS, 26, 31]]
    assert (SOS, EOS, NEUTRAL) == (8, 9, 26)
    assert cut_window(half, 60, SHORT).tokens.tolist() == [[8, 26, 0], [9, 26, 1]]


def test_windows_cut_the_events_of_their_frames_only():
    rng = np.random.default_rng(3)
    index = np.sort(rng.choice(100, 40, replace=False))
    events = [(int(i), int(rng.integers(26)), int(rng.integers(1, 9))) for i in index]
    half = prepared(events)
    for start in range(0, 100, 7):
        tokens = cut_window(half, start, SHORT).tokens[1:-1].tolist()
        expected = [[c - 1, slot, i - start + 1] for i, slot, c in events if start <= i < start + 30]
        assert tokens == expected


@pytest.mark.parametrize(
    ("n_events", "kept", "ends", "dropped"), [(24, 24, True, 0), (25, 25, False, 0), (28, 25, False, 3)]
)
def test_crowded_windows_are_cut_at_the_end_and_counted(n_events, kept, ends, dropped):
    half = prepared([(i, i % 26, 1 + i % 8) for i in range(n_events)])
    window = cut_window(half, 0, SHORT)
    tokens = window.tokens
    assert len(tokens) <= 1 + 25
    assert (tokens[1:, 0] != EOS).sum() == kept and (tokens[-1, 0] == EOS) == ends
    assert tokens[1 : 1 + kept, 2].tolist() == list(range(1, 1 + kept))
    assert window.dropped == dropped


def test_last_window_is_zero_after_the_half():
    half = prepared([(95, 3, 2), (99, 4, 5)])
    window = cut_window(half, 90, SHORT)
    assert window.n_frames == 10 and window.features.shape == (30, 364)
    torch.testing.assert_close(window.features[:10], half.features[90:], rtol=0, atol=0)
    assert not window.features[10:].any()
    assert window.tokens.tolist() == [[8, 26, 0], [1, 3, 6], [4, 4, 10], [9, 26, 11]]


@pytest.mark.parametrize("mirror", MIRRORS)
def test_mirror_against_a_slow_reference(mirror):
    half = prepared([(3, 1, 2), (3, 12, 3), (9, 20, 7)], two=True)
    plain, mirrored = cut_window(half, 0, SHORT), cut_window(half, 0, SHORT, mirror)
    order, before, after = mirror_slots(mirror), plain.features.numpy(), mirrored.features.numpy()
    for slot in range(26):
        old, new = before[:, 5 * slot :][:, :5], after[:, 5 * order[slot] :][:, :5]
        for t in range(30):
            expected = old[t].copy()
            if expected[4] == 1:
                if "x" in mirror:
                    expected[[0, 2]] = 1 - expected[0], -expected[2]
                if "y" in mirror:
                    expected[[1, 3]] = 1 - expected[1], -expected[3]
            np.testing.assert_array_equal(new[t], expected)
        for source in (130, 364):
            old, new = before[:, source + 9 * slot :][:, :9], after[:, source + 9 * order[slot] :][:, :9]
            np.testing.assert_array_equal(new, old)
    expected = {(a, order[r], f) for a, r, f in plain.tokens[1:-1].tolist()}
    assert {tuple(token) for token in mirrored.tokens[1:-1].tolist()} == expected
    assert mirrored.tokens[[0, -1]].tolist() == plain.tokens[[0, -1]].tolist()


def test_mirrors_by_hand():
    tokens = np.array(
        [[SOS, 26, 0], [0, slot_of(0, ROLE_ID["LB"]), 4], [1, slot_of(1, ROLE_ID["GK"]), 9], [EOS, 26, 10]]
    )

    def players(mirror):
        return [(int(r) // 13, int(r) % 13 + 1) for r in mirror_tokens(tokens, mirror)[1:-1, 1]]

    assert players("x") == [(1, ROLE_ID["RB"]), (0, ROLE_ID["GK"])]  # sides and teams are swapped
    assert players("y") == [(0, ROLE_ID["RB"]), (1, ROLE_ID["GK"])]  # sides only
    assert players("xy") == [(1, ROLE_ID["LB"]), (0, ROLE_ID["GK"])]  # teams only


@pytest.mark.parametrize("first", MIRRORS)
@pytest.mark.parametrize("second", MIRRORS)
def test_mirrors_are_a_group_of_four(first, second):
    together = "".join(axis for axis in "xy" if (axis in first) != (axis in second)) or "none"
    half = prepared([(3, 1, 2), (3, 12, 3), (9, 20, 7)])
    features, tokens = half.features.numpy(), cut_window(half, 0, SHORT).tokens.numpy()
    twice = mirror_features(mirror_features(features, first), second)
    np.testing.assert_allclose(twice, mirror_features(features, together), atol=1e-6)
    np.testing.assert_array_equal(mirror_tokens(mirror_tokens(tokens, first), second), mirror_tokens(tokens, together))
    np.testing.assert_array_equal(features, half.features.numpy())


@pytest.mark.parametrize("mirror", MIRRORS)
def test_labels_stay_with_their_player(mirror):
    half = prepared([(4, 3, 1), (4, 16, 2), (11, 9, 6), (25, 25, 8)])
    plain, mirrored = cut_window(half, 0, SHORT), cut_window(half, 0, SHORT, mirror)

    def logits_of_actors(window):
        return {
            (a, f): window.features[f - 1, 130 + 9 * r : 139 + 9 * r].tolist()
            for a, r, f in window.tokens[1:-1].tolist()
        }

    assert logits_of_actors(plain) == logits_of_actors(mirrored)
    frames, roles = mirrored.tokens[1:-1, 2].tolist(), mirrored.tokens[1:-1, 1].tolist()
    assert list(zip(frames, roles, strict=True)) == sorted(zip(frames, roles, strict=True))


def test_random_windows_depend_on_seed_epoch_and_item_alone():
    halves = [prepared([(i, i % 26, 1 + i % 8) for i in range(0, n, 5)], n, half=f"game_{n}_H1") for n in (60, 100)]
    data = DSTWindows(halves, SHORT, seed=1, epoch=2, n_per_half=40)
    assert len(data) == 80
    again = pickle.loads(pickle.dumps(data))
    for i in (79, 3, 3, 41):
        assert all(torch.equal(*map(torch.as_tensor, pair)) for pair in zip(data[i], again[i], strict=True))
    draws = [data.draw(i)[1:] for i in range(80)]
    for seed, epoch in ((2, 2), (1, 3)):
        other = DSTWindows(halves, SHORT, seed=seed, epoch=epoch, n_per_half=40)
        assert sum(other.draw(i)[1:] == draws[i] for i in range(80)) < 10
    assert [data.draw(i)[0] for i in range(80)] == [halves[0]] * 40 + [halves[1]] * 40


def test_random_windows_reach_every_start_and_mirror_evenly():
    half = prepared([], 36)
    draws = [DSTWindows([half], SHORT, 0, 1, 2000).draw(i) for i in range(2000)]
    starts = np.bincount([start for _, start, *_ in draws])
    assert len(starts) == 7 and starts.min() > 2000 / 7 * 0.8
    mirrors = np.unique([mirror for *_, mirror, _ in draws], return_counts=True)
    assert set(mirrors[0]) == set(MIRRORS) and mirrors[1].min() > 425
    assert {m for *_, m, _ in (DSTWindows([half], SHORT, 0, 1, 9, ["none"]).draw(i) for i in range(9))} == {"none"}


@pytest.mark.parametrize("frames_per_token", [1, 5])
def test_shuffled_players_keep_their_inputs_and_their_events(frames_per_token):
    events = [(4, 3, 1), (4, 16, 2), (11, 9, 6), (25, 25, 8)]
    settings = WindowSettings(window=30, max_tokens=25, frames_per_token=frames_per_token)
    window = cut_window(prepared(events, two=True), 0, settings)
    order = np.concatenate([np.roll(np.arange(13), 4), 13 + np.arange(13)[::-1]])
    shuffled = shuffle_slots(window, order, settings)
    before, after = (w.features.view(30, -1).numpy() for w in (window, shuffled))
    for slot, came_from in enumerate(order):
        for width, start in ((5, 0), (9, 130), (9, 364)):
            new, old = (start + width * place for place in (slot, came_from))
            np.testing.assert_array_equal(after[:, new : new + width], before[:, old : old + width])
    was = {(a, order[r], f) for a, r, f in shuffled.tokens[1:-1].tolist()}
    assert was == {(c - 1, slot, index + 1) for index, slot, c in events}
    assert shuffled.tokens[[0, -1]].tolist() == window.tokens[[0, -1]].tolist()
    placed = [(frame, role) for _, role, frame in shuffled.tokens[1:-1].tolist()]
    assert placed == sorted(placed) and torch.equal(window.tokens[1], torch.tensor([0, 3, 5]))


def test_a_share_of_windows_is_shuffled_within_teams():
    half = prepared([(4, 3, 1), (14, 16, 2)], 36)
    orders = [DSTWindows([half], SHORT, 0, 1, 400, shuffled=0.25).draw(i)[3] for i in range(400)]
    mixed = [order for order in orders if order is not None]
    assert 70 < len(mixed) < 130 and len({tuple(order) for order in mixed}) == len(mixed)
    assert all(sorted(order[:13]) == list(range(13)) and sorted(order) == list(range(26)) for order in mixed)
    always = DSTWindows([half], SHORT, 0, 1, 4, ["none"], shuffled=1.0)
    _, start, mirror, order = always.draw(2)
    expected = shuffle_slots(cut_window(half, start, SHORT, mirror), order, SHORT)
    assert all(torch.equal(*map(torch.as_tensor, pair)) for pair in zip(always[2], expected, strict=True))


def test_a_half_shorter_than_a_window_is_padded():
    half = prepared([(5, 2, 1)], 12)
    window = DSTWindows([half], SHORT, 0, 1, 1, ["none"])[0]
    assert window.n_frames == 12 and window.tokens.tolist() == [[8, 26, 0], [0, 2, 6], [9, 26, 7]]


def test_batches_are_padded_to_the_longest_target():
    half = prepared([(2, 3, 1), (40, 5, 2), (45, 6, 4), (98, 7, 8)])
    batch = collate_windows([cut_window(half, start, SHORT) for start in (0, 30, 90)])
    assert batch.features.shape == (3, 30, 364) and batch.n_frames.tolist() == [30, 30, 10]
    assert batch.mask.tolist() == [[True, True, False], [True, True, True], [True, True, False]]
    assert batch.inputs.tolist() == [
        [[8, 26, 0], [0, 3, 3], [9, 26, 0]],
        [[8, 26, 0], [1, 5, 11], [3, 6, 16]],
        [[8, 26, 0], [7, 7, 9], [9, 26, 0]],
    ]
    assert batch.targets.tolist() == [
        [[0, 3, 3], [9, 26, 4], [9, 26, 0]],
        [[1, 5, 11], [3, 6, 16], [9, 26, 17]],
        [[7, 7, 9], [9, 26, 10], [9, 26, 0]],
    ]
    assert batch.dropped.tolist() == [0, 0, 0]


def test_listed_windows_through_a_loader():
    half = prepared([(2, 3, 1), (40, 5, 2)])
    data = ListedWindows(half, range(0, 100, 20), SHORT, mirror="x")
    batches = list(DataLoader(data, batch_size=2, collate_fn=collate_windows))
    assert [len(batch.features) for batch in batches] == [2, 2, 1]
    for i, start in enumerate(range(0, 100, 20)):
        assert torch.equal(batches[i // 2].features[i % 2], cut_window(half, start, SHORT, "x").features)


def test_unlabelled_halves_have_no_targets():
    half = prepared(None)
    batch = collate_windows([cut_window(half, 0, SHORT), cut_window(half, 30, SHORT)])
    assert batch.inputs.shape == batch.targets.shape == (2, 0, 3) and batch.mask.shape == (2, 0)
    with pytest.raises(FootpassError, match="game_3_H2: its events are unknown"):
        DSTWindows([half], SHORT, 0, 1, 10)


def test_bad_input_is_named():
    half, logits = make_half(), make_logits()
    with pytest.raises(FootpassError, match=r"game_3_H2: taad logits .* \(9, 26, 99\), expected \(9, 26, 100\)"):
        dst_half(half, logits[:, :, 1:])
    with pytest.raises(FootpassError, match="gnn logits have shape"):
        dst_half(half, logits, logits.transpose(1, 0, 2))
    logits = logits.copy()
    logits[4, 7, 33] = np.nan
    with pytest.raises(FootpassError, match="game_3_H2: taad logits: slot 7, frame 1033: expected a finite"):
        dst_half(half, logits)
    logits[4, 7, 33] = 1e6
    with pytest.raises(FootpassError, match="slot 7, frame 1033"):
        dst_half(half, logits)
    for start in (-1, 100):
        with pytest.raises(FootpassError, match=f"game_3_H2: a window starts at index {start}, expected 0 to 99"):
            cut_window(prepared(), start, SHORT)
    with pytest.raises(FootpassError, match="unknown mirror"):
        DSTWindows([prepared()], SHORT, 0, 1, 10, mirrors=["z"])
    with pytest.raises(FootpassError, match="0 halves"):
        DSTWindows([], SHORT, 0, 1, 10)
    with pytest.raises(FootpassError, match="same sources of logits"):
        DSTWindows([prepared(), prepared(two=True)], SHORT, 0, 1, 10)
    for options in ({"window": 0}, {"frames_per_token": 0}, {"window": 4, "frames_per_token": 5}, {"max_tokens": 0}):
        with pytest.raises(FootpassError, match="windows: "):
            WindowSettings(**options)
