"""Cards of what comes with the study, as tables: the simulator beside real matches, and the shipped weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from footpass_lib.study.pretrained import LEARNED_FROM

SIMULATOR = "simulator.json"  # the record below reports/metrics, made by tests/benchmarks/simulator.py
# What each model is: what it is given, and what it makes of it.
MODELS = {
    "taad": "detector: a tube of pictures of one player, to logits of nine classes a frame",
    "gnn": "graph network: the detector's features and where everybody is, to such logits",
    "dst": "sequence model: positions and the detector's logits, to a list of events",
    "dst-fused": "sequence model: the same with both detectors' logits",
}
# How a row of the tables is written, where it is not a share.
_FORMS = {"entropy": "{:.2f} bits", "events in 30 s": "{:.1f}"}


def simulator_tables(record: Mapping) -> dict[str, list[list[str]]]:
    """Real matches beside simulated ones, as lines of cells: classes by rate, ``grammar`` and ``rhythm``."""
    names = record["events"]
    titles = [f"{name} ({events:,} events)" for name, events in names.items()]
    parts = {rate: {name: record["classes"][name][rate] for name in names} for rate in record["classes"]["real"]}
    parts |= {part: record[part] for part in ("grammar", "rhythm")}
    tables = {}
    for part, columns in parts.items():
        tables[f"simulator: {part}"] = lines = _head(titles)
        for row in columns["real"]:
            form = _FORMS.get(row, "{:.0f} frames" if "gaps" in row else "{:.1%}")
            lines.append([row, *(form.format(columns[name][row]) for name in names)])
    return tables


def model_table(card: Mapping) -> list[list[str]]:
    """The shipped weights, a line a model, from their card, as lines of cells."""
    lines = _head(
        ["What it is", "Weights", f"Minutes of {card['data']} play", "Epochs", "Steps", "Took", "Loss", "File"], text=1
    )
    for name, made in card["models"].items():
        file = f"{made['bytes'] / 1e6:.1f} MB, `{made['sha256'][:12]}`"
        play, took = card["minutes"][LEARNED_FROM[name]], f"{made['training_minutes']:.0f} min"
        counts = (f"{n:,}" for n in (made["parameters"], play, made["epochs"], made["steps"]))
        lines.append([f"`{name}`", MODELS[name], *counts, took, f"{made['validation_loss']:.4f}", file])
    return lines


def _head(titles: Iterable[str], text: int = 0) -> list[list[str]]:
    """The first two lines of a table: titles, and a ruler by which all but the first columns, of text, stand right."""
    cells = ["", *titles]
    return [cells, ["---"] * (1 + text) + ["---:"] * (len(cells) - 1 - text)]
