"""All benchmarks, as one table, and as a record in ``reports/metrics/benchmarks.json``.

Run by hand on an idle machine: ``python tests/benchmarks/run_all.py [--quick] [--record]``, with the repository's root
in ``PYTHONPATH``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from footpass_lib.book import costs
from footpass_lib.files import write_json
from footpass_lib.study.results import hardware, versions
from tests.benchmarks import bench_dst, bench_gnn, bench_metrics, bench_tactical, bench_video
from tests.benchmarks.common import Pair, measure_all, table

RECORD = costs.record_path(Path(__file__).resolve().parents[2] / "reports", costs.BENCHMARKS)
SUBJECTS = {
    "tactical": bench_tactical,
    "dst": bench_dst,
    "gnn": bench_gnn,
    "metrics": bench_metrics,
    "video": bench_video,
}


def pairs(subject: str, quick: bool) -> list[Pair]:
    """The pairs of a subject, at full or at tiny sizes."""
    module = SUBJECTS[subject]
    return measure_all(module.cases(module.QUICK if quick else module.FULL), quick)


def record(measured: dict[str, list[Pair]], quick: bool, path: Path = RECORD) -> None:
    """Write the pairs of every subject and the machine they were measured on, atomically."""
    listed = [{"subject": subject, **pair.as_dict()} for subject, found in measured.items() for pair in found]
    machine = {**hardware(), "threads": torch.get_num_threads(), "versions": versions()}
    write_json(path, {"quick": quick, "pairs": listed, "machine": machine})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one run each: checks, but hardly times")
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.relative_to(RECORD.parents[2])}")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    measured = {}
    for subject in SUBJECTS:
        measured[subject] = pairs(subject, arguments.quick)
        print(f"{subject}: {len(measured[subject])} pairs agree", flush=True)
    print(table(pair for found in measured.values() for pair in found))
    if arguments.record:
        record(measured, arguments.quick)


if __name__ == "__main__":
    main()
