"""The first test of a sequence model: can it learn a few windows by heart?"""

from __future__ import annotations

import pandas as pd
import torch
from torch import nn

from footpass_lib.models.dst import Logits
from footpass_lib.samples.tokens import ACTION, EOS, FRAME, ROLE
from footpass_lib.samples.windows import WindowBatch
from footpass_lib.training.dst_loss import DSTLoss


def learn_by_heart(
    model: nn.Module, loss: DSTLoss, batch: WindowBatch, steps: int, rate: float = 1e-3, every: int = 10
) -> pd.DataFrame:
    """Train on one batch over and over, with Adam; the model is in evaluation mode afterwards.

    A row every so many steps, and for the first and the last one, in ``step``: the ``loss`` a token, and the shares of
    tokens whose ``action``, ``role`` and ``frame`` are the likeliest given the true tokens so far. Of an ``EOS`` its
    action alone counts.
    """
    optimizer, rows = torch.optim.Adam(model.parameters(), lr=rate), []
    for step in range(steps + 1):
        model.eval()
        if step % every == 0 or step == steps:
            with torch.no_grad():
                found = loss(model, batch)
                right = _right(model(batch.features, batch.n_frames, batch.inputs, batch.targets[..., FRAME]), batch)
            rows.append({"step": step, "loss": float(found.total / found.weight), **right})
        if step < steps:
            model.train()
            found = loss(model, batch)
            optimizer.zero_grad()
            (found.total / found.weight).backward()
            optimizer.step()
    return pd.DataFrame(rows)


def _right(logits: Logits, batch: WindowBatch) -> dict[str, float]:
    event = batch.mask & (batch.targets[..., ACTION] != EOS)
    shares = {}
    for name, column, counted in (("action", ACTION, batch.mask), ("role", ROLE, event), ("frame", FRAME, event)):
        right = getattr(logits, name).argmax(dim=-1) == batch.targets[..., column]
        shares[name] = float(right[counted].float().mean())
    return shares
