"""The README's tables, and the lines in them that say what each notebook found."""

from __future__ import annotations

import re
from pathlib import Path

from footpass_lib.book import summary
from footpass_lib.book.notebooks import Notebook, list_notebooks
from footpass_lib.study.place import open_study
from footpass_lib.study.results import read_findings

NOTEBOOKS = [
    Notebook(Path("03_taad.ipynb"), "A detector", "How much?", (), False, "# A\n*Reading time: about 15 minutes.*"),
    Notebook(Path("04_x.ipynb"), "B", "Why?", (), False, ""),
]


def test_every_notebook_has_recorded_what_it_found(project, clean_environment):
    clean_environment.chdir(project)
    names = {notebook.name for notebook in list_notebooks(project / "notebooks")}
    assert read_findings(open_study("embedded")).keys() == names


def test_the_table_goes_between_the_marks_of_the_readme(tmp_path):
    table = summary.contents_table(NOTEBOOKS, {"03_taad": "Macro F1 0.250, Micro F1 0.500"}, {"03_taad": 400.0})
    cells = (
        "[A detector](notebooks/03_taad.ipynb)",
        "How much?<br>*Macro F1 0.250, Micro F1 0.500*",
        "15 min",
        "7 min",
    )
    assert "| 03 | {} | {} | {} | {} |".format(*cells) in table
    assert "| 04 | [B](notebooks/04_x.ipynb) | Why? |  |  |" in table
    untimed = summary.contents_table(NOTEBOOKS, {}, {})
    assert "Run" not in untimed and "| 03 | [A detector](notebooks/03_taad.ipynb) | How much? | 15 min |\n" in untimed
    readme = tmp_path / "README.md"
    begin, end = summary.marks("notebooks")
    other = "".join(summary.marks("other"))
    readme.write_text(f"above\n{begin}old\n{end}below\n{other}")
    for _ in range(2):
        summary.fill_page(readme, {"notebooks": table, "nowhere": "lost\n"})
        assert readme.read_text() == f"above\n{begin}{table}{end}below\n{other}"
    readme.write_text("no marks\n")
    summary.fill_page(readme, {"notebooks": table})
    assert readme.read_text() == "no marks\n"


def test_committed_pages_say_what_the_committed_records_say(project, clean_environment):
    """If this fails because records changed: ``python -m footpass_lib.book.summary``."""
    clean_environment.chdir(project)
    pages = summary.page_tables(open_study("embedded"))
    assert {page: set(tables) for page, tables in pages.items()} == {
        "README.md": {"claims", "notebooks"},
        "docs/reproducibility.md": {"verdicts"},
        "docs/pretraining.md": {"models"},
        "docs/simulator.md": {f"simulator: {p}" for p in ("share", "has box", "in replay", "grammar", "rhythm")},
        "docs/full_profile.md": {"full profile"},
    }
    for page, tables in pages.items():
        text = (project / page).read_text(encoding="utf-8")
        for name, table in tables.items():
            begin, end = summary.marks(name)
            assert text.split(begin)[1].split(end)[0] == table, (page, name)


def test_links_of_the_pages_lead_somewhere(project):
    """Also to a heading, by the name that code hosts give it."""
    for page in (project / "README.md", *sorted((project / "docs").glob("*.md"))):
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            if "://" in target:
                continue
            path, _, heading = target.partition("#")
            found = page.parent / path if path else page
            assert found.exists(), (page.name, target)
            if heading and found.suffix == ".md":
                titles = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), flags=re.MULTILINE)
                assert heading in {re.sub(r"[^\w\- ]", "", t).lower().replace(" ", "-") for t in titles}, target
