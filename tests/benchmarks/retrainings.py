"""Earlier runs of the whole embedded study, out of git's history, beside which the present one stands in notebook 11.

Run by hand in a clone with its history: ``python -m tests.benchmarks.retrainings``.
"""

from __future__ import annotations

import json
import subprocess

from footpass_lib.book import report
from footpass_lib.files import write_json
from footpass_lib.study.place import open_study

CHAIN = "reports/metrics/embedded/11_ablation.chain.json"
RUNS = (  # commit, minutes of test, what had changed
    ("2e14d8d", 12, "the first"),
    ("ba40316", 12, "optimizer kernel"),
    ("f108316", 24, "test matches"),
    ("2cd9f26", 24, "training of DST"),
    ("58b86c4", 24, "TAAD's weights"),
    ("2842b6b", 24, "training in bf16"),
)


def chain_of(commit: str) -> dict:
    """The record that notebook 11 had written at a commit."""
    text = subprocess.run(["git", "show", f"{commit}:{CHAIN}"], check=True, capture_output=True, text=True).stdout
    return json.loads(text)["metrics"]


def main() -> None:
    runs = [
        {"commit": commit, "test_minutes": minutes, "what": what, **chain_of(commit)} for commit, minutes, what in RUNS
    ]
    path = report.retrainings_path(open_study("embedded").reports)
    write_json(path, {"runs": runs})
    print(f"{path}: {len(runs)} runs")


if __name__ == "__main__":
    main()
