"""Figures of the sequence model: what a window holds, what is written of it, class weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from footpass_lib.plots import base
from footpass_lib.samples.tokens import ACTION, FRAME, ROLE
from footpass_lib.schema import EVENT_CLASSES, FPS, N_ROLES, N_SLOTS, ROLE_ID

_ROLES = [name for name, _ in sorted(ROLE_ID.items(), key=lambda item: item[1])]
_LABEL_PLACES = (-0.22, 0.25, -0.39, 0.42)  # above an event, below it, and farther away
SLOT_NAMES = [f"{team} {name}" for team in (0, 1) for name in _ROLES]  # team as in the data, then role


def window_picture(evidence: np.ndarray, observed: np.ndarray, tokens: np.ndarray, title: str = "") -> Figure:
    """One window: a row a slot, a column a frame, dark where a detector sees something; its target events on top.

    ``evidence`` (26, T) is the probability that the player of a slot does anything, ``observed`` (26, T) says where a
    slot has a player, ``tokens`` (S, 3) are those of the window's events.
    """
    fig, ax = base.titled((10, 5.2), title)
    shown = np.ma.masked_where(~observed, evidence)
    colours = plt.get_cmap("Greys").copy()
    colours.set_bad("#f3e9dc")
    picture = ax.imshow(shown, aspect="auto", cmap=colours, vmin=0, vmax=1, interpolation="nearest")
    fig.colorbar(picture, ax=ax, label="1 - P(background), TAAD", shrink=0.6)
    events = tokens[tokens[:, ACTION] < len(EVENT_CLASSES)]
    for class_id, name in enumerate(EVENT_CLASSES):
        rows = events[events[:, ACTION] == class_id]
        if len(rows):
            look = {"marker": base.CLASS_MARKER[name], "facecolor": base.CLASS_COLOUR[name], "edgecolor": "white"}
            ax.scatter(rows[:, FRAME] - 1, rows[:, ROLE], s=90, linewidth=1.2, label=name, zorder=3, **look)
    ax.plot(events[:, FRAME] - 1, events[:, ROLE], color=base.INK, lw=0.8, ls=":", zorder=2)
    ax.axhline(N_ROLES - 0.5, color=base.INK, lw=0.8)
    ax.set(yticks=range(N_SLOTS), yticklabels=SLOT_NAMES, xlabel="relative frame")
    ax.tick_params(axis="y", labelsize=7)
    ax.grid(visible=False)
    if len(events):
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.11), ncols=8, fontsize=8)
    return fig


def written_window(rows: Mapping[str, np.ndarray], n_frames: int, title: str = "") -> Figure:
    """Events of one window as different writers put them, a line each; ``rows`` holds tokens (S, 3) by writer."""
    fig, ax = base.titled((10, 1.3 + 0.75 * len(rows)), title)
    present: set[str] = set()
    for place, tokens in enumerate(rows.values()):
        ax.axhline(place, color="#d8d8d8", lw=1, zorder=1)
        ends = dict.fromkeys(_LABEL_PLACES, -np.inf)  # how far a level is written
        for action, role, frame in sorted(tokens.tolist(), key=lambda token: token[FRAME]):
            label, seconds = EVENT_CLASSES[action], (frame - 1) / FPS
            style = {"color": base.CLASS_COLOUR[label], "marker": base.CLASS_MARKER[label], "s": 70, "zorder": 3}
            ax.scatter(seconds, place, **style)
            present.add(label)
            level = next((y for y, end in ends.items() if seconds - end > 0.048 * n_frames / FPS), _LABEL_PLACES[-1])
            ends[level] = seconds
            ax.text(seconds, place + level, SLOT_NAMES[role], ha="center", va="center", fontsize=8, color=base.INK)
    ax.set(yticks=range(len(rows)), yticklabels=list(rows), xlim=(-0.2, n_frames / FPS + 0.2), xlabel="seconds")
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.grid(visible=False)
    for label in [name for name in EVENT_CLASSES if name in present]:
        ax.scatter([], [], s=70, color=base.CLASS_COLOUR[label], marker=base.CLASS_MARKER[label], label=label)
    base.shared_legend(fig, ax, ncols=8)
    return fig


def weights_by_class(weights: pd.DataFrame, counts: Sequence[int]) -> Figure:
    """Weights of the classes (rows) under several schemes (columns), on a log scale; with training events a class."""
    fig, ax = plt.subplots(figsize=(9, 3.3), layout="constrained")
    labels = [f"{name}\n{count}" for name, count in zip(weights.index, counts, strict=True)]
    colours = [base.system_colour(i) for i in range(len(weights.columns))]
    weights.plot(ax=ax, marker="o", ms=5, lw=1.4, color=colours, logy=True)
    ax.set(xticks=range(len(labels)), xticklabels=labels, ylabel="weight")
    ticks = [value for value in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
             if weights.to_numpy().min() * 0.8 <= value <= weights.to_numpy().max() * 1.25]  # fmt: skip
    ax.set_yticks(ticks, [f"{value:g}" for value in ticks])
    ax.minorticks_off()
    base.legend_beside(ax)
    return fig


def precision_and_recall(tables: Mapping[str, Sequence[pd.DataFrame]], title: str = "") -> Figure:
    """Precision and recall per class, means over seeds, by system: tables of ``metrics.Scores.per_class`` a seed."""
    means = {system: sum(t[["recall", "precision"]] for t in seeds) / len(seeds) for system, seeds in tables.items()}
    fig, panels = base.class_panels((10, 4.8), "recall", "precision", sharex=True)
    for name, ax in panels.items():
        ax.plot(*np.transpose([table.loc[name] for table in means.values()]), color="#9a9a9a", lw=1)
        for i, (system, table) in enumerate(means.items()):
            ax.scatter(*table.loc[name], s=34, color=base.system_colour(i), label=system, zorder=3)
        ax.set(xlim=(0, 1), ylim=(0, 1))
    base.shared_legend(fig, ax, "upper right", ncols=len(tables))
    base.heading(fig, title)
    return fig


def recall_by_box(recall: pd.DataFrame, title: str = "") -> Figure:
    """Recall (columns) ``with box`` and ``without box`` of several systems (rows), a group of bars a system."""
    fig, ax = base.titled((max(8, 1.2 * len(recall)), 2.9), title)
    base.grouped_bars(ax, dict(recall.items()), [name.replace(", ", "\n") for name in recall.index])
    ax.set(ylabel="recall", ylim=(0, max(0.5, 1.35 * recall.to_numpy().max())))
    ax.legend(loc="upper right", ncols=2)
    return fig
