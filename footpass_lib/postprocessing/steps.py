"""What a post-processing step returns: the new events, and an account of what became of each old one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from footpass_lib.events.playbyplay import Events
from footpass_lib.schema import CLASS_ID, EVENT_CLASSES, N_CLASSES, FootpassError


@dataclass(frozen=True)
class StepResult:
    """What a step made of its input: the resulting events, and one row of ``changes`` for each old one, in order.

    ``changes`` has ``model`` (which of several inputs; 0 if there is but one), ``row, half, team, class``, ``change``
    (kept | removed | moved | re-assigned | merged), ``new_row`` (its row in the result), ``frame, new_frame, jersey,
    new_jersey``. A removed event has -1 for what is new.
    """

    events: Events
    changes: pd.DataFrame


def record_changes(
    before: Events, new_row: np.ndarray, after: Events, change: np.ndarray, model: int = 0
) -> pd.DataFrame:
    """The table ``StepResult.changes`` for events whose row in the result is known (-1 for removed)."""
    old = before.table
    kept = new_row >= 0
    columns = {"model": model, "row": np.arange(len(old)), "half": old["half"], "team": old["team"]}
    columns |= {"class": old["class"], "change": change, "new_row": new_row}
    for name in ("frame", "jersey"):
        new = np.full(len(old), -1)
        new[kept] = after.table[name].to_numpy()[new_row[kept]]
        columns |= {name: old[name], f"new_{name}": new}
    return pd.DataFrame(columns)


def class_values(values: Mapping[str, float], default: float) -> np.ndarray:
    """Values given by class name as an array indexed by class id, shape (9,); no value may be NaN."""
    result = np.full(N_CLASSES, default)
    for name, value in values.items():
        if name not in EVENT_CLASSES:
            raise FootpassError(f"unknown class {name!r}; expected one of {', '.join(EVENT_CLASSES)}")
        if math.isnan(value):
            raise FootpassError(f"{name}: expected a number, found NaN")
        result[CLASS_ID[name]] = value
    return result


def is_number(value: object) -> bool:
    """Whether a value that came out of JSON is a finite number (of digits that a float has)."""
    return type(value) in (int, float) and abs(value) <= 1e300


def keep_rows(events: Events, kept: np.ndarray) -> StepResult:
    """Only the rows that are marked, shape (N,) of bool."""
    after = events.with_table(events.table[kept])
    new_row = np.where(kept, np.cumsum(kept) - 1, -1)
    return StepResult(after, record_changes(events, new_row, after, np.where(kept, "kept", "removed")))


def replace_column(events: Events, name: str, values: np.ndarray, change: str) -> StepResult:
    """Other values in one column; rows in which they differ are called ``change``."""
    old = events.table[name]
    after = events.with_table(events.table.assign(**{name: values.astype(old.dtype)}))
    changed = after.table[name].to_numpy() != old.to_numpy()
    return StepResult(after, record_changes(events, np.arange(len(old)), after, np.where(changed, change, "kept")))
