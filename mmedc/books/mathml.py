"""Formulas in the XML of books: MathML, and the TeX that documents carry, without the document around it."""

import re
from typing import Any

from mmedc.books.xmlfile import local
from mmedc.formulas import SILENT, joined, latex

_BODY = re.compile(r"\\begin\{document\}(.*?)\\end\{document\}", re.DOTALL)


def tex(source: str) -> str:
    """Return TeX in dollars, without the document that some publishers put around each formula."""
    body = _BODY.search(source)
    return latex(body[1] if body else source)


def mathml(node: Any) -> str:
    """Return a `math` element as text: its TeX where it has one, else a linear form."""
    for child in node.iter("{*}annotation"):
        if "tex" in (child.get("encoding") or "").lower() and (found := tex("".join(child.itertext()))):
            return found
    if found := tex(node.get("alttext") or ""):
        return found
    return " ".join(_linear(node).split())


def _linear(node: Any) -> str:
    """Return an element on one line; the parser bounds how deep elements nest."""
    name = local(node)
    if not name or name in SILENT:
        return ""
    parts = [part for part in ((node.text or "").strip(), *map(_linear, node)) if part]
    return joined(name, parts)
