"""Figures of the ablation and of the transfer to other matches: scores, gains, slopes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from footpass_lib.plots import base
from footpass_lib.schema import CLASS_ID, EVENT_CLASSES

_PARTS = {  # of the ablation: colour and name
    "context": ("#7f7f7f", "before the chain"), "chain": ("#2c5f9e", "the chain"),
    "variant": ("#8a5a9e", "beside the chain"), "real": ("#3b8f5a", "real matches"),
}  # fmt: skip
_PAPER = "#d55e00"


def ablation_chain(table: pd.DataFrame, title: str = "") -> Figure:
    """Scores and gains of the ablation beside the paper's; a table of ``report.ablation_table``."""
    fig, (left, right) = plt.subplots(
        1, 2, figsize=(11, 1.3 + 0.42 * len(table)), sharey=True, width_ratios=(3, 2), layout="constrained"
    )
    for ax in (left, right):
        base.label_rows(ax, table.index)
        for change in np.flatnonzero((table["part"] != table["part"].shift()).to_numpy())[1:]:
            ax.axhline(change - 0.5, color="#bbbbbb", lw=0.8)
    for place, (_, row) in enumerate(table.iterrows()):
        colour = _PARTS[row["part"]][0]
        _seeds(left, list(row["scores"].values()), row["mean"], place, colour)
        _gain(right, row, place, colour)
    y = np.flatnonzero(table["paper"].notna())
    if len(y):
        paper = table["paper"].iloc[y]
        left.plot(paper, y, "D-", color=_PAPER, ms=5, lw=1.2, label="the paper (real matches)")
        right.plot(paper.diff(), y - 0.25, "D", color=_PAPER, ms=5)
    for part in dict.fromkeys(table["part"]):
        left.plot([], [], "o", color=_PARTS[part][0], label=_PARTS[part][1])
    top = np.nanmax([0.05, *table["high"], *table["paper"]])
    left.set(xlabel="Macro F1 (dots: seeds; bar: mean)", xlim=(0, top * 1.12))
    right.axvline(0, color=base.INK, ls=":", lw=1)
    right.set(xlabel="paired gain (line: 95 % interval; small dots: seeds)")
    right.locator_params(axis="x", nbins=5)  # more would run into each other
    base.shared_legend(fig, left, ncols=4)
    left.set_title(title)
    return fig


def _seeds(ax: Axes, scores: Sequence[float], mean: float, place: float, colour: str) -> None:
    if not scores:
        ax.text(0.005, place, "missing", **base.MISSING)
        return
    ax.plot([mean, mean], [place - 0.3, place + 0.3], color=colour, lw=3)
    ax.scatter(scores, np.full(len(scores), place), s=26, color=colour, edgecolor="white", linewidth=0.7, zorder=3)


def _gain(ax: Axes, row: pd.Series, place: float, colour: str) -> None:
    if not row["before"]:
        return
    if np.isnan(row["gain"]):
        ax.text(0, place, f"  {row['why']}", **base.MISSING)
        return
    if not np.isnan(row["gain_low"]):
        ax.plot([row["gain_low"], row["gain_high"]], [place, place], color=colour, lw=2.2, alpha=0.6)
    seeds = list(row["gains"].values())
    if len(seeds) > 1:
        ax.scatter(seeds, np.full(len(seeds), place + 0.22), s=12, color=colour)
    ax.plot(row["gain"], place, "o", color=colour, ms=7, markeredgecolor="white")


def retrained_gains(runs: pd.DataFrame, paper: Mapping[str, float], title: str = "") -> Figure:
    """Gains of the chain's steps with intervals in every run (``report.retrainings``), beside the paper's by title."""
    fig, ax = base.titled((8, 1.2 + 0.9 * len(paper)), title)
    place = np.arange(len(paper))
    for i, shift in enumerate(np.linspace(-0.32, 0.32, len(runs)) if len(runs) > 1 else [0.0]):
        now, y = i == len(runs) - 1, place + shift
        gain, low, high = (
            runs.iloc[i][[(step, kind) for step in paper]].to_numpy(float) for kind in ("gain", "low", "high")
        )
        colour = _PARTS["chain" if now else "context"][0]
        ax.hlines(y, low, high, color=colour, lw=2, alpha=0.6)
        label = "this run" if now else "earlier runs, from the first on" if i == 0 else None
        ax.plot(gain, y, "o", color=colour, ms=5, label=label)
    ax.plot(list(paper.values()), place, "D", color=_PAPER, ms=6, label="the paper (real matches)")
    ax.axvline(0, color=base.INK, ls=":", lw=1)
    ax.set_xlabel("paired gain in Macro F1 (line: 95 % interval)")
    base.label_rows(ax, list(paper))
    base.shared_legend(fig, ax, ncols=3)
    return fig


def class_heatmap(f1: pd.DataFrame, title: str = "") -> Figure:
    """F1 per class (columns) of several systems (rows); what has no value is shown as missing."""
    fig, ax = plt.subplots(figsize=(9, 1 + 0.36 * len(f1)), layout="constrained")
    sns.heatmap(f1.astype(float), ax=ax, cmap="Blues", vmin=0, vmax=1, annot=True, fmt=".2f", annot_kws={"fontsize": 9},
                cbar_kws={"label": "F1", "shrink": 0.9})  # fmt: skip
    for i, j in np.argwhere(f1.isna().to_numpy()):
        ax.text(j + 0.5, i + 0.5, "missing", ha="center", **base.MISSING)
    ax.tick_params(axis="y", rotation=0)
    ax.grid(visible=False)
    ax.set(title=title, xlabel="", ylabel="")
    return fig


def transfer_slopes(scores: pd.DataFrame, title: str = "") -> Figure:
    """Macro and Micro F1 of every system on two sets of matches, joined by lines; thin lines are seeds.

    One row a system and seed: ``system``, ``seed``, and columns ``(test|challenge) (Macro|Micro) F1``.
    """
    fig, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    for ax, kind in zip(axes, ("Macro F1", "Micro F1"), strict=True):
        columns = [f"test {kind}", f"challenge {kind}"]
        ends = []
        for i, (name, runs) in enumerate(scores.groupby("system", sort=False)):
            colour, dash = _look(i)
            ax.plot([0, 1], runs[columns].T.to_numpy(), color=colour, lw=0.6, alpha=0.45)
            mean = runs[columns].mean()
            ax.plot([0, 1], mean, color=colour, ls=dash, lw=2, marker="o", ms=5, label=name)
            ends.append((mean.iloc[1], f"{mean.iloc[1]:.3f}", colour))
        lowest, highest = scores[columns].to_numpy().min(initial=1), scores[columns].to_numpy().max(initial=0.05)
        room = max(0.02, 0.1 * (highest - lowest))
        ax.set(xticks=[0, 1], xticklabels=["test", "challenge"], xlim=(-0.1, 1.3), ylabel=kind)
        ax.set_ylim(max(0, lowest - room), highest + room)
        _labels(ax, ends)
    base.shared_legend(fig, axes[0], ncols=3, handlelength=3.5)
    base.heading(fig, title)
    return fig


def _look(number: int) -> tuple[str, str]:
    """Colour and dash of a system."""
    return base.system_colour(number), ("-", "--", ":")[number // len(base.SYSTEM_COLOUR) % 3]


def _labels(ax: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Text at the right ends of lines, pushed apart where they would overlap."""
    if not ends:
        return
    room = np.ptp(ax.get_ylim()) * 0.045
    place = -np.inf
    for value, text, colour in sorted(ends):
        place = max(value, place + room)
        ax.text(1.04, place, text, va="center", fontsize=8, color=colour)


def class_slopes(
    scores: Mapping[str, Mapping[str, Sequence[pd.DataFrame]]], paper: Mapping[str, Sequence[float]], title: str = ""
) -> Figure:
    """Mean F1 per class on two sets of matches, a panel a class; dashed: the paper's two values by class.

    ``scores`` has ``metrics.Scores.per_class`` of every seed by system and set of matches.
    """
    fig, panels = base.class_panels((11, 5), "", "F1", sharex=True)
    for name, ax in panels.items():
        for i, (system, sets) in enumerate(scores.items()):
            means = [np.mean([table.loc[name, "f1"] for table in tables]) for tables in sets.values()]
            colour, dash = _look(i)
            ax.plot(range(len(means)), means, color=colour, ls=dash, marker="o", ms=4, lw=1.7, label=system)
            ax.set(xticks=range(len(means)), xticklabels=list(sets), xlim=(-0.2, len(means) - 0.8))
        if name in paper:
            ax.plot(range(len(paper[name])), paper[name], "D--", color=_PAPER, ms=4, lw=1.2)
            ax.text(0.5, 0.9, "dashed: the paper", transform=ax.transAxes, fontsize=8, color=_PAPER, ha="center")
        ax.set_ylim(0, 1)
    base.shared_legend(fig, ax, ncols=3, handlelength=3.5)
    base.heading(fig, title)
    return fig


def event_evidence(evidence: pd.DataFrame, title: str = "") -> Figure:
    """What the detector says at true events, a dot an event, and the median; events without evidence lie below zero.

    One row an event: ``split``, ``class`` (name), ``value`` (probability, NaN without evidence).
    """
    fig, ax = base.titled((10, 3.6), title)
    rng = np.random.default_rng(0)  # only for where dots lie beside each other
    for k, (split, events) in enumerate(evidence.groupby("split", sort=False)):
        middle = np.array([CLASS_ID[name] - 1 for name in events["class"]]) + (k - 0.5) * 0.36
        place = middle + rng.uniform(-0.12, 0.12, len(events))
        ax.scatter(place, events["value"].fillna(-0.08), s=9, color=base.SYSTEM_COLOUR[k], alpha=0.45, linewidth=0)
        medians = events["value"].groupby(middle).median().dropna()
        ax.hlines(medians, medians.index - 0.15, medians.index + 0.15, color=base.INK, lw=2)
        ax.scatter([], [], s=20, color=base.SYSTEM_COLOUR[k], label=split)
    ax.axhline(-0.03, color="#bbbbbb", lw=0.8)
    ax.set(xticks=range(len(EVENT_CLASSES)), xticklabels=EVENT_CLASSES, ylim=(-0.13, 1.02), ylabel="probability")
    ax.set(yticks=[-0.08, 0, 0.5, 1], yticklabels=["not seen", "0", ".5", "1"])
    ax.grid(axis="x", visible=False)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return fig
