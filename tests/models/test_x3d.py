"""The path from video to player features: shapes, checkpointing, freezing, weights, pooling."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorchvideo.models.x3d import create_x3d
from safetensors.torch import save_file
from torch import nn

from footpass_lib.files import sha256_file
from footpass_lib.models.checkpointing import run_block
from footpass_lib.models.fast import DepthwiseConv3d, SpatialConv3d
from footpass_lib.models.weights import RANDOM_WEIGHTS, read_weights, seeded_initialisation
from footpass_lib.models.x3d import X3D, PlayerEncoder, Pyramid, X3DSettings, pool_players
from footpass_lib.schema import FootpassError
from footpass_lib.study.memory import saved_tensor_bytes

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = X3DSettings(width_factor=1, depth_factor=1, level=4, pyramid_width=16, pooling="flatten")


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def seeded_x3d(settings: X3DSettings, seed: int = 0) -> X3D:
    with seeded_initialisation(seed):
        return X3D(settings)


# A moving scene: three players in two clips, the last one without a box in the second half.
def clip(frames: int = 4, height: int = 48, width: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    video = random(2, 3, frames, height, width)
    corner = torch.rand(2, 3, frames, 2, generator=torch.Generator().manual_seed(1)) * 30
    boxes = torch.cat([corner, corner + torch.tensor([9.0, 15.0])], dim=-1)
    mask = torch.ones(2, 3, frames, dtype=torch.bool)
    mask[1, 2, frames // 2 :] = False
    return video, boxes, mask


def test_full_size_has_the_shapes_of_the_baseline():
    encoder = PlayerEncoder(X3DSettings()).eval()
    with torch.no_grad():
        maps = encoder.x3d(random(1, 3, 2, 352, 640))
        fused = encoder.pyramid(maps)
    assert [tuple(m.shape) for m in maps] == [
        (1, 24, 2, 88, 160),
        (1, 48, 2, 44, 80),
        (1, 96, 2, 22, 40),
        (1, 192, 2, 11, 20),
    ]
    assert fused.shape == (1, 192, 2, 44, 80)
    assert [(f.conv.in_channels, f.conv.out_channels, f.conv.kernel_size) for f in encoder.pyramid.fusions] == [
        (288, 192, (1, 3, 3)),
        (240, 192, (1, 3, 3)),
    ]
    assert encoder.channels == 192


@pytest.mark.parametrize(("stages", "level"), [(1, 4), (2, 4), (3, 4), (4, 4), (3, 8), (4, 32)])
def test_odd_sizes_and_every_kind_of_pyramid(stages, level):
    settings = replace(SMALL, stages=stages, level=level)
    encoder = PlayerEncoder(settings).eval()
    maps = encoder.x3d(random(1, 3, 2, 50, 71))
    sizes = [(13, 18), (7, 9), (4, 5), (2, 3)]  # 50 x 71 halved again and again, rounded up
    assert [tuple(m.shape[3:]) for m in maps] == sizes[:stages]
    fused = encoder.pyramid(maps)
    assert tuple(fused.shape[2:]) == (2, *sizes[[4, 8, 16, 32].index(level)])
    assert fused.shape[1] * 8 == encoder.channels


def test_upsampling_to_an_odd_size_is_x2_with_the_rest_cut_off():
    pyramid = Pyramid((1, 1), replace(SMALL, stages=2, pyramid_width=1)).eval()
    seen = {}
    pyramid.fusions[0].conv.register_forward_pre_hook(lambda _, inputs: seen.update(joined=inputs[0]))
    coarse = torch.arange(12.0).view(1, 1, 1, 3, 4)
    pyramid([torch.zeros(1, 1, 1, 5, 7), coarse])
    doubled = np.kron(coarse[0, 0, 0].numpy(), np.ones((2, 2)))
    np.testing.assert_array_equal(seen["joined"][0, 0, 0].numpy(), doubled[:5, :7])


@pytest.mark.parametrize("training", [False, True])
def test_backbone_computes_what_pytorchvideo_computes(training):
    model = seeded_x3d(SMALL).train(training)
    reference = create_x3d(width_factor=1, depth_factor=1)
    reference.load_state_dict(model.state_dict(), strict=False)
    reference.train(training)
    hidden = video = random(2, 3, 5, 40, 56)
    expected = []
    for block in reference.blocks[:-1]:
        hidden = block(hidden)
        expected.append(hidden)
    maps = model(video)
    assert len(maps) == 4
    for got, want in zip(maps, expected[1:], strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize(
    ("kernel", "stride"),
    [((3, 3, 3), (1, 1, 1)), ((3, 3, 3), (1, 2, 2)), ((5, 1, 1), (1, 1, 1)), ((5, 3, 3), (1, 2, 2))],
)
def test_depthwise_convolution_matches_torch_with_its_gradients(kernel, stride, frames):
    plain = nn.Conv3d(4, 4, kernel, stride, tuple(k // 2 for k in kernel), groups=4, bias=False).double()
    fast = DepthwiseConv3d.like(plain)
    video = random(2, 4, frames, 7, 10, dtype=torch.float64).requires_grad_()
    want = plain(video)
    upstream = random(*want.shape, seed=1, dtype=torch.float64)
    want_grads = torch.autograd.grad(want, (video, plain.weight), upstream)
    got = fast(video)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(torch.autograd.grad(got, (video, fast.weight), upstream), want_grads)
    with torch.no_grad():
        torch.testing.assert_close(fast(video), want)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("size", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2)])
def test_spatial_convolution_matches_torch_with_its_gradients(size, stride, bias):
    padding = (0, size // 2, size // 2)
    plain = nn.Conv3d(4, 6, (1, size, size), (1, stride, stride), padding, bias=bias).double()
    fast = SpatialConv3d.like(plain)
    assert fast.state_dict().keys() == plain.state_dict().keys()
    video = random(2, 4, 3, 7, 10, dtype=torch.float64).requires_grad_()
    want = plain(video)
    upstream = random(*want.shape, seed=1, dtype=torch.float64)
    leaves = (video, *plain.parameters())
    got = fast(video)
    torch.testing.assert_close(got, want)
    expected = torch.autograd.grad(want, leaves, upstream)
    torch.testing.assert_close(torch.autograd.grad(got, (video, *fast.parameters()), upstream), expected)
    with torch.no_grad():
        torch.testing.assert_close(fast(video), want)
        torch.testing.assert_close(fast(video.contiguous(memory_format=torch.channels_last_3d)), want)


@pytest.mark.parametrize(
    "wrong", [{"stages": 0}, {"stages": 5}, {"stages": 2, "level": 16}, {"level": 2}, {"pooling": "max"}]
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(FootpassError, match=next(iter(wrong)) if len(wrong) == 1 else "level"):
        X3DSettings(**wrong)


def train_two_steps(settings: X3DSettings) -> tuple[list, list, dict]:
    """Losses, gradients of each step and the final state of two AdamW steps of two micro-batches each."""
    encoder = PlayerEncoder(settings, seed=3).train()
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-2, weight_decay=1e-2)
    video, boxes, mask = clip()
    losses, gradients = [], []
    for step in range(2):
        optimizer.zero_grad()
        # both forward passes come before the backward pass, so recomputation meets statistics that have moved on
        loss = sum(encoder(video * (1 + step + part), boxes, mask).square().mean() for part in range(2))
        loss.backward()
        losses.append(loss.item())
        gradients.append([p.grad.clone() for p in encoder.parameters()])
        optimizer.step()
    return losses, gradients, {name: value.clone() for name, value in encoder.state_dict().items()}


def test_checkpointing_changes_no_bit_of_training():
    losses, gradients, state = train_two_steps(SMALL)
    losses_again, gradients_again, state_again = train_two_steps(replace(SMALL, checkpointing=True))
    assert losses == losses_again and losses[0] != losses[1]
    for plain, recomputed in zip(gradients, gradients_again, strict=True):
        for a, b in zip(plain, recomputed, strict=True):
            assert torch.equal(a, b) and a.isfinite().all()
    assert list(state) == list(state_again)
    for name, value in state.items():
        assert torch.equal(value, state_again[name]), name
    counters = [value.item() for name, value in state_again.items() if name.endswith("num_batches_tracked")]
    assert len(counters) > 30 and set(counters) == {4}  # 2 steps x 2 forward passes


def test_statistics_are_the_same_objects_after_a_failing_recomputation():
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm3d(2)
            self.calls = 0

        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            if self.calls == 2:
                raise RuntimeError("second pass")
            return self.norm(hidden)

    block = Fails()
    buffers = list(block.buffers())
    result = run_block(block, random(2, 2, 1, 2, 2).requires_grad_(), checkpointing=True)
    with pytest.raises(RuntimeError, match="second pass"):
        result.sum().backward()
    assert all(a is b for a, b in zip(buffers, block.buffers(), strict=True))
    assert block.norm.num_batches_tracked.item() == 1


def test_checkpointing_keeps_far_fewer_bytes():
    video, boxes, mask = clip()
    plain = PlayerEncoder(SMALL).train()
    recomputing = PlayerEncoder(replace(SMALL, checkpointing=True)).train()
    kept = saved_tensor_bytes(lambda: plain(video, boxes, mask))
    kept_less = saved_tensor_bytes(lambda: recomputing(video, boxes, mask))
    assert 0 < kept_less < 0.25 * kept


def test_saved_bytes_of_a_hand_made_graph():
    weight = torch.ones(10, requires_grad=True)
    data = torch.ones(1000)
    # exp keeps its result, the product keeps data twice over (as itself and as a view) and the weights
    assert saved_tensor_bytes(lambda: (data[:10] * weight).exp()) == 4 * (1000 + 10)
    assert saved_tensor_bytes(lambda: data[:10] * weight + data[10:20] * weight) == 4 * 1000
    assert saved_tensor_bytes(lambda: weight + 1) == 0
    with torch.no_grad():
        assert saved_tensor_bytes(lambda: (data[:10] * weight).exp()) == 0


def test_a_frozen_backbone_stands_still_and_thaws():
    encoder = PlayerEncoder(replace(SMALL, checkpointing=True)).train()
    encoder.x3d.freeze()
    encoder.train()  # as a training loop does at every epoch
    assert not any(module.training for module in encoder.x3d.modules()) and encoder.pyramid.training
    before = {name: value.clone() for name, value in encoder.x3d.state_dict().items()}
    encoder(*clip()).square().mean().backward()
    assert all(p.grad is None for p in encoder.x3d.parameters())
    assert all(p.grad.abs().sum() > 0 for p in encoder.pyramid.parameters())
    assert all(torch.equal(value, before[name]) for name, value in encoder.x3d.state_dict().items())

    encoder.x3d.freeze(False)
    assert all(module.training for module in encoder.x3d.modules())
    encoder(*clip()).square().mean().backward()
    assert all(p.grad is not None for p in encoder.x3d.parameters())
    assert not torch.equal(encoder.x3d.blocks[0].norm.running_mean, before["blocks.0.norm.running_mean"])


def test_thawing_in_eval_mode_stays_in_eval_mode():
    model = seeded_x3d(SMALL).eval()
    model.freeze()
    model.freeze(False)
    assert not any(module.training for module in model.modules())


def test_seed_decides_the_weights_and_leaves_torch_alone():
    torch.manual_seed(7)
    first = torch.rand(3)
    torch.manual_seed(7)
    a, b, other = (PlayerEncoder(SMALL, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), first)
    assert all(torch.equal(value, b[name]) for name, value in a.items())
    name = "x3d.blocks.1.res_blocks.0.branch2.conv_a.weight"
    assert not torch.equal(a[name], other[name])


@pytest.mark.parametrize("suffix", [".pyth", ".safetensors"])
def test_weights_of_the_whole_classifier_load_into_the_kept_stages(tmp_path, suffix):
    with seeded_initialisation(9):
        state = create_x3d(width_factor=1, depth_factor=1).state_dict()
    path = tmp_path / f"X3D{suffix}"
    if suffix == ".pyth":
        torch.save({"model_state": state}, path)
    else:
        save_file(state, path)
    model = X3D(replace(SMALL, stages=3), weights=path)
    assert model.weights_source == f"X3D{suffix} sha256:{sha256_file(path)}"
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name])
    assert X3D(SMALL).weights_source == RANDOM_WEIGHTS


@pytest.mark.parametrize(("width_factor", "depth_factor"), [(2, 1), (1, 2.2)])
def test_weights_of_another_size_are_refused(tmp_path, width_factor, depth_factor):
    path = tmp_path / "other.pt"
    torch.save(create_x3d(width_factor=width_factor, depth_factor=depth_factor).state_dict(), path)
    with pytest.raises(
        FootpassError, match=r"other\.pt: \d+ tensors do not fit an X3D of width factor 1 and depth factor 1"
    ):
        X3D(SMALL, weights=path)


def test_pickled_code_is_not_run(tmp_path):
    class Payload:
        def __reduce__(self):
            return Path.touch, (tmp_path / "was_run",)

    path = tmp_path / "code.pyth"
    path.write_bytes(pickle.dumps({"model_state": Payload()}, protocol=2))
    with pytest.raises(FootpassError, match=r"code\.pyth: cannot be read as weights"):
        read_weights(path)
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.pyth", None, "no such file"),
        ("junk.pyth", b"not a checkpoint", "cannot be read as weights"),
        ("junk.safetensors", b"\x00" * 40, "cannot be read as weights"),
        ("list.pyth", [1, 2], "expected a table of tensors"),
        ("table.pyth", {"model_state": {"blocks": "text"}}, "expected a table of tensors"),
    ],
)
def test_unreadable_weights_are_refused(tmp_path, name, content, message):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(FootpassError, match=message) as error:
        read_weights(path)
    assert name in str(error.value)


def linear_map(batch: int, frames: int, height: int, width: int, stride: int) -> torch.Tensor:
    """Channels: x, y (in pixels of the video, of each cell's centre) and a number that names clip and frame."""
    x = (torch.arange(width) + 0.5) * stride
    y = (torch.arange(height) + 0.5) * stride
    place = torch.arange(batch * frames, dtype=torch.float32).view(batch, frames, 1, 1)
    shape = (batch, frames, height, width)
    return torch.stack([x.expand(shape), y[:, None].expand(shape), place.expand(shape)], dim=1)


@pytest.mark.parametrize("level", [4, 8])
def test_pooling_reads_the_right_place_clip_and_frame(level):
    settings = replace(SMALL, level=level, pooling="flatten")
    feature_map = linear_map(2, 3, 20, 24, level)
    generator = torch.Generator().manual_seed(4)
    corner = level * (2 + 8 * torch.rand(2, 5, 3, 2, generator=generator))
    size = level * (1 + 6 * torch.rand(2, 5, 3, 2, generator=generator))
    boxes = torch.cat([corner, corner + size], dim=-1)
    cells = pool_players(feature_map, boxes, torch.ones(2, 5, 3), settings).view(2, 5, 3, 3, 4, 2)
    # bilinear sampling of a linear function is exact: every cell holds its own centre
    rows = corner[..., 1:] + size[..., 1:] * (torch.arange(4) + 0.5) / 4
    columns = corner[..., :1] + size[..., :1] * (torch.arange(2) + 0.5) / 2
    torch.testing.assert_close(cells[..., 0, :, :], columns[..., None, :].expand(2, 5, 3, 4, 2))
    torch.testing.assert_close(cells[..., 1, :, :], rows[..., :, None].expand(2, 5, 3, 4, 2))
    place = torch.arange(6.0).view(2, 1, 3, 1, 1).expand(2, 5, 3, 4, 2)
    torch.testing.assert_close(cells[..., 2, :, :], place)

    mean = pool_players(feature_map, boxes, torch.ones(2, 5, 3), replace(settings, pooling="mean"))
    torch.testing.assert_close(mean, cells.mean(dim=(4, 5)))


def test_masked_boxes_are_not_looked_at():
    feature_map = random(2, 6, 3, 8, 10).requires_grad_()
    _, boxes, mask = clip(frames=3)
    boxes[~mask] = float("nan")
    features = pool_players(feature_map, boxes, mask, SMALL)
    assert features.shape == (2, 3, 3, 48) and features.isfinite().all()
    assert (features[~mask] == 0).all() and (features[mask].abs().sum(dim=1) > 0).all()
    (gradient,) = torch.autograd.grad(features[1, 2].sum(), feature_map)
    assert gradient[1, :, 0].abs().sum() > 0  # its only frame with a box
    assert gradient[1, :, 1:].abs().sum() == 0 and gradient[0].abs().sum() == 0


def test_pooling_without_any_visible_player():
    feature_map = random(1, 6, 2, 8, 10).requires_grad_()
    features = pool_players(feature_map, torch.full((1, 26, 2, 4), float("nan")), torch.zeros(1, 26, 2), SMALL)
    assert features.shape == (1, 26, 2, 48)
    features.sum().backward()
    assert feature_map.grad.abs().sum() == 0


def test_boxes_keep_their_precision_in_half_precision():
    feature_map = linear_map(1, 1, 44, 80, 8)
    settings = replace(SMALL, level=8, pooling="mean")
    box = torch.tensor([[[[501.0, 203.0, 513.0, 231.0]]]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = pool_players(feature_map, box, torch.ones(1, 1, 1), settings)
    torch.testing.assert_close(features[0, 0, 0, :2], torch.tensor([507.0, 217.0]))


@pytest.mark.parametrize(
    ("video", "boxes", "mask"),
    [
        ((1, 3, 4, 32), (1, 2, 4, 4), (1, 2, 4)),
        ((1, 1, 4, 32, 32), (1, 2, 4, 4), (1, 2, 4)),
        ((1, 3, 4, 32, 32), (1, 2, 4, 5), (1, 2, 4)),
        ((1, 3, 4, 32, 32), (1, 2, 3, 4), (1, 2, 3)),
        ((1, 3, 4, 32, 32), (1, 2, 4, 4), (1, 3, 4)),
    ],
)
def test_clips_that_do_not_fit_together_are_refused(video, boxes, mask):
    encoder = PlayerEncoder(SMALL)
    with pytest.raises(FootpassError, match=r"expected .*B.* M.* T"):
        encoder(torch.zeros(video), torch.zeros(boxes), torch.zeros(mask))
