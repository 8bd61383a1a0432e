"""The static book: executed notebooks as HTML pages, and an index page with the headline figures."""

from __future__ import annotations

import html
import json
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter

from footpass_lib.files import write_text

# Figures that the index shows when they exist, with what they show.
HEADLINES = (
    ("03_f1_by_class.png", "The first detector, trained on synthetic matches, against the same network untrained"),
    ("02_f1_by_class.png", "F1 per class of the official predictions on the real validation matches present"),
    ("01_contact_sheet.jpg", "The eight classes in the embedded, synthetic matches; the actor's box is yellow"),
    ("01_class_counts.png", "How often each class occurs in the real training matches"),
)
_STYLE = """
body{font:16px/1.55 system-ui,sans-serif;color:#222;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.45rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}
td.n{white-space:nowrap;color:#666}figure{margin:1.2rem 0}img{max-width:100%;height:auto}
figcaption{color:#555;font-size:.9rem}a{color:#2c5f9e}
"""


def write_notebook_page(notebook: Path, title: str) -> Path:
    """Render an executed notebook as an HTML page beside it, figures embedded."""
    content = nbformat.read(notebook, as_version=4)
    content.metadata["title"] = title
    body, _ = HTMLExporter(template_name="lab").from_notebook_node(content)
    page = notebook.with_suffix(".html")
    write_text(page, body)
    return page


def write_index(reports: Path, profile: str, notebooks: list[tuple[str, str, str]]) -> Path:
    """Write ``reports/index.html``: headline figures, and one row a notebook.

    Parameters
    ----------
    reports : Path
    profile : str
    notebooks : list of (name, title, question)
    """
    rows = []
    for name, title, question in notebooks:
        page, stamp = (reports / "runs" / profile / f"{name}{suffix}" for suffix in (".html", ".json"))
        done = page.is_file() and stamp.is_file()
        link = f'<a href="runs/{profile}/{name}.html">{html.escape(title)}</a>' if done else html.escape(title)
        took = f"{json.loads(stamp.read_text())['seconds']:.0f} s" if done else "not run"
        cells = f'<td class="n">{name[:2]}</td><td>{link}<br>{html.escape(question)}</td><td class="n">{took}</td>'
        rows.append(f"<tr>{cells}</tr>")
    figures = []
    for name, caption in HEADLINES:
        place = f"figures/{profile}/{name}"
        if (reports / place).is_file():
            caption = html.escape(caption)
            figures.append(f'<figure><img src="{place}" alt="{caption}"><figcaption>{caption}</figcaption></figure>')
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Who does what, when</title><style>{_STYLE}</style>"
        "<h1>Who does what, when: player-centric ball-action spotting</h1>"
        f"<p>Profile: {html.escape(profile)}. Each page is a notebook as it was executed here.</p>"
        f"<table><tr><th></th><th>Notebook</th><th>Time</th></tr>{''.join(rows)}</table>"
        f"<h2>At a glance</h2>{''.join(figures) or '<p>No figures yet.</p>'}</html>\n"
    )
    page = reports / "index.html"
    write_text(page, text)
    return page
