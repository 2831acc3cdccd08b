"""Pages of books in HTML: the chapters of an EPUB, and books that are web pages."""

import re
from collections.abc import Callable
from typing import Any, ClassVar

from mmedc.books.manuscript import PAGE, Manuscript
from mmedc.books.markup import Walker
from mmedc.books.mathml import tex
from mmedc.books.xmlfile import local

HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
_TYPES = {
    "front_matter": "cover titlepage halftitlepage halftitle copyright-page copyright imprimatur imprint dedication "
    "epigraph colophon contributors other-credits seriespage frontispiece errata",
    "contents": "toc loi lot lov loa landmarks page-list pagelist toc-brief",
    "index": "index index-group",
    "bibliography": "bibliography",
    "acknowledgements": "acknowledgments acknowledgements credits credit",
    "preface": "preface foreword prologue preamble introduction",
    "glossary": "glossary",
    "appendix": "appendix",
}
PART_OF_TYPE = {name: part for part, names in _TYPES.items() for name in names.split()}
"""The part that an element is by its `epub:type` or its role (`doc-…`)."""

NOTES = frozenset(("footnote", "endnote", "rearnote", "note", "sidenote"))
_SKIPPED = (
    "head script style template noscript iframe object embed audio video canvas svg rt rp rtc select textarea input "
    "button map area col colgroup title link meta"
)
_BLOCKS = (
    "p div section article main header footer aside blockquote address figure details summary form fieldset center "
    "body html dl hgroup legend li dd search menu"
)
_PAGE_BREAKS = frozenset(("pagebreak",))
_BACK = frozenset(("backlink", "referrer"))
_ITEMS = frozenset(("li",))
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_EMPTY_MARK = re.compile(r"^\[\s*\]\s*")  # what is left of the mark of a note when its link back is gone
NUMBERED = re.compile(r"\W*(?:\d{1,4}|[*†‡§¶]|[a-z])\W*")


_EPUB_TYPE = "{http://www.idpf.org/2007/ops}type"


def types_of(node: Any) -> set[str]:
    """Return what an element is by its `epub:type` and its role."""
    types = (node.get(_EPUB_TYPE) or node.get("epub:type") or "").split()
    roles = (node.get("role") or "").split()
    return {*types, *(role.removeprefix("doc-") for role in roles if role.startswith("doc-"))}


class XhtmlWalker(Walker):
    """Writes pages. `levels` gives the level of a heading by file and id where the table of contents has it."""

    skipped = frozenset(_SKIPPED.split())

    def __init__(self, out: Manuscript, notes: dict[tuple[str, str], Any] | None = None) -> None:
        super().__init__(out)
        self.file = ""
        self.base = 0
        """How many levels the headings of the file lie below those of the book."""
        self.levels: dict[tuple[str, str], int] = {}
        self.pending = 0
        """The level of the next heading, as the table of contents has it; 0 if it says nothing."""
        self.known = notes or {}
        """The elements of notes by file and id."""
        self.shown: set[Any] = set()
        self.target: Callable[[str], tuple[str, str]] = lambda href: ("", href.partition("#")[2])
        """Gives the file and id that an address leads to."""

    def walk(self, node: Any) -> None:
        """Take in an element; see `Walker.walk`."""
        name = local(node)
        if not name or name in self.skipped:
            return
        identity = node.get("id")
        if identity and (level := self.levels.get((self.file, identity))):
            self.pending = level
        types = types_of(node)
        if types & _PAGE_BREAKS:
            self.run.append(PAGE)
            return
        part = next((PART_OF_TYPE[kind] for kind in types if kind in PART_OF_TYPE), None)
        if name == "nav" and part is None:
            part = "contents"
        if part is None or self.captured is not None:
            if self.captured is None and name != "a" and (types & NOTES or node in self.shown):
                self.note(node)
            else:
                super().walk(node)
            return
        self.flush()
        with self.out.part(part, " ".join("".join(node.itertext()).split())[:60]):
            super().walk(node)
            self.flush()

    def hides(self, node: Any) -> bool:
        """Return whether an element is not shown."""
        style = node.get("style")
        return node.get("hidden") is not None or bool(style and _HIDDEN.search(style))

    def note(self, node: Any) -> None:
        """Take in a note where it stands, unless it stood after the paragraph that refers to it."""
        if node not in self.shown:
            self.shown.add(node)
            with self.out.part("footnotes"):
                self.flush()
                if text := self.line(node):
                    self.write(text)

    def heading(self, node: Any) -> None:
        """Take in a heading."""
        if self.captured is not None:
            self.block(node)
            return
        self.flush()
        text = self.line(node)
        level = self.pending or HEADINGS.get(local(node), 6) + self.base
        self.pending = 0
        self.out.heading(text, min(max(level, 1), 12))
        self.flush()

    def link(self, node: Any) -> None:
        """Take in a link; where it leads to a note, the note stands after the paragraph."""
        types, href = types_of(node), node.get("href") or ""
        if types & _BACK:
            return
        key = self.target(href) if "#" in href else None
        note = self.known.get(key) if key else None
        if note is None or note in self.shown or any(note is above for above in node.iterancestors()):
            if (
                self.captured is not None
                and note is None
                and key
                and NUMBERED.fullmatch("".join(node.itertext()) or "x")
            ):
                return  # the way back from a note
            self.content(node)
            return
        self.shown.add(note)
        mark = " ".join("".join(node.itertext()).split()).strip("[]()")
        mark = f"[{mark}]" if mark else ""
        self.run.append(mark)
        text = _EMPTY_MARK.sub("", self.line(note))
        self.notes.append((mark, text.removeprefix(mark.strip("[]")).lstrip(" .:)]") if mark else text))

    def raised(self, node: Any) -> None:
        """Take in a superscript; one that is a link to a note or a source is written as it is."""
        links = [inner for inner in node.iter() if local(inner) == "a"]
        if links:
            self.content(node)
        else:
            self.superscript(node)

    def unordered(self, node: Any) -> None:
        """Take in a list with bullets."""
        self.listed(node, lambda number: "- ", _ITEMS)

    def ordered(self, node: Any) -> None:
        """Take in a numbered list."""
        start = node.get("start") or "1"
        first = int(start) if start.isascii() and start.isdigit() and len(start) < 7 else 1
        self.listed(node, lambda number: f"{first + number - 1}. ", _ITEMS)

    def term(self, node: Any) -> None:
        """Take in a term of a list of definitions; its definition follows on the same line."""
        self.flush()
        self.prefix = f"{text}: " if (text := self.line(node)) else ""

    def definition(self, node: Any) -> None:
        """Take in a definition."""
        prefix = self.prefix
        self.flush()
        self.prefix = prefix
        self.content(node)
        self.flush()
        self.prefix = ""

    def caption(self, node: Any) -> None:
        """Take in the caption of a figure or a table."""
        self.flush()
        with self.out.part("captions"):
            self.content(node)
            self.flush()

    def image(self, node: Any) -> None:
        """Take in an image that is a formula, by its description."""
        if (node.get("role") == "math" or "math" in (node.get("class") or "")) and (alt := node.get("alt")):
            self.run.append(tex(alt) if "\\" in alt else alt)

    def captioned_table(self, node: Any) -> None:
        """Take in a table with its caption above it."""
        for child in node:
            if local(child) == "caption":
                self.caption(child)
        self.table(node)

    def verbatim(self, node: Any) -> None:
        """Take in text whose white space is kept."""
        self.flush()
        text = "".join(node.itertext()).strip("\n")
        self.write(text)

    def rule(self, node: Any) -> None:
        """Take in a border between paragraphs."""
        self.flush()

    handlers: ClassVar[dict[str, Callable[[Any, Any], None]]] = {}


XhtmlWalker.handlers = {
    **dict.fromkeys(_BLOCKS.split(), Walker.block),
    **dict.fromkeys(HEADINGS, XhtmlWalker.heading),
    "a": XhtmlWalker.link,
    "br": Walker.line_break,
    "hr": XhtmlWalker.rule,
    "sup": XhtmlWalker.raised,
    "sub": Walker.subscript,
    "math": Walker.formula,
    "table": XhtmlWalker.captioned_table,
    "caption": XhtmlWalker.caption,
    "figcaption": XhtmlWalker.caption,
    "ul": XhtmlWalker.unordered,
    "ol": XhtmlWalker.ordered,
    "dt": XhtmlWalker.term,
    "dd": XhtmlWalker.definition,
    "img": XhtmlWalker.image,
    "pre": XhtmlWalker.verbatim,
    "nav": Walker.block,
}
