"""Result records: one JSON file a result, written atomically, with everything needed to trust or repeat it."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

from footpass_lib.events import bootstrap, metrics
from footpass_lib.events.metrics import Matching
from footpass_lib.files import read_object, sha256_text, write_json, write_text
from footpass_lib.schema import EVENT_CLASSES, FootpassError
from footpass_lib.study.place import Study
from footpass_lib.study.pretrained import weights_hash

# Libraries that can change a number.
LIBRARIES = ("torch", "torchvision", "torch-geometric", "pytorchvideo", "numpy", "pandas", "scikit-learn", "h5py", "av")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_FINDING = ".finding.txt"


def record(
    study: Study,
    notebook: str,  # for example 02_metric
    name: str,  # what was measured: lower case letters, digits, _ and -
    values: Mapping,  # an event result has macro_f1, micro_f1, per_class (metrics.Scores.as_dict)
    *,
    split: str,  # the matches it was measured on
    synthetic: bool,  # whether they are synthetic
    config: Mapping | object = (),  # settings of the run
    data: Mapping[str, str] | None = None,  # SHA-256 per input
    seconds: float | None = None,  # wall time of what was measured
    seed: int | None = None,  # where several seeds are recorded under one name
    details: Mapping | None = None,  # anything else a reader of the record needs
) -> Path:
    """Write one result to ``reports/metrics/<profile>/<notebook>.<name>[.seed<k>].json``.

    What depends on the machine alone (hardware, wall time, commit) is in its part ``run``; where the rest is what the
    file already says, the file is left untouched. FootpassError if a name would not make a file name, a value is not
    finite, or the file cannot be written.
    """
    for text in (notebook, name):
        if not _NAME.fullmatch(text):
            raise FootpassError(f"{text!r} cannot name a record: use lower case letters, digits, '_' and '-'")
    settings = asdict(config) if is_dataclass(config) else dict(config)
    result = {
        "notebook": notebook,
        "name": name,
        "profile": study.profile.name,
        "split": split,
        "synthetic": synthetic,
        "seed": seed,
        "metrics": dict(values),
        "config": settings,
        "config_hash": sha256_text(json.dumps(settings, sort_keys=True, default=str))[:12],
        "data": dict(data or {}),
        "pretrained": weights_hash(study) if synthetic and "per_class" in values else None,
        "details": dict(details or {}),
        "versions": versions(),
    }
    try:
        result = json.loads(json.dumps(result, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise FootpassError(f"record {notebook}.{name}: not plain finite values ({error})") from error
    path = metrics_folder(study.reports, study.profile.name) / _file_name(notebook, name, seed)
    if path.is_file():
        before = read_record(path)
        before.pop("run", None)
        if before == result:
            return path
    run = {"seconds": None if seconds is None else round(seconds, 2), "commit": _commit(), **hardware()}
    write_json(path, {**result, "run": run})
    return path


def record_events(
    study: Study, notebook: str, name: str, matching: Matching, *, details: Mapping | None = None, **about
) -> Path:
    """Record how a system's events score: what :func:`record` needs, from one matching.

    The ground truth must say which events have a box. The details also have ``blocks``, the counts of
    ``bootstrap.block_counts``, and ``recall``, events and found ones with and without a box, over all classes.
    """
    found = metrics.recall_splits(matching).loc["all"]
    boxes = ("with box", "without box")
    recall = {split: {kind: int(found[split, kind]) for kind in ("n", "found")} for split in boxes}
    details = {"blocks": bootstrap.block_counts(matching).tolist(), "recall": recall, **(details or {})}
    return record(study, notebook, name, metrics.score(matching).as_dict(), details=details, **about)


def record_finding(study: Study, notebook: str, line: str) -> Path:
    """Keep what a notebook found, one line of text (else FootpassError), as ``<notebook>.finding.txt``."""
    if not line.strip() or len(line.splitlines()) > 1:
        raise FootpassError(f"{notebook}: a finding is one line of text, not {line!r}")
    path = metrics_folder(study.reports, study.profile.name) / f"{notebook}{_FINDING}"
    write_text(path, line.strip() + "\n")
    return path


def read_findings(study: Study) -> dict[str, str]:
    """The line of each notebook that has been run in the study's profile, by its name."""
    paths = sorted(metrics_folder(study.reports, study.profile.name).glob(f"*{_FINDING}"))
    return {path.name.removesuffix(_FINDING): path.read_text(encoding="utf-8").strip() for path in paths}


def _file_name(notebook: str, name: str, seed: int | None) -> str:
    return f"{notebook}.{name}.json" if seed is None else f"{notebook}.{name}.seed{seed}.json"


def metrics_folder(reports: Path | str, profile: str) -> Path:
    """Where the records of a profile lie."""
    return Path(reports) / "metrics" / profile


def read_record(path: Path | str) -> dict:
    """Read one record; FootpassError if the file cannot be read or is none."""
    content = read_object(Path(path))
    if "metrics" not in content:
        raise FootpassError(f"{path}: no record (an object with 'metrics' was expected)")
    return content


def read_records(study: Study, notebook: str = "") -> dict[str, dict]:
    """All records of the study's profile, of one notebook or (empty) of all: ``{file name without .json: record}``."""
    folder = metrics_folder(study.reports, study.profile.name)
    pattern = f"{notebook}.*.json" if notebook else "*.json"
    return {path.stem: read_record(path) for path in sorted(folder.glob(pattern))}


def score_table(records: Mapping[str, dict]) -> pd.DataFrame:
    """Records of event results as one table: a row a record, with Macro, Micro and the eight class F1s."""
    rows = {}
    for key, content in records.items():
        values = content["metrics"]
        if "per_class" not in values:
            continue
        label = f"{content['name']}" + (" (synthetic)" if content["synthetic"] else "")
        per_class = {name: values["per_class"][name]["f1"] for name in EVENT_CLASSES}
        row = {"system": label, "split": content["split"], "macro F1": values["macro_f1"]}
        rows[key] = {**row, "micro F1": values["micro_f1"], **per_class}
    return pd.DataFrame.from_dict(rows, orient="index")


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that can change a number."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name).split("+")[0]
        except PackageNotFoundError:
            continue
    return {"python": platform.python_version(), **found}


@cache
def hardware() -> dict[str, object]:
    """Processor, number of cores, and GPU, if there is one."""
    from torch import cuda  # torch takes seconds to import; only a written record needs it

    gpu = cuda.get_device_name(0) if cuda.is_available() else None
    return {"cpu": _cpu_name(), "cores": os.cpu_count(), "gpu": gpu}


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@cache
def _commit() -> str | None:
    """The commit of the checkout that the library belongs to, with ``+`` if it was changed; None without git."""
    here = Path(__file__).parents[1]
    try:
        ask = {"cwd": here, "capture_output": True, "text": True, "timeout": 10, "check": True}
        commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], **ask).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "--", "."], **ask).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changed else "")
