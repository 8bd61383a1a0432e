"""This build against an earlier one: the same work in both, by turns, each time in a process of its own.

Run by hand in a clone of the repository: ``python -m tests.benchmarks.bench_build [--commit 6bc64fa] [--rounds 4]
[--record]``. What the two builds write is compared before their times are.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from footpass_lib.data.tactical import write_tactical
from footpass_lib.files import sha256_text, write_json
from footpass_lib.study.profiles import PROFILES
from footpass_lib.study.results import hardware, versions
from footpass_lib.synthetic.build import build
from tests.benchmarks.bench_metrics import Sizes, random_lists
from tests.benchmarks.common import HALF, wandering_rows

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "reports" / "metrics" / "builds.json"
BUILD = "6bc64fa"  # what ratios are to
EVALUATED = Sizes(halves=12, events=1000, predictions=25_417)
FRAMES = 75_000
_MINUTES = {"train": 1, "val": 1, "test": 1, "challenge": 1, "half_minutes": 0.5}

# Prints a hash of the arrays; the modules' names are those of either build.
_HALF = f"""
import hashlib, sys
try:
    from footpass_lib.data.tactical import TacticalFile
except ImportError:
    from footpass_lib.tactical import TacticalFile
if len(sys.argv) > 1:
    half = TacticalFile(sys.argv[1]).half("{HALF}")
if len(sys.argv) > 2:
    for name in ("position", "velocity", "box", "observed", "visible", "jersey", "player_id", "class_id"):
        print(name, hashlib.sha256(getattr(half, name).tobytes()).hexdigest())
"""

# Each build has an embedded detector of its own; it reads the same matches, with random weights.
_DETECTOR = """
import sys
try:
    from footpass_lib.data.dataroot import DataRoot
    from footpass_lib.spotting.detector import half_logits
    from footpass_lib.study.profiles import PROFILES
except ImportError:
    from footpass_lib.config import PROFILES
    from footpass_lib.dataroot import DataRoot
    from footpass_lib.inference import half_logits
from footpass_lib.models.taad import TAAD
import torch
torch.set_num_threads(1)
plan, root = PROFILES["embedded"].taad, DataRoot(sys.argv[1])
model = TAAD(plan.model)
if len(sys.argv) > 2:
    half_logits(model, root, root.halves("val")[0], plan.inference)
"""


@dataclass(frozen=True)
class Work:
    """What both builds do: arguments of the interpreter; ``less`` are those of a run whose time does not count."""

    name: str
    arguments: tuple[str, ...]
    less: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()  # further arguments with which it prints what is compared


@dataclass(frozen=True)
class Cost:
    """Of one process: seconds by the clock and of the processor."""

    seconds: float
    cpu: float


def run(place: Path, arguments: tuple[str, ...]) -> tuple[Cost, str]:
    """One process of a build; CalledProcessError if it fails."""
    environment = {**os.environ, "PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as printed:
        begun = time.perf_counter()
        child = subprocess.Popen([sys.executable, *arguments], env=environment, cwd=place, stdout=printed)
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise subprocess.CalledProcessError(child.returncode, child.args)
        printed.seek(0)
        text = printed.read().decode()
    return Cost(seconds, used.ru_utime + used.ru_stime), text


def works(folder: Path) -> list[Work]:
    """All work, on files that are made in a folder."""
    for name, lists in zip(("predictions", "truth"), random_lists(EVALUATED), strict=True):
        write_json(folder / f"{name}.json", {"keys": list(lists), "events": lists})
    write_tactical(folder / "half.h5", {HALF: wandering_rows(FRAMES, 0)})
    module = ("-m", "footpass_lib")
    evaluated = tuple(str(folder / f"{name}.json") for name in ("predictions", "truth"))
    n = EVALUATED.halves * EVALUATED.predictions
    sizes = replace(PROFILES["embedded"].synthetic, **_MINUTES)
    build(folder / "root", sizes, 0)
    half, detector = ("-c", _HALF), ("-c", _DETECTOR, str(folder / "root"))
    libraries = ("-c", "import h5py, numpy, pandas")
    return [
        Work("import footpass_lib", ("-c", "import footpass_lib")),
        Work("python -m footpass_lib --help", (*module, "--help")),
        Work(f"evaluate of {n:,} predictions, whole command", (*module, "evaluate", *evaluated)),
        Work(f"evaluate of {n:,} predictions, less imports", (*module, "evaluate", *evaluated), libraries),
        Work(f"a half of {FRAMES:,} frames to arrays", (*half, str(folder / "half.h5")), half, ("shown",)),
        Work("a half of 750 frames through the embedded TAAD", (*detector, "run"), detector),
    ]


def compare(work: Work, builds: dict[str, Path], rounds: int) -> dict[str, object]:
    """Least costs of both builds over some rounds, by turns; AssertionError if they do not print the same."""
    printed = {name: run(place, work.arguments + work.shown)[1] for name, place in builds.items()}
    if "--help" not in work.arguments and len(set(printed.values())) > 1:
        raise AssertionError(f"{work.name}: the builds print different results: {printed}")
    found: dict[str, list[Cost]] = {name: [] for name in builds}
    for _ in range(rounds):
        for name, place in builds.items():
            cost, idle = run(place, work.arguments)[0], run(place, work.less)[0] if work.less else Cost(0, 0)
            found[name].append(Cost(cost.seconds - idle.seconds, cost.cpu - idle.cpu))
    result: dict[str, object] = {"name": work.name, "output": sha256_text(printed["now"])[:16]}
    for name, costs in found.items():
        for part in ("seconds", "cpu"):
            result[f"{part}_{name}"] = float(np.min([getattr(cost, part) for cost in costs]))
    return result


def table(results: list[dict]) -> str:
    """The comparison as text, one work a line."""
    lines = [f"{'':52}{'cpu then':>10}{'now':>8}{'ratio':>7}{'s then':>9}{'now':>8}{'ratio':>7}"]
    for r in results:
        parts = (
            f"{r['cpu_then']:10.2f}{r['cpu_now']:8.2f}{r['cpu_then'] / r['cpu_now']:7.1f}",
            f"{r['seconds_then']:9.2f}{r['seconds_now']:8.2f}{r['seconds_then'] / r['seconds_now']:7.1f}",
        )
        lines.append(f"{r['name']:52}{''.join(parts)}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commit", default=BUILD, help="the earlier build (%(default)s)")
    parser.add_argument("--rounds", type=int, default=4, help="of each work, by turns (%(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="the work whose name has this")
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.relative_to(ROOT)}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        then = Path(folder) / "then"
        then.mkdir()
        archive = subprocess.run(["git", "archive", options.commit], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", then], input=archive, check=True)
        builds = {"then": then, "now": ROOT}
        chosen = [work for work in works(Path(folder)) if options.only in work.name]
        results = [compare(work, builds, options.rounds) for work in chosen]
    print(table(results))
    if options.record:
        machine = {**hardware(), "threads": 1, "versions": versions()}
        write_json(RECORD, {"commit": options.commit, "rounds": options.rounds, "works": results, "machine": machine})


if __name__ == "__main__":
    main()
