"""Where a notebook reads and writes: the study that its parameters name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from footpass_lib.files import key_of
from footpass_lib.study.plans import Profile
from footpass_lib.study.profiles import get_profile

WEIGHTS = Path(__file__).parents[1] / "pretrained"  # those that come with the study
FROM_SCRATCH = "FOOTPASS_FROM_SCRATCH"  # variable; 1 is without them
DATA_SEED = 0  # of the embedded matches: the seed of a study changes what is trained, not what it is trained on


class TrainingRun(NamedTuple):
    """A training run's folder, and the key of all that it depends on."""

    folder: Path
    key: str


@dataclass(frozen=True)
class Study:
    """Where a notebook reads and writes, and how large it runs."""

    profile: Profile
    project: Path  # holds data/ and reports/
    public_root: Path | None  # where the user says the public files are; None for the usual places
    data_root: Path  # in the official layout: the gated archive, or embedded matches
    reports: Path  # results, figures and executed notebooks go below it
    seed: int
    pretrained: Path | None = None  # folder of the weights that training starts from; None is from scratch

    @property
    def own_data(self) -> Path:
        """Where embedded matches of this profile are kept; not committed."""
        return self.project / "data" / self.profile.name

    @property
    def models(self) -> Path:
        """Where trained models and their outputs are kept; not committed."""
        return self.project / "data" / "models" / self.profile.name

    @property
    def figures(self) -> Path:
        """Where figures of this profile are saved."""
        return self.reports / "figures" / self.profile.name

    def run(self, name: str, *depends: object) -> TrainingRun:
        """Where a training run is kept: its folder is named by a key of the settings and data that it depends on."""
        key = key_of(*depends)
        return TrainingRun(self.models / f"{name}-{key[:10]}", key)


def find_project(start: Path | str = ".") -> Path:
    """The project's folder: the nearest one at or above ``start`` that holds ``environment.yml``, else ``start``."""
    start = Path(start).resolve()
    return next((p for p in (start, *start.parents) if (p / "environment.yml").is_file()), start)


def open_study(
    profile: str = "", data_root: str = "", public_root: str = "", seed: int = 0, from_scratch: bool = False
) -> Study:
    """Resolve a notebook's parameters: what is left empty comes from the environment, then from the defaults.

    ``FOOTPASS_PROFILE``, ``FOOTPASS_DATA_ROOT``, ``FOOTPASS_PUBLIC`` and ``FOOTPASS_REPORTS`` are the variables; the
    defaults are the embedded profile, ``data/<profile>``, the usual places of the public files and ``reports/``. Small
    profiles start from the weights that come with the study, unless it is ``from_scratch``: so told, or where
    ``FOOTPASS_FROM_SCRATCH`` is 1.
    """
    project = find_project()
    settings = get_profile(profile or os.environ.get("FOOTPASS_PROFILE", "") or "embedded")
    data_root = data_root or os.environ.get("FOOTPASS_DATA_ROOT", "")
    reports = os.environ.get("FOOTPASS_REPORTS", "")
    starts = settings.pretrained and not from_scratch and os.environ.get(FROM_SCRATCH, "") != "1"
    return Study(
        profile=settings,
        project=project,
        public_root=Path(public_root) if public_root else None,
        data_root=Path(data_root) if data_root else project / "data" / settings.name,
        reports=Path(reports) if reports else project / "reports",
        seed=int(seed),
        pretrained=WEIGHTS if starts else None,
    )
