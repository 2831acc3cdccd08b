"""Pages put together as a book: paragraphs over columns and pages, headings, footnotes behind their marks, parts.

The pages are gone through twice, and neither time are more than a few in memory: `Learned` sees what belongs to the
whole book (furniture, the size of its text, its words), and `assembled` writes the text.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from mmedc.books.book import Book, LeftOut, Unreadable
from mmedc.books.manuscript import PAGE, Manuscript
from mmedc.books.pdf.cover import identifiers_in, licence_in
from mmedc.books.pdf.furniture import Furniture
from mmedc.books.pdf.joining import HYPHENS, Words, count_words, joined
from mmedc.books.pdf.layout import BEGINS, CONTINUES, LEADERS, OPEN, Placed
from mmedc.books.pdf.model import Cover, Heading
from mmedc.books.pdf.scripts import CAPTION
from mmedc.books.rules import BookRules

NOTE = re.compile(r"^\s*(\(?\d{1,3}\)?|[*†‡§¶]{1,3}|[¹²³⁰-⁹]{1,3})(?=[\s.\])]|[^\W\d_])")
SIGNS = re.compile(r"[\W_]+")
ENDED = re.compile(r"[.!?:;。！？：；।؟…][\"'”’»)\]」』）]*\s*$")
IMPRINT = re.compile(r"\bISBN\b|©|\(c\) \d{4}|all rights reserved|copyright \d{4}", re.IGNORECASE)
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
PAGED = re.compile(r"^.{2,}?(?:\s|\.|…)\s*(?:\d{1,4}|[ivxlc]{1,6})$")
UNUSED = ("needs_ocr", "ocr_empty", "ocr_unsure")
"""The reasons for which a page that could be read is not used."""
LARGER = 1.1  # of the size of the text: headings
SMALLER = 0.93  # of the size of the text: footnotes
TITLE_STEP = 1.6  # of the size: from a line of a title to the next one
NUMBERED = re.compile(r"(?:\d+(?:\.\d+)*[.)]?|[IVX]+[.)]|[A-Z][.)])\s")
HEADING_CHARS = 200
BOLD_CHARS = 110
FIRST_PAGES, LAST_PAGES = 4, 2
TAIL = 20  # characters in which the end of a sentence is looked for
WORDS_KEPT = 2_000_000


@dataclass
class Sheet:
    """A page as the layout left it."""

    number: int
    """From 0."""
    lines: list[Placed]
    need: str | None = None
    """Why its text is not used: see `mmedc.books.pdf.quality`."""
    hidden: int = 0
    """Characters that the page does not show, and that were removed."""


@dataclass
class Paragraph:
    """Lines that belong together."""

    text: str
    size: float
    bold: bool
    kind: str = ""
    """`row`, `note`, `caption` or empty."""
    page: int = 0
    begins: bool = True
    """Whether it surely does not go on with a paragraph of the column or page before."""
    last: Placed | None = None
    notes: list["Paragraph"] = field(default_factory=list)


@dataclass
class Learned:
    """What the whole book tells about each page."""

    furniture: Furniture = field(default_factory=Furniture)
    words: Words = field(default_factory=Counter)
    size: float = 0.0
    """Of the text, in points."""
    indented: bool = False
    """Whether paragraphs begin with an indent."""
    levels: dict[float, int] = field(default_factory=dict)
    """The depth of headings by their size."""
    ends: dict[int, str] = field(default_factory=dict)
    """The texts of the first and last pages, which name licence and identifiers."""
    unread: dict[int, str] = field(default_factory=dict)
    """The pages whose text is not used, and why."""
    hidden: int = 0
    """Characters that pages do not show."""

    @classmethod
    def of(cls, sheets: Iterable[Sheet]) -> "Learned":
        """Learn from all pages."""
        learned = cls()
        sizes: Counter[float] = Counter()
        begins = indents = 0
        for sheet in sheets:
            if sheet.need:
                learned.unread[sheet.number] = sheet.need
            learned.hidden += sheet.hidden
            learned.ends[sheet.number] = "\n".join(line.text for line in sheet.lines)
            if len(learned.ends) > FIRST_PAGES + LAST_PAGES:
                del learned.ends[list(learned.ends)[FIRST_PAGES]]
            learned.furniture.see(sheet.number, sheet.lines)
            if len(learned.words) < WORDS_KEPT:
                count_words(learned.words, [line.text for line in sheet.lines])
            for line in sheet.lines:
                sizes[_size(line)] += len(line.text)
                if line.start == BEGINS and not line.kind:
                    begins += 1
                    indents += line.indented
        learned.furniture.settle()
        learned.size = max(sizes, key=lambda size: (sizes[size], size)) if sizes else 10.0
        learned.indented = begins > 3 and indents > 0.4 * begins
        large = sorted((size for size in sizes if size >= LARGER * learned.size), reverse=True)
        learned.levels = {size: min(depth, 6) for depth, size in enumerate(_steps(large), 1)}
        return learned


def _steps(sizes: list[float]) -> list[float]:
    """Return sizes without those that hardly differ from the one before."""
    out: list[float] = []
    for size in sizes:
        if not out or size < 0.95 * out[-1]:
            out.append(size)
    return out


def _size(line: Placed) -> float:
    return round(2 * line.size) / 2


def books_from(read: Callable[[], Iterable[Sheet]], rules: BookRules, cover: Cover) -> Iterator[Book]:
    """Yield the book that the pages make, and for each page whose text is not used a document that says why.

    `read` gives the pages, and is called twice. Raises: Unreadable where no page has a text.
    """
    learned = Learned.of(read())
    book = assembled(read(), learned, rules, cover)
    if not book.text and learned.unread:
        reason, _, detail = next(iter(learned.unread.values())).partition(": ")
        why = reason if reason in UNUSED else "damaged"
        raise Unreadable(f"{why}: {len(learned.unread)} of {cover.pages} pages; {detail or reason}")
    yield book
    for number, problem in learned.unread.items():
        page = Book("", f"page={number + 1}")
        if problem.partition(":")[0] in UNUSED:
            page.unwanted = problem
        else:
            page.unread = problem
        yield page


def assembled(sheets: Iterable[Sheet], learned: Learned, rules: BookRules, cover: Cover) -> Book:
    """Return the book that the pages make."""
    writer = Writer(learned, Manuscript(rules), cover.outline)
    for sheet in sheets:
        writer.add(sheet)
    book = writer.end()
    texts = list(learned.ends.values())
    licence, evidence = (cover.licence, "pdf") if cover.licence else licence_in(texts)
    book.title, book.authors, book.date = cover.title, list(cover.authors), cover.date
    if book.title is None and book.sections:
        book.title = min(book.sections[:3], key=lambda section: section.level).title
    book.licence, book.licence_evidence = licence, evidence
    book.identifiers = list(dict.fromkeys([*cover.identifiers, *identifiers_in(texts)]))
    book.reserved = cover.reserved
    if writer.furniture_chars:
        book.left_out.append(LeftOut("furniture", "headers, footers, page numbers", writer.furniture_chars))
    if cover.missing:
        book.left_out.append(LeftOut("unread", f"{cover.missing:,} pages that the file states and does not have", 0))
    if learned.hidden:
        book.left_out.append(LeftOut("hidden", "text that the pages do not show", learned.hidden))
    return book


class Writer:
    """Writes one page after another; a paragraph is held until the next one begins."""

    def __init__(self, learned: Learned, manuscript: Manuscript, outline: tuple[Heading, ...] = ()) -> None:
        self.learned, self.manuscript = learned, manuscript
        self.furniture_chars = 0
        """Of the lines that were removed as headers, footers and page numbers."""
        self._open: Paragraph | None = None
        self._waiting: list[Paragraph] = []  # what stands between the parts of the open paragraph
        self._broken = 0  # page breaks since the open paragraph
        self._first = True
        self._contents = False
        self._titles: dict[int, list[tuple[str, int]]] = {}
        for heading in outline:
            self._titles.setdefault(heading.page, []).append((_folded(heading.title), heading.level))

    def add(self, sheet: Sheet) -> None:
        """Write a page, but for its last paragraph."""
        self._broken += 1
        if sheet.need:
            return
        lines, cut = self.learned.furniture.take(sheet.number, sheet.lines)
        self.furniture_chars += sum(len(line.text) for line in cut)
        lines = _side_by_side(lines)
        contents = _is_contents(lines)
        if contents != self._contents or contents:
            self._flush()
        self._contents = contents
        notes = set() if contents else _notes(lines, self.learned.size)
        found: list[Paragraph] = []
        for line in lines:
            self._line(line, id(line) in notes, sheet.number, found)
        self._place_notes([p for p in found if p.kind == "note"], [p for p in found if p.kind != "note"])
        for paragraph in found:
            if paragraph.kind != "note":
                self._take(paragraph)

    def end(self) -> Book:
        """Write what is held and return the book."""
        self._flush()
        for _ in range(self._broken):
            self.manuscript.page()
        return self.manuscript.into(Book(""))

    def _line(self, line: Placed, note: bool, page: int, found: list[Paragraph]) -> None:
        """Add a line to the last paragraph of `found`, or begin one."""
        text = line.text.strip()
        if not text:
            return
        last = found[-1] if found else None
        kind = "note" if note else "row" if line.kind == "row" else "caption" if _begins_caption(line) else ""
        if last and last.kind == kind != "row" and not (kind == "note" and NOTE.match(text)):
            same = abs(line.size - last.size) <= 0.09 * last.size
            title = last.size >= LARGER * self.learned.size
            on = line.start == CONTINUES or (line.start == OPEN and self._continues(last, line))
            if same and (self._title_goes_on(last, line) or (on and not (title and NUMBERED.match(text)))):
                last.text, last.last = joined(last.text, text, self.learned.words), line
                last.bold = last.bold and line.bold
                return
            if kind == "note" and line.start != BEGINS:
                last.text, last.last = joined(last.text, text, self.learned.words), line
                return
        elif last and last.kind == "caption" and not kind and line.start == 0 and last.last:
            last.text, last.last = joined(last.text, text, self.learned.words), line
            return
        found.append(Paragraph(text, line.size, line.bold, kind, page, line.start != OPEN, line))

    def _title_goes_on(self, last: Paragraph, line: Placed) -> bool:
        """Return whether a line is the next one of a title: right below it, large like it, and no title of its own."""
        above, text = last.last, line.text.strip()
        if last.kind or above is None or above.size < LARGER * self.learned.size or last.bold != line.bold:
            return False
        if (
            not 0 < line.base - above.base < TITLE_STEP * line.size
            or NUMBERED.match(text)
            or ENDED.search(last.text[-TAIL:])
        ):
            return False
        known = {title for title, _ in self._titles.get(last.page, ())}
        return len(last.text) + len(text) < HEADING_CHARS and not known & {_folded(last.text), _folded(text)}

    def _continues(self, last: Paragraph, line: Placed) -> bool:
        """Return whether the first line of a column or page goes on with a paragraph."""
        before, text = last.text, line.text.strip()
        if last.kind == "row" or self._heading(last) or abs(line.size - last.size) > 0.09 * last.size:
            return False
        if before[-1] in HYPHENS and text[0].islower():
            return True
        if line.indented and self.learned.indented:
            return False
        if not ENDED.search(before[-TAIL:]):
            return not (line.bold and not last.bold)
        return self.learned.indented and not line.indented and bool(last.last and last.last.full)

    def _take(self, paragraph: Paragraph) -> None:
        """Go on with the open paragraph, or write it and open this one."""
        held = self._open
        if held and not paragraph.begins and not paragraph.kind and self._continues(held, _first_line(paragraph)):
            page = PAGE * self._broken
            whole = joined(held.text, paragraph.text, self.learned.words)
            if page:
                at = max(len(whole) - len(paragraph.text), 0)
                whole = whole[:at] + page + whole[at:]
            self._broken = 0
            held.text, held.last = whole, paragraph.last
            held.notes += paragraph.notes
            return
        floats = paragraph.kind in ("row", "caption")
        if floats and held and not held.kind and not ENDED.search(held.text[-TAIL:]) and not self._heading(held):
            paragraph.text = PAGE * self._broken + paragraph.text
            self._broken = 0
            self._waiting.append(paragraph)
            return
        self._flush()
        if self._broken:
            paragraph.text = PAGE * self._broken + paragraph.text
            self._broken = 0
        self._open = paragraph

    def _flush(self) -> None:
        held, self._open = self._open, None
        waiting, self._waiting = self._waiting, []
        if held:
            self._write(held)
        for paragraph in waiting:
            self._write(paragraph)

    def _write(self, paragraph: Paragraph) -> None:
        text = paragraph.text
        if self._contents:
            with self.manuscript.part("contents"):
                self.manuscript.block(text, True)
        elif level := self._heading(paragraph):
            pages = len(text) - len(text.lstrip(PAGE))
            for _ in range(pages):
                self.manuscript.page()
            self.manuscript.heading(text.lstrip(PAGE), level)
        elif paragraph.kind == "row":
            with self.manuscript.part("tables"):
                self.manuscript.block(text, not self._first)
            self._first = False
            return
        elif paragraph.page < 8 and len(text) < 1500 and IMPRINT.search(text):
            with self.manuscript.part("front_matter", "imprint"):
                self.manuscript.block(text)
        elif paragraph.kind == "caption":
            with self.manuscript.part("captions"):
                self.manuscript.block(text)
        else:
            self.manuscript.block(text)
        self._first = True
        for note in paragraph.notes:
            with self.manuscript.part("footnotes"):
                self.manuscript.block(note.text)

    def _heading(self, paragraph: Paragraph) -> int:
        """Return the level of a heading, or 0 for other paragraphs."""
        text = paragraph.text.lstrip(PAGE)
        if paragraph.kind in ("row", "note", "caption") or len(text) > HEADING_CHARS or not text:
            return 0
        if titles := self._titles.get(paragraph.page):
            folded = _folded(text)
            for title, level in titles:
                if title and title == folded:
                    return level
        if not any(char.isalpha() for char in text):
            return 0
        size = round(2 * paragraph.size) / 2
        if size >= LARGER * self.learned.size:
            known = [known for known in self.learned.levels if known >= size - 0.25]
            return self.learned.levels[min(known)] if known else 1
        if (
            paragraph.bold
            and len(text) <= BOLD_CHARS
            and size >= 0.97 * self.learned.size
            and not ENDED.search(text[-TAIL:])
        ):
            return min(max(self.learned.levels.values(), default=0) + 1, 6)
        return 0

    @staticmethod
    def _place_notes(notes: list[Paragraph], others: list[Paragraph]) -> None:
        """Put each footnote behind the paragraph that refers to it, or behind the last one of its page."""
        body = [p for p in others if not p.kind]
        for note in notes:
            found = NOTE.match(note.text)
            mark = _mark(found[1].strip("()")) if found else "$^"
            refers = re.compile(rf"(?<=[^\s\d(]){mark}(?!\w)|(?<=\w)\s?\({mark}\)")
            target = next((p for p in reversed(body) if refers.search(p.text)), body[-1] if body else None)
            if target is None:
                note.kind = ""
                others.append(note)
            else:
                target.notes.append(note)


def _side_by_side(lines: list[Placed]) -> list[Placed]:
    """Return lines with those at the edges of the page joined that the layout kept apart and that are no furniture."""
    out: list[Placed] = []
    for line in lines:
        last = out[-1] if out else None
        if last and last.edge and line.edge and not last.kind and abs(last.base - line.base) < 0.4 * line.size:
            last.text = (
                f"{last.text.strip()} | {line.text.strip()}" if line.x0 - last.x1 > line.size else last.text + line.text
            )
            last.x1 = max(last.x1, line.x1)
            continue
        out.append(line)
    for at, line in enumerate(out):
        if line.edge and " | " in line.text:
            beside = {other.kind for other in out[max(at - 1, 0) : at + 2]}
            line.text = f"| {line.text} |" if "row" in beside else line.text.replace(" | ", " ")
            line.kind = "row" if "row" in beside else ""
    return out


def _mark(mark: str) -> str:
    """Return an expression for the mark of a footnote, raised or not."""
    return re.escape(mark) if not mark.isdigit() else f"(?:{mark}|{mark.translate(RAISED)})"


def _first_line(paragraph: Paragraph) -> Placed:
    last = paragraph.last
    assert last is not None
    return Placed(paragraph.text, last.x0, last.x1, last.base, paragraph.size, paragraph.bold, OPEN, "", 0, False)


def _begins_caption(line: Placed) -> bool:
    return bool(line.start != 0 and CAPTION.match(line.text.strip()))


def _notes(lines: list[Placed], size: float) -> set[int]:
    """Return the lines of footnotes: small ones below the text of a column, from the first that has a mark."""
    found: set[int] = set()
    for column in _columns(lines):
        at = len(column)
        while at and column[at - 1].size <= SMALLER * size and column[at - 1].kind != "row":
            at -= 1
        if at == 0:
            continue
        marked = next((n for n in range(at, len(column)) if NOTE.match(column[n].text)), None)
        if marked is not None:
            found.update(id(line) for line in column[marked:])
    return found


def _columns(lines: list[Placed]) -> Iterator[list[Placed]]:
    held: list[Placed] = []
    for line in lines:
        if held and line.start == OPEN:
            yield held
            held = []
        held.append(line)
    if held:
        yield held


def _is_contents(lines: list[Placed]) -> bool:
    """Return whether a page is part of a table of contents: most of its lines lead to a page number."""
    if len(lines) < 6:
        return False
    texts = [line.text for line in lines]
    if not LEADERS.search("\n".join(texts)):
        return False
    leading = sum(bool(LEADERS.search(text)) for text in texts)
    return leading >= 0.5 * len(lines) or (
        leading >= 0.25 * len(lines) and sum(bool(PAGED.match(line.text.strip())) for line in lines) >= 0.6 * len(lines)
    )


def _folded(title: str) -> str:
    return SIGNS.sub("", title.casefold())
