"""The rungs of the ablation: how they differ, and that they train and decode from the detectors' logits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from footpass_lib.events import metrics
from footpass_lib.models.weights import copy_weights
from footpass_lib.schema import FootpassError
from footpass_lib.study import paper, rungs
from footpass_lib.study.dst import differences, train_dst
from footpass_lib.study.matches import open_data, read_truth
from footpass_lib.study.profiles import PROFILES
from footpass_lib.training import apart


@pytest.mark.parametrize("profile", PROFILES)
def test_each_rung_differs_from_the_one_before_in_one_setting(profile):
    base, fused, weighted = (rungs.rung_plan(PROFILES[profile].dst, rung) for rung in rungs.RUNGS)
    assert base == PROFILES[profile].dst and base.loss.weighting == "none"
    assert differences(base, fused) == ["sources"] and fused.sources == ("taad", "gnn")
    assert differences(fused, weighted) == ["loss.weighting"] and weighted.loss.weighting == "sqrt"


def test_other_rungs_are_refused():
    with pytest.raises(FootpassError, match="unknown rung 'best' .* expected one of base, fused, weighted"):
        rungs.rung_plan(paper.DST, "best")


@pytest.mark.slow
def test_rungs_train_side_by_side_and_decode(tiny_study, tmp_path, monkeypatch):
    monkeypatch.setattr(apart, "_MANY_STEPS", 1)
    small = replace(tiny_study.profile.dst, train=replace(tiny_study.profile.dst.train, epochs=1, steps_per_epoch=2))
    study = replace(tiny_study, project=tmp_path, profile=replace(tiny_study.profile, dst=small))
    root = open_data(study, workers=1)
    logits = rungs.detector_logits(study, root, ("train", "val", "test"))
    assert {source: sorted(files) for source, files in logits.items()} == {
        "taad": ["test", "train", "val"], "gnn": ["test", "train", "val"]
    }  # fmt: skip
    trained = rungs.train_rung(study, root, "fused", (0, 1), logits)
    plan = rungs.rung_plan(small, "fused")
    before, threads = {p: p.stat().st_mtime_ns for p in study.models.rglob("*.safetensors")}, torch.get_num_threads()
    torch.set_num_threads(1)
    alone, _ = train_dst(replace(study, project=tmp_path / "alone"), root, plan, logits, 1, "dst-fused")
    torch.set_num_threads(threads)
    kept, same = (copy_weights(model) for model in (trained[1][0], alone))
    assert all(torch.equal(kept[name], same[name]) for name in kept)
    assert not all(torch.equal(kept[name], value) for name, value in copy_weights(trained[0][0]).items())
    monkeypatch.setattr(apart, "side_by_side", None)  # no process is started for models that are there
    again = copy_weights(rungs.train_rung(study, root, "fused", (0, 1), logits)[1][0])
    assert all(torch.equal(kept[name], again[name]) for name in kept)
    events = rungs.rung_events(study, root, "fused", 1, "test", logits)
    assert before == {p: p.stat().st_mtime_ns for p in study.models.rglob("*.safetensors")}  # nothing trained again
    assert events.halves == root.halves("test")
    assert np.isfinite(metrics.evaluate(events, read_truth(root, "test")).macro_f1)
