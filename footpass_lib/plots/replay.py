"""Figures of a detector beside its replay."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from footpass_lib.events.metrics import Matching
from footpass_lib.plots import base
from footpass_lib.schema import CLASS_ID

_REAL, _PLAYED = {"lw": 1.8}, {"lw": 1.4, "ls": "--"}


def replay_rates(real: pd.DataFrame, played: pd.DataFrame, title: str = "") -> Figure:
    """Precision and recall per class of a detector (diamonds) and of several plays of its replay (mean and range).

    Tables as ``likeness.by_class`` gives them.
    """
    fig, axes = plt.subplots(1, 2, figsize=(9.5, 3.4), sharex=True, layout="constrained")
    place = np.arange(len(real))
    for ax, name in zip(axes, ("precision", "recall"), strict=True):
        table = played[name]
        ax.vlines(place, table["lowest"], table["highest"], color=base.SYSTEM_COLOUR[0], lw=6, alpha=0.35)
        ax.plot(place, table["mean"], "o", color=base.SYSTEM_COLOUR[0], ms=6, label="replay: mean and range of plays")
        ax.plot(place, real[name]["mean"], "D", color=base.SYSTEM_COLOUR[1], ms=6, label="the detector itself")
        ax.set(title=name, ylim=(0, 1))
        ax.set_xticks(place, list(real.index), rotation=35)
    fig.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    base.shared_legend(fig, axes[0], ncols=2)
    return fig


def replay_scores(real: Matching, played: Matching) -> Figure:
    """Scores of what is right and of what is wrong, a panel a class: share of detections up to a score."""
    fig, panels = base.class_panels((10.5, 4.4), "score", "share of detections", sharex=True)
    for name, ax in panels.items():
        for hit, colour, label in ((True, base.RIGHT, "right"), (False, base.WRONG, "wrong")):
            for matching, look, whose in ((real, _REAL, "detector"), (played, _PLAYED, "replay")):
                said = _of_class(matching, name)
                _steps(ax, said["score"][said["tp"] == hit], color=colour, label=f"{label}, {whose}", **look)
        ax.set(xlim=(0.2, 1), ylim=(0, 1.02))
    base.shared_legend(fig, ax, "upper right", ncols=4)
    return fig


def replay_lags(real: Matching, played: Matching, tolerance: int) -> Figure:
    """Lags of what is right, a panel a class: share of true positives up to so many frames after their event."""
    fig, panels = base.class_panels((10.5, 4.4), "frames after the event", "share of true positives", sharex=True)
    for name, ax in panels.items():
        for number, (matching, look, whose) in enumerate(((played, _PLAYED, "replay"), (real, _REAL, "detector"))):
            said = _of_class(matching, name)
            _steps(ax, said["offset"][said["tp"]], color=base.SYSTEM_COLOUR[number], label=whose, **look)
        ax.set(xlim=(-tolerance, tolerance), ylim=(0, 1.02))
    base.shared_legend(fig, ax, "upper right", ncols=2)
    return fig


def _of_class(matching: Matching, name: str) -> pd.DataFrame:
    return matching.predictions[matching.predictions["class"] == CLASS_ID[name]]


def _steps(ax: Axes, values: Sequence[float] | pd.Series, **look: object) -> None:
    """The empirical distribution of values; nothing of none, but for the legend."""
    ranked = np.sort(np.asarray(values, dtype=float))
    ax.step(ranked, np.arange(1, len(ranked) + 1) / max(len(ranked), 1), where="post", **look)


def sequence_rows(table: pd.DataFrame, best: pd.Series, title: str = "") -> Figure:
    """Macro and Micro F1 of systems (rows), a dot a seed and a line at the mean; dotted: what they are compared with.

    ``table`` has columns ``system``, ``macro_f1`` and ``micro_f1``, a row a seed; ``best`` the two values.
    """
    systems = list(dict.fromkeys(table["system"]))
    fig, axes = plt.subplots(1, 2, figsize=(10, 0.9 + 0.36 * len(systems)), sharey=True, layout="constrained")
    for ax, (score, name) in zip(axes, {"macro_f1": "Macro F1", "micro_f1": "Micro F1"}.items(), strict=True):
        for place, system in enumerate(systems):
            values = table.loc[table["system"] == system, score].to_numpy()
            ax.plot(values, np.full(len(values), place), "o", color=base.SYSTEM_COLOUR[0], ms=5, alpha=0.6)
            ax.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color=base.INK, lw=1.6)
            ax.text(values.max(), place, f"   {values.mean():.3f}", va="center", fontsize=9)
        ax.axvline(best[score], color=base.INK, ls=":", lw=1)
        ax.set_xlabel(name)
        ax.margins(x=0.18)
    axes[0].set_title(title)
    base.label_rows(axes[0], systems)
    return fig
