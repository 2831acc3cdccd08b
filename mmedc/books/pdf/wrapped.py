"""Tables whose cells run over several lines: the lines of a row are put together, cell by cell.

Rows of a table are further apart than the lines of a cell. Cells that are set in the middle of their rows have
baselines of their own, so that the baselines alone tell nothing.
"""

from collections import Counter
from collections.abc import Container
from itertools import pairwise

from mmedc.books.pdf.model import Line
from mmedc.books.pdf.scripts import CAPTION, dense

APART = 0.55  # of the size: white between rows of a table; between the lines of a cell it is less
SHORT = 0.6  # of the width of the column of text: cells
SPARSE = 0.75  # share of its cells that a baseline of a row has on average, above which each baseline is a row
SAME = 0.02  # of the size: lines of one caption do not differ by more
LEAST_ROWS = 3
WIDE = 0.5  # of the size: the width of a character that is not Chinese or Japanese


def unwrapped(rows: list[list[Line]], several: list[bool], edges: Container[int]) -> list[list[Line]]:
    """Return the rows of a column of text, those of tables with wrapped cells as one each, from left to right.

    `several` says which of `rows`, one for each baseline, have several cells; `edges` are lines at the edges of the
    page, by their identity, which are no cells.
    """
    if sum(several) < 2:
        return rows
    width = max(line.x1 for row in rows for line in row) - min(line.x0 for row in rows for line in row)
    captions = _captions(rows)
    short = [
        all(line.x1 - line.x0 < SHORT * width and id(line) not in edges for line in row) and not caption
        for row, caption in zip(rows, captions, strict=True)
    ]
    out: list[list[Line]] = []
    at = 0
    while at < len(rows):
        end = at
        while end < len(rows) and short[end] and (end == at or _gap(rows[end - 1], rows[end]) < 3):
            end += 1
        if sum(several[at:end]) >= 2:
            out += _regrouped(rows[at:end])
        else:
            out += rows[at : max(end, at + 1)]
        at = max(end, at + 1)
    return out


def _captions(rows: list[list[Line]]) -> list[bool]:
    """Return which rows are lines of captions: the first, and those that follow it closely in the same size."""
    found: list[bool] = []
    for at, row in enumerate(rows):
        goes_on = (
            at > 0
            and found[-1]
            and len(row) == 1
            and abs(row[0].size - rows[at - 1][0].size) < SAME * row[0].size
            and _gap(rows[at - 1], row) < APART
        )
        found.append(goes_on or bool(CAPTION.match(row[0].text.strip())))
    return found


def _gap(above: list[Line], below: list[Line]) -> float:
    """Return the white between two rows, in sizes."""
    size = max(line.size for line in below)
    return (min(line.y0 for line in below) - max(line.y1 for line in above)) / size


def _regrouped(rows: list[list[Line]]) -> list[list[Line]]:
    lines = _parted([line for row in rows for line in row])
    columns = _columns(lines)
    groups: list[list[Line]] = []
    low = 0.0
    for line in sorted(lines, key=lambda line: line.y0):
        if groups and line.y0 - low < APART * line.size:
            groups[-1].append(line)
        else:
            groups.append([line])
        low = max(low, line.y1) if len(groups[-1]) > 1 else line.y1
    if len(groups) < LEAST_ROWS or len(columns) < 2 or len(groups) >= len(rows):
        return rows
    cells = [
        [[line for line in group if _column(line, columns) == at] for at in range(len(columns))] for group in groups
    ]
    filled = present = 0
    for group, row in zip(groups, cells, strict=True):
        if (baselines := len({round(line.base) for line in group})) > 1:
            filled += baselines * sum(map(bool, row))
            present += len(group)
    if not filled or present > SPARSE * filled:
        return rows
    return [[_cell(cell, group) for cell in row if cell] for group, row in zip(groups, cells, strict=True)]


def _parted(lines: list[Line]) -> list[Line]:
    """Return lines, with those cut that reach over the beginning of a column: neighbouring cells that stood close."""
    starts = sorted(place for place, count in Counter(2 * round(line.x0 / 2) for line in lines).items() if count > 1)
    out: list[Line] = []
    for line in lines:
        for start in starts:
            cut = _cut(line, start) if line.x0 + line.size < start < line.x1 - WIDE * line.size else None
            if cut:
                out.append(cut[0])
                line = cut[1]
        out.append(line)
    return out


def _cut(line: Line, start: float) -> tuple[Line, Line] | None:
    """Return the parts of a line before and after its space that is nearest to `start`; None if none is near."""
    text = line.text.rstrip()
    widths = [1.0 if dense(char) else WIDE for char in text]
    scale = (line.x1 - line.x0) / max(sum(widths), 1.0)
    places = [(abs(line.x0 + scale * sum(widths[: at + 1]) - start), at) for at, char in enumerate(text) if char == " "]
    far, at = min(places, default=(1e9, 0))
    if far > 1.2 * line.size:
        return None
    left = Line(line.x0, start - 1, line.base, line.size, text[:at], line.bold)
    return left, Line(start, line.x1, line.base, line.size, text[at + 1 :], line.bold)


def _columns(lines: list[Line]) -> list[tuple[float, float]]:
    """Return (left, right) of the columns: what lines that lie below each other cover."""
    out: list[tuple[float, float]] = []
    for line in sorted(lines, key=lambda line: line.x0):
        if out and line.x0 < out[-1][1] - 1:
            out[-1] = out[-1][0], max(out[-1][1], line.x1)
        else:
            out.append((line.x0, line.x1))
    return out


def _column(line: Line, columns: list[tuple[float, float]]) -> int:
    return next(at for at, (left, right) in enumerate(columns) if left <= line.x0 <= right)


def _cell(cell: list[Line], group: list[Line]) -> Line:
    """Return the lines of a cell as one, on the first baseline of its row."""
    cell.sort(key=lambda line: (round(line.base), line.x0))
    texts = [text for line in cell if (text := line.text.strip())]
    text = "".join(texts[:1])
    for above, below in pairwise(texts):
        text += below if dense(above[-1]) or dense(below[0]) else f" {below}"
    base, size = min(line.base for line in group), max(line.size for line in cell)
    return Line(min(line.x0 for line in cell), max(line.x1 for line in cell), base, size, text, cell[0].bold)
