"""The sequence model: torch's transformer as reference, padding, cached decoding, the loss, and that it learns."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from footpass_lib.models.dst import DST, DSTSettings, Logits, choose_token
from footpass_lib.models.dst_settings import PlayerSizes
from footpass_lib.models.pointer_dst import (
    PlayerEmbedding,
    PointerDST,
    PointerDSTSettings,
    PointerMemory,
    SmallDST,
    build_dst,
    with_frame_softmax,
)
from footpass_lib.models.transformer import Attention, frame_encoding
from footpass_lib.samples.tokens import EOS, NEUTRAL, SOS, DSTHalf
from footpass_lib.samples.windows import (
    DSTWindows,
    WindowBatch,
    WindowSettings,
    collate_windows,
    cut_window,
    shuffle_slots,
)
from footpass_lib.schema import FootpassError
from footpass_lib.spotting.decoding import Decoded, first_tokens, greedy_decode
from footpass_lib.training import dst_loss
from footpass_lib.training.dst_loss import DSTLoss, LossSettings, dense_loss
from footpass_lib.training.fit import fit
from footpass_lib.training.schedule import TrainSettings

pytestmark = pytest.mark.usefixtures("one_thread")

WINDOW = WindowSettings(window=40, max_tokens=12)
SMALL = DSTSettings(windows=WINDOW, width=32, feedforward=64, encoder_layers=2, decoder_layers=2, heads=4)
POINTER = PointerDSTSettings(**vars(SMALL) | {"windows": replace(WINDOW, frames_per_token=2, pooled=True)})
PLAYERS = PlayerSizes(width=16, heads=2)
VARIANTS = {
    "paper": SMALL,
    "two sources": replace(SMALL, sources=2),
    "pointer": POINTER,
    "pointer, four frames a token": replace(POINTER, windows=replace(POINTER.windows, frames_per_token=4)),
    "pointer, two sources": replace(POINTER, sources=2),
    "frame softmax": replace(POINTER, pointer=False),
    "frame softmax, two sources": replace(POINTER, pointer=False, sources=2),
    "spatial first": replace(SMALL, player_attention="spatial-first", player_sizes=PLAYERS),
    "pointer, temporal first": replace(
        POINTER, player_attention="temporal-first", player_sizes=replace(PLAYERS, layers=2), sources=2
    ),
}
variants = pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)


def make_half(n_frames: int = 200, sources: int = 1, seed: int = 0, gap: int = 6) -> DSTHalf:
    """Noise, in which an event adds to the logit of its class, slot and frame."""
    rng = np.random.default_rng(seed)
    index = np.sort(rng.choice(np.arange(0, n_frames, 2), n_frames // gap, replace=False))
    events = np.stack([index, rng.integers(0, 26, len(index)), rng.integers(1, 9, len(index))], axis=1)
    features = rng.normal(0, 1, (n_frames, 130 + 234 * sources)).astype(np.float32)
    for i, slot, class_id in events:
        features[i, 130 + 9 * slot + class_id] += 8
    return DSTHalf("game_1_H1", 0, torch.from_numpy(features), events, labelled=True)


def make_batch(settings: DSTSettings, starts: tuple[int, ...] = (0, 31, 64, 150, 183), seed: int = 0) -> WindowBatch:
    half = make_half(sources=settings.sources, seed=seed)
    return collate_windows([cut_window(half, start, settings.windows) for start in starts])


def lively(settings: DSTSettings, seed: int = 0) -> DST:
    """A random model in double precision whose tokens differ from window to window and from step to step."""
    model = build_dst(settings, seed).double().eval()
    with torch.no_grad():
        if isinstance(model, SmallDST):
            model.feature_embedding.gain *= 6
        for part in (model.action_table, model.role_table, model.event_frame_table, model.action_role_head):
            part.weight *= 4
    return model


@pytest.mark.parametrize("name", ["paper", "pointer"])
def test_attention_is_the_same_in_training_but_for_dropout(name):
    settings = replace(VARIANTS[name], dropout=0.0)
    model, batch = lively(settings), make_batch(settings)
    assert batch.n_frames.min() < 40 and not batch.mask.all()  # with padding of both kinds
    inputs = (batch.features.double(), batch.n_frames, batch.inputs)
    for trained, evaluated in zip(model.train()(*inputs)[:3], model.eval()(*inputs)[:3], strict=True):
        torch.testing.assert_close(trained[batch.mask], evaluated[batch.mask])


def test_dropout_is_also_on_attention_weights():
    settings = DSTSettings(width=32, heads=4, dropout=0.5)
    attention, x = Attention(settings).train(), torch.randn(2, 9, 32)
    with torch.no_grad():
        for part in (attention.query, attention.key_value):
            part.weight.zero_(), part.bias.zero_()
        attention.key_value.bias[32:] = 1  # all values are 1: with even weights their mean is too, unless some drop out
        attention.out.weight.copy_(torch.eye(32)), attention.out.bias.zero_()
        mixed = attention(x, attention.project(x))
        torch.testing.assert_close(attention.eval()(x, attention.project(x)), torch.ones_like(mixed))
    dropped = 9 * (1 - mixed / 2)  # of the nine weights of a head; kept ones count double
    torch.testing.assert_close(dropped, dropped.round())
    assert len(dropped.unique()) > 3


def test_defaults_are_the_official_model():
    model = DST(DSTSettings())
    assert (len(model.encoder), len(model.decoder)) == (6, 6)
    assert model.encoder[0].attention.split == (8, 64) and model.encoder[0].attention.dropout == 0.1
    assert model.feature_embedding.weight.shape == (512, 364)
    assert [table.weight.shape[0] for table in (model.action_table, model.role_table)] == [10, 27]
    assert model.action_role_head.weight.shape == (37, 512) and model.frame_head.weight.shape == (752, 512)
    assert DST(DSTSettings(sources=2, encoder_layers=1, decoder_layers=1)).feature_embedding.in_features == 598


def test_frame_encoding_by_hand():
    encoding = frame_encoding(752, 512, 1000.0)
    assert encoding.shape == (752, 512)
    for frame, place in ((0, 0), (1, 0), (1, 1), (17, 100), (751, 301), (750, 511)):
        angle = frame / 1000 ** ((place - place % 2) / 512)
        expected = math.cos(angle) if place % 2 else math.sin(angle)
        assert encoding[frame, place].item() == pytest.approx(expected, abs=1e-4)


def copy_attention(reference: nn.MultiheadAttention, ours: nn.Module) -> None:
    reference.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
    reference.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
    reference.out_proj.load_state_dict(ours.out.state_dict())


@torch.no_grad()
def torch_transformer(model: DST) -> nn.Transformer:
    """torch's own transformer with the weights of a model."""
    s = model.settings
    reference = nn.Transformer(
        s.width, s.heads, s.encoder_layers, s.decoder_layers, s.feedforward, s.dropout,
        batch_first=True, norm_first=isinstance(model, SmallDST),
    ).double().eval()  # fmt: skip
    pairs = [*zip(reference.encoder.layers, model.encoder, strict=True)]
    pairs += [*zip(reference.decoder.layers, model.decoder, strict=True)]
    for theirs, ours in pairs:
        copy_attention(theirs.self_attn, ours.attention)
        norms = [ours.around_attention.norm]
        if hasattr(ours, "cross"):
            copy_attention(theirs.multihead_attn, ours.cross)
            norms.append(ours.around_cross.norm)
        norms.append(ours.around_feed_forward.norm)
        for k, norm in enumerate(norms, start=1):
            getattr(theirs, f"norm{k}").load_state_dict(norm.state_dict())
        theirs.linear1.load_state_dict(ours.feed_forward[0].state_dict())
        theirs.linear2.load_state_dict(ours.feed_forward[3].state_dict())
    reference.encoder.use_nested_tensor = False
    reference.encoder.norm.load_state_dict(model.encoder_norm.state_dict())
    reference.decoder.norm.load_state_dict(model.decoder_norm.state_dict())
    return reference


def one_hot_embeddings(model: DST, batch: WindowBatch) -> tuple[Tensor, Tensor]:
    """Both embeddings as one linear layer each, on the concatenated one-hots of section 6."""
    hot = partial(nn.functional.one_hot, num_classes=42)
    frames = torch.arange(1, 41, model.settings.windows.frames_per_token)
    if isinstance(model, SmallDST):
        source = model.feature_embedding(batch.features.double()) + model.token_frame_table(frames)
    else:
        x = torch.cat([batch.features.double(), hot(frames).expand(len(batch.features), 40, 42)], dim=-1)
        weight = torch.cat([model.feature_embedding.weight, model.token_frame_table.weight.T], dim=1)
        source = nn.functional.linear(x, weight, model.feature_embedding.bias)
    source = source + model.encoding[frames]
    action, role, frame = batch.inputs.unbind(-1)
    y = [nn.functional.one_hot(action, 10), nn.functional.one_hot(role, 27), hot(frame)]
    tables = [model.action_table.weight, model.role_table.weight, model.event_frame_table.weight]
    target = torch.cat(y, dim=-1).double() @ torch.cat(tables) + model.encoding[frame]
    return source, target


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("name", ["paper", "frame softmax"])
def test_forward_is_torchs_transformer_on_one_hots(name):
    model = lively(VARIANTS[name])
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms start at 0 and 1, which would hide a mix-up
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)), alpha=0.05)
        batch = make_batch(model.settings)
        source, target = one_hot_embeddings(model, batch)
        outside = torch.arange(1, 41, model.settings.windows.frames_per_token) > batch.n_frames[:, None]
        assert outside.any()
        causal = nn.Transformer.generate_square_subsequent_mask(target.shape[1], dtype=torch.float64)
        expected = torch_transformer(model)(
            source, target, tgt_mask=causal, src_key_padding_mask=outside, memory_key_padding_mask=outside
        )
        logits = model(batch.features.double(), batch.n_frames, batch.inputs)
        torch.testing.assert_close(torch.cat([logits.action, logits.role], -1), model.action_role_head(expected))
        torch.testing.assert_close(logits.frame, model.frame_head(expected))


@torch.no_grad()
def test_pointer_against_a_slow_reference():
    model = lively(VARIANTS["pointer, four frames a token"])
    batch = make_batch(model.settings, (0, 182))
    memory = model.encode(batch.features.double(), batch.n_frames)
    x = torch.randn(2, 3, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits = model.point(x, memory)
    assert logits.shape == (2, 3, 42)
    for b, n_frames in enumerate((40, 18)):
        for frame in range(42):
            token, offset = divmod(frame - 1, 4)
            key = (
                model.frame_key(memory.states[b])[token, 32 * offset :][:32] if frame <= n_frames else model.end_key[0]
            )
            expected = model.frame_query(x[b]) @ key / 32**0.5
            if 1 <= frame <= n_frames + 1:
                torch.testing.assert_close(logits[b, :, frame], expected)
            else:
                assert (logits[b, :, frame] < -1e100).all()


@variants
@torch.no_grad()
def test_padding_changes_nothing(settings):
    model = lively(settings)
    half = make_half(sources=settings.sources)
    short, long = (cut_window(half, start, settings.windows) for start in (183, 31))  # 17 frames, and 40
    alone, together = collate_windows([short]), collate_windows([long, short])
    n_events, n_tokens = alone.inputs.shape[1], -(-17 // settings.windows.frames_per_token)
    assert n_events < together.inputs.shape[1]
    noisy = together.features.double()
    noisy[1, n_tokens:] = 100 * torch.randn(noisy[1, n_tokens:].shape, dtype=torch.float64)
    cut = model(alone.features[:, :n_tokens].double(), alone.n_frames, alone.inputs)
    padded = model(noisy, together.n_frames, together.inputs)
    for a, b in zip(cut[:3], padded[:3], strict=True):
        torch.testing.assert_close(a[0], b[1, :n_events])
    both, first = (greedy_decode(model, noisy[:n], together.n_frames[:n]) for n in (2, 1))
    n = int(first.n_events)
    assert both.n_events[0] == n and both.ended[0] == first.ended[0]
    assert torch.equal(both.tokens[0, :n], first.tokens[0, :n])


@torch.no_grad()
def test_a_token_does_not_see_later_ones():
    model, batch = lively(SMALL), make_batch(SMALL)
    changed = batch.inputs.clone()
    changed[:, 3:] = torch.tensor([5, 11, 33])
    before = model(batch.features.double(), batch.n_frames, batch.inputs)
    after = model(batch.features.double(), batch.n_frames, changed)
    for a, b in zip(before[:3], after[:3], strict=True):
        torch.testing.assert_close(a[:, :3], b[:, :3], rtol=0, atol=1e-12)
        assert (a[:, 3:] - b[:, 3:]).abs().max() > 1e-3


def frame_first_slowly(
    model: DST, features: Tensor, n_frames: int, tokens: list, frame_p: list[float]
) -> tuple[list, list] | None:
    """The next token and its probabilities, of a model that reads where it points; None for the end."""
    before = tokens[-1][2]
    events = {f: frame_p[f] for f in range(before + 2, n_frames + 1)}
    if sum(events.values()) < 0.5:
        return None
    frame = max(events, key=events.get)
    frames = torch.tensor([[0] * (len(tokens) - 1) + [frame]])
    logits = model(features[None], torch.tensor([n_frames]), torch.tensor([tokens]), frames)
    action_p, role_p = (values[0, -1, :n].softmax(-1).tolist() for values, n in zip(logits[:2], (8, 26), strict=True))
    action, role = action_p.index(max(action_p)), role_p.index(max(role_p))
    return [action, role, frame], [action_p[action], role_p[role], events[frame] / sum(events.values())]


def decode_slowly(model: DST, features: Tensor, n_frames: int, max_tokens: int) -> tuple[list, list, bool]:
    """One window, every step from the start, every choice by a loop."""
    tokens, probabilities = [[SOS, NEUTRAL, 0]], []
    while len(tokens) <= max_tokens:
        logits = model(features[None], torch.tensor([n_frames]), torch.tensor([tokens]))
        if isinstance(model, PointerDST):
            step = frame_first_slowly(model, features, n_frames, tokens, logits.frame[0, -1].softmax(-1).tolist())
            if step is None:
                return tokens[1:], probabilities, True
            tokens.append(step[0])
            probabilities.append(step[1])
            continue
        action_p, role_p, frame_p = (values[0, -1].softmax(-1).tolist() for values in logits[:3])
        action = max((a for a in range(10) if a != SOS), key=action_p.__getitem__)
        if action == EOS:
            return tokens[1:], probabilities, True
        role = max(range(26), key=role_p.__getitem__)
        frame = max(range(1, n_frames + 1), key=frame_p.__getitem__)
        tokens.append([action, role, frame])
        probabilities.append([action_p[action], role_p[role], frame_p[frame]])
    return tokens[1:], probabilities, False


@variants
@torch.no_grad()
def test_cached_decoding_is_the_slow_one(settings):
    seen, lengths = set(), set()
    for seed in range(6 if isinstance(settings, PointerDSTSettings) else 3):
        model, batch = lively(settings, seed), make_batch(settings, seed=seed)
        features = batch.features.double()
        decoded = greedy_decode(model, features, batch.n_frames)
        for i, n_frames in enumerate(batch.n_frames.tolist()):
            tokens, probabilities, ended = decode_slowly(model, features[i], n_frames, 12)
            n = int(decoded.n_events[i])
            assert decoded.tokens[i, :n].tolist() == tokens
            assert decoded.ended[i].item() == ended
            np.testing.assert_allclose(decoded.probabilities[i, :n], np.reshape(probabilities, (-1, 3)), rtol=1e-5)
            assert (decoded.tokens[i, n:, 0] == EOS).all() and not decoded.probabilities[i, n + 1 :].any()
            seen |= set(map(tuple, tokens))
            lengths.add((n, ended))
            if isinstance(model, PointerDST):
                assert np.all(np.diff([frame for *_, frame in tokens]) > 1)
    if isinstance(model, PointerDST):  # ends of its windows: see the next test
        assert len(seen) > 8 and len(lengths) > 1
        return
    assert len(seen) > 15 and any(n > 0 and ended for n, ended in lengths) and (12, False) in lengths


class Points(nn.Module):
    """Points with the given probabilities, and reads class 2 of slot 5, surer of it the later the frame."""

    def __init__(self, frame_p: list[list[float]]) -> None:
        super().__init__()
        self.frame_p = torch.tensor(frame_p)

    def advance(self, tokens: Tensor, memory: PointerMemory, caches: list) -> Tensor:
        return torch.zeros(len(tokens), 1, 4)

    def point(self, x: Tensor, memory: PointerMemory) -> Tensor:
        return self.frame_p.log()[:, None]

    def read(self, x: Tensor, memory: PointerMemory, frames: Tensor) -> tuple[Tensor, Tensor]:
        action, role = torch.zeros(len(x), 1, 10), torch.zeros(len(x), 1, 27)
        action[..., 2], role[..., 5], action[..., EOS], role[..., NEUTRAL] = frames, 3.0, 50.0, 50.0
        return action, role


def test_the_frame_is_chosen_first_and_ends_the_window_by_its_probability():
    # frames 0..6 of windows of 5 frames; the last event was in frame 2, so frame 3 is that of EOS
    frame_p = [
        [0.0, 0.0, 0.0, 0.4, 0.35, 0.25, 0.0],  # likeliest is EOS, but what comes later has more than half: frame 4
        [0.0, 0.0, 0.1, 0.5, 0.3, 0.1, 0.0],  # ends
        [0.0, 0.7, 0.0, 0.0, 0.0, 0.0, 0.3],  # nothing left to write
    ]
    mask = torch.ones(3, 1, 1, 5, dtype=torch.bool)
    memory = PointerMemory(torch.zeros(3, 5, 4), mask, torch.tensor([5, 5, 5]), torch.zeros(3, 5, 4))
    last = torch.tensor([[[0, 1, 2]]]).expand(3, 1, 3)
    tokens, probabilities = PointerDST.next_token(Points(frame_p), last, memory, [], tolerance=1)
    assert tokens.tolist() == [[2, 5, 4], [EOS, NEUTRAL, 0], [EOS, NEUTRAL, 0]]
    action = math.exp(4) / (math.exp(4) + 7)
    role = math.exp(3) / (math.exp(3) + 25)
    assert probabilities[0].tolist() == pytest.approx([action, role, 1.0]) and not probabilities[1:].any()
    _, narrow = PointerDST.next_token(Points(frame_p), last, memory, [])
    assert narrow[0, 2].item() == pytest.approx(0.35 / 0.6)


def test_a_pointer_leaves_the_first_frame_to_the_window_before():
    frame_p = [[0.0, 0.7, 0.1, 0.2, 0.0, 0.0, 0.0], [0.0, 0.4, 0.0, 0.5, 0.1, 0.0, 0.0]]
    mask = torch.ones(2, 1, 1, 5, dtype=torch.bool)
    memory = PointerMemory(torch.zeros(2, 5, 4), mask, torch.tensor([5, 5]), torch.zeros(2, 5, 4))
    tokens, _ = PointerDST.next_token(Points(frame_p), first_tokens(2, "cpu"), memory, [])
    assert tokens.tolist() == [[EOS, NEUTRAL, 0], [2, 5, 3]]


@torch.no_grad()
def test_permuting_the_batch_permutes_the_result():
    model, batch = lively(SMALL), make_batch(SMALL)
    order = torch.tensor([3, 0, 4, 2, 1])
    plain = greedy_decode(model, batch.features.double(), batch.n_frames)
    permuted = greedy_decode(model, batch.features[order].double(), batch.n_frames[order])
    for a, b in zip(plain, permuted, strict=True):
        torch.testing.assert_close(a[order], b)


def stub_logits(action: list[float], role: list[float], frame: list[float]) -> Logits:
    return Logits(*(torch.tensor([values]).log() for values in (action, role, frame)))


def test_impossible_tokens_are_not_chosen_and_probabilities_are_of_the_whole_softmax():
    action = [0.02] * 10
    action[SOS], action[3] = 0.6, 0.24
    role = [0.01] * 27
    role[NEUTRAL], role[17] = 0.55, 0.2
    frame = [0.3, 0.05, 0.2, 0.1, 0.35]
    logits = stub_logits(action, role, frame)
    tokens, probabilities = choose_token(logits, torch.tensor([3]))
    assert tokens.tolist() == [[3, 17, 2]]
    np.testing.assert_allclose(probabilities[0], [0.24, 0.2, 0.2], rtol=1e-5)
    _, near = choose_token(logits, torch.tensor([3]), tolerance=1)
    assert near[0].tolist() == pytest.approx([0.24, 0.2, 0.05 + 0.2 + 0.1])
    action[EOS] = 0.3
    tokens, _ = choose_token(stub_logits(action, role, frame), torch.tensor([3]))
    assert tokens[0, :2].tolist() == [EOS, NEUTRAL]


def with_eos_bias(value: float) -> DST:
    model = DST(SMALL).eval()
    with torch.no_grad():
        model.action_role_head.bias[EOS] = value
    return model


def test_decoding_ends_when_all_windows_have_ended_or_at_the_limit():
    batch = make_batch(SMALL)
    at_once = greedy_decode(with_eos_bias(1e4), batch.features, batch.n_frames)
    assert at_once.tokens.shape == (5, 1, 3) and at_once.ended.all() and not at_once.n_events.any()
    never = greedy_decode(with_eos_bias(-1e4), batch.features, batch.n_frames)
    assert never.tokens.shape == (5, 12, 3) and not never.ended.any() and never.n_events.tolist() == [12] * 5
    assert never.is_event.all() and not at_once.is_event.any()
    assert greedy_decode(with_eos_bias(-1e4), batch.features, batch.n_frames, max_tokens=3).tokens.shape == (5, 3, 3)


def test_is_event_marks_the_tokens_before_the_end():
    decoded = Decoded(torch.zeros(2, 3, 3), torch.zeros(2, 3, 3), torch.tensor([2, 0]), torch.tensor([True, True]))
    assert decoded.is_event.tolist() == [[True, True, False], [False, False, False]]


def smoothed(log_p: np.ndarray, target: int, weight: np.ndarray, smoothing: float) -> float:
    spread = smoothing / len(log_p) * (weight * log_p).sum()
    return -(1 - smoothing) * weight[target] * log_p[target] - spread


def slow_dense_loss(dense: Tensor, batch: WindowBatch, per_token: int) -> float:
    """Half the cross-entropies of class and slot, token by token; where nothing happens, an eighth of it."""
    total = 0.0
    classes, slots = (part.float().log_softmax(-1).detach() for part in dense.split([9, 26], dim=-1))
    for b in range(len(dense)):
        events = {
            (f - 1) // per_token: (a, r)
            for (a, r, f), known in zip(batch.targets[b].tolist(), batch.mask[b], strict=True)
            if known and a < 8
        }
        for token in range(dense.shape[1]):
            if token in events:
                action, slot = events[token]
                total -= float(classes[b, token, action + 1] + slots[b, token, slot])
            elif token * per_token < batch.n_frames[b]:
                total -= float(classes[b, token, 0]) / 8
    return total / 2


@pytest.mark.parametrize("per_token", [1, 4])
def test_dense_loss_against_a_slow_reference(per_token, monkeypatch):
    settings = replace(POINTER, windows=replace(POINTER.windows, frames_per_token=per_token))
    model, batch = lively(settings).float(), make_batch(settings)
    dense = model(batch.features, batch.n_frames, batch.inputs).dense
    assert dense.shape == (5, settings.windows.n_tokens, 35) and batch.n_frames.min() < 40
    expected = slow_dense_loss(dense, batch, per_token)
    assert dense_loss(dense, batch, per_token).item() / 2 == pytest.approx(expected, rel=1e-5)
    whole = DSTLoss(frames_per_token=per_token)(model, batch)
    monkeypatch.setattr(dst_loss, "DENSE", 0.0)
    without = DSTLoss(frames_per_token=per_token)(model, batch)
    assert float(whole.total - without.total) == pytest.approx(expected, rel=1e-4) and expected > 10


@variants
def test_loss_against_a_slow_reference(settings):
    model, batch = lively(settings), make_batch(settings)
    batch = batch._replace(features=batch.features.double())
    per_token = settings.windows.frames_per_token
    loss = DSTLoss(LossSettings(label_smoothing=0.1), frames_per_token=per_token)
    loss.action_weights = weights = torch.linspace(0.5, 3, 10)
    total, weight = loss(model, batch)
    logits = model(batch.features, batch.n_frames, batch.inputs, batch.targets[..., 2])
    action, role, frame = (values.float().log_softmax(-1).detach().double().numpy() for values in logits[:3])
    expected, n_tokens = 0.0 if logits.dense is None else slow_dense_loss(logits.dense, batch, per_token), 0
    assert (logits.dense is None) == (not isinstance(model, SmallDST))
    for b, s in np.argwhere(batch.mask.numpy()):
        a, r, f = batch.targets[b, s].tolist()
        expected += smoothed(action[b, s], a, weights.double().numpy(), 0.1)
        expected += smoothed(role[b, s], r, np.ones(27), 0.1) - frame[b, s, f]
        n_tokens += 1
    assert weight.item() == n_tokens < batch.mask.numel()
    assert total.item() == pytest.approx(expected, rel=1e-5)
    total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_loss_defaults_are_the_papers():
    model, batch = lively(SMALL), make_batch(SMALL)
    batch = batch._replace(features=batch.features.double())
    default = DSTLoss()(model, batch)
    explicit = DSTLoss(LossSettings("none", "cross-entropy", label_smoothing=0.05))(model, batch)
    torch.testing.assert_close(default.mean, explicit.mean)


def test_loss_does_not_depend_on_padding():
    model, half = lively(SMALL), make_half()
    windows = [cut_window(half, start, WINDOW) for start in (0, 31, 183)]
    windows = [w._replace(features=w.features.double()) for w in windows]
    together = DSTLoss()(model, collate_windows(windows))
    apart = [DSTLoss()(model, collate_windows([w])) for w in windows]
    torch.testing.assert_close(together.total, sum(loss.total for loss in apart))
    assert together.weight == sum(loss.weight for loss in apart)


def test_unlabelled_windows_weigh_nothing():
    half = replace(make_half(), labelled=False, events=np.empty((0, 3), np.int64))
    batch = collate_windows([cut_window(half, 0, WINDOW)])
    loss = DSTLoss()(DST(SMALL), batch)
    assert loss.weight == 0 and loss.total == 0


def test_settings_say_which_network_is_built():
    built = [build_dst(settings) for settings in (SMALL, replace(POINTER, pointer=False), POINTER)]
    assert [type(model) for model in built] == [DST, SmallDST, PointerDST]
    assert with_frame_softmax(POINTER) == replace(POINTER, pointer=False) and with_frame_softmax(SMALL) is SMALL


def test_same_seed_same_bits():
    batch = make_batch(SMALL)
    models = [DST(SMALL, seed).eval() for seed in (1, 1, 2)]
    logits = [model(batch.features, batch.n_frames, batch.inputs).action for model in models]
    assert torch.equal(logits[0], logits[1]) and not torch.equal(logits[0], logits[2])


@variants
def test_runs_in_half_precision(settings):
    model, batch = build_dst(settings).eval(), make_batch(settings)
    loss = DSTLoss(frames_per_token=settings.windows.frames_per_token)
    single = loss(model, batch).mean
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = loss(model, batch).mean
        greedy_decode(model, batch.features, batch.n_frames)
    torch.testing.assert_close(half, single, rtol=0.05, atol=0)


def test_bad_input_is_named():
    batch = make_batch(SMALL)
    with pytest.raises(FootpassError, match=r"expected \(B, up to 40, 598\)"):
        DST(VARIANTS["two sources"])(batch.features, batch.n_frames, batch.inputs)
    with pytest.raises(FootpassError, match="training mode"):
        greedy_decode(DST(SMALL), batch.features, batch.n_frames)
    with pytest.raises(FootpassError, match="0 windows"):
        greedy_decode(DST(SMALL).eval(), batch.features[:0], batch.n_frames[:0])
    with pytest.raises(FootpassError, match="multiple of twice the 8 heads"):
        DSTSettings(width=100)
    with pytest.raises(FootpassError, match="expected windows of pooled inputs"):
        PointerDSTSettings()
    with pytest.raises(FootpassError, match="sources=0, expected 1 or more"):
        DSTSettings(sources=0)
    with pytest.raises(FootpassError, match="encoder_layers=0"):
        DSTSettings(encoder_layers=0)
    assert first_tokens(2, "cpu").tolist() == [[[SOS, NEUTRAL, 0]]] * 2


@torch.no_grad()
def test_player_embedding_treats_all_slots_alike_and_background_as_nothing():
    settings = VARIANTS["pointer, two sources"]
    embedding = PlayerEmbedding(settings)
    half = make_half(sources=2)
    window = cut_window(half, 0, settings.windows)
    per_slot = embedding.token.weight.view(32, 26, 16)
    per_slot[:] = per_slot[:, :1].clone()  # a sum over slots, now that all have the same weights
    order = np.random.default_rng(0).permutation(26)
    mixed = shuffle_slots(window, order, settings.windows)
    torch.testing.assert_close(embedding(mixed.features), embedding(window.features), rtol=1e-4, atol=1e-4)
    nobody = torch.cat([torch.tensor([-15.0, -15, -15, -15, 0]).repeat(26), torch.tensor([20.0] + [0] * 8).repeat(52)])
    absent = replace(half, features=nobody.expand(40, -1))
    nothing = embedding.gain * embedding.token(embedding.player(torch.zeros(26, 21)).flatten())
    embedded = embedding(cut_window(absent, 0, settings.windows).features)
    torch.testing.assert_close(embedded, nothing.expand_as(embedded))


@pytest.mark.parametrize("name", ["paper", "pointer", "frame softmax, two sources"])
def test_learns_windows_by_heart(name):
    settings = replace(VARIANTS[name], width=64, feedforward=128, dropout=0.0)
    starts = (1, 41, 121, 181)  # events have even indices, so none is in the first frame, where a pointer sees no event
    model, batch = build_dst(settings, seed=0).train(), make_batch(settings, starts)
    per_token = settings.windows.frames_per_token
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(50):
        optimizer.zero_grad()
        DSTLoss(frames_per_token=per_token)(model, batch).mean.backward()
        optimizer.step()
    decoded = greedy_decode(model.eval(), batch.features, batch.n_frames)
    assert decoded.ended.all()
    for i, mask in enumerate(batch.mask):
        truth = batch.targets[i][mask][:-1].tolist()
        assert decoded.tokens[i, : decoded.n_events[i]].tolist() == truth


def test_trains_through_fit():
    halves = [make_half(seed=seed) for seed in (0, 1)]
    settings = TrainSettings(
        epochs=2, batch_size=8, accumulation=2, learning_rates={"head": 1e-3}, warmup_steps=2, milestones=()
    )
    result = fit(
        DST(SMALL),
        lambda epoch: DSTWindows(halves, WINDOW, seed=0, epoch=epoch, n_per_half=24),
        lambda epoch: DSTLoss(),
        settings,
    )
    assert result.steps == 6 and result.history["train_loss"].iloc[1] < result.history["train_loss"].iloc[0]
