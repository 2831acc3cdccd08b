"""Superscripts and subscripts as characters: 10⁹/L and H₂O, never 109/L and H2O where it matters.

A superscript that has no characters of its own in Unicode is written after `^`, unless it consists of letters alone,
as in `1st`; a subscript of letters follows plainly, as in `Cmax`.
"""

_SUP = dict(zip("0123456789+-−–=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁻⁼⁽⁾ⁿⁱ", strict=True))
_SUB = dict(zip("0123456789+-−–=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₋₌₍₎", strict=True))


def superscript(text: str) -> str:
    """Return how a superscript is written."""
    shown = text.strip()
    if not shown:
        return text
    if all(char in _SUP for char in shown):
        return "".join(_SUP[char] for char in shown)
    if any(char.isdigit() for char in shown) and not any(char in "[],; " for char in shown):
        return f"^{shown}" if len(shown) == 1 else f"^({shown})"
    return shown


def subscript(text: str) -> str:
    """Return how a subscript is written."""
    shown = text.strip()
    if not shown:
        return text
    if all(char in _SUB for char in shown):
        return "".join(_SUB[char] for char in shown)
    return shown
