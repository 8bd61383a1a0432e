"""What each notebook found, in one line rendered from its records: for the README's table and the book's contents."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from footpass_lib.book.report import ROWS, Row, runs_of
from footpass_lib.files import write_text

Records = Mapping[str, dict]
_TITLES = {row.record: row.title for row in ROWS}
_READING = re.compile(r"\*Reading time: about (\d+) minutes")


def findings(records: Records) -> dict[str, str]:
    """One line for each notebook whose records are there.

    Parameters
    ----------
    records : mapping
        As from ``results.read_records``, of one profile.

    Returns
    -------
    dict
        Name of the notebook -> line of plain text. Every number in it comes from the records.
    """
    lines = {}
    for name, line in _LINES.items():
        try:
            lines[name] = line(records)
        except (KeyError, IndexError):  # a record that the line speaks of is missing
            continue
    return lines


def _scores(records: Records, record: str, metric: str = "macro_f1") -> list[float]:
    found = [run["metrics"][metric] for run in runs_of(Row("", record), records).values()]
    if not found:
        raise KeyError(record)
    return found


def _mean(records: Records, record: str, metric: str = "macro_f1") -> str:
    found = _scores(records, record, metric)
    return f"{sum(found) / len(found):.3f}"


def _gain(records: Records, record: str) -> str:
    gain, low, high = records["11_ablation.chain"]["metrics"]["gain"][_TITLES[record]]
    return f"{gain:+.3f} [{low:+.3f}, {high:+.3f}]"


def _data(records: Records) -> str:
    values = records["01_data_inspection.train_statistics"]["metrics"]
    return (
        f"{values['events']:,} real events; {values['without_box']:.0%} of the actors have no box; the most frequent "
        f"class has {values['imbalance']:.0f} times as many as the rarest"
    )


def _metric(records: Records) -> str:
    scores = (_mean(records, f"02_metric.official_{name}") for name in ("taad", "dst"))
    return "Macro F1 of the official files on real matches: TAAD {}, TAAD+DST {}".format(*scores)


def _checkpointing(records: Records) -> str:
    values = records["04_gradient_checkpointing.kept_memory"]["metrics"]
    plain = max((key for key in values if key.startswith("batch") and key.endswith("kept_mb")), key=_batch)
    ratio = values[plain] / values[f"{plain}_checkpointing"]
    return f"the same gradients bit for bit, with {ratio:.0f} times less kept for the backward pass"


def _batch(key: str) -> int:
    return int(re.sub(r"\D", "", key))


def _context(records: Records) -> str:
    return f"Macro F1 {_mean(records, '05_taad_gnn.taad-gnn')}, TAAD alone {_mean(records, '03_taad.taad')}"


def _sequence(records: Records) -> str:
    scores = _scores(records, "06_taad_dst.base")
    spread = f" ({min(scores):.3f} to {max(scores):.3f})" if len(scores) > 1 else ""
    return f"Macro F1 {_mean(records, '06_taad_dst.base')}{spread}, TAAD alone {_mean(records, '03_taad.taad')}"


def _postprocessing(records: Records) -> str:
    fitted = [_gain(records, f"09_postprocessing.official-gated-{way}") for way in ("in-sample", "left-out")]
    added = _gain(records, "09_postprocessing.postprocessed-validation")
    return f"Macro F1 {added}; on real matches {fitted[0]} if fitted on those scored, {fitted[1]} if on the others"


def _ablation(records: Records) -> str:
    gains = records["11_ablation.chain"]["metrics"]["gain"]
    steps = [row.title for row in ROWS if row.part == "chain" and row.title in gains]
    above = [title.removeprefix("+ ") for title in steps if gains[title][1] > 0]
    named = f": {', '.join(above)}" if above else ""
    return f"the intervals of {len(above)} of {len(steps)} steps lie above zero{named}"


def _transfer(records: Records) -> str:
    scores = records["12_transfer.gains"]["metrics"]["macro_f1"]
    test, shifted = _mean(records, "08_class_weighting.weighted"), scores[_TITLES["08_class_weighting.weighted"]]
    return f"Macro F1 of the model with fusion and weights goes from {test} to {shifted:.3f}"


def _rescoring(records: Records) -> str:
    before, after = _mean(records, "02_metric.official_dst"), _mean(records, "13_rescoring.rescored")
    return f"Macro F1 {after} on real matches, each scored by models of the others; official TAAD+DST {before}"


_LINES: dict[str, Callable[[Records], str]] = {
    "01_data_inspection": _data,
    "02_metric": _metric,
    "03_taad": lambda r: f"Macro F1 {_mean(r, '03_taad.taad')}, Micro F1 {_mean(r, '03_taad.taad', 'micro_f1')}",
    "04_gradient_checkpointing": _checkpointing,
    "05_taad_gnn": _context,
    "06_taad_dst": _sequence,
    "07_gnn_fusion": lambda r: f"Macro F1 {_gain(r, '07_gnn_fusion.fused')}",
    "08_class_weighting": lambda r: f"Macro F1 {_gain(r, '08_class_weighting.weighted')}",
    "09_postprocessing": _postprocessing,
    "10_ensemble": lambda r: f"Macro F1 {_gain(r, '10_ensemble.ensemble-gated')}",
    "11_ablation": _ablation,
    "12_transfer": _transfer,
    "13_rescoring": _rescoring,
}


def reading_minutes(text: str) -> int | None:
    """Minutes that a notebook's first cell says it takes to read."""
    found = _READING.search(text)
    return int(found[1]) if found else None


def contents_table(notebooks: list[tuple[str, str, str, str]], records: Records, seconds: Mapping[str, float]) -> str:
    """The README's table of notebooks, as Markdown.

    Parameters
    ----------
    notebooks : list of (name, title, question, text)
        In order; the text is that of all cells.
    records : mapping
        Of the embedded profile.
    seconds : mapping
        How long each took in a run from nothing (``costs.read_run``).
    """
    found = findings(records)
    rows = [["", "Notebook", "Question and result", "Read", "Run"], ["---", "---", "---", "---:", "---:"]]
    for name, title, question, text in notebooks:
        read, run = reading_minutes(text), seconds.get(name)
        result = f"<br>*{found[name]}*" if name in found else ""
        times = (f"{read} min" if read else "", "" if run is None else "1 min" if run < 90 else f"{run / 60:.0f} min")
        rows.append([name[:2], f"[{title}](notebooks/{name}.ipynb)", question + result, *times])
    if not seconds:  # no run from nothing is on record
        rows = [row[:-1] for row in rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def full_profile_table(schedule: pd.DataFrame, gpu: str) -> str:
    """The README's table of what the full profile takes, as Markdown, from ``costs.full_schedule``."""
    rows = [
        ["", "Through the network", f"On one {gpu}", "Hours", "GB of its memory"],
        ["---", "---", "---", "---:", "---:"],
    ]
    for stage, (amount, unit, rate, hours, memory) in schedule.iterrows():
        rows.append([stage, f"{amount:,} {unit}", f"{rate:,.0f} a second", f"{hours:.1f}", f"{memory:.0f}"])
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
