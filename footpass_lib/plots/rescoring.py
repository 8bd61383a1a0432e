"""Figures of learned re-scoring: what candidates are, what their probabilities are worth."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from footpass_lib.plots.base import CLASS_COLOUR, INK, SYSTEM_COLOUR
from footpass_lib.schema import EVENT_CLASSES


def candidate_sources(counts: pd.DataFrame) -> Figure:
    """Right and wrong candidates by who found them; index both | DST | TAAD, columns ``right`` and ``wrong``."""
    fig, ax = plt.subplots(figsize=(8, 2.4), layout="constrained")
    y = np.arange(len(counts))
    left = np.zeros(len(counts))
    for name, colour in (("right", "#3b8f5a"), ("wrong", "#c0392b")):
        ax.barh(y, counts[name], left=left, color=colour, height=0.62, label=name)
        left += counts[name].to_numpy(float)
    for place, (right, total) in enumerate(zip(counts["right"], left, strict=True)):
        ax.text(total + left.max() * 0.01, place, f"{right / max(total, 1):.0%} right", va="center", color=INK)
    ax.set(yticks=y, yticklabels=counts.index, xlabel="candidates", xlim=(0, left.max() * 1.16))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.legend(loc="upper right", bbox_to_anchor=(1, 1.25), ncols=2)
    return fig


def reliability(chance: np.ndarray, right: np.ndarray, bins: int = 12) -> Figure:
    """Observed share of right candidates against their probability, and how many candidates stand behind each point."""
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.digitize(chance, edges) - 1, 0, bins - 1)
    n = np.bincount(place, minlength=bins)
    some = n > 0
    mean, share = (np.bincount(place, v, minlength=bins)[some] / n[some] for v in (chance, right.astype(float)))
    fig, (ax, below) = plt.subplots(
        2, 1, figsize=(5, 5), sharex=True, height_ratios=(3, 1), layout="constrained"
    )  # fmt: skip
    ax.plot([0, 1], [0, 1], color=INK, ls=":", lw=1)
    ax.plot(mean, share, marker="o", color=SYSTEM_COLOUR[0])
    ax.set(ylabel="share that is right", ylim=(0, 1), xlim=(0, 1))
    below.bar(edges[:-1] + 0.5 / bins, n, width=0.9 / bins, color="#7f7f7f")
    below.set(xlabel="probability", ylabel="candidates", yscale="log")
    below.yaxis.set_minor_formatter(NullFormatter())
    return fig


def kept_by_class(probabilities: Mapping[str, np.ndarray], thresholds: Mapping[str, float]) -> Figure:
    """Probabilities of the candidates of each class, ranked, and the place of the threshold."""
    fig, axes = plt.subplots(2, 4, figsize=(10, 4.4), sharey=True, layout="constrained")
    for ax, name in zip(axes.flat, EVENT_CLASSES, strict=True):
        ranked = np.sort(probabilities[name])[::-1]
        ax.plot(np.arange(1, len(ranked) + 1), ranked, color=CLASS_COLOUR[name], lw=1.8)
        if name in thresholds:
            ax.axhline(thresholds[name], color=INK, ls=":", lw=1)
        ax.set(title=name, ylim=(0, 1))
    fig.supxlabel("rank", fontsize=10)
    fig.supylabel("probability", fontsize=10)
    return fig
