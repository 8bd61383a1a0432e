"""What real football does next: transitions between event classes, gaps between events, and the rarity tilt.

``transitions.json`` beside this file holds aggregate statistics of the 48 training matches of FOOTPASS. It is written
by ``python -m footpass_lib.synthetic.play.transitions playbyplay_train.json``.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from footpass_lib.events import statistics
from footpass_lib.events.playbyplay import read_events
from footpass_lib.files import write_text
from footpass_lib.schema import CLASS_ID, CLASSES, EVENT_CLASSES, N_CLASSES, FootpassError

RELATIONS = ("same", "mate", "opponent")  # who acts next, seen from the actor before
SAME, MATE, OPPONENT = range(3)
QUANTILES = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100)  # percent
DEAD_GAP = 150  # frames; a pass, cross or shot by another player after that long is a restart of play
LONGEST_LIVE_GAP = 250  # frames; a longer gap with the ball in play is a hole in the annotation
Mix = tuple[tuple[str, float], ...]  # factors on the class shares, e.g. (("cross", 1.5),)
TABLE = Path(__file__).with_name("transitions.json")


@dataclass(frozen=True)
class Transitions:
    """Transition table of the real events; K kinds of transition."""

    source: np.ndarray  # (K,) class ids 1..8 of the event before
    target: np.ndarray  # (K,) and of the one that follows
    relation: np.ndarray  # (K,) index into RELATIONS
    dead: np.ndarray  # (K,) whether the ball was dead in between
    count: np.ndarray  # (K,)
    gap: np.ndarray  # (K, 11) frames between the two events at QUANTILES
    shares: np.ndarray  # (9,) share of each class among all events, 0 for background


def measure(truth: Path) -> dict:
    """Aggregate a play-by-play ground truth; errors as in ``read_events``.

    Returns what ``transitions.json`` holds: ``halves``, ``events``, ``shares`` per class name and ``transitions``, rows
    of source, target, relation, dead, count and gap quantiles (frames).
    """
    events = read_events(truth, "truth")
    pairs = statistics.consecutive(events)
    pairs["relation"] = pairs["relation"].map(dict(zip(statistics.RELATIONS, range(3), strict=True)))
    restarts = [CLASS_ID[name] for name in ("pass", "cross", "shot")]
    late = pairs["next"].isin(restarts) & (pairs["relation"] != SAME) & (pairs["gap"] >= DEAD_GAP)
    pairs["dead"] = late | (pairs["next"] == CLASS_ID["throw-in"])
    pairs["gap"] = pairs["gap"].where(pairs["dead"], pairs["gap"].clip(upper=LONGEST_LIVE_GAP))
    transitions = []
    for (source, target, relation, dead), gap in pairs.groupby(["class", "next", "relation", "dead"])["gap"]:
        quantiles = np.percentile(gap, QUANTILES).round().astype(int).tolist()
        transitions.append([CLASSES[source], CLASSES[target], RELATIONS[relation], bool(dead), len(gap), quantiles])
    shares = events.table["class"].value_counts(normalize=True)
    shares = {name: round(float(shares.get(CLASS_ID[name], 0)), 6) for name in EVENT_CLASSES}
    return {"halves": len(events.halves), "events": len(events), "shares": shares, "transitions": transitions}


@lru_cache(maxsize=1)
def load_transitions() -> Transitions:
    """Read the committed table."""
    table = json.loads(TABLE.read_text())
    source, target, relation, dead, count, gap = zip(*table["transitions"], strict=True)
    return Transitions(
        source=np.array([CLASS_ID[name] for name in source]),
        target=np.array([CLASS_ID[name] for name in target]),
        relation=np.array([RELATIONS.index(name) for name in relation]),
        dead=np.array(dead),
        count=np.array(count),
        gap=np.array(gap, float),
        shares=np.array([table["shares"].get(name, 0.0) for name in CLASSES]),
    )


def expected_shares(rarity: float, class_mix: Mix = ()) -> np.ndarray:
    """Class shares of a long match, shape (9,): ``share_c ** (1 - rarity) * mix_c``, scaled to sum 1.

    At rarity 0 these are the real shares (pass to tackle 160 : 1); towards 1 all classes become equally frequent.
    FootpassError if ``rarity`` lies outside 0..1, or ``class_mix`` has an unknown class or a factor not above 0.
    """
    if not 0 <= rarity <= 1:
        raise FootpassError(f"rarity is {rarity}; expected 0 (real class shares) to 1 (equal shares)")
    target = load_transitions().shares ** (1 - rarity)
    target[0] = 0.0
    for name, factor in class_mix:
        if name not in EVENT_CLASSES or not factor > 0:
            raise FootpassError(f"class_mix has {name!r}: {factor}; expected one of {EVENT_CLASSES} and a factor > 0")
        target[CLASS_ID[name]] *= factor
    return target / target.sum()


@lru_cache(maxsize=32)
def rarity_weights(rarity: float, class_mix: Mix = ()) -> tuple[float, ...]:
    """Weight of each class as the target of a transition, 9 numbers (0 for background, 1 for pass).

    The tilted table is ``p'(c | a) = p(c | a) w_c / sum_b p(b | a) w_b``, where p is the real table. The weights are
    those under which the long-run shares of p' are :func:`expected_shares`; they are found by scaling each weight with
    the root of wanted over reached share until nothing moves. Errors as in :func:`expected_shares`.
    """
    wanted = expected_shares(rarity, class_mix)
    chain = transition_counts(load_transitions())
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


def transition_counts(table: Transitions) -> np.ndarray:
    """Number of real transitions from class to class, shape (9, 9)."""
    counts = np.zeros((N_CLASSES, N_CLASSES))
    np.add.at(counts, (table.source, table.target), table.count)
    return counts


def undo_rarity(counts: np.ndarray, rarity: float, class_mix: Mix = ()) -> np.ndarray:
    """Real class shares, shape (9,), estimated from transition counts (9, 9) simulated at some rarity.

    Each count is divided by the weight of its target class, which turns the tilted table back into the real one.
    """
    weights = np.array(rarity_weights(rarity, class_mix))
    return stationary_shares(np.divide(counts, weights, out=np.zeros(counts.shape), where=weights > 0))


def main(arguments: list[str]) -> None:
    """Write the table: ``python -m footpass_lib.synthetic.play.transitions playbyplay_train.json [out.json]``."""
    if len(arguments) not in (1, 2):
        raise SystemExit(main.__doc__)
    table = measure(Path(arguments[0]))
    rows = table.pop("transitions")
    head = "".join(f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in table.items())
    body = ",\n".join(f"  {json.dumps(row)}" for row in rows)  # one transition a line
    write_text(arguments[1] if len(arguments) == 2 else TABLE, f'{{\n{head} "transitions": [\n{body}\n ]\n}}\n')


if __name__ == "__main__":
    main(sys.argv[1:])
