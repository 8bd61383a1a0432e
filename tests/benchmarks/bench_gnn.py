"""The graphs of a batch, and a graph layer, against a loop over the edges and the layer of torch-geometric.

Run by hand: ``python tests/benchmarks/bench_gnn.py [--clips 6] [--frames 50] [--players 22] [--quick] [--json]``, with
the repository's root in ``PYTHONPATH``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch_geometric.nn import EdgeConv

from footpass_lib.models.gnn import GNNSettings, GraphNetwork, LinearEdgeConv
from footpass_lib.models.graph import DIRECTIONS, player_graph
from footpass_lib.samples.state import STATE
from footpass_lib.schema import N_CLASSES, PITCH
from footpass_lib.training.losses import gnn_loss
from tests.benchmarks.common import Arrays, Case, best, main


@dataclass(frozen=True)
class Sizes:
    """Clips, their frames and players, and channels of the graph layer."""

    clips: int = 6
    frames: int = 50
    players: int = 22
    channels: int = 128
    seed: int = 0


FULL, QUICK = Sizes(), Sizes(clips=2, frames=4, players=9, channels=8)


def looped_graph(
    position: list, present: list, neighbours: int = 6, direction: str = DIRECTIONS[0]
) -> list[tuple[int, int]]:
    """Edges (sender, receiver) one by one, from nested lists [B][M][T][2] and [B][M][T]."""
    edges = []
    for clip, tracks in enumerate(position):
        players, frames = len(tracks), len(tracks[0])
        means = []
        for player, track in enumerate(tracks):
            seen = [place for place, here in zip(track, present[clip][player], strict=True) if here]
            n = max(len(seen), 1)
            means.append((sum(x for x, _ in seen) / n, sum(y for _, y in seen) / n))
        for frame in range(frames):
            here = [player for player in range(players) if present[clip][player][frame]]
            for player in here:
                others = [other for other in here if other != player]
                others.sort(key=lambda other: math.dist(means[player], means[other]))
                for other in others[:neighbours]:
                    own, near = ((clip * players + node) * frames + frame for node in (player, other))
                    edges.append((near, own) if direction == DIRECTIONS[0] else (own, near))
    return edges


def sorted_edges(edges: list[tuple[int, int]] | Tensor) -> Arrays:
    """Edges in one order, (E, 2), however they were listed."""
    listed = edges.T.numpy() if isinstance(edges, Tensor) else np.array(edges)
    return {"edges": listed[np.lexsort(listed.T[::-1])]}


def edge_step(layer: EdgeConv, nodes: Tensor, edges: Tensor) -> Arrays:
    """Forward and backward pass of one graph layer: its output, and the gradients of nodes and weights."""
    output = layer(nodes, edges)
    found = torch.autograd.grad(output.square().mean(), [nodes, *layer.parameters()])
    named = {f"gradient of {name}": value for name, value in zip(("nodes", "weight", "bias"), found, strict=True)}
    return {name: value.detach().numpy() for name, value in {"output": output, **named}.items()}


def batch_of(sizes: Sizes) -> tuple[Tensor, Tensor, torch.Generator]:
    """Game state (B, M, T, 7) and presence (B, M, T) of random players, and the generator to draw more from."""
    generator = torch.Generator().manual_seed(sizes.seed)
    shape = (sizes.clips, sizes.players, sizes.frames)
    state = torch.rand(*shape, len(STATE), generator=generator)
    return state, torch.rand(shape, generator=generator) < 0.95, generator


def cases(sizes: Sizes) -> Iterator[Case]:
    """The graphs of a batch, and one layer on them."""
    state, present, generator = batch_of(sizes)
    # Double in both: rounded differently, two players who are almost as near could change places.
    position = state[..., 1:3].double() * torch.tensor(PITCH)
    lists = position.tolist(), present.tolist()
    edges = player_graph(position, present)
    batch = f"{sizes.clips} clips x {sizes.frames} frames x {sizes.players} players, {edges.shape[1]:,} edges"
    yield Case(
        "graphs of a batch",
        "edge by edge in Python from lists, against tensor operations over all clips, frames and players",
        batch,
        lambda: looped_graph(*lists),
        lambda: player_graph(position, present),
        plain_arrays=sorted_edges,
        library_arrays=sorted_edges,
    )
    layer = LinearEdgeConv(sizes.channels, sizes.channels)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(0, sizes.channels**-0.5, generator=generator)
    nodes = torch.randn(present.numel(), sizes.channels, generator=generator, requires_grad=True)
    yield Case(
        "graph layer, forward and backward",
        "torch-geometric's EdgeConv, which multiplies per edge, against products taken once per node",
        f"{batch}, {sizes.channels} channels",
        lambda: edge_step(EdgeConv(layer.nn), nodes, edges),
        lambda: edge_step(layer, nodes, edges),
        tolerance=1e-4,
    )


def figures(sizes: Sizes) -> dict[str, float]:
    """What else of the library takes time, in seconds."""
    state, present, generator = batch_of(sizes)
    network = GraphNetwork(GNNSettings(), seed=sizes.seed)
    features = torch.randn(*present.shape, network.channels, generator=generator)
    labels = torch.randint(0, N_CLASSES, present.shape, generator=generator)

    def step() -> None:
        network.zero_grad()
        gnn_loss(network(features, state, present), labels, present).mean.backward()

    return {"graph network, forward and backward": best(step, 1).seconds}


if __name__ == "__main__":
    main(__doc__, cases, FULL, QUICK, figures)
