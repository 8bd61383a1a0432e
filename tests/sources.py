"""Source of the library that notebooks show. ``python tests/sources.py`` puts it into their outputs as it is now.

A test, and nbval, compare the two: a notebook shows what runs.
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


def shown(cells: list[dict]) -> Iterator[tuple[dict, str]]:
    """Cells (of a notebook's JSON) that show source, and what they should show."""
    names: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        body = ast.parse("".join(cell["source"])).body
        imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), "imports", "exec"), names)
        if len(body) == 1 and ast.unparse(body[0]).startswith("show_source("):
            yield cell, eval(ast.unparse(body[0]), names).data


def output_of(cell: dict) -> str:
    """What a cell's saved output shows."""
    return "".join(text for output in cell["outputs"] for text in output.get("data", {}).get("text/markdown", ""))


if __name__ == "__main__":
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell, text in shown(notebook["cells"]):
            cell["outputs"][0]["data"]["text/markdown"] = text.splitlines(keepends=True)
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False), encoding="utf-8")
