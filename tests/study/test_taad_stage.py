"""The detector's stage: clips by phase, detectors of several seeds, and what the card of its first weights says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from footpass_lib.files import write_json
from footpass_lib.models.taad import TAAD
from footpass_lib.study.matches import open_data
from footpass_lib.study.pretrained import publish_weights, weights_table
from footpass_lib.study.taad import train_taad, train_taads, training_clips
from footpass_lib.training import apart


def test_clips_of_an_epoch_without_a_detector_are_drawn_evenly(tiny_study):
    root, (phase,) = open_data(tiny_study, workers=1), tiny_study.profile.taad.phases
    clips = training_clips(tiny_study, root, phase, seed=1)
    epoch, settings = clips.of_epoch(1), phase.clips
    assert len(epoch) == settings.n_clips and {half.path.stem for half in epoch.halves} < set(root.halves("train"))
    events = [bool(epoch[i]["labels"].max() > 0) for i in range(len(epoch))]
    assert events[: settings.events] == [True] * settings.events
    judged = clips.of_epoch(1, TAAD(tiny_study.profile.taad.model, seed=0))
    np.testing.assert_array_equal(epoch.clips[: settings.events], judged.clips[: settings.events])
    assert not np.array_equal(epoch.clips, judged.clips)


@pytest.mark.slow
def test_detectors_are_trained_side_by_side_with_and_without_first_weights(tiny_study, tmp_path, monkeypatch):
    monkeypatch.setattr(apart, "_MANY_STEPS", 1)
    study, root = replace(tiny_study, project=tmp_path, pretrained=tmp_path / "weights"), open_data(tiny_study)
    publish_weights(TAAD(study.profile.taad.model, seed=7), study.pretrained / "taad.safetensors")
    trained = train_taads(study, root, (0, 1), scratch=(0,))
    scratch = replace(study, pretrained=None)
    before = {path: path.stat().st_mtime_ns for path in study.models.rglob("*") if path.is_file()}
    models = [model for model, _ in (trained[0], trained[1], train_taad(scratch, root, 0))]
    assert before == {path: path.stat().st_mtime_ns for path in study.models.rglob("*") if path.is_file()}
    weights = [torch.cat([p.detach().flatten() for p in model.parameters()]) for model in models]
    assert torch.dist(weights[0], weights[1]) < torch.dist(weights[0], weights[2])
    assert len(train_taads(scratch, root, (0,), scratch=(0,))) == 1  # one run, and not two into one folder


def test_the_card_of_first_weights_as_a_table(tiny_study, tmp_path):
    assert len(weights_table(tiny_study)) == 0
    study = replace(tiny_study, pretrained=tmp_path)
    assert len(weights_table(study)) == 0
    made = {"sha256": "ab" * 32, "bytes": 500, "steps": 70, "training_minutes": 1.5}
    minutes = {"filmed": 480, "whole": 60, "played": 600}
    write_json(tmp_path / "card.json", {"minutes": minutes, "models": {"taad": made, "dst-fused": made}})
    table = weights_table(study)
    assert table.loc["taad"].tolist() == [480, 70, 1.5, 500, "abababababab"]
    assert table["minutes of play"].tolist() == [480, 600]
