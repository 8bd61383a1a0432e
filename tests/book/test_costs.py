"""The records of what the study costs, and their tables."""

from __future__ import annotations

import json

import numpy as np
import pytest

from footpass_lib.book import costs
from footpass_lib.schema import FootpassError
from footpass_lib.study.profiles import PROFILES


def test_without_records_the_tables_are_empty(tmp_path):
    assert costs.read_record(tmp_path, costs.RUN) == costs.read_record(tmp_path, costs.BENCHMARKS) == {}
    assert costs.training_table({}).empty and costs.benchmark_table({}).empty
    assert costs.run_table({}).loc["all", "minutes"] == 0
    assert costs.read_record(tmp_path, costs.GPU) == {} and costs.gpu_training_table({}).empty


def test_tables_say_what_the_records_say():
    run = {"seconds": {"01_a": 60.0, "02_b": 180.0}, "training": {"TAAD": {"models": 2, "seconds": 240.0},
           "TAAD+GNN": {"models": 0, "seconds": 0.0}}}  # fmt: skip
    table = costs.run_table(run)
    assert table["minutes"].to_dict() == {"01_a": 1, "02_b": 3, "all": 4}
    assert table["share"].to_dict() == {"01_a": 0.25, "02_b": 0.75, "all": 1}
    assert costs.training_table(run).to_dict("index") == {"TAAD": {"models": 2, "minutes each": 2.0}}
    pair = {"name": "edges", "sizes": "6 clips", "plain_cpu_seconds": 0.5, "library_cpu_seconds": 0.01,
            "agreement": "identical"}  # fmt: skip
    row = costs.benchmark_table({"pairs": [pair]}).loc["edges"]
    assert row["times faster"] == pytest.approx(50) and row["agreement"] == "identical" and row["size"] == "6 clips"


def test_training_steps_on_a_gpu():
    step = {"model": "TAAD", "what": "training step", "precision": "bf16", "batch": 6, "limit_gb": None, "fits": True}
    kept = {"checkpointing": False, "seconds": 0.5, "peak_gb": 40.0, "reserved_gb": 48.0}
    recomputed = {"checkpointing": True, "seconds": 1.0, "peak_gb": 10.0, "reserved_gb": 18.0}
    rows = [step | kept, step | recomputed, step | kept | {"limit_gb": 22.0, "fits": False},
            step | recomputed | {"limit_gb": 22.0}, step | kept | {"precision": "no", "fits": False, "seconds": None},
            step | {"what": "inference", "seconds": 0.1}]  # fmt: skip
    table = costs.gpu_training_table({"rows": rows})
    assert table["checkpointing"].tolist() == [False, True, False] and table["GB"].tolist()[:2] == [40, 10]
    assert table["within 22 GB"].tolist() == [False, True, None] and table["precision"].tolist()[2] == "single"
    assert table["seconds"].tolist()[:2] == [0.5, 1.0] and np.isnan(table["seconds"][2])


def test_the_full_schedule_takes_amount_over_rate(project):
    gpu, full = costs.read_record(project / "reports", costs.GPU), PROFILES["full"]
    table = costs.full_schedule(gpu, full)
    assert table.loc["TAAD, training", "amount"] == 8 * 500 * 50 * 20  # section 4: 500 events of 8 classes, 20 epochs
    assert table.loc["TAAD+GNN, training", "amount"] == (8 * 600 + 200) * 50 * 20
    assert table.loc["TAAD, logits", "amount"] == 102 * 75_000 * 2
    windows = table.loc["TAAD+DST, training of one model"]
    assert windows["amount"] == 48 * 2000 * 10 and windows["unit"] == "windows"
    assert table["hours"].to_numpy() == pytest.approx((table["amount"] / table["rate"] / 3600).to_numpy())
    (step,) = (
        r for r in gpu["rows"] if (r["model"], r["what"], r["precision"]) == ("TAAD+DST", "training step", "bf16")
    )
    assert windows["rate"] == pytest.approx(96 / step["seconds"]) and windows["GB"] == step["reserved_gb"]
    twice = {"rows": [*gpu["rows"], step]}
    with pytest.raises(FootpassError, match="has 2 rows of .*TAAD\\+DST"):
        costs.full_schedule(twice, full)
    assert costs.full_schedule({}, full).empty


@pytest.mark.parametrize("text", ["{", json.dumps([1])])
def test_a_broken_record_is_named(tmp_path, text):
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "run.json").write_text(text)
    with pytest.raises(FootpassError, match=r"run\.json"):
        costs.read_record(tmp_path, costs.RUN)
