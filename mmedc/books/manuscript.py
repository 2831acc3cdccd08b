"""The text of a book in the making: blocks in their order, without the parts that are left out, with offsets."""

import contextlib
from collections.abc import Iterator

from mmedc.books.book import Book, LeftOut, Section
from mmedc.books.rules import BookRules

PAGE = "\x1f"
"""Stands in a block where a page of the printed book begins."""


class Manuscript:
    """Collects the blocks of one document.

    A part begins with a heading that names it and ends before the next heading of the same or a higher level; or it
    is what is written inside `part`.
    """

    def __init__(self, rules: BookRules) -> None:
        self.rules = rules
        self.sections: list[Section] = []
        self.pages: list[int] = []
        self._pieces: list[str] = []
        self._length = 0
        self._between = ""  # page breaks before the next block
        self._scopes: list[tuple[str, str]] = []  # (part, title) of the elements that are open
        self._headed: tuple[str, str, int] | None = None  # the part, title and level of the heading that began one
        self._out: dict[tuple[str, str], int] = {}

    @property
    def empty(self) -> bool:
        """Whether no text has been written."""
        return not self._length

    def heading(self, text: str, level: int) -> None:
        """Write the heading of a section of `level`, from 1."""
        text = text.replace(PAGE, "").strip()
        if not text:
            return
        if self._headed and level <= self._headed[2]:
            self._headed = None
        if self._headed is None and (part := self.rules.part_of(text)):
            self._headed = (part, text, level)
        if self._write(text, "\n\n"):
            self.sections.append(Section(self._length - len(text), text, max(level, 1)))

    def block(self, text: str, close: bool = False) -> None:
        """Write a paragraph; `close` puts it right below the block before it, as an item of a list or a row."""
        if text.strip(PAGE):
            self._write(text, "\n" if close else "\n\n")
        else:
            self._between += text

    def page(self) -> None:
        """Begin a page of the printed book before the next block; within a block PAGE does so."""
        self._between += PAGE

    @contextlib.contextmanager
    def part(self, part: str | None, title: str = "") -> Iterator[None]:
        """Take what is written inside for `part`; None leaves it as it is."""
        if part:
            self._scopes.append((part, title))
        try:
            yield
        finally:
            if part:
                self._scopes.pop()

    def end_headed(self) -> None:
        """End the part that a heading began, as at the end of a file of chapters."""
        self._headed = None

    def into(self, book: Book) -> Book:
        """Put the text and its structure into `book`, and return it."""
        book.text = "".join(self._pieces)
        book.sections = self.sections
        last = [self._length] * self._between.count(PAGE)  # pages behind the last block
        book.pages = [min(page, self._length) for page in (*self.pages, *last)]
        book.left_out = [LeftOut(part, title, chars) for (part, title), chars in self._out.items()]
        return book

    def _dropping(self) -> tuple[str, str] | None:
        """Return the part that is being left out, and its title."""
        for part, title in self._scopes:
            if part in self.rules.dropped:
                return part, title
        if self._headed and self._headed[0] in self.rules.dropped:
            return self._headed[0], self._headed[1]
        return None

    def _write(self, text: str, before: str) -> bool:
        dropping = self._dropping()
        text, self._between = self._between + text, ""
        if dropping is not None:
            self._between = PAGE * text.count(PAGE)
            self._out[dropping] = self._out.get(dropping, 0) + len(text) - len(self._between)
            return False
        if self._length:
            self._pieces.append(before)
            self._length += len(before)
        for number, piece in enumerate(text.split(PAGE)):
            if number:
                self.pages.append(self._length)
            self._pieces.append(piece)
            self._length += len(piece)
        return True
