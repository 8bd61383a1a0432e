"""What every committed notebook must be like; nbval runs their cells and solutions, see ``solved.py``."""

import ast
import re
import subprocess
import sys

import nbformat
import pytest
from conftest import PROJECT
from solved import SOLUTION, write_solved

from footpass_lib.book.notebooks import list_notebooks

PATHS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert PATHS and [p.name for p in PATHS] == [n.path.name for n in list_notebooks(PROJECT / "notebooks")]


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
    assert sum(cell.source.count("results.record_finding(") for cell in cells[:-1]) == 1
    for cell in code_cells(path):
        lines = [line for line in cell.source.splitlines() if not re.match(r"(from|import) |$", line)]
        assert len(lines) <= 16, cell.source
        assert max(map(len, cell.source.splitlines())) <= 110, cell.source
        assert not [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, ast.FunctionDef)]


@every_notebook
def test_solutions_show_something(path):
    for text in SOLUTION.findall(nbformat.read(path, as_version=4).cells[-1].source):
        last = ast.parse(text).body[-1]
        calls = {ast.unparse(n.func) for n in ast.walk(last) if isinstance(n, ast.Call)}
        assert isinstance(last, ast.Expr) or calls & {"print", "display"}, f"a solution shows nothing: {text}"


@every_notebook
def test_some_outputs_are_checked(path):
    """By nbval, which compares no pictures, and nothing of a cell that ends in a semicolon."""
    checked = [cell for cell in code_cells(path) if "# NBVAL_CHECK_OUTPUT" in cell.source]
    assert checked
    for cell in checked:
        assert cell.source.startswith("# NBVAL_CHECK_OUTPUT\n") and not cell.source.rstrip().endswith(";")
        kinds = {kind for o in cell.outputs for kind in o.get("data", {"stream": ""})}
        assert kinds - {"image/png", "image/jpeg"}, cell.source


@pytest.mark.slow
@pytest.mark.parametrize(("found", "outcome"), [("0.857", pytest.ExitCode.OK), ("0.858", pytest.ExitCode.TESTS_FAILED)])
def test_a_changed_number_fails(found, outcome, tmp_path):
    """nbval notices when a checked cell gives another number than the one that was committed."""
    code = "# NBVAL_CHECK_OUTPUT\nfrom footpass_lib.events import metrics\n"
    code += "metrics.precision_recall_f1([[3, 0, 1]]).round(3)[0].tolist()"
    cell = nbformat.v4.new_code_cell(code, execution_count=1)
    data = {"text/plain": f"[1.0, 0.75, {found}]"}
    cell.outputs = [nbformat.v4.new_output("execute_result", data, execution_count=1)]
    content = nbformat.v4.new_notebook(cells=[cell])
    content.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(content, tmp_path / "checked.ipynb")
    options = ["--nbval-lax", "--nbval-current-env", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path / "checked.ipynb")]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == outcome


def test_without_the_official_files_nothing_of_them_is_compared(tmp_path):
    for path in PATHS:
        texts = [
            write_solved(path, tmp_path, whole).read_text().count("# NBVAL_CHECK_OUTPUT") for whole in (True, False)
        ]
        assert texts[0] > 0 and texts[1] == (0 if "public.find(" in path.read_text() else texts[0])
