"""The evaluation of predictions, against loops over the groups of every half.

Run by hand: ``python tests/benchmarks/bench_metrics.py [--halves 6] [--events 1000] [--quick] [--json]``, with the
repository's root in ``PYTHONPATH``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from footpass_lib.events.bootstrap import bootstrap
from footpass_lib.events.metrics import average_precision, match_events, score
from footpass_lib.events.playbyplay import FIELDS, Events, make_events
from footpass_lib.schema import DETECTION_THRESHOLD, N_CLASSES, TOLERANCE
from tests.benchmarks.common import Arrays, Case, best, main

# Of the official annotations (section 3), drive to block.
_SHARES = np.array([0.389, 0.4995, 0.0236, 0.0189, 0.0120, 0.0399, 0.0031, 0.0139])
Lists = dict[str, list[list]]  # half -> events, as in the official JSON


@dataclass(frozen=True)
class Sizes:
    """Halves, and the events, predictions, frames and jerseys of a team in each."""

    halves: int = 6
    events: int = 1000
    predictions: int = 3000
    frames: int = 75_000
    jerseys: int = 14
    seed: int = 0


FULL, QUICK = Sizes(), Sizes(halves=2, events=60, predictions=180, frames=1500, jerseys=3)


def random_lists(sizes: Sizes) -> tuple[Lists, Lists]:
    """Predictions and ground truth: two predictions of three are near an event, some of them of another class."""
    rng = np.random.default_rng(sizes.seed)
    predictions, truth = {}, {}
    for number in range(sizes.halves):
        half = f"game_{number // 2}_H{1 + number % 2}"
        events = _random_events(rng, sizes.events, sizes)
        near = events[rng.integers(0, len(events), 2 * sizes.predictions // 3)]
        near[:, 0] += np.rint(rng.normal(0, 8, len(near))).astype(int)
        wrong = rng.random(len(near)) < 0.2
        near[wrong, 3] = rng.integers(1, N_CLASSES, wrong.sum())
        made = np.concatenate([near, _random_events(rng, sizes.predictions - len(near), sizes)])
        made[:, 0] = made[:, 0].clip(0, sizes.frames - 1)
        scores = rng.random(len(made)).round(3)  # rounded, so that there are ties
        predictions[half] = [[*event, value] for event, value in zip(made.tolist(), scores.tolist(), strict=True)]
        truth[half] = [[*event, 1, 0] for event in events.tolist()]
    return predictions, truth


def _random_events(rng: np.random.Generator, n: int, sizes: Sizes) -> np.ndarray:
    """Frame, team, jersey and class, (n, 4), by frame."""
    columns = [
        np.sort(rng.integers(0, sizes.frames, n)),
        rng.integers(0, 2, n),
        rng.integers(1, 1 + sizes.jerseys, n),
        rng.choice(np.arange(1, N_CLASSES), n, p=_SHARES / _SHARES.sum()),
    ]
    return np.stack(columns, axis=1)


def as_events(lists: Lists, kind: str) -> Events:
    """The same as the library's table."""
    rows = [(half, *event) for half, events in lists.items() for event in events]
    return make_events(list(lists), dict(zip(("half", *FIELDS[kind]), zip(*rows, strict=True), strict=True)))


def evaluate_by_loops(predictions: Lists, truth: Lists) -> Arrays:
    """Section 7, word by word: for every half and every group, its predictions and events picked out of all."""
    counts = np.zeros((N_CLASSES - 1, 3), np.int64)
    for half, events in truth.items():
        made = [p for p in predictions[half] if p[4] >= DETECTION_THRESHOLD]
        for group in sorted({tuple(event[1:4]) for event in events + made}):
            team, jersey, label = group
            free = [e[0] for e in events if e[1] == team and e[2] == jersey and e[3] == label]
            mine = [p for p in made if p[1] == team and p[2] == jersey and p[3] == label]
            for frame, *_ in sorted(mine, key=lambda p: -p[4]):
                closest = min(free, key=lambda other: abs(other - frame), default=None)
                if closest is not None and abs(closest - frame) <= TOLERANCE:
                    free.remove(closest)
                    counts[label - 1, 0] += 1
                else:
                    counts[label - 1, 1] += 1
            counts[label - 1, 2] += len(free)
    f1 = [2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0 for tp, fp, fn in counts.tolist()]
    tp, fp, fn = counts.sum(axis=0).tolist()
    return {"counts": counts, "f1": np.array(f1), "macro": sum(f1) / len(f1), "micro": 2 * tp / (2 * tp + fp + fn)}


def evaluate_by_library(predictions: Events, truth: Events) -> Arrays:
    """Counts and F1, by the library."""
    scores = score(match_events(predictions, truth))
    counts, f1 = scores.per_class[["tp", "fp", "fn"]].to_numpy(), scores.per_class["f1"].to_numpy()
    return {"counts": counts, "f1": f1, "macro": scores.macro_f1, "micro": scores.micro_f1}


def cases(sizes: Sizes) -> Iterator[Case]:
    """The evaluation, both ways starting from what they have read into memory."""
    predictions, truth = random_lists(sizes)
    tables = as_events(predictions, "predictions"), as_events(truth, "truth")
    yield Case(
        "evaluation",
        "lists of events scanned for every group of team, jersey and class, against match_events and score on tables",
        f"{sizes.halves} halves x {sizes.events:,} events and {sizes.predictions:,} predictions",
        lambda: evaluate_by_loops(predictions, truth),
        lambda: evaluate_by_library(*tables),
        tolerance=1e-12,
    )


def figures(sizes: Sizes) -> dict[str, float]:
    """What else of the library takes time, in seconds."""
    predictions, truth = random_lists(sizes)
    tables = as_events(predictions, "predictions"), as_events(truth, "truth")
    matching, ranking = match_events(*tables), match_events(*tables, threshold=0)
    return {
        "matching": best(lambda: match_events(*tables), 1).seconds,
        "scores of a matching": best(lambda: score(matching), 1).seconds,
        "average precision of a matching": best(lambda: average_precision(ranking), 1).seconds,
        "bootstrap of 2,000 resamples": best(lambda: bootstrap(matching, np.random.default_rng(0)), 1).seconds,
    }


if __name__ == "__main__":
    main(__doc__, cases, FULL, QUICK, figures)
