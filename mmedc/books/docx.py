"""DOCX (Office Open XML): paragraphs with the levels of their styles, tables, notes, formulas, core properties."""

import re
from collections.abc import Iterator
from typing import Any

from mmedc.books.book import Book, Unreadable
from mmedc.books.docx_styles import Styles
from mmedc.books.manuscript import Manuscript
from mmedc.books.package import Package
from mmedc.books.rules import BookRules
from mmedc.books.xmlfile import attribute, local, parse, text_of
from mmedc.formulas import joined
from mmedc.licences import spdx
from mmedc.raised import lowered, raised
from mmedc.spans import Cell, Rows, as_lines, span

DOCUMENT, CORE = "word/document.xml", "docProps/core.xml"
_SKIPPED = frozenset(
    ("del", "movefrom", "instrtext", "deltext", "fallback", "ppr", "rpr", "pict", "drawing", "sectpr", "rt", "fldchar")
)
"""Deleted text, codes of fields, and pictures; of alternatives the first is read, and of ruby the base."""
_WHOLE = frozenset(("drawing", "pict"))
_FORMULA = {"f": "mfrac", "ssup": "msup", "ssub": "msub", "ssubsup": "msubsup", "rad": "msqrt", "d": "mfenced"}


def read(data: bytes, rules: BookRules, limit: int) -> Iterator[Book]:
    """Yield the document. Raises: Unreadable: `damaged`, `encrypted`, `bomb`, `too_large`, `too_deep`."""
    package = Package(data, limit)
    root = parse(package.read(DOCUMENT), DOCUMENT)
    body = next(root.iter("{*}body"), None)
    if body is None:
        raise Unreadable("damaged: the document has no body")
    writer = _Writer(Manuscript(rules), Styles(_optional(package, "word/styles.xml")))
    for kind in ("footnote", "endnote"):
        notes = _optional(package, f"word/{kind}s.xml")
        for node in notes.iter(f"{{*}}{kind}") if notes is not None else ():
            writer.notes[kind, attribute(node, "id")] = node
    writer.blocks(body)
    book = writer.out.into(Book(""))
    _describe(book, _optional(package, CORE))
    yield book


def _optional(package: Package, name: str) -> Any | None:
    return parse(package.read(name), name) if name in package else None


def _describe(book: Book, core: Any | None) -> None:
    """Fill in what the core properties say."""
    values = {local(node): text_of(node) for node in core} if core is not None else {}
    book.title = values.get("title") or next((s.title for s in book.sections if s.level == 1), None)
    book.authors = [name.strip() for name in re.split(r"[;,]", values.get("creator", "")) if name.strip()]
    found = re.match(r"\d{4}-\d\d-\d\d", values.get("created", "") or values.get("modified", ""))
    book.date = found[0] if found else None
    book.subjects = [values[name] for name in ("category", "subject", "keywords") if values.get(name)]
    said = next((values[name] for name in ("rights", "description", "keywords") if spdx(values.get(name, ""))), "")
    said = said or values.get("rights", "")
    if said:
        book.licence = spdx(said)
        book.licence_evidence = "docx" if book.licence else f"docx: {said[:300]}"


class _Writer:
    """Writes the body of a document to a manuscript."""

    def __init__(self, out: Manuscript, styles: Styles) -> None:
        self.out, self.styles = out, styles
        self.notes: dict[tuple[str, str], Any] = {}
        self.numbers: dict[tuple[str, str], int] = {}
        self.pending: list[tuple[str, str]] = []
        self.was_item = False

    def blocks(self, parent: Any) -> None:
        """Write the paragraphs and tables in an element."""
        for node in parent:
            name = local(node)
            if name == "p":
                self.paragraph(node)
            elif name == "tbl":
                self.table(node)
            elif name == "sdt":
                gallery = next((attribute(g, "val") for g in node.iter("{*}docPartGallery")), "")
                part = {
                    "Table of Contents": "contents",
                    "Bibliographies": "bibliography",
                    "Cover Pages": "front_matter",
                }
                with self.out.part(part.get(gallery), gallery):
                    for content in node.iterchildren("{*}sdtContent"):
                        self.blocks(content)
            elif name in ("ins", "moveto", "customxml", "smarttag"):
                self.blocks(node)

    def paragraph(self, node: Any) -> None:
        """Write a paragraph."""
        text = self.line(node)
        style = self.styles.of(node)
        level = self.styles.level(node)
        with self.out.part(self.styles.part(style), text[:60]):
            if not text:
                pass
            elif level:
                self.out.heading(text, level)
            else:
                mark = self.mark(node)
                self.out.block(mark + text, close=bool(mark) and self.was_item)
                self.was_item = bool(mark)
        for box in node.iter("{*}txbxContent"):  # text boxes stand behind the paragraph to which they are anchored
            if not any(local(above) == "fallback" for above in box.iterancestors()):
                self.blocks(box)
        pending, self.pending = self.pending, []
        with self.out.part("footnotes"):
            for label, note in pending:
                self.out.block(f"{label} {note}")

    def mark(self, node: Any) -> str:
        """Return the mark of an item of a list; "" for a paragraph of running text."""
        numbered = next(node.iter("{*}numPr"), None)
        if numbered is None:
            return ""
        return "- " if attribute(next(numbered.iter("{*}numId"), numbered), "val") != "0" else ""

    def line(self, node: Any) -> str:
        """Return the text of a paragraph."""
        pieces: list[str] = []
        self.inline(node, pieces)
        return re.sub(r"[ \t]+", " ", "".join(pieces)).replace(" \n", "\n").strip()

    def inline(self, parent: Any, pieces: list[str]) -> None:
        """Append the text of an element."""
        for node in parent:
            name = local(node)
            if name == "r":
                self.text_run(node, pieces)
            elif name in ("omath", "omathpara"):
                pieces.append(" ".join(_formula(node).split()))
            elif name not in _SKIPPED:
                self.inline(node, pieces)

    def text_run(self, run: Any, pieces: list[str]) -> None:
        """Append the text of a run, raised or lowered where it is."""
        found: list[str] = []
        for node in run:
            name = local(node)
            if name in ("t", "delText"):
                found.append(node.text or "")
            elif name in ("tab", "ptab"):
                found.append("\t")
            elif name in ("br", "cr"):
                found.append("\n")
            elif name == "nobreakhyphen":
                found.append("-")
            elif name in ("footnotereference", "endnotereference"):
                self.note(name.removesuffix("reference"), attribute(node, "id"), found)
            elif name == "ruby":
                for base in node.iterchildren("{*}rubyBase"):
                    self.inline(base, found)
            elif name == "alternatecontent":
                for choice in node.iterchildren("{*}Choice"):
                    self.inline(choice, found)
        text = "".join(found)
        shift = next((attribute(node, "val") for node in run.iter("{*}vertAlign")), "")
        if shift in ("superscript", "subscript") and text.strip() and not text.startswith("["):
            before = next((piece[-1] for piece in reversed(pieces) if piece), "")
            text = (raised if shift == "superscript" else lowered)(text.strip(), before)
        if not any(
            local(node) == "vanish" and attribute(node, "val") not in ("0", "false") for node in run.iter("{*}vanish")
        ):
            pieces.append(text)

    def note(self, kind: str, number: str, pieces: list[str]) -> None:
        """Append the mark of a note, and keep the note for behind the paragraph."""
        node = self.notes.pop((kind, number), None)
        if node is not None:
            label = f"[{number}]"
            pieces.append(label)
            text = " ".join(filter(None, (self.line(part) for part in node.iter("{*}p"))))
            if text:
                self.pending.append((label, text))

    def table(self, node: Any) -> None:
        """Write a table as rows."""
        rows = Rows(len("".join(node.itertext())))
        above: dict[int, str] = {}  # column → the text of the cell that ends above it
        for row in node.iterchildren("{*}tr"):
            cells, column = [], 0
            for cell in row.iter("{*}tc"):
                if cell.getparent() is not row and local(cell.getparent()) != "sdtcontent":
                    continue
                text = "; ".join(filter(None, (self.line(part) for part in cell.iter("{*}p")))).replace("\n", " ")
                text = text.replace("|", "\\|")
                merge = next(cell.iter("{*}vMerge"), None)
                if merge is not None and attribute(merge, "val") != "restart":
                    text = text or above.get(column, "")
                above[column] = text
                wide = span(next((attribute(grid, "val") for grid in cell.iter("{*}gridSpan")), None))
                cells.append(Cell(text, wide))
                column += wide
            rows.add(cells)
        found = rows.even()
        self.was_item = False
        with self.out.part("tables"):
            if found and len(found[0]) == 1:
                for (cell_text,) in found:
                    self.out.block(cell_text)
            elif found:
                self.out.block("\n".join(as_lines(found)))


def _formula(node: Any) -> str:
    """Return a formula on one line."""
    name = local(node)
    if name == "t":
        return node.text or ""
    if name.endswith("pr"):
        return ""
    parts = [_formula(child) for child in node if isinstance(child.tag, str)]
    parts = [part for part in parts if part]
    return joined(_FORMULA.get(name, ""), parts)
