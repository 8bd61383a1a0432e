"""The grammar of the game, counted in the training matches: who does what after whom, and after what gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from footpass_lib.events.playbyplay import Events
from footpass_lib.events.statistics import RELATIONS, consecutive
from footpass_lib.rescoring.timeline import NOBODY
from footpass_lib.schema import N_CLASSES

GAP_EDGES = np.array([4, 8, 13, 19, 26, 38, 51, 76, 126, 251, 501])  # frames; 12 bins


@dataclass(frozen=True, eq=False)
class EventLanguage:
    """How likely the game goes on in each way.

    Attributes
    ----------
    forward : ndarray, shape (9, 9, 4, 12)
        Log probability of the next class, relation and bin of the gap, given a class.
    backward : ndarray, shape (9, 9, 4, 12)
        The same for the event before, given a class.
    rarity : ndarray, shape (9,)
        Log share of each class; that of background is 0.
    """

    forward: np.ndarray
    backward: np.ndarray
    rarity: np.ndarray

    def after(self, first: np.ndarray, second: np.ndarray, relation: np.ndarray, gap: np.ndarray) -> np.ndarray:
        """Log probability that ``second`` follows ``first`` in this way; 0 where there is nobody."""
        bins = np.digitize(gap, GAP_EDGES)
        return np.where(relation == NOBODY, 0.0, self.forward[first, second, relation, bins])

    def before(self, first: np.ndarray, second: np.ndarray, relation: np.ndarray, gap: np.ndarray) -> np.ndarray:
        """Log probability that ``first`` precedes ``second`` in this way; 0 where there is nobody."""
        bins = np.digitize(gap, GAP_EDGES)
        return np.where(relation == NOBODY, 0.0, self.backward[second, first, relation, bins])


def learn_language(training: Events, pseudo_count: float = 0.5) -> EventLanguage:
    """Count the grammar in training matches; ``pseudo_count`` is added to every cell, so that nothing is impossible."""
    pairs = consecutive(training)
    relation = pd.Categorical(pairs["relation"], categories=list(RELATIONS)).codes.astype(np.int64)
    bins = np.digitize(pairs["gap"], GAP_EDGES)
    counts = np.zeros((N_CLASSES, N_CLASSES, NOBODY + 1, len(GAP_EDGES) + 1))
    np.add.at(counts, (pairs["class"].to_numpy(), pairs["next"].to_numpy(), relation, bins), 1)
    counts[1:, 1:, :NOBODY] += pseudo_count
    share = np.bincount(training.table["class"], minlength=N_CLASSES) + pseudo_count
    rarity = np.log(share / share[1:].sum())
    rarity[0] = 0.0
    return EventLanguage(_log_share(counts), _log_share(counts.transpose(1, 0, 2, 3)), rarity)


def _log_share(counts: np.ndarray) -> np.ndarray:
    """Log of each cell's share of its first index; 0 where that was never seen (background)."""
    total = counts.sum(axis=(1, 2, 3), keepdims=True)
    share = np.divide(counts, total, out=np.ones_like(counts), where=counts > 0)
    return np.log(share)
