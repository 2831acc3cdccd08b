"""A whole PDF read in one go, for files in archives and for explanations; books of a source are read by page ranges."""

import tempfile
from collections.abc import Iterator

import pyarrow as pa

from mmedc.books.book import Book, Unreadable
from mmedc.books.pdf.book import books_from
from mmedc.books.pdf.cover import cover_of
from mmedc.books.pdf.engines import Opened
from mmedc.books.pdf.tables import PageRows, sheets
from mmedc.books.rules import BookRules

STEP = 64
"""Pages that are read at once."""


def read(data: bytes, rules: BookRules) -> Iterator[Book]:
    """Yield the book in the bytes of a PDF, and its pages that are not used. Raises: Unreadable."""
    with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
        file.write(data)
        file.flush()
        opened = Opened(file.name, rules.engine, rules.ocr)
        table = pages_of(opened, range(opened.pages), rules.need.path if rules.need else None)
        yield from books_from(lambda: sheets(table), rules, cover_of(opened))


def pages_of(opened: Opened, numbers: range, need: str | None = None) -> pa.Table:
    """Return some pages of a file as a PAGE table; `need` is the model that tells which need OCR."""
    rows = PageRows(need)
    for begin in range(numbers.start, numbers.stop, STEP):
        part = range(begin, min(begin + STEP, numbers.stop))
        opened.prepare(part)
        for number in part:
            try:
                rows.add(0, number, opened.page(number), opened.by_ocr)
            except Unreadable as problem:
                rows.add_failed(0, number, str(problem))
    return pa.table(rows.columns())
