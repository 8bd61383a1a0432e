"""How like a detector its replay is: habits that are counted in both, on the same events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from footpass_lib.events.metrics import Matching, class_counts, precision_recall_f1
from footpass_lib.events.near import near_rows
from footpass_lib.events.timeline import COLUMNS, Timeline, make_timeline, sort_by_time
from footpass_lib.replay.fit import REACH
from footpass_lib.schema import EVENT_CLASSES, FPS, TOLERANCE


def habits(matching: Matching) -> pd.Series:
    """What a detector does, in numbers that need not be alike even where precision and recall are.

    Recall by box and replay; ``early or late``, mean frames after the event, and its ``spread``; mean scores of what is
    right and wrong; shares of false alarms that name the right player with a ``wrong class`` or the right class and
    another ``player``, in time; false alarms a minute ``near events`` and ``at rest``, and the share of those ``in
    bursts``, within two seconds of another of the same player; and how far misses come together: ``found together`` is
    the correlation of being found between consecutive events.
    """
    said, events = matching.predictions, sort_by_time(matching.truth)
    found, box, replay = (events[name].to_numpy(dtype=bool) for name in ("found", "box", "replay"))
    values = {f"found, {name}": _mean(found[rows]) for name, rows in
              {"with box": box, "without box": ~box, "live": ~replay, "in replay": replay}.items()}  # fmt: skip
    right, score = said["tp"].to_numpy(), said["score"].to_numpy()
    offset = said["offset"].to_numpy()[right]
    values |= {"early or late": _mean(offset), "spread": float(np.std(offset)) if len(offset) else np.nan}
    values |= {"score, right": _mean(score[right]), "score, wrong": _mean(score[~right])}
    wrong = sort_by_time(said[~right])
    line = make_timeline(pd.concat([events[COLUMNS], wrong[COLUMNS]], ignore_index=True))
    n = len(events)
    values |= _false_alarms(line.part(slice(None, n)), line.part(slice(n, None)))
    same_half = line.half[1:n] == line.half[: n - 1]
    one, other = found[1:][same_half], found[:-1][same_half]
    varied = len(set(one.tolist())) > 1 and len(set(other.tolist())) > 1
    return pd.Series(values | {"found together": float(np.corrcoef(one, other)[0, 1]) if varied else np.nan})


def _false_alarms(events: Timeline, wrong: Timeline) -> dict[str, float]:
    i, j = near_rows(events.time, wrong.time, TOLERANCE)
    same_player, same_class = wrong.player[i] == events.player[j], wrong.class_id[i] == events.class_id[j]
    shares = {}
    for name, pairs in (("wrong class", same_player & ~same_class), ("wrong player", same_class & ~same_player)):
        shares[name] = len(np.unique(i[pairs])) / max(len(wrong), 1)
    near = np.zeros(len(wrong), bool)
    near[near_rows(events.time, wrong.time, REACH)[0]] = True
    minutes = sum(np.ptp(events.time[events.half == half]) for half in np.unique(events.half)) / (60 * FPS)
    i, j = near_rows(wrong.time, wrong.time, 2 * FPS)
    bursts = np.unique(i[(wrong.player[i] == wrong.player[j]) & (i != j)])
    rates = {"near events": near.sum(), "at rest": (~near).sum()}
    rates = {f"false alarms a minute, {name}": float(count) / max(minutes, 1e-9) for name, count in rates.items()}
    return shares | rates | {"in bursts": len(bursts) / max(len(wrong), 1)}


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else np.nan


def by_class(matchings: Sequence[Matching]) -> pd.DataFrame:
    """Precision and recall per class, with their ``lowest`` and ``highest`` over matchings of the same events.

    Index drive..block, columns ``(precision | recall, mean | lowest | highest)``.
    """
    rates = np.stack([precision_recall_f1(class_counts(each))[:, :2] for each in matchings])  # (runs, 8, 2)
    columns = {
        (name, kind): combine(rates[..., k], axis=0)
        for k, name in enumerate(("precision", "recall"))
        for kind, combine in (("mean", np.mean), ("lowest", np.min), ("highest", np.max))
    }
    return pd.DataFrame(columns, index=list(EVENT_CLASSES))
