from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from train_worker import Net

from footpass_lib.schema import FootpassError
from footpass_lib.study import paper
from footpass_lib.training.schedule import TrainSettings, epoch_plan, parameter_groups, rate_factor

DETECTOR = TrainSettings(
    epochs=20, batch_size=6, learning_rates={"backbone": 5e-5, "head": 1e-3}, warmup_steps=50, milestones=(10, 20)
)
DECODER = TrainSettings(
    epochs=10, batch_size=96, warmup_steps=1000, milestones=(3, 6, 8), learning_rates={"head": 2.5e-4}
)


@pytest.mark.parametrize(
    ("settings", "epoch", "step", "expected"),
    [
        (DETECTOR, 1, 0, 1 / 50),
        (DETECTOR, 1, 24, 0.5),
        (DETECTOR, 1, 49, 1.0),
        (DETECTOR, 9, 4000, 1.0),
        (DETECTOR, 10, 4001, 0.1),
        (DETECTOR, 19, 9000, 0.1),
        (DETECTOR, 20, 9500, 0.01),
        (DECODER, 1, 99, 0.1),
        (DECODER, 2, 999, 1.0),
        (DECODER, 3, 499, 0.05),  # a milestone inside the warm-up
        (DECODER, 7, 9000, 0.01),
        (DECODER, 8, 9000, 0.001),
        (replace(DECODER, warmup_steps=0), 1, 0, 1.0),
        # as in the official code, without accumulation
        (replace(DETECTOR, official_warmup=True), 1, 24, 0.5),
        (replace(DETECTOR, official_warmup=True), 9, 4000, 1.0),
        (replace(DECODER, warmup_steps=0, official_warmup=True), 1, 0, 1.0),
    ],
)
def test_rate_factor(settings, epoch, step, expected):
    assert rate_factor(settings, epoch, step) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("plan", "share"), [(paper.TAAD.phases[0].train, 0.14), (paper.GNN.train, 0.12)])
def test_the_official_warm_up_stops_at_a_part_of_the_rate(plan, share):
    official, number, rises = replace(plan, official_warmup=True), 0, 0
    for step in range(300):  # the loop of the official code: passes are counted, the scheduler steps with the optimizer
        assert rate_factor(official, 1, step) == pytest.approx((rises + 1) / 50)
        number += plan.accumulation
        rises += number - 1 <= plan.warmup_steps  # the number, from 0, of the step's last pass
    assert rate_factor(official, 9, 500) == pytest.approx(share)
    assert rate_factor(official, 10, 800) == pytest.approx(share / 10)
    assert rate_factor(plan, 9, 500) == 1 and not plan.official_warmup


def test_parameter_groups_of_a_model_with_backbone():
    model = Net()
    groups = {(g["name"], g["weight_decay"]): {id(p) for p in g["params"]} for g in parameter_groups(model, DETECTOR)}
    linear, norm, _ = model.backbone
    head = model.head[1]
    assert groups == {
        ("backbone", 1e-4): {id(linear.weight)},
        ("backbone", 0.0): {id(linear.bias), id(norm.weight), id(norm.bias)},
        ("head", 1e-4): {id(head.weight)},
        ("head", 0.0): {id(head.bias)},
    }
    assert {g["name"]: g["rate"] for g in parameter_groups(model, DETECTOR)} == {"backbone": 5e-5, "head": 1e-3}


def test_parameter_groups_take_every_parameter_once():
    model = nn.Sequential(nn.GRU(4, 3, bidirectional=True), nn.MultiheadAttention(6, 2), nn.LayerNorm(6))
    groups = parameter_groups(model, DECODER)
    grouped = [id(p) for g in groups for p in g["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    assert {g["name"] for g in groups} == {"head"}
    undecayed = {id(p) for g in groups if g["weight_decay"] == 0 for p in g["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in undecayed}
    assert {"0.bias_ih_l0", "0.bias_hh_l0_reverse", "1.in_proj_bias", "1.out_proj.bias", "2.weight", "2.bias"} <= names
    assert not names & {"0.weight_ih_l0", "0.weight_hh_l0_reverse", "1.in_proj_weight", "1.out_proj.weight"}


def test_backbone_without_a_rate():
    with pytest.raises(FootpassError, match="Net has a backbone"):
        parameter_groups(Net(), DECODER)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": -1}, "batch_size=-1"),
        ({"steps_per_epoch": 0}, "steps_per_epoch=0"),
        ({"warmup_steps": -1}, "warmup_steps=-1"),
        ({"mixed_precision": "fp16"}, "expected one of no, bf16"),
        ({"learning_rates": {"backbone": 1e-3}}, "expected head"),
        ({"learning_rates": {"head": 1e-3, "neck": 1e-3}}, "neck"),
    ],
)
def test_settings_out_of_range(change, message):
    with pytest.raises(FootpassError, match=message):
        replace(DETECTOR, **change)


@given(
    n=st.integers(1, 60),
    batch_size=st.integers(1, 9),
    accumulation=st.integers(1, 4),
    epoch=st.integers(1, 5),
)
def test_a_pass_uses_every_sample_once(n, batch_size, accumulation, epoch):
    settings = replace(DETECTOR, batch_size=batch_size, accumulation=accumulation)
    plan = epoch_plan(n, settings, epoch)
    sizes = [len(batch) for step in plan for batch in step]
    assert sorted(np.concatenate([b for step in plan for b in step])) == list(range(n))
    assert all(size == batch_size for size in sizes[:-1]) and 1 <= sizes[-1] <= batch_size
    assert all(len(step) == accumulation for step in plan[:-1]) and 1 <= len(plan[-1]) <= accumulation


@given(n=st.integers(1, 40), steps=st.integers(1, 6))
def test_a_number_of_steps_repeats_or_shortens_the_pass(n, steps):
    settings = replace(DETECTOR, batch_size=3, accumulation=2, steps_per_epoch=steps)
    plan = epoch_plan(n, settings, 1)
    assert [[len(b) for b in step] for step in plan] == [[3, 3]] * steps
    used = Counter(np.concatenate([b for step in plan for b in step]).tolist())
    assert max(used.values()) - min(used.get(i, 0) for i in range(n)) <= 1


def test_order_is_that_of_seed_and_epoch():
    def order(seed: int, epoch: int) -> list[int]:
        plan = epoch_plan(100, replace(DETECTOR, seed=seed), epoch)
        return np.concatenate([b for step in plan for b in step]).tolist()

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)
    assert order(0, 1) != list(range(100))
