"""A made-up detector whose habits are known: to test replays with, and to learn from before any replay."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from footpass_lib.events.nms import nms
from footpass_lib.events.playbyplay import Events, make_events
from footpass_lib.events.timeline import sort_by_time
from footpass_lib.schema import N_CLASSES, FootpassError

_LOWEST, _HIGHEST = 0.2, 0.995  # scores
_AROUND = 30.0  # frames: false alarms are this far from an event, as a standard deviation


@dataclass(frozen=True)
class PlantedDetector:
    """Habits of a made-up detector; FootpassError if a rate is out of range. The defaults are those of an oracle."""

    recall: float = 1.0  # of events whose actor has a box
    unseen: float = 1.0  # of the others
    early: float = 0.0  # frames, mean lag
    spread: float = 0.0  # frames, its standard deviation
    wrong_class: float = 0.0  # share of what is found
    wrong_player: float = 0.0
    false_alarms: float = 0.0  # for each event, most of them near events
    sure: float = 1.0  # of what is right, 0 to 1: 0 has the scores of false alarms

    def __post_init__(self) -> None:
        for field in fields(self):
            value, highest = getattr(self, field.name), np.inf if field.name in _UNBOUNDED else 1.0
            if field.name != "early" and not 0 <= value <= highest:
                raise FootpassError(f"planted detector: {field.name}={value}, expected 0 to {highest:g}")


_UNBOUNDED = ("spread", "false_alarms")


def any_detector(rng: np.random.Generator) -> PlantedDetector:
    """A detector of random habits, as bad or good as a detector may well be."""
    return PlantedDetector(
        recall=rng.uniform(0.5, 0.95), unseen=rng.uniform(0, 0.2), early=rng.uniform(-2, 2), spread=rng.uniform(1, 6),
        wrong_class=rng.uniform(0, 0.2), wrong_player=rng.uniform(0, 0.2), false_alarms=rng.uniform(0.3, 2.5),
        sure=rng.uniform(0.2, 1),
    )  # fmt: skip


def plant(detector: PlantedDetector, truth: Events, rng: np.random.Generator) -> Events:
    """What a made-up detector says of the events of a ground truth; classes that are wrong are so at random."""
    table = sort_by_time(truth.table)
    n, box = len(table), table["box"].fillna(True).to_numpy(dtype=bool)
    found = np.flatnonzero(rng.random(n) < np.where(box, detector.recall, detector.unseen))
    extra = rng.integers(n, size=rng.poisson(detector.false_alarms * n)) if n else np.zeros(0, np.int64)
    rows, right = np.concatenate([found, extra]), np.arange(len(found) + len(extra)) < len(found)
    lag = np.where(right, rng.normal(detector.early, detector.spread, len(rows)), rng.normal(0, _AROUND, len(rows)))
    other_class = ~right & (rng.random(len(rows)) < 0.7) | right & (rng.random(len(rows)) < detector.wrong_class)
    other_player = ~right & (rng.random(len(rows)) < 0.7) | right & (rng.random(len(rows)) < detector.wrong_player)
    who = np.where(other_player, _somebody(table["half"].to_numpy(), rows, rng), rows)
    named = table["class"].to_numpy(np.int64)[rows]
    odds = rng.normal(np.where(right & ~other_class & ~other_player, 2.0 * detector.sure, 0.0), 0.8) + 0.3
    score = 1 / (1 + np.exp(-odds)) if detector.sure < 1 else np.where(right, _HIGHEST, 0.5)
    frame = table["frame"].to_numpy()[rows] + np.rint(lag).astype(np.int64)
    columns = {"half": table["half"].to_numpy()[rows], "frame": np.maximum(frame, 0)}
    columns |= {name: table[name].to_numpy()[who] for name in ("team", "jersey")}
    columns |= {"class": np.where(other_class, rng.integers(1, N_CLASSES, len(rows)), named)}
    return nms(make_events(truth.halves, columns | {"score": score.clip(_LOWEST, _HIGHEST)}), 12)


def _somebody(half: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of random events of the same halves."""
    _, first, number, count = np.unique(half, return_index=True, return_inverse=True, return_counts=True)
    number = number.reshape(-1)[rows]
    return first[number] + (rng.random(len(rows)) * count[number]).astype(np.int64)
