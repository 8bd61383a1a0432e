"""Source of the library shown in a notebook: what is read there is what runs."""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path
from typing import Any

from IPython.display import Markdown

import footpass_lib

_PACKAGE = Path(footpass_lib.__file__).parent


def show_source(*things: object, folded: bool = True) -> Markdown:
    """Source of functions, methods and classes of the library, highlighted, one below the other.

    Each is headed by its name and file, and unless it is not ``folded``, opens by a click.
    """
    return Markdown("\n\n".join(_block(thing, folded) for thing in things))


def _block(thing: Any, folded: bool) -> str:
    thing = inspect.unwrap(thing)  # what a decorator was put on
    file = Path(inspect.getsourcefile(thing)).relative_to(_PACKAGE.parent).as_posix()
    code = f"```python\n{textwrap.dedent(inspect.getsource(thing))}```"
    head = f"<code>{thing.__qualname__}</code> in <code>{file}</code>"
    return f"<details><summary>{head}</summary>\n\n{code}\n\n</details>" if folded else f"{head}\n\n{code}"
