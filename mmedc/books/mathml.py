"""Formulas: MathML as TeX, and the TeX that documents carry, without the document around it."""

import re
from typing import Any

from mmedc.books.scripts import subscript, superscript

_BODY = re.compile(r"\\begin\{document\}(.*?)\\end\{document\}", re.DOTALL)
_DOLLARS = re.compile(r"^\$+|\$+$")
_SPACE = re.compile(r"\s+")
_ROW_END = r" \\ "
STRUCTURE = frozenset(("mfrac", "msqrt", "mroot", "munder", "mover", "munderover", "mtable", "msubsup"))


def tex(source: str) -> str:
    """Return TeX in dollars, without the document that some publishers put around each formula."""
    if body := _BODY.search(source):
        source = body[1]
    inner = _DOLLARS.sub("", source.strip()).strip()
    return f"${_SPACE.sub(' ', inner)}$" if inner else ""


def mathml(node: Any) -> str:
    """Return a MathML element as text: plain where it is only a line of symbols, otherwise TeX in dollars."""
    for child in node.iter():
        if _name(child) == "annotation" and "tex" in (child.get("encoding") or "").lower():
            return tex("".join(child.itertext()))
    names = {_name(child) for child in node.iter()}
    if names & STRUCTURE:
        return f"${_SPACE.sub(' ', _tex(node)).strip()}$"
    return _SPACE.sub(" ", _line(node)).strip()


def _name(node: Any) -> str:
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def _children(node: Any) -> list[Any]:
    return [child for child in node if isinstance(child.tag, str) and not _name(child).startswith("annotation")]


def _line(node: Any) -> str:
    """Return a formula without fractions and the like on one line, in characters."""
    name, children = _name(node), _children(node)
    if name == "msup" and len(children) == 2:
        return _line(children[0]) + superscript(_line(children[1]))
    if name == "msub" and len(children) == 2:
        return _line(children[0]) + subscript(_line(children[1]))
    if name == "mspace":
        return " "
    return "".join(map(_line, children)) if children else (node.text or "").strip("\n\t")


def _tex(node: Any) -> str:
    name, parts = _name(node), [_tex(child) for child in _children(node)]
    if name == "mfrac" and len(parts) == 2:
        return rf"\frac{{{parts[0]}}}{{{parts[1]}}}"
    if name == "msqrt":
        return rf"\sqrt{{{''.join(parts)}}}"
    if name == "mroot" and len(parts) == 2:
        return rf"\sqrt[{parts[1]}]{{{parts[0]}}}"
    if name in ("msup", "mover") and len(parts) == 2:
        return f"{parts[0]}^{{{parts[1]}}}" if name == "msup" else rf"\overset{{{parts[1]}}}{{{parts[0]}}}"
    if name in ("msub", "munder") and len(parts) == 2:
        return f"{parts[0]}_{{{parts[1]}}}"
    if name in ("msubsup", "munderover") and len(parts) == 3:
        return f"{parts[0]}_{{{parts[1]}}}^{{{parts[2]}}}"
    if name == "mtr":
        return " & ".join(parts)
    if name == "mtable":
        return rf"\begin{{matrix}}{_ROW_END.join(parts)}\end{{matrix}}"
    if name == "mfenced":
        return f"{node.get('open', '(')}{','.join(parts)}{node.get('close', ')')}"
    if name == "mtext":
        return rf"\text{{{(node.text or '').strip()}}}" if not parts else "".join(parts)
    return " ".join(parts) if parts else (node.text or "").strip()
