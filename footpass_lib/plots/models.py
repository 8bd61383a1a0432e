"""Figures of models: training clips, training curves, class probabilities over time, costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from footpass_lib.plots import base
from footpass_lib.schema import EVENT_CLASSES


def film_strip(video: np.ndarray, boxes: np.ndarray, mask: np.ndarray, labels: np.ndarray, every: int = 2) -> Figure:
    """A training clip: one in ``every`` of its frames with the players' boxes, over each the actor's label.

    ``video`` (T, H, W, 3) is in 0..1; ``boxes`` (M, T, 4) are x0, y0, x1, y1 in pixels of the clip, those of the actor
    first; ``mask`` and ``labels`` are (M, T).
    """
    shown = range(0, len(video), every)
    size = (1.5 * len(shown), 1.5 * video.shape[1] / video.shape[2] + 0.4)
    fig, axes = plt.subplots(1, len(shown), figsize=size, layout="constrained")
    for ax, t in zip(axes, shown, strict=True):
        ax.imshow(video[t].clip(0, 1), interpolation="lanczos")
        ax.axis("off")
        for player in np.flatnonzero(mask[:, t]):
            x0, y0, x1, y1 = boxes[player, t]
            colour = "#ffe94a" if player == 0 else "white"
            ax.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=1))
        name = ("background", *EVENT_CLASSES)[labels[0, t]]
        ax.set_title(f"{t}: {'–' if name == 'background' else name}", fontsize=8, loc="center", fontweight="normal")
    return fig


def tube_rows(tubes: Mapping[str, np.ndarray], every: int = 4) -> Figure:
    """Tubes (T, H, W, 3) in 0..1 below each other, one in ``every`` of their frames, the label in front of each row."""
    columns = [range(0, len(tube), every) for tube in tubes.values()]
    size = (1.05 * max(map(len, columns)) + 1.2, 1.05 * len(tubes) + 0.2)
    fig, axes = plt.subplots(len(tubes), max(map(len, columns)), figsize=size, squeeze=False, layout="constrained")
    for row, (label, tube), shown in zip(axes, tubes.items(), columns, strict=True):
        for ax, t in zip(row, shown, strict=True):
            ax.imshow(tube[t].clip(0, 1), interpolation="nearest")
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    for ax, t in zip(axes[0], columns[0], strict=True):
        ax.set_title(str(t), fontsize=8, loc="center", fontweight="normal")
    return fig


def training_curves(
    history: pd.DataFrame,
    losses: Sequence[str] = ("train_loss", "val_loss"),
    ylabel: str = "weighted cross-entropy",
    panel: str = "phase",
) -> Figure:
    """Losses by epoch on one axis, a panel a value of the column ``phase``, which ``panel`` names."""
    phases = history["phase"].unique()
    fig, axes = plt.subplots(1, len(phases), figsize=(4.5 * len(phases), 2.8), squeeze=False, sharey=True,
                             layout="constrained")  # fmt: skip
    for ax, phase in zip(axes[0], phases, strict=True):
        epochs = history[history["phase"] == phase].set_index("epoch")[list(losses)]
        epochs = epochs.rename(columns=lambda name: name.replace("_", " "))
        epochs.plot(ax=ax, marker="o", color=base.SYSTEM_COLOUR[: len(losses)], xticks=epochs.index, legend=False)
        ax.set_title(f"{panel} {phase}".strip())
    axes[0, 0].set(ylabel=ylabel, ylim=(0, None))  # of all panels: they are to be compared
    axes[0, 0].legend()
    return fig


def player_logits(probabilities: np.ndarray, truth: Sequence[tuple[int, int]], title: str = "") -> Figure:
    """A player's class probabilities (9, T) over time; vertical lines are their real events (frame index, class id)."""
    fig, ax = plt.subplots(figsize=(9, 2.8), layout="constrained")
    base.class_lines(ax, probabilities)
    for frame, class_id in truth:
        name = EVENT_CLASSES[class_id - 1]
        ax.axvline(frame, color=base.CLASS_COLOUR[name], ls=":", lw=1.4)
        ax.text(frame, 1.01, name, color=base.CLASS_COLOUR[name], fontsize=8, ha="center", va="bottom")
    ax.set(ylim=(0, 1), xlim=(0, probabilities.shape[1]), xlabel="frame", ylabel="probability")
    ax.set_title(title, pad=14)
    base.legend_beside(ax, fontsize=8)
    return fig


def before_and_after(curves: Mapping[str, np.ndarray], anchor: int, class_name: str, title: str = "") -> Figure:
    """Class probabilities (9, T) of one player around an event of a class at index ``anchor``, a panel a system."""
    fig, axes = plt.subplots(1, len(curves), figsize=(10, 2.7), sharey=True, squeeze=False, layout="constrained")
    for ax, (system, probabilities) in zip(axes[0], curves.items(), strict=True):
        base.class_lines(ax, probabilities)
        ax.plot(probabilities[0], color=base.INK, lw=0.8, ls="--", label="background")
        ax.axvline(anchor, color=base.CLASS_COLOUR[class_name], ls=":", lw=1.6)
        ax.set(ylim=(0, 1.02), xlabel="frame", title=system)
    axes[0, 0].set_ylabel("probability")
    base.legend_beside(axes[0, -1], fontsize=8)
    fig.suptitle(title, fontsize=10)
    return fig


def checkpointing_costs(table: pd.DataFrame) -> Figure:
    """Memory kept for the backward pass and time of a step by batch size, with and without recomputation.

    Rows of ``batch``, ``checkpointing`` (bool), ``kept_mb``, ``seconds``.
    """
    fig, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    names = {False: "everything kept", True: "checkpointing"}
    for ax, column, title, unit in zip(
        axes, ("kept_mb", "seconds"), ("kept for the backward pass", "time of a step"), ("MB", "seconds"), strict=True
    ):
        costs = table.pivot(index="batch", columns="checkpointing", values=column).rename(columns=names)
        costs.plot(ax=ax, marker="o", color=base.SYSTEM_COLOUR[1::-1], xticks=costs.index, legend=False)
        ax.set(title=title, xlabel="clips in the batch", ylabel=unit, ylim=(0, None))
    axes[0].legend()
    return fig
