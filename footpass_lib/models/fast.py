"""3-D convolutions that are fast on a CPU too, where torch is much faster with 2-D ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SpatialConv3d(nn.Conv3d):
    """``nn.Conv3d`` with a kernel (1, k, k); same weights and, up to rounding, the same output.

    On a CPU every frame is convolved as a picture with the channels innermost in memory, whatever the layout of the
    input.
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
