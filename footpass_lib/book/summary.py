"""The README's tables: what each notebook asks and found, and what the full profile takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from footpass_lib.files import write_text

_READING = re.compile(r"\*Reading time: about (\d+) minutes")


def reading_minutes(text: str) -> int | None:
    """Minutes that a notebook's first cell says it takes to read."""
    found = _READING.search(text)
    return int(found[1]) if found else None


def contents_table(
    notebooks: Iterable[tuple[str, str, str, str]], findings: Mapping[str, str], seconds: Mapping[str, float]
) -> str:
    """The README's table of notebooks, as Markdown.

    Parameters
    ----------
    notebooks : iterable of (name, title, question, text)
        In order; the text is that of all cells.
    findings : mapping
        Name -> the line that says what it found, of the embedded profile.
    seconds : mapping
        Name -> how long it took in a run from nothing (``costs.read_run``).
    """
    rows = [["", "Notebook", "Question and result", "Read", "Run"], ["---", "---", "---", "---:", "---:"]]
    for name, title, question, text in notebooks:
        read, run = reading_minutes(text), seconds.get(name)
        result = f"<br>*{findings[name]}*" if name in findings else ""
        times = (f"{read} min" if read else "", "" if run is None else "1 min" if run < 90 else f"{run / 60:.0f} min")
        rows.append([name[:2], f"[{title}](notebooks/{name}.ipynb)", question + result, *times])
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
