"""The one table of all commands, for a terminal of any width.

Where the columns do not fit, those of the highest rank are left out first, and named below the table. Then text that
may take several lines gets what room is left, or lines of its own below its row. A line breaks at a space, but not
before a number (`near_duplicate 23`); within a word longer than a line after a sign such as `/`, and only without
either anywhere.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from mmedc.markup import UNSEEN

GAP = "  "
INDENT = "    "
LEAST = 24  # the narrowest column in which text is wrapped beside others
CONTROLS = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
CONTROLS_SHOWN = str.maketrans(CONTROLS)
BREAK = re.compile(r"[^/?&#=_.,;:|-]*[/?&#=_.,;:|-]+|[^/?&#=_.,;:|-]+")
WORDS = re.compile(r"(?<=\s)(?=\S)(?!\d[\d,.]*[,;]?(?:\s|$))")

Cell = str | Text


@dataclass(frozen=True)
class Column:
    """A column: how it is aligned, and what happens to it where room is scarce."""

    name: str
    right: bool = False
    rank: int = 0
    """0: always shown. Of the others, those with the highest rank are left out first."""
    wrap: bool = False
    """Whether its text may take several lines."""


def number(name: str, rank: int = 0) -> Column:
    """Return a column of numbers."""
    return Column(name, right=True, rank=rank)


class Grid:
    """A table that fits the width of the console that prints it."""

    def __init__(self, columns: Sequence[Column], rows: Iterable[Sequence[Cell]], title: str = "") -> None:
        self.columns, self.title = tuple(columns), title
        self.rows = [[_visible(cell) for cell in row] for row in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines of the table."""
        if self.title:
            yield Text(self.title, "bold")
        yield from self.lines(options.max_width)

    def lines(self, width: int) -> Iterator[Text]:
        """Yield the lines of the table, none wider than `width` columns of a terminal."""
        natural = [
            max([cell_len(column.name), *(cell_len(row[at].plain) for row in self.rows)])
            for at, column in enumerate(self.columns)
        ]
        shown, widths, below = self._fitted(natural, width)
        beside = [at for at in shown if at not in below]
        yield from self._row([Text(self.columns[at].name, "dim") for at in beside], beside, widths)
        for row in self.rows:
            yield from self._row([row[at] for at in beside], beside, widths)
            for at in below:
                for line in wrapped(row[at].plain, max(width - len(INDENT), 1)) if row[at].plain else ():
                    yield Text(INDENT + line, row[at].style)
        hidden = [column.name for at, column in enumerate(self.columns) if at not in shown]
        if hidden:
            for line in wrapped(f"not shown at {width} columns: {', '.join(hidden)}", width):
                yield Text(line, "dim")

    def _fitted(self, natural: list[int], width: int) -> tuple[list[int], dict[int, int], list[int]]:
        """Return the columns that are shown, their widths, and those of them that stand below their rows."""
        shown, below = list(range(len(self.columns))), list[int]()

        def fits(least: int) -> bool:
            beside = [at for at in shown if at not in below]
            wide = sum(min(natural[at], least) if self.columns[at].wrap else natural[at] for at in beside)
            return wide + len(GAP) * (len(beside) - 1) <= width

        for at in sorted(shown, key=lambda at: (-self.columns[at].rank, -at)):
            if not fits(LEAST) and self.columns[at].rank:
                shown.remove(at)
        while not fits(LEAST) and (texts := [at for at in shown if self.columns[at].wrap and at not in below]):
            below.insert(0, texts[-1])
        beside = [at for at in shown if at not in below]
        if not beside:
            beside = [below.pop(0)]
        return shown, self._widths(natural, beside, width), below

    def _widths(self, natural: list[int], beside: list[int], width: int) -> dict[int, int]:
        """Return the widths of the columns `beside` each other; the widest are narrowed until all fit."""
        widths = {at: natural[at] for at in beside}
        room = width - len(GAP) * (len(beside) - 1)
        soft = [at for at in beside if self.columns[at].wrap] or [max(beside, key=lambda at: natural[at])]
        while (over := sum(widths.values()) - room) > 0:
            widest = max(soft, key=lambda at: widths[at])
            others = [widths[at] for at in soft if widths[at] < widths[widest]]
            step = min(over, widths[widest] - max(others)) if others else -(-over // len(soft))
            if widths[widest] <= 1:
                break
            widths[widest] = max(widths[widest] - max(step, 1), 1)
        return widths

    def _row(self, cells: list[Text], beside: list[int], widths: dict[int, int]) -> Iterator[Text]:
        parts = [wrapped(cell.plain, widths[at]) for cell, at in zip(cells, beside, strict=True)]
        for number in range(max(map(len, parts))):
            line = Text()
            for cell, at, lines in zip(cells, beside, parts, strict=True):
                piece = lines[number] if number < len(lines) else ""
                space = " " * (widths[at] - cell_len(piece))
                line.append(GAP if at != beside[0] else "")
                for part, style in (
                    ((space, ""), (piece, cell.style))
                    if self.columns[at].right
                    else (
                        (piece, cell.style),
                        (space, ""),
                    )
                ):
                    line.append(part, style)
            line.rstrip()
            yield line


class Passage:
    """A text over the width of the console, with `indent` spaces before each line."""

    def __init__(self, text: str, indent: int = 0, style: str = "") -> None:
        self.text, self.indent, self.style = visible(text), indent, style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines of the text."""
        for line in wrapped(self.text, max(options.max_width - self.indent, 1)):
            yield Text(" " * self.indent + line, self.style)


def visible(text: str) -> str:
    """Return a text with control and invisible characters as pictures or code points, so that none does harm."""
    return UNSEEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", text.translate(CONTROLS_SHOWN))


def _visible(cell: Cell) -> Text:
    return Text(visible(cell)) if isinstance(cell, str) else Text(visible(cell.plain), cell.style)


def wrapped(text: str, width: int) -> list[str]:
    """Return a text as lines of at most `width` columns of a terminal; see the module for where it breaks."""
    lines, line, used = list[str](), "", 0
    for word in WORDS.split(text):
        bare = word.rstrip()
        if used and used + cell_len(bare) > width:
            lines.append(line.rstrip())
            line, used = "", 0
        if cell_len(bare) > width:
            *full, word = _broken(word, width)
            lines += full
        line, used = line + word, used + cell_len(word)
    return [*lines, line.rstrip()]


def _broken(word: str, width: int) -> list[str]:
    """Return a word that is longer than a line as lines; after signs where there are any, else anywhere."""
    lines, line = list[str](), ""
    for piece in BREAK.findall(word):
        if line and cell_len(line + piece) > width:
            lines.append(line)
            line = ""
        while cell_len(piece) > width:
            room = 0
            for at, char in enumerate(piece):
                room += cell_len(char)
                if room > width:
                    lines.append(piece[: max(at, 1)])
                    piece = piece[max(at, 1) :]
                    break
        line += piece
    return [*lines, line]


def shortened(text: str, width: int, middle: bool = False) -> str:
    """Return the first `width` columns of a text, or its two ends (`middle`), with `…` for what is left out."""
    if cell_len(text) <= width:
        return text
    tail = _within(text[::-1], (width - 1) // 2)[::-1] if middle else ""
    return f"{_within(text, width - 1 - cell_len(tail))}…{tail}"


def _within(text: str, width: int) -> str:
    used = 0
    for at, char in enumerate(text):
        used += cell_len(char)
        if used > width:
            return text[:at]
    return text
