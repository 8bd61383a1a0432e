"""Run the study: execute the notebooks in order with papermill, skip what is up to date, build the index page.

``python -m footpass_lib.book.runner`` is what ``run_all.sh`` calls once the environment stands.
"""

from __future__ import annotations

import argparse
import ast
import errno
import fcntl
import json
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat

from footpass_lib.book import costs, pages, summary
from footpass_lib.events import public
from footpass_lib.files import is_abandoned, sha256_file, sha256_text, write_json, write_text
from footpass_lib.schema import FootpassError
from footpass_lib.study.place import Study, open_study
from footpass_lib.study.profiles import get_profile
from footpass_lib.study.results import metrics_folder, read_findings, read_record

LIBRARY = Path(__file__).parents[1]
_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
DEFAULT_PARAMETERS = {"profile": "", "data_root": "", "public_root": "", "seed": 0}


@dataclass(frozen=True)
class Notebook:
    """One notebook of the study, as it lies in ``notebooks/``.

    ``reads`` names the notebooks whose records it uses and ``needs_public`` whether it cannot do without the public
    files; both stand in the notebook's metadata under ``footpass``.
    """

    path: Path
    title: str
    question: str
    reads: tuple[str, ...]
    needs_public: bool
    source: str

    @property
    def name(self) -> str:
        return self.path.stem


def list_notebooks(folder: Path) -> list[Notebook]:
    """The notebooks of a folder in order.

    Raises
    ------
    FootpassError
        If the folder holds none, or one is not a notebook of this study.
    """
    paths = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise FootpassError(f"{folder}: no notebooks found")
    return [_read_notebook(path) for path in paths]


def _read_notebook(path: Path) -> Notebook:
    try:
        content = nbformat.read(path, as_version=4)
        about = content.metadata["footpass"]
    except Exception as error:  # nbformat raises errors of many kinds
        raise FootpassError(f"{path}: no notebook of this study ({type(error).__name__}: {error})") from error
    source = "\n".join(f"# {cell.cell_type}\n{cell.source}" for cell in content.cells)
    reads = tuple(about.get("reads", ()))
    return Notebook(path, about["title"], about["question"], reads, bool(about.get("needs_public")), source)


def choose(notebooks: list[Notebook], only: str = "", start: str = "") -> list[Notebook]:
    """The notebooks that ``--only 01,05`` and ``--from 05`` ask for (numbers or names).

    Raises
    ------
    FootpassError
        If one that is asked for does not exist.
    """

    def index(text: str) -> int:
        found = [i for i, n in enumerate(notebooks) if text.strip() in (n.name, n.name.split("_")[0])]
        if not found:
            raise FootpassError(f"no notebook {text.strip()!r}; there are {', '.join(n.name for n in notebooks)}")
        return found[0]

    if only:
        return [notebooks[i] for i in sorted({index(text) for text in only.split(",")})]
    return notebooks[index(start) :] if start else notebooks


def in_order(notebooks: list[Notebook]) -> list[Notebook]:
    """The notebooks by number, but each after those among them whose records it reads."""
    waiting, done = list(notebooks), []
    while waiting:
        names = {notebook.name for notebook in waiting}
        ready = [notebook for notebook in waiting if not names & set(notebook.reads)]
        done.append((ready or waiting)[0])
        waiting.remove(done[-1])
    return done


def library_modules(source: str, library: Path = LIBRARY) -> list[Path]:
    """Files of ``footpass_lib`` that a piece of code imports, directly or through others, sorted."""
    found: set[Path] = set()
    todo = [source]
    while todo:
        for path in _imported(todo.pop(), library) - found:
            found.add(path)
            todo.append(path.read_text(encoding="utf-8"))
    return sorted(found)


def _imported(source: str, library: Path) -> set[Path]:
    """Files that one piece of code imports from the library."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    files = set()
    for name in names:
        package, *rest = name.split(".")
        if package == library.name:
            place = library.joinpath(*rest)
            files |= {p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()}
    return files


def _code(notebook: Notebook) -> str:
    """The Python of a notebook without shell and magic lines."""
    cells = re.split(r"^# (code|markdown|raw)$", notebook.source, flags=re.MULTILINE)
    code = "\n".join(text for kind, text in zip(cells[1::2], cells[2::2], strict=True) if kind == "code")
    return "\n".join(line for line in code.splitlines() if not line.lstrip().startswith(("%", "!")))


def fingerprint(notebook: Notebook, study: Study) -> str:
    """Hash of all that a notebook's results follow from: text, library, parameters, public files, upstream records."""
    parts: list[object] = [notebook.source, study.profile.name, study.seed, str(study.data_root)]
    parts += [sha256_file(path) for path in library_modules(_code(notebook))]
    for upstream in notebook.reads:
        for path in sorted(metrics_folder(study.reports, study.profile.name).glob(f"{upstream}.*.json")):
            content = read_record(path)
            content.pop("run", None)
            parts.append([path.name, content])
    try:
        parts.append(public.find(study.public_root, study.project).hashes)
    except public.PublicFilesMissing:
        parts.append("no public files")
    return sha256_text(json.dumps(parts, sort_keys=True, default=str))


def runs_folder(study: Study) -> Path:
    """Where executed notebooks of the study's profile go."""
    return study.reports / "runs" / study.profile.name


def is_current(notebook: Notebook, study: Study, key: str) -> bool:
    """Whether the last run of a notebook had this fingerprint and all that it wrote is still there, unchanged."""
    folder = runs_folder(study)
    try:
        stamp = json.loads((folder / f"{notebook.name}.json").read_text(encoding="utf-8"))
        records = metrics_folder(study.reports, study.profile.name)
        good = all(sha256_file(records / name) == digest for name, digest in stamp["records"].items())
    except (OSError, ValueError, KeyError):
        return False
    outputs = [folder / f"{notebook.name}{suffix}" for suffix in (".ipynb", ".html")]
    return good and stamp.get("key") == key and all(path.is_file() for path in outputs)


def run_notebook(notebook: Notebook, study: Study, key: str, label: str) -> str:
    """Execute one notebook; the executed copy and its HTML appear only when it has run through.

    ``key`` is its fingerprint from before the run: what changes meanwhile makes it run again.

    Returns
    -------
    str
        ``""`` if it ran through, else why it was skipped (public files that it needs are missing).

    Raises
    ------
    FootpassError
        If a cell fails; the message has two lines: notebook and cell, and the error. What the notebook had done
        until then lies beside, as ``<name>.failed.ipynb``.
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
    records = sorted(metrics_folder(study.reports, study.profile.name).glob(f"{notebook.name}.*"))
    stamp = {"key": key, "seconds": round(time.monotonic() - started, 1)}
    write_json(folder / f"{notebook.name}.json", {**stamp, "records": {p.name: sha256_file(p) for p in records}})
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


@contextmanager
def _only_run(folder: Path) -> Iterator[None]:
    """Keep a second run of the same profile out, and clear what a killed one left."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FootpassError(f"{folder}: another run of this profile is going on") from None
            for left in folder.glob(".*.part*"):
                left.unlink()
            yield
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        raise FootpassError(f"{error.filename or folder}: cannot be written ({error.strerror})") from error


def _clear_left(study: Study) -> None:
    """Remove what a run that was killed had begun to write; commands without notebooks may be writing models, too."""
    left = [p for f in (metrics_folder(study.reports, study.profile.name), study.figures) for p in f.glob(".*.part")]
    left += [p for p in study.models.rglob(".*.part") if is_abandoned(p)]
    for path in left:
        path.unlink(missing_ok=True)


def run_all(study: Study, notebooks: list[Notebook], every: list[Notebook], fresh: bool) -> None:
    """Run the chosen notebooks, a line each, and rebuild the index page."""
    begun = time.monotonic()
    with _only_run(runs_folder(study)):
        _clear_left(study)
        try:
            for i, notebook in enumerate(in_order(notebooks), 1):
                label = f"[{i}/{len(notebooks)}] {notebook.name}"
                print(f"{label}: {notebook.title} ({_clock(time.monotonic() - begun)} elapsed)", flush=True)
                key = fingerprint(notebook, study)
                if not fresh and is_current(notebook, study, key):
                    print("    up to date", flush=True)
                    continue
                started = time.monotonic()
                skipped = run_notebook(notebook, study, key, label)
                done = f"skipped: {skipped}" if skipped else f"done in {_clock(time.monotonic() - started)}"
                print(f"    {done}", flush=True)
        finally:
            chapters = [(n.name, n.title, n.question) for n in every]
            page = pages.write_index(study.reports, study.profile.name, chapters, read_findings(study))
    print(f"finished in {_clock(time.monotonic() - begun)}; open {page}", flush=True)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def publish(study: Study, notebooks: list[Notebook]) -> None:
    """Put executed copies, with their outputs, in the place of the committed notebooks, and results in the README.

    Raises
    ------
    FootpassError
        If a copy is missing, not from this text, or was run with injected parameters.
    """
    for notebook in notebooks:
        executed = runs_folder(study) / notebook.path.name
        if not executed.is_file() or _read_notebook(executed).source != notebook.source:
            raise FootpassError(f"{executed}: no run of the present text; run it with its default parameters first")
        write_text(notebook.path, executed.read_text(encoding="utf-8"))
    if study.profile.name == "embedded":
        summary.fill_readme(study.project / "README.md", readme_tables(study))


def readme_tables(study: Study) -> dict[str, str]:
    """The README's tables: of notebooks, from their text and what they found, and of the full profile on a GPU."""
    notebooks = [(n.name, n.title, n.question, n.source) for n in list_notebooks(study.project / "notebooks")]
    run, gpu = costs.read_run(study.reports), costs.read_gpu(study.reports)
    tables = {"notebooks": summary.contents_table(notebooks, read_findings(study), run.get("seconds", {}))}
    if gpu:
        schedule = costs.full_schedule(gpu, get_profile("full"))
        tables["full profile"] = summary.full_profile_table(schedule, gpu["machine"]["gpu"])
    return tables


def _ensure_public(study: Study) -> None:
    """Get the public files if they are nowhere; without a network the study goes on without them."""
    try:
        public.find(study.public_root, study.project)
    except public.PublicFilesMissing as missing:
        if study.public_root or os.environ.get(public.ENVIRONMENT_VARIABLE):
            print(f"note: {missing}", file=sys.stderr)
            return
        try:
            print("getting the public FOOTPASS files (2.8 MB, CC BY-NC 4.0) ...", flush=True)
            public.download(study.project / public.DEFAULT_ROOT)
        except FootpassError as error:
            print(f"note: {error}\n      notebooks that need these files will be skipped", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run_all.sh", description="Run the study's notebooks in order.")
    parser.add_argument("--profile", default="", help="smoke, embedded (default) or full")
    parser.add_argument("--data-root", default="", help="folder of the gated archive, for the full profile")
    parser.add_argument("--public-root", default="", help="folder of the public FOOTPASS files")
    parser.add_argument("--only", default="", help="notebooks to run, for example 01,05")
    parser.add_argument("--from", dest="start", default="", help="run from this notebook on, for example 05")
    parser.add_argument("--fresh", action="store_true", help="run notebooks that are up to date, too")
    parser.add_argument("--publish", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--list-testable", action="store_true", help=argparse.SUPPRESS)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _parser().parse_args(argv)
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="papermill|nbclient|nbconvert|zmq|traitlets")
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    try:
        roots = (str(Path(root).resolve()) if root else "" for root in (options.data_root, options.public_root))
        study = open_study(options.profile, *roots)
        every = list_notebooks(study.project / "notebooks")
        notebooks = choose(every, options.only, options.start)
        if options.list_testable:
            _ensure_public(study)
            print("\n".join(str(n.path) for n in notebooks if _testable(n, study)))
        elif options.publish:
            publish(study, notebooks)
        else:
            _ensure_public(study)
            run_all(study, notebooks, every, options.fresh)
    except FootpassError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what had finished is kept, and the next run goes on from there", file=sys.stderr)
        return 130
    return 0


def _testable(notebook: Notebook, study: Study) -> bool:
    try:
        return not notebook.needs_public or bool(public.find(study.public_root, study.project))
    except public.PublicFilesMissing:
        return False


if __name__ == "__main__":
    sys.exit(main())
