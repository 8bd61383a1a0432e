from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from footpass_lib.models.fast import Dropout, dropout


def draw(x: torch.Tensor, p: float, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return dropout(x, p)


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.9])
def test_share_and_mean_of_what_is_kept(p):
    n = 1_000_001  # not a multiple of the four numbers in a word
    out = draw(torch.ones(n), p)
    kept = out[out != 0]
    deviation = (p * (1 - p) / n) ** 0.5
    assert len(kept) / n == pytest.approx(1 - p, abs=5 * deviation)
    assert torch.equal(kept, torch.full_like(kept, kept[0].item()))
    assert kept[0].item() == pytest.approx(1 / (1 - p), rel=2**-13)  # odds are in steps of 1 / 65,536
    assert out.mean().item() == pytest.approx(1, abs=5 * deviation / (1 - p))


def test_places_are_independent():
    out = draw(torch.ones(400_000), 0.5).reshape(-1, 4) != 0
    values, counts = torch.unique(out.long() @ torch.tensor([1, 2, 4, 8]), return_counts=True)
    assert values.tolist() == list(range(16))
    expected, deviation = 100_000 / 16, (100_000 / 16 * 15 / 16) ** 0.5
    assert (counts - expected).abs().max().item() < 5 * deviation


def test_gradient_goes_where_values_were_kept():
    x = torch.randn(7, 3, 5, dtype=torch.float64, requires_grad=True)
    out = draw(x, 0.3)
    out.sum().backward()
    assert torch.equal(x.grad != 0, out != 0) and 0 < (out == 0).sum().item() < out.numel()
    torch.testing.assert_close(out, x * x.grad)


def test_draws_follow_the_generator():
    x = torch.randn(50, 20)
    assert torch.equal(draw(x, 0.2, seed=3), draw(x, 0.2, seed=3))
    assert not torch.equal(draw(x, 0.2, seed=3), draw(x, 0.2, seed=4))
    torch.manual_seed(3)
    first, second = dropout(x, 0.2), dropout(x, 0.2)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_all_or_nothing_is_torchs(p):
    x = torch.randn(9)
    assert torch.equal(dropout(x, p), F.dropout(x, p))


def test_layer_does_nothing_in_evaluation():
    layer, x = Dropout(0.5), torch.randn(100)
    assert torch.equal(layer.eval()(x), x) and not torch.equal(layer.train()(x), x)


def test_transposed_and_empty_input():
    x = torch.arange(1.0, 13).reshape(3, 4).T
    out = draw(x, 0.5)
    assert out.shape == (4, 3) and torch.equal(out[out != 0], 2 * x[out != 0])
    assert dropout(torch.empty(0, 3), 0.5).shape == (0, 3)
