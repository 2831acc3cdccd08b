"""Raised and lowered text: 10⁹/L, H₂O, x², and the marks of notes, which are left out."""

import re
from typing import Any

from mmedc.raised import lowered, raised

BRACKETED = re.compile(r"(?:[\[［【〔][^\[\]［］【】〔〕]{1,40}[\]］】〕][\s,;–-]*)+")
NOTE_CHARS = 12
NOTE_NAMES = re.compile(r"reference|footnote|noteref|\bcite|citation|\bfn\b", re.IGNORECASE)


def superscript(node: Any, before: str) -> str:
    """Return the text of a `sup` after the character `before`: empty for the mark of a note."""
    text = " ".join(node.text().split())
    return "" if not text or _is_note(node, text) else raised(text, before)


def subscript(node: Any, before: str) -> str:
    """Return the text of a `sub` after the character `before`."""
    text = " ".join(node.text().split())
    return "" if not text or _is_note(node, text) else lowered(text, before)


def _is_note(node: Any, text: str) -> bool:
    """Return whether a raised or lowered text refers to a note: in brackets, or a short link within the page."""
    if BRACKETED.fullmatch(text):
        return True
    if len(text) > NOTE_CHARS:
        return False
    attributes = node.attributes
    if NOTE_NAMES.search(f"{attributes.get('class')} {attributes.get('id')}"):
        return True
    link = node.css_first("a[href]") if node.first_child is not None else None
    if link is None and node.parent is not None and node.parent.tag == "a":
        link = node.parent
    if link is None:
        return False
    linked = link.attributes
    return "#" in (linked.get("href") or "") or bool(NOTE_NAMES.search(f"{linked.get('class')} {linked.get('role')}"))
