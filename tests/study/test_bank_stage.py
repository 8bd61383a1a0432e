"""Pretraining of the sequence model: the bank of a data root, play in processes, and runs that go on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from footpass_lib.data.boxes import short_gaps
from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.logits import background_logits, write_logits
from footpass_lib.data.tactical import write_tactical
from footpass_lib.models.pointer_dst import PointerDSTSettings
from footpass_lib.samples.bank import KINDS, WIDTH, WindowBank
from footpass_lib.samples.windows import WindowSettings
from footpass_lib.schema import FootpassError
from footpass_lib.study import paper
from footpass_lib.study.bank import collect_bank, play_halves, pretrain_dst
from footpass_lib.study.dst import load_halves
from footpass_lib.study.pretrained import publish_weights
from footpass_lib.study.profiles import PROFILES
from footpass_lib.synthetic.production import plan
from footpass_lib.synthetic.unfilmed import play_unfilmed
from footpass_lib.training.dst_loss import DSTLoss
from footpass_lib.training.schedule import TrainSettings

SIZES = replace(PROFILES["smoke"].synthetic, train=1, val=0.5, half_minutes=0.25)
SHAPE = WindowSettings(window=50, frames_per_token=5, pooled=True)
PLAN = replace(
    paper.DST,
    model=PointerDSTSettings(windows=SHAPE, width=16, feedforward=16, encoder_layers=1, decoder_layers=1, heads=2),
    train=TrainSettings(epochs=2, batch_size=8, learning_rates={"head": 1e-2}, steps_per_epoch=3),
    windows_per_half=20,
)
FUSED = replace(PLAN, sources=("taad", "gnn"))


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> DataRoot:
    """A data root of play that nobody rendered, with the tables alone."""
    folder = tmp_path_factory.mktemp("root")
    jobs = plan(folder, SIZES, 3)
    for split in ("train", "val"):
        rows = {half.play.half: half.rows for job in jobs if job.split == split for half in play_unfilmed(job)}
        write_tactical(folder / "data" / f"{split}_tactical_data.h5", rows)
    return DataRoot(folder)


@pytest.fixture(scope="module")
def logits(root) -> dict:
    """Noise where players are seen."""
    files = {source: {s: root.path / f"{source}_{s}.h5" for s in ("train", "val")} for source in ("taad", "gnn")}
    for by_split in files.values():
        for split, path in by_split.items():
            write_logits(path, [noisy(root.half(name)) for name in root.halves(split)])
    return files


def noisy(half) -> tuple[str, int, np.ndarray]:
    noise = np.random.default_rng(half.n_frames).normal(size=(9, 26, half.n_frames))
    seen = half.visible | short_gaps(half.visible)[0]
    return half.half, half.first_frame, np.where(seen, noise, background_logits(1))


@pytest.fixture(scope="module")
def halves():
    return play_halves(SIZES, minutes=1, workers=1)


@pytest.fixture(scope="module")
def bank() -> WindowBank:
    kind = np.arange(len(KINDS)).repeat(4).astype(np.uint8)
    noise = np.random.default_rng(0).normal(size=(len(kind), WIDTH, 2, 9)).astype(np.float16)
    return WindowBank(("taad", "gnn"), noise, kind, np.full((len(kind), 2), 16, np.uint8))


def test_the_bank_of_a_split_has_the_events_that_are_seen(root, logits):
    bank = collect_bank(root, "train", logits, SIZES, seed=3)
    assert bank.sources == ("taad", "gnn") and bank.counts["far"] > 20
    seen = 0
    for name in root.halves("train"):
        half = root.half(name)
        there = half.visible | short_gaps(half.visible)[0]
        around = np.stack([np.roll(there, step, axis=1) for step in range(-4, 5)]).all(axis=0)
        around[:, :4] = around[:, -4:] = False
        seen += np.count_nonzero(around & (half.class_id > 0))
    assert sum(bank.counts[name] for name in KINDS[1:9]) == seen > 0
    one = collect_bank(root, "train", {"gnn": logits["gnn"]}, SIZES, seed=3)
    np.testing.assert_array_equal(one.logits, bank.logits[:, :, 1:])


def test_a_root_of_other_settings_is_refused(root, logits):
    with pytest.raises(FootpassError, match=r"game_0_H1: the table has \d+ events"):
        collect_bank(root, "train", logits, SIZES, seed=4)
    with pytest.raises(FootpassError, match="no taad logits of train"):
        collect_bank(root, "train", {"taad": {}}, SIZES, seed=3)


@pytest.mark.slow
def test_play_is_the_same_in_processes(halves):
    assert [half.n_frames for half in halves] == [375] * 4
    for a, b in zip(halves, play_halves(SIZES, minutes=1, workers=2), strict=True):
        for name in ("state", "events", "anchors", "seen", "near"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_pretraining_goes_on_bit_for_bit_and_ends_once(halves, bank, tmp_path, monkeypatch):
    whole, history = pretrain_dst(FUSED, bank, halves, 0, minutes=0.5)
    assert history["step"].tolist() == [3, 6] and not whole.training and "val_loss" not in history
    calls, true_loss = iter(range(4)), DSTLoss.__call__

    def killer(self, model, batch):
        if next(calls, None) is None:
            raise Killed
        return true_loss(self, model, batch)

    monkeypatch.setattr(DSTLoss, "__call__", killer)
    with pytest.raises(Killed):
        pretrain_dst(FUSED, bank, halves, 0, tmp_path, minutes=0.5)
    monkeypatch.undo()
    resumed, again = pretrain_dst(FUSED, bank, halves, 0, tmp_path, minutes=0.5)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    assert again.drop(columns="seconds").equals(history.drop(columns="seconds"))
    with pytest.raises(FootpassError, match="holds a run with other settings: config.key"):
        pretrain_dst(FUSED, bank, halves[:2], 0, tmp_path, minutes=0.5)


def test_it_starts_from_weights(halves, bank, tmp_path):
    crawl = replace(PLAN, train=replace(PLAN.train, learning_rates={"head": 1e-9}))
    learned, _ = pretrain_dst(PLAN, bank, halves, 0, minutes=0.5)
    start = publish_weights(learned, tmp_path / "dst.safetensors")
    model, _ = pretrain_dst(crawl, bank, halves, 1, tmp_path / "run", minutes=0.5, start=start)
    for a, b in zip(model.parameters(), learned.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
    with pytest.raises(FootpassError, match="holds a run with other settings: config.key"):
        pretrain_dst(crawl, bank, halves, 1, tmp_path / "run", minutes=0.5)
    with pytest.raises(FootpassError, match="dst.safetensors"):
        pretrain_dst(FUSED, bank, halves, 1, minutes=0.5, start=start)


def test_real_halves_are_watched(halves, bank, root, logits):
    watched = load_halves(root, "val", ("taad",), logits)
    _, history = pretrain_dst(PLAN, bank, halves, 0, minutes=0.5, watched=watched)
    assert np.isfinite(history["val_loss"]).all() and history["val_loss"].nunique() == 2
