"""Whether a notebook's last run still stands: a fingerprint of all that its results follow from, and what it wrote."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from footpass_lib.book.notebooks import Notebook
from footpass_lib.events import public
from footpass_lib.files import key_of, sha256_file, write_json
from footpass_lib.study.place import Study
from footpass_lib.study.pretrained import weights_hash
from footpass_lib.study.results import metrics_folder, read_record

LIBRARY = Path(__file__).parents[1]


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


def fingerprint(notebook: Notebook, study: Study) -> str:
    """Hash of all that a notebook's results follow from: text, library, parameters, weights, public files, records."""
    origins: list[object] = [notebook.source, study.profile.name, study.seed, str(study.data_root)]
    origins.append(weights_hash(study))
    origins += [sha256_file(path) for path in library_modules(notebook.code)]
    for upstream in notebook.reads:
        for path in sorted(metrics_folder(study.reports, study.profile.name).glob(f"{upstream}.*.json")):
            content = read_record(path)
            content.pop("run", None)
            origins.append([path.name, content])
    try:
        origins.append(public.find(study.public_root, study.project).hashes)
    except public.PublicFilesMissing:
        origins.append("no public files")
    return key_of(*origins)


def runs_folder(study: Study) -> Path:
    """Where executed notebooks of the study's profile go."""
    return study.reports / "runs" / study.profile.name


def write_stamp(notebook: Notebook, study: Study, key: str, seconds: float) -> None:
    """Note that a notebook has been run, with the fingerprint ``key``, and what it wrote: records and its finding."""
    written = sorted(metrics_folder(study.reports, study.profile.name).glob(f"{notebook.name}.*"))
    stamp = {"key": key, "seconds": round(seconds, 1), "records": {path.name: sha256_file(path) for path in written}}
    write_json(runs_folder(study) / f"{notebook.name}.json", stamp)


def is_current(notebook: Notebook, study: Study, key: str) -> bool:
    """Whether the last run of a notebook had this fingerprint and all that it wrote is still there, unchanged."""
    folder = runs_folder(study)
    try:
        stamp = json.loads((folder / f"{notebook.name}.json").read_text(encoding="utf-8"))
        records = metrics_folder(study.reports, study.profile.name)
        unchanged = all(sha256_file(records / name) == digest for name, digest in stamp["records"].items())
    except (OSError, ValueError, KeyError):
        return False
    outputs = [folder / f"{notebook.name}{suffix}" for suffix in (".ipynb", ".html")]
    return unchanged and stamp.get("key") == key and all(path.is_file() for path in outputs)
