"""What the benchmarks share: two ways to one result, timed only once they agree; tables; a half to measure on.

The straightforward ways are written from the description of the official code (sections 6 to 9 of the FOOTPASS
baseline). Where it leaves a choice, the way that is quicker to run is taken, or both are shown.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from footpass_lib.schema import COLUMN, N_CLASSES, N_ROLES, N_SLOTS

HALF = "game_0_H1"
FRAME, TEAM, ROLE, CLASS = (COLUMN[name] for name in ("frame", "left_to_right", "role_id", "class"))
Arrays = Mapping[str, np.ndarray]
Sizes = TypeVar("Sizes")  # a dataclass of whole numbers: how large a benchmark is
_BUDGET = 2.0  # seconds that each way is repeated for
_MAX_RUNS = 2000
_BUSY = 1.25  # wall-clock time above this many times the processor's: something else was running


class Timing(NamedTuple):
    """The fastest of some runs: seconds by the clock, seconds of the processor in that run, and how many runs."""

    seconds: float
    cpu: float
    runs: int


def best(work: Callable[[], object], budget: float = _BUDGET) -> Timing:
    """Run once, and again until ``budget`` seconds have gone by."""
    runs: list[tuple[float, float]] = []
    begun = time.perf_counter()
    while not runs or (len(runs) < _MAX_RUNS and time.perf_counter() - begun < budget):
        start, cpu = time.perf_counter(), time.process_time()
        work()
        runs.append((time.perf_counter() - start, time.process_time() - cpu))
    return Timing(*min(runs), len(runs))


@dataclass(frozen=True)
class Case:
    """Two ways to one result, before they are timed.

    Attributes
    ----------
    name, measures, sizes : str
        What a table calls it; what is measured, and on how much.
    plain, library : function
        The straightforward way and the library's.
    tolerance : float
        How far floats may differ, absolutely or as a share; 0 for not at all. Whole numbers and booleans never may.
    plain_arrays, library_arrays : function
        What the two results are as arrays by name; not timed.
    """

    name: str
    measures: str
    sizes: str
    plain: Callable[[], object]
    library: Callable[[], object]
    tolerance: float = 0.0
    plain_arrays: Callable[[object], Arrays] = dict
    library_arrays: Callable[[object], Arrays] = dict


@dataclass(frozen=True)
class Pair:
    """Two ways that gave one result, and their times.

    Attributes
    ----------
    name, measures, sizes, tolerance
        As in :class:`Case`.
    plain, library : Timing
        Of the straightforward way and of the library's.
    """

    name: str
    measures: str
    sizes: str
    tolerance: float
    plain: Timing
    library: Timing

    @property
    def ratio(self) -> float:
        """How many times faster the library is, by the clock."""
        return self.plain.seconds / self.library.seconds

    def as_dict(self) -> dict[str, object]:
        """Plain values for a record."""
        about = {"name": self.name, "measures": self.measures, "sizes": self.sizes}
        agreement = f"within {self.tolerance:g}" if self.tolerance else "identical"
        times = {"plain_seconds": self.plain.seconds, "library_seconds": self.library.seconds, "ratio": self.ratio}
        more = {"plain_cpu_seconds": self.plain.cpu, "library_cpu_seconds": self.library.cpu}
        runs = {"plain_runs": self.plain.runs, "library_runs": self.library.runs}
        return {**about, "agreement": agreement, **times, **more, **runs}


def agree(name: str, plain: Arrays, library: Arrays, tolerance: float) -> None:
    """Check that two results are the same.

    Raises
    ------
    AssertionError
        If a name, a shape or a value differs; the message says where.
    """
    if set(plain) != set(library):
        raise AssertionError(f"{name}: the two ways disagree: {sorted(plain)} against {sorted(library)}")
    for part in plain:
        ours, theirs = np.asarray(library[part]), np.asarray(plain[part])
        exact = not tolerance or "f" not in (ours.dtype.kind, theirs.dtype.kind)
        try:
            if exact:
                np.testing.assert_array_equal(ours, theirs, strict=False)
            else:
                np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
            assert ours.shape == theirs.shape, f"shapes {ours.shape} and {theirs.shape}"  # NumPy broadcasts scalars
        except AssertionError as error:
            raise AssertionError(f"{name}: the two ways disagree about {part}: {error}") from None


def measure(case: Case, budget: float = _BUDGET) -> Pair:
    """Compare what the two ways of a case give, then time both; errors as in :func:`agree`."""
    plain, library = case.plain_arrays(case.plain()), case.library_arrays(case.library())
    agree(case.name, plain, library, case.tolerance)
    timings = best(case.plain, budget), best(case.library, budget)
    return Pair(case.name, case.measures, case.sizes, case.tolerance, *timings)


def measure_all(cases: Iterable[Case], quick: bool) -> list[Pair]:
    """The pairs of some cases; quick ones are run once, which checks that they agree and says little of the time."""
    return [measure(case, 0.0 if quick else _BUDGET) for case in cases]


def table(pairs: Iterable[Pair]) -> str:
    """The pairs as text, one a line, and a warning if other work took the processor away."""
    pairs = list(pairs)
    lines = [f"{'':42}{'plain, s':>13}{'library, s':>13}{'ratio':>10}{'of cpu':>10}  sizes"]
    for pair in pairs:
        of_cpu = pair.plain.cpu / max(pair.library.cpu, 1e-9)  # what a busy machine distorts less
        times = f"{pair.plain.seconds:13.6f}{pair.library.seconds:13.6f}{pair.ratio:10,.1f}{of_cpu:10,.1f}"
        lines.append(f"{pair.name:42}{times}  {pair.sizes}")
    waited = [p.name for p in pairs if any(t.seconds > _BUSY * t.cpu for t in (p.plain, p.library))]
    if waited:
        lines.append(f"The machine was busy with something else during: {', '.join(waited)}")
    return "\n".join(lines)


def main(
    description: str,
    cases: Callable[[Sizes], Iterable[Case]],
    full: Sizes,
    quick: Sizes,
    figures: Callable[[Sizes], dict[str, float]] | None = None,
) -> None:
    """The command line of one file: its table, and further figures; every size is an option."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one run each: checks, but hardly times")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    for size in fields(full):
        parser.add_argument(f"--{size.name.replace('_', '-')}", type=int, help=f"{getattr(full, size.name)} by default")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    given = {size.name: getattr(arguments, size.name) for size in fields(full)}
    sizes = replace(quick if arguments.quick else full, **{k: v for k, v in given.items() if v is not None})
    pairs = measure_all(cases(sizes), arguments.quick)
    further = figures(sizes) if figures else {}
    if arguments.json:
        print(json.dumps({"pairs": [pair.as_dict() for pair in pairs], "figures": further}))
        return
    print(table(pairs))
    for name, value in further.items():
        print(f"{name:42}{value:13.6f}")


def wandering_rows(n_frames: int, seed: int) -> np.ndarray:
    """Rows of a half with 22 wandering players, a box three times out of five, and an event every 78 frames."""
    rng = np.random.default_rng(seed)
    slots = np.array([slot for slot in range(N_SLOTS) if slot % N_ROLES < N_ROLES - 2])
    rows = np.empty((n_frames * len(slots), len(COLUMN)), np.float32)
    slot = np.tile(slots, n_frames)
    rows[:, COLUMN["frame"]] = np.repeat(np.arange(n_frames), len(slots))
    rows[:, COLUMN["player_id"]] = 100 * (1 + slot // N_ROLES) + slot
    rows[:, COLUMN["left_to_right"]] = slot // N_ROLES
    rows[:, COLUMN["shirt_number"]] = slot + 1
    rows[:, COLUMN["role_id"]] = slot % N_ROLES + 1
    walk = np.cumsum(rng.normal(0, 0.0005, (n_frames, len(slots), 4)), axis=0).reshape(-1, 4)
    rows[:, COLUMN["x"] : COLUMN["roi_x"]] = walk + 0.5
    rows[:, COLUMN["roi_x"] : COLUMN["class"]] = 20 + np.round(1000 * np.abs(walk))
    rows[rng.random(len(rows)) < 0.4, COLUMN["roi_x"] : COLUMN["class"]] = np.nan
    rows[:, COLUMN["class"]] = 0
    events = rng.choice(len(rows), n_frames // 78, replace=False)
    rows[events, COLUMN["class"]] = rng.integers(1, N_CLASSES, len(events))
    return rows
