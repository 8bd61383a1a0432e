"""Publishing a run: executed notebooks for the committed ones, and the tables in the README and in ``docs``.

``python -m footpass_lib.book.summary`` writes the tables anew from the committed records alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from footpass_lib.book import cards, claims, costs
from footpass_lib.book.current import runs_folder
from footpass_lib.book.notebooks import Notebook, list_notebooks, read_notebook
from footpass_lib.book.verdicts import MEANINGS
from footpass_lib.files import read_object, write_text
from footpass_lib.schema import FootpassError
from footpass_lib.study.place import WEIGHTS, Study, open_study
from footpass_lib.study.profiles import get_profile
from footpass_lib.study.results import read_findings, read_records

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
        fill_pages(study)


def fill_pages(study: Study) -> None:
    """Write the tables of all pages anew, from what is on record."""
    for page, tables in page_tables(study).items():
        fill_page(study.project / page, tables)


def page_tables(study: Study) -> dict[str, dict[str, str]]:
    """The tables that stand in pages, as Markdown by their names, by page; one without a record is left out.

    The README has the papers' claims, and the notebooks with what they found.
    """
    names = (costs.RUN, costs.GPU, cards.SIMULATOR, f"{claims.EARLIER}.json")
    run, gpu, simulator, earlier = (costs.read_record(study.reports, name) for name in names)
    notebooks = list_notebooks(study.project / "notebooks")
    beside = {name: record for name, record in ((claims.GPU, gpu), (claims.EARLIER, earlier)) if record}
    evidence = read_records(study) | beside
    contents = contents_table(notebooks, read_findings(study), run.get("seconds", {}))
    meanings = [["Verdict", "It means"], ["---", "---"], *([f"**{name}**", text] for name, text in MEANINGS.items())]
    pages = {
        "README.md": {"claims": _lines(claims.claims_table(evidence)), "notebooks": contents},
        "docs/reproducibility.md": {"verdicts": _lines(meanings)},
        "docs/pretraining.md": {"models": _lines(cards.model_table(read_object(WEIGHTS / "card.json")))},
    }
    if simulator:
        compared = cards.simulator_tables(simulator)
        pages["docs/simulator.md"] = {name: _lines(rows) for name, rows in compared.items()}
    if gpu:
        table = full_profile_table(costs.full_schedule(gpu, get_profile("full")), gpu["machine"]["gpu"])
        pages["docs/full_profile.md"] = {"full profile": table}
    return pages


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
    """The table of what the full profile takes, as Markdown, from ``costs.full_schedule``."""
    head = ["", "Through the network", f"On one {gpu}", "Hours", "GB of its memory"]
    rows = [head, ["---", "---", "---", "---:", "---:"]]
    for stage, (amount, unit, rate, hours, memory) in schedule.iterrows():
        rows.append([stage, f"{amount:,} {unit}", f"{rate:,.0f} a second", f"{hours:.1f}", f"{memory:.0f}"])
    return _lines(rows)


def _lines(rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def fill_page(page: Path, tables: Mapping[str, str]) -> None:
    """Put each table between the page's marks of its name; where there are no such marks, nothing is done."""
    text = before = page.read_text(encoding="utf-8") if page.is_file() else ""
    for name, table in tables.items():
        begin, end = marks(name)
        if begin in text and end in text:
            head, rest = text.split(begin, 1)
            text = head + begin + table + end + rest.split(end, 1)[1]
    if text != before:
        write_text(page, text)


def marks(name: str) -> tuple[str, str]:
    """The lines of a page between which a table stands."""
    return f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"


if __name__ == "__main__":
    fill_pages(open_study("embedded"))
