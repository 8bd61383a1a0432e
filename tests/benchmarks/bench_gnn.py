"""Time to build the graphs of a batch with tensor operations, against a loop over the edges; and of training steps.

Run by hand: ``python tests/benchmarks/bench_gnn.py [--clips 6] [--frames 50] [--players 22] [--json]``.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch_geometric.nn import EdgeConv

from footpass_lib.losses import gnn_loss
from footpass_lib.models.gnn import GNNSettings, GraphNetwork, LinearEdgeConv
from footpass_lib.models.graphs import DIRECTIONS, STATE, player_graph
from footpass_lib.schema import PITCH


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


def best(work: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of some runs."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def step(network: GraphNetwork, features: Tensor, state: Tensor, present: Tensor, labels: Tensor) -> None:
    """Forward and backward pass."""
    network.zero_grad()
    gnn_loss(network(features, state, present), labels, present).mean.backward()


def edge_step(layer: EdgeConv, nodes: Tensor, edges: Tensor) -> None:
    """Forward and backward pass of one graph layer."""
    layer(nodes, edges).square().sum().backward()


def measure(clips: int, frames: int, players: int, seed: int) -> dict[str, float]:
    """Every figure of the table, in seconds unless its name says otherwise."""
    generator = torch.Generator().manual_seed(seed)
    shape = (clips, players, frames)
    state = torch.rand(*shape, len(STATE), generator=generator)
    present = torch.rand(shape, generator=generator) < 0.95
    position = state[..., 1:3] * torch.tensor(PITCH)
    lists = position.double().tolist(), present.tolist()
    built = player_graph(position.double(), present)
    assert sorted(looped_graph(*lists)) == sorted(map(tuple, built.T.tolist())), "the two ways disagree"
    network = GraphNetwork(GNNSettings(), seed=seed)
    features = torch.randn(*shape, network.channels, generator=generator)
    labels = torch.randint(0, 9, shape, generator=generator)
    fast = LinearEdgeConv(128, 128)
    nodes = torch.randn(present.numel(), 128, generator=generator, requires_grad=True)
    loop = best(lambda: looped_graph(*lists), repeats=10)
    tensors = best(lambda: player_graph(position, present), repeats=100)
    return {
        "edges": built.shape[1],
        "graph_by_loop": loop,
        "graph_by_tensors": tensors,
        "times_faster": loop / tensors,
        "edge_conv_plain": best(lambda: edge_step(EdgeConv(fast.nn), nodes, built), repeats=5),
        "edge_conv_linear": best(lambda: edge_step(fast, nodes, built), repeats=5),
        "forward_backward": best(lambda: step(network, features, state, present, labels), repeats=3),
        "parameters": sum(p.numel() for p in network.parameters()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--players", type=int, default=22)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    figures = measure(arguments.clips, arguments.frames, arguments.players, arguments.seed)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:18} {value:14,.0f}" if isinstance(value, int) else f"{name:18} {value:14.6f}")


if __name__ == "__main__":
    main()
