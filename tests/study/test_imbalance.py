"""Training on play with the imbalance of real matches: the study's own bank, and models that share everything else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from footpass_lib.data.boxes import short_gaps
from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.logits import background_logits, write_logits
from footpass_lib.data.tactical import write_tactical
from footpass_lib.models.pointer_dst import PointerDSTSettings, build_dst
from footpass_lib.samples.bank import NEAR
from footpass_lib.samples.windows import WindowSettings
from footpass_lib.schema import EVENT_CLASSES, FootpassError
from footpass_lib.study import imbalance, paper
from footpass_lib.study.dst import class_counts
from footpass_lib.study.imbalance import own_bank, train_on_play, unbalanced_play
from footpass_lib.study.place import DATA_SEED, Study
from footpass_lib.study.pretrained import publish_weights
from footpass_lib.study.profiles import PROFILES
from footpass_lib.synthetic.production import plan
from footpass_lib.synthetic.unfilmed import play_unfilmed
from footpass_lib.training.schedule import TrainSettings

SIZES = replace(PROFILES["smoke"].synthetic, train=1, val=0.5, half_minutes=0.25)
SHAPE = WindowSettings(window=50, frames_per_token=5, pooled=True)
PLAIN = replace(
    paper.DST,
    model=PointerDSTSettings(windows=SHAPE, width=16, feedforward=16, encoder_layers=1, decoder_layers=1, heads=2),
    sources=paper.FUSED_SOURCES,
    train=TrainSettings(epochs=1, batch_size=8, learning_rates={"head": 1e-9}, steps_per_epoch=3),
    windows_per_half=20,
)
WEIGHTED = replace(PLAIN, loss=replace(PLAIN.loss, weighting="sqrt"))


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    """Tables of matches that nobody rendered, and logits that say of each split which one it is."""
    folder = tmp_path_factory.mktemp("study")
    jobs = plan(folder / "matches", SIZES, DATA_SEED)
    for split in ("train", "val"):
        rows = {half.play.half: half.rows for job in jobs if job.split == split for half in play_unfilmed(job)}
        write_tactical(folder / "matches" / "data" / f"{split}_tactical_data.h5", rows)
    profile = replace(PROFILES["smoke"], synthetic=SIZES)
    return Study(profile, folder, None, folder / "matches", folder / "reports", seed=0)


@pytest.fixture(scope="module")
def root(study) -> DataRoot:
    return DataRoot(study.data_root)


@pytest.fixture(scope="module")
def logits(root) -> dict:
    files = {source: {s: root.path / f"{source}_{s}.h5" for s in ("train", "val")} for source in ("taad", "gnn")}
    for by_split in files.values():
        for number, (split, path) in enumerate(by_split.items()):
            write_logits(path, [flat(root.half(name), number + 1) for name in root.halves(split)])
    return files


def flat(half, value: float) -> tuple[str, int, np.ndarray]:
    seen = half.visible | short_gaps(half.visible)[0]
    return half.half, half.first_frame, np.where(seen, np.float16(value), background_logits(1))


def splits_of(bank) -> set[float]:
    """Values in the middle of windows: 1 is from training matches, 2 from validation."""
    return set(bank.logits[:, 16, 0, 1].tolist())


def test_the_bank_is_of_the_sequence_models_matches(study, root, logits, monkeypatch):
    monkeypatch.setattr(imbalance, "FEW", 0)
    bank, _ = own_bank(study, root, logits)
    every, _ = own_bank(replace(study, profile=replace(study.profile, stacked=False)), root, logits)
    assert splits_of(bank) == {1.0} and bank.sources == ("taad", "gnn")
    assert len(bank) < len(every)  # the detectors have learned from the other half


def test_what_the_training_matches_lack_is_told(study, root, logits, monkeypatch):
    bank, notes = own_bank(study, root, logits)
    assert splits_of(bank) == {1.0, 2.0} and "fewer than 8 of" in notes[0]
    assert all(bank.counts[name] for name in (*EVENT_CLASSES, "near", "far", "gesture"))
    monkeypatch.setattr(imbalance, "FEW", 10**6)
    more, told = own_bank(study, root, logits)
    assert len(more) == len(bank) and all(name in told[0] for name in EVENT_CLASSES)
    lent = [note for note in notes[1:] if note.endswith("those of near stand in")]
    assert lent == notes[1:] and told[1:] == lent
    near = np.count_nonzero(bank.kind == NEAR)
    assert all(bank.counts[note.split("no window of ")[1].split(":")[0]] == near for note in lent)
    with pytest.raises(FootpassError, match="profile full has no synthetic matches"):
        own_bank(replace(study, profile=PROFILES["full"]), root, logits)


@pytest.mark.slow
def test_play_is_as_unbalanced_as_real_matches(study):
    counts = dict(zip(EVENT_CLASSES, class_counts(unbalanced_play(study, 20)), strict=True))
    assert counts["pass"] > 100 and counts["pass"] > 40 * counts["tackle"]


def test_runs_share_all_but_the_weights_of_classes(study, root, logits, tmp_path):
    bank, _ = own_bank(study, root, logits)
    halves = unbalanced_play(study, 1)
    runs = [(PLAIN, 0, "dst-plain"), (WEIGHTED, 0, "dst-weighted"), (PLAIN, 1, "dst-plain")]
    made = train_on_play(study, bank, halves, runs)
    folders = sorted(path.parent.name for path in study.models.glob("dst-*/result.json"))
    assert len(folders) == 3 and [name.rsplit("-", 1)[0] for name in folders] == [
        "dst-plain-seed0", "dst-plain-seed1", "dst-weighted-seed0"
    ]  # fmt: skip
    (plain, history), (weighted, other), _ = made
    assert history["train_loss"].tolist() != other["train_loss"].tolist()
    for a, b in zip(plain.parameters(), weighted.parameters(), strict=True):
        torch.testing.assert_close(a, b)  # the rate is next to nothing, so this is where they began
    given = build_dst(PLAIN.network, 7)
    publish_weights(given, tmp_path / "dst-fused.safetensors")
    begun = replace(study, pretrained=tmp_path)
    ((model, _),) = train_on_play(begun, bank, halves, runs[:1])
    for a, b in zip(model.parameters(), given.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
    assert len(list(study.models.glob("dst-plain-seed0-*/result.json"))) == 2
