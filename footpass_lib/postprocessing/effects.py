"""What a post-processing step did, judged by the ground truth: true positives lost, false positives removed, F1."""

from __future__ import annotations

import numpy as np
import pandas as pd

from footpass_lib.events.metrics import Matching, match_events, score
from footpass_lib.events.playbyplay import Events
from footpass_lib.postprocessing.steps import StepResult
from footpass_lib.schema import DETECTION_THRESHOLD, EVENT_CLASSES, N_CLASSES, TOLERANCE, FootpassError

NOT_EVALUATED, FALSE_POSITIVE, TRUE_POSITIVE = -1, 0, 1


def verdicts(events: Events, matching: Matching, threshold: float = DETECTION_THRESHOLD) -> np.ndarray:
    """What the evaluation makes of each event, shape (N,): TRUE_POSITIVE, FALSE_POSITIVE or NOT_EVALUATED.

    The last are scores below the threshold, with which ``matching`` was made, and halves without ground truth.
    """
    evaluated = (events.table["half"].isin(matching.halves) & (events.table["score"] >= threshold)).to_numpy()
    result = np.full(len(events), NOT_EVALUATED)
    result[evaluated] = np.where(matching.predictions["tp"], TRUE_POSITIVE, FALSE_POSITIVE)
    return result


def effect(
    before: Events,
    after: StepResult,
    truth: Events,
    model: int = 0,
    threshold: float = DETECTION_THRESHOLD,
    tolerance: int = TOLERANCE,
) -> pd.DataFrame:
    """What a step, given ``before`` (of an ensemble, the events of one ``model``), did to each class.

    Index drive..block and ``all``. ``events before, events after``; ``removed, moved, re-assigned`` of the former, and
    ``added``, those of the latter that come from none of them; ``tp lost, tp gained``, ground-truth events found before
    and no longer, and the reverse; ``fp removed, fp added``, false positives that are none any more (gone, merged into
    another, or true by now), and the reverse; ``f1 before, f1 after`` (Macro F1 for ``all``).
    """
    changes = after.changes[after.changes["model"] == model]
    if len(changes) != len(before) or not (changes["frame"].to_numpy() == before.table["frame"].to_numpy()).all():
        raise FootpassError(f"effect: the step's input {model} has other events than those given ({len(before)})")
    stages = before, after.events
    matchings = [match_events(events, truth, threshold=threshold, tolerance=tolerance) for events in stages]
    columns = _rows_changed(before, after.events, changes)
    columns |= _truth_changed(*matchings)
    wrong = [verdicts(*each, threshold) == FALSE_POSITIVE for each in zip(stages, matchings, strict=True)]
    columns |= _false_positives_changed(before, after.events, changes["new_row"].to_numpy(), *wrong)
    table = pd.DataFrame(columns, index=list(EVENT_CLASSES))
    table.loc["all"] = table.sum()
    for name, matching in zip(("f1 before", "f1 after"), matchings, strict=True):
        scores = score(matching)
        table[name] = [*scores.per_class["f1"], scores.macro_f1]
    return table


def _count(class_id: pd.Series, chosen: np.ndarray | slice = slice(None)) -> np.ndarray:
    """Events per class, shape (8,)."""
    return np.bincount(class_id.to_numpy()[chosen], minlength=N_CLASSES)[1:]


def _rows_changed(before: Events, after: Events, changes: pd.DataFrame) -> dict[str, np.ndarray]:
    class_id = before.table["class"]
    new_row, frame, new_frame, jersey, new_jersey = (
        changes[name].to_numpy() for name in ("new_row", "frame", "new_frame", "jersey", "new_jersey")
    )
    kept = new_row >= 0
    added = ~np.isin(np.arange(len(after)), new_row)
    return {
        "events before": _count(class_id),
        "events after": _count(after.table["class"]),
        "removed": _count(class_id, ~kept),
        "moved": _count(class_id, kept & (frame != new_frame)),
        "re-assigned": _count(class_id, kept & (jersey != new_jersey)),
        "added": _count(after.table["class"], added),
    }


def _truth_changed(before: Matching, after: Matching) -> dict[str, np.ndarray]:
    class_id, was, is_found = before.truth["class"], before.truth["found"], after.truth["found"]
    return {
        "tp lost": _count(class_id, (was & ~is_found).to_numpy()),
        "tp gained": _count(class_id, (is_found & ~was).to_numpy()),
    }


def _false_positives_changed(
    before: Events, after: Events, new_row: np.ndarray, wrong_before: np.ndarray, wrong_after: np.ndarray
) -> dict[str, np.ndarray]:
    remains = np.zeros(len(after), bool)  # false positives of the result that were one before
    remains[new_row[wrong_before & (new_row >= 0)]] = True
    remains &= wrong_after
    return {
        "fp removed": _count(before.table["class"], wrong_before) - _count(after.table["class"], remains),
        "fp added": _count(after.table["class"], wrong_after & ~remains),
    }
