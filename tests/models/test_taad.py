"""The detector: independence of players, masks, groups of parameters, and that it learns."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from footpass_lib.models.taad import TAAD, TAADSettings
from footpass_lib.models.weights import RANDOM_WEIGHTS
from footpass_lib.models.x3d import X3DSettings
from footpass_lib.schema import CLASSES, N_SLOTS, FootpassError
from footpass_lib.training.losses import taad_loss

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = TAADSettings(
    encoder=X3DSettings(width_factor=1, depth_factor=1, stages=3, level=4, pyramid_width=16, pooling="flatten"),
    hidden=32,
)


def clip(players: int = 5, frames: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    video = torch.randn(2, 3, frames, 44, 60, generator=generator)
    corner = 30 * torch.rand(2, players, frames, 2, generator=generator)
    boxes = torch.cat([corner, corner + torch.tensor([7.0, 14.0])], dim=-1)
    mask = torch.ones(2, players, frames, dtype=torch.bool)
    mask[0, 1] = False
    mask[1, 3, :2] = False
    return video, boxes, mask


def test_defaults_are_the_official_detector():
    model = TAAD(TAADSettings()).eval()
    conv, norm, _, linear = model.head
    assert (conv.in_channels, conv.out_channels, conv.kernel_size) == (192, 512, (1, 3))
    assert norm.num_features == 512
    assert (linear.in_channels, linear.out_channels, linear.kernel_size) == (512, len(CLASSES), (1, 1))
    boxes = torch.tensor([300.0, 100.0, 330.0, 170.0]).expand(1, N_SLOTS, 2, 4)
    with torch.no_grad():
        logits = model(torch.zeros(1, 3, 2, 352, 640), boxes, torch.ones(1, N_SLOTS, 2))
    assert logits.shape == (1, 9, 26, 2)
    assert model.weights_source == RANDOM_WEIGHTS


def test_players_permute_and_do_not_see_each_other():
    model = TAAD(SMALL).eval()
    video, boxes, mask = clip()
    with torch.no_grad():
        logits = model(video, boxes, mask)
        order = torch.tensor([3, 0, 4, 2, 1])
        torch.testing.assert_close(model(video, boxes[:, order], mask[:, order]), logits[:, :, order])
        alone = model(video, boxes[:, 2:3], mask[:, 2:3])
    torch.testing.assert_close(alone, logits[:, :, 2:3])
    assert (logits[:, :, 2] - logits[:, :, 4]).abs().max() > 1e-3


def test_clips_of_a_batch_do_not_see_each_other():
    model = TAAD(SMALL).eval()
    video, boxes, mask = clip()
    with torch.no_grad():
        logits = model(video, boxes, mask)
        torch.testing.assert_close(model(video[1:], boxes[1:], mask[1:]), logits[1:])


def test_masked_slots_give_no_gradient_and_constant_logits():
    model = TAAD(SMALL).eval()
    video, boxes, mask = clip()
    video.requires_grad_()
    boxes[~mask] = float("nan")
    logits = model(video, boxes, mask)
    assert logits.isfinite().all()
    (gradient,) = torch.autograd.grad(logits[0, :, 1].square().sum(), video, retain_graph=True)
    assert gradient.abs().sum() == 0
    (gradient,) = torch.autograd.grad(logits[0, :, 0].square().sum(), video)
    assert gradient[0].abs().sum() > 0 and gradient[1].abs().sum() == 0
    torch.testing.assert_close(logits[0, :, 1], logits[0, :, 1, :1].expand(9, 6), rtol=0, atol=1e-6)


def test_head_sees_one_frame_to_either_side():
    model = TAAD(SMALL).eval()
    features = torch.zeros(1, 3, 9, model.encoder.channels)
    moved = features.clone()
    moved[0, 1, 4] = 1.0
    with torch.no_grad():
        change = (model.classify(moved) - model.classify(features)).abs().sum(dim=1)[0]  # (M, T)
    assert (change[1, 3:6] > 0).all()
    change[1, 3:6] = 0
    assert change.sum() == 0


def test_features_then_classify_is_the_whole_model():
    model = TAAD(SMALL).eval()
    video, boxes, mask = clip()
    with torch.no_grad():
        features = model.player_features(video, boxes, mask)
        assert features.shape == (2, 5, 6, 16 * 8)
        assert (features[~mask] == 0).all()
        assert torch.equal(model.classify(features), model(video, boxes, mask))


def test_the_backbone_is_x3d_alone():
    model = TAAD(SMALL)
    assert {id(p) for p in model.backbone_parameters()} == {id(p) for p in model.encoder.x3d.parameters()}


def test_frozen_backbone_learns_nothing_while_the_rest_does():
    model = TAAD(SMALL).freeze().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    model(*clip()).square().mean().backward()
    optimizer.step()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) == name.startswith("encoder.x3d."), name


def test_checkpointing_changes_no_bit_of_a_step():
    results = []
    for checkpointing in (False, True):
        model = TAAD(replace(SMALL, encoder=replace(SMALL.encoder, checkpointing=checkpointing)), seed=5).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        video, boxes, mask = clip()
        loss = taad_loss(model(video, boxes, mask), torch.ones(2, 5, 6, dtype=torch.int64), mask).mean
        loss.backward()
        gradients = [p.grad.clone() for p in model.parameters()]
        optimizer.step()
        results.append([loss.detach(), *gradients, *model.state_dict().values()])
    assert len(results[0]) > 100
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_same_seed_same_bits():
    video, boxes, mask = clip()
    logits = [TAAD(SMALL, seed=seed)(video, boxes, mask) for seed in (1, 1, 2)]
    assert torch.equal(logits[0], logits[1]) and not torch.equal(logits[0], logits[2])


def test_runs_in_half_precision():
    model = TAAD(SMALL).eval()
    video, boxes, mask = clip()
    with torch.no_grad():
        single = model(video, boxes, mask)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = model(video, boxes, mask)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), single, rtol=0.1, atol=0.05 * single.abs().max().item())


@pytest.mark.parametrize("kernel", [0, 2, -1])
def test_even_kernels_are_refused(kernel):
    with pytest.raises(FootpassError, match="odd"):
        TAADSettings(kernel=kernel)


def test_boxes_of_another_length_are_refused():
    video, boxes, mask = clip()
    with pytest.raises(FootpassError, match="expected the same B, M and T"):
        TAAD(SMALL)(video, boxes[:, :, 1:], mask[:, :, 1:])


# Two players a clip; a bright blob appears inside the box of one of them, and where it sits tells the class.
def blobs(clips: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    video = 0.3 * torch.randn(clips, 3, 6, 32, 48, generator=generator)
    boxes = torch.tensor([[4.0, 8, 16, 24], [28, 8, 40, 24]])[None, :, None].expand(clips, 2, 6, 4)
    labels = torch.zeros(clips, 2, 6, dtype=torch.int64)
    for i in range(clips):
        player, label, frame = (int(torch.randint(n, (), generator=generator)) for n in (2, 2, 4))
        top, left = 8 + 9 * label, 4 + 24 * player + 3
        video[i, :, frame : frame + 3, top : top + 6, left : left + 6] += 3
        labels[i, player, frame : frame + 3] = 1 + label
    return video, boxes, torch.ones(clips, 2, 6), labels


def test_learns_who_did_what_and_when():
    model = TAAD(SMALL, seed=0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(35):
        video, boxes, mask, labels = blobs(6, seed=step)
        optimizer.zero_grad()
        taad_loss(model(video, boxes, mask), labels, mask).mean.backward()
        optimizer.step()
    video, boxes, mask, labels = blobs(24, seed=1000)
    with torch.no_grad():
        predicted = model.eval()(video, boxes, mask).argmax(dim=1)
    events = labels > 0
    assert (predicted[events] == labels[events]).float().mean() > 0.9
    assert (predicted[~events] == 0).float().mean() > 0.8
