"""Depthwise 3-D convolution that is fast on a CPU too."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DepthwiseConv3d(nn.Conv3d):
    """Depthwise ``nn.Conv3d`` without bias or stride in time; same weights and, up to rounding, the same output.

    X3D is built of these, and torch has fast CPU kernels for their gradients in 2-D only: in 3-D they take two thirds
    of a training step. On a CPU the convolution is therefore written with 2-D ones where that pays; elsewhere this is
    ``nn.Conv3d``.
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
        if video.device.type == "cpu" and self.kernel_size[1:] == (1, 1):
            return self._along_time(video)
        if video.device.type == "cpu" and torch.is_grad_enabled() and self.weight.requires_grad:
            return self._frame_by_frame(video)
        return super().forward(video)

    def _along_time(self, video: Tensor) -> Tensor:
        rows = video.flatten(3)  # (B, C, T, H * W): a picture whose columns are the places
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
