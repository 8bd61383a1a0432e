"""Attention of players: a slow reference, what goes into it, and that the rest of the network stays as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_dst import PLAYERS, POINTER, SMALL, WINDOW, make_batch, make_half
from torch import Tensor

from footpass_lib.models import player_attention
from footpass_lib.models.dst import DST
from footpass_lib.models.dst_settings import ORDERS, DSTSettings, PlayerSizes
from footpass_lib.models.player_attention import PlayerAttention
from footpass_lib.models.pointer_dst import build_dst
from footpass_lib.models.weights import copy_weights, put_weights
from footpass_lib.samples.windows import cut_window, shuffle_slots
from footpass_lib.schema import FootpassError

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPES = {
    "paper": SMALL,
    "two sources": replace(SMALL, sources=2),
    "four frames a token": replace(SMALL, windows=replace(WINDOW, frames_per_token=4)),
    "pooled": POINTER,
    "pooled, two sources": replace(POINTER, sources=2),
}
shapes = pytest.mark.parametrize("settings", SHAPES.values(), ids=SHAPES)
orders = pytest.mark.parametrize("order", ORDERS[1:])


def with_attention(settings: DSTSettings, order: str, **sizes) -> DSTSettings:
    return replace(settings, player_attention=order, player_sizes=replace(PLAYERS, **sizes))


def branch_and_inputs(settings: DSTSettings) -> tuple[PlayerAttention, Tensor, Tensor, Tensor]:
    """The branch of a model, in double precision, with features, first frames and mask; the last window is short."""
    branch, batch = build_dst(settings).double().eval().players, make_batch(settings, (0, 31, 183))
    first = torch.arange(batch.features.shape[1]) * settings.windows.frames_per_token + 1
    assert batch.n_frames.min() < settings.windows.window
    return branch, batch.features.double(), first, (first <= batch.n_frames[:, None])[:, None, None]


def attended_slowly(branch: PlayerAttention, order: str, state: Tensor, first: Tensor, n: int) -> Tensor:
    """The players (L, 26, d) of one window whose half goes on for ``n`` tokens, sequence by sequence."""

    def spatial(x: Tensor, name: str) -> Tensor:
        rows = [x[None, token] for token in range(len(x))]
        for layer in branch.stages[name]:
            rows = [layer(row) for row in rows]
        return torch.cat(rows)

    def temporal(x: Tensor, name: str) -> Tensor:
        series = [(x[:n, slot] + branch.encoding[first[:n]])[None] for slot in range(26)]
        for layer in branch.stages[name]:
            series = [layer(one) for one in series]
        return torch.cat(series).transpose(0, 1)

    x = branch.player(state)[:n]
    if order == "spatial-first":
        return temporal(spatial(x, "spatial_first"), "temporal_second")
    if order == "temporal-first":
        return spatial(temporal(x, "temporal_first"), "spatial_second")
    return spatial(x, "spatial_beside") + temporal(x, "temporal_beside")


@orders
@pytest.mark.parametrize("name", ["paper", "pooled"])
@torch.no_grad()
def test_the_branch_against_a_slow_reference(order, name):
    settings = with_attention(SHAPES[name], order, layers=2)
    branch, features, first, mask = branch_and_inputs(settings)
    state, rest = branch.split(features)
    found = branch(features, first, mask)
    for window, n in enumerate(mask.sum(dim=(1, 2, 3)).tolist()):
        players = attended_slowly(branch, order, state[window], first, n)
        expected = branch.out(torch.cat([players.mean(dim=1), rest[window, :n]], dim=-1))
        torch.testing.assert_close(found[window, :n], expected)


@shapes
def test_the_game_state_is_taken_out_of_the_inputs(settings):
    half = make_half(sources=settings.sources)
    window = cut_window(half, 31, settings.windows)
    branch = build_dst(with_attention(settings, "spatial-first")).players
    state, rest = branch.split(window.features[None])
    frames = settings.windows.frames_per_token
    assert state.shape == (1, settings.windows.n_tokens, 26, 5 if settings.windows.pooled else 5 * frames)
    assert state[0, 0].numel() + rest[0, 0].numel() == window.features.shape[1]
    for token, slot in ((0, 0), (3, 7), (5, 25)):
        if settings.windows.pooled:
            whole = window.features[token].view(26, -1)
            assert torch.equal(state[0, token, slot], whole[slot, :5])
            assert torch.equal(rest[0, token].view(26, -1)[slot], whole[slot, 5:])
            continue
        rows = half.features[31 + token * frames : 31 + (token + 1) * frames]
        assert torch.equal(state[0, token, slot], rows[:, 5 * slot : 5 * slot + 5].flatten())
        assert torch.equal(rest[0, token], rows[:, 130:].flatten())


@orders
@shapes
@torch.no_grad()
def test_logits_go_past_the_attention_and_slots_are_alike(settings, order):
    settings = with_attention(settings, order)
    branch, features, first, mask = branch_and_inputs(settings)
    branch.out.weight[:, PLAYERS.width :] = 0  # now only what was attended to counts
    window = cut_window(make_half(sources=settings.sources), 0, settings.windows)
    moved = shuffle_slots(window, np.random.default_rng(0).permutation(26), settings.windows).features.double()
    before = branch(features[:1], first, mask[:1])
    torch.testing.assert_close(branch(moved[None], first, mask[:1]), before)
    changed = features[:1].clone()
    state, _ = branch.split(changed)
    state[..., 2, :] += 1  # a view of the features
    if settings.windows.pooled or settings.windows.frames_per_token == 1:
        assert (branch(changed, first, mask[:1]) - before).abs().max() > 1e-3
    other = build_dst(settings).double().players  # logits do count in the end
    noisy = features[:1] + 0
    noisy[..., -3:] += 1
    assert (other(noisy, first, mask[:1]) - other(features[:1], first, mask[:1])).abs().max() > 1e-3


@orders
@torch.no_grad()
def test_what_comes_after_the_half_has_no_effect(order):
    branch, features, first, mask = branch_and_inputs(with_attention(SMALL, order))
    noisy = torch.where(mask[:, 0, 0, :, None], features, 100 * torch.randn(features.shape))
    assert not torch.equal(noisy, features)
    inside = mask[:, 0, 0]
    torch.testing.assert_close(branch(noisy, first, mask)[inside], branch(features, first, mask)[inside])


@torch.no_grad()
def test_a_large_batch_is_attended_to_in_parts(monkeypatch):
    branch, features, first, mask = branch_and_inputs(with_attention(SMALL, "spatial-first"))
    whole = branch(features, first, mask)
    monkeypatch.setattr(player_attention, "_TOKENS_AT_ONCE", 7)
    torch.testing.assert_close(branch(features, first, mask), whole)


@orders
@pytest.mark.parametrize("name", ["paper", "pooled"])
def test_the_rest_of_the_network_starts_as_without(name, order):
    settings = SHAPES[name]
    plain = copy_weights(build_dst(settings, 4))
    more = copy_weights(build_dst(with_attention(settings, order), 4))
    assert not any(key.startswith("players.") for key in plain)
    assert {key for key in more if not key.startswith("players.")} == plain.keys()
    assert all(torch.equal(value, more[key]) for key, value in plain.items())
    again = copy_weights(build_dst(with_attention(settings, order), 4))
    assert all(torch.equal(value, again[key]) for key, value in more.items())


@torch.no_grad()
def test_what_is_added_is_the_branch_and_without_it_nothing_is_changed():
    plain, batch = DST(SMALL, 1).eval(), make_batch(SMALL)
    model = DST(with_attention(SMALL, "spatial-first"), 1).eval()
    before = plain.encode(batch.features, batch.n_frames).states
    assert (model.encode(batch.features, batch.n_frames).states - before).abs().max() > 1e-3
    model.players.out.weight.zero_(), model.players.out.bias.zero_()
    assert torch.equal(model.encode(batch.features, batch.n_frames).states, before)


def test_weights_of_one_order_do_not_go_into_another():
    models = {order: DST(with_attention(SMALL, order) if order != "none" else SMALL) for order in ORDERS}
    for order, model in models.items():
        for other in set(ORDERS) - {order}:
            with pytest.raises(FootpassError, match="does not fit DST: (missing|unexpected) players"):
                put_weights(model, copy_weights(models[other]), "weights")


def test_wrong_settings_are_refused():
    with pytest.raises(FootpassError, match="player_attention='both', expected one of none, spatial-first"):
        replace(SMALL, player_attention="both")
    with pytest.raises(FootpassError, match="multiple of twice the 4 heads"):
        PlayerSizes(width=20)
    with pytest.raises(FootpassError, match="encoder_layers=0"):
        PlayerSizes(layers=0)
