"""Where the minutes of a run go, from what the run itself noted; meaningful after ``./run_all.sh`` from nothing.

Run by hand: ``python -m tests.benchmarks.profile_run [--profile embedded] [--record]``.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

import pandas as pd

from footpass_lib.book import costs
from footpass_lib.book.current import runs_folder
from footpass_lib.files import write_json
from footpass_lib.study.place import Study, open_study
from footpass_lib.study.results import hardware, versions

MODELS = {"TAAD": "taad-", "TAAD+GNN": "gnn-", "TAAD+DST": "dst-"}


def by_notebook(study: Study) -> dict[str, float]:
    """Seconds of each notebook's run."""
    stamps = sorted(runs_folder(study).glob("[0-9][0-9]_*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in stamps}


def training(study: Study) -> dict[str, dict[str, float]]:
    """Models trained and the sum of their seconds, by kind; those trained side by side have one thread each."""
    found = {}
    for name, prefix in MODELS.items():
        paths = sorted(study.models.glob(f"{prefix}*/history.csv"))
        models = {re.sub("(-phase[0-9]+)?-[0-9a-f]+$", "", path.parent.name) for path in paths}
        seconds = sum(pd.read_csv(path)["seconds"].sum() for path in paths)
        found[name] = {"models": len(models), "seconds": float(seconds)}
    return found


def data_seconds(root: Path) -> float | None:
    """Seconds from the first file of a synthetic data root to the last one; None where it was not made here."""
    first, last = root / "build.json", root / "manifest.json"
    return last.stat().st_mtime - first.stat().st_mtime if first.is_file() and last.is_file() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="embedded")
    parser.add_argument("--record", action="store_true", help="keep it as reports/metrics/run.json")
    parser.add_argument("--note", default="", help="what readers of the record should know of the run")
    options = parser.parse_args()
    study = open_study(options.profile)
    run = {
        "profile": options.profile, "note": options.note, "seconds": by_notebook(study),
        "synthetic_matches": data_seconds(study.data_root), "training": training(study),
        "machine": {**hardware(), "versions": versions()},
    }  # fmt: skip
    print(costs.run_table(run).round(2), costs.training_table(run).round(1), sep="\n\n")
    print(f"\nsynthetic matches: {(run['synthetic_matches'] or 0) / 60:.1f} minutes")
    if options.record:
        write_json(costs.record_path(study.reports, costs.RUN), run)


if __name__ == "__main__":
    main()
