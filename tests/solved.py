"""Notebooks with their folded solutions as cells, for nbval: ``python tests/solved.py FOLDER NOTEBOOK...`` writes them.

So each notebook is executed once: nbval runs its cells, compares the outputs of those that say ``NBVAL_CHECK_OUTPUT``
with the committed ones, and runs the solutions after them.
"""

import re
import sys
from pathlib import Path

import nbformat

from footpass_lib.events import public
from footpass_lib.study import paper

SOLUTION = re.compile(r"<details><summary>Solution</summary>\s*```python\n(.*?)```\s*</details>", re.DOTALL)


def official_files_are_whole() -> bool:
    """Whether the public files are here with all three official games, as when the notebooks were committed."""
    try:
        return tuple(public.find().val_truth.games) == paper.OFFICIAL_GAMES
    except public.PublicFilesMissing:
        return False


def write_solved(path: Path, folder: Path, whole: bool) -> Path:
    """Write a notebook with its solutions appended; where to.

    Without the ``whole`` public files nothing is compared in a notebook that looks for them.
    """
    content = nbformat.read(path, as_version=4)
    if not whole and any("public.find(" in cell.source for cell in content.cells):
        for cell in content.cells:
            cell.source = cell.source.replace("# NBVAL_CHECK_OUTPUT\n", "")
    for number, text in enumerate(SOLUTION.findall(content.cells[-1].source), 1):
        content.cells.append(nbformat.v4.new_code_cell(text, id=f"solution-{number}"))
    nbformat.write(content, folder / path.name)
    return folder / path.name


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    for old in place.glob("*.ipynb"):
        old.unlink()
    whole = official_files_are_whole()
    print("\n".join(str(write_solved(Path(name), place, whole)) for name in sys.argv[2:]))
