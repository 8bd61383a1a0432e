"""The static book: executed notebooks as HTML pages, and a first page with the ablation and the contents.

What pages look like is in ``templates/``. They carry their style and figures in themselves and load nothing from
elsewhere, so that they can be read offline and from any folder. There is no script in them: a browser draws the
formulas itself (``markdown``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbconvert
import nbformat
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from footpass_lib.book import markdown
from footpass_lib.book.report import ablation_path
from footpass_lib.files import key_of, sha256_file, write_text

TITLE = "Who does what, when"
# Figures that the first page shows when they exist, with what they show: one at the top, the others at the end.
HEADLINE = ("11_chain.png", "Macro F1 of every step, a dot a seed, and what it adds to the step before")
FIGURES = (
    ("03_f1_by_class.png", "The first detector, trained on synthetic matches, against the same network untrained"),
    ("02_f1_by_class.png", "F1 per class of the official predictions on the real validation matches present"),
    ("01_contact_sheet.jpg", "The eight classes in the embedded, synthetic matches; the actor's box is yellow"),
    ("01_class_counts.png", "How often each class occurs in the real training matches"),
)
_TEMPLATES = Path(__file__).parent / "templates"
_LINES = {"trim_blocks": True, "lstrip_blocks": True}  # a line that holds a tag alone leaves no line behind
_ENVIRONMENT = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, **_LINES)


@dataclass(frozen=True)
class Chapter:
    """A notebook as the book sees it: ``seconds`` of its last run, None if it has not been run in this profile."""

    name: str
    title: str
    question: str
    seconds: float | None = None
    finding: str = ""

    @property
    def number(self) -> str:
        return self.name.split("_")[0]

    @property
    def duration(self) -> str:
        return f"{self.seconds:.0f} s" if self.seconds < 100 else f"{self.seconds / 60:.0f} min"


def write_notebook_page(
    notebook: Path, title: str, before: Chapter | None = None, after: Chapter | None = None
) -> Path:
    """Render an executed notebook (``reports/runs/<profile>/<name>.ipynb``) as an HTML page beside it.

    A page that was made by this code from the same notebook, with the same neighbours, is left as it is.
    """
    page = notebook.with_suffix(".html")
    neighbours = [(chapter.name, chapter.title) if chapter else None for chapter in (before, after)]
    code = Path(__file__), Path(markdown.__file__)
    made_by = [sha256_file(path) for path in (*code, *sorted(_TEMPLATES.iterdir()))]
    key = key_of(sha256_file(notebook), made_by, nbconvert.__version__, title, neighbours)
    if page.is_file() and _key(page) == key:
        return page
    content = nbformat.read(notebook, as_version=4)
    # Without embed_images, which would close every <details> at its first line; figures of outputs are embedded anyway.
    exporter = markdown.BookExporter(template_name="basic", exclude_anchor_links=True, exclude_output_prompt=True)
    body, resources = exporter.from_notebook_node(content, {"metadata": {"path": str(notebook.parent)}})
    highlighting = Markup("".join(resources["inlining"]["css"]))
    shown = {"body": _scrolling(body), "highlighting": highlighting, "before": before, "after": after}
    _render("notebook.html", page, title=f"{title} - {TITLE}", key=key, **shown)
    return page


def write_index(
    reports: Path,
    profile: str,
    notebooks: Sequence[tuple[str, str, str]],
    findings: Mapping[str, str] | None = None,
    glossary: Path | None = None,
) -> Path:
    """Write ``reports/index.html``, and the pages of the notebooks whose neighbours have changed.

    ``notebooks`` are name, title and question of all of the study, in order; those that have not been run in this
    profile have no page, and are left out of the links from page to page. ``findings`` says what each found, by name.
    ``glossary`` is a Markdown file that becomes a page as well, if it is there.
    """
    runs, found = reports / "runs" / profile, findings or {}
    chapters = [Chapter(*notebook, _seconds(runs, notebook[0]), found.get(notebook[0], "")) for notebook in notebooks]
    run = [chapter for chapter in chapters if chapter.seconds is not None]
    ends = [None, *run, None]
    for before, chapter, after in zip(ends[:-2], run, ends[2:], strict=True):
        write_notebook_page(runs / f"{chapter.name}.ipynb", chapter.title, before, after)
    words = glossary is not None and glossary.is_file()
    if words:
        write_glossary(reports, glossary.read_text(encoding="utf-8"))
    links = {"folder": f"runs/{profile}/", "first": run[0] if run else None, "glossary": words}
    figures = {"headline": _figures(reports, profile, HEADLINE), "figures": _figures(reports, profile, *FIGURES)}
    page, shown = reports / "index.html", {"ablation": _ablation(reports, profile), **links, **figures}
    _render("index.html", page, title=TITLE, key="", profile=profile, chapters=chapters, **shown)
    return page


def write_glossary(reports: Path, text: str) -> Path:
    """Write ``reports/glossary.html``, to which pages link, from the Markdown of ``docs/glossary.md``."""
    page = reports / "glossary.html"
    _render("glossary.html", page, title=f"Glossary - {TITLE}", key="", body=Markup(markdown.to_html(text)))
    return page


def _render(template: str, page: Path, **shown: object) -> None:
    write_text(page, _ENVIRONMENT.get_template(template).render(shown) + "\n")


def _seconds(folder: Path, name: str) -> float | None:
    """How long the last run of a notebook took, from its stamp; None without a whole run."""
    try:
        seconds = float(json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return seconds if (folder / f"{name}.ipynb").is_file() else None


def _key(page: Path) -> str:
    """What a page was made from, as it says in its second line."""
    with page.open(encoding="utf-8", errors="replace") as stream:
        found = re.search(r'name="made-from" content="(\w+)"', stream.read(300))
    return found[1] if found else ""


def _scrolling(body: str) -> Markup:
    """Put every table into a box that scrolls sideways; ``<table`` in text is escaped, so these are tags."""
    body = re.sub(r"<table\b", r'<div class="scroll" tabindex="0"><table', body)
    return Markup(body.replace("</table>", "</table></div>"))


def _ablation(reports: Path, profile: str) -> Markup | None:
    """The ablation that notebook 11 wrote, tables per class folded; None before it has been run."""
    path = ablation_path(reports, profile)
    if not path.is_file():
        return None
    text = re.sub(r"\A\s*# .*\n", "", path.read_text(encoding="utf-8"))
    body = re.sub(r"(</?)h2\b", r"\1h3", markdown.to_html(text))
    folded = r"<details><summary>\1</summary>\2</details>"
    return _scrolling(re.sub(r"<p>(F1 per class):</p>\s*(<table>.*?</table>)", folded, body, flags=re.DOTALL))


def _figures(reports: Path, profile: str, *wanted: tuple[str, str]) -> list[tuple[str, str]]:
    """Place and caption of those of the figures (name, caption) that are there."""
    places = [(f"figures/{profile}/{name}", caption) for name, caption in wanted]
    return [(place, caption) for place, caption in places if (reports / place).is_file()]
