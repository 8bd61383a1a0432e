import pytest
import torch
from accelerate import PartialState


@pytest.fixture(autouse=True)
def on_cpu(monkeypatch):
    """Bits are compared, which only a CPU repeats."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    PartialState._reset_state()
    yield
    PartialState._reset_state()
