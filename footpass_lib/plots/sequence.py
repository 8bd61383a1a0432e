"""Figures of the sequence model: what a window holds, what is written of it, class weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from footpass_lib.plots.base import CLASS_COLOUR, CLASS_MARKER, INK, SYSTEM_COLOUR, grouped_bars
from footpass_lib.samples.windows import ACTION, FRAME, ROLE
from footpass_lib.schema import EVENT_CLASSES, FPS, N_ROLES, N_SLOTS, ROLE_ID

_ROLES = [name for name, _ in sorted(ROLE_ID.items(), key=lambda item: item[1])]
_LABEL_PLACES = (-0.22, 0.25, -0.39, 0.42)  # above an event, below it, and farther away
SLOT_NAMES = [f"{team} {name}" for team in (0, 1) for name in _ROLES]  # team as in the data, then role


def window_picture(evidence: np.ndarray, observed: np.ndarray, tokens: np.ndarray, title: str = "") -> Figure:
    """One window: a row a slot, a column a frame, dark where a detector sees something; its target events on top.

    Parameters
    ----------
    evidence : (26, T)
        Probability that the player of a slot does anything.
    observed : (26, T) bool
        Where a slot has a player.
    tokens : (S, 3)
        Tokens of the window's events.
    """
    fig, ax = plt.subplots(figsize=(10, 5.2), layout="constrained")
    shown = np.ma.masked_where(~observed, evidence)
    colours = plt.get_cmap("Greys").copy()
    colours.set_bad("#f3e9dc")
    picture = ax.imshow(shown, aspect="auto", cmap=colours, vmin=0, vmax=1, interpolation="nearest")
    fig.colorbar(picture, ax=ax, label="1 - P(background), TAAD", shrink=0.6)
    events = tokens[tokens[:, ACTION] < len(EVENT_CLASSES)]
    for class_id, name in enumerate(EVENT_CLASSES):
        rows = events[events[:, ACTION] == class_id]
        if len(rows):
            ax.scatter(rows[:, FRAME] - 1, rows[:, ROLE], s=90, marker=CLASS_MARKER[name], facecolor=CLASS_COLOUR[name],
                       edgecolor="white", linewidth=1.2, label=name, zorder=3)  # fmt: skip
    ax.plot(events[:, FRAME] - 1, events[:, ROLE], color=INK, lw=0.8, ls=":", zorder=2)
    ax.axhline(N_ROLES - 0.5, color=INK, lw=0.8)
    ax.set(yticks=range(N_SLOTS), yticklabels=SLOT_NAMES, xlabel="relative frame")
    ax.tick_params(axis="y", labelsize=7)
    ax.grid(visible=False)
    ax.set_title(title)
    if len(events):
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.11), ncols=8, fontsize=8)
    return fig


def written_window(rows: Mapping[str, np.ndarray], n_frames: int, title: str = "") -> Figure:
    """Events of one window as different writers put them, a line each, with the slot above or below each event.

    Parameters
    ----------
    rows : mapping of name to (S, 3)
        Tokens of events.
    n_frames : int
        Of the window.
    """
    fig, ax = plt.subplots(figsize=(10, 1.3 + 0.75 * len(rows)), layout="constrained")
    present: set[str] = set()
    for place, tokens in enumerate(rows.values()):
        ax.axhline(place, color="#d8d8d8", lw=1, zorder=1)
        ends = dict.fromkeys(_LABEL_PLACES, -np.inf)  # how far a level is written
        for action, role, frame in sorted(tokens.tolist(), key=lambda token: token[FRAME]):
            label, seconds = EVENT_CLASSES[action], (frame - 1) / FPS
            style = {"color": CLASS_COLOUR[label], "marker": CLASS_MARKER[label], "s": 70, "zorder": 3}
            ax.scatter(seconds, place, **style)
            present.add(label)
            level = next((y for y, end in ends.items() if seconds - end > 0.048 * n_frames / FPS), _LABEL_PLACES[-1])
            ends[level] = seconds
            ax.text(seconds, place + level, SLOT_NAMES[role], ha="center", va="center", fontsize=8, color=INK)
    ax.set(yticks=range(len(rows)), yticklabels=list(rows), xlim=(-0.2, n_frames / FPS + 0.2), xlabel="seconds")
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.grid(visible=False)
    ax.set_title(title)
    for label in [name for name in EVENT_CLASSES if name in present]:
        ax.scatter([], [], s=70, color=CLASS_COLOUR[label], marker=CLASS_MARKER[label], label=label)
    if present:
        fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=8, fontsize=9)
    return fig


def class_weights(weights: pd.DataFrame, counts: Sequence[int]) -> Figure:
    """Weights of the classes under several schemes, on a log scale; the classes with their training events.

    Parameters
    ----------
    weights : DataFrame
        Index drive..block, a column a scheme.
    counts : sequence of int
        Training events of each class.
    """
    fig, ax = plt.subplots(figsize=(9, 3.3), layout="constrained")
    for i, name in enumerate(weights.columns):
        ax.plot(weights[name].to_numpy(), marker="o", ms=5, lw=1.4, color=SYSTEM_COLOUR[i], label=name)
    labels = [f"{name}\n{count}" for name, count in zip(weights.index, counts, strict=True)]
    ax.set(xticks=range(len(labels)), xticklabels=labels, ylabel="weight", yscale="log")
    ticks = [value for value in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
             if weights.to_numpy().min() * 0.8 <= value <= weights.to_numpy().max() * 1.25]  # fmt: skip
    ax.set_yticks(ticks, [f"{value:g}" for value in ticks])
    ax.minorticks_off()
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def precision_and_recall(tables: Mapping[str, Sequence[pd.DataFrame]], title: str = "") -> Figure:
    """Precision and recall per class of several systems, means over seeds, a line from each system to the next.

    Parameters
    ----------
    tables : mapping
        ``metrics.Scores.per_class`` of every seed, a sequence a system.
    """
    fig, axes = plt.subplots(2, 4, figsize=(10, 4.8), sharex=True, sharey=True, layout="constrained")
    for ax, name in zip(axes.flat, EVENT_CLASSES, strict=True):
        _trace(ax, {system: np.mean([t.loc[name, ["recall", "precision"]] for t in seeds], axis=0)
                    for system, seeds in tables.items()})  # fmt: skip
        ax.set_title(name)
    axes[0, 0].set(xlim=(0, 1), ylim=(0, 1))
    fig.legend(*axes[0, 0].get_legend_handles_labels(), ncols=len(tables), loc="outside upper right")
    fig.supxlabel("recall", fontsize=10)
    fig.supylabel("precision", fontsize=10)
    fig.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    return fig


def _trace(ax: Axes, places: Mapping[str, np.ndarray]) -> None:
    ax.plot(*np.transpose(list(places.values())), color="#9a9a9a", lw=1)
    for i, (system, (recall, precision)) in enumerate(places.items()):
        ax.scatter(recall, precision, s=34, color=SYSTEM_COLOUR[i % len(SYSTEM_COLOUR)], label=system, zorder=3)


def recall_by_box(recall: pd.DataFrame, title: str = "") -> Figure:
    """Recall with and without a box, a group of bars a system.

    Parameters
    ----------
    recall : DataFrame
        Index systems, columns ``with box`` and ``without box``.
    """
    fig, ax = plt.subplots(figsize=(8, 2.9), layout="constrained")
    grouped_bars(ax, dict(recall.items()), [name.replace(", ", "\n") for name in recall.index])
    ax.set(ylabel="recall", ylim=(0, max(0.5, 1.2 * recall.to_numpy().max())))
    ax.legend(loc="upper right")
    ax.set_title(title)
    return fig
