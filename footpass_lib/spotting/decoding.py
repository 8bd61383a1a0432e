"""The sequence model's events of windows, written one by one."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from footpass_lib.models.dst import DST, Memory
from footpass_lib.samples.tokens import ACTION, EOS, NEUTRAL, SOS
from footpass_lib.schema import FootpassError


class Decoded(NamedTuple):
    """Tokens that were written for windows; from each window's EOS on they are EOS tokens and no events."""

    tokens: Tensor  # (B, S, 3) int64: action, role and relative frame
    probabilities: Tensor  # (B, S, 3), of these, as DST.next_token gives them; 0 after the EOS
    n_events: Tensor  # (B,) int64
    ended: Tensor  # (B,) bool: the window came to its EOS

    @property
    def is_event(self) -> Tensor:
        """(B, S) bool."""
        return torch.arange(self.tokens.shape[1], device=self.tokens.device) < self.n_events[:, None]


def first_tokens(n_windows: int, device: torch.device | str) -> Tensor:
    """The SOS tokens (B, 1, 3) that decoding starts from."""
    return torch.tensor([SOS, NEUTRAL, 0], device=device).expand(n_windows, 1, 3)


@torch.no_grad()
def greedy_decode(
    model: DST, features: Tensor, n_frames: Tensor, max_tokens: int | None = None, tolerance: int = 0
) -> Decoded:
    """Write the events of windows, the likeliest token at every step, until all have ended.

    ``features`` and ``n_frames`` are as in ``DST.encode``, ``tolerance`` as in ``DST.next_token``; ``max_tokens`` come
    after SOS, the EOS among them, by default those of the model's windows. FootpassError in training mode.
    """
    if model.training:
        raise FootpassError("decoding: the model is in training mode; call eval() first")
    limit = model.settings.windows.max_tokens if max_tokens is None else max_tokens
    if not len(features) or limit < 1:
        raise FootpassError(f"decoding: {len(features)} windows, max_tokens={limit}; expected 1 or more")
    return decode_memory(model, model.encode(features, n_frames), limit, tolerance)


@torch.no_grad()
def decode_memory(model: DST, memory: Memory, max_tokens: int, tolerance: int = 0) -> Decoded:
    """The second half of :func:`greedy_decode`: write the events of windows that were encoded."""
    caches, last = model.start(memory), first_tokens(len(memory.n_frames), memory.n_frames.device)
    ended = torch.zeros_like(memory.n_frames, dtype=torch.bool)
    tokens, probabilities = [], []
    while len(tokens) < max_tokens and not ended.all():
        chosen, confidence = model.next_token(last, memory, caches, tolerance)
        chosen = torch.where(ended[:, None], chosen.new_tensor([EOS, NEUTRAL, 0]), chosen)
        tokens.append(chosen)
        probabilities.append(confidence.masked_fill(ended[:, None], 0.0))
        ended = chosen[:, ACTION] == EOS
        last = chosen[:, None]
    written = torch.stack(tokens, dim=1)
    n_events = (written[..., ACTION] != EOS).sum(dim=1)
    return Decoded(written, torch.stack(probabilities, dim=1), n_events, ended)
