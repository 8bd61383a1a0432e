"""Losses and class weights, computed in single precision.

Logits are (N, C, ...), targets (N, ...), int64, and masks, bool or 0/1, as the targets, or None; FootpassError else. A
loss is a :class:`LossSum`, so that means over several micro-batches or processes can be taken exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from footpass_lib.schema import BACKGROUND, N_CLASSES, FootpassError

WEIGHTINGS = ("none", "sqrt", "inverse", "effective")
FOCAL_SCALE = 100.0
FOCAL_BACKGROUND = 1 / 161  # alpha of section 5 of the FOOTPASS baseline; one background and eight classes sum to 1
FOCAL_FOREGROUND = 20 / 161


class LossSum(NamedTuple):
    """A loss before its division: ``total`` carries the gradient, ``weight`` is what it is divided by."""

    total: Tensor
    weight: Tensor

    @property
    def mean(self) -> Tensor:
        """The loss of this batch; 0 (with zero gradients) where nothing counts."""
        return self.total / self.weight.clamp_min(torch.finfo(self.weight.dtype).tiny)


def _check(logits: Tensor, target: Tensor, mask: Tensor | None) -> None:
    expected = (logits.shape[0], *logits.shape[2:])
    if target.shape != expected or (mask is not None and mask.shape != expected):
        shapes = f"logits {tuple(logits.shape)}, target {tuple(target.shape)}"
        shapes += "" if mask is None else f", mask {tuple(mask.shape)}"
        raise FootpassError(f"{shapes}: expected target and mask of shape {expected}, classes in dimension 1 of logits")


def masked_sum(values: Tensor, mask: Tensor | None) -> LossSum:
    """Sum of ``values`` where the mask is above 0, whatever is elsewhere (NaN, infinity), and how many those are."""
    visible = torch.ones_like(values, dtype=torch.bool) if mask is None else mask > 0
    return LossSum(torch.where(visible, values, 0.0).sum(), visible.sum().to(values.dtype))


def binary_weights(background: float, foreground: float, n_classes: int = N_CLASSES) -> Tensor:
    """Weights (n_classes,) with one value for background, class 0, and another for every event class."""
    weights = torch.full((n_classes,), foreground)
    weights[BACKGROUND] = background
    return weights


def taad_loss(
    logits: Tensor, labels: Tensor, mask: Tensor, background: float = 0.05, foreground: float = 0.95
) -> LossSum:
    """Weighted cross-entropy of the detector (section 4 of the FOOTPASS baseline).

    ``logits`` (B, 9, M, T), ``labels`` (B, M, T) and ``mask`` (B, M, T): masked players add nothing but still count in
    the mean, as in the baseline, so the weight is B * M * T.
    """
    _check(logits, labels, mask)
    weights = binary_weights(background, foreground, logits.shape[1]).to(logits.device)
    values = F.cross_entropy(logits.float(), labels, weight=weights, reduction="none")
    return LossSum(masked_sum(values, mask).total, values.new_tensor(float(values.numel())))


def focal_loss(
    logits: Tensor, target: Tensor, mask: Tensor | None = None, gamma: float = 1.0, alpha: Tensor | None = None
) -> LossSum:
    """Focal loss -alpha_y (1 - p_y)^gamma log p_y over the unmasked elements, ``alpha`` (C,) (Lin et al., 2017)."""
    _check(logits, target, mask)
    if gamma < 0:
        raise FootpassError(f"gamma={gamma}: expected 0 or more")
    log_p = logits.float().log_softmax(dim=1).gather(1, target.unsqueeze(1)).squeeze(1)
    # 1 - p without cancellation; the floor keeps the gradient finite at p = 1 for powers below 1
    miss = (-torch.expm1(log_p)).clamp_min(1e-12)
    values = -(miss**gamma) * log_p
    if alpha is not None:
        values = values * alpha.to(values)[target]
    return masked_sum(values, mask)


def gnn_loss(
    logits: Tensor,
    labels: Tensor,
    mask: Tensor,
    gamma: float = 1.0,
    background: float = FOCAL_BACKGROUND,
    foreground: float = FOCAL_FOREGROUND,
    scale: float = FOCAL_SCALE,
) -> LossSum:
    """Scaled focal loss of the graph network (section 5 of the FOOTPASS baseline), a mean over unmasked frames.

    ``logits`` (B, 9, M, T), ``labels`` and ``mask`` (B, M, T). Gamma is 1.0 in the first two epochs and then 1.25.
    """
    alpha = binary_weights(background, foreground, logits.shape[1])
    total, weight = focal_loss(logits, labels, mask, gamma, alpha)
    return LossSum(scale * total, weight)


def token_cross_entropy(
    logits: Tensor,
    target: Tensor,
    mask: Tensor | None = None,
    class_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> LossSum:
    """Cross-entropy over the unmasked tokens (section 6 of the FOOTPASS baseline).

    The mean divides by the number of tokens, not by the sum of their ``class_weight`` (C,): with :func:`class_weights`
    both agree over the training set, and single batches are not rescaled by their content. ``label_smoothing`` is the
    share of the target that is spread evenly over the classes (each with its own weight).
    """
    _check(logits, target, mask)
    weight = None if class_weight is None else class_weight.to(logits.device, torch.float32)
    target = target if mask is None else torch.where(mask > 0, target, 0)  # padding may carry any id
    values = F.cross_entropy(logits.float(), target, weight=weight, reduction="none", label_smoothing=label_smoothing)
    return masked_sum(values, mask)


def _counts(counts: Sequence[float] | np.ndarray) -> np.ndarray:
    counts = np.asarray(counts, dtype=np.float64)
    if counts.ndim != 1 or not np.isfinite(counts).all() or (counts < 0).any() or counts.sum() == 0:
        raise FootpassError(f"class counts {counts.tolist()}: expected one number >= 0 a class, not all 0")
    return counts


def log_priors(counts: Sequence[float] | np.ndarray) -> Tensor:
    """Log share (C,) of each class among the training tokens; a class never seen counts as seen once."""
    seen = np.maximum(_counts(counts), 1.0)
    return torch.from_numpy(np.log(seen / seen.sum())).float()


def class_weights(
    counts: Sequence[float] | np.ndarray, weighting: str = "sqrt", beta: float = 0.999, neutral: int = 0
) -> Tensor:
    """Loss weights (C + neutral,) of C classes from their numbers of training events n_c (extension 3 of the paper).

    ``sqrt``, 1 / sqrt(n_c), is the paper's; ``effective`` that of Cui et al., 2019, eq. 2. ``neutral`` tokens that are
    no events (SOS, EOS) follow the classes and weigh 1. Scaled so that the mean weight over the training *events* is 1:
    a weighting moves loss between classes without changing the learning rate. A class never seen counts as seen once.
    FootpassError if counts are negative, not finite or all 0, or the weighting or beta (0 to below 1) is none.
    """
    if weighting not in WEIGHTINGS:
        raise FootpassError(f"class weighting {weighting!r}: expected one of {', '.join(WEIGHTINGS)}")
    if not 0 <= beta < 1:
        raise FootpassError(f"beta={beta}: expected 0 <= beta < 1")
    counts = _counts(counts)
    seen = np.maximum(counts, 1.0)
    raw = {
        "none": np.ones_like(seen),
        "sqrt": 1 / np.sqrt(seen),
        "inverse": 1 / seen,
        "effective": (1 - beta) / (1 - beta**seen),
    }[weighting]
    scaled = raw * counts.sum() / (counts * raw).sum()
    return torch.from_numpy(np.concatenate([scaled, np.ones(neutral)])).float()
