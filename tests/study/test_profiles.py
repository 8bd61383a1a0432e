"""A setting is something that varies: what every profile has alike, and nobody sets, is a constant."""

from __future__ import annotations

import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path

import pytest

from footpass_lib.schema import FootpassError
from footpass_lib.study import paper
from footpass_lib.study.plans import Profile
from footpass_lib.study.profiles import PROFILES, get_profile
from footpass_lib.study.rungs import RUNGS, rung_plan
from footpass_lib.synthetic.production import SyntheticSizes

PROJECT = Path(__file__).resolve().parents[2]


def settings_of(value: object) -> Iterator[tuple[str, str]]:
    """``Class.field`` and its value, of a dataclass and of all dataclasses in it, alone or in tuples."""
    for field in fields(value):
        held = getattr(value, field.name)
        inner = [each for each in (held if isinstance(held, tuple) else (held,)) if is_dataclass(each)]
        for each in inner:
            yield from settings_of(each)
        if not inner:
            yield f"{type(value).__name__}.{field.name}", repr(held)


def unvaried(profiles: Iterable[Profile]) -> list[str]:
    values = defaultdict(set)
    for profile in profiles:
        for rung in RUNGS:
            for name, value in settings_of(replace(profile, dst=rung_plan(profile.dst, rung))):
                values[name].add(value)
    return [name for name, found in values.items() if len(found) == 1]


def code(notebook: Path) -> Iterator[str]:
    """Code cells, and the solutions that are folded in the text."""
    for cell in json.loads(notebook.read_text())["cells"]:
        source = "".join(cell["source"])
        yield from [source] if cell["cell_type"] == "code" else re.findall(r"```python\n(.*?)```", source, re.DOTALL)


def set_outside_tests() -> set[str]:
    """Names that a notebook, a command, a stage or a benchmark sets, or that the course tells students to vary."""
    sources = [text for path in (PROJECT / "notebooks").glob("*.ipynb") for text in code(path)]
    for folder in ("footpass_lib/commands", "tests/benchmarks"):
        sources += [path.read_text() for path in (PROJECT / folder).glob("*.py")]
    sources += [
        (PROJECT / "footpass_lib" / "study" / f"{stage}.py").read_text() for stage in ("taad", "gnn", "dst", "variants")
    ]
    sources.append((PROJECT / "footpass_lib" / "models" / "official.py").read_text())
    calls = [node for text in sources for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    made = [call for call in calls if re.search(r"(replace|Settings|Plan|Phase)$", ast.unparse(call.func))]
    told = re.findall(r"`(\w+)[`=]", (PROJECT / "docs" / "course.md").read_text())
    return {keyword.arg for call in made for keyword in call.keywords} | set(told)


def in_the_papers() -> set[str]:
    """Names that the walk through the papers' numbers asks for."""
    return set(re.findall(r"\.(\w+)", (Path(__file__).parent / "test_paper.py").read_text()))


# What the synthetic matches are is part of their bytes, whose hash is in every record. How many windows go at once
# through a network is a question of a machine's memory; it changes no result.
KEPT = {f"{SyntheticSizes.__name__}.{field.name}" for field in fields(SyntheticSizes)}
KEPT |= {"InferenceSettings.batch", "DecodeSettings.batch"}


def test_every_setting_is_varied_or_a_number_of_the_papers():
    known = set_outside_tests() | in_the_papers()
    fixed = [name for name in unvaried(PROFILES.values()) if name.partition(".")[2] not in known]
    assert sorted(set(fixed) - KEPT) == []


def test_a_setting_that_nobody_varies_would_be_found():
    @dataclass(frozen=True)
    class Settings:
        never_set_anywhere: int = 1
        varied: int = 2

    def profile(varied: int) -> Profile:
        return replace(PROFILES["smoke"], synthetic=Settings(varied=varied))

    fixed = unvaried([profile(1), profile(2)])
    assert "Settings.never_set_anywhere" in fixed and "Settings.varied" not in fixed
    assert "never_set_anywhere" not in set_outside_tests() | in_the_papers()
    assert {"stride", "neighbours", "eos_weight"} <= set_outside_tests() and "hidden" in in_the_papers()


def test_small_profiles_stay_with_the_paper_where_they_do_not_say_otherwise():
    for name in ("smoke", "embedded"):
        profile = get_profile(name)
        assert profile.stacked and profile.gnn.cached and profile.synthetic is not None
        assert profile.gnn.gammas == paper.GNN.gammas and profile.gnn.model.neighbours == paper.GNN.model.neighbours
        assert profile.dst.loss == paper.DST.loss and profile.dst.sources == paper.DST.sources
        tubes, inference = profile.taad.phases[0].clips, profile.taad.inference
        assert (inference.window, inference.tube) == (tubes.frames, tubes.side)  # as in training
        assert inference.stride == tubes.frames - 2 * tubes.margin
        assert not profile.taad.model.encoder.checkpointing


def test_other_profiles_are_refused():
    with pytest.raises(FootpassError, match="unknown profile 'tiny'; expected one of smoke, embedded, full"):
        get_profile("tiny")
