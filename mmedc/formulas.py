"""Formulas as text, in pages and in books: LaTeX between dollar signs, or a linear form of MathML."""

import re

from mmedc.raised import lowered, raised

MAX_CHARS = 2_000
STYLE = re.compile(r"^\{\\(?:displaystyle|textstyle)\s*(.*)\}$", re.DOTALL)
FENCES = (("\\(", "\\)"), ("\\[", "\\]"), ("$$", "$$"), ("$", "$"))
RELATIONS = frozenset("=<>≤≥≈≠±×+−→⇒∈·∼")
SILENT = frozenset(("annotation", "annotation-xml", "mphantom", "none", "mspace", "maligngroup", "malignmark"))
"""Elements of MathML that show nothing."""


def latex(source: str) -> str:
    """Return LaTeX between dollar signs, without the command for its size; empty for none or one beyond `MAX_CHARS`."""
    text = " ".join(source.split())
    for opening, closing in FENCES:
        if text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing):
            text = text[len(opening) : -len(closing)].strip()
            break
    if found := STYLE.match(text):
        text = found[1].strip()
    return f"${text}$" if text and len(text) <= MAX_CHARS else ""


def joined(tag: str, parts: list[str]) -> str:
    """Return the text of an element of MathML from those of its children."""
    whole = "".join(parts)
    first, second, third = (*parts, "", "", "")[:3]
    if tag == "mo":
        return f" {whole} " if whole in RELATIONS else whole
    if tag == "mtext":
        return f" {whole} "
    if tag == "mfrac":
        return f"{_grouped(first)}/{_grouped(second)}"
    if tag in ("msup", "mover"):
        return first + raised(second.replace(" ", ""), first[-1:])
    if tag in ("msub", "munder"):
        return first + lowered(second.replace(" ", ""), first[-1:])
    if tag in ("msubsup", "munderover"):
        return first + lowered(second.replace(" ", ""), first[-1:]) + raised(third.replace(" ", ""), first[-1:])
    if tag == "msqrt":
        return f"√({whole})"
    if tag == "mroot":
        return f"{raised(second, 'x')}√({first})"
    if tag == "mtr":
        return f"{' '.join(parts)}; "
    return f"({', '.join(parts)})" if tag == "mfenced" else whole


def _grouped(part: str) -> str:
    part = part.strip()
    return part if part.isalnum() else f"({part})"
