"""What the sequence model's logits are for: the loss in training, and events written one by one in inference."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from footpass_lib.models.dst import DST, Logits, Memory
from footpass_lib.models.transformer import LayerCache
from footpass_lib.samples.windows import ACTION, EOS, FRAME, NEUTRAL, SOS
from footpass_lib.schema import FootpassError


class Decoded(NamedTuple):
    """Tokens that were written for windows; from each window's EOS on they are EOS tokens and no events.

    ``tokens`` (B, S, 3) int64 of action, role and relative frame; ``probabilities`` (B, S, 3) of these, as the three
    softmaxes say (see :func:`choose`), 0 after the EOS; ``n_events`` (B,) int64; ``ended`` (B,) bool, whether the
    window came to its EOS.
    """

    tokens: Tensor
    probabilities: Tensor
    n_events: Tensor
    ended: Tensor

    @property
    def is_event(self) -> Tensor:
        """(B, S) bool."""
        return torch.arange(self.tokens.shape[1], device=self.tokens.device) < self.n_events[:, None]


def first_tokens(n_windows: int, device: torch.device | str) -> Tensor:
    """The SOS tokens (B, 1, 3) that decoding starts from."""
    return torch.tensor([SOS, NEUTRAL, 0], device=device).expand(n_windows, 1, 3)


def choose(
    logits: Logits, n_frames: Tensor, earliest: Tensor | None = None, tolerance: int = 0
) -> tuple[Tensor, Tensor]:
    """The likeliest possible token, and the probabilities of its action, role and frame.

    Impossible are SOS, an event of no slot, and a frame outside 1..n_frames or before ``earliest``; probabilities are
    those of the whole softmax, as in the paper. EOS has the neutral role, and its frame means nothing.

    Parameters
    ----------
    logits
        Of one token per window: (B, 10), (B, 27) and (B, 752).
    n_frames, earliest
        (B,).
    tolerance
        The probability of the frame is that of all frames of the half at most this far from it.

    Returns
    -------
    tokens, probabilities
        (B, 3) each.
    """
    action_p, role_p, frame_p = (values.float().softmax(dim=-1) for values in logits[:3])
    action = action_p.index_fill(-1, torch.tensor([SOS], device=n_frames.device), -1.0).argmax(dim=-1)
    role = torch.where(action == EOS, NEUTRAL, role_p[:, :NEUTRAL].argmax(dim=-1))
    frames = torch.arange(frame_p.shape[-1], device=n_frames.device)
    inside = (frames >= 1) & (frames <= n_frames[:, None])  # (B, 752)
    possible = inside if earliest is None else inside & (frames >= earliest[:, None])
    frame = frame_p.masked_fill(~possible, -1.0).argmax(dim=-1)
    chosen = torch.stack([action, role, frame], dim=-1)
    columns = zip((action_p, role_p), chosen.split(1, dim=-1), strict=False)
    near = inside & ((frames - frame[:, None]).abs() <= tolerance)
    confidence = [p.gather(-1, column) for p, column in columns] + [(frame_p * near).sum(dim=-1, keepdim=True)]
    return chosen, torch.cat(confidence, dim=-1)


def choose_frame_first(
    model: DST, last: Tensor, memory: Memory, caches: list[LayerCache], tolerance: int = 0
) -> tuple[Tensor, Tensor]:
    """The next token of a model that reads action and role where it points: its frame is chosen before them.

    EOS stands in the frame after the last event. The window ends where all frames after that one have less than half
    of the probability together. (To take the likeliest *single* frame would end it too early: one frame holds all that
    says "nothing more", and an event is spread over several.) Otherwise the likeliest of them is taken, and read. Of
    two events in neighbouring frames a window so has one only.

    Parameters
    ----------
    model, memory, caches
    last
        (B, 1, 3), the token before.
    tolerance
        As in :func:`choose`.

    Returns
    -------
    tokens, probabilities
        (B, 3) each. Probabilities are among events: of the action without SOS and EOS, of the frame among later ones.
    """
    x = model.advance(last, memory, caches)
    frame_p = model.frames(x, memory)[:, 0].float().softmax(dim=-1)  # (B, 752)
    n_frames, before = memory.n_frames[:, None], last[:, :, FRAME]  # (B, 1) each
    frames = torch.arange(frame_p.shape[-1], device=frame_p.device)
    event_p = frame_p * ((frames > before + 1) & (frames <= n_frames))
    total = event_p.sum(dim=1, keepdim=True)
    ends, event_p = total < 0.5, event_p / total.clamp_min(torch.finfo(event_p.dtype).tiny)
    frame = event_p.argmax(dim=1, keepdim=True)
    actions, roles = model.actions_and_roles(x, memory, frame)
    action_p, action = actions[:, 0, :SOS].float().softmax(dim=-1).max(dim=-1, keepdim=True)
    role_p, role = roles[:, 0, :NEUTRAL].float().softmax(dim=-1).max(dim=-1, keepdim=True)
    near_p = (event_p * ((frames - frame).abs() <= tolerance)).sum(dim=1, keepdim=True)
    chosen = torch.where(ends, frame.new_tensor([EOS, NEUTRAL, 0]), torch.cat([action, role, frame], dim=1))
    return chosen, torch.cat([action_p, role_p, near_p], dim=1).masked_fill(ends, 0.0)


@torch.no_grad()
def greedy_decode(
    model: DST,
    features: Tensor,
    n_frames: Tensor,
    max_tokens: int | None = None,
    monotone: bool = False,
    tolerance: int = 0,
) -> Decoded:
    """Write the events of windows, the likeliest token at every step, until all have ended.

    Parameters
    ----------
    model
        In evaluation mode.
    features, n_frames
        As in ``DST.encode``, on the model's device.
    max_tokens
        Tokens after SOS, the EOS among them; by default those of the model's windows. What a window that did not end
        has written so far is returned like any other.
    monotone
        Forbid an event before the one written last; a model that reads where it points never writes one.
    tolerance
        See :func:`choose`.

    Raises
    ------
    FootpassError
        If the model is in training mode, there is nothing to write, or the features have another shape.
    """
    if model.training:
        raise FootpassError("decoding: the model is in training mode; call eval() first")
    limit = model.settings.windows.max_tokens if max_tokens is None else max_tokens
    if not len(features) or limit < 1:
        raise FootpassError(f"decoding: {len(features)} windows, max_tokens={limit}; expected 1 or more")
    return decode_memory(model, model.encode(features, n_frames), limit, monotone, tolerance)


@torch.no_grad()
def decode_memory(model: DST, memory: Memory, max_tokens: int, monotone: bool = False, tolerance: int = 0) -> Decoded:
    """The second half of :func:`greedy_decode`: write the events of windows that were encoded."""
    n_frames, caches = memory.n_frames, model.start(memory)
    last = first_tokens(len(n_frames), n_frames.device)
    ended = torch.zeros_like(n_frames, dtype=torch.bool)
    tokens, probabilities = [], []
    while len(tokens) < max_tokens and not ended.all():
        if model.settings.read_pointed:
            chosen, confidence = choose_frame_first(model, last, memory, caches, tolerance)
        else:
            logits = Logits(*(values[:, -1] for values in model.decode(last, memory, caches)[:3]))
            chosen, confidence = choose(logits, n_frames, last[:, 0, FRAME] if monotone else None, tolerance)
        chosen = torch.where(ended[:, None], chosen.new_tensor([EOS, NEUTRAL, 0]), chosen)
        tokens.append(chosen)
        probabilities.append(confidence.masked_fill(ended[:, None], 0.0))
        ended = chosen[:, ACTION] == EOS
        last = chosen[:, None]
    written = torch.stack(tokens, dim=1)
    n_events = (written[..., ACTION] != EOS).sum(dim=1)
    return Decoded(written, torch.stack(probabilities, dim=1), n_events, ended)
