"""Tables of data as lines of cells: what spans columns or rows is repeated, so that every line has as many cells."""

from typing import Any

from mmedc.steps.extract.tree import Walk

MAX_COLUMNS = 100
"""A cell is not repeated beyond this column; a table of data has fewer."""

REPEATED_SHARE = 2
"""Cells that span others are repeated until the table has this many times its characters, and `REPEATED_CHARS`."""

REPEATED_CHARS = 2_000
MAX_EMPTY = 20
"""A table that needs more empty cells than this for each that it has, and `REPEATED_CHARS`, is no table of data."""

GROUPS = ("thead", "tbody", "tfoot")
"""Groups of rows; no cell reaches from one into the next."""

TO_THE_END = 1_000
"""The rows that a cell spans whose `rowspan` is 0: all that are left of its group."""

CLOSING = (".", ";", ",", ":", "、", "。", "；", "，", "؛", "।")


class Table:
    """The lines of a table: `caption`, and rows of equal length."""

    def __init__(self, walk: Walk, number: int) -> None:
        """Read the table that is element `number` of a walk; tables within its cells are text of these cells."""
        self.caption = ""
        self.rows: list[list[str]] = []
        self.spans: dict[int, tuple[str, int]] = {}
        own = sum(map(len, walk.texts[walk.starts[number] : walk.ends[number]]))
        self.left = REPEATED_SHARE * own + REPEATED_CHARS
        cells: list[tuple[str, dict[str, Any]]] = []
        end = number + 1
        for inside in range(number + 1, walk.lasts[number]):
            tag = walk.tags[inside]
            if inside < end:
                continue  # part of a table within a cell
            end = walk.lasts[inside] if tag == "table" else inside
            if tag == "tr":
                self.end_row(cells)
                cells = []
            elif tag in GROUPS:
                self.end_row(cells)
                cells = []
                self.spans = {}
            elif tag in ("td", "th"):
                cells.append((_text(walk, inside), walk.nodes[inside].attributes))
            elif tag == "caption":
                self.caption = _text(walk, inside)
        self.end_row(cells)
        self.even()

    def end_row(self, cells: list[tuple[str, dict[str, Any]]]) -> None:
        """Append a row of cells (text, attributes), and the cells above that reach into it."""
        if not cells:
            return
        row: list[str] = []
        for text, attributes in cells:
            self.pass_spans(row)
            wide, high = _span(attributes, "colspan"), _span(attributes, "rowspan")
            for at in range(max(1, min(wide, MAX_COLUMNS - len(row)))):
                if high > 1 and len(row) < MAX_COLUMNS:
                    self.spans[len(row)] = (text, high - 1)
                row.append(text if not at else self.repeated(text) if len(cells) > 1 else "")
        self.pass_spans(row)
        self.rows.append(row)

    def pass_spans(self, row: list[str]) -> None:
        """Append to a row the cells above that reach into its next columns."""
        while (at := len(row)) in self.spans:
            text, high = self.spans.pop(at)
            if high > 1:
                self.spans[at] = (text, high - 1)
            row.append(self.repeated(text))

    def repeated(self, text: str) -> str:
        """Return a text once more, or an empty one where the table has been repeated enough."""
        self.left -= len(text) + 1
        return text if self.left > 0 else ""

    def even(self) -> None:
        """Make all rows equally long, and drop rows and columns without a text; a sparse table gets no rows at all."""
        width = max(map(len, self.rows), default=0)
        if width * len(self.rows) > MAX_EMPTY * sum(map(len, self.rows)) + REPEATED_CHARS:
            self.rows = []
            return
        rows = [row + [""] * (width - len(row)) for row in self.rows if any(row)]
        filled = [at for at in range(width) if any(row[at] for row in rows)]
        self.rows = [[row[at] for at in filled] for row in rows] if len(filled) < width else rows

    def __str__(self) -> str:
        lines = ["| " + " | ".join(row) + " |" for row in self.rows]
        return "\n".join([self.caption, *lines] if self.caption else lines)


def _text(walk: Walk, cell: int) -> str:
    """Return the runs of a cell on one line; items of a list are separated by semicolons."""
    text = ""
    for run in range(walk.starts[cell], walk.ends[cell]):
        piece = walk.texts[run]
        if text:
            item = walk.tags[walk.owners[run]] == "li" or walk.tags[walk.owners[run - 1]] == "li"
            text += "; " if item and not text.endswith(CLOSING) else " "
        text += piece
    return text.replace("\n", " ").replace("|", "\\|")


def _span(attributes: dict[str, Any], name: str) -> int:
    """Return the number of columns or rows that a cell spans, from 1 to 1,000."""
    given = (attributes.get(name) or "").strip()
    if not (given.isascii() and given.isdigit() and len(given) < 6):
        return 1
    return TO_THE_END if name == "rowspan" and not int(given) else min(max(int(given), 1), 1_000)
