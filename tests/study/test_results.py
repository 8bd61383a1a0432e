import json
import math
from dataclasses import dataclass

import pytest

from footpass_lib.files import atomic_path, sha256_file, write_json
from footpass_lib.schema import EVENT_CLASSES, FootpassError
from footpass_lib.study import results
from footpass_lib.study.place import Study, find_project, open_study
from footpass_lib.study.profiles import PROFILES


@pytest.fixture()
def study(tmp_path):
    return Study(PROFILES["smoke"], tmp_path, None, tmp_path / "data", tmp_path / "reports", 0)


@dataclass(frozen=True)
class Settings:
    width: int = 3


def event_metrics(f1=0.5):
    per_class = {name: {"tp": 1, "fp": 1, "fn": 1, "f1": f1} for name in EVENT_CLASSES}
    return {"macro_f1": f1, "micro_f1": f1, "per_class": per_class}


def test_a_record_holds_what_is_needed(study):
    path = results.record(
        study, "02_metric", "dst", event_metrics(), split="val", synthetic=True, config=Settings(), data={"a": "b"},
        seconds=1.234, seed=3, details={"note": "x"},
    )  # fmt: skip
    assert path == study.reports / "metrics" / "smoke" / "02_metric.dst.seed3.json"
    content = results.read_record(path)
    assert content["metrics"]["macro_f1"] == 0.5 and content["config"] == {"width": 3} and content["synthetic"] is True
    assert content["split"] == "val" and content["seed"] == 3 and content["data"] == {"a": "b"}
    assert content["profile"] == "smoke" and content["details"] == {"note": "x"} and len(content["config_hash"]) == 12
    assert {"python", "numpy", "torch"} <= set(content["versions"])
    assert content["run"]["seconds"] == 1.23 and content["run"]["cores"] >= 1 and "commit" in content["run"]


def test_a_repeated_result_leaves_the_file_as_it_is(study):
    common = {"split": "val", "synthetic": False}
    path = results.record(study, "02_metric", "dst", event_metrics(), seconds=1.0, **common)
    before = path.read_bytes()
    results.record(study, "02_metric", "dst", event_metrics(), seconds=99.0, **common)
    assert path.read_bytes() == before
    results.record(study, "02_metric", "dst", event_metrics(0.25), seconds=99.0, **common)
    assert results.read_record(path)["metrics"]["macro_f1"] == 0.25


def test_a_finding_is_one_line_beside_the_records_and_no_record(study):
    assert results.read_findings(study) == {}
    results.record(study, "02_metric", "dst", event_metrics(), split="val", synthetic=True)
    path = results.record_finding(study, "02_metric", "Macro F1 0.250")
    assert path.read_text() == "Macro F1 0.250\n" and results.read_findings(study) == {"02_metric": "Macro F1 0.250"}
    results.record_finding(study, "02_metric", "Macro F1 0.500")
    assert results.read_findings(study) == {"02_metric": "Macro F1 0.500"}
    assert results.read_records(study, "02_metric").keys() == {"02_metric.dst"}
    for line in ("", "two\nlines"):
        with pytest.raises(FootpassError, match="02_metric: a finding is one line"):
            results.record_finding(study, "02_metric", line)


def test_bad_records_are_refused(study):
    common = {"split": "val", "synthetic": False}
    with pytest.raises(FootpassError, match="not plain finite"):
        results.record(study, "02_metric", "dst", {"macro_f1": math.nan}, **common)
    with pytest.raises(FootpassError, match="not plain finite"):
        results.record(study, "02_metric", "dst", {"macro_f1": object()}, **common)
    for name in ("../dst", "D", ""):
        with pytest.raises(FootpassError, match="cannot name a record"):
            results.record(study, "02_metric", name, {}, **common)
    assert not (study.reports / "metrics").exists()


def test_reading_records(study):
    for name in ("dst", "taad"):
        results.record(study, "02_metric", name, event_metrics(), split="val", synthetic=name == "dst")
    results.record(study, "01_data", "counts", {"events": 3}, split="train", synthetic=False)
    found = results.read_records(study)
    assert list(found) == ["01_data.counts", "02_metric.dst", "02_metric.taad"]
    table = results.score_table(found)
    assert table["system"].tolist() == ["dst (synthetic)", "taad"] and table["block"].tolist() == [0.5, 0.5]
    assert list(results.read_records(study, "01_data")) == ["01_data.counts"]
    (study.reports / "metrics" / "smoke" / "03_x.y.json").write_text("{")
    with pytest.raises(FootpassError, match=r"03_x\.y\.json: no valid JSON"):
        results.read_records(study)


def test_parameters_come_from_arguments_then_variables_then_defaults(tmp_path, clean_environment):
    (tmp_path / "environment.yml").write_text("")
    (tmp_path / "notebooks").mkdir()
    clean_environment.chdir(tmp_path / "notebooks")
    usual = open_study()
    assert (usual.profile.name, usual.project, usual.public_root) == ("embedded", tmp_path, None)
    assert (usual.reports, usual.data_root) == (tmp_path / "reports", tmp_path / "data" / "embedded")
    assert usual.figures == tmp_path / "reports" / "figures" / "embedded"
    clean_environment.setenv("FOOTPASS_PROFILE", "smoke")
    clean_environment.setenv("FOOTPASS_REPORTS", str(tmp_path / "elsewhere"))
    clean_environment.setenv("FOOTPASS_DATA_ROOT", str(tmp_path / "archive"))
    other = open_study(seed=4)
    assert (other.profile.name, other.reports, other.seed) == ("smoke", tmp_path / "elsewhere", 4)
    assert other.data_root == tmp_path / "archive"
    assert open_study("full", str(tmp_path)).profile.name == "full"


def test_project_without_environment_file_is_the_folder_itself(tmp_path):
    assert find_project(tmp_path) == tmp_path


def test_nothing_half_written_is_left(tmp_path):
    target = tmp_path / "deep" / "file.txt"
    with pytest.raises(RuntimeError), atomic_path(target) as part:
        part.write_text("half")
        raise RuntimeError
    assert not target.exists() and not list(target.parent.iterdir())
    write_json(target, {"a": 1})
    before = sha256_file(target)
    with pytest.raises(ValueError):
        write_json(target, {"a": math.nan})
    assert sha256_file(target) == before and json.loads(target.read_text()) == {"a": 1}
