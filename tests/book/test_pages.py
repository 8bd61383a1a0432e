"""The book on made-up executed notebooks: links, neighbours, nothing from elsewhere, the ablation."""

import base64
import json
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from footpass_lib.book import pages as book

NOTEBOOKS = [
    ("01_first", "The first", "What is <there>?"),
    ("02_second", "The second & the missing", "Who?"),
    ("03_third", "The third", "When?"),
    ("04_fourth", "The fourth", "Why?"),
]
DOT = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001"
        "a5f645400000000049454e44ae426082"
    )
).decode()
ABLATION = """# Ablation, embedded profile

Written from the records in `reports/metrics`.

## The chain

|  | Macro F1 | gain [95 %] |
| --- | --- | --- |
| TAAD+DST | 0.321 |  |
| + GNN logit fusion | 0.333 | +0.012 [-0.004, +0.028] |

F1 per class:

|  | drive | pass |
| --- | --- | --- |
| TAAD+DST | 0.40 | 0.50 |
"""


class Parsed(HTMLParser):
    """What a page loads and links to, its ids, text and how deep in scrolling boxes its tables lie."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links, self.loads, self.ids, self.metas, self.text = [], [], set(), {}, ""
        self.tables = []
        self._open = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag not in ("meta", "img", "br", "hr", "link", "input", "source", "col"):
            self._open.append((tag, attributes.get("class") or ""))
        if "id" in attributes:
            self.ids.add(attributes["id"])
        if tag == "a":
            self.links.append((attributes.get("rel", ""), attributes["href"]))
        elif tag == "link":
            self.loads.append(attributes["href"])
        elif tag == "meta":
            self.metas[attributes.get("name")] = attributes.get("content")
        elif tag == "table":
            self.tables.append([kind for _, kind in self._open])
        if "src" in attributes:
            self.loads.append(attributes["src"])

    def handle_endtag(self, tag):
        if tag in [name for name, _ in self._open]:
            while self._open.pop()[0] != tag:
                pass

    def handle_data(self, data):
        if not self._open or self._open[-1][0] not in ("style", "script"):
            self.text += data.replace("\xa0", " ")

    def related(self, relation: str) -> list[str]:
        return [href for rel, href in self.links if rel == relation]


def execute(reports: Path, name: str, seconds: float = 3.0, profile: str = "embedded") -> None:
    """An executed notebook with a table, an image, a long line and a link to another site, and its stamp."""
    table = pd.DataFrame({f"column {i}": range(2) for i in range(30)}).to_html()
    outputs = [
        new_output("stream", name="stdout", text="x" * 400 + "\n"),
        new_output("display_data", data={"text/html": table, "text/plain": "table"}),
        new_output("display_data", data={"image/png": DOT, "text/plain": "figure"}),
        new_output("display_data", data={"text/markdown": "**0.5** of it"}),
    ]
    text = f"# {name}\n\nSee [the paper](https://arxiv.org/abs/2511.16183).\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    text += "\n\n1. Which?\n\n<details><summary>Solution</summary>\n\n```python\nprint('folded')\n```\n</details>"
    text += "\n\nAfter it."
    cells = [new_markdown_cell(text), new_code_cell("y = 1  # " + "long " * 60, execution_count=1, outputs=outputs)]
    folder = reports / "runs" / profile
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells), folder / f"{name}.ipynb")
    (folder / f"{name}.json").write_text(json.dumps({"key": "k", "seconds": seconds, "records": {}}))


@pytest.fixture()
def reports(tmp_path):
    """Reports in a folder with a space, the second of four notebooks not run, a figure among them."""
    folder = tmp_path / "some reports"
    for name, seconds in (("01_first", 3.2), ("03_third", 421.0), ("04_fourth", 98.0)):
        execute(folder, name, seconds)
    figure = folder / "figures" / "embedded" / "01_class_counts.png"
    figure.parent.mkdir(parents=True)
    figure.write_bytes(base64.b64decode(DOT))
    return folder


def pages(reports: Path) -> list[Path]:
    return [reports / "index.html", *sorted((reports / "runs").glob("*/*.html"))]


def neighbours(reports: Path, name: str) -> tuple[set[str], set[str]]:
    parsed = Parsed(reports / "runs" / "embedded" / f"{name}.html")
    return set(parsed.related("prev")), set(parsed.related("next"))


def test_links_resolve_and_nothing_is_loaded_from_elsewhere(reports):
    index = book.write_index(reports, "embedded", NOTEBOOKS)
    assert index == reports / "index.html" and len(pages(reports)) == 4
    for page in pages(reports):
        parsed = Parsed(page)
        assert "width=device-width" in parsed.metas["viewport"]
        assert "@import" not in page.read_text() and "url(http" not in page.read_text()
        for place in [*parsed.loads, *(href for _, href in parsed.links)]:
            parts = urlsplit(place)
            if place in parsed.loads:
                assert parts.scheme in ("", "data") and not parts.netloc, f"{page.name} loads {place[:80]}"
            if not parts.scheme and not parts.netloc:
                target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
                assert target.is_file(), f"{page.name}: {place}"
                assert not parts.fragment or unquote(parts.fragment) in Parsed(target).ids
    assert "figures/embedded/01_class_counts.png" in Parsed(index).loads


def test_solutions_are_folded(reports):
    book.write_index(reports, "embedded", NOTEBOOKS)
    page = (reports / "runs" / "embedded" / "01_first.html").read_text()
    _, folded = page.split("<details>")
    inside, after = folded.split("</details>")
    assert "Solution" in inside and "folded" in inside and "After it." in after and "folded" not in after


def test_the_contents_say_what_was_found(reports):
    found = {name: f"found {k} < 1" for k, (name, *_) in enumerate(NOTEBOOKS)}
    text = Parsed(book.write_index(reports, "embedded", NOTEBOOKS, found)).text
    was_run = {name for name, *_ in NOTEBOOKS if (reports / "runs" / "embedded" / f"{name}.ipynb").is_file()}
    assert 0 < len(was_run) < len(NOTEBOOKS)
    for name, line in found.items():
        assert (line in text) == (name in was_run)


def test_a_page_holds_what_the_notebook_showed(reports):
    book.write_index(reports, "embedded", NOTEBOOKS)
    parsed = Parsed(reports / "runs" / "embedded" / "01_first.html")
    assert "column 29" in parsed.text and "x" * 400 in parsed.text and "0.5" in parsed.text and "In [1]" in parsed.text
    assert any(place.startswith("data:image/png") for place in parsed.loads)
    assert len(parsed.tables) == 2 and all("scroll" in kinds for kinds in parsed.tables)
    style = (reports / "runs" / "embedded" / "01_first.html").read_text()
    assert "max-width:100%" in style and "overflow-x:auto" in style


def test_previous_and_next_skip_what_has_not_been_run(reports):
    book.write_index(reports, "embedded", NOTEBOOKS)
    assert neighbours(reports, "01_first") == (set(), {"03_third.html"})
    assert neighbours(reports, "03_third") == ({"01_first.html"}, {"04_fourth.html"})
    assert neighbours(reports, "04_fourth") == ({"03_third.html"}, set())
    assert Parsed(reports / "index.html").related("next") == ["runs/embedded/01_first.html"]


def test_neighbours_follow_when_a_notebook_is_run_later(reports):
    book.write_index(reports, "embedded", NOTEBOOKS)
    folder = reports / "runs" / "embedded"
    untouched = (folder / "04_fourth.html").stat().st_mtime_ns
    execute(reports, "02_second")
    book.write_notebook_page(folder / "02_second.ipynb", "The second & the missing")
    assert neighbours(reports, "02_second") == (set(), set()), "neighbours come with the index"
    assert set(Parsed(folder / "02_second.html").related("contents")) == {"../../index.html"}
    book.write_index(reports, "embedded", NOTEBOOKS)
    assert neighbours(reports, "01_first")[1] == {"02_second.html"}
    assert neighbours(reports, "02_second") == ({"01_first.html"}, {"03_third.html"})
    assert neighbours(reports, "03_third")[0] == {"02_second.html"}
    assert (folder / "04_fourth.html").stat().st_mtime_ns == untouched, "its neighbours are the same"


def test_a_page_follows_its_notebook(reports):
    page = reports / "runs" / "embedded" / "01_first.html"
    page.write_text("<p>a page of an earlier version</p>")
    book.write_index(reports, "embedded", NOTEBOOKS)
    assert "column 29" in Parsed(page).text
    changed = nbformat.read(page.with_suffix(".ipynb"), as_version=4)
    changed.cells[0].source = "# Another text"
    nbformat.write(changed, page.with_suffix(".ipynb"))
    book.write_index(reports, "embedded", NOTEBOOKS)
    assert "Another text" in Parsed(page).text


def test_contents_say_what_was_run_and_how_long_it_took(reports):
    (reports / "runs" / "embedded" / "04_fourth.json").write_text("{")
    text = Parsed(book.write_index(reports, "embedded", NOTEBOOKS)).text
    for number, title, question in ((name[:2], title, question) for name, title, question in NOTEBOOKS):
        assert f"{number}{title}{question}" in text
    assert "What is <there>?run in 3 s" in text and "Who?not run" in text and "When?run in 7 min" in text
    assert "Why?not run" in text, "a stamp that cannot be read is none"
    assert [href for _, href in Parsed(reports / "index.html").links if "runs/" in href] == [
        "runs/embedded/01_first.html", "runs/embedded/01_first.html", "runs/embedded/03_third.html",
    ]  # fmt: skip


def test_the_ablation_appears_when_it_has_been_written(reports):
    index = book.write_index(reports, "embedded", NOTEBOOKS)
    before = Parsed(index)
    assert "has not been run" in before.text and not before.tables
    (reports / "ablation.md").write_text(ABLATION)
    after = Parsed(book.write_index(reports, "embedded", NOTEBOOKS))
    assert "+0.012 [-0.004, +0.028]" in after.text and "has not been run" not in after.text
    assert len(after.tables) == 2 and all("scroll" in kinds for kinds in after.tables)
    assert index.read_text().count("<h1") == 1 and "<summary>F1 per class</summary>" in index.read_text()


def test_another_profile_has_an_ablation_and_pages_of_its_own(reports):
    (reports / "ablation.md").write_text(ABLATION)
    execute(reports, "02_second", profile="smoke")
    parsed = Parsed(book.write_index(reports, "smoke", NOTEBOOKS))
    assert "has not been run" in parsed.text and not parsed.tables
    assert parsed.related("next") == ["runs/smoke/02_second.html"]
    beside = reports / "metrics" / "smoke" / "ablation.md"
    beside.parent.mkdir(parents=True)
    beside.write_text(ABLATION.replace("0.333", "0.111"))
    assert "0.111" in Parsed(book.write_index(reports, "smoke", NOTEBOOKS)).text


def test_an_index_of_nothing(tmp_path):
    parsed = Parsed(book.write_index(tmp_path, "embedded", NOTEBOOKS))
    assert parsed.text.count("not run") == len(NOTEBOOKS) and not parsed.links and not parsed.loads


def test_the_glossary_is_a_page_that_notebooks_link_to(reports, tmp_path):
    words = tmp_path / "glossary.md"
    words.write_text("# Glossary\n\n## slot\n\nA place: $13 t + r - 1$.\n")
    notebook = reports / "runs" / "embedded" / "01_first.ipynb"
    changed = nbformat.read(notebook, as_version=4)
    changed.cells[0].source += " A [slot](../docs/glossary.md#slot), as in [the third](03_third.ipynb)."
    nbformat.write(changed, notebook)
    index = book.write_index(reports, "embedded", NOTEBOOKS, glossary=words)
    links = [href for _, href in Parsed(notebook.with_suffix(".html")).links]
    assert "../../glossary.html#slot" in links and "03_third.html" in links
    page = Parsed(reports / "glossary.html")
    assert "slot" in page.ids and "<math" in (reports / "glossary.html").read_text()
    assert ("", "glossary.html") in Parsed(index).links and ("contents", "index.html") in page.links
    assert not book.write_index(reports, "embedded", NOTEBOOKS).read_text().count("glossary.html")


def test_templates_are_part_of_the_package(project):
    settings = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    packed = {path for form in settings["footpass_lib"] for path in (project / "footpass_lib").glob(form)}
    templates = set((project / "footpass_lib" / "book" / "templates").iterdir())
    assert templates and templates <= packed
