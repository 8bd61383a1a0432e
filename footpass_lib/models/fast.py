"""3-D convolutions that are fast on a CPU too, where torch is much faster with 2-D ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SpatialConv3d(nn.Conv3d):
    """``nn.Conv3d`` with a kernel (1, k, k); same weights and, up to rounding, the same output.

    On a CPU every frame is convolved as a picture, with the channels innermost in memory.
    """

    @classmethod
    def like(cls, conv: nn.Conv3d) -> SpatialConv3d:
        """The same convolution as ``conv``, sharing its weights."""
        spatial = cls(
            conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, bias=conv.bias is not None
        )
        spatial.weight, spatial.bias = conv.weight, conv.bias
        return spatial

    def forward(self, video: Tensor) -> Tensor:
        """Convolve ``video`` (B, C, T, H, W)."""
        if video.device.type != "cpu":
            return super().forward(video)
        video = video.contiguous(memory_format=torch.channels_last_3d)
        if self.kernel_size == (1, 1, 1) and torch.is_grad_enabled():  # with its gradients a product of matrices is it
            places = video[..., :: self.stride[1], :: self.stride[2]].permute(0, 2, 3, 4, 1)
            return F.linear(places, self.weight.flatten(1), self.bias).permute(0, 4, 1, 2, 3)
        pictures = video.transpose(1, 2).flatten(0, 1)  # (B * T, C, H, W), a view
        seen = F.conv2d(pictures, self.weight[:, :, 0], self.bias, self.stride[1:], self.padding[1:])
        return seen.unflatten(0, (len(video), -1)).transpose(1, 2)


class DepthwiseConv3d(nn.Conv3d):
    """Depthwise ``nn.Conv3d`` without bias or stride in time; same weights and, up to rounding, the same output.

    X3D is built of these, and torch has fast CPU kernels for their gradients in 2-D only (in 3-D they take two thirds
    of a training step). So on a CPU the convolution is written with 2-D ones where that pays.
    """

    def __init__(self, channels: int, kernel_size: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        padding = tuple(size // 2 for size in kernel_size)
        super().__init__(channels, channels, kernel_size, stride, padding, groups=channels, bias=False)

    @classmethod
    def like(cls, conv: nn.Conv3d) -> DepthwiseConv3d:
        """The same convolution as ``conv``, sharing its weight."""
        fast = cls(conv.in_channels, conv.kernel_size, conv.stride)
        fast.weight = conv.weight
        return fast

    def forward(self, video: Tensor) -> Tensor:
        """Convolve ``video`` (B, C, T, H, W)."""
        if video.device.type != "cpu":
            return super().forward(video)
        learning = torch.is_grad_enabled() and self.weight.requires_grad
        if self.kernel_size[1:] == (1, 1):
            return self._along_time(video, learning)
        return self._frame_by_frame(video) if learning else super().forward(video)

    def _along_time(self, video: Tensor, learning: bool) -> Tensor:
        """As a picture (B, C, T, H * W) whose columns are the places; gradients are faster with channels outermost."""
        rows = video.flatten(3) if learning else video.permute(0, 2, 3, 4, 1).flatten(2, 3).permute(0, 3, 1, 2)
        seen = F.conv2d(rows, self.weight.flatten(3), None, 1, (self.padding[0], 0), groups=self.groups)
        return seen.unflatten(3, video.shape[3:])

    def _frame_by_frame(self, video: Tensor) -> Tensor:
        pictures = video.transpose(1, 2).flatten(0, 1)  # (B * T, C, H, W), a view where channels are innermost
        result = None
        for k, weight in enumerate(self.weight.unbind(2)):
            shift = k - self.padding[0]  # output frame t sees input frame t + shift
            if abs(shift) >= video.shape[2]:
                continue
            seen = F.conv2d(pictures, weight, None, self.stride[1:], self.padding[1:], groups=self.groups)
            seen = seen.unflatten(0, (len(video), -1)).transpose(1, 2)
            seen = F.pad(seen, (0, 0, 0, 0, -shift, shift)) if shift else seen
            result = seen if result is None else result + seen
        return result


_FEW_ROWS, _LARGE_WEIGHT = 8, 2**18  # rows of a decoding step; values of a weight, 1 MB


class StreamedLinear(nn.Linear):
    """``nn.Linear`` that is faster on a CPU in a decoding step; same weights and, up to rounding, the same output.

    With few rows, reading a weight larger than the cache takes the time; it is faster as the left factor, unless wide.
    """

    def forward(self, x: Tensor) -> Tensor:
        rows = x.numel() // self.in_features
        large = self.weight.numel() >= _LARGE_WEIGHT and self.in_features <= self.out_features
        if x.device.type != "cpu" or torch.is_grad_enabled() or rows > _FEW_ROWS or not large:
            return super().forward(x)
        return (self.weight @ x.reshape(rows, -1).T).T.reshape(*x.shape[:-1], -1) + self.bias


def attend(
    query: Tensor, keys: Tensor, values: Tensor, attn_mask: Tensor | None, dropout_p: float, is_causal: bool
) -> Tensor:
    """``scaled_dot_product_attention``, faster on a CPU with dropout, and in a decoding step.

    With either, torch's takes the same products, but scales all the keys, and its dropout is slow.
    """
    scores = query / query.shape[-1] ** 0.5 @ keys.transpose(-2, -1)  # (B, heads, S, length)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -torch.inf)
    return dropout(scores.softmax(dim=-1), dropout_p) @ values


PRECISIONS = ("no", "bf16")  # single precision, or mixed


def has_bf16(device: torch.device) -> bool:
    """Whether a device computes in bf16: a CPU without instructions for it takes longer than in single precision."""
    if device.type != "cpu":
        return True
    return any(there for name, there in torch.cpu.get_capabilities().items() if "bf16" in name)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Context of mixed precision, ``bf16``, or of single precision: ``no``, or where the device lacks the other."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16" and has_bf16(device))


_LEVELS = 2**16  # of the random numbers that decide, four to a drawn word


def dropout(x: Tensor, p: float) -> Tensor:
    """Zeros at random places, with odds ``p`` (to 1 in 65,536 on a CPU), and the rest scaled so that the mean stays.

    Draws come from torch's generator, as those of ``torch.nn.functional.dropout``, which does it on other devices.
    """
    dropped = round(p * _LEVELS)
    if x.device.type != "cpu" or not 0 < dropped < _LEVELS:
        return F.dropout(x, p)
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    numbers = words.view(torch.int16)[: x.numel()].view(x.shape)  # evenly from -32,768 to 32,767
    kept = numbers >= dropped - _LEVELS // 2
    return x * kept.to(x.dtype).mul_(_LEVELS / (_LEVELS - dropped))


class Dropout(nn.Dropout):
    """``nn.Dropout`` by :func:`dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p) if self.training else x
