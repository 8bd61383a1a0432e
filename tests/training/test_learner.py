from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from accelerate import PartialState
from torch import nn
from train_worker import SETTINGS, Net, Points, masked_loss, run, same

from footpass_lib.models.weights import copy_weights
from footpass_lib.schema import FootpassError
from footpass_lib.training.fit import Learner
from footpass_lib.training.schedule import TrainSettings, epoch_plan

PLAIN = TrainSettings(
    epochs=2,
    batch_size=5,
    accumulation=1,
    learning_rates={"backbone": 1e-2, "head": 1e-2},
    warmup_steps=0,
    milestones=(),
)


def by_hand(model: nn.Module, settings: TrainSettings, mean_loss) -> nn.Module:
    """A training loop as one would write it, one step per batch of the plan's steps."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rates["head"], fused=True)
    model.train()
    for epoch in range(1, settings.epochs + 1):
        dataset = Points(epoch)
        for step in epoch_plan(len(dataset), settings, epoch):
            batch = torch.utils.data.default_collate([dataset[i] for i in np.concatenate(step)])
            optimizer.zero_grad()
            mean_loss(model, batch).backward()
            optimizer.step()
    return model.eval()


def mean_loss(model, batch):
    return F.cross_entropy(model(batch["x"]), batch["y"])


def masked_mean(model, batch):
    total, weight = masked_loss(model, batch)
    return total / weight


def test_equals_a_plain_loop_bit_for_bit():
    result = run(PLAIN, model=Net(dropout=0.0), loss_fn=mean_loss, validate=None)
    expected = by_hand(Net(dropout=0.0), PLAIN, mean_loss)
    assert all(torch.equal(v, expected.state_dict()[n]) for n, v in result.model.state_dict().items())


@pytest.mark.parametrize("loss_fn", [masked_loss, mean_loss])
def test_accumulation_equals_one_big_batch(loss_fn):
    """Masks of unequal weight and a smaller last batch: a mean of the batches' means would be another gradient."""
    reference = masked_mean if loss_fn is masked_loss else mean_loss
    settings = replace(PLAIN, batch_size=3, accumulation=4)  # 23 samples: steps of 12 and 11, a last batch of 2
    result = run(settings, model=Net("layer", dropout=0.0), loss_fn=loss_fn, validate=None)
    expected = by_hand(Net("layer", dropout=0.0), settings, reference)
    for name, value in result.model.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], rtol=0, atol=2e-6)


def test_train_loss_is_the_mean_over_the_epoch():
    """With a rate of 0 the model stays, and the epoch's loss is that of all its samples at once."""
    settings = replace(PLAIN, epochs=1, learning_rates={"backbone": 0.0, "head": 0.0}, batch_size=4, accumulation=2)
    model = Net("layer", dropout=0.0)
    dataset = Points(1)
    everything = torch.utils.data.default_collate([dataset[i] for i in range(len(dataset))])
    expected = masked_mean(model, everything).item()
    assert run(settings, model=model, validate=None).history["train_loss"][0] == pytest.approx(expected, rel=1e-6)


def test_a_step_that_sees_nothing_changes_nothing():
    learner = make_learner(PLAIN)
    blind = batch_of(4) | {"mask": torch.zeros(4, dtype=torch.bool)}
    before = copy_weights(learner.model)
    assert learner.step(iter([(0, blind, 4), (1, blind, 4)]), 1, 0) == (0.0, 0.0)
    assert all(torch.equal(v, before[n]) for n, v in learner.model.state_dict().items())

    # a first forward pass without weight does not spoil those that have one
    mixed, alone = make_learner(PLAIN), make_learner(PLAIN)
    assert mixed.step(iter([(0, blind, 4), (1, batch_of(9), 9)]), 1, 0) == alone.step(iter([(1, batch_of(9), 9)]), 1, 0)
    for a, b in zip(mixed.model.parameters(), alone.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def test_an_epoch_that_sees_nothing():
    with pytest.raises(FootpassError, match="no batch of epoch 1"):
        run(PLAIN, loss_fn=lambda m, b: (masked_loss(m, b)[0] * 0, 0), validate=None)


def test_clipping_limits_the_gradient():
    """Adam's steps hide the size of a gradient; its moments do not."""

    def moments(clip: float | None) -> float:
        settings = replace(PLAIN, clip_norm=clip)
        learner = make_learner(settings)
        learner.step(iter([(0, batch_of(8), 8)]), 1, 0)
        # the first moment after one step is (1 - beta1) * gradient
        return torch.cat([s["exp_avg"].reshape(-1) for s in learner.optimizer.state.values()]).norm().item() / 0.1

    free = moments(None)
    assert free > 0.01
    assert moments(0.01) == pytest.approx(0.01, rel=1e-3)
    assert moments(10 * free) == pytest.approx(free, rel=1e-6)


def make_learner(settings: TrainSettings) -> Learner:
    model = Net("layer", dropout=0.0).train()
    return Learner.make(model, masked_loss, settings, torch.device("cpu"), PartialState(cpu=True))


def batch_of(n: int) -> dict[str, torch.Tensor]:
    return torch.utils.data.default_collate([Points(1)[i] for i in range(n)])


def test_loss_scaling_of_half_precision():
    """The scaler, which only GPUs switch on, changes neither loss nor gradient, and skips a step that overflows."""
    passes = [(0, batch_of(8), 8), (1, batch_of(5), 5)]
    plain, scaled = make_learner(PLAIN), make_learner(PLAIN)
    scaled.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    assert scaled.step(iter(passes), 1, 0) == plain.step(iter(passes), 1, 0)
    for a, b in zip(scaled.model.parameters(), plain.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)

    before = copy_weights(scaled.model)
    scaled.loss_fn = lambda m, b: (masked_loss(m, b)[0] * float("inf"), 1)
    assert scaled.step(iter(passes), 1, 1) == (0.0, 0.0)
    assert all(torch.equal(v, before[n]) for n, v in scaled.model.state_dict().items())
    assert scaled.scaler.get_scale() == 512.0


def test_rates_step_by_step():
    """Three epochs of three steps: warm-up over four steps, a milestone at epoch 3."""
    learner = make_learner(SETTINGS)
    rates = []
    for step in range(9):
        learner.step(iter([(0, batch_of(4), 4)]), epoch=1 + step // 3, step=step)
        rates.append({g["name"]: g["lr"] for g in learner.optimizer.param_groups})
    factors = [0.25, 0.5, 0.75, 1, 1, 1, 0.1, 0.1, 0.1]
    assert [r["head"] for r in rates] == pytest.approx([2e-2 * f for f in factors])
    assert [r["backbone"] for r in rates] == pytest.approx([5e-3 * f for f in factors])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_cpu_computes_in_bf16_if_it_can_and_never_in_fp16(monkeypatch, precision):
    mixed = replace(SETTINGS, mixed_precision=precision)
    for there in (False, True):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda there=there: {"avx2": True, "avx512_bf16": there})
        assert same(run(mixed), run()) == (precision == "fp16" or not there)


def test_loss_that_is_no_number():
    with pytest.raises(FootpassError, match="epoch 1, step 1: the loss is nan"):
        run(loss_fn=lambda m, b: masked_loss(m, b)[0] * float("nan"))
