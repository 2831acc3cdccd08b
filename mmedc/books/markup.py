"""One walk over marked-up text, XHTML or JATS: runs of inline text between the borders of blocks.

`Walker` knows what both have in common: paragraphs, tables, formulas, superscripts, notes. Its subclasses name the
elements: `handlers` is a table from the name of an element to the method that takes it in.
"""

import re
from collections.abc import Callable
from typing import Any, ClassVar

from mmedc.books.manuscript import Manuscript
from mmedc.books.mathml import mathml
from mmedc.books.xmlfile import local
from mmedc.raised import lowered, raised
from mmedc.spans import GROUPS, TO_THE_END, Cell, Rows, as_lines, span

_SPACE = re.compile(r"[ \t\r\f\v\n]+")
_WIDE = "\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff01-\uffef"
_WRAPPED = re.compile(rf"(?<=[{_WIDE}])[ \t\r]*\n[ \t\r\n]*(?=[{_WIDE}])")
"""A line end in the file between characters of Chinese or Japanese, which write no spaces (CSS Text 3, 4.1.3)."""
_BREAKS = re.compile(r" *\n *")
BREAK = "\x1e"
"""Stands for a line break inside a run, until white space has been folded."""
MAX_DEPTH = 120
"""What nests deeper than this is written as text without structure; each level takes several calls."""


def folded(text: str) -> str:
    """Return the text of a run: white space as one space, as browsers show it, and breaks as line ends."""
    if "\n" in text:
        text = _WRAPPED.sub("", text)
    return _BREAKS.sub("\n", _SPACE.sub(" ", text).replace(BREAK, "\n")).strip()


class Walker:
    """Writes the content of elements to a manuscript."""

    handlers: ClassVar[dict[str, Callable[[Any, Any], None]]] = {}
    """By the name of an element. Elements that are not named are inline."""
    skipped: ClassVar[frozenset[str]] = frozenset()
    """Elements that show no text."""

    def __init__(self, out: Manuscript) -> None:
        self.out = out
        self.level = 0
        self.run: list[str] = []
        self.notes: list[tuple[str, str]] = []
        """(mark, text) of the notes that the current paragraph refers to."""
        self.prefix = ""
        """What stands before the next paragraph: the mark of an item of a list."""
        self.close = False
        """Whether the next paragraph belongs right below the one before it."""
        self.captured: list[str] | None = None
        """Where blocks are collected instead of being written, as in the cell of a table."""

    def walk(self, node: Any) -> None:
        """Take in an element and what is in it, not what follows it."""
        name = local(node)
        if not name or name in self.skipped or self.hides(node):
            return
        if self.level == MAX_DEPTH:
            self.run.append("".join(node.itertext()))
            return
        self.level += 1
        handler = self.handlers.get(name)
        if handler is None:
            self.content(node)
        else:
            handler(self, node)
        self.level -= 1

    def hides(self, node: Any) -> bool:
        """Return whether an element is not shown."""
        return False

    def content(self, node: Any) -> None:
        """Take in the text and the elements in an element."""
        if node.text and isinstance(node.tag, str):
            self.run.append(node.text)
        for child in node:
            self.walk(child)
            if child.tail:
                self.run.append(child.tail)

    def flush(self) -> None:
        """End the run: write the paragraph, and then the notes that it refers to."""
        text = folded("".join(self.run))
        self.run = []
        if text:
            text, self.prefix = self.prefix + text, ""
            self.write(text)
            self.close = False
        if self.notes and self.captured is None and (text or not self.prefix):
            notes, self.notes = self.notes, []
            for mark, note in notes:
                with self.out.part("footnotes"):
                    self.write(f"{mark} {note}" if mark else note)

    def write(self, text: str) -> None:
        """Write a block, or collect it."""
        if self.captured is not None:
            self.captured.append(text)
        else:
            self.out.block(text, close=self.close)

    def capture(self, node: Any, walk: Callable[[Any], None] | None = None) -> list[str]:
        """Return the blocks of an element instead of writing them."""
        state = self.run, self.captured, self.prefix, self.close
        self.run, self.captured, self.prefix, self.close = [], [], "", False
        (walk or self.content)(node)
        self.flush()
        blocks = self.captured
        self.run, self.captured, self.prefix, self.close = state
        return blocks

    def line(self, node: Any) -> str:
        """Return the content of an element on one line."""
        return " ".join(" ".join(self.capture(node)).split())

    # Handlers

    def block(self, node: Any) -> None:
        """Take in a paragraph or anything else that stands alone."""
        self.flush()
        self.content(node)
        self.flush()

    def line_break(self, node: Any) -> None:
        """Take in a line break."""
        self.run.append(BREAK)

    def before(self) -> str:
        """Return the last character of the run; "" at its beginning."""
        return next((piece[-1] for piece in reversed(self.run) if piece), "")

    def superscript(self, node: Any) -> None:
        """Take in a superscript."""
        self.run.append(raised(" ".join(self.inline(node).split()), self.before()))

    def subscript(self, node: Any) -> None:
        """Take in a subscript."""
        self.run.append(lowered(" ".join(self.inline(node).split()), self.before()))

    def inline(self, node: Any) -> str:
        """Return the inline content of an element, with its white space."""
        before, self.run = self.run, []
        self.content(node)
        text, self.run = "".join(self.run), before
        return text

    def formula(self, node: Any) -> None:
        """Take in MathML."""
        self.run.append(mathml(node))

    def listed(self, node: Any, marks: Callable[[int], str], items: frozenset[str]) -> None:
        """Take in a list whose items have the names `items`; each gets the mark of its number."""
        self.flush()
        number, close = 0, False
        for child in node:
            if local(child) in items:
                number += 1
                self.prefix, self.close = marks(number), close
                self.content(child)
                self.flush()
                self.prefix = ""
                close = True
            else:
                self.walk(child)
                self.flush()
        self.close = False

    def table(self, node: Any) -> None:
        """Take in a table: its rows as Markdown, each with as many cells as the widest has columns."""
        self.flush()
        rows = self.rows(node)
        if rows:
            with self.out.part("tables"):
                if len(rows[0]) == 1:
                    for (cell,) in rows:
                        self.write(cell)
                else:
                    self.write("\n".join(as_lines(rows)))

    def rows(self, table: Any) -> list[list[str]]:
        """Return the cells of a table by row, each row with as many; see `mmedc.spans`."""
        rows = Rows(len("".join(table.itertext())))
        for node in table.iter():
            name = local(node)
            if name in GROUPS and not _inner(node, table):
                rows.end_group()
            elif name == "tr" and not _inner(node, table):
                rows.add(self.cell(cell) for cell in node if local(cell) in ("td", "th"))
        return rows.even()

    def cell(self, node: Any) -> Cell:
        """Return a cell; its blocks are on one line."""
        text = "; ".join(self.capture(node)).replace("\n", " ").replace("|", "\\|")
        return Cell(text, span(node.get("colspan")), span(node.get("rowspan"), TO_THE_END))


def _inner(row: Any, table: Any) -> bool:
    """Return whether a row belongs to a table inside `table`."""
    node = row.getparent()
    while node is not None and node is not table:
        if local(node) == "table":
            return True
        node = node.getparent()
    return False
