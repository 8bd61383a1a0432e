"""The paper's sequence model learns a few windows by heart, and what is counted on the way is right."""

from __future__ import annotations

import torch

from footpass_lib.models.dst import DST, DSTSettings
from footpass_lib.samples.tokens import ACTION, EOS, NEUTRAL, SOS
from footpass_lib.samples.windows import Window, WindowSettings, collate_windows
from footpass_lib.spotting.decoding import greedy_decode
from footpass_lib.training.by_heart import learn_by_heart
from footpass_lib.training.dst_loss import DSTLoss, LossSettings

SHAPE = WindowSettings(window=20, max_tokens=6)
EVENTS = ([(0, 3, 4), (1, 20, 12)], [(5, 7, 9)], [])


def windows():
    draw = torch.Generator().manual_seed(0)
    for events in EVENTS:
        last = events[-1][2] + 1 if events else 1
        tokens = torch.tensor([(SOS, NEUTRAL, 0), *events, (EOS, NEUTRAL, last)])
        yield Window(torch.randn(20, SHAPE.token_width(1), generator=draw), 20, tokens, 0)


def test_a_few_windows_are_learned_by_heart_and_written_freely():
    batch = collate_windows(list(windows()))
    model = DST(DSTSettings(windows=SHAPE, width=32, feedforward=64, encoder_layers=1, decoder_layers=1, heads=2,
                            dropout=0.0))  # fmt: skip
    course = learn_by_heart(model, DSTLoss(LossSettings(label_smoothing=0.0)), batch, steps=150, rate=3e-3, every=100)
    assert course["step"].tolist() == [0, 100, 150] and not model.training
    assert course["loss"].iloc[-1] < 0.1 * course["loss"].iloc[0] and course["action"].iloc[0] < 1
    assert (course[["action", "role", "frame"]].iloc[-1] == 1).all()
    decoded = greedy_decode(model, batch.features, batch.n_frames)
    assert decoded.n_events.tolist() == [2, 1, 0]
    for number, events in enumerate(EVENTS):
        assert decoded.tokens[number, : len(events)].tolist() == [list(event) for event in events]
    assert (decoded.tokens[..., ACTION] == EOS).any(dim=1).all()
