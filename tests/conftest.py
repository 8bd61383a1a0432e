"""Data makers and fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from footpass_lib import public
from footpass_lib.playbyplay import Events, make_events

PROJECT = Path(__file__).resolve().parent.parent
# Kernels and commands that tests start find the library, whether or not it is installed.
os.environ["PYTHONPATH"] = os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])])


@pytest.fixture(scope="session")
def project() -> Path:
    return PROJECT


@pytest.fixture(scope="session")
def public_files() -> public.PublicFiles:
    """The real public files, where they are at hand."""
    try:
        return public.find(project=PROJECT)
    except public.PublicFilesMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture()
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No FOOTPASS variable is set."""
    for name in [name for name in os.environ if name.startswith("FOOTPASS_")]:
        monkeypatch.delenv(name)
    return monkeypatch


def random_events(
    rng: np.random.Generator, n: int, halves: tuple[str, ...], *, truth: bool, frames: int = 400
) -> Events:
    """Crowded random events: few jerseys and classes, so that groups are large and ties occur."""
    columns = {
        "half": rng.choice(halves, n),
        "frame": rng.integers(0, frames, n),
        "team": rng.integers(0, 2, n),
        "jersey": rng.integers(1, 4, n),
        "class": rng.integers(1, 9, n),
    }
    if truth:
        columns |= {"box": rng.random(n) < 0.8, "replay": rng.random(n) < 0.1}
    else:
        columns["score"] = rng.choice(np.round(np.linspace(0, 1, 9), 3), n)
    return make_events(halves, columns)
