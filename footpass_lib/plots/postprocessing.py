"""Figures of post-processing, the ensemble and re-scoring: what gates cost and bring, where two systems agree."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from footpass_lib.plots import base
from footpass_lib.schema import EVENT_CLASSES


def gate_balance(effects: Mapping[str, pd.DataFrame], title: str = "") -> Figure:
    """False positives that each gate removed and true positives that it lost, per class; tables from ``effect``."""
    fig, axes = plt.subplots(1, len(effects), figsize=(2.6 * len(effects) + 1, 3.2), sharex=True, sharey=True,
                             squeeze=False, layout="constrained")  # fmt: skip
    for ax, (name, table) in zip(axes[0], effects.items(), strict=True):
        per_class = table.loc[list(EVENT_CLASSES)]
        bars = pd.DataFrame({"FP removed": per_class["fp removed"], "TP lost": -per_class["tp lost"]})
        base.bar_rows(ax, bars, (base.RIGHT, base.WRONG), stacked=True)
        for place, (gone, lost) in enumerate(zip(per_class["fp removed"], per_class["tp lost"], strict=True)):
            ax.text(gone, place, f" {gone}", va="center", fontsize=8, color=base.INK)
            ax.text(-lost, place, f"{lost} ", va="center", ha="right", fontsize=8, color=base.INK)
        ax.axvline(0, color=base.INK, lw=0.8)
        ax.set_title(name)
        ax.margins(x=0.2)
    axes[0, 0].xaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    fig.supxlabel("events", fontsize=10)
    fig.suptitle(title, fontsize=10)
    base.shared_legend(fig, axes[0, 0], "upper right", ncols=2)
    return fig


def calibration_gains(gains: pd.DataFrame, xlabel: str = "change of Macro F1", title: str = "") -> Figure:
    """The gain of each gate (row) under several calibrations (columns), joined by a line; NaN is left out."""
    fig, ax = base.titled((8, 1.2 + 0.42 * len(gains)), title)
    y = np.arange(len(gains))
    ax.hlines(y, gains.min(axis=1), gains.max(axis=1), color="#c8c8c8", lw=2, zorder=1)
    for i, name in enumerate(gains.columns):
        ax.scatter(gains[name], y, color=base.system_colour(i), marker="os^Dv"[i % 5], s=44, label=name, zorder=2)
    ax.axvline(0, color=base.INK, ls=":", lw=1)
    ax.set_xlabel(xlabel)
    base.label_rows(ax, gains.index)
    ax.margins(x=0.08)
    base.legend_beside(ax)
    return fig


def gate_curves(curves: Mapping[str, Mapping[str, pd.DataFrame]], xlabel: str) -> Figure:
    """F1 of a class against its threshold, a panel a class, a line a match; dots: where a match would put its gate.

    ``curves`` holds, by class name and match, tables of ``gates.gate_curve``; ``xlabel`` says what the threshold is of.
    """
    fig, panels = base.class_panels((11, 4.8), xlabel, "F1", sharey=False)
    for name, ax in panels.items():
        for i, (match, curve) in enumerate(curves[name].items()):
            _gate_curve(ax, curve, match, base.system_colour(i))
        ax.set(xlim=(0, 1.02), ylim=(0, None))
    panels[EVENT_CLASSES[0]].legend(fontsize=8)
    return fig


def _gate_curve(ax: Axes, curve: pd.DataFrame, match: str, colour: str) -> None:
    threshold = np.where(np.isfinite(curve["threshold"]), curve["threshold"], 0.0)
    f1 = curve["f1"].to_numpy()
    ax.step(threshold, f1, where="mid", color=colour, lw=1.4, label=match)
    if len(curve):
        best = len(f1) - 1 - f1[::-1].argmax()
        ax.plot(threshold[best], f1[best], "o", color=colour, ms=5)


def agreement(table: pd.DataFrame, title: str = "") -> Figure:
    """Share of right events of each class by who has them, a panel a group, with the number of events.

    Index (group, class), columns ``right`` and ``wrong``; groups in the order of their panels.
    """
    groups = list(dict.fromkeys(table.index.get_level_values(0)))
    fig, axes = plt.subplots(1, len(groups), figsize=(3.6 * len(groups), 3.4), sharey=True, squeeze=False,
                             layout="constrained")  # fmt: skip
    for ax, group in zip(axes[0], groups, strict=True):
        counts = table.loc[group].reindex(list(EVENT_CLASSES), fill_value=0)[["right", "wrong"]]
        n = counts.sum(axis=1)
        shares = counts.div(n.clip(lower=1), axis=0)
        base.bar_rows(ax, shares, (base.RIGHT, "#e8b5b0"), stacked=True)
        for place, (right, events) in enumerate(zip(shares["right"], n, strict=True)):
            text = f"{right:.0%} of {events}" if events else "none"
            ax.text(1.02, place, text, va="center", fontsize=8, color=base.INK)
        ax.set(title=group, xlim=(0, 1.5), xticks=[0, 0.5, 1], xticklabels=["0", "50 %", "100 %"])
    fig.suptitle(title, fontsize=10)
    base.shared_legend(fig, axes[0, 0], "upper right", ncols=2)
    return fig


def candidate_sources(counts: pd.DataFrame) -> Figure:
    """Right and wrong candidates by who found them; index both | DST | TAAD, columns ``right`` and ``wrong``."""
    fig, ax = plt.subplots(figsize=(8, 2.4), layout="constrained")
    base.bar_rows(ax, counts, (base.RIGHT, base.WRONG), stacked=True)
    total = counts.sum(axis=1)
    shares = [f"{share:.0%} right" for share in counts["right"] / total.clip(lower=1)]
    ax.bar_label(ax.containers[-1], shares, padding=4, color=base.INK)
    ax.set(xlabel="candidates", xlim=(0, total.max() * 1.16))
    ax.legend(loc="upper right", bbox_to_anchor=(1, 1.25), ncols=2)
    return fig


def reliability(chance: np.ndarray, right: np.ndarray, bins: int = 12) -> Figure:
    """Observed share of right candidates against their probability, and how many candidates stand behind each point."""
    edges = np.linspace(0, 1, bins + 1)
    table = pd.DataFrame({"chance": chance, "right": right})
    means = table.groupby(np.clip(np.digitize(chance, edges), 1, bins)).mean()
    fig, (ax, below) = plt.subplots(2, 1, figsize=(5, 5), sharex=True, height_ratios=(3, 1), layout="constrained")
    ax.plot([0, 1], [0, 1], color=base.INK, ls=":", lw=1)
    ax.plot(means["chance"], means["right"], marker="o", color=base.SYSTEM_COLOUR[0])
    ax.set(ylabel="share that is right", ylim=(0, 1), xlim=(0, 1))
    below.hist(chance, bins=edges, rwidth=0.9, color="#7f7f7f")
    below.set(xlabel="probability", ylabel="candidates", yscale="log")
    below.yaxis.set_minor_formatter(NullFormatter())
    return fig


def kept_by_class(probabilities: Mapping[str, np.ndarray], thresholds: Mapping[str, float]) -> Figure:
    """Probabilities of the candidates of each class, ranked, and the place of the threshold."""
    fig, panels = base.class_panels((10, 4.4), "rank", "probability")
    for name, ax in panels.items():
        ranked = np.sort(probabilities[name])[::-1]
        ax.plot(np.arange(1, len(ranked) + 1), ranked, color=base.CLASS_COLOUR[name], lw=1.8)
        if name in thresholds:
            ax.axhline(thresholds[name], color=base.INK, ls=":", lw=1)
        ax.set_ylim(0, 1)
    return fig
