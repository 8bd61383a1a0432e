"""Windows of a half to events: who decides what, by hand and by brute force, and the baseline's decoding beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from footpass_lib.data.half import TacticalHalf
from footpass_lib.events.nms import nms
from footpass_lib.models.dst import DST, DSTSettings, Logits, Memory
from footpass_lib.models.transformer import LayerCache
from footpass_lib.samples.tokens import EOS, NEUTRAL, SOS, DSTHalf, dst_half
from footpass_lib.samples.windows import WindowSettings, cut_window
from footpass_lib.schema import FootpassError
from footpass_lib.spotting.decoding import greedy_decode
from footpass_lib.spotting.detector import window_starts
from footpass_lib.spotting.stitching import DecodeSettings, decode_half, zones

FIRST = 700
SHAPE = WindowSettings(window=20, max_tokens=5)
PLAIN = DecodeSettings(stride=10, score="action", nms=None)


def make_tactical(n_frames: int, half: str = "game_2_H1") -> TacticalHalf:
    """Slot s is held by jersey s + 1, from index 30 on by jersey s + 51; nobody ever holds slot 9."""
    shape = (26, n_frames)
    jersey = np.broadcast_to(np.arange(1, 27, dtype=np.int16)[:, None], shape).copy()
    jersey[:, 30:] += 50
    jersey[9] = -1
    return TacticalHalf(
        half=half, first_frame=FIRST, position=np.zeros((*shape, 2), np.float32),
        velocity=np.zeros((*shape, 2), np.float32), box=np.full((*shape, 4), np.nan, np.float32),
        observed=np.ones(shape, bool), visible=np.zeros(shape, bool), jersey=jersey,
        player_id=np.zeros(shape, np.int32), class_id=np.zeros(shape, np.uint8), has_classes=False, duplicates=0,
    )  # fmt: skip


class Reader(DST):
    """Writes what the logits of its window say: an event where a class's logit is above 0, in the order of frames.

    Its action, role and frame have the probabilities .9, .8 and .3, with .2 on either frame beside. In a window with a
    logit of exactly 7 it says one more event, at its last frame, over and over, and never ends.
    """

    def __init__(self, shape: WindowSettings = SHAPE) -> None:
        super().__init__(
            DSTSettings(windows=shape, width=8, feedforward=8, encoder_layers=1, decoder_layers=1, heads=2)
        )
        self.seen: list[int] = []

    def encode(self, features: Tensor, n_frames: Tensor) -> Memory:
        self.seen.append(len(features))
        return Memory(features[:, :, 130:364].unflatten(2, (26, 9)), torch.tensor(True), n_frames)

    def start(self, memory: Memory) -> list[LayerCache]:
        return [LayerCache(torch.zeros(1))]

    def decode(self, tokens: Tensor, memory: Memory, caches: list[LayerCache], **reading) -> Logits:
        step = caches[0].length
        caches[0].length += 1
        rows = [self._next(window, int(n), step) for window, n in zip(memory.states, memory.n_frames, strict=True)]
        return Logits(*(torch.stack(part)[:, None].log() for part in zip(*rows, strict=True)))

    def _next(self, window: Tensor, n_frames: int, step: int) -> tuple[Tensor, ...]:
        events = (window[:n_frames, :, 1:] > 0).nonzero().tolist()
        action, role, frame = EOS, NEUTRAL, 1
        if step < len(events):
            index, role, action = events[step]
            frame = index + 1
        elif bool((window == 7).any()):
            action, role, frame = 7, 3, n_frames
        probabilities = [torch.full((n,), 1e-9) for n in (10, 27, SHAPE.n_frame_ids)]
        probabilities[0][SOS], probabilities[1][NEUTRAL], probabilities[2][0] = 0.1, 0.2, 0.3
        probabilities[0][action], probabilities[1][role] = 0.9, 0.8
        for near, share in ((-1, 0.2), (1, 0.2), (0, 0.3)):
            probabilities[2][min(max(frame + near, 0), SHAPE.n_frame_ids - 1)] = share
        return tuple(probabilities)


def half_with(events: list[tuple[int, int, int]], n_frames: int, endless: int | None = None) -> DSTHalf:
    """Events are index, slot and class; a window that has index ``endless`` never ends."""
    logits = np.full((9, 26, n_frames), -1.0, np.float32)
    for index, slot, class_id in events:
        logits[class_id, slot, index] = 1
    if endless is not None:
        logits[0, 0, endless] = 7
    return dst_half(make_tactical(n_frames), logits)


def rows(events) -> list[tuple]:
    names = ["frame", "team", "jersey", "class"]
    return [tuple(row) for row in events.table[names].itertuples(index=False)]


@given(st.integers(1, 200), st.integers(1, 60), st.data())
def test_every_index_is_decided_by_the_window_in_which_it_is_deepest(n_frames, window, data):
    stride = data.draw(st.integers(1, window))
    starts = window_starts(n_frames, window, stride)
    limits = zones(starts, window, n_frames)
    assert limits[0, 0] == 0 and limits[-1, 1] == n_frames
    assert (limits[1:, 0] == limits[:-1, 1]).all() and (limits[:, 0] < limits[:, 1]).all()
    for number, (first, last) in enumerate(limits):
        for index in range(first, last):
            depth = [min(index - s, s + window - 1 - index) if s <= index < s + window else -1 for s in starts]
            if index >= starts[0] + window // 2 and index < starts[-1] + window // 2:
                assert depth[number] == max(depth)
            else:  # before the middle of the first window and after that of the last one there is no rival
                assert depth[number] >= 0


def test_zones_by_hand():
    assert zones([0, 10, 20, 25], 20, 45).tolist() == [[0, 15], [15, 25], [25, 32], [32, 45]]
    assert zones([0], 20, 12).tolist() == [[0, 12]]


def test_every_event_comes_once_with_its_holder():
    events = [
        (0, 3, 2),
        (9, 9, 1),
        (14, 25, 1),
        (15, 0, 8),
        (15, 13, 7),
        (24, 1, 2),
        (25, 2, 1),
        (29, 5, 1),
        (44, 5, 3),
    ]
    found = decode_half(Reader().eval(), half_with(events, 45), make_tactical(45), PLAIN)
    assert found.halves == ("game_2_H1",)
    assert rows(found) == [
        (FIRST + index, slot // 13, slot + 1 + 50 * (index >= 30), class_id) for index, slot, class_id in events
        if slot != 9
    ]  # fmt: skip


@pytest.mark.parametrize("stride", [1, 7, 10, 20])
@pytest.mark.parametrize("n_frames", [12, 20, 47])
def test_no_stride_loses_or_doubles_an_event(stride, n_frames):
    rng = np.random.default_rng(stride)
    index = np.arange(1, n_frames, 5)  # at most 4 in a window
    events = [(int(i), int(rng.choice([1, 2, 20])), int(rng.integers(1, 9))) for i in index]
    found = decode_half(
        Reader().eval(), half_with(events, n_frames), make_tactical(n_frames), replace(PLAIN, stride=stride)
    )
    assert [frame for frame, *_ in rows(found)] == [FIRST + i for i, *_ in events]


def test_scores():
    half, tactical = half_with([(5, 3, 2), (18, 3, 2)], 20), make_tactical(20)
    action = decode_half(Reader().eval(), half, tactical, PLAIN)
    np.testing.assert_allclose(action.table["score"], 0.9, rtol=1e-5)
    joint = decode_half(Reader().eval(), half, tactical, replace(PLAIN, score="joint"))
    np.testing.assert_allclose(joint.table["score"], 0.9 * 0.8 * 0.7, rtol=1e-5)  # both neighbours are in tolerance


def test_a_window_without_an_end_keeps_its_events():
    events = [(2, 3, 2), (22, 4, 1)]
    half, tactical = half_with(events, 40, endless=3), make_tactical(40)
    found = decode_half(Reader().eval(), half, tactical, replace(PLAIN, stride=20))
    assert rows(found) == [(FIRST + 2, 0, 4, 2), *[(FIRST + 19, 0, 4, 8)] * 4, (FIRST + 22, 0, 5, 1)]
    once = decode_half(Reader().eval(), half, tactical, replace(PLAIN, stride=20, nms=3))
    assert rows(once) == [(FIRST + 2, 0, 4, 2), (FIRST + 19, 0, 4, 8), (FIRST + 22, 0, 5, 1)]


def test_the_papers_decoding():
    events = [(2, 3, 2), (19, 3, 2), (22, 4, 1), (41, 4, 1)]
    settings = DecodeSettings.paper()
    half, tactical = half_with(events, 45), make_tactical(45)
    model = Reader().eval()
    found = decode_half(model, half, tactical, settings)
    assert rows(found) == [(FIRST + 2, 0, 4, 2), (FIRST + 19, 0, 4, 2), (FIRST + 22, 0, 5, 1), (FIRST + 41, 0, 55, 1)]
    np.testing.assert_allclose(found.table["score"], 0.9, rtol=1e-5)
    assert model.seen == [3]  # windows from 0, 20 and 40, the last one short
    found = decode_half(Reader().eval(), half_with(events, 45, endless=3), tactical, settings)
    assert rows(found) == [(FIRST + 22, 0, 5, 1), (FIRST + 41, 0, 55, 1)]


both_ways = pytest.mark.parametrize("way", [DecodeSettings.paper(), replace(PLAIN, nms=12)], ids=["paper", "ours"])


@both_ways
def test_an_event_in_the_first_frame_of_a_window_comes_out_there(way):
    events = [(0, 3, 2), (20, 4, 1), (40, 5, 3)]  # windows start at 0, 20 and 40, ours moreover at 10 and 25
    half, tactical = half_with(events, 45), make_tactical(45)
    found, late = (
        decode_half(Reader().eval(), half, tactical, replace(way, official_export=flag)) for flag in (False, True)
    )
    assert found.table["frame"].tolist() == [FIRST, FIRST + 20, FIRST + 40]
    assert late.table["frame"].tolist() == [FIRST + 1, FIRST + 21, FIRST + 41]


@both_ways
def test_the_official_export_is_one_frame_late(way):
    events = [(2, 3, 2), (29, 3, 2), (44, 4, 1)]  # others hold the slots from index 30 on
    half, tactical = half_with(events, 45), make_tactical(45)
    found, late = (
        decode_half(Reader().eval(), half, tactical, replace(way, official_export=flag)).table for flag in (False, True)
    )
    assert found["frame"].tolist() == [FIRST + index for index, *_ in events]
    assert late.equals(found.assign(frame=found["frame"] + 1)) and not way.official_export


def lively(shape: WindowSettings) -> DST:
    """Random weights, but tokens that differ from window to window."""
    model = DST(
        DSTSettings(windows=shape, width=32, feedforward=64, encoder_layers=1, decoder_layers=2, heads=2)
    ).eval()
    with torch.no_grad():
        for part in (model.action_table, model.role_table, model.event_frame_table, model.action_role_head):
            part.weight *= 4
    return model


@pytest.fixture()
def noise() -> tuple[DSTHalf, TacticalHalf]:
    logits = np.random.default_rng(0).normal(0, 2, (9, 26, 130)).astype(np.float32)
    tactical = make_tactical(130)
    return dst_half(tactical, logits), tactical


def test_a_real_model_repeats_and_the_batch_does_not_matter(noise):
    shape = WindowSettings(window=24, frames_per_token=5, max_tokens=8)
    model, settings = lively(shape), DecodeSettings(stride=12)
    found = decode_half(model, *noise, settings)
    assert len(found) > 10 and found.table["frame"].is_monotonic_increasing
    assert found.table.equals(decode_half(model, *noise, settings).table)
    one = decode_half(model, *noise, replace(settings, batch=1)).table
    assert rows(found) == [tuple(row) for row in one[["frame", "team", "jersey", "class"]].itertuples(index=False)]
    np.testing.assert_allclose(found.table["score"], one["score"], atol=1e-5)
    loose = decode_half(model, *noise, replace(settings, nms=None))
    assert nms(loose, settings.nms).table.equals(found.table) and len(loose) >= len(found)


def test_the_papers_decoding_is_greedy_decoding_of_windows_one_after_the_other(noise):
    half, _ = noise
    model = lively(WindowSettings(window=24, max_tokens=8))
    expected = []
    for start in range(0, 130, 24):
        window = cut_window(half, start, model.settings.windows)
        (tokens,), (probabilities,), _, ended = greedy_decode(
            model, window.features[None], torch.tensor([window.n_frames])
        )
        for (action, slot, frame), p in zip(tokens.tolist(), probabilities.tolist(), strict=True):
            if ended and action < SOS and slot != 9:
                index = start + frame - 1
                expected.append((FIRST + index, slot // 13, slot + 1 + 50 * (index >= 30), action + 1, p[0]))
    found = decode_half(model, *noise, DecodeSettings.paper())
    assert sorted(rows(found)) == sorted(row[:4] for row in expected) and len(expected) > 3
    np.testing.assert_allclose(sorted(found.table["score"]), sorted(row[4] for row in expected), atol=1e-5)


def test_bad_input_is_named(noise):
    half, tactical = noise
    with pytest.raises(
        FootpassError, match="game_2_H1, frames 700 to 829: expected its own players, found those of game_9_H1"
    ):
        decode_half(Reader().eval(), half, replace(tactical, half="game_9_H1"), PLAIN)
    with pytest.raises(FootpassError, match="frames 700 to 799"):
        decode_half(Reader().eval(), half, make_tactical(100), PLAIN)
    with pytest.raises(FootpassError, match="game_2_H1: decoding: stride=21, expected at most a window, 20"):
        decode_half(Reader().eval(), half, tactical, replace(PLAIN, stride=21))
    with pytest.raises(FootpassError, match="training mode"):
        decode_half(Reader().train(), half, tactical, PLAIN)
    for options in ({"stride": 0}, {"batch": 0}, {"nms": -1}):
        with pytest.raises(FootpassError, match="decoding: stride="):
            DecodeSettings(**options)
    with pytest.raises(FootpassError, match="score='role', expected one of action, joint"):
        DecodeSettings(score="role")
