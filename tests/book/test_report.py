"""The ablation in words: the committed report, and earlier runs beside the present one."""

import math

import pytest
from test_ablation import BASE, BETTER, f1, made, table

from footpass_lib import plots
from footpass_lib.book import ablation, report
from footpass_lib.book.ablation import Row
from footpass_lib.files import write_json
from footpass_lib.study.place import Study
from footpass_lib.study.profiles import PROFILES


def test_the_report_is_a_file(tmp_path):
    records = {"06_x.base.seed0": made(1), "07_x.better.seed0": made(2)}
    rows = (BASE, BETTER, Row("gone", "09_x.gone", "real", 1, "base"))
    path = tmp_path / "deep" / "ablation.md"
    report.write_ablation(path, table(records, rows), ablation.class_f1(rows, records), "smoke")
    text = path.read_text()
    assert "smoke profile" in text and "## The chain" in text and "## Real matches" in text and "Before" not in text
    line = next(line for line in text.splitlines() if line.startswith("| gone"))
    assert line.count("missing") >= 4
    better = next(line for line in text.splitlines() if line.startswith("| better"))
    assert f"{f1(2):.3f}" in better and f"{f1(2) - f1(1):+.3f} [" in better and "1 of 3" in better
    assert not list(path.parent.glob("*.part"))


def test_only_the_embedded_profile_writes_the_committed_report(tmp_path):
    assert report.ablation_path(tmp_path, "embedded") == tmp_path / "ablation.md"
    assert report.ablation_path(tmp_path, "smoke") == tmp_path / "metrics" / "smoke" / "ablation.md"


def test_runs_of_the_whole_study_stand_beside_this_one(tmp_path):
    study = Study(PROFILES["embedded"], tmp_path, None, tmp_path, tmp_path, 0)
    now = table({"06_x.base.seed0": made(2), "07_x.better.seed0": made(3)})
    assert list(report.retrainings(study, now).index) == ["this run"]
    earlier = {"what": "the first", "commit": "abc", "test_minutes": 12, "macro_f1": {"base": 0.25}, "gain": {}}
    write_json(report.retrainings_path(tmp_path), {"runs": [earlier]})
    runs = report.retrainings(study, now)
    assert list(runs.index) == ["the first", "this run"] and runs["test minutes"].tolist() == [
        12,
        PROFILES["embedded"].synthetic.test,
    ]
    assert runs.loc["the first", "base"] == 0.25 and math.isnan(runs.loc["the first", "better"])
    gain = f1(3) - f1(2)
    assert runs.loc["this run"][("better", "gain")] == pytest.approx(gain)
    texts = report.readable_retrainings(runs)
    assert list(texts.columns) == ["better"] and texts.loc["the first", "better"] == "missing"
    assert texts.loc["this run", "better"].startswith(f"{gain:+.3f} [")
    figure = plots.retrained_gains(runs, {"better": 0.1})
    dots = [line for line in figure.axes[0].lines if line.get_label() == "this run"]
    assert dots[0].get_xdata() == pytest.approx([gain])
    smoke = Study(PROFILES["smoke"], tmp_path, None, tmp_path, tmp_path, 0)
    assert list(report.retrainings(smoke, now).index) == ["this run"]
