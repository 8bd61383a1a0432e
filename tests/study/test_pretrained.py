"""Weights that come with the study: read into the right networks, named in keys and records, made stage by stage."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from footpass_lib.files import read_object, sha256_file
from footpass_lib.models.gnn import build_gnn
from footpass_lib.models.pointer_dst import build_dst
from footpass_lib.models.taad import TAAD
from footpass_lib.schema import FootpassError
from footpass_lib.study import paper, results
from footpass_lib.study.place import WEIGHTS, Study, open_study
from footpass_lib.study.pretrain import Pretraining
from footpass_lib.study.pretrained import NAMES, publish_weights, start_pretrained, weights_hash
from footpass_lib.study.profiles import PRETRAIN, PROFILES


@pytest.fixture()
def study(tiny_study: Study, tmp_path: Path) -> Study:
    """The tiny study, starting from the weights of a detector of seed 5."""
    publish_weights(TAAD(tiny_study.profile.taad.model, seed=5), tmp_path / "weights" / "taad.safetensors")
    return replace(tiny_study, pretrained=tmp_path / "weights", reports=tmp_path / "reports")


def test_training_starts_from_the_published_weights(study: Study):
    model = TAAD(study.profile.taad.model, seed=0)
    kept = start_pretrained(study, "taad", model)
    assert kept == sha256_file(study.pretrained / "taad.safetensors")
    for name, value in TAAD(study.profile.taad.model, seed=5).state_dict().items():
        found = model.state_dict()[name]
        assert found.dtype == value.dtype and torch.allclose(found.float(), value.float(), rtol=1e-3, atol=1e-5), name


def test_from_scratch_nothing_is_read(study: Study):
    model, scratch = TAAD(study.profile.taad.model, seed=0), replace(study, pretrained=None)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert start_pretrained(scratch, "taad", model) is None and weights_hash(scratch) is None
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_missing_and_foreign_weights_are_refused(study: Study):
    with pytest.raises(FootpassError, match=r"gnn\.safetensors: there is no such file"):
        start_pretrained(study, "gnn", build_gnn(study.profile.gnn.model, 8))
    wide = replace(study.profile.taad.model, hidden=64)
    with pytest.raises(FootpassError, match=r"taad\.safetensors: does not fit TAAD: of another shape"):
        start_pretrained(study, "taad", TAAD(wide))


def test_records_name_the_weights_that_were_used(study: Study):
    key, scores = weights_hash(study), {"macro_f1": 0.5, "micro_f1": 0.5, "per_class": {}}
    about = {"split": "test", "synthetic": True}
    used = results.record(study, "03_taad", "taad", scores, **about)
    assert results.read_record(used)["pretrained"] == key and len(key) == 12
    real = results.record(study, "02_metric", "official", scores, split="val", synthetic=False)
    assert results.read_record(real)["pretrained"] is None
    publish_weights(TAAD(study.profile.taad.model, seed=6), study.pretrained / "taad.safetensors")
    assert weights_hash(study) != key


def test_the_environment_says_whether_to_start_from_scratch(clean_environment):
    assert open_study("embedded").pretrained == WEIGHTS and open_study("full").pretrained is None
    clean_environment.setenv("FOOTPASS_FROM_SCRATCH", "1")
    assert open_study("embedded").pretrained is None


def test_the_weights_are_those_of_the_card_and_fit_the_small_profiles():
    card = read_object(WEIGHTS / "card.json")
    assert sum(path.stat().st_size for path in WEIGHTS.glob("*.safetensors")) <= 6 * 2**20
    assert {name: values["sha256"] for name, values in card["models"].items()} == {
        name: sha256_file(WEIGHTS / f"{name}.safetensors") for name in NAMES
    }
    assert card["data"] == "synthetic" and card["minutes"]["filmed"] + card["minutes"]["whole"] >= 500
    for name in ("smoke", "embedded"):
        study = open_study(name)
        taad = TAAD(PROFILES[name].taad.model)
        fused = replace(PROFILES[name].dst, sources=paper.FUSED_SOURCES)
        models = {
            "taad": taad,
            "gnn": build_gnn(PROFILES[name].gnn.model, taad.encoder.channels),
            "dst": build_dst(PROFILES[name].dst.network),
            "dst-fused": build_dst(fused.network),
        }
        assert all(
            start_pretrained(study, each, model) == card["models"][each]["sha256"] for each, model in models.items()
        )


@pytest.mark.slow
def test_weights_are_made_stage_by_stage_and_once(tmp_path: Path, monkeypatch):
    for module in ("pretrain", "taad", "gnn", "bank"):  # processes of their own would take longer to start
        monkeypatch.setattr(f"footpass_lib.study.{module}.cores", lambda: 1)
    monkeypatch.setattr("footpass_lib.study.pretrain.side_by_side", lambda n, f, calls: [f(*call) for call in calls])
    small = replace(PROFILES["smoke"].synthetic, height=64, width=112)
    profile = replace(PROFILES["smoke"], synthetic=small)
    plans = replace(PRETRAIN["smoke"], seed=3, filmed=0.5, whole=0.5, banked=2.5, played=0.5)
    lines = list(Pretraining(tmp_path / "work", profile, plans).publish(tmp_path / "out"))
    assert len(lines) == 5 and [Path(line.split(":")[0]).stem for line in lines] == [*NAMES, "card"]
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert all(values["sha256"] == sha256_file(tmp_path / "out" / f"{name}.safetensors") for name, values in
               card["models"].items())  # fmt: skip
    assert card["minutes"] == {"filmed": 0.5, "whole": 0.5, "banked": 2.5, "watched": 0.5, "played": 0.5}
    monkeypatch.setattr("footpass_lib.training.fit.train_epochs", lambda *a: pytest.fail("trained again"))
    monkeypatch.setattr("footpass_lib.study.tubes.film_match", lambda *a: pytest.fail("filmed again"))
    list(Pretraining(tmp_path / "work", profile, plans).publish(tmp_path / "again"))
    for name in NAMES:
        first, again = (tmp_path / out / f"{name}.safetensors" for out in ("out", "again"))
        assert first.read_bytes() == again.read_bytes()
