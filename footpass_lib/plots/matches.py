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
from footpass_lib.plots.base import CLASS_COLOUR, CLASS_MARKER, INK, SYSTEM_COLOUR, TEAM_COLOUR
from footpass_lib.schema import BOX_FRAME, CLASS_ID, EVENT_CLASSES, FPS, N_ROLES, PITCH, ROLES


def class_counts(table: pd.DataFrame) -> Figure:
    """Events per class on a log scale, all and those with a box; ``table`` as from ``statistics.class_table``."""
    fig, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
    y = np.arange(len(table))
    ax.barh(y - 0.2, table["events"], 0.4, color="#b8c4d2", label="all events")
    ax.barh(
        y + 0.2, table["with box"], 0.4, color=[CLASS_COLOUR[name] for name in table.index], label="actor has a box"
    )
    for offset, column in ((-0.2, "events"), (0.2, "with box")):
        for i, count in enumerate(table[column]):
            ax.text(max(count, 1) * 1.06, i + offset, f"{count:,}", va="center", fontsize=8, color=INK)
    ax.set(yticks=y, yticklabels=table.index, xscale="log", xlabel="events (log scale)")
    ax.set_xlim(left=max(1, table["with box"].min() / 3), right=table["events"].max() * 2.4)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set_title("Events per class (light: all, solid: the actor has a box)")
    return fig


def visibility(table: pd.DataFrame) -> Figure:
    """Share of each class's events whose actor has a box, has none in live play, or is in a replay."""
    fig, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
    y = np.arange(len(table))
    box, replay = table["has box"].to_numpy(), table["in replay"].to_numpy()
    neither = np.clip(1 - box - replay, 0, 1)
    left = np.zeros(len(table))
    parts = ((box, "#3b8f5a", "has a box"), (neither, "#e0a030", "live, no box"), (replay, "#a04c4c", "in a replay"))
    for width, colour, label in parts:
        ax.barh(y, width, left=left, color=colour, label=label)
        for i in np.flatnonzero(width > 0.04):
            ax.text(left[i] + width[i] / 2, i, f"{width[i]:.0%}", ha="center", va="center", color="white", fontsize=8)
        left = left + width
    ax.set(yticks=y, yticklabels=table.index, xlim=(0, 1), xlabel="share of the class's events")
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.2)
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
        ax.plot([value, value], [0, top], color=INK, lw=0.9, ls=":")
        ax.text(value, top * 1.02, f"{q:.0%}\n{value:.0f}", fontsize=8, ha="center", va="bottom", color=INK)
    ax.set(xscale="log", xlabel="frames to the next event (25 frames = 1 s)", ylabel="pairs of events")
    return fig


def transition_heatmaps(table: pd.DataFrame) -> Figure:
    """What follows what, as row percentages over all three relations; ``table`` as from ``statistics.transitions``."""
    share = table.div(table.sum(axis=1).clip(lower=1), axis=0) * 100
    relations = list(dict.fromkeys(table.columns.get_level_values(0)))
    fig, axes = plt.subplots(1, len(relations), figsize=(11, 3.9), sharey=True, layout="constrained")
    for ax, relation in zip(axes, relations, strict=True):
        part = share[relation]
        labels = part.map(lambda v: f"{v:.0f}" if v >= 0.5 else "")
        sns.heatmap(part, ax=ax, vmin=0, vmax=100, cmap="Blues", cbar=False, annot=labels, fmt="", linewidths=0.5)
        ax.set_title(f"next actor: {relation}")
        ax.tick_params(axis="x", rotation=60)
    axes[0].set_ylabel("after a ...")
    fig.supxlabel("... comes a (percent of the row, over the three panels)", fontsize=10)
    return fig


def timeline(table: pd.DataFrame, start: int, seconds: float = 60.0, title: str = "") -> Figure:
    """One stretch of play: events as markers in two lanes, one a team, with the actors' jerseys.

    Parameters
    ----------
    table : DataFrame
        Events of one half (``frame, team, jersey, class``).
    start : int
        First frame shown.
    seconds : float
        Length shown.
    """
    stop = start + round(seconds * FPS)
    shown = table[(table["frame"] >= start) & (table["frame"] < stop)].sort_values("frame")
    fig, ax = plt.subplots(figsize=(11, 2.7), layout="constrained")
    time, lane = (shown["frame"] - start) / FPS, 1 - shown["team"]
    ax.plot(time, lane, color="#cccccc", lw=1, zorder=1)
    for name in EVENT_CLASSES:
        chosen = shown["class"] == CLASS_ID[name]
        if chosen.any():
            ax.scatter(
                time[chosen],
                lane[chosen],
                s=62,
                color=CLASS_COLOUR[name],
                marker=CLASS_MARKER[name],
                label=name,
                zorder=2,
            )
    for t, y, jersey in zip(time, lane, shown["jersey"], strict=True):
        ax.text(t, y + (0.22 if y else -0.36), str(jersey), ha="center", fontsize=7.5, color=INK)
    ax.set(yticks=[1, 0], yticklabels=["team 0 (left)", "team 1 (right)"], ylim=(-0.65, 1.65), xlim=(0, seconds))
    ax.set_xlabel(f"seconds after frame {start:,}")
    ax.set_title(title)
    ax.legend(ncols=8, loc="upper center", bbox_to_anchor=(0.5, -0.28), columnspacing=1.2, handletextpad=0.2)
    return fig


# Where a role stands on average, as (x, y) in metres for the team that attacks to the right; for drawing only.
_ROLE_PLACE = {
    "GK": (6, 34), "LB": (24, 10), "LCB": (18, 24), "MCB": (15, 34), "RCB": (18, 44), "RB": (24, 58), "DM": (32, 34),
    "LM": (38, 14), "RM": (38, 54), "AM": (43, 34), "LW": (49, 6), "RW": (49, 62), "CF": (50, 34),
}  # fmt: skip


def slots_on_pitch() -> Figure:
    """The 26 slots: 13 roles of two teams, numbered as in every player-wise tensor."""
    pitch = Pitch(
        pitch_type="custom", pitch_length=105, pitch_width=68, line_color="#9aa79a", pitch_color="#f4f8f2", linewidth=1
    )
    fig, ax = pitch.draw(figsize=(9, 5.4))
    for team in (0, 1):
        for role_id in range(1, N_ROLES + 1):
            x, y = _ROLE_PLACE[ROLES[role_id]]
            x, y = (x, 68 - y) if team == 0 else (105 - x, y)  # the drawing's y axis points up, to the far touchline
            ax.scatter(x, y, s=430, color=TEAM_COLOUR[team], edgecolor="white", zorder=3)
            ax.text(
                x, y, str(team * N_ROLES + role_id - 1), color="white", ha="center", va="center", fontsize=9, zorder=4
            )
            ax.text(x, y + 4.4, ROLES[role_id], color=INK, ha="center", va="center", fontsize=8)
    ax.set_title("Slot = team x 13 + role - 1", fontsize=11, fontweight="bold", loc="left")
    return fig


def compare_shares(tables: Mapping[str, pd.DataFrame], column: str, xlabel: str) -> Figure:
    """One column of several class tables as grouped horizontal bars, a colour a source."""
    fig, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
    y, height = np.arange(len(EVENT_CLASSES)), 0.8 / len(tables)
    for i, (name, table) in enumerate(tables.items()):
        place = y + (i - (len(tables) - 1) / 2) * height
        ax.barh(place, table[column], height * 0.92, color=SYSTEM_COLOUR[i], label=name)
        for at, value in zip(place, table[column], strict=True):
            ax.text(value, at, f" {value:.1%}", va="center", fontsize=7.5, color=INK)
    ax.set(yticks=y, yticklabels=EVENT_CLASSES, xlabel=xlabel)
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.margins(x=0.12)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.legend(ncols=len(tables), loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0.2)
    return fig


def compare_gaps(gaps: Mapping[str, np.ndarray]) -> Figure:
    """Cumulative distributions of the gaps between consecutive events, log scale."""
    fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
    for i, (name, values) in enumerate(gaps.items()):
        values = np.sort(np.maximum(np.asarray(values), 1))
        ax.plot(values, np.arange(1, len(values) + 1) / len(values), color=SYSTEM_COLOUR[i], lw=1.8, label=name)
    ax.set(xscale="log", ylim=(0, 1), xlabel="frames to the next event", ylabel="share of pairs at most that far")
    ax.legend(loc="lower right")
    return fig


def draw_boxes(ax: Axes, boxes: np.ndarray, shape: tuple[int, int], actor: int | None = None) -> None:
    """Draw tracking boxes over a picture: team 0 red, team 1 blue, the actor yellow.

    Parameters
    ----------
    ax : Axes
    boxes : (26, 4)
        x, y, width, height in pixels of the 1920x1080 frame; NaN where a slot has none.
    shape : (height, width)
        Of the picture shown.
    actor : int, optional
        Slot of the actor.
    """
    scale = np.tile([shape[1] / BOX_FRAME[0], shape[0] / BOX_FRAME[1]], 2)
    for slot in np.flatnonzero(np.isfinite(boxes).all(axis=1)):
        x, y, width, height = boxes[slot] * scale
        colour = "#ffe94a" if slot == actor else TEAM_COLOUR[slot // N_ROLES]
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
        style_of_label = {"color": "white", "fontsize": 9, "fontweight": "bold", "va": "top"}
        row[0].text(3, 3, name, bbox={"facecolor": CLASS_COLOUR[name], "edgecolor": "none", "pad": 2}, **style_of_label)
    return fig


def radar(half: TacticalHalf, frame: int, picture: np.ndarray) -> Figure:
    """A broadcast picture with its boxes, and beside it all players on the pitch with their velocities.

    Parameters
    ----------
    half : TacticalHalf
    frame : int
        Absolute frame.
    picture : (H, W, 3) uint8
        That frame of the video.
    """
    t = half.index_of(frame)
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.5), layout="constrained")
    left.imshow(picture, interpolation="lanczos")
    left.axis("off")
    draw_boxes(left, half.box[:, t], picture.shape[:2])
    Pitch(pitch_type="custom", pitch_length=105, pitch_width=68, line_color="#9aa79a", pitch_color="#f4f8f2",
          linewidth=1).draw(ax=right)  # fmt: skip
    present = half.observed[:, t]
    for slot in np.flatnonzero(present):
        x, y = half.position[slot, t] * PITCH
        vx, vy = half.velocity[slot, t]
        seen, colour = half.visible[slot, t], TEAM_COLOUR[slot // N_ROLES]
        right.scatter(x, 68 - y, s=170, color=colour if seen else "white", edgecolor=colour, zorder=3)
        label = {"ha": "center", "va": "center", "fontsize": 7, "zorder": 4}
        right.text(x, 68 - y, str(half.jersey[slot, t]), color="white" if seen else colour, **label)
        right.arrow(x, 68 - y, vx, -vy, color=colour, width=0.15, head_width=0.9, length_includes_head=True)
    right.set_title("filled: has a box; arrows: one second of running", fontsize=9, fontweight="normal")
    return fig
