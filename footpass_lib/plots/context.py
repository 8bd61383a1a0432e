"""Figures of the graph network: who is connected to whom, and what context changes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mplsoccer import Pitch

from footpass_lib.data.half import TacticalHalf
from footpass_lib.plots.base import CLASS_COLOUR, INK, TEAM_COLOUR
from footpass_lib.plots.matches import draw_boxes
from footpass_lib.schema import CLASS_ID, EVENT_CLASSES, N_ROLES, PITCH


def graph_on_pitch(half: TacticalHalf, frame: int, picture: np.ndarray, edges: np.ndarray, receiver: int) -> Figure:
    """The graph of one frame beside its picture: every edge thin, those that end in one player thick.

    Parameters
    ----------
    half : TacticalHalf
    frame : int
        Absolute frame.
    picture : (H, W, 3) uint8
    edges : (2, E)
        Sender and receiver of each edge, as slots.
    receiver : int
        The slot whose senders are highlighted.
    """
    t = half.index_of(frame)
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
    left.imshow(picture, interpolation="lanczos")
    left.axis("off")
    draw_boxes(left, half.box[:, t], picture.shape[:2], receiver)
    Pitch(pitch_type="custom", pitch_length=105, pitch_width=68, line_color="#c4cec4", pitch_color="#f7faf6",
          linewidth=1).draw(ax=right)  # fmt: skip
    place = half.position[:, t] * PITCH
    place[:, 1] = PITCH[1] - place[:, 1]  # the drawing's y axis points up, to the far touchline
    for sender, to in edges.T:
        thick = to == receiver
        line = {"color": "#d49a00" if thick else "#b8b8b8", "lw": 2.2 if thick else 0.6, "zorder": 3 if thick else 2}
        right.plot(*place[[sender, to]].T, **line)
    _players(right, half, t, place, receiver)
    right.set_title("grey: all edges; thick: whom the ringed player hears from", fontsize=9, fontweight="normal")
    return fig


def _players(ax: Axes, half: TacticalHalf, t: int, place: np.ndarray, ringed: int) -> None:
    for slot in np.flatnonzero(half.observed[:, t]):
        colour = TEAM_COLOUR[slot // N_ROLES]
        edge, width = ("#ffcf33", 3) if slot == ringed else ("white", 0.8)
        ax.scatter(*place[slot], s=190, color=colour, edgecolor=edge, linewidth=width, zorder=4)
        label = {"ha": "center", "va": "center", "fontsize": 7, "color": "white", "zorder": 5}
        ax.text(*place[slot], str(half.jersey[slot, t]), **label)


def before_and_after(curves: dict[str, np.ndarray], anchor: int, class_name: str, title: str = "") -> Figure:
    """Class probabilities of one player around an event, a panel a system.

    Parameters
    ----------
    curves : dict of (9, T)
        Probabilities of each system.
    anchor : int
        Index of the event's frame.
    class_name : str
        Its class.
    title : str
    """
    fig, axes = plt.subplots(1, len(curves), figsize=(10, 2.7), sharey=True, squeeze=False, layout="constrained")
    for ax, (system, probabilities) in zip(axes[0], curves.items(), strict=True):
        for name in EVENT_CLASSES:
            ax.plot(probabilities[CLASS_ID[name]], color=CLASS_COLOUR[name], lw=1.5, label=name)
        ax.plot(probabilities[0], color=INK, lw=0.8, ls="--", label="background")
        ax.axvline(anchor, color=CLASS_COLOUR[class_name], ls=":", lw=1.6)
        ax.set(ylim=(0, 1.02), xlabel="frame", title=system)
    axes[0, 0].set_ylabel("probability")
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
    fig.suptitle(title, fontsize=10)
    return fig
