"""The pins of environment.yml: list them, or say what an environment lacks; cores. Needs nothing but Python itself.

``run_all.sh`` runs this file as a script before anything is installed: ``environment.py requirements|check FILE``.
"""

from __future__ import annotations

import os
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PIN = re.compile(r"^\s*-\s+([A-Za-z0-9_.-]+)==([0-9][A-Za-z0-9.]*)\s*(?:#.*)?$")
MINIMUM_PYTHON = (3, 11)


def cores() -> int:
    """Cores that this process may use, at least 1."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def read_pins(path: Path | str) -> dict[str, str]:
    """Names and versions of the ``pip:`` section of an environment file."""
    text = Path(path).read_text(encoding="utf-8")
    section = text.split("- pip:\n", 1)[-1]
    return {m[1]: m[2] for m in map(_PIN.match, section.splitlines()) if m}


def unmet(pins: dict[str, str]) -> list[str]:
    """What the running Python lacks of the pins, one text each; empty if it has all."""
    problems = []
    if sys.version_info < MINIMUM_PYTHON:
        problems.append(f"Python {'.'.join(map(str, MINIMUM_PYTHON))} or newer (this is {sys.version.split()[0]})")
    for name, wanted in pins.items():
        try:
            found = version(name).split("+")[0]
        except PackageNotFoundError:
            found = "none"
        if found != wanted:
            problems.append(f"{name}=={wanted} (found {found})")
    return problems


def main(argv: list[str]) -> int:
    """``requirements FILE`` prints pins for pip; ``check FILE`` exits with 1 and says what is missing."""
    task, path = argv
    pins = read_pins(path)
    if task == "requirements":
        print("\n".join(f"{name}=={wanted}" for name, wanted in pins.items()))
        return 0
    problems = unmet(pins)
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
