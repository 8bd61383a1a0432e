"""Publishing a run: executed notebooks for the committed ones, and the README's tables of what they ask and found."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from footpass_lib.book import costs
from footpass_lib.book.current import runs_folder
from footpass_lib.book.notebooks import Notebook, list_notebooks, read_notebook
from footpass_lib.files import write_text
from footpass_lib.schema import FootpassError
from footpass_lib.study.place import Study
from footpass_lib.study.profiles import get_profile
from footpass_lib.study.results import read_findings

_READING = re.compile(r"\*Reading time: about (\d+) minutes")


def publish(study: Study, notebooks: Sequence[Notebook]) -> None:
    """Put executed copies, with their outputs, in the place of the committed notebooks, and results in the README.

    FootpassError if a copy is missing, not from this text, or was run with injected parameters.
    """
    for notebook in notebooks:
        executed = runs_folder(study) / notebook.path.name
        if not executed.is_file() or read_notebook(executed).source != notebook.source:
            raise FootpassError(f"{executed}: no run of the present text; run it with its default parameters first")
        write_text(notebook.path, executed.read_text(encoding="utf-8"))
    if study.profile.name == "embedded":
        fill_readme(study.project / "README.md", readme_tables(study))


def readme_tables(study: Study) -> dict[str, str]:
    """The README's tables: of notebooks, from their text and what they found, and of the full profile on a GPU."""
    notebooks = list_notebooks(study.project / "notebooks")
    run, gpu = costs.read_record(study.reports, costs.RUN), costs.read_record(study.reports, costs.GPU)
    tables = {"notebooks": contents_table(notebooks, read_findings(study), run.get("seconds", {}))}
    if gpu:
        schedule = costs.full_schedule(gpu, get_profile("full"))
        tables["full profile"] = full_profile_table(schedule, gpu["machine"]["gpu"])
    return tables


def reading_minutes(text: str) -> int | None:
    """Minutes that a notebook's first cell says it takes to read."""
    found = _READING.search(text)
    return int(found[1]) if found else None


def contents_table(notebooks: Sequence[Notebook], findings: Mapping[str, str], seconds: Mapping[str, float]) -> str:
    """The README's table of notebooks, as Markdown.

    ``findings`` has the line of what each found, by its name, and ``seconds`` how long it took in a run from nothing.
    """
    rows = [["", "Notebook", "Question and result", "Read", "Run"], ["---", "---", "---", "---:", "---:"]]
    for notebook in notebooks:
        name, read = notebook.name, reading_minutes(notebook.source)
        result = f"<br>*{findings[name]}*" if name in findings else ""
        run = f"{max(1, seconds[name] / 60):.0f} min" if name in seconds else ""
        link = f"[{notebook.title}](notebooks/{name}.ipynb)"
        rows.append([name[:2], link, notebook.question + result, f"{read} min" if read else "", run])
    if not seconds:  # no run from nothing is on record
        rows = [row[:-1] for row in rows]
    return _lines(rows)


def full_profile_table(schedule: pd.DataFrame, gpu: str) -> str:
    """The README's table of what the full profile takes, as Markdown, from ``costs.full_schedule``."""
    head = ["", "Through the network", f"On one {gpu}", "Hours", "GB of its memory"]
    rows = [head, ["---", "---", "---", "---:", "---:"]]
    for stage, (amount, unit, rate, hours, memory) in schedule.iterrows():
        rows.append([stage, f"{amount:,} {unit}", f"{rate:,.0f} a second", f"{hours:.1f}", f"{memory:.0f}"])
    return _lines(rows)


def _lines(rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def fill_readme(readme: Path, tables: Mapping[str, str]) -> None:
    """Put each table between the README's marks of its name; where there are no such marks, nothing is done."""
    text = before = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    for name, table in tables.items():
        begin, end = marks(name)
        if begin in text and end in text:
            head, rest = text.split(begin, 1)
            text = head + begin + table + end + rest.split(end, 1)[1]
    if text != before:
        write_text(readme, text)


def marks(name: str) -> tuple[str, str]:
    """The lines of the README between which a table stands."""
    return f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
