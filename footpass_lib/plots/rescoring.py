"""Figures of learned re-scoring: what candidates are, what their probabilities are worth."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from footpass_lib.plots.base import CLASS_COLOUR, INK, RIGHT, SYSTEM_COLOUR, WRONG, bar_rows, class_panels


def candidate_sources(counts: pd.DataFrame) -> Figure:
    """Right and wrong candidates by who found them; index both | DST | TAAD, columns ``right`` and ``wrong``."""
    fig, ax = plt.subplots(figsize=(8, 2.4), layout="constrained")
    bar_rows(ax, counts, (RIGHT, WRONG), stacked=True)
    total = counts.sum(axis=1)
    shares = [f"{share:.0%} right" for share in counts["right"] / total.clip(lower=1)]
    ax.bar_label(ax.containers[-1], shares, padding=4, color=INK)
    ax.set(xlabel="candidates", xlim=(0, total.max() * 1.16))
    ax.legend(loc="upper right", bbox_to_anchor=(1, 1.25), ncols=2)
    return fig


def reliability(chance: np.ndarray, right: np.ndarray, bins: int = 12) -> Figure:
    """Observed share of right candidates against their probability, and how many candidates stand behind each point."""
    edges = np.linspace(0, 1, bins + 1)
    table = pd.DataFrame({"chance": chance, "right": right})
    means = table.groupby(np.clip(np.digitize(chance, edges), 1, bins)).mean()
    fig, (ax, below) = plt.subplots(2, 1, figsize=(5, 5), sharex=True, height_ratios=(3, 1), layout="constrained")
    ax.plot([0, 1], [0, 1], color=INK, ls=":", lw=1)
    ax.plot(means["chance"], means["right"], marker="o", color=SYSTEM_COLOUR[0])
    ax.set(ylabel="share that is right", ylim=(0, 1), xlim=(0, 1))
    below.hist(chance, bins=edges, rwidth=0.9, color="#7f7f7f")
    below.set(xlabel="probability", ylabel="candidates", yscale="log")
    below.yaxis.set_minor_formatter(NullFormatter())
    return fig


def kept_by_class(probabilities: Mapping[str, np.ndarray], thresholds: Mapping[str, float]) -> Figure:
    """Probabilities of the candidates of each class, ranked, and the place of the threshold."""
    fig, panels = class_panels((10, 4.4), "rank", "probability")
    for name, ax in panels.items():
        ranked = np.sort(probabilities[name])[::-1]
        ax.plot(np.arange(1, len(ranked) + 1), ranked, color=CLASS_COLOUR[name], lw=1.8)
        if name in thresholds:
            ax.axhline(thresholds[name], color=INK, ls=":", lw=1)
        ax.set_ylim(0, 1)
    return fig
