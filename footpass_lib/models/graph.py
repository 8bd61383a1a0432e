"""What the nodes of a graph know beside the video, and who is connected to whom."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from footpass_lib.schema import FootpassError

OWN_NEAREST = "own nearest"
DIRECTIONS = (OWN_NEAREST, "official")


def player_graph(position: Tensor, present: Tensor, neighbours: int = 6, direction: str = OWN_NEAREST) -> Tensor:
    """Edges between each player and those nearest to him, for every frame of every clip at once.

    Who is near is decided by the mean position over a clip (over the frames in which a player is present), so that an
    edge changes within a clip only where somebody is absent: then the next nearest takes his place. Of two players at
    the same distance the one with the lower number comes first.

    Parameters
    ----------
    position
        (B, M, T, 2) in metres; not looked at where absent.
    present
        (B, M, T), bool.
    neighbours
        How many; fewer where fewer others are present.
    direction
        ``own nearest``: a player hears from those nearest to him. ``official``: from those who count him among
        their nearest, as in the official code, so that a player far from all others hears nobody.

    Returns
    -------
    Tensor
        (2, E) int64, sender and receiver. Player m in frame t of clip b is node ``(b * M + m) * T + t``: the order of
        a flattened (B, M, T) array.

    Raises
    ------
    FootpassError
        If the direction is unknown.
    """
    if direction not in DIRECTIONS:
        raise FootpassError(f"direction={direction!r}: expected one of {', '.join(DIRECTIONS)}")
    players, frames = present.shape[1:]
    total = torch.where(present[..., None], position, 0).sum(dim=2)
    mean = total / present.sum(dim=2).clamp_min(1)[..., None]  # (B, M, 2)
    distance = (mean[:, :, None] - mean[:, None]).square().sum(dim=-1)  # (B, M, M)
    distance.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    ranked = distance.argsort(dim=2, stable=True)[..., :-1]  # (B, M, M - 1), each player's others, nearest first
    # nobody looks farther than the nearest ones and as many more as are ever absent at the same time
    ranked = ranked[..., : neighbours + int((~present).sum(dim=1).amax())]  # (B, M, R)
    clip = torch.arange(len(present), device=present.device)[:, None, None]
    chosen = present[clip, ranked] & present[:, :, None]  # (B, M, R, T)
    chosen &= chosen.cumsum(dim=2, dtype=torch.int8) <= neighbours
    node = torch.arange(present.numel(), device=present.device).view(present.shape)
    near = node[clip, ranked].flatten().index_select(0, _true_cells(chosen))  # (E,)
    # Edges of one pair of players follow each other, and between the two players' nodes the distance is the same.
    apart = frames * (torch.arange(players, device=present.device)[:, None] - ranked)  # (B, M, R)
    own = near + apart.flatten().repeat_interleave(chosen.sum(dim=3).flatten(), output_size=len(near))
    return torch.stack([near, own] if direction == OWN_NEAREST else [own, near])


def _true_cells(mask: Tensor) -> Tensor:
    """Flat indices of what is True, ascending; on a CPU NumPy finds them in a fifth of torch's time."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.flatten().nonzero()[:, 0]
