"""What all figures share: colours, style, files, and plain lines and bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from footpass_lib.files import atomic_path
from footpass_lib.schema import EVENT_CLASSES

# Colour-blind safe (Okabe-Ito, with a grey for the frequent pass), one colour a class in every figure.
_COLOURS = ("#0072b2", "#7f7f7f", "#009e73", "#56b4e9", "#d55e00", "#e69f00", "#cc79a7", "#000000")
CLASS_COLOUR = dict(zip(EVENT_CLASSES, _COLOURS, strict=True))
CLASS_MARKER = dict(zip(EVENT_CLASSES, "o>^sD*vX", strict=True))
TEAM_COLOUR = ("#c0392b", "#2c5f9e")
SYSTEM_COLOUR = ("#2c5f9e", "#e0a030", "#3b8f5a", "#a04c8c", "#7f7f7f")
INK = "#333333"
MISSING = {"va": "center", "fontsize": 9, "style": "italic", "color": "#888888"}  # text in place of what is not there


def style() -> None:
    """The study's look for matplotlib; call once at the top of a notebook."""
    sns.set_theme(style="whitegrid", rc={"axes.spines.right": False, "axes.spines.top": False})
    plt.rcParams.update(
        {"figure.dpi": 100, "font.size": 10, "axes.titlesize": 11, "axes.titleweight": "bold",
         "axes.titlelocation": "left", "axes.labelsize": 10, "legend.frameon": False,
         "savefig.bbox": "tight", "grid.color": "#e4e4e4"}
    )  # fmt: skip


def save(figure: Figure, folder: Path | str, name: str) -> Path:
    """Write a figure to ``folder/name.png``, atomically."""
    path = Path(folder) / f"{name}.png"
    with atomic_path(path) as part:
        figure.savefig(part, format="png", dpi=110, metadata={"Software": None})
    return path


def as_photo(figure: Figure, folder: Path | str, name: str, dpi: int = 80) -> object:
    """Write a figure full of pictures to ``folder/name.jpg`` and return that for display: a tenth of a PNG's size."""
    from IPython.display import Image  # in a notebook only

    path = Path(folder) / f"{name}.jpg"
    with atomic_path(path) as part:
        figure.savefig(part, format="jpg", dpi=dpi, pil_kwargs={"quality": 80, "optimize": True})
    plt.close(figure)
    return Image(path.read_bytes(), format="jpeg", alt=name)


def lines(table: pd.DataFrame, xlabel: str, ylabel: str, *, mark: float | None = None, title: str = "") -> Figure:
    """One line a column of ``table`` against its index, labelled at the right end."""
    fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
    for i, name in enumerate(table.columns):
        colour = CLASS_COLOUR.get(name, SYSTEM_COLOUR[i % len(SYSTEM_COLOUR)])
        ax.plot(table.index, table[name], marker=CLASS_MARKER.get(name, "o"), ms=4.5, lw=1.6, color=colour, label=name)
    if mark is not None:
        ax.axvline(mark, color=INK, ls=":", lw=1)
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, None))
    ax.set_title(title)
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return fig


def bars(values: pd.Series, xlabel: str, *, title: str = "", digits: int = 4) -> Figure:
    """Horizontal bars of a labelled series, each with its value."""
    fig, ax = plt.subplots(figsize=(8, 0.9 + 0.36 * len(values)), layout="constrained")
    y = np.arange(len(values))
    colours = [CLASS_COLOUR.get(name, "#2c5f9e") for name in values.index]
    ax.barh(y, values, color=colours, height=0.66)
    for i, value in enumerate(values):
        ax.text(value + values.max() * 0.01, i, f"{value:.{digits}f}", va="center", fontsize=9, color=INK)
    ax.set(yticks=y, yticklabels=values.index, xlabel=xlabel, xlim=(0, values.max() * 1.14))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set_title(title)
    return fig


def grouped_bars(
    ax: Axes, heights: Mapping[str, Sequence[float] | np.ndarray], labels: Sequence[str], numbers: bool = True
) -> list[np.ndarray]:
    """A group of bars a label, in each a bar a system, with its value; returns where each system's bars stand."""
    x, width = np.arange(len(labels)), 0.8 / len(heights)
    places = [x + (i - (len(heights) - 1) / 2) * width for i in range(len(heights))]
    for i, (place, (name, values)) in enumerate(zip(places, heights.items(), strict=True)):
        ax.bar(place, values, width * 0.94, color=SYSTEM_COLOUR[i % len(SYSTEM_COLOUR)], label=name)
        for a, value in zip(place, values, strict=True):
            if numbers:
                ax.text(a, value + 0.012, f"{value:.2f}".lstrip("0"), ha="center", fontsize=8, color=INK)
    ax.set(xticks=x, xticklabels=labels)
    ax.grid(axis="x", visible=False)
    return places
