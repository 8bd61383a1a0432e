"""Figures of scores: the protocol, F1 per class, precision and recall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from footpass_lib.events.bootstrap import Interval
from footpass_lib.events.metrics import Matching, average_precision, precision_recall_curve
from footpass_lib.plots.base import INK, MISSING, SYSTEM_COLOUR, grouped_bars
from footpass_lib.schema import CLASS_ID, EVENT_CLASSES

_SCORE = {"macro_f1": "Macro F1", "micro_f1": "Micro F1"}


def protocol_example(matching: Matching, tolerance: int) -> Figure:
    """Events with their tolerance, and what each prediction of a few counts as."""
    truth, made = matching.truth, matching.predictions
    fig, ax = plt.subplots(figsize=(9, 2.9), layout="constrained")
    for row in truth.itertuples():
        ax.axvspan(row.frame - tolerance, row.frame + tolerance, ymin=0.52, ymax=0.98, color="#dfe8f2", lw=0)
    for found, colour, label in ((True, "#3b8f5a", "event found"), (False, "#c0392b", "event missed (FN)")):
        chosen = truth[truth["found"] == found]
        ax.scatter(chosen["frame"], np.ones(len(chosen)), s=110, color=colour, label=label, zorder=3)
    for tp, colour, label in ((True, "#3b8f5a", "true positive"), (False, "#c0392b", "false positive")):
        chosen = made[made["tp"] == tp]
        ax.scatter(chosen["frame"], np.zeros(len(chosen)), s=80, marker="^", color=colour, label=label, zorder=3)
    names = (None, *EVENT_CLASSES)
    for row in truth.to_dict("records"):
        ax.text(row["frame"], 1.28, f"{names[row['class']]}, no. {row['jersey']}", ha="center", fontsize=9)
    for row in made.to_dict("records"):
        ax.text(
            row["frame"],
            -0.5,
            f"{names[row['class']]}, no. {row['jersey']}\nscore {row['score']:.2f}",
            ha="center",
            fontsize=8,
        )
        if row["tp"]:
            ax.plot([row["frame"], row["frame"] - row["offset"]], [0.08, 0.9], color="#3b8f5a", lw=1.2)
    ax.set(yticks=[1, 0], yticklabels=["ground truth", "predictions"], ylim=(-0.75, 1.55), xlabel="frame")
    ax.grid(axis="y", visible=False)
    ax.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.22))
    return fig


def f1_by_class(tables: Mapping[str, pd.DataFrame], title: str = "") -> Figure:
    """F1 per class of several systems beside each other; tables as ``metrics.Scores.per_class``."""
    fig, ax = plt.subplots(figsize=(9, 3.3), layout="constrained")
    grouped_bars(ax, {name: table["f1"] for name, table in tables.items()}, EVENT_CLASSES)
    ax.set(ylabel="F1", ylim=(0, 1))
    ax.legend(ncols=len(tables), loc="upper right")
    ax.set_title(title)
    return fig


def precision_recall(matchings: Mapping[str, Matching], threshold: float) -> Figure:
    """Precision against recall as the score threshold falls, a panel a class; dots: the protocol's threshold."""
    precision = {system: average_precision(matching) for system, matching in matchings.items()}
    fig, axes = plt.subplots(2, 4, figsize=(11, 5), sharex=True, sharey=True, layout="constrained")
    for ax, name in zip(axes.flat, EVENT_CLASSES, strict=True):
        for i, (system, matching) in enumerate(matchings.items()):
            curve = precision_recall_curve(matching, CLASS_ID[name])
            kept = curve[curve["threshold"] >= threshold]
            ax.plot(curve["recall"], curve["precision"], color=SYSTEM_COLOUR[i], lw=1.6, label=system)
            if len(kept):
                ax.plot(kept["recall"].iloc[-1], kept["precision"].iloc[-1], "o", color=SYSTEM_COLOUR[i], ms=6)
            place = {"transform": ax.transAxes, "ha": "right", "va": "top", "fontsize": 8}
            ax.text(0.99, 0.99 - 0.1 * i, f"AP {precision[system][name]:.2f}", color=SYSTEM_COLOUR[i], **place)
        ax.set_title(name)
    axes[0, 0].set(xlim=(0, 1), ylim=(0, 1.02))
    fig.legend(*axes[0, 0].get_legend_handles_labels(), ncols=len(matchings), loc="outside upper right")
    fig.supxlabel("recall", fontsize=10)
    fig.supylabel("precision", fontsize=10)
    return fig


def threshold_curves(matchings: Mapping[str, Matching], threshold: float) -> Figure:
    """Precision, recall and F1 over all events against the score threshold, a panel a system."""
    fig, axes = plt.subplots(1, len(matchings), figsize=(9, 3.1), sharey=True, layout="constrained", squeeze=False)
    for ax, (system, matching) in zip(axes[0], matchings.items(), strict=True):
        curve = precision_recall_curve(matching)
        for column, colour in (("precision", "#2c5f9e"), ("recall", "#e0a030"), ("f1", "#3b8f5a")):
            ax.plot(curve["threshold"], curve[column], color=colour, lw=1.8, label=column.replace("f1", "F1"))
        ax.axvline(threshold, color=INK, ls=":", lw=1)
        ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="score threshold", title=system)
    axes[0, -1].legend(loc="best")
    return fig


def f1_over_seeds(tables: Mapping[str, Sequence[pd.DataFrame]], title: str = "") -> Figure:
    """F1 per class of several systems, each trained with several seeds: bars are means, dots are the seeds.

    Parameters
    ----------
    tables : mapping
        ``metrics.Scores.per_class`` of every seed, a sequence a system.
    title : str
    """
    fig, ax = plt.subplots(figsize=(9, 3.4), layout="constrained")
    f1 = {  # (seeds, 8) each
        f"{name} ({len(seeds)} seed{'s' * (len(seeds) > 1)})": np.stack([table["f1"] for table in seeds])
        for name, seeds in tables.items()
    }
    places = grouped_bars(ax, {name: values.mean(axis=0) for name, values in f1.items()}, EVENT_CLASSES, numbers=False)
    for place, seeds in zip(places, f1.values(), strict=True):
        for values in seeds:
            ax.scatter(place, values, s=11, color="white", edgecolor=INK, linewidth=0.7, zorder=3)
    ax.set(ylabel="F1", ylim=(0, 1))
    ax.legend(ncols=len(tables), loc="upper right")
    ax.set_title(title)
    return fig


def paired_gains(gains: Mapping[str, Mapping[str, Interval]], title: str = "") -> Figure:
    """Differences with their intervals, below each other: comparison -> score, or set of matches -> Interval.

    ``macro_f1`` and ``micro_f1`` are written out. A comparison without anything is shown as missing.
    """
    fig, ax = plt.subplots(figsize=(8.5, 1.2 + 0.6 * len(gains)), layout="constrained")
    names = list(dict.fromkeys(name for comparison in gains.values() for name in comparison))
    for i, comparison in enumerate(gains.values()):
        if not comparison:
            ax.text(0, i, "  missing", **MISSING)
        for k, name in enumerate(names):
            if name in comparison:
                gain, y = comparison[name], i + (k - (len(names) - 1) / 2) * 0.3
                ax.plot([gain.low, gain.high], [y, y], color=SYSTEM_COLOUR[k], lw=2.5, alpha=0.65)
                ax.plot(gain.estimate, y, "o", color=SYSTEM_COLOUR[k], ms=6)
                ax.text(gain.high, y, f"  {gain.estimate:+.3f}", va="center", fontsize=9, color=INK)
    for k, name in enumerate(names):
        ax.plot([], [], "o-", color=SYSTEM_COLOUR[k], label=_SCORE.get(name, name))
    ax.axvline(0, color=INK, ls=":", lw=1)
    ax.set(yticks=range(len(gains)), yticklabels=list(gains), xlabel="difference, 95 % paired block bootstrap")
    ax.set_ylim(len(gains) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    ax.margins(x=0.16)  # room for the numbers
    if names:
        fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=len(names))
    ax.set_title(title)
    return fig
