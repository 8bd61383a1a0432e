"""What a plan has otherwise than the paper's, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict

import pandas as pd

_NONE = "–"  # of a setting that one of two plans has not


def flat_settings(plan: object) -> dict[str, object]:
    """All settings of a dataclass by dotted names, such as ``loss.weighting``; members of a tuple count from 1."""
    return _flatten(asdict(plan))


def _flatten(values: Mapping, prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, tuple) and value and all(isinstance(each, Mapping) for each in value):
            value = {str(number): each for number, each in enumerate(value, 1)}
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def against_paper(published: object, plan: object, parts: Iterable[str] = ("",), name: str = "here") -> pd.DataFrame:
    """Settings in which a plan is not the paper's: a row a setting, columns ``paper`` and the plan's ``name``.

    ``parts`` are how the names of those begin that are shown, such as ``model.``.
    """
    paper, here = flat_settings(published), flat_settings(plan)
    names = [name for name in paper | here if name.startswith(tuple(parts)) and paper.get(name) != here.get(name)]
    rows = {name: [_text(paper.get(name, _NONE)), _text(here.get(name, _NONE))] for name in names}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["paper", name])


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
