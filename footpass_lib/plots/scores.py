"""Figures of scores: the protocol, F1 per class, precision and recall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from footpass_lib.events.bootstrap import Interval
from footpass_lib.events.metrics import Matching, average_precision, precision_recall_curve
from footpass_lib.plots import base
from footpass_lib.schema import CLASS_ID, CLASSES, EVENT_CLASSES

_SCORE = {"macro_f1": "Macro F1", "micro_f1": "Micro F1"}


def protocol_example(matching: Matching, tolerance: int) -> Figure:
    """Events with their tolerance, and what each prediction of a few counts as."""
    truth, made = matching.truth, matching.predictions
    fig, ax = plt.subplots(figsize=(9, 2.9), layout="constrained")
    for row in truth.itertuples():
        ax.axvspan(row.frame - tolerance, row.frame + tolerance, ymin=0.52, ymax=0.98, color="#dfe8f2", lw=0)
    for hit, colour, event, prediction in (
        (True, base.RIGHT, "event found", "true positive"), (False, base.WRONG, "event missed (FN)", "false positive")
    ):  # fmt: skip
        look = {"color": colour, "zorder": 3}
        events, made_here = truth.loc[truth["found"] == hit, "frame"], made.loc[made["tp"] == hit, "frame"]
        ax.scatter(events, np.ones(len(events)), s=110, label=event, **look)
        ax.scatter(made_here, np.zeros(len(made_here)), s=80, marker="^", label=prediction, **look)
    for row in truth.to_dict("records"):
        ax.text(row["frame"], 1.28, f"{CLASSES[row['class']]}, no. {row['jersey']}", ha="center", fontsize=9)
    for row in made.to_dict("records"):
        text = f"{CLASSES[row['class']]}, no. {row['jersey']}\nscore {row['score']:.2f}"
        ax.text(row["frame"], -0.5, text, ha="center", fontsize=8)
        if row["tp"]:
            ax.plot([row["frame"], row["frame"] - row["offset"]], [0.08, 0.9], color=base.RIGHT, lw=1.2)
    ax.set(yticks=[1, 0], yticklabels=["ground truth", "predictions"], ylim=(-0.75, 1.55), xlabel="frame")
    ax.grid(axis="y", visible=False)
    ax.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.22))
    return fig


def f1_by_class(tables: Mapping[str, pd.DataFrame], title: str = "") -> Figure:
    """F1 per class of several systems beside each other; tables as ``metrics.Scores.per_class``."""
    fig, ax = base.titled((9, 3.3), title)
    base.grouped_bars(ax, {name: table["f1"] for name, table in tables.items()}, EVENT_CLASSES)
    ax.set(ylabel="F1", ylim=(0, 1))
    ax.legend(ncols=len(tables), loc="upper right")
    return fig


def precision_recall(matchings: Mapping[str, Matching], threshold: float) -> Figure:
    """Precision against recall as the score threshold falls, a panel a class; dots: the protocol's threshold."""
    precision = {system: average_precision(matching) for system, matching in matchings.items()}
    fig, panels = base.class_panels((11, 5), "recall", "precision", sharex=True)
    for name, ax in panels.items():
        for i, (system, matching) in enumerate(matchings.items()):
            curve = precision_recall_curve(matching, CLASS_ID[name])
            kept = curve[curve["threshold"] >= threshold]
            ax.plot(curve["recall"], curve["precision"], color=base.SYSTEM_COLOUR[i], lw=1.6, label=system)
            if len(kept):
                ax.plot(kept["recall"].iloc[-1], kept["precision"].iloc[-1], "o", color=base.SYSTEM_COLOUR[i], ms=6)
            place = {"transform": ax.transAxes, "ha": "right", "va": "top", "fontsize": 8}
            ax.text(0.99, 0.99 - 0.1 * i, f"AP {precision[system][name]:.2f}", color=base.SYSTEM_COLOUR[i], **place)
        ax.set(xlim=(0, 1), ylim=(0, 1.02))
    base.shared_legend(fig, ax, "upper right", ncols=len(matchings))
    return fig


def threshold_curves(matchings: Mapping[str, Matching], threshold: float) -> Figure:
    """Precision, recall and F1 over all events against the score threshold, a panel a system."""
    fig, axes = plt.subplots(1, len(matchings), figsize=(9, 3.1), sharey=True, layout="constrained", squeeze=False)
    for ax, (system, matching) in zip(axes[0], matchings.items(), strict=True):
        curve = precision_recall_curve(matching)
        curve = curve.rename(columns={"f1": "F1"}).set_index("threshold")[["precision", "recall", "F1"]]
        curve.plot(ax=ax, color=base.SYSTEM_COLOUR[:3], lw=1.8, legend=False)
        ax.axvline(threshold, color=base.INK, ls=":", lw=1)
        ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="score threshold", title=system)
    axes[0, -1].legend(loc="best")
    return fig


def f1_over_seeds(tables: Mapping[str, Sequence[pd.DataFrame]], title: str = "") -> Figure:
    """F1 per class of several systems: bars are means, dots are seeds; tables as ``metrics.Scores.per_class``."""
    fig, ax = base.titled((9, 3.4), title)
    f1 = {name: np.stack([table["f1"] for table in seeds]) for name, seeds in tables.items()}  # (seeds, 8) each
    f1 = {f"{name} ({len(seeds)} seed{'s' * (len(seeds) > 1)})": seeds for name, seeds in f1.items()}
    means = {name: seeds.mean(axis=0) for name, seeds in f1.items()}
    places = base.grouped_bars(ax, means, EVENT_CLASSES, numbers=False)
    for place, seeds in zip(places, f1.values(), strict=True):
        for values in seeds:
            ax.scatter(place, values, s=11, color="white", edgecolor=base.INK, linewidth=0.7, zorder=3)
    ax.set(ylabel="F1", ylim=(0, 1))
    base.shared_legend(fig, ax, ncols=2 if max(map(len, means)) > 20 else len(means))
    return fig


def paired_gains(gains: Mapping[str, Mapping[str, Interval]], title: str = "") -> Figure:
    """Differences with their intervals, below each other: comparison -> score, or set of matches -> Interval."""
    fig, ax = base.titled((8.5, 1.2 + 0.6 * len(gains)), title)
    names = list(dict.fromkeys(name for comparison in gains.values() for name in comparison))
    for i, comparison in enumerate(gains.values()):
        if not comparison:
            ax.text(0, i, "  missing", **base.MISSING)
        for k, name in enumerate(names):
            if name in comparison:
                gain, y = comparison[name], i + (k - (len(names) - 1) / 2) * 0.3
                ax.plot([gain.low, gain.high], [y, y], color=base.SYSTEM_COLOUR[k], lw=2.5, alpha=0.65)
                ax.plot(gain.estimate, y, "o", color=base.SYSTEM_COLOUR[k], ms=6)
                ax.text(gain.high, y, f"  {gain.estimate:+.3f}", va="center", fontsize=9, color=base.INK)
    for k, name in enumerate(names):
        ax.plot([], [], "o-", color=base.SYSTEM_COLOUR[k], label=_SCORE.get(name, name))
    ax.axvline(0, color=base.INK, ls=":", lw=1)
    ax.set_xlabel("difference, 95 % paired block bootstrap")
    base.label_rows(ax, list(gains))
    ax.margins(x=0.16)  # room for the numbers
    base.shared_legend(fig, ax, ncols=max(1, len(names)))
    return fig
