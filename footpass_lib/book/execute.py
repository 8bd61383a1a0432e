"""Executing one notebook with papermill: its executed copy and its page appear only when it has run through."""

from __future__ import annotations

import sys
import time

import nbformat

from footpass_lib.book import pages
from footpass_lib.book.current import runs_folder, write_stamp
from footpass_lib.book.notebooks import Notebook
from footpass_lib.events import public
from footpass_lib.files import write_text
from footpass_lib.schema import FootpassError
from footpass_lib.study.place import Study, open_study

DEFAULT_PARAMETERS = {"profile": "", "data_root": "", "public_root": "", "seed": 0}


def run_notebook(notebook: Notebook, study: Study, key: str, label: str) -> str:
    """Execute one notebook, write its copy and its page, and stamp them.

    Returns why it was skipped (public files that it needs are missing), or nothing. ``key`` is its fingerprint from
    before the run. If a cell fails, FootpassError has two lines, notebook and cell, and the error; what the notebook
    had done until then lies beside, as ``<name>.failed.ipynb``.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    folder = runs_folder(study)
    failed, executed = folder / f"{notebook.name}.failed.ipynb", folder / f".{notebook.name}.part.ipynb"
    started = time.monotonic()
    try:
        papermill.execute_notebook(
            notebook.path, executed, parameters=_parameters(study), cwd=notebook.path.parent, kernel_name="python3",
            progress_bar={"desc": label, "leave": False} if sys.stderr.isatty() else False, log_output=False,
            extra_arguments=["--IPKernelApp.log_level=50"],
        )  # fmt: skip
        content = clean(nbformat.read(executed, as_version=4))
    except PapermillExecutionError as error:
        if error.ename == public.PublicFilesMissing.__name__:
            return error.evalue
        executed.replace(failed)
        raise FootpassError(_failure(notebook, error)) from error
    except DeadKernelError as error:
        raise FootpassError(f"{notebook.name}: its process was killed; most often there was no memory left") from error
    finally:
        executed.unlink(missing_ok=True)
    write_text(folder / f"{notebook.name}.ipynb", nbformat.writes(content))
    failed.unlink(missing_ok=True)
    pages.write_notebook_page(folder / f"{notebook.name}.ipynb", notebook.title)
    write_stamp(notebook, study, key, time.monotonic() - started)
    return ""


def _parameters(study: Study) -> dict[str, object]:
    """Only what differs from a notebook's own defaults, so that an ordinary run adds no cell."""
    usual = open_study()
    values = {
        "profile": "" if study.profile == usual.profile else study.profile.name,
        "data_root": "" if study.data_root == open_study(study.profile.name).data_root else str(study.data_root),
        "public_root": str(study.public_root or ""),
        "seed": study.seed,
    }
    return {name: value for name, value in values.items() if value != DEFAULT_PARAMETERS[name]}


def _failure(notebook: Notebook, error: Exception) -> str:
    message = (error.evalue.strip().splitlines() or [""])[0][:300]
    return f"{notebook.name} failed in cell {error.cell_index} (In [{error.exec_count}])\n  {error.ename}: {message}"


def clean(content: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A notebook without what a run leaves in its metadata (paths, times, papermill's notes)."""
    content.metadata.pop("papermill", None)
    content.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content.metadata["language_info"] = {"name": "python"}
    for cell in content.cells:
        for key in ("papermill", "execution", "scrolled"):
            cell.metadata.pop(key, None)
    return content
