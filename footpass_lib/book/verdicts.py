"""The verdicts on a claim, and the rules that give them: from numbers and intervals, never by hand."""

from __future__ import annotations

from collections.abc import Sequence

from footpass_lib.events.bootstrap import Interval

EXACTLY, REPRODUCED, SUPPORTED = "reproduced exactly", "reproduced", "supported"
OPEN, CONTRADICTED, UNTESTABLE = "open", "contradicted", "cannot be tested here"
NOT_RUN = "not run yet"
# What each verdict means, for the reader; the rules are the functions below.
MEANINGS = {
    EXACTLY: "every digit that the paper gives",
    REPRODUCED: "measured on the paper's data or at its sizes, and as the paper says",
    SUPPORTED: "another experiment than the paper's, mostly on synthetic matches; the 95 % interval of every "
    "comparison in the row lies above zero",
    OPEN: "one of these intervals includes zero, or a control speaks against the claim: luck is not ruled out",
    CONTRADICTED: "measured, and not as the paper says; of several comparisons, all intervals lie below zero",
    UNTESTABLE: "it takes videos, a model or labels that are not public",
}


def same_digits(value: float, claimed: float, form: str) -> str:
    """Reproduced exactly, if both are written alike in the form in which the paper gives its number."""
    return EXACTLY if f"{value:{form}}" == f"{claimed:{form}}" else CONTRADICTED


def about(value: float, claimed: float) -> str:
    """For a number that the paper says is about so large: reproduced, if it rounds to the same first digit."""
    return REPRODUCED if f"{value:.0e}" == f"{claimed:.0e}" else CONTRADICTED


def gains(intervals: Sequence[Interval], controls: Sequence[float] = ()) -> str:
    """Supported if every interval lies above zero and no control below it, contradicted if every interval lies below.

    ``controls`` are differences for which there is no interval, of which the sign alone counts.
    """
    if all(gain.high < 0 for gain in intervals):
        return CONTRADICTED
    return SUPPORTED if all(gain.low > 0 for gain in intervals) and all(c >= 0 for c in controls) else OPEN


def fits(with_it: bool, without: bool) -> str:
    """Reproduced, if a step fits with checkpointing and needs it; contradicted if it does not fit."""
    if not with_it:
        return CONTRADICTED
    return OPEN if without else REPRODUCED
