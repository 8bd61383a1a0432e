"""``python -m footpass_lib unpack``: unpack the official archives to where the other commands find them."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from functools import cache
from pathlib import Path

from footpass_lib.files import read_text
from footpass_lib.schema import FootpassError

_VARIABLE = "FOOTPASS_PASSWORD"


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command ``unpack`` to a command line."""
    parser = commands.add_parser(
        "unpack",
        description="Unpack zips of the official archive below one folder, which the other commands take as their "
        f"--data-root. The password is read from --password-file, or the variable {_VARIABLE}, or asked for.",
    )
    parser.add_argument("archives", type=Path, nargs="+", metavar="ZIP", help="for example videos_352x640_VAL.zip")
    parser.add_argument("--out", type=Path, required=True, help="folder of the data root")
    parser.add_argument("--password-file", type=Path, help="file whose first line is the password")
    parser.set_defaults(run=run_unpack)


def run_unpack(options: argparse.Namespace) -> None:
    """``unpack``: archive by archive; what is there already is left as it is."""
    from footpass_lib.data.archive import unpack  # its cryptography takes a moment to import

    @cache
    def password() -> str:
        return _password(options.password_file)

    for archive in options.archives:
        done = unpack(archive, options.out, password)
        folders = sorted({str(path.parent) for path in done.written + done.there})
        print(f"{archive}: {len(done.written)} files written, {len(done.there)} were there: {', '.join(folders)}")


def _password(file: Path | None) -> str:
    if file is not None:
        lines = read_text(file).splitlines()
        if not lines:
            raise FootpassError(f"{file}: is empty; expected the password in its first line")
        return lines[0]
    if _VARIABLE in os.environ:
        return os.environ[_VARIABLE]
    if not sys.stdin.isatty():
        raise FootpassError(f"the archive is encrypted; expected --password-file or the variable {_VARIABLE}")
    return getpass.getpass("password of the archives: ")
