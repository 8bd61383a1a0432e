"""The stadium: grass, lines, boards and stands painted into one texture, and the rays that look it up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, zoom
from torch.nn.functional import grid_sample

from footpass_lib.schema import PITCH
from footpass_lib.synthetic.picture.camera import ASPECT, Camera
from footpass_lib.synthetic.picture.style import Style

# The stands' front wall encloses the pitch; grass and track fill the space between.
WALL = ((-6.5, PITCH[0] + 6.5), (-5.0, PITCH[1] + 5.0))
BORDER = 1.5  # metres of texture beyond the wall, so that filtering never reaches the edge
WALL_HEIGHT = 26.0  # metres of stand painted
BOARD_HEIGHT = 1.0
LINE = 0.25  # metres; twice the real width, so that small pictures keep their lines
GOAL = (7.32, 2.44)  # width, height
_LINES_WHITE = np.array([0.93, 0.95, 0.92], np.float32)


@dataclass(frozen=True)
class Stadium:
    """A painted stadium."""

    texture: torch.Tensor  # (3, rows, columns) float32 grey levels 0..255: ground, long stand, short stand
    scale: float  # texels a metre
    long_row: int  # first texture row of the long stand
    short_row: int


def _smooth_noise(shape: tuple[int, int], texels: float, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit variance whose grain is ``texels`` wide."""
    coarse = rng.standard_normal((int(shape[0] / texels) + 3, int(shape[1] / texels) + 3))
    fine = zoom(coarse, texels, order=1)[: shape[0], : shape[1]]
    return (fine / max(fine.std(), 1e-6)).astype(np.float32)


def _mowing(x: np.ndarray, y: np.ndarray, pattern: int) -> np.ndarray | float:
    """Sign of the mowing direction at the points."""

    def bands(along: np.ndarray, wide: float) -> np.ndarray:
        return np.sign(np.sin(np.pi * along / wide) + 1e-9)

    if pattern in (0, 1):
        return bands(x, (5.25, 3.5)[pattern])
    if pattern == 2:
        return bands(x, 5.25) * bands(y, 5.25)
    return bands(np.hypot(x - PITCH[0] / 2, y - PITCH[1] / 2), 5.0) if pattern == 3 else 0.0


def _line_distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distance in metres from every point of the ground to the nearest painted line."""
    length, width = PITCH
    u, v = np.minimum(x, length - x), np.abs(y - width / 2)  # four-fold symmetry: fold the pitch
    inside = np.minimum(u, width / 2 - v)
    near = np.abs(inside)  # the boundary
    near = np.minimum(near, np.where(inside > -LINE, np.abs(x - length / 2), np.inf))
    ring = np.abs(np.hypot(x - length / 2, v) - 9.15)
    near = np.minimum(near, np.minimum(ring, np.hypot(x - length / 2, v) - 0.12))
    for depth, half in ((16.5, 20.16), (5.5, 9.16)):
        # Signed distance to a rectangle of the given half width that starts at the goal line.
        box = np.maximum(u - depth, v - half)
        near = np.minimum(near, np.where(u > -LINE, np.abs(box), np.inf))
    spot = np.hypot(u - 11.0, v)
    near = np.minimum(near, spot - 0.12)
    near = np.minimum(near, np.where(u > 16.5, np.abs(spot - 9.15), np.inf))
    corner = np.abs(np.hypot(u, width / 2 - v) - 1.0)
    return np.minimum(near, np.where(inside > 0, corner, np.inf))


def _wear(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How worn the grass is, 0..1: goalmouths, penalty spots, the centre, and the assistants' runs."""
    u, v = np.minimum(x, PITCH[0] - x), y - PITCH[1] / 2
    mouth = np.exp(-((u - 2.5) ** 2) / 12 - v**2 / 14)
    spot = 0.7 * np.exp(-((u - 11) ** 2 + v**2) / 6)
    centre = 0.4 * np.exp(-((x - PITCH[0] / 2) ** 2 + v**2) / 40)
    runs = 0.35 * np.exp(-((np.abs(v) - PITCH[1] / 2 - 1.0) ** 2) / 0.4)
    return np.minimum(mouth + spot + centre + runs, 1.0)


def _paint_ground(style: Style, scale: float, depth: float, rng: np.random.Generator) -> np.ndarray:
    """The ground as (rows, columns, 3) in 0..1; ``depth`` is how far a pixel reaches along y, in metres."""
    (x0, x1), (y0, y1) = WALL
    x = (np.arange(x0 - BORDER, x1 + BORDER, 1 / scale, dtype=np.float32) + 0.5 / scale)[None, :]
    y = (np.arange(y0 - BORDER, y1 + BORDER, 1 / scale, dtype=np.float32) + 0.5 / scale)[:, None]
    shape = (y.shape[0], x.shape[1])
    tone = 1 + style.stripes * _mowing(x, y, style.pattern)
    tone = tone + 0.035 * _smooth_noise(shape, 6 * scale, rng) + 0.03 * _smooth_noise(shape, 0.8 * scale, rng)
    tone = tone + 0.03 * rng.standard_normal(shape).astype(np.float32)
    ground = np.asarray(style.grass, np.float32) * tone[..., None]
    soil = np.array([0.42, 0.38, 0.22], np.float32)
    patchy = np.clip(1 + 0.5 * _smooth_noise(shape, 1.2 * scale, rng), 0, 2)
    worn = (style.wear * _wear(x, y) * patchy)[..., None].clip(0, 0.8)
    ground = ground * (1 - worn) + soil * tone[..., None] * worn
    outside = np.maximum(np.maximum(-x, x - PITCH[0]) - 3.2, np.maximum(-y, y - PITCH[1]) - 3.0)
    track = np.clip(outside * scale + 0.5, 0, 1)[..., None]
    ground = ground * (1 - track) + np.array([0.30, 0.31, 0.33], np.float32) * track
    paint = np.clip((LINE / 2 - _line_distance(x, y)) * scale + 0.5, 0, 1)[..., None] * 0.92
    ground = ground * (1 - paint) + _LINES_WHITE * paint
    # A pixel that looks at the grass under a flat angle is several texels deep: filter along y, as a mipmap would.
    return gaussian_filter(ground, (0.36 * depth * scale, 0.05 * scale, 0))


def _paint_stand(columns: int, style: Style, scale: float, rng: np.random.Generator) -> np.ndarray:
    """A stand with its advertising boards, (rows, columns, 3) in 0..1; row 0 is the ground."""
    rows = int(WALL_HEIGHT * scale)
    height = (np.arange(rows) + 0.5)[:, None] / scale
    along = (np.arange(columns) + 0.5)[None, :] / scale
    # One person every half metre, each in one of a few shirts; heads make a second, paler grain.
    seats = (int(WALL_HEIGHT / 0.62) + 1, int(columns / scale / 0.5) + 1)
    colours = np.array([*style.crowd, (0.16, 0.16, 0.18), (0.75, 0.72, 0.68)])
    people = colours[rng.choice(5, seats, p=(0.2, 0.08, 0.22, 0.3, 0.2))] * rng.uniform(0.45, 1.0, (*seats, 1))
    people = np.where(rng.random((*seats, 1)) < 0.08, np.array([0.30, 0.31, 0.36]), people)  # empty seats
    row, seat = (height / 0.62).astype(int), (along / 0.5).astype(int)
    stand = people[row, np.minimum(seat, seats[1] - 1)]
    head = (((height / 0.62) % 1 > 0.6) & (np.abs((along / 0.5) % 1 - 0.5) < 0.28))[..., None]
    stand = np.where(head, np.array([0.62, 0.47, 0.38]) * rng.uniform(0.5, 1.0, (*seats, 1))[row, seat], stand)
    aisle = (np.abs(along % 13 - 6.5) < 0.5) | (np.abs(height - 9.5) < 0.7)
    stand = np.where(aisle[..., None], np.array([0.40, 0.40, 0.42]), stand)
    stand = stand * (1.0 - 0.5 * (height / WALL_HEIGHT))[..., None]  # the roof's shade
    stand = gaussian_filter(stand, (0.12 * scale, 0.08 * scale, 0)) * (0.9 + 0.2 * rng.random((rows, columns, 1)))
    return np.where((height < BOARD_HEIGHT)[..., None], _paint_boards(columns, height, style, scale, rng), stand)


def _paint_boards(columns: int, height: np.ndarray, style: Style, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Advertising boards: panels of one colour with blocks that read as lettering from afar."""
    along = (np.arange(columns) + 0.5) / scale
    panel = (along / 7.5).astype(int)
    count = panel.max() + 1
    palette = np.array([(0.92, 0.92, 0.92), (0.05, 0.15, 0.5), (0.8, 0.1, 0.1), (0.05, 0.05, 0.06), (0.95, 0.8, 0.1),
                        (0.0, 0.45, 0.3)])  # fmt: skip
    back = rng.integers(0, len(palette), count)
    front = (back + rng.integers(1, len(palette), count)) % len(palette)
    letter = rng.random(int(along[-1] / 0.45) + 2) < 0.72
    inked = letter[(along / 0.45).astype(int)] & (np.abs(along % 7.5 - 3.75) < 2.6) & (along % 0.45 > 0.09)
    lettered = (np.abs(height - 0.5 * BOARD_HEIGHT) < 0.27 * BOARD_HEIGHT) & inked[None, :]
    return np.where(lettered[..., None], palette[front[panel]][None], palette[back[panel]][None])


def build_stadium(style: Style, width: int, rng: np.random.Generator) -> Stadium:
    """Paint a match's stadium finely enough for pictures ``width`` pixels wide."""
    scale = float(np.clip(1.3 * width / style.view_width, 4, 16))
    far = np.array([style.camera_distance + 0.8 * PITCH[1], style.camera_height])
    depth = style.view_width / width * np.linalg.norm(far) / style.camera_height
    ground = _paint_ground(style, scale, float(depth), rng)
    long_stand = _paint_stand(ground.shape[1], style, scale, rng)
    short_stand = np.zeros_like(long_stand)
    short_stand[:, : ground.shape[0]] = _paint_stand(ground.shape[0], style, scale, rng)
    sheet = np.concatenate((ground, long_stand, short_stand)).clip(0, 1) * 255
    texture = torch.from_numpy(np.ascontiguousarray(sheet.transpose(2, 0, 1), dtype=np.float32))
    return Stadium(texture, scale, ground.shape[0], ground.shape[0] + long_stand.shape[0])


def _to_tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))


def _meet(place: torch.Tensor, ray: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Ray lengths, each (B, H, W), from ``place`` (B, 3, 1, 1) to the ground, to a short wall and to a long wall."""
    far = torch.full((), 1e4)
    walls = []
    for i, (low, high) in enumerate(WALL):
        pace = 1 / ray[i]
        # The wall that a ray runs toward comes after the one that it leaves behind.
        t = torch.maximum((low - place[:, i]) * pace, (high - place[:, i]) * pace)
        walls.append(torch.where(t > 0, t, far))
    return torch.where(ray[2] < -1e-4, -place[:, 2] / ray[2], far), *walls


def _look_up(stadium: Stadium, place: torch.Tensor, ray: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Texture column and row, each (B, H, W), that the rays meet first."""
    ground, short, long = _meet(place, ray)
    wall = torch.minimum(short, long)
    t = torch.minimum(ground, wall)
    scale = stadium.scale
    column, row = (torch.addcmul(place[:, i] - (WALL[i][0] - BORDER), t, ray[i]) * scale for i in (0, 1))
    rise = (place[:, 2] + t * ray[2]).clamp(0.5 / scale, WALL_HEIGHT - 1 / scale) * scale
    on_wall, on_short = wall < ground, short < long
    painted = rise + torch.where(on_short, float(stadium.short_row), float(stadium.long_row))
    return torch.where(on_wall & on_short, row, column), torch.where(on_wall, painted, row)


def film_stadium(stadium: Stadium, camera: Camera, height: int, width: int) -> np.ndarray:
    """The empty stadium as the cameras see it: (B, 3, height, width) float32, grey levels 0..255."""
    right, up, forward = (_to_tensor(camera.axes[:, i])[:, :, None, None] for i in range(3))
    focal = _to_tensor(camera.focal)[:, None, None]
    across = ((torch.arange(width) + 0.5) / width - 0.5) / focal  # (B, 1, W)
    above = (0.5 - (torch.arange(height) + 0.5) / height)[:, None] / focal / ASPECT  # (B, H, 1)
    place = _to_tensor(camera.position)[:, :, None, None]
    middle = [forward[:, i] + above * up[:, i] for i in range(3)]  # (B, H, 1)
    ends = across[..., [0, -1]]
    ground, short, long = _meet(place, (middle[0] + ends * right[:, 0], middle[1] + ends * right[:, 1], middle[2]))
    # What a row of pixels sees of the ground is convex: walls appear only in rows that meet one at an end.
    walled = (torch.minimum(short, long) < ground).any(dim=0).any(dim=-1)
    top = int(walled.nonzero().max()) + 1 if bool(walled.any()) else 0
    rows, columns = stadium.texture.shape[1:]
    grid = torch.empty((len(place), height, width, 2))
    upper = [middle[i][:, :top] for i in range(3)]
    column, row = _look_up(stadium, place, (upper[0] + across * right[:, 0], upper[1] + across * right[:, 1], upper[2]))
    grid[:, :top, :, 0], grid[:, :top, :, 1] = column * (2 / columns) - 1, row * (2 / rows) - 1
    # Below, the camera has no roll, so a row lies at one depth and the ground runs linearly along it.
    for i, texels in ((0, columns), (1, rows)):
        unit = 2 * stadium.scale / texels
        base = (place[:, i] + ground[:, top:] * middle[i][:, top:] - (WALL[i][0] - BORDER)) * unit - 1
        torch.addcmul(base, ground[:, top:] * right[:, i] * unit, across, out=grid[:, top:, :, i])
    texture = stadium.texture[None].expand(len(grid), -1, -1, -1)
    return grid_sample(texture, grid, mode="bilinear", padding_mode="border", align_corners=False).numpy()
