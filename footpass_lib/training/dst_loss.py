"""The sequence model's loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from footpass_lib.samples.tokens import ACTION, EOS, FRAME, ROLE, SOS
from footpass_lib.samples.windows import WindowBatch
from footpass_lib.schema import N_CLASSES, FootpassError
from footpass_lib.training.losses import WEIGHTINGS, LossSum, class_weights, focal_loss, log_priors, token_cross_entropy

ACTION_LOSSES = ("cross-entropy", "focal", "logit adjustment")
GAMMA = 2.0  # power of the focal loss
TAU = 1.0  # of the logit adjustment (Menon et al., 2021, eq. 10): times the log prior of its class that a logit gets
DENSE = 0.5  # weight of the terms of a dense head, for models that have one
_N_NEUTRAL = 2  # SOS and EOS, the actions that are no events


@dataclass(frozen=True)
class LossSettings:
    """How the sequence model's action head is trained; the defaults are the paper's."""

    weighting: str = "none"  # of classes: one of WEIGHTINGS; Extension 3: square-root class weights
    action: str = "cross-entropy"  # or focal (without label smoothing), or logit adjustment
    eos_weight: float = 1.0  # where an event weighs 1 in the mean; below 1 the model ends its windows later
    label_smoothing: float = 0.05  # of action and role

    def __post_init__(self) -> None:
        for name, choices in (("weighting", WEIGHTINGS), ("action", ACTION_LOSSES)):
            if getattr(self, name) not in choices:
                raise FootpassError(f"DST loss: {name}={getattr(self, name)!r}, expected one of {', '.join(choices)}")
        if self.eos_weight < 0:
            raise FootpassError(f"DST loss: eos_weight={self.eos_weight}, expected 0 or more")
        if not 0 <= self.label_smoothing < 1:
            raise FootpassError(f"DST loss: label_smoothing={self.label_smoothing}, expected 0 to below 1")


class DSTLoss:
    """Cross-entropies of action, role and frame, summed over the tokens that are no padding (section 6 of FOOTPASS).

    ``counts``, training events of the 8 classes, drive to block, are for class weights and the logit adjustment; its
    log priors have a mean of 0 over the training events, as have SOS and EOS: it moves odds between classes, and not
    between events and EOS. ``frames_per_token`` of the model's windows is for the dense loss.
    """

    def __init__(
        self,
        settings: LossSettings | None = None,
        counts: Sequence[float] | np.ndarray | None = None,
        frames_per_token: int = 1,
    ) -> None:
        self.settings, self.frames_per_token = settings or LossSettings(), frames_per_token
        self.action_weights = torch.ones(N_CLASSES - 1 + _N_NEUTRAL)  # (10,)
        if self.settings.weighting != "none":
            self.action_weights = class_weights(counts, self.settings.weighting, neutral=_N_NEUTRAL)
        self.action_weights[EOS] = self.settings.eos_weight
        self.adjustment = torch.zeros(N_CLASSES - 1 + _N_NEUTRAL)  # (10,), added to the logits of the actions
        if self.settings.action == "logit adjustment":
            prior = log_priors(counts)
            share = torch.as_tensor(np.asarray(counts, dtype=np.float64) / np.sum(counts)).float()
            self.adjustment[: N_CLASSES - 1] = TAU * (prior - (share * prior).sum())

    def __call__(self, model: nn.Module, batch: WindowBatch) -> LossSum:
        """The loss of a batch of windows with targets; its weight is the number of tokens."""
        logits = model(batch.features, batch.n_frames, batch.inputs, batch.targets[..., FRAME])
        action = self._action(logits.action.transpose(1, 2), batch)
        smoothing = self.settings.label_smoothing
        role = token_cross_entropy(
            logits.role.transpose(1, 2), batch.targets[..., ROLE], batch.mask, label_smoothing=smoothing
        )
        frame = token_cross_entropy(logits.frame.transpose(1, 2), batch.targets[..., FRAME], batch.mask)
        total_loss = action.total + role.total + frame.total
        if logits.dense is not None:
            total_loss = total_loss + DENSE * dense_loss(logits.dense, batch, self.frames_per_token)
        return LossSum(total_loss, action.weight)

    def _action(self, logits: Tensor, batch: WindowBatch) -> LossSum:
        """``logits`` (B, 10, L) of the actions."""
        target, mask, weights = batch.targets[..., ACTION], batch.mask, self.action_weights
        if self.settings.action == "focal":
            return focal_loss(logits, target, mask, GAMMA, weights)
        if self.settings.action == "logit adjustment":
            logits = logits.float() + self.adjustment.to(logits.device)[:, None]
        return token_cross_entropy(logits, target, mask, weights, self.settings.label_smoothing)


def dense_loss(logits: Tensor, batch: WindowBatch, frames_per_token: int = 1) -> Tensor:
    """Sum of the cross-entropies of class and slot over the encoder tokens with an event, of background over the rest.

    ``logits`` (B, L, 9 + 26), as in ``Logits.dense``. Background counts an eighth, about its share. Of two events in
    one token the later one counts.
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
