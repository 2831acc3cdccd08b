"""PDF files whose pages earlier passes have read: where their tables are, and the records that ingest makes of them."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from mmedc.books.book import Book, Unreadable
from mmedc.books.documents import finished
from mmedc.books.pdf.book import Sheet, books_from
from mmedc.books.pdf.model import Cover, Heading
from mmedc.books.pdf.tables import sheets
from mmedc.books.rules import BookRules
from mmedc.engine.commit import read_table
from mmedc.engine.identity import NO_EFFECT, Json
from mmedc.engine.unit import DataFile
from mmedc.inputs import Input
from mmedc.sources.raw import open_whole
from mmedc.storage import Store, is_local

COPY_BYTES = 4 << 20


@dataclass(frozen=True)
class PageTables:
    """What the passes `covers` and `pages` left of one PDF."""

    store: Store = field(metadata=NO_EFFECT)
    covers: DataFile
    """The covers of the files of a unit."""
    row: int
    """The position of the file among them."""
    parts: tuple[tuple[DataFile, int], ...]
    """For each range of pages, in order, the table that holds it and the position of the range there."""
    problem: str = ""
    """Why the file could not be opened; empty where it could."""

    def identity(self) -> Json:
        """Return the hashes of the tables."""
        return [self.covers.sha256, self.row, [[file.sha256, at] for file, at in self.parts], self.problem]

    def cover(self) -> Cover:
        """Return what the file says about itself."""
        table = read_table(self.store, self.covers, ["row", "cover"], filters=[("row", "==", self.row)])
        return cover_from(table["cover"][0].as_py())

    def sheets(self) -> Iterator[Sheet]:
        """Yield the pages; no more than a range of them is in memory."""
        for file, at in self.parts:
            yield from sheets(read_table(self.store, file, filters=[("file", "==", at)]).drop_columns(["file"]))


def books_of(tables: PageTables, rules: BookRules) -> list[Book]:
    """Return the documents of a PDF: the book, or its pieces, and its pages without a text.

    Raises: Unreadable where the file, or all of it, could not be read.
    """
    if tables.problem:
        raise Unreadable(tables.problem)
    return finished(books_from(tables.sheets, rules, tables.cover()), rules)


def cover_json(cover: Cover) -> str:
    """Return a cover as JSON."""
    return json.dumps(asdict(cover), ensure_ascii=False)


def cover_from(text: str) -> Cover:
    """Return the cover that `cover_json` wrote."""
    value: dict[str, Any] = json.loads(text)
    outline = tuple(Heading(**heading) for heading in value.pop("outline"))
    authors, identifiers = tuple(value.pop("authors")), tuple(value.pop("identifiers"))
    return Cover(**value, authors=authors, identifiers=identifiers, outline=outline)


@contextlib.contextmanager
def local_copy(file: Input) -> Iterator[str]:
    """Give the path of a file on this machine: its own, or that of a copy that is removed afterwards.

    Raises: OSError if it cannot be read.
    """
    if is_local(file.url):
        open_whole(file).close()
        yield file.url
        return
    with tempfile.NamedTemporaryFile(suffix=".pdf") as copy, open_whole(file) as stream:
        while data := stream.read(COPY_BYTES):
            copy.write(data)
        copy.flush()
        yield copy.name
