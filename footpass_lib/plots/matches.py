"""Figures of matches: what the data holds, who stands where, and what the camera sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter
from mplsoccer import Pitch

from footpass_lib.data.half import TacticalHalf
from footpass_lib.plots import base
from footpass_lib.schema import BOX_FRAME, CLASS_ID, EVENT_CLASSES, FPS, N_ROLES, N_SLOTS, PITCH, ROLES

_JERSEY = {"ha": "center", "va": "center", "fontsize": 7, "zorder": 5}  # a number on a player
_ABOVE = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "borderaxespad": 0.2}  # a legend over its panel


def class_counts(table: pd.DataFrame) -> Figure:
    """Events per class on a log scale, all and those with a box; ``table`` as from ``statistics.class_table``."""
    counts = table[["events", "with box"]]
    fig, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
    base.bar_rows(ax, counts.clip(lower=1), ["#b8c4d2", base.INK], width=0.8)
    for name, bar in zip(table.index, ax.containers[1], strict=True):
        bar.set_facecolor(base.CLASS_COLOUR[name])
    for drawn, column in zip(ax.containers, counts, strict=True):
        ax.bar_label(drawn, [f"{count:,}" for count in counts[column]], padding=3, fontsize=8, color=base.INK)
    ax.set(xscale="log", xlabel="events (log scale)")
    ax.set_xlim(left=max(1, table["with box"].min() / 3), right=table["events"].max() * 2.4)
    ax.set_title("Events per class (light: all, solid: the actor has a box)")
    return fig


def visibility(table: pd.DataFrame) -> Figure:
    """Share of each class's events whose actor has a box, has none in live play, or is in a replay."""
    shares = pd.DataFrame({"has a box": table["has box"], "live, no box": 1 - table["has box"] - table["in replay"]})
    shares = shares.clip(lower=0).assign(**{"in a replay": table["in replay"]})
    fig, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
    base.bar_rows(ax, shares, (base.RIGHT, "#e0a030", "#a04c4c"), stacked=True, width=0.8)
    base.label_bars(ax, lambda v: f"{v:.0%}" if v > 0.04 else "", label_type="center", color="white", padding=0)
    ax.set(xlim=(0, 1), xlabel="share of the class's events")
    ax.legend(ncols=3, **_ABOVE)
    return fig


def gap_histogram(gaps: np.ndarray) -> Figure:
    """Frames between consecutive events, log scale, with quantiles."""
    fig, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
    gaps = np.maximum(np.asarray(gaps), 1)
    bins = np.unique(np.round(np.geomspace(1, gaps.max() + 1, 60)))
    ax.hist(gaps, bins=bins, color="#b8c4d2", edgecolor="white", linewidth=0.4)
    top = ax.get_ylim()[1]
    for q in (0.05, 0.25, 0.5, 0.75, 0.95):
        value = np.quantile(gaps, q)
        ax.plot([value, value], [0, top], color=base.INK, lw=0.9, ls=":")
        ax.text(value, top * 1.02, f"{q:.0%}\n{value:.0f}", fontsize=8, ha="center", va="bottom", color=base.INK)
    ax.set(xscale="log", xlabel="frames to the next event (25 frames = 1 s)", ylabel="pairs of events")
    return fig


def transition_heatmaps(table: pd.DataFrame) -> Figure:
    """What follows what, as row percentages over all three relations; ``table`` as from ``statistics.transitions``."""
    share = table.div(table.sum(axis=1).clip(lower=1), axis=0) * 100
    relations = list(dict.fromkeys(table.columns.get_level_values(0)))
    fig, axes = plt.subplots(1, len(relations), figsize=(11, 3.9), sharey=True, layout="constrained")
    for ax, relation in zip(axes, relations, strict=True):
        labels = share[relation].map(lambda v: f"{v:.0f}" if v >= 0.5 else "")
        look = {"vmin": 0, "vmax": 100, "cmap": "Blues", "cbar": False, "linewidths": 0.5}
        sns.heatmap(share[relation], ax=ax, annot=labels, fmt="", **look)
        ax.set_title(f"next actor: {relation}")
        ax.tick_params(axis="x", rotation=60)
    axes[0].set_ylabel("after a ...")
    fig.supxlabel("... comes a (percent of the row, over the three panels)", fontsize=10)
    return fig


def timeline(table: pd.DataFrame, start: int, seconds: float = 60.0, title: str = "") -> Figure:
    """Some seconds of play from a frame on: events of one half in two lanes, one a team, with the actors' jerseys."""
    stop = start + round(seconds * FPS)
    shown = table[(table["frame"] >= start) & (table["frame"] < stop)].sort_values("frame")
    fig, ax = base.titled((11, 2.7), title)
    time, lane = (shown["frame"] - start) / FPS, 1 - shown["team"]
    ax.plot(time, lane, color="#cccccc", lw=1, zorder=1)
    for name in EVENT_CLASSES:
        chosen = shown["class"] == CLASS_ID[name]
        if chosen.any():
            look = {"color": base.CLASS_COLOUR[name], "marker": base.CLASS_MARKER[name]}
            ax.scatter(time[chosen], lane[chosen], s=62, label=name, zorder=2, **look)
    for t, y, jersey in zip(time, lane, shown["jersey"], strict=True):
        ax.text(t, y + (0.22 if y else -0.36), str(jersey), ha="center", fontsize=7.5, color=base.INK)
    ax.set(yticks=[1, 0], yticklabels=["team 0 (left)", "team 1 (right)"], ylim=(-0.65, 1.65), xlim=(0, seconds))
    ax.set_xlabel(f"seconds after frame {start:,}")
    ax.legend(ncols=8, loc="upper center", bbox_to_anchor=(0.5, -0.28), columnspacing=1.2, handletextpad=0.2)
    return fig


# Where a role stands on average, as (x, y) in metres for the team that attacks to the right; for drawing only.
_ROLE_PLACE = {
    "GK": (6, 34), "LB": (24, 10), "LCB": (18, 24), "MCB": (15, 34), "RCB": (18, 44), "RB": (24, 58), "DM": (32, 34),
    "LM": (38, 14), "RM": (38, 54), "AM": (43, 34), "LW": (49, 6), "RW": (49, 62), "CF": (50, 34),
}  # fmt: skip


def slots_on_pitch() -> Figure:
    """The 26 slots: 13 roles of two teams, numbered as in every player-wise tensor."""
    fig, ax = pitch().draw(figsize=(9, 5.4))
    inside = {"color": "white", "ha": "center", "va": "center", "fontsize": 9, "zorder": 4}
    for slot in range(N_SLOTS):
        team, role = slot // N_ROLES, ROLES[slot % N_ROLES + 1]
        x, y = _ROLE_PLACE[role]
        x, y = (x, PITCH[1] - y) if team == 0 else (PITCH[0] - x, y)  # the drawing's y axis points up, to the far side
        ax.scatter(x, y, s=430, color=base.TEAM_COLOUR[team], edgecolor="white", zorder=3)
        ax.text(x, y, str(slot), **inside)
        ax.text(x, y + 4.4, role, color=base.INK, ha="center", va="center", fontsize=8)
    ax.set_title("Slot = team x 13 + role - 1", fontsize=11, fontweight="bold", loc="left")
    return fig


def compare_shares(tables: Mapping[str, pd.DataFrame], column: str, xlabel: str) -> Figure:
    """One column of several class tables as grouped horizontal bars, a colour a source."""
    shares = pd.DataFrame({name: table[column] for name, table in tables.items()}).loc[list(EVENT_CLASSES)]
    fig, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
    base.bar_rows(ax, shares, base.SYSTEM_COLOUR[: len(tables)], width=0.8)
    base.label_bars(ax, "{:.1%}", 7.5)
    ax.set_xlabel(xlabel)
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.margins(x=0.12)
    ax.legend(ncols=len(tables), **_ABOVE)
    return fig


def compare_gaps(gaps: Mapping[str, np.ndarray]) -> Figure:
    """Cumulative distributions of the gaps between consecutive events, log scale."""
    fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
    for i, (name, values) in enumerate(gaps.items()):
        sns.ecdfplot(np.maximum(values, 1), ax=ax, color=base.SYSTEM_COLOUR[i], lw=1.8, label=name)
    ax.set(xscale="log", ylim=(0, 1), xlabel="frames to the next event", ylabel="share of pairs at most that far")
    ax.legend(loc="lower right")
    return fig


def draw_boxes(ax: Axes, boxes: np.ndarray, shape: tuple[int, int], actor: int | None = None) -> None:
    """Draw boxes over a picture of some (height, width): team 0 red, team 1 blue, the slot of the actor yellow.

    ``boxes`` (26, 4) are x, y, width, height in pixels of the 1920x1080 frame; NaN where a slot has none.
    """
    scale = np.tile([shape[1] / BOX_FRAME[0], shape[0] / BOX_FRAME[1]], 2)
    for slot in np.flatnonzero(np.isfinite(boxes).all(axis=1)):
        x, y, width, height = boxes[slot] * scale
        colour = "#ffe94a" if slot == actor else base.TEAM_COLOUR[slot // N_ROLES]
        line = 1.8 if slot == actor else 0.8
        ax.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=colour, linewidth=line))


def contact_sheet(pictures: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray, int]]]) -> Figure:
    """A row a class, pictures of its anchor frames with all boxes; each is (frame (H, W, 3), boxes (26, 4), actor)."""
    columns = max(map(len, pictures.values()))
    height, width = next(iter(pictures.values()))[0][0].shape[:2]
    size = (2.9 * columns, 2.9 * height / width * len(pictures))
    fig, axes = plt.subplots(len(pictures), columns, figsize=size, squeeze=False, layout="constrained")
    for row, (name, shown) in zip(axes, pictures.items(), strict=True):
        for ax in row:
            ax.axis("off")
        for ax, (frame, boxes, actor) in zip(row, shown, strict=False):
            ax.imshow(frame, interpolation="lanczos")
            draw_boxes(ax, boxes, frame.shape[:2], actor)
        plate = {"facecolor": base.CLASS_COLOUR[name], "edgecolor": "none", "pad": 2}
        row[0].text(3, 3, name, bbox=plate, color="white", fontsize=9, fontweight="bold", va="top")
    return fig


def picture_and_pitch(
    half: TacticalHalf, frame: int, picture: np.ndarray, actor: int | None = None, faint: bool = False
) -> tuple[Figure, Axes, np.ndarray]:
    """A frame of the video (H, W, 3) with its boxes, beside it a pitch; the figure, the pitch, places (26, 2) on it."""
    t = half.index_of(frame)
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.5), layout="constrained")
    left.imshow(picture, interpolation="lanczos")
    left.axis("off")
    draw_boxes(left, half.box[:, t], picture.shape[:2], actor)
    pitch(faint).draw(ax=right)
    place = half.position[:, t] * PITCH
    place[:, 1] = PITCH[1] - place[:, 1]  # the drawing's y axis points up, to the far touchline
    return fig, right, place


def pitch(faint: bool = False) -> Pitch:
    """A pitch in metres, to draw on; faint lines where others are to be seen."""
    line, grass = ("#c4cec4", "#f7faf6") if faint else ("#9aa79a", "#f4f8f2")
    return Pitch(pitch_type="custom", pitch_length=PITCH[0], pitch_width=PITCH[1], linewidth=1,
                 line_color=line, pitch_color=grass)  # fmt: skip


def radar(half: TacticalHalf, frame: int, picture: np.ndarray) -> Figure:
    """A picture of the video with its boxes, and beside it all players on the pitch with their velocities."""
    t = half.index_of(frame)
    fig, ax, place = picture_and_pitch(half, frame, picture)
    for slot in np.flatnonzero(half.observed[:, t]):
        (x, y), (vx, vy) = place[slot], half.velocity[slot, t]
        seen, colour = half.visible[slot, t], base.TEAM_COLOUR[slot // N_ROLES]
        ax.scatter(x, y, s=170, color=colour if seen else "white", edgecolor=colour, zorder=3)
        ax.text(x, y, str(half.jersey[slot, t]), color="white" if seen else colour, **_JERSEY)
        ax.arrow(x, y, vx, -vy, color=colour, width=0.15, head_width=0.9, length_includes_head=True)
    ax.set_title("filled: has a box; arrows: one second of running", fontsize=9, fontweight="normal")
    return fig


def graph_on_pitch(half: TacticalHalf, frame: int, picture: np.ndarray, edges: np.ndarray, receiver: int) -> Figure:
    """The graph of one frame beside its picture (H, W, 3): every edge thin, those that end in one player as arrows.

    ``edges`` (2, E) are the sender's and the receiver's slot of each edge.
    """
    t = half.index_of(frame)
    fig, ax, place = picture_and_pitch(half, frame, picture, receiver, faint=True)
    for sender, to in edges.T:
        ax.plot(*place[[sender, to]].T, color="#c4c4c4", lw=0.6, zorder=2)
    for sender in edges[0, edges[1] == receiver]:
        arrow = {"arrowstyle": "-|>,head_width=0.28,head_length=0.5", "color": "#c98a00", "lw": 2, "shrinkB": 8.5}
        ax.annotate("", place[receiver], place[sender], arrowprops=arrow, zorder=3.5)
    for slot in np.flatnonzero(half.observed[:, t]):
        edge, width = ("#ffcf33", 3) if slot == receiver else ("white", 0.8)
        colour = base.TEAM_COLOUR[slot // N_ROLES]
        ax.scatter(*place[slot], s=190, color=colour, edgecolor=edge, linewidth=width, zorder=4)
        ax.text(*place[slot], str(half.jersey[slot, t]), color="white", **_JERSEY)
    ax.set_title("grey: all edges; arrows: from whom the ringed player hears", fontsize=9, fontweight="normal")
    return fig
