"""Unpacking the official archives: zips of tables and videos, those of videos encrypted with AES, which unzip lacks."""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pyzipper
from tqdm import tqdm

from footpass_lib.files import atomic_path, require_room
from footpass_lib.schema import FootpassError

_PIECE = 2**20
_ENCRYPTED = 0x1  # bit of a member's flags
_CLUTTER = ("__MACOSX", ".DS_Store")
# What pyzipper raises where bytes are wrong; LookupError for numbers that it has no cipher or compression of.
_DAMAGE = (pyzipper.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, LookupError, NotImplementedError,
           TypeError, ValueError)  # fmt: skip


class Unpacked(NamedTuple):
    """What came of an archive: files written, and files that were there already."""

    written: list[Path]
    there: list[Path]


def unpack(archive: Path | str, out: Path | str, password: Callable[[], str], progress: bool = True) -> Unpacked:
    """Unpack a zip below ``out``; files without a folder go into one of the archive's name.

    A file that is there with its full size is left as it is, and every other one is written atomically: an unpacking
    that was stopped goes on. ``password`` is asked for once, if the archive is encrypted (AES or the old way).
    FootpassError, naming archive and file, if the password is wrong, bytes are damaged, a file would lie outside
    ``out``, or the disk is full.
    """
    archive, out = Path(archive), Path(out)
    if not archive.is_file():
        raise FootpassError(f"{archive}: there is no such file; expected a zip archive")
    try:
        with pyzipper.AESZipFile(archive) as opened:
            members = [(member, out / _place(archive, member.filename)) for member in _files(opened)]
            todo = [(member, path) for member, path in members if not _is_there(path, member.file_size)]
            key = password().encode() if any(member.flag_bits & _ENCRYPTED for member, _ in todo) else None
            total = sum(member.file_size for member, _ in todo)
            with tqdm(
                total=total, unit="B", unit_scale=True, desc=archive.name, disable=None if progress else True
            ) as bar:
                for member, path in todo:
                    _extract(opened, member, path, key, bar.update)
    except FootpassError:
        raise
    except OSError as error:
        raise FootpassError(f"{archive}: cannot be read ({error.strerror or error})") from error
    except _DAMAGE as error:
        raise FootpassError(f"{archive}: no zip archive, or damaged ({error})") from error
    written = [path for _, path in todo]
    return Unpacked(written, [path for _, path in members if path not in set(written)])


def _files(opened: pyzipper.AESZipFile) -> list[pyzipper.ZipInfo]:
    names = [(member, PurePosixPath(member.filename.replace("\\", "/"))) for member in opened.infolist()]
    return [member for member, path in names if not member.is_dir() and not set(_CLUTTER) & set(path.parts)]


def _place(archive: Path, name: str) -> PurePosixPath:
    """Where a file goes below the folder that is unpacked to."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise FootpassError(f"{archive}: {name[:60]!r} would lie outside the folder that is unpacked to")
    return path if len(path.parts) > 1 else PurePosixPath(archive.stem) / path


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _extract(
    opened: pyzipper.AESZipFile, member: pyzipper.ZipInfo, path: Path, key: bytes | None, tick: Callable[[int], object]
) -> None:
    """Write one file."""
    with atomic_path(path) as part:
        require_room(part, member.file_size)
        with part.open("wb") as target:
            for piece in _pieces(opened, member, key):
                target.write(piece)
                tick(len(piece))


def _pieces(opened: pyzipper.AESZipFile, member: pyzipper.ZipInfo, key: bytes | None) -> Iterator[bytes]:
    """The bytes of one file."""
    place = f"{opened.filename}: {member.filename}"
    try:
        with opened.open(member, pwd=key) as source:
            while piece := source.read(_PIECE):
                yield piece
    except (OSError, *_DAMAGE) as error:
        raise FootpassError(f"{place}: cannot be unpacked, the archive is damaged ({error})") from error
    except RuntimeError as error:  # how pyzipper says so
        raise FootpassError(f"{place}: {str(error).lower()}; expected the password that comes with the NDA") from error
