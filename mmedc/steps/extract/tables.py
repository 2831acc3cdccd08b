"""Tables of data as lines of cells: what spans columns or rows is repeated, so that every line has as many cells."""

from mmedc.spans import GROUPS, TO_THE_END, Cell, Rows, as_lines, span
from mmedc.steps.extract.tree import Walk

CLOSING = (".", ";", ",", ":", "、", "。", "；", "，", "؛", "।")


class Table:
    """The lines of a table: `caption`, and rows of equal length."""

    def __init__(self, walk: Walk, number: int) -> None:
        """Read the table that is element `number` of a walk; tables within its cells are text of these cells."""
        self.caption = ""
        rows = Rows(sum(map(len, walk.texts[walk.starts[number] : walk.ends[number]])))
        cells: list[Cell] = []
        end = number + 1
        for inside in range(number + 1, walk.lasts[number]):
            tag = walk.tags[inside]
            if inside < end:
                continue  # part of a table within a cell
            end = walk.lasts[inside] if tag == "table" else inside
            if tag == "tr":
                rows.add(cells)
                cells = []
            elif tag in GROUPS:
                rows.add(cells)
                cells = []
                rows.end_group()
            elif tag in ("td", "th"):
                given = walk.nodes[inside].attributes
                cells.append(
                    Cell(_text(walk, inside), span(given.get("colspan")), span(given.get("rowspan"), TO_THE_END))
                )
            elif tag == "caption":
                self.caption = _text(walk, inside)
        rows.add(cells)
        self.rows = rows.even()

    def __str__(self) -> str:
        lines = as_lines(self.rows)
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
