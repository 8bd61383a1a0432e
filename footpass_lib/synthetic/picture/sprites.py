"""Drawing capsules: anti-aliased figures on small patches, composited into frames from far to near."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

_THINNEST = 0.42  # pixels; a thinner limb would vanish between pixel centres
_CHUNK = 120_000  # coverage values computed at once: they stay in the processor's cache
_LARGE = 14_000  # coverage values; figures that need more are drawn limb by limb, on small patches


@dataclass(frozen=True)
class Sprites:
    """S figures of at most K capsules each; capsules are ordered from near to far."""

    frame: np.ndarray  # (S,) int64 frame of the batch that a figure belongs to
    depth: np.ndarray  # (S,) float32; farther figures are drawn first
    start: np.ndarray  # (S, K, 2) float32 and stop, the ends of the capsules' axes in pixels (right, down)
    stop: np.ndarray
    radius: np.ndarray  # (S, K) float32 pixels; 0 leaves a capsule out
    colour: np.ndarray  # (S, K, 3) float32 grey levels 0..255
    opacity: np.ndarray  # (S, K) float32

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, rows: np.ndarray) -> Sprites:
        return Sprites(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def extent(sprites: Sprites) -> tuple[np.ndarray, np.ndarray]:
    """Corners (S, 2), (S, 2) in pixels of the rectangles that hold the figures."""
    reach = np.where(sprites.radius > 0, sprites.radius, -np.inf)[..., None]
    low = (np.minimum(sprites.start, sprites.stop) - reach).min(axis=1)
    high = (np.maximum(sprites.start, sprites.stop) + reach).max(axis=1)
    return low, high


def _forms(sprites: Sprites, centre: np.ndarray) -> list[np.ndarray]:
    """What :func:`_coverage` takes for capsules on patches around ``centre`` (S, 2), capsules first, float32.

    Across (K, S, 6), of (x^2, xy, y^2, x, y, 1): 0.5 + (r^2 - d^2) / 2r, with the distance d to the axis, for the rim's
    r - d + 0.5. Along (K, S, 3), of (x, y, 1): the distance along the axis from its middle, divided by sqrt(2r). Half
    the axis (K, S, 1), divided alike. Opacity (K, S, 1), 0 for capsules that are left out.
    """
    start, stop = sprites.start.swapaxes(0, 1), sprites.stop.swapaxes(0, 1)
    radius = np.maximum(sprites.radius.T, _THINNEST)
    axis = stop - start
    length = np.sqrt((axis * axis).sum(axis=-1))
    u, v = np.moveaxis(axis / np.maximum(length, 1e-3)[..., None], -1, 0)
    u = np.where(length > 1e-3, u, 1.0)
    x, y = np.moveaxis((start + stop) / 2 - centre, -1, 0)
    offset, shrink = u * y - v * x, np.sqrt(0.5 / radius)
    across = np.stack((v * v, -2 * u * v, u * u, 2 * v * offset, -2 * u * offset, offset * offset), axis=-1)
    across *= -(shrink**2)[..., None]
    across[..., 5] += 0.5 + radius / 2
    along = np.stack((u, v, -(u * x + v * y)), axis=-1) * shrink[..., None]
    half, solid = length / 2 * shrink, (sprites.radius > 0).T * sprites.opacity.T
    return [form.astype(np.float32) for form in (across, along, half[..., None], solid[..., None])]


def _coverage(forms: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Share (K, S, h*w) of every pixel of a patch that each capsule covers: a few products of small matrices."""
    across, along, half, solid = forms
    height, width = size
    y, x = np.divmod(np.arange(height * width, dtype=np.float32), width)
    x, y = x + (0.5 - width / 2), y + (0.5 - height / 2)  # from the middle: small numbers lose fewer digits
    basis = np.stack((x * x, x * y, y * y, x, y, np.ones_like(x)))
    cover = (across.reshape(-1, 6) @ basis).reshape(*across.shape[:2], -1)
    beyond = (along.reshape(-1, 3) @ basis[3:]).reshape(cover.shape)
    np.abs(beyond, out=beyond)
    beyond -= half
    np.clip(beyond, 0, np.inf, out=beyond)
    np.square(beyond, out=beyond)
    cover -= beyond
    np.clip(cover, 0, 1, out=cover)
    if solid.min() < 1:
        cover *= solid
    return cover


def _paint(forms: list[np.ndarray], colour: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray | None, np.ndarray]:
    """Figures on patches of ``size`` (height, width), from their capsules' forms and colours (S, K, 3).

    Grey levels multiplied by the coverage, (S, 3, h*w) float32, or None if all figures are black, and the share of the
    background that shows through, (S, h*w) float32.
    """
    cover = _coverage(forms, size)
    clear = 1 - cover[0]
    for limb in cover[1:]:  # near to far: what is left of the background's light
        limb *= clear
        clear -= limb
    if not colour.any():
        return None, clear
    return np.matmul(colour.transpose(0, 2, 1).astype(np.float32), cover.swapaxes(0, 1)), clear


def _patches(sprites: Sprites, height: int, width: int) -> tuple[Sprites, np.ndarray, np.ndarray]:
    """The figures in the picture, with patches that hold what is seen of each: (S, 2) width and height, (S, 2) origin.

    Sizes are rounded up in few steps, with little waste.
    """
    low, high = extent(sprites)
    first, last = np.maximum(np.floor(low - 0.5), 0), np.minimum(np.ceil(high + 0.5), [width, height])
    seen = (last > first).all(axis=1)
    if not seen.all():
        sprites, first, last = sprites[seen], first[seen], last[seen]
    step = 2.0 ** np.maximum(np.floor(np.log2(last - first)) - 2, 2)
    size = np.minimum(np.ceil((last - first) / step) * step, [width, height]).astype(np.int64)
    # A patch that sticks out is moved inside: the part of the figure in the picture stays covered.
    return sprites, size, np.minimum(first, np.array([width, height]) - size).astype(np.int64)


def _split_large(sprites: Sprites) -> list[Sprites]:
    """Make figures of their own out of the capsules of large figures: a capsule fills its own patch better."""
    low, high = extent(sprites)
    large = (high - low + 1).prod(axis=1) * sprites.radius.shape[1] > _LARGE
    figure, limb = np.nonzero(large[:, None] & (sprites.radius > 0))
    depth = sprites.depth[figure] + 1e-4 * limb.astype(np.float32)  # near limbs stay in front
    names = ("start", "stop", "radius", "colour", "opacity")
    pieces = [getattr(sprites, name)[figure, limb][:, None] for name in names]
    return [sprites[~large], Sprites(sprites.frame[figure], depth, *pieces)]


def _levels(frame: np.ndarray, depth: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """When every patch is drawn (N,): after the farther ones of its frame that it overlaps; equal levels are apart."""
    order = np.lexsort((-depth, frame))
    ordered = frame[order]
    rank = np.arange(len(frame)) - np.searchsorted(ordered, ordered)
    meet = np.ones((frame.max() + 1, rank.max() + 1, rank.max() + 1), bool)
    for axis in (0, 1):
        first, last = np.full((2, *meet.shape[:2]), -1, np.int32)  # an empty place overlaps nothing
        first[ordered, rank], last[ordered, rank] = low[order, axis], high[order, axis]
        before = first[:, :, None] < last[:, None]
        meet &= before & before.swapaxes(1, 2)
    level = np.zeros(meet.shape[:2], np.int16)
    for i in range(1, level.shape[1]):
        level[:, i] = (meet[:, i, :i] * (level[:, :i] + np.int16(1))).max(axis=1)
    levels = np.empty(len(frame), np.int64)
    levels[order] = level[ordered, rank]
    return levels


def _runs(*keys: np.ndarray) -> list[tuple[int, int]]:
    """Ranges in which none of the keys (N,) changes."""
    change = np.flatnonzero(np.any([key[1:] != key[:-1] for key in keys], axis=0)) + 1
    return list(pairwise([0, *change.tolist(), len(keys[0])]))


def _draw(frames: np.ndarray, sprites: Sprites, size: np.ndarray, origin: np.ndarray, level: np.ndarray) -> Iterator:
    """Draw figures on patches: by size and level, a view (S, 3, h, w) of the frames, its index, and what to draw."""
    order = np.lexsort((level, *size.T))
    sprites, size, origin, level = sprites[order], size[order], origin[order], level[order]
    forms = _forms(sprites, origin + size / 2)
    for begin, end in _runs(*size.T):
        w, h = size[begin].tolist()
        windows = sliding_window_view(frames, (h, w), axis=(2, 3), writeable=True)
        chunk = max(_CHUNK // (w * h * sprites.radius.shape[1]), 1)
        for first in range(begin, end, chunk):
            rows = slice(first, min(first + chunk, end))
            colour, clear = _paint([form[:, rows] for form in forms], sprites.colour[rows], (h, w))
            for start, stop in _runs(level[rows]):
                part = slice(first + start, first + stop)
                where = (sprites.frame[part], slice(None), origin[part, 1], origin[part, 0])
                own = None if colour is None else colour[start:stop].reshape(-1, 3, h, w)
                yield int(level[part.start]), windows, where, own, clear[start:stop].reshape(-1, 1, h, w)


def composite(frames: np.ndarray, parts: list[Sprites]) -> None:
    """Draw figures into frames (B, 3, H, W) float32 in place, farther ones first."""
    pieces = [_patches(piece, *frames.shape[2:]) for part in parts for piece in _split_large(part) if len(piece)]
    pieces = [piece for piece in pieces if len(piece[0])]
    if not pieces:
        return
    sprites, *patches = zip(*pieces, strict=True)
    frame, depth = (np.concatenate([getattr(piece, name) for piece in sprites]) for name in ("frame", "depth"))
    size, origin = (np.concatenate(values) for values in patches)
    level = np.split(_levels(frame, depth, origin, origin + size), np.cumsum([len(piece) for piece in sprites])[:-1])
    drawn = [item for piece, own in zip(pieces, level, strict=True) for item in _draw(frames, *piece, own)]
    for _, windows, where, colour, clear in sorted(drawn, key=itemgetter(0)):
        behind = windows[where]
        behind *= clear
        if colour is not None:
            behind += colour
        windows[where] = behind
