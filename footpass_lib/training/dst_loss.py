"""The sequence model's loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from footpass_lib.samples.windows import ACTION, EOS, FRAME, ROLE, SOS, WindowBatch
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
