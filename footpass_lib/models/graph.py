"""Who is connected to whom in the graph network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from footpass_lib.schema import FootpassError

OWN_NEAREST = "own nearest"
DIRECTIONS = (OWN_NEAREST, "official")


def player_graph(position: Tensor, present: Tensor, neighbours: int = 6, direction: str = OWN_NEAREST) -> Tensor:
    """Edges (2, E) int64, sender and receiver, between each player and those nearest, in all frames of all clips.

    From ``position`` (B, M, T, 2) in metres and ``present`` (B, M, T), bool. Who is near is decided by mean positions
    over a clip (where present), so that an edge changes within a clip only where somebody is absent: then the next
    nearest takes the place. Of equally near players the one with the lower number comes first. Player m in frame t of
    clip b is node ``(b * M + m) * T + t``.

    By ``own nearest`` edges lead to a player from those nearest to them. By ``official``, as in the official code, they
    come from those who count the player among their nearest: to a player far from all others none leads. FootpassError
    if another.

    Players 0, 1 and 2 stand at 0, 1 and 3 metres over two frames; player 1 is absent in the second. One neighbour each:
    in frame 0 edges lead from 1 to 0, from 0 to 1 and from 1 to 2; in frame 1 from 2 to 0 and from 0 to 2.

    >>> metres = torch.tensor([0.0, 1.0, 3.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    >>> present = torch.tensor([[[True, True], [True, False], [True, True]]])  # nodes 0 1, 2 3 and 4 5
    >>> sorted(player_graph(metres, present, neighbours=1).T.tolist())
    [[0, 2], [1, 5], [2, 0], [2, 4], [5, 1]]
    """
    if direction not in DIRECTIONS:
        raise FootpassError(f"direction={direction!r}: expected one of {', '.join(DIRECTIONS)}")
    # in the example the others of players 0, 1 and 2 are, nearest first, [[1, 2], [0, 2], [1, 0]]
    ranked = _others_by_distance(position, present)
    # nobody looks farther than the nearest ones and as many more as are ever absent at the same time
    ranked = ranked[..., : neighbours + int((~present).sum(dim=1).amax())]  # (B, M, R)
    clip = torch.arange(len(present), device=present.device)[:, None, None]
    chosen = present[clip, ranked] & present[:, :, None]  # (B, M, R, T): both are there
    chosen &= chosen.cumsum(dim=2, dtype=torch.int8) <= neighbours  # the first so many of them
    node = torch.arange(present.numel(), device=present.device).view(present.shape)
    near = node[clip, ranked].flatten().index_select(0, _true_cells(chosen))  # (E,)
    # edges of one pair of players follow each other, and between the two players' nodes the distance is the same
    players, frames = present.shape[1:]
    apart = frames * (torch.arange(players, device=present.device)[:, None] - ranked)  # (B, M, R)
    own = near + apart.flatten().repeat_interleave(chosen.sum(dim=3).flatten(), output_size=len(near))
    return torch.stack([near, own] if direction == OWN_NEAREST else [own, near])


def _others_by_distance(position: Tensor, present: Tensor) -> Tensor:
    """(B, M, M - 1), each player's others, nearest first, by mean positions."""
    total = torch.where(present[..., None], position, 0).sum(dim=2)
    mean = total / present.sum(dim=2).clamp_min(1)[..., None]  # (B, M, 2)
    distance = (mean[:, :, None] - mean[:, None]).square().sum(dim=-1)  # (B, M, M)
    distance.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    return distance.argsort(dim=2, stable=True)[..., :-1]


def _true_cells(mask: Tensor) -> Tensor:
    """Flat indices of what is True, ascending; on a CPU NumPy finds them in a fifth of torch's time."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.flatten().nonzero()[:, 0]
