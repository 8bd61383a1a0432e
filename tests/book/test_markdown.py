"""Formulas, links and source in the book's pages; and that every notebook's formulas and links can be shown."""

import json
import re

import nbformat
import pytest
from conftest import PROJECT
from sources import output_of, shown

from footpass_lib.book import markdown
from footpass_lib.book.source import show_source
from footpass_lib.models.checkpointing import run_block, untouched_statistics
from footpass_lib.models.taad import TAAD

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def texts(path):
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]


def test_formulas_are_mathml_and_code_is_left():
    html = markdown.to_html("With $P < 1$:\n\n$$F_1 = \\frac{2PR}{P+R}$$\n\nand `$HOME`.\n\n```bash\necho $A $B\n```")
    assert html.count("<math") == 2 and "<mfrac>" in html and 'display="block"' in html
    assert "<code>$HOME</code>" in html and html.count("$") == 3, "dollars of code"


def test_a_formula_that_cannot_be_read_is_shown_as_written():
    assert markdown.mathml(r"\begin{cases} a <") == r"<code>\begin{cases} a &lt;</code>"


def test_links_stay_within_the_book():
    assert markdown.book_link("../docs/glossary.md#slot") == "../../glossary.html#slot"
    assert markdown.book_link("03_taad.ipynb#training") == "03_taad.html#training"
    assert markdown.book_link("https://arxiv.org/abs/2511.16183") == "https://arxiv.org/abs/2511.16183"
    heading = markdown.to_html("## A *slot* & its player")
    assert heading == '<h2 id="a-slot--its-player">A <em>slot</em> &amp; its player</h2>\n'


@every_notebook
def test_every_formula_of_a_notebook_can_be_drawn(path):
    html = "".join(map(markdown.to_html, texts(path)))
    written = re.sub(r"```.*?```|`[^`]*`", "", "\n".join(texts(path)), flags=re.DOTALL)
    formulas = re.findall(r"\$\$.+?\$\$|\$.+?\$", written, flags=re.DOTALL)
    drawn = re.findall(r"<math.*?</math>", html, flags=re.DOTALL)
    assert len(drawn) == len(formulas) and "\\" not in "".join(drawn), "a command that MathML has no word for"


@every_notebook
def test_links_of_a_notebook_lead_somewhere(path):
    glossary = set(re.findall(r"^## (.+)$", (PROJECT / "docs" / "glossary.md").read_text(), flags=re.MULTILINE))
    for text in texts(path):
        for url in re.findall(r"\]\(([^)\s]+)\)", text):
            place, _, anchor = url.partition("#")
            if place == markdown.GLOSSARY:
                assert anchor.replace("-", " ") in glossary, url
            elif not place.startswith("https://"):
                assert not place or (path.parent / place).is_file(), url


@every_notebook
def test_tests_that_a_notebook_names_are_there(path):
    for file, name in re.findall(r"tests/([\w/]+\.py)::(\w+)", "\n".join(texts(path))):
        assert f"def {name}(" in (PROJECT / "tests" / file).read_text(), f"{file}::{name}"


@every_notebook
def test_shown_source_is_what_runs(path):
    for cell, text in shown(json.loads(path.read_text())["cells"]):
        assert output_of(cell) == text, "python tests/sources.py puts the present source in"


def test_source_is_the_librarys_own():
    shown = show_source(TAAD.forward, run_block).data
    assert shown.count("<details>") == shown.count("</details>") == shown.count("```python\n") == 2
    assert "<code>TAAD.forward</code> in <code>footpass_lib/models/taad.py</code>" in shown
    assert "```python\ndef forward(self, video: Tensor" in shown, "no indent of the class"
    assert "return self.classify(self.player_features(video, boxes, mask), mask)" in shown
    html = markdown.to_html(shown)
    assert html.count('<div class="highlight">') == 2 and '<span class="k">def</span>' in html
    assert "@contextmanager\ndef untouched_statistics(" in show_source(untouched_statistics).data, "as decorated"
    assert "<details>" not in show_source(run_block, folded=False).data
