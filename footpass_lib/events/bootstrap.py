"""How sure a score is: block bootstrap over stretches of play, paired between systems."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from footpass_lib.events.metrics import N_EVENT_CLASSES, Matching, precision_recall_f1
from footpass_lib.schema import FPS, FootpassError

BLOCK_SECONDS = 120.0


@dataclass(frozen=True)
class Interval:
    """An estimate with a bootstrap percentile interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self:.4f}"

    def __format__(self, form: str) -> str:
        """``f"{gain:+.3f}"`` is ``+0.039 [+0.013, +0.065]``."""
        form = form or ".4f"
        return f"{self.estimate:{form}} [{self.low:{form}}, {self.high:{form}}]"


def block_counts(matching: Matching, block_seconds: float = BLOCK_SECONDS) -> np.ndarray:
    """TP, FP and FN per block of time and class, shape (blocks, 8, 3).

    Blocks cover each half from its first to its last ground-truth event, so that every system scored on the same ground
    truth has the same blocks; a prediction outside belongs to the nearest block, a true positive to its event's block.
    """
    halves = pd.Index(matching.halves)
    truth, predictions = matching.truth, matching.predictions
    hits = predictions[predictions["tp"]]
    hits = hits.assign(frame=hits["frame"] - hits["offset"])  # where the event is
    false_alarms = predictions[~predictions["tp"]]
    misses = truth[~truth["found"]]
    length = round(block_seconds * FPS)
    frames = truth.groupby("half", observed=True)["frame"]
    first = frames.min().reindex(halves, fill_value=0).to_numpy()
    n_blocks = (frames.max().reindex(halves, fill_value=0).to_numpy() - first) // length + 1
    start = np.cumsum(n_blocks) - n_blocks  # block 0 of each half among all blocks
    counts = np.zeros((n_blocks.sum(), N_EVENT_CLASSES, 3), dtype=np.int64)
    for kind, table in enumerate((hits, false_alarms, misses)):
        half = halves.get_indexer(table["half"])
        block = np.clip((table["frame"].to_numpy() - first[half]) // length, 0, n_blocks[half] - 1)
        np.add.at(counts, (start[half] + block, table["class"].to_numpy() - 1, kind), 1)
    return counts


def bootstrap(
    matching: Matching,
    rng: np.random.Generator,
    *,
    other: Matching | None = None,
    resamples: int = 2000,
    level: float = 0.95,
    block_seconds: float = BLOCK_SECONDS,
) -> dict[str, Interval]:
    """Block bootstrap of Macro and Micro F1, or of the difference of two systems (paired).

    Blocks of two minutes are drawn with replacement, since events within a passage of play depend on each other. With
    ``other``, both systems are scored on the same drawn blocks and the interval is that of ``matching`` minus
    ``other``. Returns ``macro_f1`` and ``micro_f1``, each an :class:`Interval` of the given level. FootpassError if
    there is nothing to draw from, or if the two systems were not scored on the same ground truth.
    """
    blocks, minus = block_counts(matching, block_seconds), None
    if other is not None:
        key = ["half", "frame", "team", "jersey", "class"]
        if matching.halves != other.halves or not matching.truth[key].equals(other.truth[key]):
            raise FootpassError("a paired comparison needs both systems matched to the same ground truth")
        minus = block_counts(other, block_seconds)
    return bootstrap_counts(blocks, rng, minus=minus, resamples=resamples, level=level)


def bootstrap_counts(
    counts: np.ndarray,
    rng: np.random.Generator,
    *,
    minus: np.ndarray | None = None,
    resamples: int = 2000,
    level: float = 0.95,
) -> dict[str, Interval]:
    """:func:`bootstrap` from counts (blocks, 8, 3), such as a record keeps; ``minus`` are those of the other system.

    Counts may have more dimensions in front, (runs, blocks, 8, 3): every draw of blocks is then scored for each run,
    and the mean F1 over the runs counts. Both systems may have different numbers of runs. FootpassError if there is
    nothing to draw from, or the two systems have not the same blocks with the same events.
    """
    counts = _as_runs(counts)
    n_blocks = counts.shape[1]
    if not n_blocks:
        raise FootpassError("no half to draw blocks from")
    draws = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=resamples)
    once = np.ones((1, n_blocks), dtype=np.int64)
    samples, estimates = _mean_f1(counts, draws), _mean_f1(counts, once)
    if minus is not None:
        minus = _as_runs(minus)
        events = [runs[0, ..., 0] + runs[0, ..., 2] for runs in (counts, minus)]  # TP + FN
        if events[0].shape != events[1].shape or (events[0] != events[1]).any():
            raise FootpassError("a paired comparison needs both systems counted in the same blocks of the same events")
        samples = {k: v - w for (k, v), w in zip(samples.items(), _mean_f1(minus, draws).values(), strict=True)}
        estimates = {k: v - w for (k, v), w in zip(estimates.items(), _mean_f1(minus, once).values(), strict=True)}
    tails = [(1 - level) / 2, (1 + level) / 2]
    return {k: Interval(float(estimates[k][0]), *map(float, np.quantile(v, tails))) for k, v in samples.items()}


def _as_runs(counts: np.ndarray) -> np.ndarray:
    counts = np.asarray(counts)
    return counts[None] if counts.ndim == 3 else counts


def _mean_f1(runs: np.ndarray, draws: np.ndarray) -> dict[str, np.ndarray]:
    """Mean over runs (runs, blocks, 8, 3) of Macro and Micro F1 (resamples,); draws of blocks (resamples, blocks)."""
    # Whole numbers, exact as floats too, whose products are many times faster.
    totals = [np.tensordot(draws.astype(float), counts.astype(float), axes=1) for counts in runs]  # (resamples, 8, 3)
    macro = [precision_recall_f1(total)[..., 2].mean(axis=1) for total in totals]
    micro = [precision_recall_f1(total.sum(axis=1))[:, 2] for total in totals]
    return {"macro_f1": np.mean(macro, axis=0), "micro_f1": np.mean(micro, axis=0)}
