"""Sizes of the re-scorer, one set a profile; the code path is the same in all."""

from __future__ import annotations

from dataclasses import dataclass

from footpass_lib.schema import TOLERANCE, FootpassError

FAMILIES = ("boosting", "trees")


@dataclass(frozen=True)
class RescoringSettings:
    """How candidates are made and how large the models are.

    Attributes
    ----------
    window : int
        Frames within which two events of one player and class are the same candidate.
    families : tuple of str
        Whose probabilities are averaged: ``boosting`` (histogram gradient boosting), ``trees`` (extremely randomised).
    iterations, trees : int
        Rounds of boosting; size of the forest.
    simulated_matches : int
        Training matches on which detections are simulated, for each stage; 0 for none.
    real_copies : int
        How often a real candidate counts where a simulated one counts once. (Copies, not sample weights: with weights,
        scikit-learn's boosting takes many times longer to bin its features.)
    second_stage : bool
        Whether a second model looks at the sequence that the first one leaves.
    seeds : int
        Independent fits whose probabilities are averaged.

    Raises
    ------
    FootpassError
        If a size is out of range or a family unknown.
    """

    window: int = TOLERANCE
    families: tuple[str, ...] = FAMILIES
    iterations: int = 60
    trees: int = 40
    simulated_matches: int = 2
    real_copies: int = 3
    second_stage: bool = True
    seeds: int = 3

    def __post_init__(self) -> None:
        leasts = {"window": 0, "simulated_matches": 0, "iterations": 1, "trees": 1, "real_copies": 1, "seeds": 1}
        for name, least in leasts.items():
            if getattr(self, name) < least:
                raise FootpassError(f"rescoring: {name}={getattr(self, name)}, expected {least} or more")
        if not self.families or not set(self.families) <= set(FAMILIES):
            raise FootpassError(f"rescoring: families={self.families}, expected some of {', '.join(FAMILIES)}")


_SETTINGS = {
    "smoke": RescoringSettings(iterations=5, trees=5, simulated_matches=1, seeds=1),
    "embedded": RescoringSettings(),
    "full": RescoringSettings(iterations=120, trees=200, simulated_matches=12, seeds=5),
}


def rescoring_settings(profile: str) -> RescoringSettings:
    """Settings of a profile.

    Raises
    ------
    FootpassError
        If there is no such profile.
    """
    if profile not in _SETTINGS:
        raise FootpassError(f"unknown profile {profile!r}; expected one of {', '.join(_SETTINGS)}")
    return _SETTINGS[profile]
