"""What a command reads and writes: nothing is written over what was read, nor twice to one place."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from footpass_lib.schema import FootpassError

WRITTEN = ("out", "json")  # options that name what a command writes; every other file or folder is read
_FOLDERS = ("work",)  # kept stages of its own, read and written
# What the library reads below a folder that it is given: tables and videos wherever they are unpacked, events.
_SOURCE = re.compile(
    r"[^/]*_tactical_data\.h5|game_[0-9]+\.mp4|TAAD_sample_list\.json"
    r"|(?:playbyplay_GT|playbyplay_PRED|challenge_truth)/playbyplay_[^/]*\.json"
)


def check_places(options: argparse.Namespace) -> None:
    """FootpassError if a command line's output is one of its inputs, under whatever name or link, or another output.

    Of a folder that is read, that goes for the tables, videos and event files in it.
    """
    targets = [path for path in (getattr(options, name, None) for name in WRITTEN) if isinstance(path, Path)]
    sources = list(_sources(options))
    for i, target in enumerate(targets):
        if any(_same(target, source) for source in sources):
            raise FootpassError(f"{target}: is read by this command; expected another file to write")
        if any(_same(target, other) for other in targets[:i]):
            raise FootpassError(f"{target}: is to be written twice; expected two files")
        keep_sources(target, sources)


def keep_sources(target: Path, folders: Iterable[Path]) -> None:
    """Refuse to write over a table, a video or an event file that lies in one of these folders."""
    place = target.resolve()
    official = _SOURCE.fullmatch(place.name) or _SOURCE.fullmatch(f"{place.parent.name}/{place.name}")
    if official and place.exists() and any(folder.resolve() in place.parents for folder in folders):
        raise FootpassError(f"{target}: is a file of the data that this command reads; expected another file to write")


def _sources(options: argparse.Namespace) -> Iterator[Path]:
    """Every file and folder that a command line names to be read; of a text that may be a number, a file if it is."""
    for name, value in vars(options).items():
        if name in WRITTEN or name in _FOLDERS:
            continue
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, tuple):  # a step of post-processing and its value
                text = text[-1]
            if isinstance(text, Path) or (isinstance(text, str) and Path(text).is_file()):
                yield Path(text)


def _same(one: Path, other: Path) -> bool:
    """Whether two paths are one place, or links to one file."""
    if one.resolve() == other.resolve():
        return True
    try:
        return one.samefile(other)
    except (OSError, ValueError):  # one of them is not there, or no possible name
        return False
