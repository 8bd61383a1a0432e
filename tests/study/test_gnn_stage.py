"""The graph network's stage: its clips, its training on kept features and on video, its logits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import default_collate

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.features import HalfFeatures, feature_path
from footpass_lib.data.logits import BACKGROUND_LOGIT, read_logits
from footpass_lib.models.gnn import TAADGNN, GNNSettings
from footpass_lib.models.taad import TAAD
from footpass_lib.samples.augment import Augmentation
from footpass_lib.samples.clips import TAADClips
from footpass_lib.samples.feature_clips import FeatureClips
from footpass_lib.samples.state import STATE, game_state, state_of
from footpass_lib.schema import FootpassError, mirror_slots
from footpass_lib.spotting.detector import feature_logits, gnn_logits
from footpass_lib.spotting.peaks import decode_split
from footpass_lib.spotting.split import infer_split
from footpass_lib.study import paper
from footpass_lib.study.gnn import detect_in_context, gamma_of, train_gnn, train_gnns
from footpass_lib.study.matches import open_data
from footpass_lib.study.place import Study
from footpass_lib.study.taad import train_taad
from footpass_lib.study.variants import node_plans
from footpass_lib.training import apart

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def root(tiny_study: Study) -> DataRoot:
    return open_data(tiny_study, workers=1)


@pytest.fixture(scope="module")
def features(tiny_study: Study, root: DataRoot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Features of an untrained detector over two splits."""
    folder = tmp_path_factory.mktemp("kept")
    plan = tiny_study.profile.taad
    model = TAAD(plan.model, seed=0)
    for split in ("train", "val"):
        infer_split(model, root, split, folder / f"preds_{split}.h5", plan.inference, features=folder / "features")
    return folder / "features"


def test_the_paper_s_schedule_of_gamma():
    assert [gamma_of(paper.GNN, epoch) for epoch in (1, 2, 3, 20)] == [1.0, 1.0, 1.25, 1.25]


def test_clips_of_features_are_cut_out_of_the_half(tiny_study: Study, root: DataRoot, features: Path):
    settings = tiny_study.profile.gnn.clips
    clips = FeatureClips(root, "train", features, settings, seed=5, epoch=2)
    again = FeatureClips(root, "train", features, settings, seed=5, epoch=2)
    assert clips.clips == again.clips != FeatureClips(root, "train", features, settings, seed=5, epoch=3).clips
    n_seen = root.index("train").events["has_box"].sum()
    assert len(clips) == n_seen + settings.background  # fewer events of every class than wanted: each once
    for i in (0, len(clips) // 2, len(clips) - 1):
        clip, (name, start) = clips[i], clips.clips[i]
        half, kept = root.half(name), HalfFeatures(feature_path(features, name))
        first = start - half.first_frame
        dense, seen = kept.read(first, first + settings.frames)
        np.testing.assert_array_equal(clip["features"].numpy(), dense)
        np.testing.assert_array_equal(clip["mask"].numpy(), seen)
        anchors = half.class_id[:, first : first + settings.frames]
        np.testing.assert_array_equal(clip["labels"].numpy()[anchors > 0], anchors[anchors > 0])
        assert clip["labels"].shape == anchors.shape and clip["present"].sum() >= clip["mask"].sum() > 0
    with pytest.raises(FootpassError, match=r"nowhere/game_\d_H1\.h5: cannot be read as player features"):
        FeatureClips(root, "train", features.parent / "nowhere", settings, seed=5, epoch=2)


def test_state_of_a_clip_is_that_of_the_half_and_its_mirror_that_of_the_mirrored_slots(tiny_study, root):
    settings = replace(tiny_study.profile.gnn.clips, augmentation=None, per_class=2, background=0)
    flipped = replace(settings, augmentation=Augmentation(flip=1.0, translation=0, rotation=0, scale=0))
    plain = TAADClips(root, "train", settings, seed=1, epoch=1)
    mirrored = TAADClips(root, "train", flipped, seed=1, epoch=1)
    for i in range(3):
        window, clip, mirror = plain.windows[i], plain[i], mirrored[i]
        assert (mirrored.windows[i].game, mirrored.windows[i].start) == (window.game, window.start)
        name = next(n for n in root.halves("train") if window.start in root.half(n).frames and f"_{window.game}_" in n)
        state, present = game_state(root.half(name), range(window.start, window.start + settings.frames))
        states = [state_of(c["slots"], c["position"], c["velocity"], c["jersey"]) for c in (clip, mirror)]
        np.testing.assert_array_equal(states[0], state)
        np.testing.assert_array_equal(clip["observed"] > 0, present)
        order = mirror_slots("x")
        column = {name: k for k, name in enumerate(STATE)}
        np.testing.assert_array_equal(states[1][..., column["shirt_number"]], state[order][..., column["shirt_number"]])
        np.testing.assert_array_equal(states[1][..., column["speed_x"]], -state[order][..., column["speed_x"]])
        np.testing.assert_array_equal(states[1][..., column["y"]], state[order][..., column["y"]])
        np.testing.assert_array_equal(states[1][..., column["role_id"]], state[..., column["role_id"]])
        np.testing.assert_array_equal(mirror["observed"] > 0, present[order])


def test_training_on_features_repeats_and_gives_logits_of_whole_halves(tiny_study, root, features, tmp_path):
    study = replace(tiny_study, project=tmp_path)
    model, history = train_gnn(study, root, 0, features)
    assert history["gamma"].tolist() == [1.0, 1.0, 1.25, 1.25, 1.25] and np.isfinite(history["val_loss"]).all()
    before = {path: path.stat().st_mtime_ns for path in study.models.rglob("*") if path.is_file()}
    again, _ = train_gnn(study, root, 0, features)  # kept: nothing is trained
    assert before == {path: path.stat().st_mtime_ns for path in study.models.rglob("*") if path.is_file()}
    fresh, _ = train_gnn(replace(tiny_study, project=tmp_path / "fresh"), root, 0, features)
    other, _ = train_gnn(study, root, 1, features)
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]) and torch.equal(value, fresh.state_dict()[name])
    assert any(not torch.equal(v, other.state_dict()[n]) for n, v in model.state_dict().items())

    out = detect_in_context(study, root, "val", model, "gnn-seed0", features)
    stamp, settings = out.stat().st_mtime_ns, study.profile.gnn.inference
    for name in root.halves("val"):
        half = root.half(name)
        logits = read_logits(out, name, half.frames)
        np.testing.assert_array_equal(logits, feature_logits(model, half, settings, features))
        seen = HalfFeatures(feature_path(features, name)).read(0, half.n_frames)[1]
        assert (logits[0][~seen] == BACKGROUND_LOGIT).all() and not logits[1:, ~seen].any()
        assert np.unique(logits[0][seen]).size > 100
    assert detect_in_context(study, root, "val", again, "gnn-seed0", features).stat().st_mtime_ns == stamp
    detect_in_context(study, root, "val", other, "gnn-seed0", features)
    assert out.stat().st_mtime_ns != stamp
    once, twice = decode_split(root, "val", out), decode_split(root, "val", out, out)  # the mean of equal ones
    assert once.halves == twice.halves == root.halves("val")
    pd.testing.assert_frame_equal(once.table, twice.table)
    some = root.limited("train", [1])
    part = detect_in_context(study, some, "train", other, "gnn-seed0", features)
    assert part.name == "preds_train-part.h5" and decode_split(some, "train", part).halves == some.halves("train")


def test_nodes_with_role_and_jersey_are_trained_on_features(tiny_study, root, features, tmp_path):
    short = replace(tiny_study.profile.gnn, train=replace(tiny_study.profile.gnn.train, epochs=1, steps_per_epoch=1))
    study, name = replace(tiny_study, project=tmp_path), root.halves("val")[0]
    plans = node_plans(short)
    networks = {title: train_gnns(study, root, (0,), features, plan)[0][0] for title, plan in plans.items()}
    assert len(list(study.models.glob("gnn-seed0-*/result.json"))) == 3  # each has its own folder
    widths = [network.edges[0].nn.in_features // 2 for network in networks.values()]
    assert widths == [16 + 5, 16 + 5 + 13, 16 + 5 + 13 + 1]
    for title, network in networks.items():
        logits = feature_logits(network, root.half(name), plans[title].inference, features)
        assert np.isfinite(logits.astype(np.float32)).all() and len(np.unique(logits)) > 100
    clip = FeatureClips(root, "val", features, short.clips, 0, 0)[0]
    other = {**clip, "state": clip["state"].clone()}
    other["state"][..., STATE.index("shirt_number")] += 50
    change = [
        (gnn_logits(network, default_collate([clip])) - gnn_logits(network, default_collate([other]))).abs().max()
        for network in networks.values()
    ]
    assert change[0] == change[1] == 0 and change[2] > 1e-4


@pytest.mark.slow
def test_seeds_trained_side_by_side_are_those_trained_alone(tiny_study, root, features, tmp_path, monkeypatch):
    monkeypatch.setattr(apart, "_MANY_STEPS", 1)
    study = replace(tiny_study, project=tmp_path)
    trained = train_gnns(study, root, (0, 1), features)
    alone, history = train_gnn(replace(tiny_study, project=tmp_path / "alone"), root, 1, features)
    assert trained[1][1]["val_loss"].tolist() == history["val_loss"].tolist()
    for name, value in alone.state_dict().items():
        assert torch.equal(value, trained[1][0].state_dict()[name])
    monkeypatch.setattr(apart, "side_by_side", None)  # no process is started for networks that are there
    again = train_gnns(study, root, (0, 1), features)
    assert again[0][1]["val_loss"].tolist() == trained[0][1]["val_loss"].tolist() != history["val_loss"].tolist()


def test_one_window_of_features_gives_the_network_s_own_logits(tiny_study, root, features, tmp_path):
    model, _ = train_gnn(replace(tiny_study, project=tmp_path), root, 0, features)
    name = root.halves("val")[0]
    half, settings = root.half(name), tiny_study.profile.gnn.inference
    whole = replace(settings, window=half.n_frames, stride=half.n_frames)
    found = feature_logits(model, half, whole, features)
    dense, seen = HalfFeatures(feature_path(features, name)).read(0, half.n_frames)
    state, present = game_state(half, half.frames)
    with torch.inference_mode():
        expected = model(torch.from_numpy(dense)[None], state[None], present[None])[0].numpy()
    np.testing.assert_allclose(found[:, seen].astype(np.float32), expected[:, seen], rtol=2e-3, atol=2e-3)


def test_an_own_encoder_is_trained_on_video(tiny_study, root, tmp_path):
    plan = tiny_study.profile.gnn
    small = GNNSettings(**vars(plan.model), encoder=tiny_study.profile.taad.model.encoder)
    plan = replace(
        plan,
        model=small,
        clips=replace(plan.clips, frames=8, event_offset=(2, 5), per_class=1, background=1),
        train=replace(plan.train, epochs=1, steps_per_epoch=1, batch_size=2, accumulation=2),
        validation_clips=2,
        inference=replace(plan.inference, window=40, stride=40),
    )
    study = replace(tiny_study, project=tmp_path, profile=replace(tiny_study.profile, gnn=plan))
    with pytest.raises(FootpassError, match="GNN: GNNSettings with features=somewhere"):
        train_gnn(study, root, 0, "somewhere")
    model, history = train_gnn(study, root, 0)
    assert isinstance(model, TAADGNN) and np.isfinite(history["train_loss"]).all()
    untrained = TAADGNN(small, seed=0)
    assert any(not torch.equal(a, b) for a, b in zip(model.parameters(), untrained.parameters(), strict=True))
    batch = default_collate([TAADClips(root, "val", replace(plan.clips, augmentation=None), 0, 0)[0]])
    assert gnn_logits(model, batch).shape == (1, 9, 26, 8)
    out = detect_in_context(study, root, "val", model, "gnn-video")
    assert all(np.isfinite(read_logits(out, name)).all() for name in root.halves("val"))


def test_the_detector_is_trained_in_phases_and_kept(tiny_study, root, tmp_path):
    study = replace(tiny_study, project=tmp_path)
    (phase,) = study.profile.taad.phases
    plan = replace(study.profile.taad, phases=(phase, phase))
    model, history = train_taad(study, root, 0, plan)
    assert sorted(set(history["phase"])) == [1, 2] and np.isfinite(history["val_loss"]).all()
    before = {path: path.stat().st_mtime_ns for path in study.models.rglob("*") if path.is_file()}
    again, _ = train_taad(study, root, 0, plan)
    assert before == {path: path.stat().st_mtime_ns for path in study.models.rglob("*") if path.is_file()}
    assert all(torch.equal(v, again.state_dict()[n]) for n, v in model.state_dict().items())
    train_taad(study, root, 0, replace(plan, phases=(phase, replace(phase, background=0.4))))
    new = {path.parent.name for path in study.models.rglob("result.json")} - {path.parent.name for path in before}
    assert len(new) == 1 and "phase2" in new.pop()  # the first phase is shared
