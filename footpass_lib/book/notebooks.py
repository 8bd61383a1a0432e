"""What a notebook of the study is, which ones are asked for, and in which order they run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import nbformat

from footpass_lib.schema import FootpassError


@dataclass(frozen=True)
class Notebook:
    """One notebook, as it lies in ``notebooks/``; most of this stands in its metadata under ``footpass``."""

    path: Path
    title: str
    question: str
    reads: tuple[str, ...]  # notebooks whose records it uses
    needs_public: bool  # whether it cannot do without the public files
    source: str  # of all cells

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def code(self) -> str:
        """The Python of its cells without shell and magic lines."""
        cells = re.split(r"^# (code|markdown|raw)$", self.source, flags=re.MULTILINE)
        code = "\n".join(text for kind, text in zip(cells[1::2], cells[2::2], strict=True) if kind == "code")
        return "\n".join(line for line in code.splitlines() if not line.lstrip().startswith(("%", "!")))


def list_notebooks(folder: Path) -> list[Notebook]:
    """The notebooks of a folder in order; FootpassError if there are none, or one is none of this study."""
    paths = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise FootpassError(f"{folder}: no notebooks found")
    return [read_notebook(path) for path in paths]


def read_notebook(path: Path) -> Notebook:
    """One notebook; errors as in :func:`list_notebooks`."""
    try:
        content = nbformat.read(path, as_version=4)
        about = content.metadata["footpass"]
    except Exception as error:  # nbformat raises errors of many kinds
        raise FootpassError(f"{path}: no notebook of this study ({type(error).__name__}: {error})") from error
    source = "\n".join(f"# {cell.cell_type}\n{cell.source}" for cell in content.cells)
    reads = tuple(about.get("reads", ()))
    return Notebook(path, about["title"], about["question"], reads, bool(about.get("needs_public")), source)


def choose(notebooks: list[Notebook], only: str = "", start: str = "") -> list[Notebook]:
    """The notebooks that ``--only 01,05`` and ``--from 05`` ask for (numbers or names); FootpassError without one."""

    def index(text: str) -> int:
        found = [i for i, n in enumerate(notebooks) if text.strip() in (n.name, n.name.split("_")[0])]
        if not found:
            raise FootpassError(f"no notebook {text.strip()!r}; there are {', '.join(n.name for n in notebooks)}")
        return found[0]

    if only:
        return [notebooks[i] for i in sorted({index(text) for text in only.split(",")})]
    return notebooks[index(start) :] if start else notebooks


def in_order(notebooks: list[Notebook]) -> list[Notebook]:
    """The notebooks by number, but each after those among them whose records it reads."""
    waiting, done = list(notebooks), []
    while waiting:
        names = {notebook.name for notebook in waiting}
        ready = [notebook for notebook in waiting if not names & set(notebook.reads)]
        done.append((ready or waiting)[0])
        waiting.remove(done[-1])
    return done
