"""What all figures share: colours, style, files, panels, legends, and plain lines and bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import PIL.Image
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from footpass_lib.files import atomic_path
from footpass_lib.schema import CLASS_ID, EVENT_CLASSES

# Colour-blind safe (Okabe-Ito, with a grey for the frequent pass), one colour a class in every figure.
_COLOURS = ("#0072b2", "#7f7f7f", "#009e73", "#56b4e9", "#d55e00", "#e69f00", "#cc79a7", "#000000")
CLASS_COLOUR = dict(zip(EVENT_CLASSES, _COLOURS, strict=True))
CLASS_MARKER = dict(zip(EVENT_CLASSES, "o>^sD*vX", strict=True))
TEAM_COLOUR = ("#c0392b", "#2c5f9e")
SYSTEM_COLOUR = ("#2c5f9e", "#e0a030", "#3b8f5a", "#a04c8c", "#7f7f7f")
RIGHT, WRONG = "#3b8f5a", "#c0392b"
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


def shown(figure: Figure, text: str = "") -> object:
    """A figure as a picture for display, with what it shows in words: ``text``, else the figure's label."""
    from IPython.display import Image  # in a notebook only

    drawn, data = BytesIO(), BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    plt.close(figure)
    picture = PIL.Image.open(drawn).convert("RGB").quantize(64)  # a drawing has few colours: a quarter of the bytes
    picture.save(data, format="png", optimize=True)
    return Image(data.getvalue(), format="png", alt=text or figure.get_label())


def system_colour(number: int) -> str:
    """Colour of a system; they come round again."""
    return SYSTEM_COLOUR[number % len(SYSTEM_COLOUR)]


def class_panels(
    size: tuple[float, float], xlabel: str, ylabel: str, *, sharex: bool = False, sharey: bool = True
) -> tuple[Figure, dict[str, Axes]]:
    """A figure with a titled panel a class, with one label for all axes."""
    fig, axes = plt.subplots(2, 4, figsize=size, sharex=sharex, sharey=sharey, layout="constrained")
    panels = dict(zip(EVENT_CLASSES, axes.flat, strict=True))
    for name, ax in panels.items():
        ax.set_title(name)
    fig.supxlabel(xlabel, fontsize=10)
    fig.supylabel(ylabel, fontsize=10)
    return fig, panels


def titled(size: tuple[float, float], title: str = "") -> tuple[Figure, Axes]:
    """A figure of one panel."""
    fig, ax = plt.subplots(figsize=size, layout="constrained")
    ax.set_title(title)
    return fig, ax


def heading(fig: Figure, title: str) -> None:
    """A title over several panels."""
    fig.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")


def shared_legend(fig: Figure, ax: Axes, place: str = "lower center", **options: object) -> None:
    """One legend for a figure, outside its panels; ``ax`` is one that has all labels."""
    handles = ax.get_legend_handles_labels()
    if handles[0]:
        fig.legend(*handles, loc=f"outside {place}", **{"fontsize": 9} | options)


def legend_beside(ax: Axes, **options: object) -> None:
    """A legend to the right of a panel."""
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), **options)


def label_rows(ax: Axes, labels: Sequence[str]) -> None:
    """Names for the places 0, 1, ... of the vertical axis, the first on top, with no grid lines along them."""
    ax.set(yticks=range(len(labels)), yticklabels=labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)


def label_bars(ax: Axes, text: str | Callable[[float], str], size: float = 8, **options: object) -> None:
    """Write the value of each bar at its end; ``text`` is a format or a function."""
    for drawn in ax.containers:
        ax.bar_label(drawn, fmt=text, fontsize=size, **{"padding": 2, "color": INK} | options)


def bar_rows(
    ax: Axes, table: pd.DataFrame | pd.Series, colours: Sequence[str], *, stacked: bool = False, width: float = 0.66
) -> None:
    """Horizontal bars: a group (or a stack) a row of the table, the first on top, and in it a bar a column."""
    table.plot.barh(ax=ax, color=list(colours), stacked=stacked, width=width, legend=False)
    ax.set(xlabel="", ylabel="")
    label_rows(ax, table.index)


def grouped_bars(
    ax: Axes, heights: Mapping[str, Sequence[float] | np.ndarray], labels: Sequence[str], numbers: bool = True
) -> list[np.ndarray]:
    """A group of bars a label, in each a bar a system, with its value; returns where each system's bars stand."""
    table = pd.DataFrame({name: np.asarray(values) for name, values in heights.items()}, index=list(labels))
    table.plot.bar(ax=ax, color=[system_colour(i) for i in range(len(heights))], width=0.8, rot=0, legend=False)
    if numbers:
        label_bars(ax, lambda value: f"{value:.2f}".lstrip("0"))
    ax.grid(axis="x", visible=False)
    return [np.array([bar.get_x() + bar.get_width() / 2 for bar in drawn]) for drawn in ax.containers]


def class_lines(ax: Axes, probabilities: np.ndarray, **options: object) -> None:
    """A line a class over time; ``probabilities`` (9, T)."""
    for name in EVENT_CLASSES:
        ax.plot(probabilities[CLASS_ID[name]], color=CLASS_COLOUR[name], lw=1.4, label=name, **options)


def lines(table: pd.DataFrame, xlabel: str, ylabel: str, *, mark: float | None = None) -> Figure:
    """One line a column of ``table`` against its index, labelled at the right end."""
    fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
    table.plot(ax=ax, color=[system_colour(i) for i in range(len(table.columns))], marker="o", ms=4.5, lw=1.6)
    if mark is not None:
        ax.axvline(mark, color=INK, ls=":", lw=1)
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, None))
    legend_beside(ax)
    return fig


def bars(values: pd.Series, xlabel: str, *, digits: int = 4) -> Figure:
    """Horizontal bars of a labelled series, each with its value."""
    fig, ax = plt.subplots(figsize=(8, 0.9 + 0.36 * len(values)), layout="constrained")
    bar_rows(ax, values, [CLASS_COLOUR.get(name, SYSTEM_COLOUR[0]) for name in values.index])
    label_bars(ax, f"{{:.{digits}f}}", 9)
    ax.set(xlabel=xlabel, xlim=(0, values.max() * 1.14))
    return fig
