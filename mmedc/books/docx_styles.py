"""The styles of a DOCX: which paragraphs are headings, captions, or belong to a part."""

import re
from typing import Any

from mmedc.books.xmlfile import attribute, local

_HEADING = re.compile(r"heading (\d)")
_PARTS = {
    "contents": re.compile(r"toc (?:\d|heading)|table of figures"),
    "index": re.compile(r"index (?:\d|heading)"),
    "bibliography": re.compile(r"bibliography"),
    "captions": re.compile(r"caption"),
}
MAX_CHAIN = 20
"""So many styles may each be based on the next; more are a loop."""


class Styles:
    """The styles by their ids. Word keeps their English names in every language."""

    def __init__(self, root: Any | None) -> None:
        self._names: dict[str, str] = {}
        self._based: dict[str, str] = {}
        self._levels: dict[str, int] = {}
        for style in root.iter("{*}style") if root is not None else ():
            identity = attribute(style, "styleId")
            for node in style.iter():
                if local(node) == "name" and identity not in self._names:
                    self._names[identity] = attribute(node, "val").lower()
                elif local(node) == "basedon":
                    self._based[identity] = attribute(node, "val")
                elif local(node) == "outlinelvl" and attribute(node, "val").isdigit():
                    self._levels[identity] = int(attribute(node, "val")) + 1

    def of(self, paragraph: Any) -> str:
        """Return the id of the style of a paragraph."""
        for node in paragraph.iterchildren("{*}pPr"):
            for style in node.iterchildren("{*}pStyle"):
                return attribute(style, "val")
        return ""

    def level(self, paragraph: Any) -> int:
        """Return the level of a heading, from 1; 0 for a paragraph of text."""
        for node in paragraph.iterchildren("{*}pPr"):
            for outline in node.iterchildren("{*}outlineLvl"):
                value = attribute(outline, "val")
                if value.isdigit():
                    return int(value) + 1 if int(value) < 9 else 0
        for style in self._chain(self.of(paragraph)):
            name = self._names.get(style, style.lower())
            if found := _HEADING.fullmatch(name) or re.fullmatch(r"heading(\d)", name):
                return int(found[1])
            if name == "title":
                return 1
            if 0 < self._levels.get(style, 0) < 10:
                return self._levels[style]
        return 0

    def part(self, style: str) -> str | None:
        """Return the part to which paragraphs of a style belong, or None."""
        for each in self._chain(style):
            name = self._names.get(each, each.lower())
            for part, pattern in _PARTS.items():
                if pattern.fullmatch(name):
                    return part
        return None

    def _chain(self, style: str) -> list[str]:
        chain: list[str] = []
        while style and style not in chain and len(chain) < MAX_CHAIN:
            chain.append(style)
            style = self._based.get(style, "")
        return chain
