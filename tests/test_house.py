"""The library keeps to its plan: who imports whom, how long a file may be, and that committed results agree."""

import ast
import json
import re
import subprocess
import sys
from collections import Counter

import house
import nbformat
import pytest
import sentences
from conftest import PROJECT
from house import LIBRARY, PICTURE, arrows, floors, imports, picture

# What a room may import, besides schema, files, workers and environment.
MAY_IMPORT = {
    "__main__": {"commands"},
    "commands": {
        "data", "events", "postprocessing", "rescoring", "spotting", "study", "synthetic", "training",
    },
    "book": {"events", "study"},
    "study": {"data", "events", "models", "replay", "samples", "spotting", "synthetic", "training"},
    "spotting": {"data", "events", "models", "samples"},
    "training": {"models", "samples"},
    "models": {"samples"},
    "plots": {"data", "events", "samples"},
    "samples": {"data"},
    "postprocessing": {"data", "events"},
    "rescoring": {"events"},
    "replay": {"events", "samples"},
    "synthetic": {"data", "events", "synthetic/picture", "synthetic/play"},
    "synthetic/picture": {"synthetic/play"},
    "synthetic/play": {"events"},
    "events": set(),
    "data": set(),
}  # fmt: skip


def module_of(path) -> str:
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def test_rooms_import_only_what_they_may():
    known = {(a, b) for a, rooms in MAY_IMPORT.items() for b in rooms}
    assert {(a, b) for a, b in arrows() if a not in house.BASE and b not in house.BASE} == known
    assert not [(a, b) for a, b in arrows() if a in house.BASE and b not in house.BASE]
    assert len(floors(arrows())) == len(MAY_IMPORT) + len(house.BASE)  # and there is no circle


def test_no_circle_of_files():
    modules = {module_of(path): imports(path) for path in LIBRARY.rglob("*.py")}
    while ready := [name for name, needs in modules.items() if not needs & modules.keys() - {name}]:
        for name in ready:
            del modules[name]
    assert not modules


def test_the_picture_is_of_this_house():
    assert PICTURE.read_text(encoding="utf-8") == picture()


def test_every_sentence_of_the_papers_is_found():
    """If this fails because lines moved: ``python tests/sentences.py``."""
    assert sentences.PAGE.read_text(encoding="utf-8") == sentences.page()


def test_files_are_read_in_one_sitting():
    long = {module_of(path): n for path in LIBRARY.rglob("*.py") if (n := len(path.read_text().splitlines())) > 300}
    assert not long


def test_every_room_says_what_it_is_for():
    for path in LIBRARY.rglob("__init__.py"):
        paragraphs = ast.get_docstring(ast.parse(path.read_text())) or ""
        assert len(paragraphs) > 40, path


def test_classes_have_names_of_their_own():
    classes = [
        node.name
        for path in LIBRARY.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    ]
    assert [name for name, n in Counter(classes).items() if n > 1] == []


EVERY = sorted({module_of(path) for path in LIBRARY.rglob("*.py")})


@pytest.mark.parametrize(
    ("modules", "absent"),
    [(EVERY, []),
     (["footpass_lib.events.metrics", "footpass_lib.commands.evaluate"], ["torch", "matplotlib"]),
     (["footpass_lib.__main__"], ["torch", "matplotlib", "pandas", "h5py", "sklearn"])],
    ids=["every module", "what starts quickly", "what lists the commands"],
)  # fmt: skip
def test_a_fresh_interpreter_imports(modules, absent):
    code = "".join(f"import {module}\n" for module in modules)
    code += f"import sys\nfound = [name for name in {absent} if name in sys.modules]\nassert not found, found"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Committed results.


def printed(notebook: str) -> set[str]:
    """All numbers below 1 in what the cells of a committed notebook put out, as they are written there."""
    text = []
    for cell in nbformat.read(PROJECT / "notebooks" / f"{notebook}.ipynb", as_version=4).cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {"text/plain": output.get("text", "")})
            text += [str(value) for kind, value in data.items() if kind.startswith("text/")]
    return set(re.findall(r"(?<![\d.])0\.\d+", "\n".join(text)))


def stands_in(value: float, numbers: set[str]) -> bool:
    """Whether a value is among printed numbers, with three or four digits; pandas leaves out zeros at the end."""
    return any(f"{value:.{digits}f}" in {n.ljust(digits + 2, "0") for n in numbers} for digits in (3, 4))


def test_notebooks_print_what_their_records_hold():
    """The Macro F1 of every system: of each seed, or the mean over seeds."""
    systems: dict[str, list[float]] = {}
    for path in sorted((PROJECT / "reports" / "metrics" / "embedded").glob("*.json")):
        macro = json.loads(path.read_text()).get("metrics", {}).get("macro_f1")
        if isinstance(macro, float):
            systems.setdefault(path.stem.split(".seed")[0], []).append(macro)
    missing = []
    for name, values in systems.items():
        numbers = printed(name.split(".")[0])
        if not (all(stands_in(v, numbers) for v in values) or stands_in(sum(values) / len(values), numbers)):
            missing.append(name)
    assert len(systems) > 20 and missing == []
