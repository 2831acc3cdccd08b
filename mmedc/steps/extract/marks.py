"""Raised and lowered text: 10⁹/L, H₂O, x², and the marks of notes, which are left out."""

import re
from typing import Any

from mmedc.raised import lowered, raised

BRACKETED = re.compile(r"(?:[\[［【〔][^\[\]［］【】〔〕]{1,40}[\]］】〕][\s,;–-]*)+")
NOTE_CHARS = 12
NOTE_NAMES = re.compile(r"reference|footnote|noteref|\bcite|citation|\bfn\b", re.IGNORECASE)


LABEL = re.compile(r"\[?\w{1,3}\]?[.)]?|[*†‡§¶]{1,3}")
"""A raised text at the beginning of a paragraph: it names the note that follows, and stays with it."""

POWER = re.compile(r"(?:^|[^\d.,])10$")
PER = re.compile(r"\s*[/·⋅]\s*[^\W\d_]")
NUMBERS = re.compile(r"\d{1,3}(?:\s?[,;–-]\s?\d{1,3})*")
AFTER_SENTENCE = re.compile(r"[^\W\d_][.,;:!?”’\"»]$|[。，、；：！？」』）]$|[\u3041-\u30ff\u3400-\u9fff]$|\d{4}[.,;]$")
AFTER_WORD = re.compile(r"[^\W\d_]{4,}$")
UNITS = re.compile(
    r"(?:met(?:er|re)s?|inch(?:es)?|feet|foot|miles?|yards?|seconds?|метр\w*|metros?|mètres?|metri)$", re.IGNORECASE
)


def superscript(node: Any, before: str) -> str:
    """Return the text of a `sup` that follows the text `before`: empty for the mark of a note."""
    text = " ".join(node.text().split())
    if not before.strip():
        return raised(text, "") if LABEL.fullmatch(text) else _unless_note(node, text, before)
    return raised(text, before[-1:]) if _is_power(node, text, before) else _unless_note(node, text, before)


def _unless_note(node: Any, text: str, before: str) -> str:
    return "" if not text or _is_note(node, text) or _refers(text, before) else raised(text, before[-1:])


def subscript(node: Any, before: str) -> str:
    """Return the text of a `sub` that follows the text `before`."""
    text = " ".join(node.text().split())
    return lowered(text, before[-1:]) if text else ""


def _is_power(node: Any, text: str, before: str) -> bool:
    """Return whether a raised number is a power of ten, though it is a link: 5 × 10⁹, or 10⁹/L."""
    if not text.lstrip("-−–+").isdigit() or not POWER.search(before):
        return False
    following = node.next
    after = following.text_content if following is not None and following.tag == "-text" else ""
    return before[:-2].rstrip()[-1:] in ("×", "x", "·", "⋅", "*") or bool(PER.match(after or ""))


def _refers(text: str, before: str) -> bool:
    """Return whether raised numbers are marks of notes and no exponent: after a sentence, or a word that is no unit."""
    if not NUMBERS.fullmatch(text):
        return False
    before = before[-20:]
    if AFTER_SENTENCE.search(before):
        return True
    return bool(AFTER_WORD.search(before)) and not (text in ("2", "3") and UNITS.search(before))


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
