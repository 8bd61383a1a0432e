"""The graph network: who is connected to whom, who can influence whom, and that it learns from neighbours."""

from __future__ import annotations

import doctest
from dataclasses import replace

import numpy as np
import pytest
import torch
from benchmarks.bench_gnn import looped_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.nn import EdgeConv

from footpass_lib.data.half import dense_half
from footpass_lib.models import graph
from footpass_lib.models.gnn import TAADGNN, GNNSettings, GraphNetwork, GraphSettings, LinearEdgeConv, build_gnn
from footpass_lib.models.graph import DIRECTIONS, player_graph
from footpass_lib.models.x3d import X3DSettings
from footpass_lib.samples.state import STATE, game_state
from footpass_lib.schema import COLUMN, N_SLOTS, PITCH, FootpassError
from footpass_lib.training.losses import gnn_loss

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = GNNSettings(
    encoder=X3DSettings(width_factor=1, depth_factor=1, stages=3, level=4, pyramid_width=16),
    role=True,
    jersey=True,
    visual_hidden=24,
    visual=16,
    graph=32,
    hidden=32,
    recurrent=16,
)
WITHOUT_DROPOUT = {"visual_dropout": 0.0, "graph_dropout": 0.0, "head_dropout": 0.0}
CHANNELS = 12
X, Y = STATE.index("x"), STATE.index("y")


def network(**changes) -> GraphNetwork:
    return GraphNetwork(replace(SMALL, **changes), CHANNELS, seed=3).eval()


def scene(clips: int, players: int, frames: int, seed: int = 0, share: float = 0.8) -> tuple[Tensor, Tensor, Tensor]:
    """Random features, state and presence."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(clips, players, frames, CHANNELS, generator=generator)
    state = torch.rand(clips, players, frames, len(STATE), generator=generator)
    state[..., STATE.index("role_id")] = torch.randint(1, 14, state.shape[:-1], generator=generator).float()
    return features, state, torch.rand(clips, players, frames, generator=generator) < share


def changed(model: GraphNetwork, before: tuple[Tensor, ...], after: tuple[Tensor, ...]) -> Tensor:
    """Largest change of each player's logits (B, M)."""
    with torch.no_grad():
        return (model(*before) - model(*after)).abs().amax(dim=(1, 3))


def test_the_worked_example_of_the_graph_is_true():
    found = doctest.testmod(graph)
    assert (found.attempted, found.failed) == (3, 0)


def test_settings_say_which_network_is_built():
    encoder = X3DSettings(width_factor=1, depth_factor=1, stages=1, level=4, pyramid_width=8)
    sizes = {name: value for name, value in vars(SMALL).items() if name != "encoder"}
    assert isinstance(build_gnn(GNNSettings(**sizes, encoder=encoder)), TAADGNN)
    assert isinstance(build_gnn(GraphSettings(**sizes), CHANNELS), GraphNetwork)


def edge_set(edges: Tensor) -> set[tuple[int, int]]:
    pairs = list(map(tuple, edges.T.tolist()))
    assert len(pairs) == len(set(pairs))
    return set(pairs)


def test_edges_of_a_hand_made_line():
    # Players at 0, 1, 3 and 7 m; player 1 leaves after the first of two frames. Nodes are player * 2 + frame.
    position = torch.tensor([0.0, 1, 3, 7])[None, :, None, None] * torch.tensor([1.0, 0]).expand(1, 4, 2, 2)
    present = torch.tensor([[[1, 1], [1, 0], [1, 1], [1, 1]]], dtype=torch.bool)
    one = edge_set(player_graph(position, present, neighbours=1))
    assert one == {(2, 0), (0, 2), (2, 4), (4, 6)} | {(5, 1), (1, 5), (5, 7)}
    official = edge_set(player_graph(position, present, neighbours=1, direction="official"))
    assert official == {(own, near) for near, own in one}
    two = edge_set(player_graph(position, present, neighbours=2))
    assert two - one == {(4, 0), (4, 2), (0, 4), (2, 6)} | {(7, 1), (7, 5), (1, 7)}


def test_mean_position_counts_only_frames_in_which_a_player_is_present():
    position = torch.zeros(1, 3, 2, 2)
    position[0, :, :, 0] = torch.tensor([[0.0, 0], [10, 10], [9, 500]])
    present = torch.tensor([[[1, 1], [1, 1], [1, 0]]], dtype=torch.bool)
    edges = edge_set(player_graph(position, present, neighbours=1))
    assert edges == {(4, 0), (4, 2), (2, 4)} | {(3, 1), (1, 3)}


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 10), st.integers(1, 4)),
    neighbours=st.integers(0, 7),
    direction=st.sampled_from(DIRECTIONS),
    grid=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_edges_agree_with_a_loop(shape, neighbours, direction, grid, seed):
    rng = np.random.default_rng(seed)
    # on a grid of one row per player many distances are exactly equal, which tests the order of ties
    position = (
        rng.integers(0, 3, (*shape, 2))[:, :, :1].repeat(shape[2], 2) if grid else rng.random((*shape, 2)) * PITCH
    )
    position, present = torch.from_numpy(position.astype(np.float64)), torch.from_numpy(rng.random(shape) < 0.8)
    expected = looped_graph(position.tolist(), present.tolist(), neighbours, direction)
    assert len(expected) == len(set(expected))
    position[~present] = torch.nan
    assert edge_set(player_graph(position, present, neighbours, direction)) == set(expected)


def test_every_present_player_hears_from_exactly_six_others():
    _, state, present = scene(6, 22, 50, share=1.0)
    sender, receiver = player_graph(state[..., X : Y + 1], present)
    assert (torch.bincount(receiver, minlength=6 * 22 * 50) == 6).all()
    assert (sender != receiver).all()
    assert torch.equal(sender % 50, receiver % 50)  # the same frame
    assert torch.equal(sender // (22 * 50), receiver // (22 * 50))  # the same clip


def test_linear_edge_convolution_is_edge_convolution():
    generator = torch.Generator().manual_seed(0)
    fast = LinearEdgeConv(7, 5)
    slow = EdgeConv(fast.nn, aggr="max")
    nodes = torch.randn(30, 7, generator=generator, requires_grad=True)
    edges = torch.randint(0, 28, (2, 80), generator=generator)  # no edge leads to the last two nodes
    results = [layer(nodes, edges) for layer in (fast, slow)]
    torch.testing.assert_close(results[0], results[1])
    assert (results[0][28:] == 0).all() and (results[0][:28] != 0).any()
    weight = torch.randn(30, 5, generator=generator)
    gradients = [torch.autograd.grad((result * weight).sum(), [nodes, *fast.parameters()]) for result in results]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_defaults_are_the_official_sizes():
    model = TAADGNN(GNNSettings())
    net = model.network
    linears = [(layer.in_features, layer.out_features) for layer in net.visual if isinstance(layer, torch.nn.Linear)]
    assert linears == [(192, 192), (192, 64)]
    assert [(edge.nn.in_features, edge.nn.out_features) for edge in net.edges] == [(138, 128), (256, 128), (256, 128)]
    convs = [block.conv for block in (*net.temporal, net.head)]
    assert [(c.in_channels, c.out_channels, c.kernel_size[0]) for c in convs] == [(128, 128, 5)] * 2 + [(192, 256, 5)]
    dropouts = [layer.p for layer in net.modules() if isinstance(layer, torch.nn.Dropout)]
    assert dropouts == [0.2, 0.1, 0.1, 0.2]
    assert (net.gru.input_size, net.gru.hidden_size, net.gru.bidirectional) == (256, 128, True)
    assert (net.classifier.in_features, net.classifier.out_features) == (256, 9)
    assert replace(GNNSettings(), role=True, jersey=True).node == 64 + 5 + 13 + 1


def test_full_size_shapes():
    model = GraphNetwork(GNNSettings()).eval()
    features = torch.randn(2, N_SLOTS, 50, 192, generator=torch.Generator().manual_seed(0)).half()
    _, state, present = scene(2, N_SLOTS, 50)
    with torch.no_grad():
        logits = model(features, state, present)
    assert logits.shape == (2, 9, N_SLOTS, 50) and logits.dtype == torch.float32
    assert logits.isfinite().all() and logits.std() > 0


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_permuting_players_permutes_logits(direction):
    model = network(direction=direction)
    inputs = scene(2, 11, 5)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = model(*inputs)
        torch.testing.assert_close(model(*(value[:, order] for value in inputs)), logits[:, :, order])
    assert logits.std(dim=2).min() > 1e-4


def test_clips_of_a_batch_do_not_see_each_other():
    model = network()
    inputs = scene(3, 9, 5)
    with torch.no_grad():
        torch.testing.assert_close(model(*(value[1:2] for value in inputs)), model(*inputs)[1:2])


def outsider() -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Nine players in one half and player 9 in a corner, nobody's neighbour; then 9 moves and looks different."""
    features, state, _ = scene(1, 10, 5)
    present = torch.ones(1, 10, 5, dtype=torch.bool)
    state[:, :9, :, X] *= 0.4
    state[:, 9, :, X : Y + 1] = torch.tensor([0.98, 0.02])
    moved, altered = state.clone(), features.clone()
    moved[:, 9, :, X : Y + 1] = torch.tensor([0.93, 0.1])
    altered[:, 9] += 1
    return (features, state, present), (altered, moved, present)


def test_nobody_hears_from_an_outsider():
    before, after = outsider()
    change = changed(network(), before, after)[0]
    assert change[9] > 1e-3 and change[:9].max() == 0
    # in the official direction edges lead from the outsider to those nearest to it, and they pass it on
    assert (changed(network(direction="official"), before, after)[0] > 1e-6).sum() >= 7


def test_an_outsider_hears_from_nobody_in_the_official_direction():
    before, _ = outsider()
    features, state, present = before
    altered = features.clone()
    altered[:, :9] += 1
    change = changed(network(direction="official"), before, (altered, state, present))[0]
    assert change[9] == 0 and change[:9].min() > 1e-3
    assert changed(network(), before, (altered, state, present))[0, 9] > 1e-3


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_groups_far_apart_do_not_hear_from_each_other(direction):
    model = network(direction=direction)
    features, state, _ = scene(1, 14, 5)
    present = torch.ones(1, 14, 5, dtype=torch.bool)
    state[:, :7, :, X] *= 0.01
    state[:, 7:, :, X] = 1 - 0.01 * state[:, 7:, :, X]
    state[..., Y] *= 0.1
    moved = state.clone()
    moved[:, 3, :, X : Y + 1] += 0.02
    change = changed(model, (features, state, present), (features, moved, present))[0]
    assert change[:7].min() > 1e-6 and change[7:].max() == 0


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_absent_players_have_no_influence_and_may_be_left_out(direction):
    model = network(direction=direction)
    features, state, present = scene(2, 12, 6)
    gone = torch.tensor([2, 7])
    present[:, gone] = False
    with torch.no_grad():
        logits = model(features, state, present)
        features[~present], state[~present] = torch.nan, torch.nan
        assert torch.equal(model(features, state, present.float()), logits)
        kept = torch.tensor([m for m in range(12) if m not in gone])
        alone = model(features[:, kept], state[:, kept], present[:, kept])
    torch.testing.assert_close(alone, logits[:, :, kept])
    assert logits.isfinite().all()


def test_a_player_reaches_others_in_the_frames_in_which_they_are_present():
    # temporal convolutions carry a change to other frames, so look at what comes out of the first graph layer
    model = network()
    features, state, present = scene(1, 5, 6, share=1.0)
    present[0, 1, 3:] = False
    altered = features.clone()
    altered[0, 1] += 1

    def messages(values: Tensor) -> Tensor:
        seen = []
        hook = model.edges[0].register_forward_hook(lambda _, __, result: seen.append(result.unflatten(0, (5, 6))))
        with torch.no_grad():
            model(values, state, present)
        hook.remove()
        return seen[0]

    difference = (messages(features) - messages(altered)).abs().amax(dim=-1)  # (M, T)
    assert (difference[:, :3] > 0).all() and (difference[:, 3:] == 0).all()


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("players", [1, 2, 6])
def test_fewer_than_seven_players(players, direction):
    model = network(direction=direction)
    features, state, present = scene(2, players, 5, share=1.0)
    edges = player_graph(state[..., X : Y + 1], present, direction=direction)
    assert edges.shape == (2, 2 * 5 * players * (players - 1))
    logits = model(features, state, present)
    assert logits.shape == (2, 9, players, 5) and logits.isfinite().all()
    logits.square().sum().backward()
    altered = features.clone()
    altered[:, 0] += 1
    assert changed(model, (features, state, present), (altered, state, present)).min() > 1e-5


def test_nobody_present():
    features, state, present = scene(1, 4, 5, share=0.0)
    logits = network()(features, state, present)
    torch.testing.assert_close(logits, logits[:, :, :1].expand_as(logits))
    assert gnn_loss(logits, torch.ones(1, 4, 5, dtype=torch.int64), present).mean == 0


@pytest.mark.parametrize(("name", "column"), [("role", "role_id"), ("jersey", "shirt_number")])
def test_role_and_jersey_count_only_where_switched_on(name, column):
    features, state, present = scene(1, 8, 5)
    altered = state.clone()
    altered[..., STATE.index(column)] = altered[..., STATE.index(column)] % 13 + 1
    off = {"role": False, "jersey": False}
    before, after = (features, state, present), (features, altered, present)
    assert changed(network(**off), before, after).max() == 0
    assert changed(network(**off | {name: True}), before, after).min() > 1e-4


def test_each_column_of_motion_counts():
    features, state, present = scene(1, 8, 5)
    for name in ("left_to_right", "x", "y", "speed_x", "speed_y"):
        altered = state.clone()
        altered[:, 0, :, STATE.index(name)] += 0.5
        assert changed(network(), (features, state, present), (features, altered, present))[0, 0] > 1e-4, name


def test_evaluation_repeats_and_dropout_is_applied_in_training():
    inputs = scene(1, 8, 5, share=1.0)
    model = network()
    with torch.no_grad():
        assert torch.equal(model(*inputs), model(*inputs))
        model = network(**WITHOUT_DROPOUT).train()
        assert torch.equal(model(*inputs), model(*inputs))
        for name in WITHOUT_DROPOUT:
            model = network(**WITHOUT_DROPOUT | {name: 0.5}).train()
            assert not torch.equal(model(*inputs), model(*inputs)), name


def test_what_the_recurrent_layer_forgets_goes_around_it():
    model = network()
    with torch.no_grad():
        for weight in model.gru.parameters():
            weight.zero_()
        logits = model(*scene(1, 8, 5, share=1.0))
    assert logits.std(dim=2).min() > 1e-4


def test_every_frame_of_a_clip_hears_from_every_other_one():
    features, state, present = scene(1, 3, 40, share=1.0)
    for frame in (0, 39):
        altered = features.clone()
        altered[0, 0, frame] += 5
        with torch.no_grad():
            change = network()(features, state, present) - network()(altered, state, present)
        assert (change.abs().amax(dim=1)[0, 0, 12:28] > 0).all()  # farther than the convolutions reach, both ways


def test_same_seed_same_bits_of_a_step():
    inputs = scene(2, 9, 6)
    labels = torch.randint(0, 9, (2, 9, 6), generator=torch.Generator().manual_seed(0))
    results = []
    for seed in (1, 1, 2):
        model = GraphNetwork(SMALL, CHANNELS, seed=seed).train()
        torch.manual_seed(7)
        gnn_loss(model(*inputs), labels, inputs[2]).mean.backward()
        results.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])
    assert results[0].isfinite().all()


def test_runs_in_half_precision():
    model, inputs = network(), scene(2, 9, 6)
    with torch.no_grad():
        single = model(*inputs)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = model(*inputs)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), single, rtol=0.1, atol=0.05 * single.abs().max().item())


def test_video_then_features_is_the_whole_model():
    model = TAADGNN(SMALL).eval()
    generator = torch.Generator().manual_seed(0)
    video = torch.randn(2, 3, 4, 44, 60, generator=generator)
    corner = 30 * torch.rand(2, 5, 4, 2, generator=generator)
    boxes = torch.cat([corner, corner + torch.tensor([7.0, 14.0])], dim=-1)
    mask = torch.rand(2, 5, 4, generator=generator) < 0.7  # present players need no box
    _, state, present = scene(2, 5, 4, share=1.0)
    with torch.no_grad():
        logits = model(video, boxes, mask, state, present)
        features = model.player_features(video, boxes, mask)
        assert torch.equal(model.network(features, state, present), logits)
    assert logits.shape == (2, 9, 5, 4) and logits.isfinite().all()


def test_a_frozen_backbone_learns_nothing_while_the_rest_does():
    model = TAADGNN(SMALL).freeze().train()
    assert {id(p) for p in model.backbone_parameters()} == {id(p) for p in model.encoder.x3d.parameters()}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    video = torch.randn(1, 3, 4, 44, 60, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([8.0, 8, 16, 24]).expand(1, 5, 4, 4)
    _, state, present = scene(1, 5, 4, share=1.0)
    model(video, boxes, torch.ones(1, 5, 4), state, present).square().mean().backward()
    optimizer.step()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith("encoder.x3d."), name


def test_game_state_of_a_half():
    rows = np.full((3, len(COLUMN)), np.nan, np.float32)
    rows[:, COLUMN["frame"]] = 100, 101, 102
    rows[:, [COLUMN["player_id"], COLUMN["shirt_number"], COLUMN["class"]]] = 205, 9, 0
    rows[:, COLUMN["left_to_right"]], rows[:, COLUMN["role_id"]] = 1, 12
    rows[:2, COLUMN["x"] : COLUMN["speed_y"] + 1] = [[0.5, 0.25, 3, -1], [0.6, 0.2, 4, -2]]
    state, present = game_state(dense_half(rows, "game_0_H1"), range(101, 103))
    assert state.shape == (26, 2, 7) and state.dtype == torch.float32
    assert present.nonzero().tolist() == [[13 + 11, 0]]
    np.testing.assert_allclose(state[24], [[1, 0.6, 0.2, 4, -2, 12, 9], [1, 0, 0, 0, 0, 12, 9]])
    assert state.isfinite().all()
    assert state[:, 0, 0].tolist() == [0] * 13 + [1] * 13
    assert state[:, 0, 5].tolist() == 2 * list(range(1, 14))
    with pytest.raises(FootpassError, match="frame 103 is outside the half"):
        game_state(dense_half(rows, "game_0_H1"), range(101, 104))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel": 4}, "odd"),
        ({"neighbours": -1}, "0 or more"),
        ({"direction": "both"}, "own nearest, official"),
        ({"hidden": 100}, "2 \\* recurrent"),
    ],
)
def test_wrong_settings_are_refused(change, message):
    with pytest.raises(FootpassError, match=message):
        replace(SMALL, **change)


def test_wrong_inputs_are_refused():
    features, state, present = scene(1, 4, 5)
    model = network()
    for wrong in (
        (features[..., 1:], state, present),
        (features, state[..., :5], present),
        (features, state, present[..., 1:]),
        (features[:, 1:], state, present),
    ):
        with pytest.raises(FootpassError, match=r"expected \(B, M, T, 12\), \(B, M, T, 7\) and \(B, M, T\)"):
            model(*wrong)
    with pytest.raises(FootpassError, match="own nearest, official"):
        player_graph(state[..., X : Y + 1], present, direction="both")


def relational(clips: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two groups of seven far apart: a player's class is 1 where any of the six others in the group looks bright."""
    generator = torch.Generator().manual_seed(seed)
    features, state, _ = scene(clips, 14, 4, seed=seed)
    bright = torch.rand(clips, 2, 7, generator=generator) < 0.11  # half of all players then have a bright neighbour
    features *= 0.3
    features[..., 0] = torch.where(bright.flatten(1)[..., None], 2.0, -2.0)
    state[..., X : Y + 1] *= 0.2
    state[:, 7:, :, X] += 0.8
    labels = (bright.sum(dim=2, keepdim=True) - bright.long() > 0).long().flatten(1)
    return features, state, torch.ones(clips, 14, 4, dtype=torch.bool), labels[..., None].expand(-1, -1, 4)


def accuracy(neighbours: int, seed: int = 0) -> float:
    """Of a network of full size trained on the task above, on new clips."""
    model = GraphNetwork(GNNSettings(neighbours=neighbours), CHANNELS, seed).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for step in range(24):
        torch.manual_seed(step)
        *inputs, labels = relational(8, seed=step)
        optimizer.zero_grad()
        gnn_loss(model(*inputs), labels, inputs[2], background=0.5, foreground=0.5, scale=1).mean.backward()
        optimizer.step()
    *inputs, labels = relational(30, seed=1000)
    with torch.no_grad():
        return (model.eval()(*inputs).argmax(dim=1) == labels).float().mean().item()


def test_learns_from_neighbours_what_no_player_shows():
    assert accuracy(GNNSettings().neighbours) > 0.95
    assert accuracy(neighbours=0) < 0.65
