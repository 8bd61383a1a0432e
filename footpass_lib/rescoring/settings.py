"""Sizes of the re-scorer, one set a profile."""

from __future__ import annotations

from dataclasses import dataclass, fields

from footpass_lib.schema import FootpassError


@dataclass(frozen=True)
class RescoringSettings:
    """Rounds of boosting, trees of the forest, and independent fits whose probabilities are averaged."""

    iterations: int = 60
    trees: int = 40
    seeds: int = 3

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            if getattr(self, name) < 1:
                raise FootpassError(f"rescoring: {name}={getattr(self, name)}, expected 1 or more")


_SETTINGS = {
    "smoke": RescoringSettings(iterations=5, trees=5, seeds=1),
    "embedded": RescoringSettings(),
    "full": RescoringSettings(iterations=120, trees=200, seeds=5),
}


def rescoring_settings(profile: str) -> RescoringSettings:
    """Settings of a profile; FootpassError if there is no such profile."""
    if profile not in _SETTINGS:
        raise FootpassError(f"unknown profile {profile!r}; expected one of {', '.join(_SETTINGS)}")
    return _SETTINGS[profile]
