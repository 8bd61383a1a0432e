"""From logits to events without a sequence model: the peaks of every player."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.half import TacticalHalf
from footpass_lib.data.logits import read_logits
from footpass_lib.events.nms import NMS_WINDOW, suppress
from footpass_lib.events.playbyplay import Events, make_events
from footpass_lib.schema import BACKGROUND, N_CLASSES, N_ROLES, N_SLOTS, FootpassError


def decode_detections(
    logits: np.ndarray, half: TacticalHalf, window: int = NMS_WINDOW, threshold: float = 0.0
) -> Events:
    """Events from a detector's logits, as in section 4 of the FOOTPASS baseline.

    Wherever the most probable class is not background it is a candidate, with its probability as the score, if that is
    ``threshold`` or more; non-maximum suppression per slot and class over ``window`` frames (:func:`nms`); the slot's
    holder in that frame is the actor, and slots without one give no event. Events come by frame, then slot, with
    absolute frames. FootpassError if the logits (9, 26, T) are not the half's, one is NaN or infinite, or the window is
    negative.
    """
    expected = (N_CLASSES, N_SLOTS, half.n_frames)
    if logits.shape != expected:
        raise FootpassError(f"{half.half}: expected logits of shape {expected}, found {logits.shape}")
    best, score = _most_probable(logits)
    if np.isnan(score).any():
        slot, index = np.argwhere(np.isnan(score))[0]
        raise FootpassError(f"{half.half}: slot {slot}, frame {half.frames[index]}: a logit is NaN or infinite")
    index, slot = np.nonzero(((best != BACKGROUND) & (score >= threshold) & (half.jersey >= 0)).T)
    class_id, score = best[slot, index], score[slot, index]
    kept = suppress(slot * N_CLASSES + class_id, index, score, window)
    index, slot = index[kept], slot[kept]
    return slot_events(half, index, slot, class_id[kept], score[kept])


def slot_events(
    half: TacticalHalf, index: np.ndarray, slot: np.ndarray, class_id: np.ndarray, score: np.ndarray
) -> Events:
    """Events (E,) of a half, of those who hold the slots in these frames (counted from the half's first)."""
    columns = {
        "half": [half.half] * len(index),
        "frame": index + half.first_frame,
        "team": slot // N_ROLES,
        "jersey": half.jersey[slot, index],
        "class": class_id,
        "score": score.astype(float),
    }
    return make_events([half.half], columns)


def _most_probable(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Most probable class and its probability, (26, T) each; the first of equal ones."""
    logits = logits.astype(np.float32)
    highest = logits.max(axis=0)
    with np.errstate(invalid="ignore"):
        score = 1 / np.exp(logits - highest).sum(axis=0)
    return logits.argmax(axis=0), score


def decode_split(root: DataRoot, split: str, *logits: Path) -> Events:
    """Events of a split from its logits: softmax, argmax, non-maximum suppression, slot to jersey.

    From several files of logits: the mean of their log-probabilities in their place.
    """
    tables = []
    for name in root.halves(split):
        half = root.half(name)
        found = [read_logits(path, name, half.frames) for path in logits]
        joined = found[0] if len(found) == 1 else np.mean([_log_probabilities(each) for each in found], axis=0)
        tables.append(decode_detections(joined, half).table)
    table = pd.concat(tables, ignore_index=True)
    return Events(root.halves(split), table)


def _log_probabilities(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float32)
    logits = logits - logits.max(axis=0)
    return logits - np.log(np.exp(logits).sum(axis=0))
