"""The stage of the sequence model: plans, halves from files of logits, training that goes on, events that are kept."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.logits import write_logits
from footpass_lib.data.tactical import write_tactical
from footpass_lib.events.playbyplay import read_events
from footpass_lib.models.dst import DST, DSTSettings
from footpass_lib.models.pointer_dst import build_dst
from footpass_lib.models.weights import copy_weights
from footpass_lib.samples.tokens import EOS, SOS, dst_half, keep_pooled
from footpass_lib.samples.windows import DSTWindows, WindowSettings, collate_windows, cut_window
from footpass_lib.schema import MIRRORS, FootpassError
from footpass_lib.spotting.stitching import DecodeSettings, decode_half
from footpass_lib.study import dst, matches, paper
from footpass_lib.study.dst import class_counts, detect_dst, differences, load_halves, train_dst
from footpass_lib.study.place import Study
from footpass_lib.study.profiles import PROFILES
from footpass_lib.study.variants import attention_plan
from footpass_lib.training.dst_loss import DSTLoss, LossSettings
from footpass_lib.training.losses import class_weights
from footpass_lib.training.schedule import TrainSettings

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE = WindowSettings(window=40, frames_per_token=2, max_tokens=12)
PLAN = replace(
    paper.DST,
    model=DSTSettings(windows=SHAPE, width=16, feedforward=16, encoder_layers=1, decoder_layers=1, heads=2),
    train=TrainSettings(epochs=2, batch_size=8, accumulation=1, learning_rates={"head": 1e-2}, milestones=(),
                        warmup_steps=0),
    windows_per_half=12,
    decode=DecodeSettings(stride=20),
)  # fmt: skip
FUSED = replace(PLAN, sources=("taad", "gnn"))
SPLITS = {"train": (0, 1), "val": (2,), "challenge": (3,)}
N_FRAMES = 90


class Killed(BaseException):
    """Stands for the end of the process."""


def make_rows(game: int, first: int, labelled: bool) -> np.ndarray:
    """Twenty-two players in every frame, an event every 9 frames; nobody has a box."""
    rng = np.random.default_rng(game)
    rows = np.full((N_FRAMES, 22, 14), np.nan, np.float32)
    player = np.arange(22)
    rows[..., 0] = first + np.arange(N_FRAMES)[:, None]
    rows[..., 1], rows[..., 2], rows[..., 3] = 100 + player, player // 11, player % 11 + 1
    rows[..., 4] = player % 11 + 1
    rows[..., 5:7], rows[..., 7:9] = rng.random((N_FRAMES, 22, 2)), rng.normal(0, 3, (N_FRAMES, 22, 2))
    rows[..., 13] = 0
    for index in range(4, N_FRAMES, 9):
        rows[index, rng.integers(22), 13] = rng.integers(1, 9)
    return rows.reshape(-1, 14)[:, : 14 if labelled else 13]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> DataRoot:
    folder = tmp_path_factory.mktemp("root")
    for split, games in SPLITS.items():
        halves = {f"game_{g}_H2": make_rows(g, 50 + g, split != "challenge") for g in games}
        write_tactical(folder / "data" / f"{split}_tactical_data.h5", halves)
    return DataRoot(folder)


@pytest.fixture(scope="module")
def logits(root: DataRoot) -> dict[str, dict[str, Path]]:
    files = {source: {s: root.path / source / f"preds_{s}.h5" for s in SPLITS} for source in ("taad", "gnn")}
    for number, by_split in enumerate(files.values()):
        for split, path in by_split.items():
            rng = np.random.default_rng([number, len(split)])
            write_logits(
                path, [(h, root.half(h).first_frame, rng.normal(size=(9, 26, N_FRAMES))) for h in root.halves(split)]
            )
    return files


@pytest.fixture()
def study(tmp_path: Path, root: DataRoot) -> Study:
    profile = replace(PROFILES["smoke"], dst=PLAN, stacked=False)
    return Study(profile, tmp_path, None, root.path, tmp_path / "reports", seed=0)


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    a, b = copy_weights(a), copy_weights(b)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# plans


def test_rows_of_the_ablation_differ_in_one_key():
    for profile in PROFILES.values():
        base = profile.dst
        fused = replace(base, sources=("taad", "gnn"))
        weighted = replace(fused, loss=replace(fused.loss, weighting="sqrt"))
        assert differences(base, base) == []
        assert differences(base, fused) == ["sources"]
        assert differences(fused, weighted) == ["loss.weighting"]
        assert (base.network.sources, fused.network.sources) == (1, 2)
    other = replace(PLAN, model=replace(PLAN.model, windows=replace(SHAPE, window=42)), windows_per_half=3)
    rates = replace(other, train=replace(other.train, learning_rates={"head": 1.0, "backbone": 1.0}))
    assert differences(PLAN, other) == ["model.windows.window", "windows_per_half"]
    assert differences(other, rates) == ["train.learning_rates.backbone", "train.learning_rates.head"]


def test_a_plan_names_its_sources_once():
    with pytest.raises(FootpassError, match="model.sources=2; name the sources in the plan"):
        replace(PLAN, model=replace(PLAN.model, sources=2))
    for sources in ((), ("gnn",), ("gnn", "taad")):
        with pytest.raises(FootpassError, match="DST plan: sources="):
            replace(PLAN, sources=sources)


# halves


def test_halves_from_files(root, logits):
    halves = load_halves(root, "train", ("taad", "gnn"), logits)
    assert [half.half for half in halves] == ["game_0_H2", "game_1_H2"]
    rng = [np.random.default_rng([number, len("train")]) for number in (0, 1)]
    for half in halves:
        drawn = [r.normal(size=(9, 26, N_FRAMES)).astype(np.float16) for r in rng]
        expected = dst_half(root.half(half.half), *drawn)
        assert torch.equal(half.features, expected.features) and half.features.shape == (N_FRAMES, 598)
        np.testing.assert_array_equal(half.events, expected.events)
    table = root.index("train").events
    assert class_counts(halves).tolist() == [(table["class"] == c).sum() for c in range(1, 9)]
    assert class_counts(halves).sum() == 20
    (hidden,) = load_halves(root, "challenge", ("taad",), logits)
    assert not hidden.labelled and hidden.features.shape == (N_FRAMES, 364)


def test_kept_pooled_inputs_give_the_same_bits(root, logits):
    halves = load_halves(root, "train", ("taad", "gnn"), logits)
    n_bytes = 4 * 26 * (5 + 16) * sum(half.n_frames for half in halves)
    assert all(not half.pooled for half in keep_pooled(halves, 2, n_bytes - 1))
    kept, shape = keep_pooled(halves, 2, n_bytes), replace(SHAPE, pooled=True)
    for half, ready in zip(halves, kept, strict=True):
        assert list(ready.pooled) == [2]
        for mirror in MIRRORS:
            for start in (60, N_FRAMES - 7):
                plain, quick = cut_window(half, start, shape, mirror), cut_window(ready, start, shape, mirror)
                assert torch.equal(plain.features, quick.features) and torch.equal(plain.tokens, quick.tokens)


def test_missing_logits_are_named(study, root, logits):
    with pytest.raises(FootpassError, match="no gnn logits of train; expected a file for them, found .*'taad'"):
        train_dst(study, root, FUSED, {"taad": logits["taad"]}, 0)
    with pytest.raises(FootpassError, match="no taad logits of val"):
        train_dst(study, root, PLAN, {"taad": {"train": logits["taad"]["train"]}}, 0)
    with pytest.raises(FootpassError, match="has no logits of game_0_H2"):
        load_halves(root, "train", ("taad",), {"taad": {"train": logits["taad"]["val"]}})


# loss


def batch_of(root: DataRoot, logits: dict, n: int = 6):
    half = load_halves(root, "train", ("taad",), logits)[0]
    return collate_windows([cut_window(half, start, SHAPE) for start in range(0, 9 * n, 9)])


def action_terms(model: DST, batch, loss: DSTLoss) -> tuple[np.ndarray, np.ndarray, float]:
    """Action logits (N, 10) and targets (N,) of the tokens, and the whole loss less that of role and frame."""
    without = DSTLoss(LossSettings(label_smoothing=loss.settings.label_smoothing))
    without.action_weights = torch.zeros(10)
    with torch.no_grad():
        logits = model(batch.features, batch.n_frames, batch.inputs)
        total = loss(model, batch).total - without(model, batch).total
    return logits.action[batch.mask].double().numpy(), batch.targets[..., 0][batch.mask].numpy(), float(total)


def log_softmax(values: np.ndarray) -> np.ndarray:
    return values - np.log(np.exp(values).sum(axis=1, keepdims=True))


COUNTS = np.array([400, 500, 20, 18, 12, 40, 3, 14])


@pytest.mark.parametrize("weighting", ["none", "sqrt", "inverse", "effective"])
def test_weights_are_of_events_and_eos_has_its_own(weighting):
    weights = DSTLoss(LossSettings(weighting=weighting, eos_weight=0.7), COUNTS).action_weights
    torch.testing.assert_close(weights[:8], class_weights(COUNTS, weighting))
    assert (COUNTS * weights[:8].numpy()).sum() / COUNTS.sum() == pytest.approx(1)
    assert weights[SOS] == 1 and weights[EOS].item() == pytest.approx(0.7)


def test_class_weights_and_priors_need_counts():
    for settings in (LossSettings(weighting="sqrt"), LossSettings(action="logit adjustment")):
        with pytest.raises(FootpassError, match="class counts"):
            DSTLoss(settings)


def test_focal_action_loss_against_a_slow_reference(root, logits):
    model, batch = DST(PLAN.network, 3).eval(), batch_of(root, logits)
    loss = DSTLoss(LossSettings(weighting="sqrt", action="focal"), COUNTS)
    values, target, total = action_terms(model, batch, loss)
    log_p = log_softmax(values)[np.arange(len(target)), target]
    expected = -loss.action_weights.numpy()[target] * (1 - np.exp(log_p)) ** 2 * log_p
    assert total == pytest.approx(expected.sum(), rel=1e-4)


def test_logit_adjustment_against_a_slow_reference(root, logits):
    model, batch = DST(PLAN.network, 3).eval(), batch_of(root, logits)
    settings = LossSettings(action="logit adjustment", label_smoothing=0.0)
    loss = DSTLoss(settings, COUNTS)
    log_share = np.log(COUNTS / COUNTS.sum())
    shift = np.append(log_share - (COUNTS * log_share).sum() / COUNTS.sum(), [0, 0])
    values, target, total = action_terms(model, batch, loss)
    expected = -log_softmax(values + shift)[np.arange(len(target)), target]
    assert total == pytest.approx(expected.sum(), rel=1e-4)
    assert shift[0] > 0 > shift[6]  # in training a common class has it easy, and a rare one needs a larger raw logit


def test_loss_settings_are_checked():
    for options, message in (
        ({"weighting": "cubic"}, "weighting='cubic', expected one of none, sqrt"),
        ({"action": "hinge"}, "action='hinge', expected one of cross-entropy, focal"),
        ({"eos_weight": -0.1}, "eos_weight=-0.1"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0"),
    ):
        with pytest.raises(FootpassError, match=message):
            LossSettings(**options)


# training


def test_trains_and_validates_on_all_of_validation(study, root, logits):
    model, history = train_dst(study, root, PLAN, logits, seed=1)
    assert not model.training and history["epoch"].tolist() == [1, 2] and history["step"].tolist() == [3, 6]
    assert history["train_loss"].iloc[1] < history["train_loss"].iloc[0]
    (half,) = load_halves(root, "val", ("taad",), logits)
    batch = collate_windows([cut_window(half, start, SHAPE) for start in (0, 40, 80)])
    counts = class_counts(load_halves(root, "train", ("taad",), logits))
    with torch.no_grad():
        loss = DSTLoss(PLAN.loss, counts)(model, batch).mean.item()
    assert history["val_loss"].min() == pytest.approx(loss, rel=1e-5)


def test_stacked_the_model_learns_from_matches_that_the_detectors_have_not_seen(study, root, logits, monkeypatch):
    stacked = replace(study, profile=replace(study.profile, stacked=True))
    parts = [part(stacked, root).halves("train") for part in (matches.detectors_part, matches.sequence_part)]
    assert parts == [("game_0_H2",), ("game_1_H2",)] and root.halves("train") == parts[0] + parts[1]
    assert matches.sequence_part(study, root) is root is matches.detectors_part(study, root)
    seen = []
    watched = lambda halves, *a, **k: seen.append(halves) or DSTWindows(halves, *a, **k)  # noqa: E731
    monkeypatch.setattr(dst, "DSTWindows", watched)
    train_dst(stacked, root, PLAN, logits, seed=0)
    assert [[half.half for half in halves] for halves in seen] == [["game_1_H2"]] * 2
    monkeypatch.undo()
    together, _ = train_dst(study, root, PLAN, logits, seed=0)  # not taken for the same training
    assert not same_weights(together, train_dst(stacked, root, PLAN, logits, seed=0)[0])


def test_one_training_match_cannot_be_shared_out(study, root):
    alone = root.limited("train", [1])
    assert alone.halves("train") == ("game_1_H2",) and alone.half("game_0_H2").half == "game_0_H2"
    with pytest.raises(FootpassError, match="has one match; profile smoke trains"):
        matches.sequence_part(replace(study, profile=replace(study.profile, stacked=True)), alone)
    with pytest.raises(FootpassError, match="train has no match of 7"):
        root.limited("train", [7])


def test_with_attention_of_players_it_trains_and_decodes(study, root, logits):
    plan = attention_plan(FUSED, "spatial-first")
    model, history = train_dst(study, root, plan, logits, seed=1)
    assert history["train_loss"].iloc[1] < history["train_loss"].iloc[0]
    first = build_dst(plan.network, 1).players.state_dict()
    assert any(not torch.equal(value, first[name]) for name, value in model.players.state_dict().items())
    assert detect_dst(study, root, "val", model, plan, logits).halves == root.halves("val")


@pytest.mark.parametrize("after", [2, 4])
def test_a_killed_training_goes_on_bit_for_bit(study, root, logits, tmp_path, monkeypatch, after):
    whole, history = train_dst(study, root, FUSED, logits, seed=0, name="whole")
    calls, true_loss = iter(range(after)), DSTLoss.__call__

    def killer(self, model, batch):
        if model.training and next(calls, None) is None:
            raise Killed
        return true_loss(self, model, batch)

    monkeypatch.setattr(DSTLoss, "__call__", killer)
    with pytest.raises(Killed):
        train_dst(study, root, FUSED, logits, seed=0, name="killed")
    done: list[int] = []

    def counter(self, model, batch):
        done.append(model.training)
        return true_loss(self, model, batch)

    monkeypatch.setattr(DSTLoss, "__call__", counter)
    resumed, again = train_dst(study, root, FUSED, logits, seed=0, name="killed")
    assert sum(done) == 6 - 3 * (after // 3)  # whole epochs of three steps are kept
    assert same_weights(whole, resumed)
    assert history.drop(columns="seconds").equals(again.drop(columns="seconds"))


def test_a_finished_training_is_not_done_again_and_others_have_their_own_folder(study, root, logits, monkeypatch):
    first, history = train_dst(study, root, PLAN, logits, seed=0)
    monkeypatch.setattr(DSTLoss, "__call__", partial(pytest.fail, "trained again"))
    decoded_otherwise = replace(PLAN, decode=DecodeSettings.paper())
    again, same_history = train_dst(study, root, decoded_otherwise, logits, seed=0)
    assert same_weights(first, again) and history.equals(same_history)
    monkeypatch.undo()
    others = [
        train_dst(study, root, plan, files, seed=seed)[0]
        for plan, files, seed in (
            (PLAN, logits, 1),
            (replace(PLAN, loss=replace(PLAN.loss, weighting="sqrt")), logits, 0),
            (PLAN, {"taad": logits["gnn"]}, 0),
        )
    ]
    assert not any(same_weights(first, other) for other in others)
    assert len(list(study.models.glob("dst-seed*"))) == 4


# events of a split


@pytest.fixture(scope="module")
def trained() -> DST:
    return DST(PLAN.network, seed=5).eval()


def test_events_of_a_split_are_those_of_its_halves_and_are_kept(study, root, logits, trained, monkeypatch):
    loose = replace(PLAN, decode=replace(PLAN.decode, nms=None))
    events = detect_dst(study, root, "train", trained, loose, logits, "base")
    assert events.halves == root.halves("train") and len(events) > 5
    for half in load_halves(root, "train", ("taad",), logits):
        expected = decode_half(trained, half, root.half(half.half), loose.decode)
        assert events.select([half.half]).table.equals(expected.table)
    (file,) = (study.models / "base").glob("playbyplay_train-*.json")
    assert read_events(file, "predictions").table.equals(events.table)
    monkeypatch.setattr(dst, "decode_half", partial(pytest.fail, "decoded again"))
    again = detect_dst(study, root, "train", trained, loose, logits, "base")
    assert again.table.equals(events.table) and again.halves == events.halves


def test_events_of_other_weights_and_ways_stay_apart(study, root, logits, trained):
    ways = [(trained, PLAN), (DST(PLAN.network, seed=6), PLAN)]
    ways += [(trained, replace(PLAN, decode=DecodeSettings.paper()))]
    tables = [detect_dst(study, root, "val", model, plan, logits).table for model, plan in ways]
    assert len(list((study.models / "dst").glob("playbyplay_val-*.json"))) == 3
    assert not tables[0].equals(tables[1]) and not tables[0].equals(tables[2])


def test_a_split_without_labels_has_events(study, root, logits, trained):
    events = detect_dst(study, root, "challenge", trained, PLAN, logits)
    assert events.halves == ("game_3_H2",) and len(events)


def test_model_and_plan_must_agree(study, root, logits, trained):
    with pytest.raises(FootpassError, match=r"val: the model has 1 source\(s\) of logits, the plan taad, gnn"):
        detect_dst(study, root, "val", trained, FUSED, logits)
    with pytest.raises(FootpassError, match="no taad logits of test"):
        detect_dst(study, root, "test", trained, PLAN, logits)
