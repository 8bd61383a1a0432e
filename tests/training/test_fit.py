from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from train_worker import SETTINGS, Net, Points, error_rate, masked_loss, run, same

from footpass_lib.models.weights import copy_weights
from footpass_lib.schema import FootpassError

pytestmark = pytest.mark.usefixtures("on_cpu")

# schedule


def test_history_tells_steps_rates_and_metrics():
    history = run().history
    assert list(history.columns) == ["epoch", "step", "lr_backbone", "lr_head", "train_loss", "val_loss", "seconds"]
    assert history["epoch"].tolist() == [1, 2, 3] and history["step"].tolist() == [3, 6, 9]
    assert history["lr_head"].tolist() == pytest.approx([0.015, 0.02, 0.002])
    assert (history["seconds"] > 0).all()


def test_frozen_epochs_leave_the_backbone_and_its_statistics():
    first = copy_weights(Net())
    seen = {}

    def watch(model):
        seen[len(seen) + 1] = copy_weights(model)
        return error_rate(model)

    run(replace(SETTINGS, epochs=3, frozen_epochs=2), validate=watch)
    backbone = [n for n in first if n.startswith("backbone")]
    assert "backbone.1.running_mean" in backbone
    for epoch in (1, 2):
        assert all(torch.equal(seen[epoch][n], first[n]) for n in backbone)
        assert not torch.equal(seen[epoch]["head.1.weight"], first["head.1.weight"])
    assert not any(torch.equal(seen[3][n], first[n]) for n in backbone)


def test_freezing_needs_a_method():
    with pytest.raises(FootpassError, match="Linear has no freeze"):
        run(model=nn.Linear(6, 3))


def test_every_epoch_has_its_own_loss_and_data():
    log = []

    def epoch_loss(epoch):
        def loss(model, batch):
            log.append(("loss", epoch))
            return masked_loss(model, batch)

        return loss

    settings = replace(SETTINGS, steps_per_epoch=1, accumulation=1)
    run(settings, epoch_loss=epoch_loss, epoch_dataset=lambda e: log.append(("data", e)) or Points(e))
    assert log == [(what, e) for e in (1, 2, 3) for what in ("data", "loss")]


def test_a_data_set_may_have_its_own_batches():
    class Ragged(Points):
        @staticmethod
        def collate(samples):
            return {"x": torch.stack([s["x"] for s in samples]), "y": [int(s["y"]) for s in samples]}

    def loss(model, batch):
        assert isinstance(batch["y"], list)
        logits = model(batch["x"])
        return logits.square().sum(), logits.new_tensor(float(len(logits)))

    assert run(epoch_dataset=Ragged, loss_fn=loss).steps == 9


# validation and the best epoch


def scripted(values: list[float]):
    """A validation with given results that keeps the weights it saw."""
    weights, left = [], iter(values)

    def validate(model):
        assert not model.training and not torch.is_grad_enabled()
        weights.append(copy_weights(model))
        return next(left)

    return validate, weights


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([0.3, 0.1, 0.2], 2),
        ([0.3, 0.3, 0.3], 1),
        ([np.nan, 0.3, np.nan], 2),
        ([np.nan, np.nan, np.nan], 1),
        ([0.2, -np.inf, 0.3], 1),  # not finite counts as not a number
    ],
)
@pytest.mark.parametrize("stored", [False, True])
def test_best_epoch(tmp_path, values, best, stored):
    validate, weights = scripted(values)
    result = run(folder=tmp_path if stored else None, validate=validate)
    assert result.best_epoch == best and not result.model.training
    assert all(torch.equal(v, weights[best - 1][n]) for n, v in result.model.state_dict().items())
    expected = [v if np.isfinite(v) else np.nan for v in values]
    np.testing.assert_array_equal(result.history["val_loss"], expected)
    if stored:
        assert same(run(folder=tmp_path, validate=validate), result)


def test_best_without_validation():
    result = run(validate=None)
    assert result.best_epoch == 3 and "val_loss" not in result.history


# repeating


def test_same_seed_same_bits_and_the_callers_draws_go_on():
    torch.manual_seed(3)
    expected = torch.rand(2)
    model = Net()
    torch.manual_seed(3)
    first = run(model=model)
    assert torch.equal(torch.rand(2), expected)
    assert same(first, run())
    assert not same(first, run(replace(SETTINGS, seed=8)))


def test_dropout_differs_between_passes():
    masks = []

    def loss(model, batch):
        masks.append(model.head[0](torch.ones(64)))
        return masked_loss(model, batch)

    run(loss_fn=loss)
    assert len({tuple(m.tolist()) for m in masks}) == len(masks) == 18


def test_workers_change_nothing():
    assert same(run(replace(SETTINGS, num_workers=2)), run())


def test_empty_data():
    with pytest.raises(FootpassError, match="data set of epoch 1 is empty"):
        run(epoch_dataset=lambda epoch: Points(epoch, 0))
