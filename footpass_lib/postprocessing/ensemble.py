"""Extension 4, the ensemble: one list of events from those of several models.

:func:`merge` is the paper's and ours, :func:`fuse` that of PAVE, which asks for agreement.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from footpass_lib.events.near import near_spans, one_axis
from footpass_lib.events.nms import player_groups
from footpass_lib.events.playbyplay import Events, make_events
from footpass_lib.postprocessing.steps import StepResult, class_values, record_changes
from footpass_lib.schema import EVENT_CLASSES, TOLERANCE, FootpassError

KEEP, DROP = 0.0, math.inf  # rules for an event that one model alone has; a score between them asks for that score


# Extension 4: post-processing (merge)
def merge(
    models: Sequence[Events],
    window: int = TOLERANCE,
    alone: Mapping[str, float] | None = None,
    excluded: Mapping[int, Collection[str]] | None = None,
) -> StepResult:
    """Merge the events of any number of models.

    By falling score, each event that is still free takes from every other model its closest free event (of two as
    close, the better one) of the same half, team, jersey and class within the window. Together they are one event, at
    the mean of their frames, weighted by score and rounded, with the mean of their scores. A model never gives two
    events to one: two touches shortly after each other stay two. Neither the order of the rows nor that of the models
    matters, and a model merged with itself is that model. A half that a model does not name is left to the others.

    ``window`` is in frames. ``alone`` has, by class, the lowest score at which an event of one model only is kept:
    ``KEEP`` (also for classes not named), ``DROP`` or a score; kept is, too, what no other model could have had.
    ``excluded`` names, by number of the model, classes in which it has no say; the paper leaves out the tackles of the
    model without graph network. Sorted by half (in the models' order), frame, team, jersey, class and score; an event
    that others agreed with is ``merged``, one that stands alone ``kept`` or ``removed``.
    """
    if not models or window < 0:
        raise FootpassError(f"merge: {len(models)} models, window={window}; expected a model or more, 0 frames or more")
    has_say = _has_say(len(models), excluded or {})
    table = pd.concat([events.table.assign(model=k) for k, events in enumerate(models)], ignore_index=True)
    group = player_groups(table)
    model, class_id, score = (table[name].to_numpy() for name in ("model", "class", "score"))
    counts = has_say[model, class_id]
    cluster = np.full(len(table), -1)
    cluster[counts] = _agreements(*(a[counts] for a in (group, table["frame"].to_numpy(), score, model)), window)
    possible = (_named(models, table) & has_say[:, class_id]).sum(axis=0)  # models that could have the event
    votes = np.bincount(cluster[counts], minlength=1)[cluster]
    lowest = class_values(alone or {}, KEEP)[class_id]
    kept = counts & ((votes > 1) | (possible <= 1) | (score >= lowest))
    merged, new_row = _merged(table[kept], cluster[kept], _halves(models))
    return _result(models, model, merged, kept, new_row, votes)


def fuse(
    models: Sequence[Events], window: int = TOLERANCE, least: int = 2, spared: Collection[str] = ("tackle",)
) -> StepResult:
    """Fuse the events of any number of models by agreement: the Weighted Event Fusion of PAVE (arXiv 2606.28389).

    By falling score, each event that is still free is the seed of a cluster, and takes into it from every other model
    its closest free event of the same half, team, jersey and class within ``window`` frames of the seed. The score of a
    cluster of n models, of N, is the mean of its scores times sqrt(n / N); fewer than ``least`` are dropped, unless
    their class is ``spared``. Not stated by PAVE, and ours: the frame is the seed's, a model counts once, N are the
    models that name the half, and where they are fewer than ``least``, so many are enough.

    Neither the order of the rows nor that of the models matters; result and changes are as in :func:`merge`.
    """
    if not models or window < 0 or least < 1 or isinstance(spared, str):
        found = f"{len(models)} models, window={window}, least={least}, spared={spared!r}"
        raise FootpassError(f"fuse: {found}; expected a model or more, 0 frames or more, 1 or more, a list of classes")
    table = pd.concat([events.table.assign(model=k) for k, events in enumerate(models)], ignore_index=True)
    frame, score, model = (table[name].to_numpy() for name in ("frame", "score", "model"))
    _, cluster = np.unique(_agreements(player_groups(table), frame, score, model, window), return_inverse=True)
    by_rank = np.lexsort((frame, -score, cluster))  # of a cluster's members its seed is the first
    _, seed = np.unique(cluster[by_rank], return_index=True)
    table["frame"] = frame[by_rank][seed][cluster]
    votes, possible = np.bincount(cluster, minlength=1)[cluster], _named(models, table).sum(axis=0)
    always = class_values(dict.fromkeys(spared, 1.0), 0.0)[table["class"].to_numpy()] > 0
    kept = always | (votes >= np.minimum(least, possible))
    share = np.sqrt(votes / np.maximum(possible, 1))
    fused, new_row = _merged(table[kept], cluster[kept], _halves(models), share[kept])
    return _result(models, model, fused, kept, new_row, votes)


def _named(models: Sequence[Events], table: pd.DataFrame) -> np.ndarray:
    """Which models name the half of each row, shape (models, N)."""
    return np.stack([table["half"].isin(events.halves).to_numpy() for events in models])


def _halves(models: Sequence[Events]) -> tuple[str, ...]:
    """All halves that a model names, in the models' order."""
    return tuple(dict.fromkeys(half for events in models for half in events.halves))


def _result(
    models: Sequence[Events],
    model: np.ndarray,
    merged: Events,
    kept: np.ndarray,
    new_row: np.ndarray,
    votes: np.ndarray,
) -> StepResult:
    """The merged events with what became of each row of the models, whose numbers are in ``model``."""
    row = np.full(len(model), -1)
    row[kept] = new_row
    change = np.select([~kept, votes > 1], ["removed", "merged"], "kept")
    changes = [
        record_changes(events, row[model == k], merged, change[model == k], k) for k, events in enumerate(models)
    ]
    return StepResult(merged, pd.concat(changes, ignore_index=True))


def _has_say(n_models: int, excluded: Mapping[int, Collection[str]]) -> np.ndarray:
    """Which model has a say on which class id, shape (models, 9)."""
    has_say = np.ones((n_models, len(EVENT_CLASSES) + 1), bool)
    for number, names in excluded.items():
        if not 0 <= number < n_models or isinstance(names, str):
            raise FootpassError(
                f"merge: excluded={dict(excluded)}; expected lists of classes of models 0 to {n_models - 1}"
            )
        has_say[number] = class_values(dict.fromkeys(names, 0.0), 1.0) > 0
    return has_say


def _agreements(group: np.ndarray, frame: np.ndarray, score: np.ndarray, model: np.ndarray, window: int) -> np.ndarray:
    """Number of the merged event that each event belongs to, shape (N,)."""
    place = one_axis(group, frame, window)
    by_place = np.argsort(place, kind="stable")
    place = place[by_place]
    low, high = (rows.tolist() for rows in near_spans(place, place, window))
    where, value, source = place.tolist(), score[by_place].tolist(), model[by_place].tolist()
    cluster = np.full(len(place), -1)
    for number, i in enumerate(np.lexsort((place, -score[by_place])).tolist()):
        if cluster[i] >= 0:
            continue
        free = [j for j in range(low[i], high[i]) if cluster[j] < 0 and source[j] != source[i]]
        free.sort(key=lambda j, i=i: (abs(where[j] - where[i]), -value[j], where[j]))
        closest = {source[j]: j for j in reversed(free)}  # the first of each model is written last
        cluster[[i, *closest.values()]] = number
    result = np.empty(len(place), np.int64)
    result[by_place] = cluster
    return result


def _merged(
    table: pd.DataFrame, cluster: np.ndarray, halves: tuple[str, ...], factor: np.ndarray | float = 1.0
) -> tuple[Events, np.ndarray]:
    """One event a cluster, and the row in it of each row given; ``factor`` (N,) of scores is a cluster's own."""
    # summed from the lowest score up, so that the order of models cannot change the last bit
    ascending = np.lexsort((table["frame"], table["score"], cluster))
    table = table.iloc[ascending]
    _, first, member = np.unique(cluster[ascending], return_index=True, return_inverse=True)
    score, frame = table["score"].to_numpy(), table["frame"].to_numpy()
    # means as an offset from one member's value, so that equal values have exactly their own mean
    score_offset = np.bincount(member, score - score[first][member]) / np.bincount(member)
    weight = np.where(np.bincount(member, score)[member] > 0, score, 1.0)
    frame_offset = np.bincount(member, weight * (frame - frame[first][member])) / np.bincount(member, weight)
    columns = {name: table[name].to_numpy()[first] for name in ("half", "team", "jersey", "class")}
    columns["frame"] = frame[first] + np.floor(frame_offset + 0.5).astype(np.int64)
    columns["score"] = (score[first] + score_offset) * np.broadcast_to(factor, len(table))[ascending][first]
    number = pd.Categorical(columns["half"], categories=list(halves)).codes
    order = np.lexsort((*(columns[name] for name in ("score", "class", "jersey", "team", "frame")), number))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    row = np.empty(len(table), np.int64)
    row[ascending] = place[member]
    return make_events(halves, {name: column[order] for name, column in columns.items()}), row
