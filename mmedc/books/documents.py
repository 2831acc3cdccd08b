"""The documents in the content of a file or of an archived response: content in, documents out, by its format."""

from collections.abc import Callable, Iterator

from mmedc.books import docx, epub, jats, plain, webbook
from mmedc.books.book import BOOK, TEXTBOOK, Book, Unreadable
from mmedc.books.rules import BookRules
from mmedc.books.sniff import Format, format_of
from mmedc.books.split import split

Parser = Callable[[bytes, BookRules, int], Iterator[Book]]


def _pdf(data: bytes, rules: BookRules, limit: int) -> Iterator[Book]:
    from mmedc.books.pdf import whole  # Arrow and the libraries of PDF, which most units do not need

    return whole.read(data, rules)


def _jats(data: bytes, rules: BookRules, limit: int) -> Iterator[Book]:
    return jats.read(data, rules)


BY_CONTENT: dict[Format, Parser] = {
    "pdf": _pdf,
    "epub": epub.read,
    "jats": _jats,
    "docx": docx.read,
    "html": webbook.read,
    "markdown": plain.read_markdown,
    "text": plain.read_text,
}
"""How each format is read: the content, the rules, and how many bytes of it may be text."""

PACKED: frozenset[Format] = frozenset(("pdf", "epub", "docx"))
"""Formats whose size on disk is mostly pictures and fonts."""


def _bounded(data: bytes, limit: int) -> None:
    if len(data) > limit:
        raise Unreadable(f"too_large: {len(data):,} bytes, at most {limit:,} are read")


def documents(data: bytes, name: str, rules: BookRules, limit: int) -> list[Book]:
    """Return the documents of a file, long ones split as the rules say; none where the content is not a book.

    Raises: Unreadable, with the reason to reject the file.
    """
    found = format_of(data, name)
    if found not in BY_CONTENT:
        return []
    if found not in PACKED:
        _bounded(data, limit)
    return finished(BY_CONTENT[found](data, rules, limit), rules)


def finished(found: Iterator[Book], rules: BookRules) -> list[Book]:
    """Return documents with their kind where their subjects state it, and long ones split. Raises: Unreadable."""
    books = []
    for book in found:
        if book.kind in (None, BOOK) and rules.is_textbook(book.subjects):
            book.kind = TEXTBOOK
        books += split(book, rules)
    if not books:
        raise Unreadable("no_text: the file has no document")
    return books
