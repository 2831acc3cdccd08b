"""Raised and lowered text: 10⁹/L, H₂O, x², in pages and in books."""

import re

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

PROSE_CHARS = 20
"""Longer raised or lowered text is small print, not a mark."""


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
