from __future__ import annotations

import pytest
import torch
from torch import nn
from train_worker import Net

from footpass_lib.models.weights import copy_weights, load_weights, save_weights
from footpass_lib.schema import FootpassError


def test_round_trip_with_buffers(tmp_path):
    model = Net(seed=1)
    model(torch.randn(16, 6))  # moves the running statistics
    save_weights(model, tmp_path / "new" / "a.safetensors")
    other = load_weights(Net(seed=2), tmp_path / "new" / "a.safetensors")
    assert other.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.safetensors"]


def test_tied_and_strided_weights(tmp_path):
    def make(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        model = nn.ModuleDict({"in": nn.Linear(4, 4), "out": nn.Linear(4, 4), "conv": nn.Conv3d(2, 3, 3)})
        model["out"].weight = model["in"].weight
        return model.to(memory_format=torch.channels_last_3d)

    model = make(0)
    save_weights(model, tmp_path / "a.safetensors")
    other = load_weights(make(1), tmp_path / "a.safetensors")
    assert other["out"].weight is other["in"].weight
    assert torch.equal(other["in"].weight, model["in"].weight)
    assert torch.equal(other["conv"].weight, model["conv"].weight)
    assert other["conv"].weight.stride() == model["conv"].weight.stride()


def test_copies_do_not_follow_the_model():
    model = Net()
    weights = copy_weights(model)
    before = weights["head.1.weight"].clone()
    with torch.no_grad():
        model.head[1].weight.add_(1)
    assert torch.equal(weights["head.1.weight"], before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("head.1.bias"), "missing head.1.bias"),
        (lambda w: w.update(neck=torch.zeros(1)), "unexpected neck"),
        (lambda w: w.update({"head.1.bias": torch.zeros(9)}), r"head.1.bias \(9,\) for \(3,\)"),
    ],
)
def test_weights_of_another_model(tmp_path, change, message):
    weights = copy_weights(Net())
    change(weights)
    path = tmp_path / "a.safetensors"
    save_weights(weights, path)
    model = Net(seed=3)
    before = copy_weights(model)
    with pytest.raises(FootpassError, match=message) as error:
        load_weights(model, path)
    assert str(path) in str(error.value) and "Net" in str(error.value)
    assert all(torch.equal(before[n], value) for n, value in model.state_dict().items())


def test_long_lists_of_names_are_cut(tmp_path):
    save_weights({"other": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(FootpassError, match="and 4 more"):
        load_weights(Net(), tmp_path / "a.safetensors")


def test_missing_and_broken_files(tmp_path):
    with pytest.raises(FootpassError, match="no such file"):
        load_weights(Net(), tmp_path / "none.safetensors")
    path = tmp_path / "a.safetensors"
    save_weights(Net(), path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(FootpassError, match=r"a\.safetensors: no readable safetensors"):
        load_weights(Net(), path)
    torch.save(Net().state_dict(), path)
    with pytest.raises(FootpassError, match="no readable safetensors"):
        load_weights(Net(), path)
