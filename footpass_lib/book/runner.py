"""Run the study: execute the notebooks in order, skip what is up to date, build the index page.

``python -m footpass_lib.book.runner`` is what ``run_all.sh`` calls once the environment stands.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from footpass_lib.book import pages
from footpass_lib.book.current import fingerprint, is_current, runs_folder
from footpass_lib.book.execute import run_notebook
from footpass_lib.book.notebooks import Notebook, choose, in_order, list_notebooks
from footpass_lib.book.summary import publish
from footpass_lib.events import public
from footpass_lib.files import is_abandoned
from footpass_lib.schema import FootpassError
from footpass_lib.study.place import FROM_SCRATCH, Study, open_study
from footpass_lib.study.results import metrics_folder, read_findings

_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


@contextmanager
def _only_run(folder: Path) -> Iterator[None]:
    """Keep a second run of the same profile out."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FootpassError(f"{folder}: another run of this profile is going on") from None
            yield
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        raise FootpassError(f"{error.filename or folder}: cannot be written ({error.strerror})") from error


def _clear_left(study: Study) -> None:
    """Remove what a run that was killed had begun to write; commands without notebooks may be writing models, too."""
    folders = runs_folder(study), metrics_folder(study.reports, study.profile.name), study.figures
    left = [path for folder in folders for path in folder.glob(".*.part*")]
    left += [path for path in study.models.rglob(".*.part") if is_abandoned(path)]
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
            words = study.project / "docs" / "glossary.md"
            page = pages.write_index(study.reports, study.profile.name, chapters, read_findings(study), words)
    print(f"finished in {_clock(time.monotonic() - begun)}; open {page}", flush=True)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _ensure_public(study: Study) -> bool:
    """Get the public files if they are nowhere, and say whether they are there: the study goes on without them."""
    try:
        public.find(study.public_root, study.project)
    except public.PublicFilesMissing as missing:
        if study.public_root or os.environ.get(public.ENVIRONMENT_VARIABLE):
            print(f"note: {missing}", file=sys.stderr)
            return False
        try:
            print("getting the public FOOTPASS files (2.8 MB, CC BY-NC 4.0) ...", flush=True)
            public.download(study.project / public.DEFAULT_ROOT)
        except FootpassError as error:
            print(f"note: {error}\n      notebooks that need these files will be skipped", file=sys.stderr)
            return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run_all.sh", description="Run the study's notebooks in order.")
    parser.add_argument("--profile", default="", help="smoke, embedded (default) or full")
    parser.add_argument("--data-root", default="", help="folder of the gated archive, for the full profile")
    parser.add_argument("--public-root", default="", help="folder of the public FOOTPASS files")
    parser.add_argument("--only", default="", help="notebooks to run, for example 01,05")
    parser.add_argument("--from", dest="start", default="", help="run from this notebook on, for example 05")
    parser.add_argument("--fresh", action="store_true", help="run notebooks that are up to date, too")
    parser.add_argument(
        "--from-scratch", action="store_true", help="train without the weights that come with the study"
    )
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
        if options.from_scratch:
            os.environ[FROM_SCRATCH] = "1"  # for the notebooks, each of which is a process
        study = open_study(options.profile, *roots)
        every = list_notebooks(study.project / "notebooks")
        notebooks = choose(every, options.only, options.start)
        if options.list_testable:
            all_of_them = _ensure_public(study)
            print("\n".join(str(n.path) for n in notebooks if all_of_them or not n.needs_public))
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


if __name__ == "__main__":
    sys.exit(main())
