"""The benchmarks' two ways agree at tiny sizes, and a pair whose ways disagree is refused. Times are not looked at."""

import json
from dataclasses import replace

import numpy as np
import pytest

from footpass_lib.book.costs import gpu_training_table
from footpass_lib.models.dst import DSTSettings
from footpass_lib.samples.windows import WindowSettings
from footpass_lib.study.place import Study
from footpass_lib.study.profiles import PROFILES
from footpass_lib.study.results import read_records
from tests.benchmarks import bench_build, bench_gpu, run_all
from tests.benchmarks.common import Case, agree, measure, table

SUBJECTS = list(run_all.SUBJECTS)


def case(plain, library, **about):
    about = {"plain_arrays": lambda value: {"value": value}, "library_arrays": lambda value: {"value": value}} | about
    return Case("a pair", "nothing", "none", lambda: plain, lambda: library, **about)


def spoiled(array):
    """A copy whose last value is another one, and one that lacks the last entry."""
    array = np.atleast_1d(np.array(array))
    other = array.copy()
    last = np.nan_to_num(other.flat[-1])
    other.flat[-1] = not last if other.dtype == bool else last + 1
    return other, array[:-1]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_pairs_agree_and_have_times(subject):
    pairs = run_all.pairs(subject, quick=True)
    assert pairs and len({pair.name for pair in pairs}) == len(pairs)
    for pair in pairs:
        assert pair.plain.runs == pair.library.runs == 1 and pair.ratio > 0
        assert pair.name in table(pairs) and json.dumps(pair.as_dict(), allow_nan=False)


@pytest.mark.slow
def test_the_benchmark_of_the_gpu_runs_at_tiny_sizes():
    small = WindowSettings(window=160, max_tokens=3)
    model = DSTSettings(windows=small, width=32, feedforward=64, encoder_layers=1, decoder_layers=1)
    rows = [*bench_gpu.detectors(bench_gpu.QUICK, 0.0), *bench_gpu.sequence_model(bench_gpu.QUICK, 0.0, model)]
    steps = gpu_training_table({"rows": rows})
    assert len(steps) == 10 and steps["within 22 GB"].tolist()[:3] == [True, True, None]
    assert all(row["fits"] and row["seconds"] > 0 and row["runs"] == 1 for row in rows)
    assert len([row for row in rows if row.get("same_tokens")]) == 2


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_part_of_a_result_is_compared(subject):
    module = run_all.SUBJECTS[subject]
    for made in module.cases(module.QUICK):
        plain, library = made.plain_arrays(made.plain()), made.library_arrays(made.library())
        for part in library:
            assert np.size(plain[part]), f"{made.name}: {part} is empty, so that anything would agree"
            for wrong in spoiled(library[part]):
                with pytest.raises(AssertionError, match=f"{made.name}: the two ways disagree about {part}"):
                    agree(made.name, plain, {**library, part: wrong}, made.tolerance)


@pytest.mark.parametrize(
    ("plain", "library"),
    [
        (np.arange(3), np.array([0, 1, 3])),
        (np.arange(3), np.arange(4)),
        (np.zeros(3), np.zeros(1)),
        (np.array([1.0, np.nan]), np.array([1.0, 2.0])),
        (np.array([True]), np.array([False])),
        (np.ones(2), np.ones(2) + 1e-6),
    ],
)
def test_a_pair_that_disagrees_raises(plain, library):
    with pytest.raises(AssertionError, match="a pair: the two ways disagree about value"):
        measure(case(plain, library), budget=0)


def test_tolerance_is_for_floats_alone():
    near = np.ones(2), np.ones(2) + 1e-6
    assert measure(case(*near, tolerance=1e-5), budget=0).as_dict()["agreement"] == "within 1e-05"
    for wrong in (near, (np.array([1000]), np.array([1001]))):
        with pytest.raises(AssertionError, match="disagree"):
            measure(case(*wrong, tolerance=1e-7), budget=0)
    with pytest.raises(AssertionError, match="disagree: \\['value'\\] against \\['other'\\]"):
        measure(case(*near, tolerance=1, library_arrays=lambda value: {"other": value}), budget=0)


def test_record_is_complete_and_no_record_of_a_notebook(tmp_path):
    pair = measure(case(np.arange(3), np.arange(3)), budget=0)
    study = Study(PROFILES["smoke"], tmp_path, None, tmp_path / "data", tmp_path / "reports", seed=0)
    path = tmp_path / "reports" / "metrics" / run_all.RECORD.name
    run_all.record({"one": [pair], "two": [replace(pair, name="another")]}, quick=True, path=path)
    content = json.loads(path.read_text())
    assert [(entry["subject"], entry["name"]) for entry in content["pairs"]] == [("one", "a pair"), ("two", "another")]
    assert {"plain_seconds", "library_seconds", "ratio", "sizes", "agreement"} <= set(content["pairs"][0])
    assert {"cpu", "cores", "threads", "versions"} <= set(content["machine"]) and content["quick"]
    assert read_records(study) == {}


def test_builds_are_compared_only_where_they_print_the_same(tmp_path):
    builds = {"then": tmp_path / "then", "now": tmp_path / "now"}
    for name, place in builds.items():
        place.mkdir()
        (place / "own.py").write_text(f"name = {name!r}")
    same = bench_build.Work("same", ("-S", "-c", "import own; print(len('done'))"))
    costs = bench_build.compare(same, builds, rounds=1)
    assert costs["cpu_then"] > 0 and costs["seconds_now"] > 0 and "same" in bench_build.table([costs])
    other = bench_build.Work("other", ("-S", "-c", "import own; print(own.name)"))
    with pytest.raises(AssertionError, match="other: the builds print different results"):
        bench_build.compare(other, builds, rounds=1)
