"""Long books in pieces: at their sections, as large as a limit of tokens allows, under the headings above them.

A piece is a run of sections that lie under the same headings. Its text begins with these headings, a paragraph each,
so that a reader of the piece knows where in the book it is. A section that is too long by itself is split at its
sections, and one without sections at its paragraphs.
"""

import itertools
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from mmedc.books.book import BOOK, TEXTBOOK, Book, Section
from mmedc.books.rules import BookRules
from mmedc.tokenizer import Encode, plain_encoder

SPLIT_KINDS = (None, BOOK, TEXTBOOK)
SMALL = 16
"""A run of sections of less than this part of the limit is no piece of its own where what follows it is split."""
_GAP = "\n\n"


@dataclass
class _Node:
    """A section with the sections below it."""

    section: Section | None
    start: int
    stop: int = 0
    below: list["_Node"] = field(default_factory=list)
    number: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Piece:
    """A run of text under some headings."""

    start: int
    stop: int
    above: tuple[Section, ...]
    place: str


def split(book: Book, rules: BookRules) -> list[Book]:
    """Return the pieces of a book, or the book itself where it is short, is no book, or the rules leave books whole."""
    limit = rules.split_tokens
    if limit is None or book.kind not in SPLIT_KINDS or len(book.text) * 4 <= limit:
        return [book]  # a character takes at most four bytes, and a token at least one

    measure = _Measure.of(book.text, limit, plain_encoder(rules.tokenizer))
    if measure.tokens(0, len(book.text)) <= limit:
        return [book]
    pieces = _pieces(_tree(book), (), measure)
    return [_cut(book, piece, first=number == 0) for number, piece in enumerate(pieces)]


@dataclass(frozen=True)
class _Measure:
    """Counts tokens in a text. Those of its lines are counted once: lines are never joined into one token."""

    text: str
    limit: int
    encode: Encode
    starts: list[int]
    """Where each line begins, and the end of the text."""
    counts: list[int]
    """The number of tokens before each of `starts`."""

    @classmethod
    def of(cls, text: str, limit: int, encode: Encode) -> "_Measure":
        """Count the tokens of each line of `text`."""
        lines = text.splitlines(keepends=True) if "\r" not in text else [text]
        counts = [len(ids) for ids in encode(lines)]
        starts = [0, *itertools.accumulate(map(len, lines))]
        return cls(text, limit, encode, starts, [0, *itertools.accumulate(counts)])

    def tokens(self, start: int, stop: int) -> int:
        """Return the number of tokens from one character to another."""
        low, high = bisect_left(self.starts, start), bisect_left(self.starts, stop)
        if self.starts[low] == start and self.starts[high] == stop:
            return self.counts[high] - self.counts[low]
        return len(self.encode([self.text[start:stop]])[0])

    def fits(self, start: int, stop: int, above: tuple[Section, ...]) -> bool:
        """Return whether a piece has no more tokens than the limit, with the headings above it."""
        heads = self.encode([section.title + _GAP for section in above])
        return sum(map(len, heads)) + self.tokens(start, stop) <= self.limit


def _tree(book: Book) -> _Node:
    """Return the sections of a book as a tree; they are numbered from 1 on each level."""
    root = _Node(None, 0, len(book.text))
    path = [root]
    for section in book.sections:
        while path[-1].section is not None and path[-1].section.level >= section.level:
            path.pop().stop = section.offset
        parent = path[-1]
        node = _Node(section, section.offset, number=(*parent.number, len(parent.below) + 1))
        parent.below.append(node)
        path.append(node)
    for node in path:
        node.stop = len(book.text)
    return root


class _Part(NamedTuple):
    """What is kept together if it fits: the text of a section before its sections, or a section with all of them."""

    start: int
    stop: int
    name: str
    node: _Node | None
    """The section; None for the text before its sections."""
    above: tuple[Section, ...]
    """The headings above it."""


def _pieces(
    node: _Node, above: tuple[Section, ...], measure: _Measure, lead: list[_Part] | None = None
) -> list[_Piece]:
    """Return the pieces of a section that does not fit as a whole; `lead` is a small run that stands before it."""
    inner = (*above, node.section) if node.section is not None else above
    own_end, number = node.below[0].start if node.below else node.stop, ".".join(map(str, node.number)) or "0"
    parts = [_Part(node.start, own_end, number, None, above)] if measure.text[node.start : own_end].strip() else []
    parts += [_Part(child.start, child.stop, ".".join(map(str, child.number)), child, inner) for child in node.below]
    pieces: list[_Piece] = []
    run: list[_Part] = lead or []

    def close() -> None:
        if run:
            pieces.append(_Piece(run[0].start, run[-1].stop, run[0].above, f"section={_span_of(run)}"))
            run.clear()

    for part in parts:
        if run and measure.fits(run[0].start, part.stop, run[0].above):
            run.append(part)
            continue
        small = [] if not run or measure.tokens(run[0].start, run[-1].stop) * SMALL > measure.limit else list(run)
        if measure.fits(part.start, part.stop, part.above):
            close()
            run.append(part)
            continue
        if small:
            run.clear()  # it begins what the part is split into
        close()
        if part.node is not None and part.node.below:
            pieces += _pieces(part.node, part.above, measure, small)
        else:
            first = (small or [part])[0]
            pieces += _paragraphs(first.start, part.stop, first.above, _span_of([*small, part]), measure)
    close()
    return pieces


def _span_of(run: list[_Part]) -> str:
    """Return the numbers of the first and the last part of a run."""
    first, last = run[0].name, run[-1].name
    return first if first == last else f"{first}-{last}"


def _paragraphs(start: int, stop: int, above: tuple[Section, ...], place: str, measure: _Measure) -> list[_Piece]:
    """Return the pieces of a text without sections: runs of paragraphs, then of lines, then of characters."""
    bounds = _bounds(measure, start, stop, above)
    runs: list[tuple[int, int]] = []
    for low, high in bounds:
        if runs and measure.fits(runs[-1][0], high, above):
            runs[-1] = runs[-1][0], high
        else:
            runs.append((low, high))
    return [
        _Piece(low, high, above, f"section={place}" + (f"&piece={number}" if len(runs) > 1 else ""))
        for number, (low, high) in enumerate(runs, 1)
    ]


def _bounds(measure: _Measure, start: int, stop: int, above: tuple[Section, ...]) -> list[tuple[int, int]]:
    """Return the ranges of paragraphs; one that is too long by itself is cut at its lines, or in the middle."""
    found: list[tuple[int, int]] = []
    for separator in (_GAP, "\n"):
        found, ranges, at = [], [], start
        while at < stop:
            end = measure.text.find(separator, at, stop)
            end = stop if end < 0 else end + len(separator)
            ranges.append((at, end))
            at = end
        found = ranges
        if all(measure.fits(low, high, above) for low, high in ranges):
            return found
    halved: list[tuple[int, int]] = []
    todo = list(reversed(found))
    while todo:
        low, high = todo.pop()
        if high - low < 64 or measure.fits(low, high, above):
            halved.append((low, high))
        else:
            middle = measure.text.rfind(" ", low, (low + high) // 2) + 1
            middle = middle if middle > low else (low + high) // 2
            todo += [(middle, high), (low, middle)]
    return halved


def _cut(book: Book, piece: _Piece, first: bool) -> Book:
    """Return a piece as a document of its own."""
    start, stop = piece.start, piece.stop
    while start < stop and book.text[start].isspace():
        start += 1
    sections, heads, length = [], [], 0
    for section in piece.above:
        sections.append(Section(length, section.title, section.level))
        heads.append(section.title + _GAP)
        length += len(section.title) + len(_GAP)
    shift = length - start
    own = [section for section in book.sections if start <= section.offset < stop]
    sections += [section._replace(offset=section.offset + shift) for section in own]
    return replace(
        book,
        text="".join(heads) + book.text[start:stop].rstrip(),
        place=f"{book.place}&{piece.place}" if book.place else piece.place,
        sections=sections,
        pages=[page + shift for page in book.pages if start <= page < stop],
        left_out=book.left_out if first else [],
    )
