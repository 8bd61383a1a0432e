"""Diagrams of how things work, drawn narrow enough to be read on a phone; ``base.shown`` shows one with its text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from footpass_lib.plots import base

HERE, CALM, EDGE, GREY = "#ffe08a", "#eef4fa", "#4a7aa8", "#8a97a5"
# Steps of the study: what a notebook's number stands for, and where its box is (x, y), in units of the drawing.
_STEPS = {
    "01": ("01 matches", 2.6, 4.0), "04": ("04 checkpointing", 0.8, 3.1), "03": ("03 TAAD", 2.6, 3.1),
    "05": ("05 TAAD+GNN", 4.4, 3.1), "07": ("07 fusion", 4.4, 2.2), "08": ("08 class weights", 0.8, 1.3),
    "06": ("06 TAAD+DST", 2.6, 1.3), "13": ("13 re-scoring", 0.8, 0.4), "09": ("09 post-processing", 2.6, 0.4),
    "10": ("10 ensemble", 4.4, 0.4), "02": ("02, 11 score", 2.6, -0.5), "12": ("12 other broadcasts", 4.4, -0.5),
}  # fmt: skip
_WAYS = (  # from, to, what travels
    ("01", "03", "pixels"), ("01", "05", "positions"), ("03", "05", ""), ("03", "06", "logits"),
    ("05", "07", "logits"), ("07", "06", ""), ("08", "06", ""), ("04", "03", ""), ("06", "09", "events"),
    ("06", "13", ""), ("13", "02", ""), ("09", "10", ""), ("09", "02", ""), ("10", "02", ""), ("02", "12", ""),
)  # fmt: skip


def data_flow(here: str) -> Figure:
    """The way from video to score, a box a step; the step of the notebook of number ``here`` is marked."""
    fig, ax = _canvas((5.4, 4.6), (-0.1, 5.3), (-0.9, 4.4))
    for start, end, text in _WAYS:
        (_, x0, y0), (_, x1, y1) = _STEPS[start], _STEPS[end]
        side, drop = (0.82 * np.sign(x1 - x0), 0) if y0 == y1 else (0, 0.27)
        _arrow(ax, (x0 + side, y0 - drop), (x1 - side, y1 + drop))
        ax.text((x0 + x1) / 2 + 0.07, (y0 + y1) / 2, text, fontsize=9, color=GREY, style="italic", va="center")
    for number, (name, x, y) in _STEPS.items():
        text = f"{name}\n(you are here)" if number == here else name
        _box(ax, (x - 0.82, y - 0.27), (1.64, 0.54), text, HERE if number == here else CALM)
    fig.set_label(
        "The way from video to score. Pixels and positions go to the detectors TAAD and TAAD+GNN, their logits to the "
        "sequence model DST, its events to post-processing, ensemble, re-scoring and score. "
        f"This notebook: {_STEPS[here][0]}."
    )
    return fig


def taad_path(
    size: tuple[int, int], strides: Sequence[int], widths: Sequence[int], level: int, fused: int, cells: tuple[int, int]
) -> Figure:
    """TAAD from a picture of ``size`` (height, width) to logits: maps by stride, pyramid, RoIAlign.

    ``widths`` are the channels of the backbone's maps at these strides, ``fused`` those of the pyramid, which ends at
    stride ``level``; a player's box is cut into ``cells`` (rows, columns).
    """
    rows = len(strides)
    fig, ax = _canvas((5.4, 1.15 * rows + 3.3), (-0.1, 5.3), (-2.75, rows + 0.75))
    _box(ax, (0, rows), (2.3, 0.55), f"clip, every frame\n3 x {size[0]} x {size[1]}", "#f3f3f0")
    for i, (stride, width) in enumerate(zip(strides, widths, strict=True)):
        y, last = rows - 1 - i, i == rows - 1
        shape = f"{-(-size[0] // stride)} x {-(-size[1] // stride)}"
        _arrow(ax, (1.15, y + 1), (1.15, y + 0.55))
        _box(ax, (0, y), (2.3, 0.55), f"X3D, stride {stride}\n{width} x {shape}", CALM)
        if stride < level:
            continue
        _arrow(ax, (2.3, y + 0.27), (2.9, y + 0.27))
        text = "the coarsest map" if last else f"x2, joined, 3 x 3 conv\n{fused} x {shape}"
        _box(ax, (2.9, y), (2.3, 0.55), text, "#e6f2ea")
        if stride > level:
            _arrow(ax, (4.05, y + 0.55), (4.05, y + 1))
    _head(ax, rows - 1 - list(strides).index(level), fused if level != strides[-1] else widths[-1], cells)
    ax.text(4.05, rows - list(strides).index(level) - 0.38, "pyramid", ha="center", fontsize=9, color=GREY)
    fig.set_label(
        f"TAAD: X3D gives maps of strides {', '.join(map(str, strides))}; a pyramid brings the coarse ones down to "
        f"stride {level}; RoIAlign cuts each player's box into {cells[0]} x {cells[1]} cells in every frame; a "
        "convolution over time and a linear layer give nine logits a player and frame."
    )
    return fig


def _head(ax: Axes, y: float, channels: int, cells: tuple[int, int]) -> None:
    """From the pyramid's last map at height ``y`` down to the logits, with a player's box on the map."""
    rows, columns = cells
    ax.plot([5.2, 5.28, 5.28, 4.05], [y + 0.27, y + 0.27, -0.38, -0.38], color=GREY, lw=1.2)
    _arrow(ax, (4.05, -0.38), (4.05, -0.55))
    _box(ax, (2.9, -1.1), (2.3, 0.55), f"RoIAlign {rows} x {columns}\n{channels} a cell", "#fdeedc")
    for r in range(rows):
        for c in range(columns):
            place = (2.15 + 0.22 * c, -1.3 + 0.24 * (rows - 1 - r))
            ax.add_patch(Rectangle(place, 0.22, 0.24, facecolor="#fff8e0", edgecolor="#b07a00", lw=1))
    ax.text(1.15, -0.85, "a player's\nbox on the map,\nin every frame", ha="center", va="center", fontsize=9)
    _arrow(ax, (4.05, -1.1), (4.05, -1.5))
    _box(ax, (2.9, -2.0), (2.3, 0.5), "convolution over time", "#fdeedc")
    _arrow(ax, (2.9, -1.75), (2.35, -1.75))
    _box(ax, (0, -2.0), (2.35, 0.5), "linear: 9 logits a\nplayer and frame", HERE)
    _arrow(ax, (1.15, -2.0), (1.15, -2.3))
    ax.text(1.15, -2.5, "softmax, peaks, events", ha="center", va="center", fontsize=10)


def edge_conv_by_hand(
    place: Mapping[str, tuple[float, float]],
    values: Mapping[str, float],
    messages: Mapping[tuple[str, str], float],
    kept: Mapping[str, float],
) -> Figure:
    """EdgeConv on a few players: what each has, the message on each edge (sender, receiver), and what each keeps."""
    fig, ax = _canvas((5.4, 3.4), (-0.9, 4.9), (-0.75, 3.1))
    for (sender, receiver), message in messages.items():
        start, end = np.array(place[sender]), np.array(place[receiver])
        along = (end - start) / np.linalg.norm(end - start)
        aside = 0.13 * np.array([-along[1], along[0]])  # the two directions of a pair lie beside each other
        best = np.isclose(message, kept[receiver])
        colour = "#c47a00" if best else GREY
        _arrow(ax, start + 0.42 * along + aside, end - 0.42 * along + aside, colour, 2 if best else 1.1)
        x, y = start + 0.4 * (end - start) + 2.9 * aside
        ax.text(x, y, f"{message:+.1f}", fontsize=10, color=colour, ha="center", va="center", fontweight="bold")
    for name, (x, y) in place.items():
        ax.scatter(x, y, s=1500, color=CALM, edgecolor=EDGE, linewidth=1.4, zorder=3)
        ax.text(x, y, f"{name}\nx = {values[name]:g}", ha="center", va="center", fontsize=10, zorder=4)
        below = y <= np.mean([height for _, height in place.values()])
        look = {"ha": "center", "fontsize": 10, "color": "#c47a00", "fontweight": "bold"}
        ax.text(x, y + (-0.62 if below else 0.5), f"keeps {kept[name]:+.1f}", **look)
    fig.set_label(
        "EdgeConv on three players. Arrows lead from sender to receiver and carry a message; the largest that comes in "
        "is kept: " + ", ".join(f"{name} keeps {value:+.1f}" for name, value in kept.items()) + "."
    )
    return fig


def token_widths(encoder: Mapping[str, Sequence[tuple[str, int]]], decoder: Sequence[tuple[str, int]] = ()) -> Figure:
    """What an encoder token is made of, a bar a variant (parts with their widths), and a decoder token's one-hots."""
    panels = {"encoder: a token a frame": encoder}
    if decoder:
        panels["decoder: a token an event"] = {f"{sum(width for _, width in decoder)} wide": decoder}
    rows = [len(bars) for bars in panels.values()]
    fig, axes = plt.subplots(len(panels), 1, figsize=(5.6, 0.75 * (sum(rows) + 1)), height_ratios=rows, squeeze=False,
                             layout="constrained")  # fmt: skip
    texts = []
    for ax, (title, bars) in zip(axes[:, 0], panels.items(), strict=True):
        for y, (name, parts) in enumerate(bars.items()):
            _stacked(ax, y, parts)
            texts.append(f"{' '.join(name.split())}: " + " + ".join(f"{part} {width}" for part, width in parts))
        ax.set_title(title, fontsize=10)
        base.label_rows(ax, list(bars))
        ax.set(xticks=[])
        ax.spines[["left", "bottom"]].set_visible(False)
        ax.tick_params(length=0, labelsize=9)
    fig.set_label("Widths of tokens. " + "; ".join(texts) + ".")
    return fig


def _stacked(ax: Axes, y: float, parts: Sequence[tuple[str, int]]) -> None:
    """One bar of parts beside each other; narrow ones are drawn wider, so that their text has room."""
    drawn = np.maximum([width for _, width in parts], 0.24 * max(width for _, width in parts))
    ends = np.cumsum(drawn)
    for i, ((name, width), end, wide) in enumerate(zip(parts, ends, drawn, strict=True)):
        ax.barh(y, wide, left=end - wide, height=0.8, color=("#dbe8f4", "#fde6b8", "#dcefe2")[i % 3], edgecolor="white")
        ax.text(end - wide / 2, y, f"{name}\n{width}", ha="center", va="center", fontsize=9)


def attention_masks(written: int, tokens: int, inside: int) -> Figure:
    """What a decoder token may look at: itself and earlier ones, and encoder tokens with a frame of the half."""
    fig, axes = plt.subplots(1, 2, figsize=(5.6, 2.7), width_ratios=(written, tokens), layout="constrained")
    own = np.tril(np.ones((written, written)))
    memory = np.tile(np.arange(tokens) < inside, (written, 1)).astype(float)
    names = ["SOS", *map(str, range(1, written))]
    for ax, allowed, title in zip(axes, (own, memory), ("events so far", "frames of the window"), strict=True):
        ax.imshow(allowed, cmap="Blues", vmin=0, vmax=1.6, aspect="auto")
        ax.set_title(title, fontsize=10)
        ax.set(xticks=[], yticks=range(written), yticklabels=names)
        ax.set_xticks(np.arange(-0.5, allowed.shape[1]), minor=True)
        ax.set_yticks(np.arange(-0.5, written), minor=True)
        ax.grid(visible=False)
        ax.grid(which="minor", color="white", lw=1.5)
        ax.tick_params(which="both", length=0, labelsize=9)
    axes[0].set(xticks=range(written), xticklabels=names, ylabel="token that looks")
    axes[1].set(yticks=[])
    axes[1].set_xlabel(f"white: after the end of the half ({tokens - inside} of {tokens})", fontsize=9)
    fig.set_label(
        "Two masks. A decoder token looks at itself and those before it, and at the encoder tokens that have a frame "
        "of the half; padding after its end is hidden."
    )
    return fig


def kept_activations(blocks: int = 4) -> Figure:
    """What is kept of the forward pass of some residual blocks: everything, or (checkpointing) each block's input."""
    fig, axes = plt.subplots(2, 1, figsize=(5.6, 3.6), layout="constrained")
    for ax, checkpointing in zip(axes, (False, True), strict=True):
        for block in range(blocks):
            left = 4.2 * block
            _cell(ax, left, "#2c5f9e")
            for inner in range(1, 4):
                _cell(ax, left + 0.85 * inner, "#ffffff" if checkpointing else "#2c5f9e", dashed=checkpointing)
            ax.text(left + 1.65, -0.45, f"block {block + 1}", ha="center", va="center", fontsize=9)
            if checkpointing:
                _arrow(ax, (left + 0.4, 1.25), (left + 3.0, 1.25), "#c47a00", 1.4)
                ax.text(left + 1.65, 1.5, "again", ha="center", fontsize=9, color="#c47a00")
        ax.set(xlim=(-0.3, 4.2 * blocks), ylim=(-0.8, 2.0), aspect="equal")
        ax.axis("off")
        title = "checkpointing: the inputs of blocks are kept" if checkpointing else "everything is kept"
        ax.set_title(title, fontsize=10)
    fig.set_label(
        "Activations of residual blocks. Above, all are kept until the backward pass. Below, only the input of each "
        "block is; the others are computed again, block by block, when the backward pass comes to them."
    )
    return fig


def _cell(ax: Axes, left: float, colour: str, dashed: bool = False) -> None:
    ax.add_patch(Rectangle((left, 0), 0.7, 1, facecolor=colour, edgecolor=GREY, ls="--" if dashed else "-", lw=1))


def _canvas(size: tuple[float, float], x: tuple[float, float], y: tuple[float, float]) -> tuple[Figure, Axes]:
    fig, ax = plt.subplots(figsize=size, layout="constrained")
    ax.set(xlim=x, ylim=y)
    ax.axis("off")
    return fig, ax


def _box(ax: Axes, corner: tuple[float, float], size: tuple[float, float], text: str, colour: str) -> None:
    style = "round,pad=0,rounding_size=0.06"
    ax.add_patch(FancyBboxPatch(corner, *size, boxstyle=style, facecolor=colour, edgecolor=EDGE, lw=1.1, zorder=2))
    middle = corner[0] + size[0] / 2, corner[1] + size[1] / 2
    ax.text(*middle, text, ha="center", va="center", fontsize=10, linespacing=1.15, zorder=3)


def _arrow(ax: Axes, start: Sequence[float], end: Sequence[float], colour: str = GREY, width: float = 1.2) -> None:
    look = {"arrowstyle": "-|>", "color": colour, "lw": width, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", tuple(end), tuple(start), arrowprops=look, zorder=1)
