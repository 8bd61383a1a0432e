"""What real football does next: transitions between event classes, gaps between events, and the rarity tilt.

``transitions.json`` beside this file holds aggregate statistics of the 48 training matches of FOOTPASS. It is written
by ``python -m footpass_lib.synthetic.play.transitions playbyplay_train.json``.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from footpass_lib.schema import CLASS_ID, CLASSES, EVENT_CLASSES, N_CLASSES, FootpassError

RELATIONS = ("same", "mate", "opponent")  # who acts next, seen from the actor before
QUANTILES = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100)  # percent
DEAD_GAP = 150  # frames; a pass, cross or shot by another player after that long is a restart of play
LONGEST_LIVE_GAP = 250  # frames; a longer gap with the ball in play is a hole in the annotation
_RESTARTS = tuple(CLASS_ID[name] for name in ("pass", "cross", "shot"))
Mix = tuple[tuple[str, float], ...]  # factors on the class shares, e.g. (("cross", 1.5),)
TABLE = Path(__file__).with_name("transitions.json")


@dataclass(frozen=True)
class Calibration:
    """Transition table of the real events; K kinds of transition.

    Attributes
    ----------
    source, target : (K,) int
        Class ids 1..8 of the two events.
    relation : (K,) int
        Index into ``RELATIONS``.
    dead : (K,) bool
        Whether the ball was dead in between.
    count : (K,) int
    gap : (K, 11) float
        Frames between the two events at ``QUANTILES``.
    shares : (9,) float
        Share of each class among all events, 0 for background.
    """

    source: np.ndarray
    target: np.ndarray
    relation: np.ndarray
    dead: np.ndarray
    count: np.ndarray
    gap: np.ndarray
    shares: np.ndarray


def is_dead(target: int, relation: int, gap: int) -> bool:
    """Whether the ball was dead before an event, judged by its class, its actor's relation, and the gap in frames."""
    late_restart = target in _RESTARTS and relation != 0 and gap >= DEAD_GAP
    return target == CLASS_ID["throw-in"] or late_restart


def relation_of(before: tuple[int, int], after: tuple[int, int]) -> int:
    """Index into ``RELATIONS`` of two (team, player) pairs, the earlier one first."""
    if before == after:
        return 0
    return 1 if before[0] == after[0] else 2


def measure(truth: Path) -> dict:
    """Aggregate a play-by-play ground truth into the table that ``transitions.json`` holds.

    Parameters
    ----------
    truth : Path
        ``playbyplay_train.json`` in the official format.

    Returns
    -------
    dict
        ``halves``, ``events``, ``shares`` per class name and ``transitions``: rows of source, target, relation, dead,
        count and gap quantiles (frames).

    Raises
    ------
    FootpassError
        If the file is not in that format.
    """
    halves = _read_halves(truth)
    gaps: dict[tuple[int, int, int, bool], list[int]] = defaultdict(list)
    counts = np.zeros(N_CLASSES, int)
    for rows in halves.values():
        rows = sorted(rows)
        for row in rows:
            counts[row[3]] += 1
        for before, after in pairwise(rows):
            relation = relation_of((before[1], before[2]), (after[1], after[2]))
            gap = after[0] - before[0]
            dead = is_dead(after[3], relation, gap)
            gaps[before[3], after[3], relation, dead].append(gap if dead else min(gap, LONGEST_LIVE_GAP))
    transitions = [
        [CLASSES[a], CLASSES[b], RELATIONS[r], dead, len(g), np.percentile(g, QUANTILES).round().astype(int).tolist()]
        for (a, b, r, dead), g in sorted(gaps.items())
    ]
    shares = {name: round(int(counts[CLASS_ID[name]]) / int(counts.sum()), 6) for name in EVENT_CLASSES}
    return {"halves": len(halves), "events": int(counts.sum()), "shares": shares, "transitions": transitions}


def _read_halves(truth: Path) -> dict[str, list]:
    try:
        return json.loads(Path(truth).read_text())["events"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FootpassError(
            f"{truth}: no play-by-play ground truth; expected {{'keys', 'events'}} ({error})"
        ) from error


@lru_cache(maxsize=1)
def load_calibration() -> Calibration:
    """Read the committed table."""
    table = json.loads(TABLE.read_text())
    source, target, relation, dead, count, gap = zip(*table["transitions"], strict=True)
    return Calibration(
        np.array([CLASS_ID[name] for name in source]),
        np.array([CLASS_ID[name] for name in target]),
        np.array([RELATIONS.index(name) for name in relation]),
        np.array(dead),
        np.array(count),
        np.array(gap, float),
        np.array([table["shares"].get(name, 0.0) for name in CLASSES]),
    )


# --- rarity ----------------------------------------------------------------------------------------------------------


def expected_shares(rarity: float, class_mix: Mix = ()) -> np.ndarray:
    """Class shares of a long match, shape (9,): ``share_c ** (1 - rarity) * mix_c``, scaled to sum 1.

    At rarity 0 these are the real shares (pass to tackle 160 : 1); towards 1 all classes become equally frequent.

    Raises
    ------
    FootpassError
        If ``rarity`` lies outside 0..1, or ``class_mix`` names an unknown class or holds a factor that is not positive.
    """
    if not 0 <= rarity <= 1:
        raise FootpassError(f"rarity is {rarity}; expected 0 (real class shares) to 1 (equal shares)")
    target = load_calibration().shares ** (1 - rarity)
    target[0] = 0.0
    for name, factor in class_mix:
        if name not in EVENT_CLASSES or not factor > 0:
            raise FootpassError(f"class_mix has {name!r}: {factor}; expected one of {EVENT_CLASSES} and a factor > 0")
        target[CLASS_ID[name]] *= factor
    return target / target.sum()


@lru_cache(maxsize=32)
def class_weights(rarity: float, class_mix: Mix = ()) -> tuple[float, ...]:
    """Weight of each class as the target of a transition, 9 numbers (0 for background, 1 for pass).

    The tilted table is ``p'(c | a) = p(c | a) w_c / sum_b p(b | a) w_b``, where p is the real table. The weights are
    those under which the long-run shares of p' are :func:`expected_shares`; they are found by scaling each weight with
    the root of wanted over reached share until nothing moves. Errors as in :func:`expected_shares`.
    """
    wanted = expected_shares(rarity, class_mix)
    chain = transition_counts(load_calibration())
    chain /= np.maximum(chain.sum(1, keepdims=True), 1)
    weights = np.append(0.0, np.ones(N_CLASSES - 1))
    for _ in range(500):
        reached = stationary_shares(chain * weights)
        weights[1:] *= np.sqrt(wanted[1:] / reached[1:])
        weights /= weights[CLASS_ID["pass"]]
        if np.abs(reached - wanted).max() < 1e-9:
            break
    return tuple(weights.tolist())


def stationary_shares(matrix: np.ndarray) -> np.ndarray:
    """Long-run share of each class, shape (9,), under a table (9, 9) of transition weights or counts.

    Rows are the classes that events come from, columns those that follow; rows need not be normalised, and a row
    without entries is taken to lead anywhere.
    """
    total = matrix.sum(1, keepdims=True)
    chain = np.divide(matrix, total, out=np.full(matrix.shape, 1 / N_CLASSES), where=total > 0)
    # Left eigenvector of eigenvalue 1: the least-squares solution of s (P - I) = 0 with sum(s) = 1.
    system = np.vstack([chain.T - np.eye(N_CLASSES), np.ones(N_CLASSES)])
    shares = np.linalg.lstsq(system, np.append(np.zeros(N_CLASSES), 1.0), rcond=None)[0]
    shares = np.clip(shares, 1e-12, None)
    return shares / shares.sum()


def transition_counts(table: Calibration) -> np.ndarray:
    """Number of real transitions from class to class, shape (9, 9)."""
    counts = np.zeros((N_CLASSES, N_CLASSES))
    np.add.at(counts, (table.source, table.target), table.count)
    return counts


def undo_rarity(counts: np.ndarray, rarity: float, class_mix: Mix = ()) -> np.ndarray:
    """Real class shares, shape (9,), estimated from transition counts (9, 9) simulated at some rarity.

    Each count is divided by the weight of its target class, which turns the tilted table back into the real one.
    """
    weights = np.array(class_weights(rarity, class_mix))
    return stationary_shares(np.divide(counts, weights, out=np.zeros(counts.shape), where=weights > 0))


def main(arguments: list[str]) -> None:
    """Write the table: ``python -m footpass_lib.synthetic.play.transitions playbyplay_train.json [out.json]``."""
    if len(arguments) not in (1, 2):
        raise SystemExit(main.__doc__)
    out = Path(arguments[1]) if len(arguments) == 2 else TABLE
    table = measure(Path(arguments[0]))
    rows = table.pop("transitions")
    head = "".join(f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in table.items())
    body = ",\n".join(f"  {json.dumps(row)}" for row in rows)  # one transition a line
    text = f'{{\n{head} "transitions": [\n{body}\n ]\n}}\n'
    partial = out.with_name(out.name + ".part")
    partial.write_text(text)
    partial.replace(out)


if __name__ == "__main__":
    main(sys.argv[1:])
