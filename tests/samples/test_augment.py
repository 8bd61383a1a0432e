"""Augmentation: a marker drawn at a box stays under it, colours agree with torchvision's, draws stay in range."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from footpass_lib.samples.augment import Augmentation, Motion, draw_motion, margin, move, normalise_coloured
from footpass_lib.samples.pixels import normalise
from footpass_lib.schema import FootpassError

HEIGHT, WIDTH = 60, 100
MARKER = (20.0, 30.0, 30.0, 38.0)  # x0, y0, x1, y1


def marked(box: tuple[float, ...] = MARKER, frames: int = 2) -> tuple[Tensor, Tensor]:
    """A black clip with one bright square, the same in all frames, and its box (1, T, 4)."""
    x0, y0, x1, y1 = map(int, box)
    video = torch.zeros(frames, 3, HEIGHT, WIDTH)
    video[:, :, y0:y1, x0:x1] = 1
    return video, torch.tensor(box).expand(1, frames, 4).clone()


def found_box(picture: Tensor) -> Tensor:
    """Box around what is brighter than half, from a picture (H, W)."""
    y, x = (picture > 0.5).nonzero(as_tuple=True)
    return torch.tensor([x.min(), y.min(), x.max() + 1, y.max() + 1]).float()


CHANGES = {
    "nothing": Motion(),
    "shift": Motion(shift=(-6, 10)),
    "turn": Motion(angle=1.5),
    "turn back": Motion(angle=-1.5),
    "turn much": Motion(angle=20),
    "shrink": Motion(scale=0.9),
    "grow": Motion(scale=1.1),
    "flip": Motion(flip=True),
    "all": Motion(shift=(4.2, -5), angle=-1.2, scale=1.08, flip=True),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("box", [MARKER, (70.0, 8.0, 82.0, 16.0), (45.0, 26.0, 55.0, 34.0)])
def test_the_box_stays_on_a_drawn_marker(name: str, box: tuple[float, ...]):
    video, boxes = marked(box)
    moved, corners = move(video, boxes, CHANGES[name])
    assert moved.shape == video.shape and corners.shape == boxes.shape and type(corners) is Tensor
    assert torch.equal(moved[0], moved[1]) and torch.equal(corners[0, 0], corners[0, 1])
    assert (corners[0, 0] - found_box(moved[0, 0])).abs().max() < 1.1


def test_where_a_known_change_puts_the_box():
    """Scale about the middle, shift, then mirror."""
    _, corners = move(*marked(), Motion(shift=(6, -5), scale=0.5, flip=True))
    x0, x1 = (50 + 0.5 * (x - 50) - 5 for x in (20, 30))
    y0, y1 = (30 + 0.5 * (y - 30) + 6 for y in (30, 38))
    torch.testing.assert_close(corners[0, 0], torch.tensor([WIDTH - x1, y0, WIDTH - x0, y1]))


def test_missing_boxes_stay_missing_and_boxes_may_leave_the_picture():
    video, _ = marked()
    boxes = torch.tensor([[[float("nan")] * 4, [1.0, 1.0, 5.0, 5.0]]])
    _, corners = move(video, boxes, Motion(shift=(0, -10), scale=1.1))
    assert corners[0, 0].isnan().all()
    assert (corners[0, 1, [0, 2]] < -9).all()


def test_what_comes_in_from_outside_is_the_mean_grey():
    moved, _ = move(torch.full((1, 3, HEIGHT, WIDTH), 2.0), torch.zeros(1, 1, 4), Motion(shift=(30, 0)))
    assert (moved[..., :29, :] == 0).all() and (moved[..., 31:, :] == 2).all()


def test_a_change_of_nothing_is_the_plain_normalisation():
    frames = torch.randint(0, 256, (3, 8, 10, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(normalise_coloured(frames, Motion()), normalise(frames).movedim(0, 1))
    assert normalise(frames).shape == (3, 3, 8, 10)


@pytest.mark.parametrize("brightness, contrast, saturation", [(1.2, 1, 1), (1, 0.8, 1), (1, 1, 1.2), (0.9, 1.1, 0.8)])
def test_colours_agree_with_torchvision(brightness: float, contrast: float, saturation: float):
    # mild colours, so that nothing is clipped on the way
    frames = torch.randint(80, 170, (1, 20, 30, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = F.adjust_brightness(frames.movedim(-1, 1).float() / 255, brightness)
    expected = F.adjust_saturation(F.adjust_contrast(expected, contrast), saturation)
    found = normalise_coloured(frames, Motion(brightness=brightness, contrast=contrast, saturation=saturation))
    torch.testing.assert_close(found * 0.225 + 0.45, expected, atol=1e-4, rtol=0)


def test_colours_are_clipped_and_the_same_in_all_frames():
    frames = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 4, 4, 3)
    torch.testing.assert_close(normalise_coloured(frames, Motion(brightness=1.2))[1], normalise(frames)[:, 1])
    repeated = torch.randint(0, 256, (1, 6, 6, 3), dtype=torch.uint8).expand(4, 6, 6, 3)
    coloured = normalise_coloured(repeated, Motion(brightness=0.9, contrast=1.2, saturation=0.7))
    torch.testing.assert_close(coloured[0], coloured[3])


def test_draws_repeat_cover_their_ranges_and_do_not_leave_them():
    ranges = Augmentation()
    draws = [draw_motion(ranges, 60, 100, rng) for rng in [np.random.default_rng(0)] for _ in range(2000)]
    assert draws[:5] == [draw_motion(ranges, 60, 100, rng) for rng in [np.random.default_rng(0)] for _ in range(5)]
    values = np.array([(*d.shift, d.angle, d.scale, d.brightness, d.contrast, d.saturation) for d in draws])
    low = np.array([-6, -10, -1.5, 0.9, 0.8, 0.8, 0.8])
    high = np.array([6, 10, 1.5, 1.1, 1.2, 1.2, 1.2])
    assert (values >= low).all() and (values <= high).all()
    assert (values.min(axis=0) < low + 0.01 * (high - low)).all()
    assert (values.max(axis=0) > high - 0.01 * (high - low)).all()
    assert 0.45 < np.mean([d.flip for d in draws]) < 0.55


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(8, 40), st.integers(8, 40), st.sampled_from([1.5, 10.0]))
def test_the_margin_keeps_the_outside_out_of_a_crop(seed: int, height: int, width: int, rotation: float):
    ranges = Augmentation(rotation=rotation)
    edge = margin(ranges, height, width)
    rng = np.random.default_rng(seed)
    shift = tuple(rng.choice([-0.1, 0.1], 2) * (height, width))
    extremes = Motion(shift=shift, angle=rng.choice([-rotation, rotation]), scale=0.9)
    for motion in (extremes, draw_motion(ranges, height, width, rng)):
        around = torch.ones(1, 3, height + 2 * edge, width + 2 * edge)
        moved, _ = move(around, torch.zeros(1, 1, 4), motion)
        assert (moved[..., edge : edge + height, edge : edge + width] > 0.999).all()


def test_impossible_ranges_are_refused():
    for wrong in ({"scale": 1.0}, {"flip": 1.5}, {"rotation": -1.0}, {"translation": float("nan")}):
        with pytest.raises(FootpassError, match=f"augmentation: {next(iter(wrong))}="):
            replace(Augmentation(), **wrong)
