"""The graph network: class logits for every player and frame, from their looks and what the players nearby do.

:class:`GraphNetwork` works on pooled player features, computed on the way or kept from a frozen detector;
:class:`TAADGNN` puts the video encoder in front of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import EdgeConv

from footpass_lib.models.fast import Dropout
from footpass_lib.models.graph import DIRECTIONS, OWN_NEAREST, player_graph
from footpass_lib.models.taad import VideoModel
from footpass_lib.models.weights import seeded_initialisation
from footpass_lib.models.x3d import X3DSettings
from footpass_lib.samples.state import STATE
from footpass_lib.schema import N_CLASSES, N_ROLES, PITCH, FootpassError

_POSITION = slice(STATE.index("x"), STATE.index("y") + 1)
_SPEED = slice(STATE.index("speed_x"), STATE.index("speed_y") + 1)


@dataclass(frozen=True)
class GraphSettings:
    """Sizes of :class:`GraphNetwork`; the defaults are those of section 5, FootpassError if a value is out of range.

    A node knows team, position and velocity; role and shirt number the paper lists, and the official code leaves out.
    """

    role: bool = False  # one-hot
    jersey: bool = False  # in hundreds
    neighbours: int = 6  # players on the other end of a player's edges
    direction: str = OWN_NEAREST  # or official; see player_graph
    visual_hidden: int = 192  # channels inside the visual branch, and out of it
    visual: int = 64
    graph: int = 128  # channels of the graph layers
    hidden: int = 256  # channels of the head, and of its GRU each way
    recurrent: int = 128
    kernel: int = 5  # of the temporal convolutions in frames, odd
    visual_dropout: float = 0.2  # 0 is what the official code comes to: it declares .2 and never applies it
    graph_dropout: float = 0.1
    head_dropout: float = 0.2

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise FootpassError(f"kernel={self.kernel}: expected an odd number of frames")
        if self.neighbours < 0:
            raise FootpassError(f"neighbours={self.neighbours}: expected 0 or more")
        if self.direction not in DIRECTIONS:
            raise FootpassError(f"direction={self.direction!r}: expected one of {', '.join(DIRECTIONS)}")
        if self.hidden != 2 * self.recurrent:
            wanted = "the residual needs hidden = 2 * recurrent"
            raise FootpassError(f"hidden={self.hidden}, recurrent={self.recurrent}: {wanted}")

    @property
    def node(self) -> int:
        """Features of a node: visual ones, team, position, velocity, and what is switched on."""
        return self.visual + 5 + N_ROLES * self.role + self.jersey


@dataclass(frozen=True)
class GNNSettings(GraphSettings):
    """Sizes of :class:`TAADGNN`, the paper's network: a video encoder of its own, and the graph network."""

    encoder: X3DSettings = field(default_factory=X3DSettings)


class LinearEdgeConv(EdgeConv):
    """``EdgeConv`` whose edge MLP is one linear layer; same weights and, up to rounding, the same output, in less time.

    With W = [P, Q], W [x_i, x_j - x_i] = (P - Q) x_i + Q x_j: both products are taken once a node, not once an edge.
    """

    def __init__(self, incoming: int, channels: int) -> None:
        super().__init__(nn.Linear(2 * incoming, channels), aggr="max")

    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        """Messages over ``edges`` (2, E): ``nodes`` (N, C) to (N, channels), 0 for a node that no edge leads to."""
        own, relative = self.nn.weight.chunk(2, dim=1)
        highest = self.propagate(edges, x=F.linear(nodes, relative))
        kept = F.linear(nodes, own - relative, self.nn.bias)
        reached = torch.zeros(len(nodes), 1, dtype=torch.bool, device=nodes.device).index_fill(0, edges[1], True)
        return torch.where(reached, highest + kept, 0)

    def message(self, x_j: Tensor) -> Tensor:
        return x_j


class TemporalBlock(nn.Module):
    """Convolution along time, LayerNorm, GELU, dropout: (N, T, C) to (N, T, channels), no frame lost."""

    def __init__(self, incoming: int, channels: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv1d(incoming, channels, kernel, padding=kernel // 2)
        self.rest = nn.Sequential(nn.LayerNorm(channels), nn.GELU(), Dropout(dropout))

    def forward(self, series: Tensor) -> Tensor:
        return self.rest(self.conv(series.transpose(1, 2)).transpose(1, 2))


class GraphNetwork(nn.Module):
    """Graph network of section 5 of the FOOTPASS baseline, from ``channels`` features a player and frame to logits."""

    def __init__(self, settings: GraphSettings, channels: int = 192, seed: int = 0) -> None:
        super().__init__()
        self.settings = settings
        self.channels = channels
        widths = (settings.node, settings.graph, settings.graph)
        with seeded_initialisation(seed):
            self.visual = nn.Sequential(
                nn.Linear(channels, settings.visual_hidden),
                nn.ReLU(),
                nn.Linear(settings.visual_hidden, settings.visual),
                nn.ReLU(),
                Dropout(settings.visual_dropout),
            )
            self.edges = nn.ModuleList(LinearEdgeConv(width, settings.graph) for width in widths)
            self.temporal = nn.ModuleList(
                TemporalBlock(settings.graph, settings.graph, settings.kernel, settings.graph_dropout)
                for _ in widths[1:]
            )
            joined = settings.visual + settings.graph
            self.head = TemporalBlock(joined, settings.hidden, settings.kernel, settings.head_dropout)
            self.gru = nn.GRU(settings.hidden, settings.recurrent, batch_first=True, bidirectional=True)
            self.classifier = nn.Linear(settings.hidden, N_CLASSES)

    def forward(self, features: Tensor, state: Tensor, present: Tensor) -> Tensor:
        """Class logits (B, 9, M, T); those of absent players mean nothing. FootpassError if shapes do not fit.

        ``features`` (B, M, T, channels) are 0 where a present player has no box; ``state`` (B, M, T, 7) is as in
        ``STATE`` and the tactical file; ``present`` (B, M, T), bool or 0/1, says who is a node of a frame's graph: of
        others nothing is looked at, and they have no edges.
        """
        self._check(features, state, present)
        present = present > 0
        features = torch.where(present[..., None], features.float(), 0)
        state = torch.where(present[..., None], state.float(), 0)
        visual = self.visual(features)  # (B, M, T, 64)
        metres = state[..., _POSITION] * state.new_tensor(PITCH)
        edges = player_graph(metres, present, self.settings.neighbours, self.settings.direction)
        nodes = torch.cat([visual, *self._known(state, metres)], dim=-1)
        series = torch.cat([visual, self._graph(nodes, edges)], dim=-1).flatten(0, 1)  # (B * M, T, 64 + 128)
        hidden = self.head(series)
        hidden = hidden + self.gru(hidden)[0]
        return self.classifier(hidden).unflatten(0, present.shape[:2]).permute(0, 3, 1, 2)

    def _known(self, state: Tensor, metres: Tensor) -> Iterator[Tensor]:
        """What a node knows beside its visual features, brought to the size of one."""
        yield state[..., :1]
        yield (metres - metres.new_tensor(PITCH) / 2) / 10  # tens of metres: neighbours differ by about 1
        yield state[..., _SPEED]
        if self.settings.role:
            roles = torch.arange(1, N_ROLES + 1, device=state.device)
            yield (state[..., STATE.index("role_id"), None] == roles).float()
        if self.settings.jersey:
            yield state[..., STATE.index("shirt_number"), None] / 100

    def _graph(self, nodes: Tensor, edges: Tensor) -> Tensor:
        """Three rounds of messages (B, M, T, node) -> (B, M, T, 128), a temporal convolution between them."""
        shape = nodes.shape[:3]
        hidden = nodes
        for layer, edge_conv in enumerate(self.edges):
            hidden = edge_conv(hidden.flatten(0, 2), edges).unflatten(0, shape)
            if layer < len(self.temporal):
                hidden = self.temporal[layer](hidden.flatten(0, 1)).unflatten(0, shape[:2])
        return hidden

    def _check(self, features: Tensor, state: Tensor, present: Tensor) -> None:
        expected = (*present.shape, self.channels), (*present.shape, len(STATE))
        if present.ndim != 3 or (features.shape, state.shape) != expected:
            shapes = f"features {tuple(features.shape)}, state {tuple(state.shape)}, present {tuple(present.shape)}"
            wanted = f"(B, M, T, {self.channels}), (B, M, T, {len(STATE)}) and (B, M, T)"
            raise FootpassError(f"{shapes}: expected {wanted}")


class TAADGNN(VideoModel):
    """Detector with a graph network: an encoder of its own (Kinetics ``weights`` or None), :class:`GraphNetwork`."""

    def __init__(self, settings: GNNSettings, weights: Path | str | None = None, seed: int = 0) -> None:
        super().__init__(settings.encoder, weights, seed)
        self.settings = settings
        self.network = GraphNetwork(settings, self.encoder.channels, seed)

    def forward(self, video: Tensor, boxes: Tensor, mask: Tensor, state: Tensor, present: Tensor) -> Tensor:
        """Logits (B, 9, M, T); arguments and errors as in :class:`TAAD` and :meth:`GraphNetwork.forward`."""
        return self.network(self.player_features(video, boxes, mask), state, present)


def build_gnn(
    settings: GraphSettings, channels: int = 0, weights: Path | str | None = None, seed: int = 0
) -> GraphNetwork | TAADGNN:
    """The network that belongs to the settings: on kept features of so many ``channels``, or with its own encoder."""
    if isinstance(settings, GNNSettings):
        return TAADGNN(settings, weights, seed)
    return GraphNetwork(settings, channels, seed)
