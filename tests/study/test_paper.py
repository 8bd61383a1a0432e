"""Every number of the two papers, written down by hand a second time, in the order of sections 4 to 8."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from footpass_lib.events import metrics
from footpass_lib.events.playbyplay import make_events
from footpass_lib.models.dst import DST, DSTSettings
from footpass_lib.models.gnn import GNNSettings, GraphNetwork, LinearEdgeConv, TemporalBlock
from footpass_lib.models.taad import TAAD, TAADSettings
from footpass_lib.models.x3d import X3DSettings
from footpass_lib.samples.augment import Augmentation
from footpass_lib.samples.sampling import ClipSettings
from footpass_lib.samples.windows import WindowSettings
from footpass_lib.schema import CLASSES, N_SLOTS
from footpass_lib.spotting.detector import InferenceSettings
from footpass_lib.spotting.stitching import DecodeSettings
from footpass_lib.study import paper
from footpass_lib.study.gnn import gamma_of
from footpass_lib.study.profiles import PROFILES
from footpass_lib.study.rungs import rung_plan
from footpass_lib.training.dst_loss import DSTLoss, LossSettings
from footpass_lib.training.losses import class_weights
from footpass_lib.training.schedule import rate_factor


def test_the_full_profile_is_the_paper():
    full = PROFILES["full"]
    assert (full.taad, full.gnn, full.dst) == (paper.TAAD, paper.GNN, paper.DST)
    assert full.synthetic is None and not full.stacked and full.bootstrap_resamples == 10_000


def test_defaults_that_settings_have_are_the_papers():
    """Tests and notebooks build networks from them; that of checkpointing changes no result."""
    encoder, (phase,) = replace(paper.ENCODER, checkpointing=False), paper.TAAD.phases
    assert X3DSettings() == encoder and Augmentation() == paper.AUGMENTATION
    assert TAADSettings() == replace(paper.TAAD.model, encoder=encoder)
    assert GNNSettings() == replace(paper.GNN.model, encoder=encoder)
    assert DSTSettings() == paper.DST.model and WindowSettings() == paper.DST.model.windows
    assert ClipSettings() == phase.clips and InferenceSettings() == paper.TAAD.inference == paper.GNN.inference
    assert LossSettings() == paper.DST.loss and DecodeSettings() == paper.DST.decode


def test_section_4_taad():
    (phase,) = paper.TAAD.phases
    clips, train, encoder = phase.clips, phase.train, paper.TAAD.model.encoder
    assert (clips.frames, clips.crop) == (50, None)
    assert (paper.PIXEL_MEAN, paper.PIXEL_STD) == (0.45, 0.225)
    # backbone and pyramid
    assert (encoder.width_factor, encoder.depth_factor, encoder.stages) == (2.0, 2.2, 4)
    assert paper.STRIDES == (4, 8, 16, 32) and (encoder.level, encoder.pyramid_width) == (8, 192)
    network = TAAD(paper.TAAD.model)
    assert network.encoder.x3d.widths == (24, 48, 96, 192)
    shapes = [tuple(p.shape) for p in network.parameters()]
    assert (192, 288, 1, 3, 3) in shapes and (192, 240, 1, 3, 3) in shapes
    # head
    assert (encoder.roi_size, encoder.pooling) == ((4, 2), "mean")
    assert (paper.TAAD.model.kernel, paper.TAAD.model.hidden) == (3, 512)
    assert (512, 192, 1, 3) in shapes and (9, 512, 1, 1) in shapes
    # boxes
    assert (clips.enlargement, clips.enlargement_jitter, paper.TAAD.inference.enlargement) == (1.125, 0.125, 1.125)
    assert paper.SMALLEST_BOX == 2 and not clips.fill_gaps and not paper.TAAD.inference.fill_gaps
    # clips
    assert (clips.per_class, clips.sqrt_total, clips.background) == (500, None, 0)
    assert clips.event_offset == (15, 35) and clips.n_negatives == 4 and clips.dilation == 1
    assert (phase.background, phase.foreground) == (0.05, 0.95)
    augmentation = clips.augmentation
    assert (augmentation.translation, augmentation.rotation, augmentation.scale) == (0.10, 1.5, 0.10)
    assert augmentation.flip == 0.5 and min(augmentation.brightness, augmentation.contrast, augmentation.saturation) > 0
    # schedule
    assert train.learning_rates == {"backbone": 5e-5, "head": 1e-3} and train.weight_decay == 1e-4
    assert (train.warmup_steps, train.batch_size, train.accumulation) == (50, 6, 8)
    assert train.mixed_precision == "bf16" and train.steps_per_epoch is None and train.clip_norm is None
    assert (train.epochs, train.factor, train.milestones, train.frozen_epochs) == (20, 0.1, (10, 20), 2)
    # inference
    assert (paper.TAAD.inference.window, paper.TAAD.inference.stride) == (50, 25)
    assert paper.NMS_WINDOW == 25
    # in the official code 6 of the 50 steps of the warm-up are taken
    assert not train.official_warmup
    assert rate_factor(replace(train, official_warmup=True), 9, 500) == pytest.approx(0.14)


def test_pave_s_context_of_the_detector():
    """Arxiv 2606.28389, section 2; the paper has none."""
    assert paper.TAAD.model.context == "none"
    sizes = replace(paper.TAAD.model, context="transformer").context_sizes
    assert (sizes.width, sizes.layers, sizes.heads, sizes.feedforward, sizes.frames) == (256, 4, 8, 1024, 50)
    assert sizes.dropout == 0.1  # not stated


def test_section_5_taad_gnn():
    model, clips, train = paper.GNN.model, paper.GNN.clips, paper.GNN.train
    assert model.encoder == paper.TAAD.model.encoder and not paper.GNN.cached
    assert (model.visual_hidden, model.visual, model.node) == (192, 64, 69) and not model.role and not model.jersey
    assert (model.neighbours, model.direction) == (6, "own nearest")
    network = GraphNetwork(model)
    assert sum(isinstance(module, LinearEdgeConv) for module in network.modules()) == 3
    assert sum(isinstance(module, TemporalBlock) for module in network.modules()) == 2 + 1
    assert (model.graph, model.kernel, model.graph_dropout) == (128, 5, 0.1)
    assert network.head.conv.weight.shape == (256, 64 + 128, 5) and model.head_dropout == 0.2
    assert (model.hidden, model.recurrent) == (256, 128) and network.gru.bidirectional
    assert network.classifier.out_features == 9
    # loss
    assert paper.FOCAL_SCALE == 100 and paper.FOCAL_ALPHA == (1 / 161, 20 / 161)
    assert paper.GNN.gammas == ((1, 1.0), (3, 1.25))
    assert [gamma_of(paper.GNN, epoch) for epoch in (1, 2, 3, 20)] == [1.0, 1.0, 1.25, 1.25]
    # clips and schedule
    assert (clips.n_negatives, clips.per_class, clips.background) == (None, 600, 200)
    assert clips.augmentation == paper.AUGMENTATION and train.accumulation == 10 and train.batch_size == 6
    assert train.learning_rates == {"backbone": 5e-5, "head": 1e-3} and train.weight_decay == 1e-4
    assert (train.epochs, train.warmup_steps, train.milestones, train.factor) == (20, 50, (10, 20), 0.1)
    assert not train.official_warmup
    assert rate_factor(replace(train, official_warmup=True), 9, 500) == pytest.approx(0.12)
    assert model.visual_dropout == 0.2  # declared in the official code, and never applied there


def test_section_6_taad_dst():
    plan, model, train = paper.DST, paper.DST.model, paper.DST.train
    windows = model.windows
    # tokens
    assert (windows.window, windows.frames_per_token, windows.n_frame_ids, N_SLOTS) == (750, 1, 752, 26)
    assert paper.ABSENT == -15 and (paper.SOS, paper.EOS, paper.NEUTRAL_ROLE) == (8, 9, 26)
    assert (windows.token_width(1), windows.token_width(2)) == (364, 598) and not windows.pooled
    # network
    assert (model.width, model.base, model.heads, model.dropout) == (512, 1000.0, 8, 0.1)
    assert (model.encoder_layers, model.decoder_layers, model.feedforward) == (6, 6, 2048)
    network = DST(replace(model, encoder_layers=1, decoder_layers=1))
    assert (network.action_role_head.out_features, network.frame_head.out_features) == (37, 752)
    # loss and schedule
    assert (plan.loss.action, plan.loss.weighting, plan.loss.label_smoothing) == ("cross-entropy", "none", 0.05)
    assert plan.loss.eos_weight == 1
    assert train.learning_rates == {"head": 2.5e-4} and (train.weight_decay, train.warmup_steps) == (1e-4, 1000)
    assert (train.factor, train.milestones) == (0.1, (3, 6, 8)) and train.batch_size * train.accumulation == 96
    assert 10 <= train.epochs <= 15 and 2 * plan.windows_per_half == 2000
    assert plan.sources == ("taad",) and plan.shuffled == 0
    # inference
    official = DecodeSettings.paper()
    assert windows.max_tokens == 25 and official.stride is None and not official.keep_unended
    assert (official.score, official.nms) == ("action", None)
    assert not official.official_export and not plan.decode.official_export  # its files have every event a frame late


def test_pave_s_attention_of_players():
    """Arxiv 2606.28389, section 3; the paper has none."""
    assert paper.DST.model.player_attention == "none"
    model = replace(paper.DST.model, player_attention="spatial-first")
    sizes = model.player_sizes
    assert (sizes.width, sizes.heads, sizes.layers) == (64, 4, 1)
    branch = DST(replace(model, encoder_layers=1, decoder_layers=1)).players
    assert list(branch.stages) == ["spatial_first", "temporal_second"]
    assert branch.player.weight.shape == (64, 5) and branch.out.weight.shape == (512, 64 + 234)


def test_section_7_evaluation():
    assert (paper.THRESHOLD, paper.TOLERANCE) == (0.15, 12)
    half = "game_18_H1"
    columns = {"half": [half] * 3, "frame": [100, 200, 300], "team": [0] * 3, "jersey": [7] * 3, "class": [2] * 3}
    truth = make_events([half], columns | {"box": [True] * 3, "replay": [False] * 3})
    made = make_events([half], columns | {"frame": [112, 213, 300], "score": [0.15, 0.9, 0.149]})
    scores = metrics.evaluate(made, truth)
    assert scores.per_class.loc["pass", ["tp", "fp", "fn"]].tolist() == [1, 1, 2]
    assert paper.OFFICIAL_GAMES == (18, 24, 47)
    assert paper.OFFICIAL_F1 == {"DST": (0.4926, 0.7186), "TAAD": (0.2445, 0.4100)}


def test_section_8_the_four_extensions():
    assert paper.ENCODER.checkpointing  # 1
    base, fused, weighted = (rung_plan(paper.DST, rung) for rung in ("base", "fused", "weighted"))
    assert fused.sources == paper.FUSED_SOURCES == ("taad", "gnn")  # 2
    assert fused.model.windows.token_width(fused.network.sources) == 598
    assert weighted.loss.weighting == paper.WEIGHTING == "sqrt" and base.loss.weighting == "none"  # 3
    counts = np.array([4, 1, 9, 16, 25, 36, 49, 64])
    weights = class_weights(counts, paper.WEIGHTING)
    torch.testing.assert_close(weights / weights[1], torch.tensor(1 / np.sqrt(counts)).float())
    assert DSTLoss(weighted.loss, counts).action_weights.shape == (10,)
    assert paper.IMBALANCE == 213
    # 4
    assert paper.GATE == {"shot": 3.0, "header": 2.5, "tackle": 4.0, "block": 4.0} and paper.GATE_WINDOW == 12
    assert paper.REFINED == ("header", "tackle", "block") and paper.REFINE_WINDOW == 25
    assert (paper.REASSIGN_WINDOW, paper.REASSIGN_MARGIN) == (12, 0.5)
    assert paper.CLASS_NMS == {"tackle": 25, "block": 20} and paper.OTHER_NMS == 15
    assert paper.NOT_FROM_BASE == ("tackle",)
    # published
    assert list(paper.ABLATION.values()) == [0.493, 0.505, 0.521, 0.535, 0.548]
    assert paper.CHALLENGE_MACRO_F1 == 0.446 and paper.OFFICIAL_CHALLENGE_MACRO_F1 == 0.4641
    assert paper.BEST_MACRO_F1 == {"validation": 0.609, "challenge": 0.5894}
    assert paper.TACKLE_F1 == {"validation": 0.256, "challenge": 0.056}
    assert paper.GATED_FALSE_POSITIVES == {"block": 0.57, "tackle": 0.74} and paper.WITHOUT_BOX == 0.20
    assert paper.PREPRINT_MICRO_F1 == {"TAAD": 0.359, "TAAD+GNN": 0.521, "TAAD+DST": 0.675}
    assert paper.PREPRINT_RECALL == {
        "TAAD": (0.729, 0.039), "TAAD+GNN": (0.765, 0.026), "TAAD+DST": (0.746, 0.334)
    }  # fmt: skip
    f1 = dict(zip(CLASSES[1:], paper.PREPRINT_CLASS_F1, strict=True))
    assert f1 == {
        "pass": 0.723, "drive": 0.685, "header": 0.283, "cross": 0.568, "throw-in": 0.620, "block": 0.180,
        "shot": 0.652, "tackle": 0.000,
    }  # fmt: skip


def test_published_means_are_those_of_the_published_classes():
    validation, challenge = (np.mean(paper.CLASS_F1[split]) for split in ("validation", "challenge"))
    assert validation == pytest.approx(max(paper.ABLATION.values()), abs=1e-3)
    assert challenge == pytest.approx(paper.CHALLENGE_MACRO_F1, abs=1e-3)
