"""Mixed precision on the devices that compute in it."""

from __future__ import annotations

import torch


def has_bf16(device: torch.device) -> bool:
    """Whether a device computes in bf16: a CPU without instructions for it takes longer than in single precision."""
    if device.type != "cpu":
        return True
    return any(there for name, there in torch.cpu.get_capabilities().items() if "bf16" in name)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Context of mixed precision (``bf16``, or ``fp16`` on GPUs), or of single precision: ``no``, or for want of it."""
    kind = torch.float16 if precision == "fp16" else torch.bfloat16
    there = has_bf16(device) and (precision == "bf16" or device.type != "cpu")
    return torch.autocast(device.type, kind, enabled=precision != "no" and there)
