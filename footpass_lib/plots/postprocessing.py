"""Figures of post-processing and the ensemble: what gates cost and bring, how they transfer, where two models agree."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from footpass_lib.plots.base import INK, SYSTEM_COLOUR
from footpass_lib.schema import EVENT_CLASSES

_RIGHT, _WRONG = "#3b8f5a", "#c0392b"


def gate_balance(effects: Mapping[str, pd.DataFrame], title: str = "") -> Figure:
    """False positives that each gate removed and true positives that it lost, per class; tables from ``effect``."""
    fig, axes = plt.subplots(1, len(effects), figsize=(2.6 * len(effects) + 1, 3.2), sharex=True, sharey=True,
                             squeeze=False, layout="constrained")  # fmt: skip
    y = np.arange(len(EVENT_CLASSES))
    for ax, (name, table) in zip(axes[0], effects.items(), strict=True):
        per_class = table.loc[list(EVENT_CLASSES)]
        ax.barh(y, per_class["fp removed"], color=_RIGHT, height=0.66, label="FP removed")
        ax.barh(y, -per_class["tp lost"], color=_WRONG, height=0.66, label="TP lost")
        for place, (gone, lost) in enumerate(zip(per_class["fp removed"], per_class["tp lost"], strict=True)):
            ax.text(gone, place, f" {gone}", va="center", fontsize=8, color=INK)
            ax.text(-lost, place, f"{lost} ", va="center", ha="right", fontsize=8, color=INK)
        ax.axvline(0, color=INK, lw=0.8)
        ax.set_title(name)
        ax.grid(axis="y", visible=False)
        ax.margins(x=0.2)
    axes[0, 0].set(yticks=y, yticklabels=EVENT_CLASSES)
    axes[0, 0].xaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    axes[0, 0].invert_yaxis()
    fig.supxlabel("events", fontsize=10)
    fig.suptitle(title, fontsize=10)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), ncols=2, loc="outside upper right", fontsize=9)
    return fig


def calibration_gains(gains: pd.DataFrame, xlabel: str = "change of Macro F1", title: str = "") -> Figure:
    """The gain of each gate (row) under several calibrations (columns), joined by a line; NaN is left out."""
    fig, ax = plt.subplots(figsize=(8, 1.2 + 0.42 * len(gains)), layout="constrained")
    y = np.arange(len(gains))
    ax.hlines(y, gains.min(axis=1), gains.max(axis=1), color="#c8c8c8", lw=2, zorder=1)
    for i, name in enumerate(gains.columns):
        colour, marker = SYSTEM_COLOUR[i % len(SYSTEM_COLOUR)], "os^Dv"[i % 5]
        ax.scatter(gains[name], y, color=colour, marker=marker, s=44, label=name, zorder=2)
    ax.axvline(0, color=INK, ls=":", lw=1)
    ax.set(yticks=y, yticklabels=gains.index, xlabel=xlabel, ylim=(len(gains) - 0.5, -0.5))
    ax.grid(axis="y", visible=False)
    ax.margins(x=0.08)
    ax.set_title(title)
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return fig


def gate_curves(curves: Mapping[str, Mapping[str, pd.DataFrame]], xlabel: str) -> Figure:
    """F1 of a class against its threshold, a panel a class, a line a match; dots: where a match would put its gate.

    Parameters
    ----------
    curves : mapping of class name to mapping of match to DataFrame
        Tables of ``calibration.gate_curve``.
    xlabel : str
        What the threshold is of.
    """
    rows = -(-len(curves) // 4)
    fig, axes = plt.subplots(rows, 4, figsize=(11, 2.4 * rows), squeeze=False, layout="constrained")
    for ax in axes.flat[len(curves) :]:
        ax.axis("off")
    for ax, (name, matches) in zip(axes.flat, curves.items(), strict=False):
        for i, (match, curve) in enumerate(matches.items()):
            _gate_curve(ax, curve, match, SYSTEM_COLOUR[i % len(SYSTEM_COLOUR)])
        ax.set(title=name, xlim=(0, 1.02), ylim=(0, None))
    axes[0, 0].legend(fontsize=8)
    fig.supxlabel(xlabel, fontsize=10)
    fig.supylabel("F1", fontsize=10)
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

    Parameters
    ----------
    table : DataFrame
        Index (group, class), columns ``right`` and ``wrong``; groups and classes in the order of their panels and rows.
    title : str
    """
    groups = list(dict.fromkeys(table.index.get_level_values(0)))
    fig, axes = plt.subplots(1, len(groups), figsize=(3.6 * len(groups), 3.4), sharey=True, squeeze=False,
                             layout="constrained")  # fmt: skip
    y = np.arange(len(EVENT_CLASSES))
    for ax, group in zip(axes[0], groups, strict=True):
        part = table.loc[group].reindex(list(EVENT_CLASSES), fill_value=0)
        n = part["right"] + part["wrong"]
        share, some = (part["right"] / n.clip(lower=1)).to_numpy(), (n > 0).to_numpy()
        ax.barh(y[some], 1 - share[some], left=share[some], color=_WRONG, alpha=0.35, height=0.66, label="wrong")
        ax.barh(y[some], share[some], color=_RIGHT, height=0.66, label="right")
        for place, (right, events) in enumerate(zip(share, n, strict=True)):
            ax.text(1.02, place, f"{right:.0%} of {events}" if events else "none", va="center", fontsize=8, color=INK)
        ax.set(title=group, xlim=(0, 1.5), xticks=[0, 0.5, 1], xticklabels=["0", "50 %", "100 %"])
        ax.grid(axis="y", visible=False)
    axes[0, 0].set(yticks=y, yticklabels=EVENT_CLASSES)
    axes[0, 0].invert_yaxis()
    fig.suptitle(title, fontsize=10)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), ncols=2, loc="outside upper right", fontsize=9)
    return fig
