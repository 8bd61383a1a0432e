"""A made-up checkpoint with the official detector's names and shapes, in every wrapping, against its own forward."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

from footpass_lib.models.official import load_official_taad
from footpass_lib.models.taad import TAAD, TAADSettings
from footpass_lib.schema import FootpassError


class OfficialHead(nn.Module):
    """What comes after the backbone, with the official names and sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_L16_32 = nn.Conv3d(288, 192, (1, 3, 3), padding="same", bias=False)
        self.bn_L16_32 = nn.BatchNorm3d(192)
        self.conv_L8_16 = nn.Conv3d(240, 192, (1, 3, 3), padding="same", bias=False)
        self.bn_L8_16 = nn.BatchNorm3d(192)
        self.conv1 = nn.Conv1d(192, 512, 3, padding="same", bias=False)
        self.bn1 = nn.BatchNorm1d(512)
        self.fc1 = nn.Linear(512, 9)

    def forward(self, maps: list[Tensor], boxes: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, 9, M, T) from the maps of strides 8, 16, 32."""
        fine, middle, coarse = maps
        x = torch.cat([F.interpolate(coarse, scale_factor=(1, 2, 2)), middle], dim=1)
        x = F.gelu(self.bn_L16_32(self.conv_L16_32(x)))
        x = torch.cat([F.interpolate(x, scale_factor=(1, 2, 2)), fine], dim=1)
        x = F.gelu(self.bn_L8_16(self.conv_L8_16(x)))  # (B, 192, T, h, w)
        batch, players, frames = mask.shape
        pictures = x.transpose(1, 2).flatten(0, 1)
        number = torch.arange(batch * frames).view(batch, 1, frames, 1).expand(batch, players, frames, 1)
        rois = torch.cat([number, boxes], dim=3).reshape(-1, 5)
        pooled = roi_align(pictures, rois, (4, 2), 0.125).mean(dim=(2, 3)).view(batch * players, frames, 192)
        pooled = (pooled * mask.reshape(batch * players, frames, 1)).transpose(1, 2)
        x = F.gelu(self.bn1(self.conv1(pooled)))
        return self.fc1(x.transpose(1, 2)).view(batch, players, frames, 9).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def made_up() -> tuple[dict[str, Tensor], TAAD, OfficialHead]:
    """Tensors as the official code saves them, and the networks that they are of."""
    torch.manual_seed(3)
    ours, head = TAAD(TAADSettings()).eval(), OfficialHead()
    for norm in (head.bn_L16_32, head.bn_L8_16, head.bn1):
        nn.init.uniform_(norm.running_var, 0.5, 2)
        nn.init.normal_(norm.bias)
    backbone = ours.encoder.x3d.state_dict()
    tensors = {f"x3d.{name}": tensor for name, tensor in backbone.items()}
    tensors |= {"x3d.blocks.5.proj.weight": torch.zeros(400, 2048), "x3d.blocks.5.proj.bias": torch.zeros(400)}
    twice = {name: tensor for name, tensor in backbone.items() if name.startswith(("blocks.0.", "blocks.1."))}
    tensors |= {name.replace("blocks.", "x3d_L4.", 1): tensor for name, tensor in twice.items()}
    return tensors | head.state_dict(), ours, head.eval()


WRAPPINGS = {
    "official": lambda t: {"epoch": 19, "model_state_dict": t, "optimizer_state_dict": {}, "loss": torch.ones(())},
    "bare": dict,
    "several processes": lambda t: {"state_dict": {f"module.{name}": tensor for name, tensor in t.items()}},
    "nested": lambda t: {"model": {"state_dict": {f"module._orig_mod.{n}": tensor for n, tensor in t.items()}}},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_an_official_checkpoint_gives_the_logits_of_the_official_network(made_up, wrapping: str, tmp_path: Path):
    tensors, ours, head = made_up
    torch.save(WRAPPINGS[wrapping](tensors), tmp_path / "curr_model_19.pt")
    model = load_official_taad(tmp_path / "curr_model_19.pt")
    assert not model.training and model.settings.encoder.depth_factor == 2.2
    generator = torch.Generator().manual_seed(0)
    video = torch.randn(1, 3, 4, 64, 96, generator=generator)
    corner = 40 * torch.rand(1, 3, 4, 2, generator=generator)
    boxes = torch.cat([corner, corner + torch.tensor([11.0, 19.0])], dim=-1)
    mask = torch.tensor([[[1.0, 1, 1, 1], [1, 0, 1, 1], [0, 0, 0, 0]]])
    with torch.no_grad():
        expected = head(ours.encoder.x3d(video)[1:], boxes, mask)
        torch.testing.assert_close(model(video, boxes, mask), expected, rtol=1e-4, atol=1e-4)


def test_another_checkpoint_is_refused_with_what_is_wrong(made_up, tmp_path: Path):
    tensors, ours, _ = made_up
    cases = {
        "holds no official TAAD": ours.state_dict(),
        "missing head.1.bias": {name: tensor for name, tensor in tensors.items() if name != "bn1.bias"},
        "unexpected neck.weight": tensors | {"neck.weight": torch.zeros(1)},
        r"of another shape head.3.bias \(8,\) for \(9,\)": tensors | {"fc1.bias": torch.zeros(8)},
    }
    for message, content in cases.items():
        torch.save(content, tmp_path / "other.pt")
        with pytest.raises(FootpassError, match=rf"other\.pt: .*{message}"):
            load_official_taad(tmp_path / "other.pt")
