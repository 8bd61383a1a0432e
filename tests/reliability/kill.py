"""Kill the study again and again and see whether it comes to the very same results.

Run by hand, on Linux: ``python tests/reliability/kill.py --out DIR [--rounds 6] [--seed 0] [--only 01,03] [--twice]``.

The project as it lies here (tracked files and new ones that git does not ignore) is copied to ``DIR``. One copy runs
``./run_all.sh --profile smoke`` undisturbed. A second copy is started again and again and killed with SIGKILL after a
random time, then left to finish. With ``--twice`` the second copy runs undisturbed, too. Exit code 1, with a list, if

- a record of the two copies differs in anything but its ``run`` part (hardware, seconds, commit),
- a temporary file (``.part``) is left in either copy,
- a process that a killed run had started lives on.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
# Values of records that are measurements of this machine and may differ between two good runs, as
# {record: {"metrics.name", ...}}. There are none: notebook 04 records the bytes that autograd keeps, which it counts,
# and leaves peak memory and seconds in the notebook; the seconds of notebook 13 are in the record's ``run`` part.
MEASURED: dict[str, set[str]] = {}
GRACE = 20.0  # seconds that kernels and workers have to notice that the run is gone
SHORTEST = 1.0  # seconds before a kill


def copy_project(target: Path) -> Path:
    """Copy the files of the project as they lie here; what git ignores (data, models, results) stays behind."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        source = PROJECT / name
        if source.is_file() and not source.is_symlink():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    return target


def environment() -> dict[str, str]:
    """This environment with this Python first, and without settings that would lead a copy to other folders."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FOOTPASS_")}
    kept.pop("PYTHONPATH", None)  # the library of the copy, not of the project
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    public = Path(os.environ.get("FOOTPASS_PUBLIC", PROJECT / "data" / "footpass_public"))
    return kept | ({"FOOTPASS_PUBLIC": str(public.resolve())} if public.is_dir() else {})


def start(copy: Path, only: str) -> subprocess.Popen:
    """Start the study in a copy, in a process group of its own; what it prints is added to ``<copy>.log``."""
    command = ["./run_all.sh", "--profile", "smoke", *(["--only", only] if only else [])]
    with copy.with_suffix(".log").open("a") as log:
        return subprocess.Popen(
            command, cwd=copy, env=environment(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, process_group=0
        )


def parents() -> dict[int, int]:
    """Parent of every process, by process id."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in brackets may hold anything, brackets and spaces too.
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:  # ended meanwhile
            continue
        if state != "Z":
            found[int(path.parent.name)] = int(parent)
    return found


def descendants(process: int) -> set[int]:
    """Processes that a process started, directly or through others."""
    children: dict[int, list[int]] = {}
    for child, parent in parents().items():
        children.setdefault(parent, []).append(child)
    found, todo = set(), [process]
    while todo:
        new = children.get(todo.pop(), [])
        found.update(new)
        todo += new
    return found


def born(process: int) -> str:
    """When a process was started; empty if it is gone. Tells it from a later one with the same number."""
    try:
        state, *rest = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else rest[18]


def kill(run: subprocess.Popen) -> list[str]:
    """Kill a run's process group; returns (and ends) what it had started that lives on after ``GRACE`` seconds.

    Jupyter starts kernels in a session of their own, out of the group: they are to notice by themselves.
    """
    started = {process: born(process) for process in descendants(run.pid)}
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    alive, until = dict(started), time.monotonic() + GRACE
    while alive and time.monotonic() < until:
        time.sleep(0.5)
        alive = {process: birth for process, birth in alive.items() if birth and born(process) == birth}
    told = []
    for process, birth in alive.items():
        command = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        told.append(f"process {process} lives on {GRACE:g} s after the kill: {command[:160]}")
        if born(process) == birth:
            os.kill(process, signal.SIGKILL)
    return told


def finish(copy: Path, only: str) -> float:
    """Let the study run through in a copy; returns the seconds it took."""
    started = time.monotonic()
    code = start(copy, only).wait()
    if code:
        tail = "\n".join(copy.with_suffix(".log").read_text(errors="replace").splitlines()[-5:])
        sys.exit(f"{copy}: the run ended with code {code}\n{tail}")
    return time.monotonic() - started


def harass(copy: Path, only: str, times: list[float]) -> list[str]:
    """Start and kill the study after each of the times; returns what went wrong."""
    problems = []
    for i, seconds in enumerate(times, 1):
        run = start(copy, only)
        try:
            code = run.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            left = kill(run)
            problems += [f"kill {i}: {text}" for text in left]
            where = copy.with_suffix(".log").read_text(errors="replace").splitlines()[-1:]
            print(f"kill {i} of {len(times)} after {seconds:.1f} s, at: {''.join(where)[:100]!r}", flush=True)
            print("\n".join(f"    {text}" for text in left), end="\n" if left else "", flush=True)
            continue
        print(f"round {i} of {len(times)}: had finished before {seconds:.1f} s, with code {code}", flush=True)
        problems += [f"round {i}: the run ended with code {code}"] if code else []
    return problems


def records(copy: Path) -> dict[str, dict]:
    """Every record of a copy without its ``run`` part and the values that ``MEASURED`` names."""
    found = {}
    for path in sorted((copy / "reports" / "metrics" / "smoke").glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        content.pop("run", None)
        found[path.stem] = {k: v for k, v in flat(content) if k not in MEASURED.get(path.stem, ())}
    return found


def flat(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """The plain values of a JSON structure with their places: ``metrics.per_class.pass.tp``."""
    if isinstance(value, (dict, list)) and value:
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from flat(child, f"{name}.{key}".lstrip("."))
    else:
        yield name, value


def differences(one: dict[str, dict], two: dict[str, dict], most: int = 5) -> list[str]:
    """How the records of two copies differ, at most ``most`` values of each record."""
    told = [f"{name}: a record of one copy only" for name in sorted(one.keys() ^ two.keys())]
    for name in sorted(one.keys() & two.keys()):
        places = [k for k in {**one[name], **two[name]} if one[name].get(k, "-") != two[name].get(k, "-")]
        told += [f"{name}: {k} is {one[name].get(k, '-')} and {two[name].get(k, '-')}" for k in places[:most]]
        told += [f"{name}: and {len(places) - most} more values"] if len(places) > most else []
    return told


def strays(copy: Path) -> list[str]:
    """Temporary files that are left in a copy."""
    found = sorted(path for path in copy.rglob("*") if ".part" in path.suffixes)
    return [f"left behind: {path} ({path.stat().st_size} bytes)" for path in found]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="a new or empty folder")
    parser.add_argument("--rounds", type=int, default=6, help="kills (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the times of the kills (%(default)s)")
    parser.add_argument("--only", default="", help="notebooks, for example 01,03,05 (all by default)")
    parser.add_argument("--twice", action="store_true", help="no kills: two undisturbed runs")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _parser().parse_args(argv)
    out = options.out.resolve()
    if out.exists() and any(out.iterdir()):
        sys.exit(f"{out}: is not empty")
    first = copy_project(out / "undisturbed")
    second = shutil.copytree(first, out / ("again" if options.twice else "killed"))
    seconds = finish(first, options.only)
    print(f"undisturbed: {seconds:.0f} s, {len(records(first))} records", flush=True)
    problems = []
    if not options.twice:
        # Twice the mean time between kills: together they take as long as the whole run, so that all of it is hit.
        draw, longest = random.Random(options.seed), max(2 * seconds / max(options.rounds, 1), 2 * SHORTEST)
        problems = harass(second, options.only, [draw.uniform(SHORTEST, longest) for _ in range(options.rounds)])
    print(f"the last run of the second copy: {finish(second, options.only):.0f} s", flush=True)
    problems += differences(records(first), records(second)) + strays(first) + strays(second)
    if not records(first):
        problems.append("there are no records to compare")
    for text in problems:
        print(f"PROBLEM {text}")
    print(f"{len(problems)} problems; {len(records(first))} records compared")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
