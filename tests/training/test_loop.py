from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook
from train_worker import SETTINGS, Net, Points, masked_loss, run, same

from footpass_lib.schema import FootpassError
from footpass_lib.training.schedule import TrainSettings, epoch_plan, parameter_groups

pytestmark = pytest.mark.usefixtures("on_cpu")

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


def whole_loss(model, batch):
    losses = F.cross_entropy(model(batch["x"]), batch["y"], reduction="none")
    return losses.sum(), losses.new_tensor(float(len(losses)))


def whole_mean(model, batch):
    total, weight = whole_loss(model, batch)
    return total / weight


def masked_mean(model, batch):
    total, weight = masked_loss(model, batch)
    return total / weight


def test_equals_a_plain_loop_bit_for_bit():
    result = run(PLAIN, model=Net(dropout=0.0), loss_fn=whole_loss, validate=None)
    expected = by_hand(Net(dropout=0.0), PLAIN, whole_mean)
    assert all(torch.equal(v, expected.state_dict()[n]) for n, v in result.model.state_dict().items())


@pytest.mark.parametrize("loss_fn", [masked_loss, whole_loss])
def test_accumulation_equals_one_big_batch(loss_fn):
    """Masks of unequal weight and a smaller last batch: a mean of the batches' means would be another gradient."""
    reference = masked_mean if loss_fn is masked_loss else whole_mean
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


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_batch_that_sees_nothing_changes_nothing(accumulation):
    """As a step of its own, or as the first of two forward passes: training is that on the other batch alone."""
    settings, dataset = replace(PLAIN, epochs=1, batch_size=4), Points(1, 8)
    (blind,), (other,) = epoch_plan(8, settings, 1)

    def loss(model, batch):
        total, weight = whole_loss(model, batch)
        return (total * 0, weight * 0) if blind[0] in batch["i"] else (total, weight)

    twice = replace(settings, accumulation=accumulation)
    result = run(twice, epoch_dataset=lambda _: dataset, loss_fn=loss, model=Net("layer", dropout=0.0), validate=None)
    alone = Net("layer", dropout=0.0)
    optimizer = torch.optim.AdamW(parameter_groups(alone, settings), fused=True)
    whole_mean(alone, torch.utils.data.default_collate([dataset[i] for i in other])).backward()
    optimizer.step()
    for a, b in zip(result.model.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0 if accumulation == 1 else 1e-6)


def test_an_epoch_that_sees_nothing():
    with pytest.raises(FootpassError, match="no batch of epoch 1"):
        run(PLAIN, loss_fn=lambda m, b: tuple(value * 0 for value in masked_loss(m, b)), validate=None)


@pytest.fixture()
def steps() -> Iterator[list[dict[str, float]]]:
    """Every optimizer step: rates of the groups and the norm of all gradients."""
    noted = []

    def note(optimizer, *_):
        gradients = [p.grad.reshape(-1) for g in optimizer.param_groups for p in g["params"] if p.grad is not None]
        noted.append(
            {"norm": torch.cat(gradients).norm().item()} | {g["name"]: g["lr"] for g in optimizer.param_groups}
        )

    handle = register_optimizer_step_pre_hook(note)
    yield noted
    handle.remove()


def test_clipping_limits_the_gradient(steps):
    def norm(clip: float | None) -> float:
        run(replace(PLAIN, clip_norm=clip), model=Net("layer", dropout=0.0), validate=None)
        return steps[-10]["norm"]  # before the first of ten steps, two epochs of five

    free = norm(None)
    assert free > 0.01
    assert norm(0.01) == pytest.approx(0.01, rel=1e-3)
    assert norm(10 * free) == pytest.approx(free, rel=1e-6)


def test_rates_step_by_step(steps):
    """Three epochs of three steps: warm-up over four steps, a milestone at epoch 3."""
    run()
    factors = [0.25, 0.5, 0.75, 1, 1, 1, 0.1, 0.1, 0.1]
    assert [step["head"] for step in steps] == pytest.approx([2e-2 * f for f in factors])
    assert [step["backbone"] for step in steps] == pytest.approx([5e-3 * f for f in factors])


def test_a_cpu_computes_in_bf16_if_it_can(monkeypatch):
    mixed = replace(SETTINGS, mixed_precision="bf16")
    for there in (False, True):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda there=there: {"avx2": True, "avx512_bf16": there})
        assert same(run(mixed), run()) == (not there)


def test_loss_that_is_no_number():
    with pytest.raises(FootpassError, match="epoch 1, step 1: the loss is nan"):
        run(loss_fn=lambda m, b: (masked_loss(m, b)[0] * float("nan"), torch.ones(())))
