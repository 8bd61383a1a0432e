"""What every committed notebook must be like; their cells are run by nbval, their solutions here."""

import ast
import re

import nbformat
import pytest
from conftest import PROJECT

from footpass_lib.book import runner
from footpass_lib.events import public

PATHS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
SOLUTION = re.compile(r"<details><summary>Solution</summary>\s*```python\n(.*?)```\s*</details>", re.DOTALL)
every_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert PATHS and [p.name for p in PATHS] == [n.path.name for n in runner.list_notebooks(PROJECT / "notebooks")]


@every_notebook
def test_committed_as_one_run_from_top_to_bottom(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [o for cell in cells for o in cell.outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert any(o.output_type == "display_data" and "image/png" in o.data for cell in cells for o in cell.outputs)


@every_notebook
def test_nothing_of_the_machine_it_ran_on(path):
    text = path.read_text()
    assert path.stat().st_size < 1_000_000
    content = nbformat.read(path, as_version=4)
    assert set(content.metadata) == {"footpass", "kernelspec", "language_info"}
    assert content.metadata.kernelspec.name == "python3"
    assert str(PROJECT) not in text and not re.search(r'"(/|[A-Z]:\\\\)(home|root|tmp|Users|work)', text)


@every_notebook
def test_shape(path):
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].source.startswith(f"# {path.stem[:2]} · ") and "**What you will learn**" in cells[0].source
    parameters = [cell for cell in cells if "parameters" in cell.metadata.get("tags", ())]
    assert len(parameters) == 1
    for node in ast.parse(parameters[0].source).body:
        assert isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant), "plain scalars only"
    assert "## Exercises" in cells[-1].source and len(SOLUTION.findall(cells[-1].source)) >= 2
    assert any(re.search(r"results\.record(_events)?\(", cell.source) for cell in cells)
    for cell in code_cells(path):
        lines = [line for line in cell.source.splitlines() if not re.match(r"(from|import) |$", line)]
        assert len(lines) <= 16, cell.source
        assert max(map(len, cell.source.splitlines())) <= 110, cell.source
        assert not [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.FunctionDef)]


@every_notebook
@pytest.mark.slow
def test_solutions_run(path, tmp_path, monkeypatch):
    """Execute the notebook and its solutions as one script, under the smoke profile."""
    monkeypatch.setenv("FOOTPASS_PROFILE", "smoke")
    monkeypatch.setenv("FOOTPASS_REPORTS", str(tmp_path))
    notebook = runner._read_notebook(path)
    if notebook.needs_public:
        try:
            public.find(project=PROJECT)
        except public.PublicFilesMissing as missing:
            pytest.skip(str(missing))
    content = nbformat.read(path, as_version=4)
    solutions = SOLUTION.findall(content.cells[-1].source)
    content.cells += [nbformat.v4.new_code_cell(text) for text in solutions]
    nbformat.write(content, tmp_path / path.name)

    import papermill

    papermill.execute_notebook(
        tmp_path / path.name, tmp_path / "solved.ipynb", cwd=path.parent, progress_bar=False, kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=50"],
    )  # fmt: skip
    solved = nbformat.read(tmp_path / "solved.ipynb", as_version=4)
    for cell in solved.cells[-len(solutions) :]:
        assert cell.outputs, f"a solution shows nothing: {cell.source}"
