"""The rows of a table whose cells span others: what spans is repeated, so that every column keeps its place."""

from collections.abc import Iterable
from typing import NamedTuple

MAX_COLUMNS = 100
"""A cell is not repeated beyond this column; a table of data has fewer."""
MAX_SPAN = 1_000
REPEATED_SHARE = 2
"""Cells that span others are repeated until the table has this many times its characters, and `REPEATED_CHARS`."""
REPEATED_CHARS = 2_000
MAX_EMPTY = 20
"""A table that needs more empty cells than this for each that it has, and `REPEATED_CHARS`, is no table of data."""

GROUPS = ("thead", "tbody", "tfoot")
"""Groups of rows; no cell reaches from one into the next."""
TO_THE_END = 1_000
"""The rows that a cell spans whose `rowspan` is 0: all that are left of its group."""


class Cell(NamedTuple):
    """A cell as it is written: its text on one line, and how many columns and rows it spans, from 1."""

    text: str
    wide: int = 1
    high: int = 1


class Rows:
    """Rows in the making; `own_chars` are the characters of the table as it is written."""

    def __init__(self, own_chars: int) -> None:
        self.rows: list[list[str]] = []
        self._spans: dict[int, tuple[str, int]] = {}  # column → the text of a cell above, and the rows it still takes
        self._left = REPEATED_SHARE * own_chars + REPEATED_CHARS

    def add(self, cells: Iterable[Cell]) -> None:
        """Append a row of cells, and the cells above that reach into it; a row without cells is left out.

        The text of a cell that is alone in its row, such as a heading between rows, is not repeated.
        """
        cells = list(cells)
        if not cells:
            return
        row: list[str] = []
        for text, wide, high in cells:
            self._pass_spans(row)
            for at in range(max(1, min(wide, MAX_COLUMNS - len(row)))):
                if high > 1 and len(row) < MAX_COLUMNS:
                    self._spans[len(row)] = (text, high - 1)
                row.append(text if not at else self._again(text) if len(cells) > 1 else "")
        self._pass_spans(row)
        self.rows.append(row)

    def end_group(self) -> None:
        """End a group of rows: what spans rows ends with it."""
        self._spans = {}

    def even(self) -> list[list[str]]:
        """Return the rows, equally long, without empty rows and columns; a sparse table has no rows at all."""
        width = max(map(len, self.rows), default=0)
        if width * len(self.rows) > MAX_EMPTY * sum(map(len, self.rows)) + REPEATED_CHARS:
            return []
        rows = [row + [""] * (width - len(row)) for row in self.rows if any(row)]
        filled = [at for at in range(width) if any(row[at] for row in rows)]
        return [[row[at] for at in filled] for row in rows] if len(filled) < width else rows

    def _pass_spans(self, row: list[str]) -> None:
        """Append to a row the cells above that reach into its next columns."""
        while (at := len(row)) in self._spans:
            text, high = self._spans.pop(at)
            if high > 1:
                self._spans[at] = (text, high - 1)
            row.append(self._again(text))

    def _again(self, text: str) -> str:
        """Return a text once more, or an empty one where the table has been repeated enough."""
        self._left -= len(text) + 1
        return text if self._left > 0 else ""


def span(value: str | None, zero: int = 1) -> int:
    """Return what an attribute `colspan` or `rowspan` says, from 1 to `MAX_SPAN`; `zero` is what 0 means."""
    given = (value or "").strip()
    if not (given.isascii() and given.isdigit() and len(given) < 6):
        return 1
    return min(int(given), MAX_SPAN) or zero


def as_lines(rows: Iterable[Iterable[str]]) -> list[str]:
    """Return rows as the lines of a table in Markdown."""
    return [f"| {' | '.join(row)} |" for row in rows]
