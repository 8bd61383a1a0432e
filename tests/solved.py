"""Notebooks with their folded solutions as cells, for nbval: ``python tests/solved.py FOLDER NOTEBOOK...`` writes them.

So each notebook is executed once: nbval runs its cells, compares the outputs of those that say ``NBVAL_CHECK_OUTPUT``
with the committed ones, and runs the solutions after them.
"""

import re
import sys
from pathlib import Path

import nbformat

SOLUTION = re.compile(r"<details><summary>Solution</summary>\s*```python\n(.*?)```\s*</details>", re.DOTALL)


def write_solved(path: Path, folder: Path) -> Path:
    """Write a notebook with its solutions appended; where to."""
    content = nbformat.read(path, as_version=4)
    for number, text in enumerate(SOLUTION.findall(content.cells[-1].source), 1):
        content.cells.append(nbformat.v4.new_code_cell(text, id=f"solution-{number}"))
    nbformat.write(content, folder / path.name)
    return folder / path.name


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    for old in place.glob("*.ipynb"):
        old.unlink()
    print("\n".join(str(write_solved(Path(name), place)) for name in sys.argv[2:]))
