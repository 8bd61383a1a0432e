"""Figures of models: training clips, training curves, logits over time, costs."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from footpass_lib.plots.base import CLASS_COLOUR, SYSTEM_COLOUR
from footpass_lib.schema import CLASS_ID, EVENT_CLASSES


def film_strip(video: np.ndarray, boxes: np.ndarray, mask: np.ndarray, labels: np.ndarray, every: int = 2) -> Figure:
    """A training clip: some of its frames with the players' boxes, and beneath each frame the actor's label.

    Parameters
    ----------
    video : (T, H, W, 3)
        Grey levels 0..1.
    boxes : (M, T, 4)
        x0, y0, x1, y1 in pixels of the clip; row 0 is the central player.
    mask, labels : (M, T)
    every : int
        Frames from one picture to the next.
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


def training_curves(
    history: pd.DataFrame,
    losses: Sequence[str] = ("train_loss", "val_loss"),
    ylabel: str = "weighted cross-entropy",
    panel: str = "phase",
) -> Figure:
    """Losses by epoch, a panel a value of the column ``phase``, which ``panel`` names."""
    phases = history["phase"].unique()
    fig, axes = plt.subplots(1, len(phases), figsize=(4.5 * len(phases), 2.8), squeeze=False, layout="constrained")
    for ax, phase in zip(axes[0], phases, strict=True):
        part = history[history["phase"] == phase]
        for i, name in enumerate(losses):
            ax.plot(part["epoch"], part[name], marker="o", color=SYSTEM_COLOUR[i], label=name.replace("_", " "))
        ax.set(xlabel="epoch", title=f"{panel} {phase}", xticks=part["epoch"], ylim=(0, None))
    axes[0, 0].set_ylabel(ylabel)
    axes[0, 0].legend()
    return fig


def player_logits(probabilities: np.ndarray, truth: Sequence[tuple[int, int]], title: str = "") -> Figure:
    """A player's class probabilities over time; vertical lines are his real events.

    Parameters
    ----------
    probabilities : (9, T)
    truth : sequence of (frame index, class id)
    """
    fig, ax = plt.subplots(figsize=(9, 2.8), layout="constrained")
    for name in EVENT_CLASSES:
        ax.plot(probabilities[CLASS_ID[name]], color=CLASS_COLOUR[name], lw=1.4, label=name)
    for frame, class_id in truth:
        colour = CLASS_COLOUR[EVENT_CLASSES[class_id - 1]]
        ax.axvline(frame, color=colour, ls=":", lw=1.4)
        ax.text(frame, 1.01, EVENT_CLASSES[class_id - 1], color=colour, fontsize=8, ha="center", va="bottom")
    ax.set(ylim=(0, 1), xlim=(0, probabilities.shape[1]), xlabel="frame", ylabel="probability")
    ax.set_title(title, pad=14)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    return fig


def checkpointing_costs(table: pd.DataFrame) -> Figure:
    """Memory kept for the backward pass and time of a step by batch size, with and without recomputation.

    Parameters
    ----------
    table : DataFrame
        Rows of ``batch``, ``checkpointing`` (bool), ``kept_mb``, ``seconds``.
    """
    fig, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    for flag, colour, label in (
        (False, SYSTEM_COLOUR[1], "everything kept"),
        (True, SYSTEM_COLOUR[0], "checkpointing"),
    ):
        part = table[table["checkpointing"] == flag]
        axes[0].plot(part["batch"], part["kept_mb"], marker="o", color=colour, label=label)
        axes[1].plot(part["batch"], part["seconds"], marker="o", color=colour, label=label)
    axes[0].set(title="kept for the backward pass", xlabel="clips in the batch", ylabel="MB", ylim=(0, None))
    axes[1].set(title="time of a step", xlabel="clips in the batch", ylabel="seconds", ylim=(0, None))
    for ax in axes:
        ax.set_xticks(sorted(table["batch"].unique()))
    axes[0].legend()
    return fig
