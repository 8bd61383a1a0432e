"""Drawing capsules: anti-aliased figures on small patches, composited into frames from far to near."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_THINNEST = 0.42  # pixels; a thinner limb would vanish between pixel centres
_CHUNK = 200_000  # coverage values computed at once: they stay in the processor's cache
_LARGE = 14_000  # coverage values; figures that need more are drawn limb by limb, on small patches


@dataclass(frozen=True)
class Sprites:
    """S figures of at most K capsules each; capsules are ordered from near to far.

    Attributes
    ----------
    frame : (S,) int64
        Frame of the batch that a figure belongs to.
    depth : (S,) float32
        Farther figures are drawn first.
    start, stop : (S, K, 2) float32
        Ends of the capsules' axes in pixels (right, down).
    radius : (S, K) float32
        Pixels; 0 leaves a capsule out.
    colour : (S, K, 3) float32
        Grey levels 0..255.
    opacity : (S, K) float32
    """

    frame: np.ndarray
    depth: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    radius: np.ndarray
    colour: np.ndarray
    opacity: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)

    def __getitem__(self, rows: np.ndarray) -> Sprites:
        return Sprites(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def extent(sprites: Sprites) -> tuple[np.ndarray, np.ndarray]:
    """Corners (S, 2), (S, 2) in pixels of the rectangles that hold the figures."""
    drawn = sprites.radius[..., None] > 0
    reach = sprites.radius[..., None]
    low = np.where(drawn, np.minimum(sprites.start, sprites.stop) - reach, np.inf).min(axis=1)
    high = np.where(drawn, np.maximum(sprites.start, sprites.stop) + reach, -np.inf).max(axis=1)
    return low, high


def _coverage(sprites: Sprites, origin: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Share (S, K, h*w) of every pixel of a patch that each capsule covers.

    With the axis of a capsule as a line, distances along and across it are linear in the pixel's coordinates, so all of
    them are one matrix product; (r^2 - d^2) / 2r stands for the distance r - d to the rim.
    """
    height, width = size
    y, x = np.divmod(np.arange(height * width, dtype=np.float32), width)
    basis = np.stack((x + 0.5, y + 0.5, np.ones_like(x)))
    axis = sprites.stop - sprites.start
    length = np.linalg.norm(axis, axis=-1)
    axis = np.where(length[..., None] > 1e-3, axis / np.maximum(length, 1e-3)[..., None], [1.0, 0.0])
    middle = (sprites.start + sprites.stop) / 2 - origin[:, None]
    radius = np.maximum(sprites.radius, _THINNEST)
    shrink = np.sqrt(0.5 / radius)  # folds the division by 2r into the coefficients
    normal = np.stack((axis[..., 1], -axis[..., 0]), axis=-1)

    def measure(direction: np.ndarray) -> np.ndarray:
        """Distance from the capsule's middle along a direction, (S, K, h*w), shrunk."""
        rows = np.concatenate((direction, -(direction * middle).sum(axis=-1, keepdims=True)), axis=-1)
        rows = (rows * shrink[..., None]).astype(np.float32)
        return (rows.reshape(-1, 3) @ basis).reshape(*radius.shape, -1)

    along, cover = measure(axis), measure(normal)
    np.square(cover, out=cover)
    np.abs(along, out=along)
    along -= (length / 2 * shrink).astype(np.float32)[..., None]
    np.maximum(along, 0, out=along)
    np.square(along, out=along)
    cover += along
    np.subtract((0.5 + radius / 2).astype(np.float32)[..., None], cover, out=cover)
    np.maximum(cover, 0, out=cover)
    np.minimum(cover, 1, out=cover)
    if (solid := (sprites.radius > 0) * sprites.opacity).min() < 1:
        cover *= solid.astype(np.float32)[..., None]
    return cover


def rasterise(sprites: Sprites, origin: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw figures on patches.

    Parameters
    ----------
    sprites : Sprites
    origin : (S, 2)
        Pixel of the frame (right, down) at the top left corner of a figure's patch.
    size : (int, int)
        Height and width of the patches.

    Returns
    -------
    colour : (S, 3, h*w) float32
        Grey levels, multiplied by the coverage.
    clear : (S, h*w) float32
        Share of the background that shows through.
    """
    cover = _coverage(sprites, origin, size)
    clear = np.ones((len(sprites), size[0] * size[1]), np.float32)
    for k in range(cover.shape[1]):  # near to far: what is left of the background's light
        cover[:, k] *= clear
        clear -= cover[:, k]
    return np.matmul(sprites.colour.transpose(0, 2, 1).astype(np.float32), cover), clear


def _patch_sizes(sprites: Sprites, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Patches (S, 2) height and width that hold each figure, rounded up in few steps, and their origins (S, 2)."""
    low, high = extent(sprites)
    first = np.floor(low - 0.5)
    needed = np.ceil(high + 0.5) - first  # (S, 2) right, down
    steps = 2.0 ** (np.ceil(2 * np.log2(np.maximum(needed, 4))) / 2)  # factors of sqrt 2: little waste, few sizes
    size = np.minimum(np.ceil(steps), [width, height]).astype(np.int64)
    # A patch that sticks out is moved inside: the part of the figure in the picture stays covered.
    origin = np.clip(first, 0, np.array([width, height]) - size).astype(np.int64)
    return size, origin


def _split_large(sprites: Sprites) -> list[Sprites]:
    """Make figures of their own out of the capsules of large figures: a capsule fills its own patch better."""
    low, high = extent(sprites)
    large = (high - low + 1).prod(axis=1) * sprites.radius.shape[1] > _LARGE
    figure, limb = np.nonzero(large[:, None] & (sprites.radius > 0))
    pieces = [
        getattr(sprites, name)[figure, limb][:, None] for name in ("start", "stop", "radius", "colour", "opacity")
    ]
    depth = sprites.depth[figure] + 1e-4 * limb.astype(np.float32)  # near limbs stay in front
    return [sprites[~large], Sprites(sprites.frame[figure], depth, *pieces)]


def _ranks(parts: list[Sprites]) -> list[np.ndarray]:
    """Place of every figure, from far to near, among those of its frame."""
    frame = np.concatenate([part.frame for part in parts])
    order = np.lexsort((-np.concatenate([part.depth for part in parts]), frame))
    rank = np.empty(len(frame), np.int64)
    ordered = frame[order]
    rank[order] = np.arange(len(frame)) - np.searchsorted(ordered, ordered)
    return np.split(rank, np.cumsum([len(part) for part in parts])[:-1])


def _draw(sprites: Sprites, origin: np.ndarray, size: tuple[int, int], shape: tuple[int, ...]) -> tuple:
    """Indices (S, 3, h*w) of the patches' pixels in the frames, colours, and what shows through."""
    _, channels, height, width = shape
    colour, clear = rasterise(sprites, origin.astype(np.float32), size)
    y, x = np.divmod(np.arange(size[0] * size[1]), size[1])
    corner = sprites.frame * channels * height * width + origin[:, 1] * width + origin[:, 0]
    within = np.arange(channels)[:, None] * height * width + (y * width + x)
    return corner[:, None, None] + within, colour, clear[:, None]


def composite(frames: np.ndarray, parts: list[Sprites]) -> None:
    """Draw figures into frames (B, 3, H, W) float32 in place, farther ones first."""
    parts = [piece for part in parts for piece in _split_large(part) if len(piece)]
    if not parts:
        return
    height, width = frames.shape[2:]
    layers: dict[int, list[tuple]] = {}
    for part, rank in zip(parts, _ranks(parts), strict=True):
        size, origin = _patch_sizes(part, height, width)
        for w, h in np.unique(size, axis=0):
            rows = np.flatnonzero((size == (w, h)).all(axis=1))
            rows = rows[np.argsort(rank[rows], kind="stable")]
            pieces = min(-(-len(rows) * int(w * h) * part.radius.shape[1] // _CHUNK), len(rows))
            for chunk in np.array_split(rows, pieces):
                drawn = _draw(part[chunk], origin[chunk], (int(h), int(w)), frames.shape)
                levels, first = np.unique(rank[chunk], return_index=True)
                for level, start, stop in zip(levels, first, [*first[1:], len(chunk)], strict=True):
                    layers.setdefault(int(level), []).append(tuple(item[start:stop] for item in drawn))
    flat = frames.reshape(-1)
    for level in sorted(layers):  # figures of one rank lie in different frames: none writes where another does
        for where, colour, clear in layers[level]:
            flat[where] = flat[where] * clear + colour
