"""What the sequence model's logits are for: the loss in training, and events written one by one in inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from footpass_lib.models.dst import DST, LayerCache, Logits, Memory
from footpass_lib.samples.windows import ACTION, EOS, FRAME, NEUTRAL, ROLE, SOS, WindowBatch
from footpass_lib.schema import N_CLASSES, FootpassError
from footpass_lib.training.losses import WEIGHTINGS, LossSum, class_weights, focal_loss, log_priors, token_cross_entropy

ACTION_LOSSES = ("cross-entropy", "focal", "logit adjustment")
_N_NEUTRAL = 2  # SOS and EOS, the actions that are no events


@dataclass(frozen=True)
class LossSettings:
    """How the sequence model's action head is trained; the defaults are the baseline's.

    Attributes
    ----------
    weighting : str
        Class weights: ``none``, ``sqrt`` (third extension of the reproduced paper), ``inverse`` or ``effective``; see
        ``losses.class_weights``.
    action : str
        ``cross-entropy``; ``focal`` (without label smoothing); or ``logit adjustment``, cross-entropy of the logits
        plus ``tau`` times the log prior of their class.
    gamma : float
        Power of the focal loss.
    tau : float
        Of the logit adjustment.
    eos_weight : float
        Weight of EOS, where an event weighs 1 in the mean. Below 1 the model ends its windows later.
    label_smoothing : float
        Of action and role.
    dense : float
        Weight of the terms of a dense head, for models that have one; see ``dense_loss``.

    Raises
    ------
    FootpassError
        If a name is unknown or a value out of range.
    """

    weighting: str = "none"
    action: str = "cross-entropy"
    gamma: float = 2.0
    tau: float = 1.0
    eos_weight: float = 1.0
    label_smoothing: float = 0.05
    dense: float = 0.5

    def __post_init__(self) -> None:
        for name, choices in (("weighting", WEIGHTINGS), ("action", ACTION_LOSSES)):
            if getattr(self, name) not in choices:
                raise FootpassError(f"DST loss: {name}={getattr(self, name)!r}, expected one of {', '.join(choices)}")
        for name in ("gamma", "tau", "eos_weight", "dense"):
            if getattr(self, name) < 0:
                raise FootpassError(f"DST loss: {name}={getattr(self, name)}, expected 0 or more")
        if not 0 <= self.label_smoothing < 1:
            raise FootpassError(f"DST loss: label_smoothing={self.label_smoothing}, expected 0 to below 1")


def loss_options(settings: LossSettings, counts: Sequence[float] | np.ndarray) -> dict[str, Tensor | float]:
    """Keyword arguments of :func:`dst_loss` that the settings stand for.

    Parameters
    ----------
    settings
    counts
        Training events of the 8 classes, drive to block. Log priors are shifted so that their mean over the training
        events is 0, SOS and EOS having 0: an adjustment moves odds between classes, and not between events and EOS.

    Raises
    ------
    FootpassError
        If the counts are negative, not finite or all 0.
    """
    weights = class_weights(counts, settings.weighting, neutral=_N_NEUTRAL)
    weights[EOS] = settings.eos_weight
    options: dict[str, Tensor | float] = {
        "action_weights": weights, "label_smoothing": settings.label_smoothing, "dense": settings.dense
    }  # fmt: skip
    if settings.action == "focal":
        options["gamma"] = settings.gamma
    if settings.action == "logit adjustment":
        share = torch.as_tensor(np.asarray(counts, dtype=np.float64) / np.sum(counts)).float()
        prior = log_priors(counts)
        options["adjustment"] = settings.tau * torch.cat([prior - (share * prior).sum(), torch.zeros(_N_NEUTRAL)])
    return options


def dst_loss(
    model: nn.Module,
    batch: WindowBatch,
    action_weights: Tensor | None = None,
    label_smoothing: float = 0.05,
    gamma: float | None = None,
    adjustment: Tensor | None = None,
    dense: float = 0.5,
    frames_per_token: int = 1,
) -> LossSum:
    """Cross-entropies of action, role and frame, summed over the tokens that are no padding.

    Parameters
    ----------
    model
        Called as ``DST.forward``.
    batch
        Windows with targets.
    action_weights
        (10,) weight of each action, or None for 1.
    label_smoothing
        Of action and role.
    gamma
        With it the action term is the focal loss with this power, without label smoothing.
    adjustment
        (10,), added to the logits of the actions.
    dense
        Weight of :func:`dense_loss`, if the model gives dense logits.
    frames_per_token
        Of the model's windows, for the dense loss.

    Returns
    -------
    LossSum
        The weight is the number of tokens.
    """
    logits = model(batch.features, batch.n_frames, batch.inputs, batch.targets[..., FRAME])

    def term(values: Tensor, column: int, **options: object) -> LossSum:
        return token_cross_entropy(values.transpose(1, 2), batch.targets[..., column], batch.mask, **options)

    actions = logits.action if adjustment is None else logits.action.float() + adjustment.to(logits.action.device)
    if gamma is None:
        action = term(actions, ACTION, class_weight=action_weights, label_smoothing=label_smoothing)
    else:
        action = focal_loss(actions.transpose(1, 2), batch.targets[..., ACTION], batch.mask, gamma, action_weights)
    role = term(logits.role, ROLE, label_smoothing=label_smoothing)
    frame = term(logits.frame, FRAME)
    total = action.total + role.total + frame.total
    if logits.dense is not None:
        total = total + dense * dense_loss(logits.dense, batch, frames_per_token)
    return LossSum(total, action.weight)


def dense_loss(logits: Tensor, batch: WindowBatch, frames_per_token: int = 1) -> Tensor:
    """Cross-entropies of class and slot over the encoder tokens with an event, and of background over the others.

    Background counts an eighth, about its share. Of two events in one token the later one counts.

    Parameters
    ----------
    logits
        (B, L, 9 + 26), as in ``Logits.dense``.
    batch
        Windows with targets.
    frames_per_token

    Returns
    -------
    Tensor
        The sum, a scalar.
    """
    n_tokens, device = logits.shape[1], logits.device
    window, place = (batch.mask & (batch.targets[..., ACTION] < SOS)).nonzero(as_tuple=True)
    action, slot, frame = batch.targets[window, place].unbind(-1)
    token = (frame - 1) // frames_per_token
    classes = torch.zeros(logits.shape[:2], dtype=torch.int64, device=device)
    slots = torch.zeros_like(classes)
    classes[window, token], slots[window, token] = action + 1, slot
    first = torch.arange(n_tokens, device=device) * frames_per_token
    known = batch.mask.any(dim=1)[:, None] & (first < batch.n_frames[:, None])
    weight = torch.ones(N_CLASSES, device=device)
    weight[0] = 0.125
    logits = logits.transpose(1, 2)
    by_class = token_cross_entropy(logits[:, :N_CLASSES], classes, known, class_weight=weight)
    by_slot = token_cross_entropy(logits[:, N_CLASSES:], slots, known & (classes > 0))
    return by_class.total + by_slot.total


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
