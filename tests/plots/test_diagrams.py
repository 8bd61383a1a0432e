"""Diagrams: what they say in words is what they were given, and no text leaves the picture."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import PIL.Image
import pytest

from footpass_lib import plots
from footpass_lib.plots.diagrams import _STEPS, _WAYS
from footpass_lib.schema import EVENT_CLASSES


def texts(figure):
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def assert_inside(figure):
    """Every text lies within the figure, up to a pixel."""
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    for ax in figure.axes:
        for text in ax.texts:
            box = text.get_window_extent()
            assert box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1 and box.y1 < height + 1, text.get_text()


def test_the_way_marks_where_one_is():
    figure = plots.data_flow("06")
    assert [text for text in texts(figure) if "you are here" in text] == ["06 TAAD+DST\n(you are here)"]
    assert {number for way in _WAYS for number in way[:2]} == set(_STEPS), "no step is left alone"
    assert figure.get_label().endswith("This notebook: 06 TAAD+DST.")
    assert_inside(figure)
    with pytest.raises(KeyError):
        plots.data_flow("99")


@pytest.mark.parametrize(
    ("strides", "widths", "level", "shapes"),
    [
        ((4, 8, 16, 32), (24, 48, 96, 192), 8, ["192 x 44 x 80", "192 x 22 x 40"]),
        ((4, 8), (16, 24), 4, ["192 x 88 x 160"]),
    ],
)
def test_taad_is_drawn_with_its_maps(strides, widths, level, shapes):
    figure = plots.taad_path((352, 640), strides, widths, level, 192, (4, 2))
    shown = "\n".join(texts(figure))
    for stride, width in zip(strides, widths, strict=True):
        assert f"stride {stride}\n{width} x {352 // stride} x {640 // stride}" in shown
    assert [text for text in shown.split("\n") if text in shapes] == shapes
    assert "RoIAlign 4 x 2" in shown
    assert_inside(figure)


def test_messages_and_what_is_kept():
    place = {"A": (0, 0.1), "B": (4, 0.1), "C": (2, 2.3)}
    messages = {("B", "A"): 2.5, ("C", "A"): -2.5, ("A", "B"): -0.5, ("C", "B"): -3.5, ("A", "C"): 2.0, ("B", "C"): 4.0}
    figure = plots.edge_conv_by_hand(place, {"A": 1, "B": 3, "C": -2}, messages, {"A": 2.5, "B": -0.5, "C": 4.0})
    shown = texts(figure)
    assert all(f"{value:+.1f}" in shown for value in messages.values())
    assert {"keeps +2.5", "keeps -0.5", "keeps +4.0"} <= set(shown) and "C keeps +4.0" in figure.get_label()
    assert_inside(figure)


def test_widths_of_tokens_add_up():
    read = [("players", 130), ("TAAD", 234), ("GNN", 234)]
    figure = plots.token_widths(
        {"364 wide": read[:2], "598 wide": read}, [("action", 10), ("slot", 27), ("frame", 752)]
    )
    assert "598 wide: players 130 + TAAD 234 + GNN 234; 789 wide: action 10" in figure.get_label()
    assert texts(figure).count("TAAD\n234") == 2
    assert len(plots.token_widths({"364 wide": read[:2]}).axes) == 1


def test_masks():
    figure = plots.attention_masks(written=4, tokens=6, inside=5)
    own, memory = (ax.images[0].get_array() for ax in figure.axes)
    assert np.array_equal(own, np.tril(np.ones((4, 4)))) and memory.sum(axis=1).tolist() == [5] * 4


def test_what_is_kept():
    everything, inputs = plots.kept_activations(3).axes
    filled = [sum(patch.get_facecolor()[:3] != (1, 1, 1) for patch in ax.patches) for ax in (everything, inputs)]
    assert filled == [12, 3] and [text.get_text() for text in inputs.texts].count("again") == 3


def test_a_shown_figure_is_a_small_picture_with_words():
    image = plots.shown(plots.kept_activations())
    assert "checkpoint" not in image.alt and image.alt.startswith("Activations of residual blocks")
    with PIL.Image.open(io.BytesIO(image.data)) as picture:
        assert picture.format == "PNG" and 300 < picture.width < 700
    assert len(image.data) < 30_000 and not plt.get_fignums()


def test_precision_and_recall_keep_their_dots_inside():
    low, high = ([pd.DataFrame({"precision": p, "recall": p}, index=EVENT_CLASSES)] for p in (0.0, 1.0))
    close = [pd.DataFrame({"precision": 0.5, "recall": 0.51}, index=EVENT_CLASSES)]
    for tables, width in (({"a": low, "b": high}, 1.0), ({"a": close}, 0.3)):
        for ax in plots.precision_and_recall(tables).axes:
            (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
            assert x1 - x0 == pytest.approx(y1 - y0) and x1 - x0 > width - 1e-6
            for dots in ax.collections:
                ((x, y),) = dots.get_offsets()
                assert x0 <= x <= x1 and y0 <= y <= y1


def test_weights_have_no_lines_across_classes():
    weights = pd.DataFrame({"none": 1.0, "sqrt": np.linspace(0.5, 4, 8)}, index=EVENT_CLASSES)
    ax = plots.weights_by_class(weights, range(8)).axes[0]
    assert [line.get_linestyle() for line in ax.lines[:2]] == ["None", "None"]
    assert ax.lines[1].get_ydata().tolist() == weights["sqrt"].tolist()


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")
