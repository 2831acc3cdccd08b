"""Raised and lowered text: 10⁹/L, H₂O, x², and the marks of notes, which are left out."""

import re
from typing import Any

RAISED = str.maketrans("0123456789+-−–=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁻⁼⁽⁾ⁿⁱ")
LOWERED = str.maketrans("0123456789+-−–=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₋₌₍₎")
RAISED_LETTER = dict(
    zip("abcdefghjklmoprstuvwxyzTVABDEGHIJKLMNOPRUW", "ᵃᵇᶜᵈᵉᶠᵍʰʲᵏˡᵐᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀⱽᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵁᵂ", strict=True)
)
LOWERED_LETTER = dict(zip("aehijklmnoprstuvx", "ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
INDEX = re.compile(r"[ijkmnt\d+\-−–=()]{1,6}")
"""An index of a formula, such as ij or n+1; other lowered letters are part of a name, such as Cmax or HbA1c."""

ORDINAL = re.compile(
    r"(?:st|nd|rd|th|er|re|ère|e|es|ème|eme|nde?|os|as|me|mes|lle|lles|le|de|te|ter|го|й|я|е)\.?", re.IGNORECASE
)
"""What is raised after a number or an initial as a matter of typography: 1st, 2ème, Mme."""

AS_THEY_ARE = re.compile(r"[™®©℠*†‡§¶°′″'\"’”.,:;!?†※△○●★☆†\s]+")
"""Signs that are raised already, and marks that mean the same when they are not."""

BRACKETED = re.compile(r"(?:[\[［【〔][^\[\]［］【】〔〕]{1,40}[\]］】〕][\s,;–-]*)+")
NOTE_CHARS = 12
NOTE_NAMES = re.compile(r"reference|footnote|noteref|\bcite|citation|\bfn\b", re.IGNORECASE)
PROSE_CHARS = 20
"""Longer raised or lowered text is small print, not a mark."""


def superscript(node: Any, before: str) -> str:
    """Return the text of a `sup` after the character `before`: empty for the mark of a note."""
    text = " ".join(node.text().split())
    return "" if not text or _is_note(node, text) else raised(text, before)


def subscript(node: Any, before: str) -> str:
    """Return the text of a `sub` after the character `before`."""
    text = " ".join(node.text().split())
    return "" if not text or _is_note(node, text) else lowered(text, before)


def raised(text: str, before: str) -> str:
    """Return raised text in raised characters where it has them, else as `^(…)`; ordinals and signs stay as they are.

    `before` is the character before it, or an empty text.
    """
    if AS_THEY_ARE.fullmatch(text):
        return text
    shown = text.translate(RAISED)
    if not any(map(_plain, shown)):
        return shown
    if text in ("TM", "tm"):
        return "™"
    if text in ("o", "a") and (before.isdigit() or before in ("n", "N")):
        return "º" if text == "o" else "ª"
    if before.isalnum() and ORDINAL.fullmatch(text):
        return text
    if text in RAISED_LETTER:
        return RAISED_LETTER[text]
    return f"^({text})" if len(text) <= PROSE_CHARS and before.strip() else text


def lowered(text: str, before: str) -> str:
    """Return lowered text in lowered characters where it has them; names stay as they are, the rest is `_(…)`."""
    shown = text.translate(LOWERED)
    if not any(map(_plain, shown)):
        return shown
    if INDEX.fullmatch(text) or (len(text) == 1 and text in LOWERED_LETTER):
        return "".join(LOWERED_LETTER.get(char, char) for char in shown)
    if text.isalnum() or len(text) > PROSE_CHARS or not before.strip():
        return text
    return f"_({text})"


def _plain(char: str) -> bool:
    """Return whether a character is neither raised nor lowered."""
    return char not in "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎"


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
