"""Formulas as text: the LaTeX that comes with them, or a linear form of MathML; images that stand for characters."""

import re
from typing import Any

from mmedc.formulas import SILENT, joined, latex

FORMULA_IMAGE = re.compile(r"math|tex\b|latex|formula|equation|eqn", re.IGNORECASE)
FORMULA_SOURCES = ("latex", "/math/", "mathtex", "mimetex", "codecogs", "tex?", "render/svg")
MAX_SOURCE = 300
"""Characters of the address of an image that are looked at; some hold the image itself."""

EMOJI = re.compile(r"emoji|smil", re.IGNORECASE)
EMOJI_CHARS = 8


def image_text(attributes: dict[str, str | None]) -> str:
    """Return what an image with these attributes stands for: a formula as LaTeX, an emoji, or nothing."""
    alt = attributes.get("alt")
    if not alt:
        return ""
    named = attributes.get("class") or ""
    source = (attributes.get("src") or "")[:MAX_SOURCE].lower()
    if FORMULA_IMAGE.search(named) or any(part in source for part in FORMULA_SOURCES):
        return latex(alt)
    if len(alt) <= EMOJI_CHARS and EMOJI.search(named) and not alt.isascii():
        return alt
    return ""


def formula(node: Any, _: str) -> str:
    """Return the text of a `math` element: its LaTeX where it has one, else a linear form."""
    for annotation in node.css("annotation"):
        if "tex" in (annotation.attributes.get("encoding") or "").lower() and (found := latex(annotation.text())):
            return found
    if found := latex(node.attributes.get("alttext") or ""):
        return found
    return " ".join(_linear(node).split())


def _linear(math: Any) -> str:
    """Return a formula on one line: fractions as a/b, roots as √(a), exponents and indices raised and lowered."""
    done: list[list[str]] = [[]]
    node: Any = math.first_child
    stack: list[Any] = []
    while node is not None or stack:
        if node is None:
            node = stack.pop()
            parts = done.pop()
            done[-1].append(joined(node.tag, parts))
        elif node.tag == "-text":
            done[-1].append(node.text_content.strip())
        elif node.tag not in SILENT and not node.tag.startswith("-"):
            stack.append(node)
            done.append([])
            node = node.first_child
            continue
        node = node.next
    return "".join(done[0])
