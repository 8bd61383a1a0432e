"""Writing files so that a reader never sees half of one, and hashing them."""

from __future__ import annotations

import codecs
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import field, fields
from pathlib import Path
from typing import Any

from footpass_lib.schema import FootpassError

_SPARE_BYTES = 2**20
_PART = re.compile(r"\..*\.(?P<process>[0-9]+)\.[^.]+\.part")


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, which takes its place if the block ends without an error.

    For what a kill leaves see :func:`is_abandoned`. FootpassError if the folder cannot be written or the disk is full.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.{os.getpid()}.", suffix=".part", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise FootpassError(f"{path}: cannot be written ({error.strerror})") from error
    part = Path(name)
    try:
        yield part
        part.chmod(0o644)
        part.replace(path)
    except OSError as error:
        raise FootpassError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        part.unlink(missing_ok=True)


def is_abandoned(part: Path) -> bool:
    """Whether a temporary file of :func:`atomic_path` (``.<name>.<process>.<random>.part``) has lost its process."""
    named = _PART.fullmatch(part.name)
    try:
        if named is not None:
            os.kill(int(named["process"]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):  # another user's, or no number of a process
        pass
    return False


def require_room(path: Path, n_bytes: int) -> None:
    """OSError if the disk of ``path`` has not ``n_bytes`` and a megabyte left: HDF5 would crash instead."""
    if shutil.disk_usage(path.parent).free < n_bytes + _SPARE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


# Longest first: the mark of UTF-16 begins that of UTF-32.
_MARKS = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32", codecs.BOM_UTF16_LE: "UTF-16",
          codecs.BOM_UTF16_BE: "UTF-16"}  # fmt: skip


def read_text(path: Path) -> str:
    """Text of a UTF-8 file, a byte-order mark left out; FootpassError, naming the encoding, if it is something else."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FootpassError(f"{path}: cannot be read ({error.strerror})") from error
    marked = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    if marked is None and b"\0" in content[:4]:
        marked = "UTF-32" if b"\0\0" in content[:4] else "UTF-16"
    if marked:
        raise FootpassError(f"{path}: is {marked} text; expected UTF-8, as which an editor can save it anew")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FootpassError(f"{path}: no UTF-8 text (byte {error.start})") from error


def read_object(path: Path) -> dict:
    """Read a JSON file that holds an object; FootpassError if it cannot be read or holds something else."""
    text = read_text(path)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FootpassError(f"{path}: no valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise FootpassError(f"{path}: holds a {type(value).__name__}, expected an object")
    return value


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically; errors as in :func:`atomic_path`."""
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: object) -> None:
    """Write readable JSON atomically (NaN refused); errors as in :func:`atomic_path`."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def sha256_file(path: Path | str) -> str:
    """SHA-256 of a file's bytes, as hexadecimal text."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, as hexadecimal text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def key_of(*parts: object) -> str:
    """SHA-256 of what a kept result depends on: settings (dataclasses, by class and fields), keys of files, seeds."""
    return sha256_text(json.dumps(parts, sort_keys=True, default=_class_and_fields))


def _class_and_fields(settings: object) -> list:
    return [type(settings).__name__, settings_that_count(settings)]


def off(default: Any) -> Any:
    """A setting of a dataclass that came later: at this default, which must stay, everything is as it was without it.

    There it is no part of a key, so that results that were kept before are found.
    """
    return field(default=default, metadata={"off": True})


def settings_that_count(settings: object) -> dict[str, object]:
    """The fields of a dataclass with their values, without those that are :func:`off`."""
    values = {each: getattr(settings, each.name) for each in fields(settings)}
    return {
        each.name: value for each, value in values.items() if not ("off" in each.metadata and value == each.default)
    }


_SAMPLED_BYTES = 2**20


def file_key(path: Path) -> str:
    """Sixteen hexadecimal digits for a large file: a hash of its size, its first and its last MiB.

    An mp4 with its table of frames at either end, and a compressed HDF5, change in there with any frame or row.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as stream:
        digest.update(stream.read(_SAMPLED_BYTES))
        stream.seek(max(0, size - _SAMPLED_BYTES))
        digest.update(stream.read())
    return digest.hexdigest()[:16]
