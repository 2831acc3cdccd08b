"""Books that are web pages: a file with all chapters, or a folder whose contents page names the order of its files."""

from collections.abc import Iterator
from typing import Any

from mmedc.books.book import Book, Unreadable
from mmedc.books.manuscript import Manuscript
from mmedc.books.package import resolve
from mmedc.books.rules import BookRules
from mmedc.books.xhtml import XhtmlWalker
from mmedc.books.xmlfile import local, parse_page, text_of
from mmedc.identifiers import ISBN
from mmedc.licences import spdx

CHAPTERS_SHARE = 0.6
"""A page of a folder that links to this share of the other pages is the table of contents of one book."""
_META = {"author": "author", "dc.creator": "author", "citation_author": "author", "dcterms.creator": "author"}


def read(data: bytes, rules: BookRules, limit: int) -> Iterator[Book]:
    """Yield the book that is one page. Raises: Unreadable."""
    yield from read_pages([("", data)], rules)


def read_pages(pages: list[tuple[str, bytes]], rules: BookRules) -> Iterator[Book]:
    """Yield the book whose chapters are `pages` (name, content), in their order. Raises: Unreadable."""
    out = Manuscript(rules)
    walker = XhtmlWalker(out)
    book = Book("")
    for name, data in pages:
        root = parse_page(data)
        if root is None:
            continue
        describe(book, root)
        walker.file = name
        walker.walk(next(iter(root.iter("{*}body", "body")), root))
        walker.flush()
        out.end_headed()
    if out.empty:
        raise Unreadable("no_text: the page shows no text")
    yield out.into(book)


def contents_of(pages: dict[str, bytes]) -> list[str]:
    """Return the pages of a folder in the order in which one of them links to most of the others; [] if none does."""
    best: list[str] = []
    for name, data in pages.items():
        if data.count(b"href") + data.count(b"HREF") < (len(pages) - 1) * CHAPTERS_SHARE:
            continue
        root = parse_page(data)
        targets = (resolve(name, link.get("href") or "") for link in root.iter("{*}a", "a")) if root is not None else ()
        named = list(dict.fromkeys(target for target in targets if target in pages and target != name))
        if len(named) > len(best):
            best = [name, *named]
    return best if len(best) - 1 >= max(1, CHAPTERS_SHARE * (len(pages) - 1)) else []


def describe(book: Book, root: Any) -> None:
    """Fill in what the head of a page says, unless an earlier page did."""
    for node in root.iter():
        name = local(node)
        if name == "body":
            break
        if name == "title":
            book.title = book.title or text_of(node) or None
        elif name == "meta":
            key, value = (node.get("name") or node.get("property") or "").lower(), node.get("content") or ""
            if key in _META and value and value not in book.authors:
                book.authors.append(value)
            elif key in ("dc.identifier", "citation_isbn", "isbn") and ISBN.fullmatch(value.replace("-", "")):
                book.identifiers.append(f"isbn:{value.replace('-', '')}")
            elif key in ("dc.rights", "dcterms.rights", "license") and not book.licence_evidence and value:
                _license(book, value)
            elif key in ("dc.type", "dc.subject", "keywords"):
                book.subjects.append(value)
            elif key == "tdm-reservation" and value.strip() == "1":
                book.reserved = "1"
        elif name == "link" and "license" in (node.get("rel") or "").lower().split():
            _license(book, node.get("href") or "")


def _license(book: Book, value: str) -> None:
    book.licence = spdx(value)
    book.licence_evidence = "page" if book.licence else f"page: {value[:300]}"
