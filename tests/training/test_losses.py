"""Losses and class weights against values worked out by hand and slow references."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from footpass_lib.schema import FootpassError
from footpass_lib.training.losses import (
    binary_weights,
    class_weights,
    focal_loss,
    gnn_loss,
    log_priors,
    masked_sum,
    taad_loss,
    token_cross_entropy,
)

TRAIN_COUNTS = (30477, 37144, 1519, 754, 889, 2426, 174, 994)  # events with a box, drive..block


def random_case(seed: int, shape: tuple[int, ...], classes: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(shape[0], classes, *shape[1:], generator=generator)
    target = torch.randint(classes, shape, generator=generator)
    mask = torch.rand(shape, generator=generator) > 0.4
    return logits, target, mask


def softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(np.float64(logits) - np.float64(logits).max())
    return exponents / exponents.sum()


def elements(logits: torch.Tensor, target: torch.Tensor, mask: torch.Tensor):
    """Probabilities, target and mask of one element after another."""
    for place in np.ndindex(*target.shape):
        scores = logits[(place[0], slice(None), *place[1:])].detach().numpy()
        yield softmax(scores), int(target[place]), bool(mask[place])


def test_taad_loss_by_hand():
    # uniform logits: every cross-entropy is log 9; one background, one foreground, one masked foreground, one masked
    labels = torch.tensor([[[0, 3], [5, 0]]])
    mask = torch.tensor([[[1, 1], [0, 0]]])
    loss = taad_loss(torch.zeros(1, 9, 2, 2), labels, mask)
    assert loss.total.item() == pytest.approx((0.05 + 0.95) * math.log(9), rel=1e-6)
    assert loss.weight.item() == 4
    assert loss.mean.item() == pytest.approx(math.log(9) / 4, rel=1e-6)


def test_taad_loss_against_a_loop():
    logits, labels, mask = random_case(0, (2, 3, 5), 9)
    total = sum((0.2 if y == 0 else 0.7) * -math.log(p[y]) for p, y, seen in elements(logits, labels, mask) if seen)
    loss = taad_loss(logits, labels, mask, background=0.2, foreground=0.7)
    assert loss.total.item() == pytest.approx(total, rel=1e-5)
    assert loss.mean.item() == pytest.approx(total / 30, rel=1e-5)


def test_masked_players_give_no_gradient_even_when_broken():
    logits, labels, mask = random_case(1, (2, 3, 5), 9)
    with torch.no_grad():
        logits.transpose(0, 1)[:, ~mask] = float("nan")
    logits.requires_grad_()
    for loss in (taad_loss(logits, labels, mask), gnn_loss(logits, labels, mask, gamma=1.25)):
        assert loss.mean.isfinite()
        (gradient,) = torch.autograd.grad(loss.mean, logits)
        by_player = gradient.abs().sum(dim=1)
        assert (by_player[mask] > 0).all()
        assert not by_player[~mask].nan_to_num().any()


def test_sums_of_parts_make_the_loss_of_the_whole():
    logits, labels, mask = random_case(2, (6, 3, 5), 9)
    for loss in (taad_loss, gnn_loss, token_cross_entropy):
        whole = loss(logits, labels, mask)
        parts = [loss(logits[s], labels[s], mask[s]) for s in (slice(0, 1), slice(1, 6))]
        mean = sum(part.total for part in parts) / sum(part.weight for part in parts)
        torch.testing.assert_close(mean, whole.mean)


def test_focal_loss_by_hand():
    # two classes, p = (1/4, 3/4)
    logits = torch.tensor([[0.0, math.log(3)]])
    alpha = torch.tensor([2.0, 0.5])
    hard = focal_loss(logits, torch.tensor([0]), gamma=2.0, alpha=alpha).mean.item()
    easy = focal_loss(logits, torch.tensor([1]), gamma=2.0, alpha=alpha).mean.item()
    assert hard == pytest.approx(2.0 * (3 / 4) ** 2 * math.log(4), rel=1e-6)
    assert easy == pytest.approx(0.5 * (1 / 4) ** 2 * math.log(4 / 3), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 1.25, 2.0])
def test_gnn_loss_against_a_loop(gamma):
    logits, labels, mask = random_case(3, (2, 4, 3), 9)
    alpha = [1 / 161] + 8 * [20 / 161]
    values = [alpha[y] * (1 - p[y]) ** gamma * -math.log(p[y]) for p, y, seen in elements(logits, labels, mask) if seen]
    loss = gnn_loss(logits, labels, mask, gamma=gamma)
    assert loss.weight.item() == len(values) == mask.sum()
    assert loss.mean.item() == pytest.approx(100 * np.mean(values), rel=1e-5)


def test_focal_loss_without_focus_is_cross_entropy():
    logits, target, mask = random_case(4, (3, 7), 10)
    torch.testing.assert_close(
        focal_loss(logits, target, mask, gamma=0.0).mean, token_cross_entropy(logits, target, mask).mean
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 1.25])
def test_focal_gradient_is_finite_when_certain_and_when_wrong(gamma):
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([0, 0]), gamma=gamma).mean
    loss.backward()
    assert loss.item() == pytest.approx(200.0, rel=1e-5)  # certain: 0, wrong: 400
    torch.testing.assert_close(logits.grad, torch.tensor([[0.0, 0.0], [-0.5, 0.5]]), atol=1e-6, rtol=1e-5)


def test_focal_gradient_matches_finite_differences():
    logits, target, mask = random_case(5, (2, 3), 4)
    logits = logits.requires_grad_()
    (gradient,) = torch.autograd.grad(focal_loss(logits, target, mask, gamma=1.25).mean, logits)
    step = 1e-2
    for place in [(0, 0, 0), (1, 3, 2), (0, 2, 1)]:
        nudge = torch.zeros_like(logits)
        nudge[place] = step
        above, below = (focal_loss(logits + s * nudge, target, mask, gamma=1.25).mean for s in (1, -1))
        assert ((above - below) / (2 * step)).item() == pytest.approx(gradient[place].item(), abs=2e-4)


def test_negative_gamma_is_refused():
    with pytest.raises(FootpassError, match="gamma=-1"):
        focal_loss(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64), gamma=-1)


def test_token_cross_entropy_against_a_loop():
    logits, target, mask = random_case(6, (3, 5), 4)
    weight, smoothing = [0.5, 1.0, 2.0, 4.0], 0.05
    values = []
    for p, y, seen in elements(logits, target, mask):
        spread = [smoothing / 4 + (1 - smoothing) * (c == y) for c in range(4)]
        if seen:
            values.append(sum(-weight[c] * spread[c] * math.log(p[c]) for c in range(4)))
    loss = token_cross_entropy(logits, target, mask, torch.tensor(weight), smoothing)
    assert loss.mean.item() == pytest.approx(np.mean(values), rel=1e-5)
    assert loss.weight.item() == len(values)


def test_padding_may_carry_any_id():
    logits, target, mask = random_case(7, (3, 5), 4)
    clean = token_cross_entropy(logits, target, mask).mean
    torch.testing.assert_close(token_cross_entropy(logits, target.masked_fill(~mask, -1), mask).mean, clean)


def test_nothing_counts_gives_zero_and_zero_gradients():
    logits, target, _ = random_case(8, (3, 5), 4)
    logits.requires_grad_()
    loss = token_cross_entropy(logits, target, torch.zeros(3, 5)).mean
    loss.backward()
    assert loss.item() == 0 and logits.grad.abs().sum() == 0


def test_masked_sum_takes_bool_numbers_and_none():
    values = torch.tensor([[1.0, 2.0], [float("nan"), 4.0]])
    for mask in (torch.tensor([[True, True], [False, True]]), torch.tensor([[1.0, 1.0], [0.0, 1.0]])):
        loss = masked_sum(values, mask)
        assert (loss.total.item(), loss.weight.item()) == (7, 3)
    assert masked_sum(values[0], None).mean.item() == 1.5


def test_half_precision_logits_are_raised():
    logits, target, mask = random_case(9, (3, 5), 9)
    half = logits.bfloat16()
    for loss in (taad_loss, gnn_loss, token_cross_entropy):
        got = loss(half, target, mask).mean
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, loss(half.float(), target, mask).mean)


@pytest.mark.parametrize("loss", [taad_loss, gnn_loss, focal_loss, token_cross_entropy])
def test_shapes_that_do_not_fit_are_refused(loss):
    logits, target, mask = random_case(10, (2, 9, 9), 9)
    with pytest.raises(FootpassError, match="classes in dimension 1"):
        loss(logits, target[:, :, :5], mask)
    with pytest.raises(FootpassError, match="classes in dimension 1"):
        loss(logits, target, mask[:1])


def test_weights_by_hand():
    # 4 and 16 events: 1/sqrt gives 1/2 : 1/4, and (4 * 2w + 16 * w) / 20 = 1 gives w = 5/6
    torch.testing.assert_close(class_weights([4, 16], "sqrt"), torch.tensor([10 / 6, 5 / 6]))
    # 1/n: every class gets the same total, 10 of 20
    torch.testing.assert_close(class_weights([4, 16], "inverse"), torch.tensor([10 / 4, 10 / 16]))
    torch.testing.assert_close(class_weights([4, 16], "none"), torch.ones(2))
    # beta = 1/2, 1 and 2 events: 1 : 2/3, and (w + 2 * 2/3 w) / 3 = 1 gives w = 9/7
    torch.testing.assert_close(class_weights([1, 2], "effective", beta=0.5), torch.tensor([9 / 7, 6 / 7]))
    torch.testing.assert_close(class_weights([4, 16], "inverse", neutral=2)[2:], torch.ones(2))


def test_square_root_weights_of_the_training_set():
    weights = class_weights(TRAIN_COUNTS, "sqrt", neutral=2)
    assert weights.shape == (10,)
    assert (weights[6] / weights[1]).item() == pytest.approx(math.sqrt(37144 / 174), rel=1e-5)  # tackle : pass, 14.6


@settings(max_examples=50, deadline=None)
@given(
    counts=st.lists(st.integers(0, 50_000), min_size=2, max_size=8).filter(any),
    weighting=st.sampled_from(["none", "sqrt", "inverse", "effective"]),
    beta=st.sampled_from([0.0, 0.9, 0.999, 0.9999]),
)
def test_mean_weight_over_training_events_is_one(counts, weighting, beta):
    weights = class_weights(counts, weighting, beta).double().numpy()
    assert np.isfinite(weights).all() and (weights > 0).all()
    assert np.average(weights, weights=counts) == pytest.approx(1, rel=1e-5)
    falling = weights[np.argsort(counts)]
    assert (np.diff(falling) <= 1e-5 * falling[:-1]).all()  # rarer classes never weigh less


def test_effective_number_lies_between_none_and_inverse():
    plain = class_weights([10, 1000], "effective", beta=0.0)
    torch.testing.assert_close(plain, torch.ones(2))
    nearly_inverse = class_weights([10, 1000], "effective", beta=1 - 1e-9)
    torch.testing.assert_close(nearly_inverse, class_weights([10, 1000], "inverse"), rtol=1e-4, atol=0)


def test_log_priors():
    prior = log_priors([1, 3, 0])
    torch.testing.assert_close(prior.exp(), torch.tensor([0.2, 0.6, 0.2]))  # never seen counts as once


def test_binary_weights():
    assert binary_weights(0.05, 0.95).tolist() == pytest.approx([0.05] + 8 * [0.95])


@pytest.mark.parametrize("counts", [[0, 0], [-1, 2], [float("nan"), 1], [[1, 2]], []])
def test_counts_that_are_none_are_refused(counts):
    for function in (class_weights, log_priors):
        with pytest.raises(FootpassError, match="class counts"):
            function(counts)


def test_unknown_weighting_and_beta_are_refused():
    with pytest.raises(FootpassError, match="expected one of none, sqrt"):
        class_weights([1, 2], "log")
    with pytest.raises(FootpassError, match=r"beta=1\.0"):
        class_weights([1, 2], "effective", beta=1.0)
