"""Figures of the ablation and of the transfer to other matches: scores, gains, slopes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from footpass_lib.plots.base import INK, MISSING, SYSTEM_COLOUR
from footpass_lib.schema import EVENT_CLASSES

_PART_COLOUR = {"context": "#7f7f7f", "chain": "#2c5f9e", "real": "#3b8f5a"}
_PAPER = "#d55e00"


def ablation_chain(table: pd.DataFrame, title: str = "") -> Figure:
    """Scores and gains of the ablation beside the paper's; a table of ``report.ablation_table``."""
    fig, (left, right) = plt.subplots(
        1, 2, figsize=(11, 1.3 + 0.42 * len(table)), sharey=True, width_ratios=(3, 2), layout="constrained"
    )
    y = np.arange(len(table))
    for place, (_, row) in zip(y, table.iterrows(), strict=True):
        colour = _PART_COLOUR[row["part"]]
        _seeds(left, list(row["scores"].values()), row["mean"], place, colour)
        _gain(right, row, place, colour)
    paper = table["paper"].notna().to_numpy()
    if paper.any():
        left.plot(table["paper"][paper], y[paper], "D-", color=_PAPER, ms=5, lw=1.2, label="the paper (real matches)")
        steps = table["paper"][paper].diff()
        right.plot(steps, y[paper] - 0.25, "D", color=_PAPER, ms=5)
    for change in np.flatnonzero((table["part"] != table["part"].shift()).to_numpy())[1:]:
        for ax in (left, right):
            ax.axhline(change - 0.5, color="#bbbbbb", lw=0.8)
    for part in dict.fromkeys(table["part"]):
        left.plot([], [], "o", color=_PART_COLOUR[part], label=_PART_LABEL[part])
    top = np.nanmax([0.05, *table["high"], *table["paper"]])
    left.set(yticks=y, yticklabels=table.index, xlabel="Macro F1 (dots: seeds; bar: mean)", xlim=(0, top * 1.12))
    left.set_ylim(len(table) - 0.5, -0.5)
    right.axvline(0, color=INK, ls=":", lw=1)
    right.set(xlabel="paired gain (line: 95 % interval; small dots: seeds)")
    right.locator_params(axis="x", nbins=5)  # more would run into each other
    for ax in (left, right):
        ax.grid(axis="y", visible=False)
    fig.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    left.set_title(title)
    return fig


_PART_LABEL = {"context": "before the chain", "chain": "the chain", "real": "real matches"}


def _seeds(ax: Axes, scores: Sequence[float], mean: float, place: float, colour: str) -> None:
    if not scores:
        ax.text(0.005, place, "missing", **MISSING)
        return
    ax.plot([mean, mean], [place - 0.3, place + 0.3], color=colour, lw=3)
    ax.scatter(scores, np.full(len(scores), place), s=26, color=colour, edgecolor="white", linewidth=0.7, zorder=3)


def _gain(ax: Axes, row: pd.Series, place: float, colour: str) -> None:
    if not row["before"]:
        return
    if np.isnan(row["gain"]):
        ax.text(0, place, f"  {row['why']}", **MISSING)
        return
    if not np.isnan(row["gain_low"]):
        ax.plot([row["gain_low"], row["gain_high"]], [place, place], color=colour, lw=2.2, alpha=0.6)
    seeds = list(row["gains"].values())
    if len(seeds) > 1:
        ax.scatter(seeds, np.full(len(seeds), place + 0.22), s=12, color=colour)
    ax.plot(row["gain"], place, "o", color=colour, ms=7, markeredgecolor="white")


def retrained_gains(runs: pd.DataFrame, paper: Mapping[str, float], title: str = "") -> Figure:
    """The gain of each step of the chain in every run of the study, with its interval, beside the paper's step.

    Parameters
    ----------
    runs : DataFrame
        From ``report.retrainings``, the present run last.
    paper : mapping of str to float
        The paper's step by the title of its row, in the order of the chain.
    title : str
    """
    fig, ax = plt.subplots(figsize=(8, 1.2 + 0.9 * len(paper)), layout="constrained")
    place = np.arange(len(paper))
    for i, shift in enumerate(np.linspace(-0.32, 0.32, len(runs)) if len(runs) > 1 else [0.0]):
        now, y = i == len(runs) - 1, place + shift
        gain, low, high = (
            runs.iloc[i][[(step, kind) for step in paper]].to_numpy(float) for kind in ("gain", "low", "high")
        )
        colour = _PART_COLOUR["chain" if now else "context"]
        ax.hlines(y, low, high, color=colour, lw=2, alpha=0.6)
        label = "this run" if now else "earlier runs, from the first on" if i == 0 else None
        ax.plot(gain, y, "o", color=colour, ms=5, label=label)
    ax.plot(list(paper.values()), place, "D", color=_PAPER, ms=6, label="the paper (real matches)")
    ax.axvline(0, color=INK, ls=":", lw=1)
    ax.set(yticks=place, yticklabels=list(paper), xlabel="paired gain in Macro F1 (line: 95 % interval)")
    ax.set_ylim(len(paper) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    ax.set_title(title)
    return fig


def class_heatmap(f1: pd.DataFrame, title: str = "") -> Figure:
    """F1 per class (columns) of several systems (rows); rows without a value are shown as missing."""
    fig, ax = plt.subplots(figsize=(9, 1 + 0.36 * len(f1)), layout="constrained")
    values = f1.to_numpy(float)
    image = ax.imshow(np.ma.masked_invalid(values), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(values.shape):
        if np.isnan(values[i, j]):
            ax.text(j, i, "missing", ha="center", **MISSING)
        else:
            colour = "white" if values[i, j] > 0.55 else INK
            ax.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", fontsize=9, color=colour)
    ax.set(yticks=range(len(f1)), yticklabels=f1.index, xticks=range(f1.shape[1]), xticklabels=f1.columns)
    ax.grid(visible=False)
    fig.colorbar(image, ax=ax, label="F1", shrink=0.9)
    ax.set_title(title)
    return fig


def transfer_slopes(scores: pd.DataFrame, title: str = "") -> Figure:
    """Macro and Micro F1 of every system on two sets of matches, joined by lines; thin lines are seeds.

    Parameters
    ----------
    scores : DataFrame
        One row a system and seed: ``system``, ``seed``, and columns ``(test|challenge) (Macro|Micro) F1``.
    title : str
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
        ax.set(
            xticks=[0, 1],
            xticklabels=["test", "challenge"],
            xlim=(-0.1, 1.3),
            ylim=(max(0, lowest - room), highest + room),
            ylabel=kind,
        )
        _labels(ax, ends)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9, handlelength=3.5)
    fig.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    return fig


def _look(number: int) -> tuple[str, str]:
    """Colour and dash of a system."""
    return SYSTEM_COLOUR[number % len(SYSTEM_COLOUR)], ("-", "--", ":")[number // len(SYSTEM_COLOUR) % 3]


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
    """F1 per class on two sets of matches, a panel a class.

    Parameters
    ----------
    scores : mapping
        System -> set of matches -> ``metrics.Scores.per_class`` of every seed; means are drawn.
    paper : mapping
        Class name -> the two published values, drawn dashed.
    title : str
    """
    fig, axes = plt.subplots(2, 4, figsize=(11, 5), sharex=True, sharey=True, layout="constrained")
    for ax, name in zip(axes.flat, EVENT_CLASSES, strict=True):
        for i, (system, sets) in enumerate(scores.items()):
            means = [np.mean([table.loc[name, "f1"] for table in tables]) for tables in sets.values()]
            colour, dash = _look(i)
            ax.plot(range(len(means)), means, color=colour, ls=dash, marker="o", ms=4, lw=1.7, label=system)
            ax.set(xticks=range(len(means)), xticklabels=list(sets), xlim=(-0.2, len(means) - 0.8))
        if name in paper:
            ax.plot(range(len(paper[name])), paper[name], "D--", color=_PAPER, ms=4, lw=1.2)
            ax.text(0.5, 0.9, "dashed: the paper", transform=ax.transAxes, fontsize=8, color=_PAPER, ha="center")
        ax.set_title(name)
    axes[0, 0].set_ylim(0, 1)
    fig.supylabel("F1", fontsize=10)
    fig.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9, handlelength=3.5
    )
    fig.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    return fig


def event_evidence(evidence: pd.DataFrame, title: str = "") -> Figure:
    """What the detector says at true events, a dot an event, and the median; events without evidence lie below zero.

    Parameters
    ----------
    evidence : DataFrame
        One row an event: ``split``, ``class`` (name), ``value`` (probability, NaN without evidence).
    title : str
    """
    fig, ax = plt.subplots(figsize=(10, 3.6), layout="constrained")
    rng = np.random.default_rng(0)  # only for where dots lie beside each other
    for k, (split, part) in enumerate(evidence.groupby("split", sort=False)):
        shift = (k - 0.5) * 0.36
        for i, name in enumerate(EVENT_CLASSES):
            values = part.loc[part["class"] == name, "value"].to_numpy(float)
            seen = values[~np.isnan(values)]
            place = i + shift + rng.uniform(-0.12, 0.12, len(values))
            height = np.where(np.isnan(values), -0.08, values)
            ax.scatter(place, height, s=9, color=SYSTEM_COLOUR[k], alpha=0.45, linewidth=0)
            if len(seen):
                ax.plot([i + shift - 0.15, i + shift + 0.15], [np.median(seen)] * 2, color=INK, lw=2)
        ax.scatter([], [], s=20, color=SYSTEM_COLOUR[k], label=split)
    ax.axhline(-0.03, color="#bbbbbb", lw=0.8)
    ax.set(xticks=range(len(EVENT_CLASSES)), xticklabels=EVENT_CLASSES, ylim=(-0.13, 1.02), ylabel="probability")
    ax.set(yticks=[-0.08, 0, 0.5, 1], yticklabels=["not seen", "0", ".5", "1"])
    ax.grid(axis="x", visible=False)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    ax.set_title(title)
    return fig
