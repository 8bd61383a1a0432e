"""Command line: ``python -m footpass_lib COMMAND``; every command is in a file in ``commands/``."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Collection

from footpass_lib.commands.listed import COMMANDS, add_parsers
from footpass_lib.commands.places import check_places
from footpass_lib.schema import FootpassError

# Whole numbers that options of any command may have; generators of random numbers take no others, nor would memory.
_NUMBERS = {
    "seed": (0, 2**32 - 1), "resamples": (1, 10**6), "workers": (1, 1024), "tolerance": (0, 2**31 - 1),
    "window": (0, 10**5), "merge_window": (0, 2**31 - 1),
    "width": (2, 8192), "height": (2, 8192),
}  # fmt: skip


def _parser(named: Collection[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m footpass_lib", description="Action spotting in soccer, FOOTPASS")
    add_parsers(parser.add_subparsers(required=True, dest="command"), named)
    return parser


def _check_numbers(options: argparse.Namespace) -> None:
    for name, (low, high) in _NUMBERS.items():
        value = getattr(options, name, None)
        if value is not None and not low <= value <= high:
            flag = name.replace("_", "-")
            raise FootpassError(f"--{flag}: expected a whole number from {low} to {high}, found {str(value)[:20]}")


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    words = sys.argv[1:] if argv is None else argv
    options = _parser([word for word in words[:1] if word in COMMANDS]).parse_args(words)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
            _check_numbers(options)
            check_places(options)
            options.run(options)
    except FootpassError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output (head, less) has seen enough
        sys.stderr.close()
        return 1
    except OSError as error:  # a disk that is full, a name that is too long
        where = f"{str(error.filename)[:200]}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
