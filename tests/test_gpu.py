"""On a GPU: the models say what they say on a CPU, and every stage trains. Only with ``FOOTPASS_GPU_TESTS=1``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.models.gnn import GNNSettings
from footpass_lib.spotting import detector
from footpass_lib.spotting.detector import half_logits
from footpass_lib.spotting.stitching import decode_half
from footpass_lib.study import dst, gnn, rungs, taad
from footpass_lib.study.matches import open_data
from footpass_lib.study.place import Study

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU, and FOOTPASS_GPU_TESTS=1")


@pytest.fixture(scope="module")
def study(tiny_study: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return replace(tiny_study, project=tmp_path_factory.mktemp("gpu"))


@pytest.fixture(scope="module")
def root(study: Study) -> DataRoot:
    return open_data(study, workers=1)


@pytest.fixture(scope="module")
def logits(study: Study, root: DataRoot) -> dst.LogitsFiles:
    """Of detectors that are trained on the GPU."""
    return rungs.detector_logits(study, root, ("train", "val", "test"))


def near(gpu: np.ndarray, cpu: np.ndarray) -> bool:
    """Whether logits that are kept in half precision differ by its rounding and little more."""
    return bool(np.abs(gpu.astype(np.float32) - cpu).max() < 0.02) and bool(np.abs(cpu).max() > 1)


def test_the_detector_says_the_same(study, root, logits):
    model, _ = taad.train_taad(study, root, study.seed)
    assert next(model.parameters()).is_cuda
    half, settings = root.halves("test")[0], replace(study.profile.taad.inference, precision="no")
    on_gpu = half_logits(model, root, half, settings)
    assert near(on_gpu, half_logits(model.cpu(), root, half, settings))


def test_the_graph_network_says_the_same(study, root, logits):
    features = taad.features_folder(study, f"taad-seed{study.seed}")
    model, _ = gnn.train_gnn(study, root, study.seed, features)
    assert next(model.parameters()).is_cuda
    half, settings = root.halves("test")[0], study.profile.gnn.inference
    on_gpu = detector.feature_logits(model, root.half(half), settings, features)
    assert near(on_gpu, detector.feature_logits(model.cpu(), root.half(half), settings, features))


@pytest.mark.parametrize("rung", rungs.RUNGS)
def test_the_sequence_model_writes_the_same_events(study, root, logits, rung):
    plan = rungs.rung_plan(study.profile.dst, rung)
    plan = replace(plan, decode=replace(plan.decode, score="action"))
    ((model, history),) = rungs.train_side_by_side(study, root, [(plan, study.seed, f"dst-{rung}")], logits)
    assert next(model.parameters()).is_cuda and np.isfinite(history["val_loss"]).all()
    halves = dst.load_halves(root, "train", plan.sources, logits)
    on_gpu = [decode_half(model, half, root.half(half.half), plan.decode).table for half in halves]
    model.cpu()
    for half, found in zip(halves, on_gpu, strict=True):
        expected = decode_half(model, half, root.half(half.half), plan.decode).table
        assert found.drop(columns="score").equals(expected.drop(columns="score"))
        np.testing.assert_allclose(found["score"], expected["score"], atol=1e-3)


@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_detectors_train_in_every_precision(study, root, precision, checkpointing):
    plan = study.profile.taad
    encoder = replace(plan.model.encoder, checkpointing=checkpointing)
    phases = tuple(
        replace(p, train=replace(p.train, epochs=1, milestones=(), mixed_precision=precision)) for p in plan.phases
    )
    _, history = taad.train_taad(
        study, root, 1, replace(plan, model=replace(plan.model, encoder=encoder), phases=phases)
    )
    assert np.isfinite(history[["train_loss", "val_loss"]]).all(axis=None)
    plan = study.profile.gnn
    clips = replace(plan.clips, frames=8, event_offset=(2, 5), per_class=1, background=1)
    train = replace(plan.train, epochs=1, steps_per_epoch=2, mixed_precision=precision)
    own = replace(plan, model=GNNSettings(**vars(plan.model), encoder=encoder), clips=clips, train=train)
    _, history = gnn.train_gnn(study, root, 1, plan=own)
    assert np.isfinite(history[["train_loss", "val_loss"]]).all(axis=None)
