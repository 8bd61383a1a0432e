"""Statistics of an event table: classes, boxes, replays, gaps, transitions, density."""

from __future__ import annotations

import numpy as np
import pandas as pd

from footpass_lib.events.playbyplay import Events, count_table
from footpass_lib.schema import EVENT_CLASSES, FPS, N_CLASSES

RELATIONS = ("same player", "team-mate", "opponent")
RATES = ("share", "has box", "in replay")


def class_table(events: Events) -> pd.DataFrame:
    """Per class: ``events``, ``share``, ``has box`` and ``in replay`` (rates), ``with box`` (count).

    The index is drive..block; an event without the fields box and replay counts as having neither.
    """
    counts = count_table(events)
    labels = events.table["class"].to_numpy()
    box = events.table["box"].fillna(False).to_numpy(dtype=bool)
    replay = events.table["replay"].fillna(False).to_numpy(dtype=bool)
    with_box, in_replay = (np.bincount(labels[flag], minlength=len(EVENT_CLASSES) + 1)[1:] for flag in (box, replay))
    divisor = np.maximum(counts, 1)  # a class without events has rates of 0
    columns = {"events": counts, "share": counts / max(counts.sum(), 1), "has box": with_box / divisor}
    columns |= {"in replay": in_replay / divisor, "with box": with_box}
    return pd.DataFrame(columns, index=list(EVENT_CLASSES))


def consecutive(events: Events) -> pd.DataFrame:
    """Consecutive events of a half, one row a pair, by frame; events of one frame keep the order of the file.

    Columns ``half``, ``class``, ``next`` (class ids), ``relation`` (same player | team-mate | opponent) and ``gap``
    (frames).
    """
    table = events.table
    order = np.lexsort((table["frame"], pd.Categorical(table["half"], categories=list(events.halves)).codes))
    table = table.iloc[order].reset_index(drop=True)
    first, second = table.iloc[:-1].reset_index(drop=True), table.iloc[1:].reset_index(drop=True)
    same_team = first["team"].eq(second["team"])
    same_player = same_team & first["jersey"].eq(second["jersey"])
    relation = np.select([same_player, same_team], RELATIONS[:2], RELATIONS[2])
    pairs = pd.DataFrame({"half": first["half"], "class": first["class"], "next": second["class"]})
    pairs = pairs.assign(relation=relation, gap=second["frame"] - first["frame"])
    return pairs[first["half"].eq(second["half"])].reset_index(drop=True)


def transitions(events: Events) -> pd.DataFrame:
    """How often a class follows a class, by whether the next actor is the same player, a team-mate or an opponent.

    Counts: index drive..block, columns ``(relation, class)``, 3 x 8 of them.
    """
    pairs = consecutive(events)
    counts = pairs.groupby(["class", "relation", "next"]).size()
    labels = range(1, len(EVENT_CLASSES) + 1)
    columns = pd.MultiIndex.from_product([RELATIONS, labels])
    table = counts.unstack(["relation", "next"], fill_value=0).reindex(index=labels, columns=columns, fill_value=0)
    table.index = list(EVENT_CLASSES)
    return table.rename(columns=dict(zip(labels, EVENT_CLASSES, strict=True)), level=1)


def grammar(moves: pd.DataFrame) -> pd.Series:
    """How far the order of events can be foretold, from counts as :func:`transitions` gives them.

    ``drives tackled`` and ``shots blocked`` are the shares of drives and shots that an opponent's tackle or block
    directly follows; ``passed on`` that of drives whose player passes next; ``entropy`` the mean uncertainty, in bits,
    about the next class and who of RELATIONS acts, given the class before. NaN for a class that nothing follows.
    """
    counts = moves.to_numpy(dtype=float)  # (8, 24)
    total = counts.sum(axis=1, keepdims=True)
    chance = np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)
    shares = pd.DataFrame(chance, index=moves.index, columns=moves.columns)
    bits = -np.log2(chance, out=np.zeros_like(counts), where=chance > 0)
    values = {
        "drives tackled": shares.loc["drive", ("opponent", "tackle")],
        "shots blocked": shares.loc["shot", ("opponent", "block")],
        "passed on": shares.loc["drive", ("same player", "pass")],
        "entropy": (counts * bits).sum() / max(total.sum(), 1),
    }
    return pd.Series(values, dtype=float)


def compare(sources: dict[str, Events]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Event tables by name, side by side: by class, and their :func:`grammar`.

    The former has a row per class and one for ``all``, and columns ``(share | has box | in replay, name)``; the latter
    a row per name.
    """
    columns = {}
    for name, events in sources.items():
        table = class_table(events)
        total = pd.DataFrame({rate: [(table["share"] * table[rate]).sum()] for rate in RATES}, index=["all"])
        total["share"] = table["share"].sum()
        columns |= {(rate, name): pd.concat((table, total))[rate] for rate in RATES}
    by_class = pd.DataFrame(columns)[[(rate, name) for rate in RATES for name in sources]]
    return by_class, pd.DataFrame({name: grammar(transitions(events)) for name, events in sources.items()}).T


def transition_matrix(events: Events) -> np.ndarray:
    """How often a class id follows a class id, whoever acts; shape (9, 9)."""
    counts = np.zeros((N_CLASSES, N_CLASSES))
    pairs = consecutive(events)
    np.add.at(counts, (pairs["class"], pairs["next"]), 1)
    return counts


def window_counts(events: Events, seconds: float = 30.0) -> np.ndarray:
    """Events in consecutive windows of each half, from its first event on; shape (windows,)."""
    length = round(seconds * FPS)
    counts = []
    for _, frames in events.table.groupby("half", sort=False)["frame"]:
        counts.append(np.bincount((frames - frames.min()) // length))
    return np.concatenate(counts) if counts else np.zeros(0, dtype=np.int64)


def events_per_second(events: Events) -> float:
    """Events per second of play, each half taken from its first to its last event."""
    spans = events.table.groupby("half")["frame"].agg(lambda frames: frames.max() - frames.min() + 1)
    return len(events) * FPS / float(spans.sum()) if len(events) else 0.0
