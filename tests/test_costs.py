"""The records of what the study costs, and their tables."""

from __future__ import annotations

import json

import pytest

from footpass_lib import costs
from footpass_lib.schema import FootpassError


def test_without_records_the_tables_are_empty(tmp_path):
    assert costs.read_run(tmp_path) == costs.read_benchmarks(tmp_path) == {}
    assert costs.training_table({}).empty and costs.benchmark_table({}).empty
    assert costs.run_table({}).loc["all", "minutes"] == 0


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


@pytest.mark.parametrize("text", ["{", json.dumps([1])])
def test_a_broken_record_is_named(tmp_path, text):
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "run.json").write_text(text)
    with pytest.raises(FootpassError, match=r"run\.json"):
        costs.read_run(tmp_path)
