"""The text of what a page shows: of a run of inline pieces, of elements that are written as a whole, of the page."""

import re
from collections.abc import Callable
from typing import Any

INLINE: dict[str, Callable[[Any], str]] = {}
"""Inline elements that are written as a whole, by name: a function from the node to its text."""

_SPACE = re.compile(r"[ \t\r\f\v\n]+")


def text(pieces: list[str]) -> str:
    """Return the text of a run: white space as one space, as browsers show it."""
    return _SPACE.sub(" ", "".join(pieces)).strip()
