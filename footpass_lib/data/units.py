"""What the values of a tactical table look like: other units than the official ones are told by their size."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np

from footpass_lib.schema import BOX_FRAME, FootpassError

_LOOKED_AT = 50_000  # rows, evenly spread
_LARGE_POSITION = 2.0  # shares of the pitch stay below, metres and per cent do not
_SMALL_BOX = 2.0  # pixels: no box of a half is larger where boxes are shares of the picture
_BEYOND = 1.02  # of the picture's side: boxes may be cut a little beyond it
_MANY_BEYOND = 0.01  # share of boxes that end there from which on they are of another picture
_MANY_BOXES, _SMALL_PICTURE = 1000, 1300  # so many boxes of 1920 pixels would not all end left of this
_EXPECTED = f"expected x, y, width and height in pixels of {BOX_FRAME[0]}x{BOX_FRAME[1]}"


def check_units(columns: Mapping[str, np.ndarray], place: str) -> None:
    """Refuse positions and boxes that are plainly in other units, warn of what looks odd; both say what it looks like.

    ``columns`` (N,) are those of a half by name: ``x`` and ``y`` shares of the pitch, ``roi_*`` pixels of 1920x1080.
    ``place`` is what a message calls them.
    """
    step = max(1, len(columns["x"]) // _LOOKED_AT)
    size = np.maximum(np.abs(columns["x"][::step]), np.abs(columns["y"][::step]))  # NaN if either is
    size = size[~np.isnan(size)]
    if len(size) and np.median(size) > _LARGE_POSITION:
        raise FootpassError(
            f"{place}: x and y are {np.median(size):.3g} in the median and look like metres (or per cent); expected "
            "shares of the pitch, 0 to 1 from its top left corner"
        )
    x, y, width, height = (columns[f"roi_{name}"] for name in ("x", "y", "width", "height"))
    whole = ~np.isnan(x + y + width + height)
    if whole.any():
        _check_boxes(x[whole], y[whole], width[whole], height[whole], place)


def _check_boxes(x: np.ndarray, y: np.ndarray, width: np.ndarray, height: np.ndarray, place: str) -> None:
    largest, right, bottom = max(width.max(), height.max()), x + width, y + height
    if 0 < largest <= _SMALL_BOX:
        raise FootpassError(f"{place}: boxes of {largest:.3g} at most look like shares of the picture; {_EXPECTED}")
    beyond = (right > _BEYOND * BOX_FRAME[0]).mean()
    below = (bottom > _BEYOND * BOX_FRAME[1]).any()
    if (beyond or below) and (width >= x).all() and (height >= y).all():
        raise FootpassError(f"{place}: boxes look like x0, y0, x1, y1: corners in place of sizes; {_EXPECTED}")
    last = right.max()
    if beyond > _MANY_BEYOND:
        raise FootpassError(
            f"{place}: boxes that end at x = {last:.0f} look like those of a larger picture; {_EXPECTED}"
        )
    odd = f"{beyond:.2%} of the boxes end right of {BOX_FRAME[0]}, the last at {last:.0f}" if beyond else ""
    if len(x) >= _MANY_BOXES and last <= _SMALL_PICTURE:
        odd = f"boxes that all end left of x = {last:.0f} look like those of a smaller picture"
    if odd:
        warnings.warn(f"{place}: {odd}; {_EXPECTED}", stacklevel=4)
