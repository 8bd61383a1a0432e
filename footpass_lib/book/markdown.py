"""Markdown of the book as HTML: formulas between dollar signs become MathML, and links stay within the book.

A browser draws MathML itself, so that a page needs no script. On a code host the same text is drawn by the host.
"""

from __future__ import annotations

import re
from html import escape, unescape

import nbconvert
from jinja2 import pass_context
from jinja2.runtime import Context
from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

GLOSSARY = "../docs/glossary.md"  # as notebooks link to it


class BookRenderer(IPythonRenderer):
    """nbconvert's Markdown, with formulas as MathML and links to notebooks and the glossary as links to their pages."""

    def inline_math(self, body: str) -> str:
        return mathml(body)

    def block_math(self, body: str) -> str:
        return mathml(body, "block")

    def heading(self, text: str, level: int, **attrs: object) -> str:
        words = re.sub(r"[^\w\s-]", "", unescape(re.sub(r"<.*?>", "", text)))
        anchor = re.sub(r"\s", "-", words.strip().lower())  # as a code host makes it
        return f'<h{level} id="{anchor}">{text}</h{level}>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        return super().link(text, book_link(url), title)


class BookExporter(nbconvert.HTMLExporter):
    """Notebooks as HTML, their Markdown by :func:`to_html`."""

    @pass_context
    def markdown2html(self, context: Context, source: str) -> str:
        return to_html(source)


def to_html(text: str) -> str:
    """Markdown as HTML."""
    return MarkdownWithMath(renderer=BookRenderer(escape=False, exclude_anchor_links=True)).render(text)


def mathml(formula: str, display: str = "inline") -> str:
    """A LaTeX formula as MathML; as it was written where it cannot be read."""
    try:
        return convert(formula.strip(), display=display)
    except Exception:  # the converter's errors have no common family
        return f"<code>{escape(formula)}</code>"


def book_link(url: str) -> str:
    """Where a link of a notebook leads in the book; links to other sites are left."""
    if url.startswith(GLOSSARY):
        return "../../glossary.html" + url.removeprefix(GLOSSARY)
    return re.sub(r"^(\d\d_\w+)\.ipynb", r"\1.html", url)
