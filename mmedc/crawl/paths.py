"""Patterns of paths, as robots.txt and tdmrep.json have them."""

import re
from urllib.parse import unquote, urlsplit


def path_of(url: str) -> str:
    """Return the path and query of a URL, with its escapes undone."""
    parts = urlsplit(url)
    return unquote(parts.path + (f"?{parts.query}" if parts.query else ""))


def path_matches(pattern: str, path: str) -> bool:
    """Return whether a path begins as a pattern says, in which `*` is anything and a final `$` the end."""
    pattern = unquote(pattern)
    ends = pattern.endswith("$")
    pieces = re.sub(r"\*+", "*", pattern[:-1] if ends else pattern).split("*")
    at = len(pieces[0])
    if not path.startswith(pieces[0]):
        return False
    for piece in pieces[1:-1]:  # the leftmost place is the best, so nothing is tried twice
        at = path.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    last = pieces[-1] if len(pieces) > 1 else None
    if not ends:
        return last is None or path.find(last, at) >= 0
    return len(path) == at if last is None else len(path) - len(last) >= at and path.endswith(last)
