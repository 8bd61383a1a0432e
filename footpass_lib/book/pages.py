"""The static book: executed notebooks as HTML pages, and a first page with the ablation and the contents.

Pages carry their style and figures in themselves and load nothing from elsewhere, so that they can be read offline and
from any folder. There is no script in them: formulas between dollar signs would be shown as they were written.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import nbconvert
import nbformat
from nbconvert.filters import markdown2html

from footpass_lib.book.report import ablation_file
from footpass_lib.files import sha256_file, sha256_text, write_text

TITLE = "Who does what, when"
# Figures that the first page shows when they exist, with what they show: one at the top, the others at the end.
HEADLINE = ("11_chain.png", "Macro F1 of every step, a dot a seed, and what it adds to the step before")
FIGURES = (
    ("03_f1_by_class.png", "The first detector, trained on synthetic matches, against the same network untrained"),
    ("02_f1_by_class.png", "F1 per class of the official predictions on the real validation matches present"),
    ("01_contact_sheet.jpg", "The eight classes in the embedded, synthetic matches; the actor's box is yellow"),
    ("01_class_counts.png", "How often each class occurs in the real training matches"),
)
_ABOUT = """<p>From broadcast video and tracked players to a list of events: who acted, what it was, and in which frame.
Each notebook takes one step of the FOOTPASS baselines, or of the paper that extends them, and asks whether its gain is
real. The book is for students who know Python and have trained a network before, for those who teach them, and for
readers who want to check the claims of the papers. Nothing has to be installed to read it.</p>"""
_PROFILES = {
    "smoke": "everything runs, at sizes from which no score means anything",
    "embedded": "trained and measured on small synthetic matches, with real predictions where a page says so",
    "full": "the papers' settings on the gated archive",
}
_STYLE = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;color:#222;background:#fff;margin:0 auto;
max-width:62rem;padding:0 1rem 2rem}
h1{font-size:1.7rem;line-height:1.25;margin:1.5rem 0 1rem}h2{font-size:1.3rem;margin:2.2rem 0 .6rem}
h3{font-size:1.08rem;margin:1.5rem 0 .5rem}
p,ul,ol,details,figcaption{max-width:46rem}details details,li p{max-width:none}a{color:#2c5f9e}
img,svg,video{max-width:100%;height:auto}
nav{display:flex;flex-wrap:wrap;justify-content:space-between;gap:.3rem 1.5rem;font-size:.92rem;padding:.8rem 0}
nav a{text-decoration:none;padding:.25rem 0}nav a:hover{text-decoration:underline}
nav>span{flex:1 1 0}nav>span.middle{flex:0 0 auto;text-align:center}nav>span.after{text-align:right}
header{border-bottom:1px solid #ddd}footer{border-top:1px solid #ddd;margin-top:2.5rem}
.note{color:#666;font-size:.88rem}
pre{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;margin:0;overflow-x:auto}
code{font:.88em ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;background:#f3f3f3;
padding:.1em .25em;border-radius:3px;overflow-wrap:anywhere}pre code{background:none;padding:0;overflow-wrap:normal}
.highlight{background:#f6f7f9;border:1px solid #e3e6ea;border-radius:4px;margin:.6rem 0;max-width:100%}
.highlight pre{padding:.55rem .75rem}
.scroll{overflow-x:auto;max-width:100%;margin:.8rem 0;background:
linear-gradient(to right,#fff 40%,transparent) left/3rem 100% no-repeat local,
linear-gradient(to left,#fff 40%,transparent) right/3rem 100% no-repeat local,
linear-gradient(to right,#0003,transparent) left/.7rem 100% no-repeat scroll,
linear-gradient(to left,#0003,transparent) right/.7rem 100% no-repeat scroll}
table{border:0;border-collapse:collapse;font-size:.88rem;line-height:1.4}caption{text-align:left;color:#555}
td,th{padding:.35rem .6rem;border:0;border-bottom:1px solid #e2e2e2;text-align:left;vertical-align:top}
thead th{border-bottom:2px solid #bbb;vertical-align:bottom}
.dataframe td,.dataframe thead th{text-align:right;white-space:nowrap}tbody th{white-space:nowrap}
summary{cursor:pointer;color:#2c5f9e}
figure{margin:1.4rem 0}figcaption{color:#555;font-size:.9rem}
"""
_PAGE_STYLE = """
.code_cell{margin:.9rem 0}.prompt{color:#999;font:11px/1 ui-monospace,Menlo,Consolas,monospace}
.text_cell .prompt,.output_wrapper .prompt{display:none}
.output_area{margin:.5rem 0;overflow-x:auto;max-width:100%}.output_stderr pre{background:#fdf3f3}
.output_text pre{padding:.2rem .75rem}
"""
_INDEX_STYLE = """
.contents{list-style:none;padding:0;max-width:none}
.contents li{display:grid;grid-template-columns:2.4rem 1fr 9rem;gap:0 .8rem;padding:.7rem 0;
border-bottom:1px solid #e2e2e2}
.contents .number{color:#888;font-variant-numeric:tabular-nums}.contents .title{font-weight:600}
.contents .question{grid-column:2;color:#444}
.contents .finding{color:#666;font-size:.9rem}.contents .state{grid-column:3;grid-row:1;text-align:right;color:#666;
font-size:.9rem}
.contents .waiting .title{color:#777;font-weight:400}
.ablation table{font-size:.84rem}.ablation td{white-space:nowrap}
.ablation td:is(:nth-child(1),:nth-child(2),:nth-child(7)){white-space:normal;min-width:7.5rem}
.ablation details td:nth-child(n){white-space:nowrap;min-width:0}
@media(max-width:40rem){.contents li{grid-template-columns:1.9rem 1fr}
.contents .state{grid-column:2;grid-row:auto;text-align:left}}
"""


@dataclass(frozen=True)
class Chapter:
    """A notebook as the book sees it.

    Attributes
    ----------
    name, title, question : str
    seconds : float or None
        How long its last run took; None if it has not been run in this profile.
    finding : str
        What it found, in a line; empty where that is not known.
    """

    name: str
    title: str
    question: str
    seconds: float | None = None
    finding: str = ""

    @property
    def number(self) -> str:
        return self.name.split("_")[0]


def write_notebook_page(
    notebook: Path, title: str, before: Chapter | None = None, after: Chapter | None = None
) -> Path:
    """Render an executed notebook as an HTML page beside it, figures of its outputs embedded.

    A page that was made by this code from the same notebook, with the same neighbours, is left as it is.

    Parameters
    ----------
    notebook : Path
        ``reports/runs/<profile>/<name>.ipynb``.
    title : str
    before, after : Chapter, optional
        The pages that it links to; the runner leaves them out, and :func:`write_index` puts them in.
    """
    page = notebook.with_suffix(".html")
    navigation = _navigation(before, after)
    key = sha256_text(
        "\n".join((sha256_file(notebook), sha256_file(__file__), nbconvert.__version__, title, navigation))
    )
    if page.is_file() and _key(page) == key:
        return page
    content = nbformat.read(notebook, as_version=4)
    # Without embed_images, which would close every <details> at its first line; figures of outputs are embedded anyway.
    exporter = nbconvert.HTMLExporter(template_name="basic", exclude_anchor_links=True, exclude_output_prompt=True)
    body, resources = exporter.from_notebook_node(content, {"metadata": {"path": str(notebook.parent)}})
    body = f"<header>{navigation}</header><main>{_scrolling(body)}</main><footer>{navigation}</footer>"
    style = _STYLE + "".join(resources["inlining"]["css"]) + _PAGE_STYLE
    write_text(page, _document(f"{title} - {TITLE}", style, body, key))
    return page


def write_index(
    reports: Path, profile: str, notebooks: Sequence[tuple[str, str, str]], findings: Mapping[str, str] | None = None
) -> Path:
    """Write ``reports/index.html``, and the pages of the notebooks whose neighbours have changed.

    Parameters
    ----------
    reports : Path
    profile : str
    notebooks : list of (name, title, question)
        All of the study, in order. Those that have not been run in this profile have no page, and are left out of
        the links from page to page.
    findings : mapping of name to str, optional
        What each found, in a line.
    """
    folder = reports / "runs" / profile
    found = findings or {}
    chapters = [Chapter(*notebook, _seconds(folder, notebook[0]), found.get(notebook[0], "")) for notebook in notebooks]
    run = [chapter for chapter in chapters if chapter.seconds is not None]
    ends = [None, *run, None]
    for before, chapter, after in zip(ends[:-2], run, ends[2:], strict=True):
        write_notebook_page(folder / f"{chapter.name}.ipynb", chapter.title, before, after)
    others = _figures(reports, profile, *FIGURES)
    first = _link(run[0], "next", f"runs/{profile}/") if run else ""
    body = (
        f'<header><nav><span></span><span class="after">{first}</span></nav></header><main>'
        f"<h1>{TITLE}: player-centric ball-action spotting</h1>{_ABOUT}"
        f"<h2>What each step adds</h2>{_figures(reports, profile, HEADLINE)}{_ablation(reports, profile)}"
        f"<h2>Contents</h2>{_contents(chapters, profile)}"
        f"{f'<h2>At a glance</h2>{others}' if others else ''}</main>"
    )
    page = reports / "index.html"
    write_text(page, _document(TITLE, _STYLE + _INDEX_STYLE, body))
    return page


def _seconds(folder: Path, name: str) -> float | None:
    """How long the last run of a notebook took, from its stamp; None without a whole run."""
    try:
        seconds = float(json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return seconds if (folder / f"{name}.ipynb").is_file() else None


def _document(title: str, style: str, body: str, key: str = "") -> str:
    made_from = f'<meta name="made-from" content="{key}">' if key else ""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">{made_from}\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{style}</style></head>\n<body>{body}</body></html>\n"
    )


def _key(page: Path) -> str:
    """What a page was made from, as it says in its second line."""
    with page.open(encoding="utf-8", errors="replace") as stream:
        found = re.search(r'name="made-from" content="(\w+)"', stream.read(300))
    return found[1] if found else ""


def _scrolling(body: str) -> str:
    """Put every table into a box that scrolls sideways; ``<table`` in text is escaped, so these are tags."""
    body = re.sub(r"<table\b", r'<div class="scroll" tabindex="0"><table', body)
    return body.replace("</table>", "</table></div>")


def _link(chapter: Chapter, relation: str, folder: str = "") -> str:
    text = f"{chapter.number} {html.escape(chapter.title)}"
    text = f"←&nbsp;{text}" if relation == "prev" else f"{text}&nbsp;→"
    return f'<a rel="{relation}" href="{quote(f"{folder}{chapter.name}.html")}">{text}</a>'


def _navigation(before: Chapter | None, after: Chapter | None) -> str:
    """Links from one notebook's page to the others."""
    left = _link(before, "prev") if before else ""
    right = _link(after, "next") if after else ""
    contents = '<a rel="contents" href="../../index.html">Contents</a>'
    return f'<nav><span>{left}</span><span class="middle">{contents}</span><span class="after">{right}</span></nav>'


def _ablation(reports: Path, profile: str) -> str:
    """The ablation that notebook 11 wrote, tables per class folded."""
    path = ablation_file(reports, profile)
    if not path.is_file():
        return "<p>Notebook 11 puts the scores of all steps into one table. It has not been run in this profile.</p>"
    text = re.sub(r"\A\s*# .*\n", "", path.read_text(encoding="utf-8"))
    body = re.sub(r"(</?)h2\b", r"\1h3", markdown2html(text))
    body = re.sub(r'<a class="anchor-link".*?</a>', "", body)
    folded = r"<details><summary>\1</summary>\2</details>"
    body = re.sub(r"<p>(F1 per class):</p>\s*(<table>.*?</table>)", folded, body, flags=re.DOTALL)
    return f'<div class="ablation">{_scrolling(body)}</div>'


def _contents(chapters: Sequence[Chapter], profile: str) -> str:
    items = []
    for chapter in chapters:
        if chapter.seconds is None:
            kind, title, state = "waiting", html.escape(chapter.title), "not run"
        else:
            place = quote(f"runs/{profile}/{chapter.name}.html")
            kind, title = "run", f'<a href="{place}">{html.escape(chapter.title)}</a>'
            state = f"run in {_duration(chapter.seconds)}"
        items.append(
            f'<li class="{kind}"><span class="number">{chapter.number}</span><span class="title">{title}</span>'
            f'<span class="question">{html.escape(chapter.question)}{_finding(chapter)}</span>'
            f'<span class="state">{state}</span></li>'
        )
    meaning = f" ({_PROFILES[profile]})" if profile in _PROFILES else ""
    return (
        f"<p>Profile <code>{html.escape(profile)}</code>{meaning}. Each page is a notebook as it was executed here.</p>"
        f'<ol class="contents">{"".join(items)}</ol><p class="note">Times are of the last run on this machine. Models '
        "that an earlier run had trained are kept, so that a second run is shorter.</p>"
    )


def _finding(chapter: Chapter) -> str:
    shown = chapter.finding and chapter.seconds is not None
    return f'<br><span class="finding">{html.escape(chapter.finding)}</span>' if shown else ""


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _figures(reports: Path, profile: str, *wanted: tuple[str, str]) -> str:
    """Those of the figures (name, caption) that are there."""
    figures = []
    for name, caption in wanted:
        place = f"figures/{profile}/{name}"
        if (reports / place).is_file():
            image = f'<img src="{quote(place)}" alt="{html.escape(caption)}" loading="lazy">'
            figures.append(f"<figure>{image}<figcaption>{html.escape(caption)}</figcaption></figure>")
    return "".join(figures)
