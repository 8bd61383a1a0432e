"""The models of the study: the detector (X3D, TAAD), the graph network and the sequence decoder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded_initialisation(seed: int) -> Iterator[None]:
    """Layers built inside the block draw their first weights from ``seed``; torch's own generator is left as it was.

    Layers take no generator of their own, so this is the way to the same weights for the same seed wherever in a
    program a model is built. Layers must be built on the CPU and moved afterwards.
    """
    kept = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(kept)
