"""The detector's heads with context: torch's transformer as reference, who sees what, the paper's head untouched."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_taad import SMALL, blobs, clip
from torch import Tensor, nn

from footpass_lib.models.context import ContextHead, ContextSettings, TransformerContext
from footpass_lib.models.taad import TAAD, TAADSettings
from footpass_lib.models.weights import copy_weights, put_weights, seeded_initialisation
from footpass_lib.schema import FootpassError
from footpass_lib.study import paper
from footpass_lib.study.profiles import PROFILES
from footpass_lib.training.losses import taad_loss

pytestmark = pytest.mark.usefixtures("one_thread")

SIZES = ContextSettings(width=32, layers=2, heads=4, feedforward=64, frames=8, dropout=0.0)
KINDS = ("dilated", "transformer")
kinds = pytest.mark.parametrize("kind", KINDS)


def settings_of(kind: str) -> TAADSettings:
    return replace(SMALL, context=kind, context_sizes=SIZES)


def head(kind: str, seed: int = 0, channels: int = 6) -> ContextHead:
    with seeded_initialisation(seed):
        return ContextHead(kind, SIZES, channels, hidden=16).eval()


def features(players: int = 4, frames: int = 8) -> Tensor:
    return torch.randn(2, players, frames, 6, generator=torch.Generator().manual_seed(0))


def test_without_context_it_is_the_convolution_with_the_same_initial_weights():
    model = TAAD(SMALL, seed=3).train()
    with seeded_initialisation(3):
        old = nn.Sequential(
            nn.Conv2d(model.encoder.channels, 32, (1, 3), padding=(0, 1), bias=False),
            nn.BatchNorm2d(32),
            nn.GELU(),
            nn.Conv2d(32, 9, kernel_size=1),
        )
    assert model.head.state_dict().keys() == old.state_dict().keys()
    assert all(torch.equal(value, old.state_dict()[name]) for name, value in model.head.state_dict().items())
    for kind in KINDS:  # and the rest of the network starts alike with and without
        other = copy_weights(TAAD(settings_of(kind), seed=3).encoder)
        assert all(torch.equal(value, other[name]) for name, value in copy_weights(model.encoder).items())
    video, boxes, mask = clip()
    pooled = model.player_features(video, boxes, mask).permute(0, 3, 1, 2)
    assert torch.equal(old(pooled), model(video, boxes, mask))


def test_defaults_are_pave_s_sizes():
    with seeded_initialisation(0):
        full = ContextHead("transformer", ContextSettings(), 192, paper.TAAD.model.hidden)
    assert full.enter.weight.shape == (256, 192) and full.context.positions.shape == (50, 256)
    assert len(full.context.layers) == 4 and full.context.layers[0].attention.split == (8, 32)
    assert full.context.layers[0].feed_forward[0].weight.shape == (1024, 256)
    assert [layer.weight.shape for layer in full.leave if isinstance(layer, nn.Linear)] == [(512, 256), (9, 512)]
    with torch.no_grad():
        assert full(torch.zeros(1, 26, 50, 192)).shape == (1, 9, 26, 50)


@torch.no_grad()
def test_the_transformer_is_torchs():
    with seeded_initialisation(1):
        ours = TransformerContext(SIZES).double().eval()
        layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0, "gelu", batch_first=True, norm_first=True)
        theirs = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).double().eval()
    for a, b in zip(theirs.layers, ours.layers, strict=True):
        a.self_attn.in_proj_weight.copy_(torch.cat([b.attention.query.weight, b.attention.key_value.weight]))
        a.self_attn.in_proj_bias.copy_(torch.cat([b.attention.query.bias, b.attention.key_value.bias]))
        a.self_attn.out_proj.load_state_dict(b.attention.out.state_dict())
        a.linear1.load_state_dict(b.feed_forward[0].state_dict())
        a.linear2.load_state_dict(b.feed_forward[3].state_dict())
        a.norm1.load_state_dict(b.around_attention.norm.state_dict())
        a.norm2.load_state_dict(b.around_feed_forward.norm.state_dict())
    draw = torch.Generator().manual_seed(0)
    x, seen = torch.randn(5, 7, 32, generator=draw).double(), torch.rand(5, 7, generator=draw) < 0.6
    seen[:, 3] = True
    expected = theirs(x + ours.positions[:7], src_key_padding_mask=~seen)
    for found in (ours(x, seen), ours.train()(x, seen)):
        torch.testing.assert_close(found[seen], expected[seen])


@kinds
@torch.no_grad()
def test_frames_outside_the_mask_change_nobody_else(kind):
    model, values = head(kind), features()
    mask = torch.rand(2, 4, 8, generator=torch.Generator().manual_seed(1)) < 0.5
    mask[0, 0] = False
    changed = torch.where(mask[..., None], values, 100 * torch.randn(values.shape))
    before, after = model(values, mask), model(changed, mask.float())
    kept = mask[:, None].expand_as(before)
    torch.testing.assert_close(before[kept], after[kept])
    assert before.isfinite().all() and after.isfinite().all()
    assert (model(values)[kept] - before[kept]).abs().max() > 1e-3  # those frames count where they are seen


@kinds
def test_a_player_who_is_never_seen_gives_no_nan_and_no_gradient_to_others(kind):
    model = TAAD(settings_of(kind)).train()
    video, boxes, mask = clip()
    boxes[~mask] = float("nan")
    assert not mask[0, 1].any()
    loss = taad_loss(model(video, boxes, mask), torch.ones(2, 5, 6, dtype=torch.int64), mask).mean
    loss.backward()
    assert loss.isfinite() and all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert all(p.grad is not None for p in model.head.parameters())


@kinds
@torch.no_grad()
def test_players_and_clips_do_not_see_each_other(kind):
    model = TAAD(settings_of(kind)).train()  # in training, too: there is no batch norm in the head
    values, mask = torch.randn(2, 5, 6, model.encoder.channels), torch.ones(2, 5, 6)
    logits, order = model.classify(values, mask), torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(model.classify(values[:, order], mask), logits[:, :, order])
    torch.testing.assert_close(model.classify(values[1:, 2:3], mask[1:, 2:3]), logits[1:, :, 2:3])


@torch.no_grad()
@pytest.mark.parametrize(("kind", "reach"), [("dilated", 3), ("transformer", 7)])
def test_how_far_a_frame_is_seen(kind, reach):
    model, values = head(kind), features(1)
    moved = values.clone()
    moved[:, :, 0] += 1
    change = (model(moved) - model(values)).abs().amax(dim=(0, 1, 2))  # (T,)
    assert (change > 1e-6).tolist() == [t <= reach for t in range(8)]


@kinds
def test_features_then_classify_is_the_whole_model_and_half_precision_is_close(kind):
    model = TAAD(settings_of(kind)).eval()
    video, boxes, mask = clip()
    with torch.no_grad():
        logits = model(video, boxes, mask)
        assert torch.equal(model.classify(model.player_features(video, boxes, mask), mask), logits)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = model(video, boxes, mask)
    torch.testing.assert_close(half.float(), logits, rtol=0.1, atol=0.05 * logits.abs().max().item())


def test_weights_of_one_head_do_not_go_into_another():
    models = {kind: TAAD(settings_of(kind)) for kind in KINDS} | {"none": TAAD(SMALL)}
    for kind, model in models.items():
        for other in models.keys() - {kind}:
            with pytest.raises(FootpassError, match="does not fit TAAD: missing"):
                put_weights(model, copy_weights(models[other]), "weights")


def test_wrong_settings_are_refused():
    with pytest.raises(FootpassError, match="context='global': expected one of none, dilated, transformer"):
        replace(SMALL, context="global")
    with pytest.raises(FootpassError, match="multiple of twice the 8 heads"):
        ContextSettings(width=40)
    with pytest.raises(FootpassError, match="frames=0"):
        ContextSettings(frames=0)
    with pytest.raises(FootpassError, match="a clip of 9 frames, and its context has positions of 8"):
        head("transformer")(features(frames=9))
    small = PROFILES["embedded"].taad
    for plan in (
        replace(small, inference=replace(small.inference, window=50)),
        replace(paper.TAAD, model=replace(paper.TAAD.model, context_sizes=SIZES)),
    ):
        with pytest.raises(FootpassError, match="TAAD plan: windows of 50 frames, clips of"):
            replace(plan, model=replace(plan.model, context="transformer"))
    assert replace(paper.TAAD, model=replace(paper.TAAD.model, context="transformer")).model.context == "transformer"


@kinds
def test_learns_who_did_what_and_when(kind):
    model = TAAD(settings_of(kind), seed=0).train()
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
    assert (predicted[events] == labels[events]).float().mean() > 0.8
    assert (predicted[~events] == 0).float().mean() > 0.8
