"""Command line: ``python -m footpass_lib COMMAND``; every command is a file in ``commands/``."""

from __future__ import annotations

import argparse
import sys
import warnings

from footpass_lib.commands import data, evaluate, fit_gate, postprocess, pretrain, rescore, submit, train, video
from footpass_lib.schema import FootpassError

COMMANDS = (evaluate, data, video, train, pretrain, fit_gate, postprocess, rescore, submit)
# Whole numbers that options of any command may have; generators of random numbers take no others, nor would memory.
_NUMBERS = {
    "seed": (0, 2**32 - 1), "resamples": (1, 10**6), "workers": (1, 1024), "tolerance": (0, 2**31 - 1),
    "window": (0, 10**5), "merge_window": (0, 2**31 - 1),
    "width": (2, 8192), "height": (2, 8192),
}  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m footpass_lib", description="Action spotting in soccer, FOOTPASS")
    commands = parser.add_subparsers(required=True, dest="command")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


def _check_numbers(options: argparse.Namespace) -> None:
    for name, (low, high) in _NUMBERS.items():
        value = getattr(options, name, None)
        if value is not None and not low <= value <= high:
            flag = name.replace("_", "-")
            raise FootpassError(f"--{flag}: expected a whole number from {low} to {high}, found {str(value)[:20]}")


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
            _check_numbers(options)
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
