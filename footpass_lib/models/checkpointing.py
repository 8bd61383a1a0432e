"""Gradient checkpointing that leaves batch-norm statistics alone, and a measure of what it saves.

Extension 1 of the paper: keep only the inputs of a block for the backward pass and compute the rest a second time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def untouched_statistics(module: nn.Module) -> Iterator[None]:
    """Let batch norms of ``module`` run in train mode on copies of their running statistics.

    A checkpointed block runs forward twice; without this its running mean, variance and counter would move twice.
    The copies (rather than no statistics at all) keep the list of saved tensors equal to the first pass's.
    """
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm3d) and m.training]
    kept = [(norm, name, buffer) for norm in norms for name, buffer in norm.named_buffers(recurse=False)]
    try:
        for norm, name, buffer in kept:
            setattr(norm, name, buffer.clone())
        yield
    finally:
        for norm, name, buffer in kept:
            setattr(norm, name, buffer)


def run_block(block: nn.Module, *inputs: Tensor, checkpointing: bool) -> Tensor:
    """``block(*inputs)``, keeping only its inputs for the backward pass when ``checkpointing``.

    Loss, gradients, weights and buffers are the same bits either way. A block must not draw random numbers.
    """
    if not (checkpointing and torch.is_grad_enabled()):
        return block(*inputs)

    def contexts() -> tuple:  # of the first pass, of the recomputation
        return nullcontext(), untouched_statistics(block)

    # Extension 1: gradient checkpointing
    return checkpoint(block, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
