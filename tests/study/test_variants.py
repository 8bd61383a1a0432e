"""Plans of variants: how they differ from those that they are made of, and that their networks can be built."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from footpass_lib.models.context import ContextSettings
from footpass_lib.models.dst_settings import ORDERS, PlayerSizes
from footpass_lib.models.pointer_dst import build_dst
from footpass_lib.models.taad import TAAD
from footpass_lib.spotting.detector import half_logits, half_logits_and_features
from footpass_lib.study import dst, paper
from footpass_lib.study.matches import open_data
from footpass_lib.study.profiles import PROFILES
from footpass_lib.study.variants import NODES, attention_plan, context_plan, node_plans, official_rates

profiles = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


@profiles
@pytest.mark.parametrize("context", ["dilated", "transformer"])
def test_a_head_with_context(profile, context):
    plan = context_plan(profile.taad, context)
    frames = max(phase.clips.frames for phase in plan.phases)
    assert plan.phases == profile.taad.phases and plan.inference.window == frames
    back = replace(plan.model, context="none", context_sizes=ContextSettings())
    assert back == profile.taad.model and plan.model.context == context
    model = TAAD(replace(plan.model, encoder=replace(plan.model.encoder, checkpointing=False))).eval()
    with torch.no_grad():
        features = torch.zeros(1, 26, frames, model.encoder.channels)
        assert model.classify(features, torch.ones(1, 26, frames)).shape == (1, 9, 26, frames)


def test_the_paper_s_plan_has_pave_s_sizes():
    plan = context_plan(paper.TAAD, "transformer")
    assert plan.model.context_sizes == ContextSettings() and plan.inference == paper.TAAD.inference
    assert attention_plan(paper.DST, "spatial-first").model.player_sizes == PlayerSizes()


@pytest.mark.parametrize("context", ["dilated", "transformer"])
def test_a_detector_with_context_runs_over_a_half(tiny_study, context):
    root = open_data(tiny_study, workers=1)
    plan = context_plan(tiny_study.profile.taad, context)
    model, name = TAAD(plan.model, seed=0), root.halves("val")[0]
    way = replace(plan.inference, stride=plan.inference.window)  # so that a frame is seen in one window alone
    logits, features, seen = half_logits_and_features(model, root, name, way)
    assert np.array_equal(logits, half_logits(model, root, name, way))
    assert seen.any() and not seen.all() and len(np.unique(logits[1:, seen])) > 100
    part = slice(way.window, 2 * way.window)  # the second window
    inputs = torch.from_numpy(features[None, :, part].astype(np.float32)), torch.from_numpy(seen[None, :, part])
    with torch.no_grad():
        alone = model.eval().classify(*inputs)
    np.testing.assert_allclose(alone[0].numpy()[:, seen[:, part]], logits[:, :, part][:, seen[:, part]], atol=0.05)


@profiles
@pytest.mark.parametrize("order", ORDERS[1:])
def test_attention_of_players(profile, order):
    plan = attention_plan(profile.dst, order)
    changed = set(dst.differences(profile.dst, plan))
    assert "model.player_attention" in changed
    assert changed <= {"model.player_attention", "model.player_sizes.width"}
    if profile.name != "full":
        model = build_dst(plan.network).eval()
        width = plan.network.windows.token_width()
        with torch.no_grad():
            states = model.encode(torch.zeros(1, 50, width), torch.tensor([250])).states
        assert states.shape == (1, 50, plan.network.width) and states.isfinite().all()


@profiles
def test_nodes_that_know_more(profile):
    plans = node_plans(profile.gnn)
    assert tuple(plans) == NODES and plans[NODES[0]] == profile.gnn
    assert [plan.model.node - profile.gnn.model.node for plan in plans.values()] == [0, 13, 14]
    for plan in plans.values():
        assert replace(plan, model=replace(plan.model, role=False, jersey=False)) == profile.gnn


def test_the_official_code_s_rates():
    for plan in (paper.TAAD, paper.GNN):
        official = official_rates(plan)
        flat, other = (asdict(each) for each in (plan, official))
        assert flat != other and official == official_rates(official)
        trains = [p.train for p in getattr(official, "phases", [official])]
        assert all(train.official_warmup for train in trains)
        assert replace(trains[0], official_warmup=False) == getattr(plan, "phases", [plan])[0].train
