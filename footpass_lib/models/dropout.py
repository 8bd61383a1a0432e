"""Dropout whose masks are cheap on a CPU, where drawing them otherwise takes a seventh of a small model's step."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEVELS = 2**16  # of the random numbers that decide, four to a drawn word


def dropout(x: Tensor, p: float) -> Tensor:
    """Zeros at random places, with odds ``p`` (to 1 in 65,536 on a CPU), and the rest scaled so that the mean stays.

    Draws come from torch's generator, as those of ``torch.nn.functional.dropout``, which does it on other devices.
    """
    dropped = round(p * _LEVELS)
    if x.device.type != "cpu" or not 0 < dropped < _LEVELS:
        return F.dropout(x, p)
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    numbers = words.view(torch.int16)[: x.numel()].view(x.shape)  # evenly from -32,768 to 32,767
    kept = numbers >= dropped - _LEVELS // 2
    return x * kept.to(x.dtype).mul_(_LEVELS / (_LEVELS - dropped))


class Dropout(nn.Dropout):
    """``nn.Dropout`` by :func:`dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p) if self.training else x
