"""Figures of the sequence model: what a window holds, what is written of it, class weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
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
    fig, ax = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
    labels = [f"{name}\n{count}" for name, count in zip(weights.index, counts, strict=True)]
    places = np.linspace(-0.27, 0.27, len(weights.columns))  # beside each other: some schemes all but agree
    for i, (name, values) in enumerate(weights.items()):
        look = {"color": base.system_colour(i), "marker": "osD^"[i % 4], "ls": "none", "ms": 6}
        ax.plot(np.arange(len(labels)) + places[i], values, label=name, **look)
    ax.axhline(1, color=base.INK, lw=0.8, ls=":")
    ax.set_yscale("log")
    ax.grid(axis="x", visible=False)
    ax.set(xticks=range(len(labels)), xticklabels=labels, ylabel="weight")
    ticks = [value for value in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
             if weights.to_numpy().min() * 0.8 <= value <= weights.to_numpy().max() * 1.25]  # fmt: skip
    ax.set_yticks(ticks, [f"{value:g}" for value in ticks])
    ax.minorticks_off()
    base.shared_legend(fig, ax, ncols=len(weights.columns))
    return fig


def precision_and_recall(tables: Mapping[str, Sequence[pd.DataFrame]], title: str = "") -> Figure:
    """Precision and recall per class, means over seeds, by system: tables of ``metrics.Scores.per_class`` a seed.

    A panel shows the part around its dots; along a grey line F1 is the same.
    """
    means = {system: sum(t[["recall", "precision"]] for t in seeds) / len(seeds) for system, seeds in tables.items()}
    fig, panels = base.class_panels((10, 5.4), "recall", "precision", sharey=False)
    for name, ax in panels.items():
        dots = np.array([table.loc[name].to_numpy(float) for table in means.values()])  # (systems, 2)
        limits = _around(dots)
        _equal_f1(ax, *limits)
        ax.plot(*dots.T, color="#9a9a9a", lw=1)
        for i, (system, dot) in enumerate(zip(means, dots, strict=True)):
            ax.scatter(*dot, s=34, color=base.system_colour(i), label=system, zorder=3)
        ax.set(xlim=limits[0], ylim=limits[1])
        ax.locator_params(nbins=4)
        ax.grid(visible=False)
    base.shared_legend(fig, ax, "upper right", ncols=len(tables))
    base.heading(fig, title)
    return fig


def _around(dots: np.ndarray) -> list[tuple[float, float]]:
    """Limits of recall and precision around some dots (n, 2), of one length, within 0 to 1."""
    low, high = dots.min(axis=0), dots.max(axis=0)
    side = min(1.04, max(0.3, 1.6 * (high - low).max()))
    starts = np.clip((low + high) / 2 - side / 2, -0.02, 1.02 - side)
    return [(start, start + side) for start in starts]


def _equal_f1(ax: Axes, recalls: tuple[float, float], precisions: tuple[float, float]) -> None:
    """Lines along which F1 is the same, with its value where a line leaves at the right or below."""
    for f1 in np.arange(0.1, 0.95, 0.1):
        recall = np.linspace(max(f1 / 2 + 1e-3, recalls[0], 1e-3), min(1.0, recalls[1]), 100)
        precision = f1 * recall / (2 * recall - f1)
        inside = (recall > f1 / 2) & (precision >= max(0, precisions[0])) & (precision <= min(1, precisions[1]))
        if inside.sum() > 5:
            ax.plot(recall[inside], precision[inside], color="#d0d0d0", lw=0.9, zorder=1)
            end = recall[inside][-1], precision[inside][-1]
            ax.text(*end, f"F1 {f1:.1f}", fontsize=7, color="#888888", ha="right", va="bottom", zorder=1)


def recall_by_box(recall: pd.DataFrame, title: str = "") -> Figure:
    """Recall (columns) ``with box`` and ``without box`` of several systems (rows), a group of bars a system."""
    fig, ax = base.titled((max(8, 1.2 * len(recall)), 2.9), title)
    base.grouped_bars(ax, dict(recall.items()), [name.replace(", ", "\n") for name in recall.index])
    ax.set(ylabel="recall", ylim=(0, max(0.5, 1.35 * recall.to_numpy().max())))
    ax.legend(loc="upper right", ncols=2)
    return fig
