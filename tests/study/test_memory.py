import pytest
import torch

from footpass_lib.models.taad import TAADSettings
from footpass_lib.models.x3d import X3DSettings
from footpass_lib.study.memory import StepCost, measure_step, random_clips

SMALL = TAADSettings(X3DSettings(width_factor=1, depth_factor=1, stages=2, level=4, pyramid_width=16), hidden=16)


def test_clips_have_the_shape_and_come_from_the_seed():
    step = StepCost(SMALL, batch=2, frames=4, height=32, width=48, players=3)
    video, boxes, mask, labels = random_clips(step)
    assert video.shape == (2, 3, 4, 32, 48) and boxes.shape == (2, 3, 4, 4) and mask.shape == labels.shape == (2, 3, 4)
    assert (boxes[..., 2:] > boxes[..., :2]).all() and (boxes[..., 2] <= 48).all() and (boxes[..., 3] <= 32).all()
    assert torch.equal(random_clips(step)[0], video) and not torch.equal(random_clips(step, seed=1)[0], video)


@pytest.mark.slow
def test_checkpointing_and_freezing_keep_less():
    full = measure_step(StepCost(SMALL, 2, 8, 64, 96))
    less = measure_step(StepCost(SMALL, 2, 8, 64, 96, checkpointing=True))
    frozen = measure_step(StepCost(SMALL, 2, 8, 64, 96, frozen=True))
    assert less["kept_mb"] < 0.5 * full["kept_mb"] and less["trainable"] == full["trainable"]
    assert frozen["kept_mb"] < full["kept_mb"] and frozen["trainable"] < full["trainable"]
    assert all(value["peak_mb"] > 0 and value["seconds"] > 0 for value in (full, less, frozen))
