"""Books and articles: every file of a folder that is one, told apart by its content; see `mmedc.books`."""

import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa

from mmedc.bookparts import PARTS
from mmedc.books import pubmed, webbook, wiki
from mmedc.books.book import BOOK, Book, LeftOut, Unreadable
from mmedc.books.documents import PACKED, documents, finished
from mmedc.books.ocr.models import OcrRules, ocr_rules
from mmedc.books.rules import NAMED, BookRules
from mmedc.books.sniff import HEAD_BYTES, format_of
from mmedc.document import RESERVED
from mmedc.engine import slot
from mmedc.filters import open_filters
from mmedc.inputs import Input
from mmedc.models import Model
from mmedc.recipe import Recipe
from mmedc.recipe_parts import SourceConfig
from mmedc.sources import dumps
from mmedc.sources.containers import Item, elements, members
from mmedc.sources.content import Stream, parts_of
from mmedc.sources.paged import PageTables, books_of
from mmedc.sources.raw import InputSplit, Records
from mmedc.storage import read_each
from mmedc.tokenizer import check_tokenizer, encoding_digest
from mmedc.unpack import packed_suffixes

SUFFIXES = ("",)
"""Every file of a folder is looked at."""
PER_UNIT = 64
UNIT_BYTES = 64 << 20
MIN_CHAPTERS, MAX_CHAPTERS = 3, 2_000
PAGE_SUFFIXES = packed_suffixes(".html", ".htm", ".xhtml")
MAX_FILE = 512 << 20
"""The bytes of the largest file that is held in memory; pictures and fonts count."""


class Part(NamedTuple):
    """What is read as one record: a file, or an article in it."""

    place: str
    """After `#` in the locator; empty for a whole file."""
    parse: Callable[[], list[Book]]
    """Returns its documents; none where it is not a book. Raises: Unreadable."""


@dataclass(frozen=True)
class BooksReader:
    """Reads each file as a book, or as the articles that it contains.

    Dropped here: `not_text` (a picture, a style sheet), `reserved`. Rejected here: `damaged`, `encrypted`, `bomb`,
    `too_large`, `too_deep`, `no_chapters`, `no_text`, `empty_file`, `unreadable`.
    """

    version: ClassVar[int] = 2

    def read(self, split: InputSplit, start: int, skip: frozenset[int]) -> Iterator[pa.RecordBatch]:
        """Yield the records of some files; see `mmedc.engine.chain.Source`. Raises: OSError when one cannot be read."""
        records, rules = Records(start, skip), split.books or BookRules()
        default = kind_unless_stated(split.config)
        tables = dict(zip((file.url for file in split.inputs), split.pages or (), strict=False))
        for group in _groups(split.inputs):
            chapters: list[str] = []
            if len(group) >= MIN_CHAPTERS and records.ordinal + 1 not in skip:
                slot.mark(records.ordinal + 1)
                chapters, part = _folder(group, split, rules)
                if chapters:
                    yield from add_part(records, part, chapters[0], chapters[0], rules, default)
            for file in group:
                if file.name in chapters:
                    continue
                try:
                    paged = tables.get(file.url)
                    for part in _parts(file, split, rules) if paged is None else _paged(paged, rules):
                        yield from add_part(records, part, file.name, file.name, rules, default)
                except Unreadable as problem:  # behind what was sound, or of the file as a whole
                    yield from records.reject(f"{file.name}#rest", file.name, str(problem))
        yield from records.flush()


def cut(name: str, config: SourceConfig, inputs: tuple[Input, ...], recipe: Recipe) -> Iterator[InputSplit]:
    """Yield the units of a source: a large file alone, a large dump in ranges, small files together."""
    rules, limits = book_rules(recipe), recipe.limits
    unit: list[Input] = []
    ranges = dict(zip(inputs, read_each(lambda file: dumps.ranges_of(file, limits.unit), inputs), strict=True))
    for group in _groups(inputs):
        if parts := ranges[group[0]]:
            if unit:
                yield InputSplit(name, config, tuple(unit), None, limits.document, limits.ratio, rules)
                unit = []
            for part in parts:
                yield InputSplit(
                    name, config, tuple(group), None, limits.document, limits.ratio, rules, bytes_read=part
                )
            continue
        size = sum(file.bytes for file in [*unit, *group])
        if unit and (size > UNIT_BYTES or len(unit) + len(group) > PER_UNIT):
            yield InputSplit(name, config, tuple(unit), None, limits.document, limits.ratio, rules)
            unit = []
        unit += group
    if unit:
        yield InputSplit(name, config, tuple(unit), None, limits.document, limits.ratio, rules)


def _groups(inputs: tuple[Input, ...]) -> list[list[Input]]:
    """Return the files one by one, but pages of one folder together, because they may be the chapters of a book."""
    groups: list[list[Input]] = []
    before = None
    for file in inputs:
        folder = posixpath.dirname(file.url) if file.name.lower().endswith(PAGE_SUFFIXES) else None
        if folder is not None and folder == before and len(groups[-1]) < MAX_CHAPTERS:
            groups[-1].append(file)
        else:
            groups.append([file])
        before = folder
    return groups


def _folder(group: list[Input], split: InputSplit, rules: BookRules) -> tuple[list[str], Part]:
    """Return (the names of the pages that are chapters of one book in their order, the book); ([], _) for no book."""
    pages: dict[str, bytes] = {}
    left = split.document_bytes
    try:
        for file in group:
            stream = Stream(parts_of(file, split.ratio), left)
            pages[file.name] = stream.read()
            left -= len(pages[file.name])
        chapters = webbook.contents_of(pages)
    except Unreadable:  # then each page is read, or rejected, for itself
        chapters = []
    chosen = [(name, pages[name]) for name in chapters]
    return chapters, Part("", lambda: finished(webbook.read_pages(chosen, rules), rules))


def book_rules(recipe: Recipe) -> BookRules:
    """Return the rules by which a recipe reads books. Raises: RecipeError for a tokenizer that is not here."""
    filters, chosen, publish = open_filters(recipe.filters), recipe.books, recipe.publish
    fates = {part: chosen.parts.get(part, fate) for part, (fate, _) in PARTS.items()}
    splits = publish.split is not None
    if splits:
        check_tokenizer(publish.tokenizer, "publish.tokenizer")
    return BookRules(
        dropped=tuple(part for part, fate in fates.items() if fate == "drop"),
        headings=tuple((heading, part) for part in NAMED for heading in filters.words(f"books/{part}.txt")),
        chapter_words=filters.words("books/chapter.txt"),
        textbook_words=filters.words("books/textbook.txt"),
        keep_reserved=chosen.reserved == "keep",
        engine=chosen.engine,
        ocr=ocr_rules_of(recipe),
        need=need_model(recipe),
        split_tokens=publish.tokens if splits else None,
        tokenizer=publish.tokenizer if splits else "",
        tokenizer_digest=encoding_digest(publish.tokenizer) if splits else "",
    )


def ocr_rules_of(recipe: Recipe) -> OcrRules | None:
    """Return how a recipe reads pages by OCR, or None. Raises: RequestError for a model that is missing."""
    chosen = recipe.books.ocr
    if chosen is None:
        return None
    languages = chosen.languages or recipe.languages
    return ocr_rules(chosen.engine, languages, chosen.tessdata, chosen.dpi, chosen.confidence)


def need_model(recipe: Recipe) -> Model:
    """Return the model that tells which pages of PDF need OCR. Raises: ModelMissing, PolicyError, RecipeError."""
    filters = open_filters(recipe.filters)
    if "pages" not in recipe.models:
        return filters.model("pages")
    with recipe.at("models", "pages"):
        return filters.model("pages", recipe.models["pages"])


def _parts(file: Input, split: InputSplit, rules: BookRules) -> Iterator[Part]:
    """Yield what is in a file. Raises: Unreadable."""
    if split.bytes_read is not None:
        yield from _range(file, split.bytes_read, split)
        return
    stream, limit = Stream(parts_of(file, split.ratio), MAX_FILE), split.document_bytes
    try:
        head = stream.head(HEAD_BYTES)
    except Unreadable as problem:
        yield Part("", _failing(str(problem)))
        return
    found = format_of(head, file.name)
    if found == "tar":
        for item in members(stream, MAX_FILE):
            yield Part(item.place, _parser(item.data, item.name, rules, limit, item.problem))
    elif found == "mediawiki":
        base = wiki.base_of(head)
        for item in elements(stream, "page", limit):
            yield _wiki_page(item, base)
    elif found == "pubmed":
        for item in elements(stream, "PubmedArticle", limit):
            yield Part(
                item.place, _failing(item.problem) if item.problem else partial(pubmed.citation, item.data, rules)
            )
    else:
        yield Part("", lambda: _whole(file, stream, head, rules, limit))


def _range(file: Input, part: tuple[int, int], split: InputSplit) -> Iterator[Part]:
    """Yield the pages that begin in a range of a dump. Raises: Unreadable."""
    for item, base in dumps.pages_of(file, *part, split.document_bytes, split.ratio):
        yield _wiki_page(item, base)


def _wiki_page(item: Item, base: str) -> Part:
    return Part(item.place, _failing(item.problem) if item.problem else partial(wiki.article, item.data, base))


def _paged(tables: PageTables, rules: BookRules) -> Iterator[Part]:
    """Yield the one part of a PDF whose pages have been read."""
    yield Part("", lambda: books_of(tables, rules))


def _whole(file: Input, stream: Stream, head: bytes, rules: BookRules, limit: int) -> list[Book]:
    """Return the documents of a file that is one book. Raises: Unreadable."""
    if not head:
        raise Unreadable(f"empty_file: {file.bytes:,} bytes")
    if format_of(head, file.name) not in PACKED:
        stream.most = limit
    return documents(stream.read(), file.name, rules, limit)


def _parser(data: bytes, name: str, rules: BookRules, limit: int, problem: str) -> Callable[[], list[Book]]:
    return _failing(problem) if problem else lambda: documents(data, name, rules, limit)


def _failing(problem: str) -> Callable[[], list[Book]]:
    def parse() -> list[Book]:
        raise Unreadable(problem)

    return parse


def add_part(
    records: Records, part: Part, locator: str, provenance: str, rules: BookRules, kind: str, begun: bool = False
) -> Iterator[pa.RecordBatch]:
    """Add the documents of `part`, or the record that says why there is none.

    `kind` is that of documents that do not state theirs. `begun`: the first record has been begun already.
    """
    here = records.ordinal >= records.start if begun else records.next()
    slot.mark(records.ordinal)
    place = f"#{part.place}" if part.place else ""
    if records.skipped:
        yield from records.add(f"{locator}{place}", f"{provenance}{place}")
        return
    try:
        books = part.parse()  # even where the records are not wanted, because their number is
    except Unreadable as problem:
        if here:
            yield from records.add(f"{locator}{place}", f"{provenance}{place}", rejected_by=str(problem))
        return
    if not books and here:
        yield from records.add(f"{locator}{place}", f"{provenance}{place}", dropped_by="not_text")
    for number, book in enumerate(books):
        here = records.next() if number else here
        if here:
            own = "&".join(filter(None, (part.place, book.place)))
            own = f"#{own}" if own else ""
            values = {} if records.skipped else {**book.columns(), "kind": book.kind or kind, **_fate(book, rules)}
            yield from records.add(book.locator or f"{locator}{own}", f"{provenance}{own}", **values)


def kind_unless_stated(config: SourceConfig) -> str:
    """Return the kind of documents that state none: that of the recipe, or else `book`."""
    return config.kind if "kind" in config.model_fields_set else BOOK


def book_values(data: bytes, name: str, rules: BookRules, limit: int) -> dict[str, Any]:
    """Return the columns of the book in an archived response, which is never split, or why there is none."""
    whole = replace(rules, split_tokens=None)
    try:
        books = documents(data, name, whole, limit)
    except Unreadable as problem:
        return {"rejected_by": str(problem), "payload": data}
    if not books:
        return {"dropped_by": "not_text"}
    book = books[0]
    for page in books[1:]:  # an archived response is one record, so that no page of it is rejected by itself
        if why := page.unread or page.unwanted:
            book.left_out.append(LeftOut("unread", f"{page.place}: {why.partition(':')[0]}", 0))
    values = {key: value for key, value in book.columns().items() if value is not None}
    return {**values, "kind": book.kind or BOOK, **_fate(book, whole)}


def _fate(book: Book, rules: BookRules) -> dict[str, str | None]:
    """Return why a document is not wanted, if so."""
    if book.unwanted or book.unread:
        return {"text": None, "dropped_by": book.unwanted or None, "rejected_by": book.unread or None}
    if book.reserved and not rules.keep_reserved:
        return {"text": None, "dropped_by": f"reserved: {RESERVED} {book.reserved}"}
    if not book.text:
        parts = ", ".join(sorted({left.part for left in book.left_out}))
        return {
            "text": None,
            "rejected_by": f"no_text: all of it is left out ({parts})" if parts else "no_text: it has no text",
        }
    if book.reserved:  # kept all the same, because the recipe says so
        return {"licence_evidence": "; ".join(filter(None, (book.licence_evidence, f"{RESERVED} {book.reserved}")))}
    return {}
