"""Plain text and Markdown: headings become sections; the charset is found out, because nobody states it."""

import re
from collections.abc import Iterator

from mmedc.books.book import Book, Unreadable
from mmedc.books.manuscript import Manuscript
from mmedc.books.rules import BookRules
from mmedc.books.xhtml import XhtmlWalker
from mmedc.books.xmlfile import parse_page
from mmedc.decoding import decode_page
from mmedc.licences import spdx

_NUMBERED = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,4})\.?[ \t]+(\S.*)")
_UNDERLINE = re.compile(r"[=\-~^*]{3,}")
_SENTENCE_END = (".", "。", "!", "?", "！", "？", ";", "；", ",", "，", "、", "।", ":", "：")
_NUMBER = r"(?:[0-9０-９]{1,4}|[IVXLC]{1,7}|[一二三四五六七八九十百千零〇两]{1,6}|[٠-٩۰-۹]{1,4}|[०-९]{1,4}|\w{3,12})"
MAX_HEADING = 80
MIN_HEADINGS = 2
_FRONT = re.compile(r"---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*\n", re.DOTALL)
_FIELD = re.compile(r"^([A-Za-z_-]{2,20}):[ \t]*(.*)$", re.MULTILINE)


def characters(data: bytes) -> str:
    """Return the characters of a text. Raises: Unreadable, with the reason `undecodable` or `binary`."""
    text, found = decode_page(data, None)
    if text is None:
        raise Unreadable(found)
    return text


def read_text(data: bytes, rules: BookRules, limit: int) -> Iterator[Book]:
    """Yield the document of a plain text. Lines within a paragraph stay as they are. Raises: Unreadable."""
    text = characters(data).replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    lines = text.split("\n")
    levels = _headings(lines, rules)
    out = Manuscript(rules)
    paragraph: list[str] = []
    skip = False
    for number, line in enumerate(lines):
        if skip:
            skip = False
            continue
        if number in levels:
            out.block("\n".join(paragraph).strip())
            paragraph = []
            out.heading(line.strip().strip("#*= "), levels[number])
            skip = number + 1 < len(lines) and bool(_UNDERLINE.fullmatch(lines[number + 1].strip()))
        elif line.strip():
            paragraph.append(line.rstrip())
        elif paragraph:
            out.block("\n".join(paragraph))
            paragraph = []
    out.block("\n".join(paragraph))
    book = out.into(Book(""))
    yield book


def _headings(lines: list[str], rules: BookRules) -> dict[int, int]:
    """Return the level of each line that is a heading; none where they are fewer than two."""
    words = "|".join(re.escape(word).replace(r"\*", _NUMBER).replace(r"\ ", r"\s+") for word in rules.chapter_words)
    chapter = re.compile(rf"(?:{words})(?![^\W_]).*", re.IGNORECASE) if words else None
    found: dict[int, tuple[str, int]] = {}
    for number, line in enumerate(lines):
        text = line.strip()
        if not text or len(text) > MAX_HEADING or text.endswith(_SENTENCE_END):
            continue
        alone = number == 0 or not lines[number - 1].strip()
        following = lines[number + 1].strip() if number + 1 < len(lines) else ""
        numbered = _NUMBERED.fullmatch(text)
        if following and _UNDERLINE.fullmatch(following) and len(following) * 2 >= len(text) and alone:
            found[number] = "underlined", "=-~^*".index(following[0]) + 1
        elif not alone:
            continue
        elif chapter is not None and chapter.fullmatch(text):
            found[number] = "chapter", 1
        elif numbered and not following and "." in numbered[1]:
            found[number] = "numbered", numbered[1].count(".") + 1
        elif not following and rules.part_of(text):
            found[number] = "part", 1
    return {number: level for number, (_, level) in found.items()} if len(found) >= MIN_HEADINGS else {}


def read_markdown(data: bytes, rules: BookRules, limit: int) -> Iterator[Book]:
    """Yield the document of a Markdown file, with the values of the block before it. Raises: Unreadable."""
    from markdown_it import MarkdownIt

    text = characters(data).replace("\r\n", "\n").replace("\r", "\n")
    book = Book("")
    if front := _FRONT.match(text):
        _describe(book, front[1])
        text = text[front.end() :]
    page = MarkdownIt("commonmark", {"maxNesting": 60}).enable("table").render(text)
    out = Manuscript(rules)
    walker = XhtmlWalker(out)
    root = parse_page(page.encode("utf-8", "replace"))
    if root is not None:
        walker.walk(next(iter(root.iter("body")), root))
        walker.flush()
    out.into(book)
    book.title = book.title or next((section.title for section in book.sections if section.level == 1), None)
    yield book


def _describe(book: Book, front: str) -> None:
    """Fill in what the block of fields before the text says."""
    values = {name.lower(): value.strip().strip("\"'") for name, value in _FIELD.findall(front)}
    book.title = values.get("title") or None
    book.authors = [name for name in (values.get("author", ""),) if name]
    date = re.match(r"\d{4}(?:-\d\d(?:-\d\d)?)?", values.get("date", ""))
    book.date = date[0] if date else None
    said = values.get("license") or values.get("licence") or values.get("rights") or ""
    if said:
        book.licence = spdx(said)
        book.licence_evidence = "markdown" if book.licence else f"markdown: {said[:300]}"
    book.subjects = [values[name] for name in ("subject", "type", "genre") if values.get(name)]
