"""The text of what a page shows: of a run of inline pieces, of elements that are written as a whole, of the page."""

import re
from collections.abc import Callable
from typing import Any

INLINE: dict[str, Callable[[Any], str]] = {}
"""Inline elements that are written as a whole, by name: a function from the node to its text."""

BREAK = "\0"
"""A line break of the page among the pieces of a run. No parsed page contains this character."""

_BREAKS = re.compile(f" ?(?:{BREAK} ?)+")


def text(pieces: list[str]) -> str:
    """Return the text of a run: white space as one space, as browsers show it, and breaks as line feeds."""
    joined = " ".join("".join(pieces).split())
    return _BREAKS.sub("\n", joined).strip() if BREAK in joined else joined


def preformatted(pieces: list[str]) -> str:
    """Return the text of a run within `pre`, with its lines and its indents."""
    return "".join(pieces).replace(BREAK, "\n").strip("\n").rstrip()


def table(rows: list[list[str]]) -> str:
    """Return a table of data as lines of Markdown; a cell of several runs is one line."""
    return "\n".join(["| " + " | ".join(row) + " |" for row in rows])


def hidden(attributes: dict[str, str | None]) -> bool:
    """Return whether an element with these attributes says that it is not shown."""
    if "hidden" in attributes or attributes.get("aria-hidden") == "true":
        return True
    return "display:none" in (attributes.get("style") or "").replace(" ", "")
