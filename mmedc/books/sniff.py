"""What a file is, by its first bytes: the name of a format of books, whatever the name of the file says."""

import posixpath
import re
import zipfile
from io import BytesIO
from typing import Literal

from mmedc.books.package import NOT_ZIP

Format = Literal["pdf", "epub", "docx", "jats", "pubmed", "mediawiki", "html", "markdown", "text", "tar", ""]

HEAD_BYTES = 4096
"""The bytes that are enough to recognise everything but a ZIP archive."""
_XML_ROOT = re.compile(
    rb"(?:<\?[^>]*\?>|<!--.*?-->|<!DOCTYPE[^\[>]*(?:\[[^\]]*\])?[^>]*>|\s)*<(?:[A-Za-z][\w.-]*:)?([A-Za-z][\w.-]*)",
    re.DOTALL,
)
_ROOTS: dict[bytes, Format] = {
    b"article": "jats",
    b"book": "jats",
    b"book-part-wrapper": "jats",
    b"pmc-articleset": "jats",
    b"articles": "jats",
    b"PubmedArticleSet": "pubmed",
    b"PubmedArticle": "pubmed",
    b"mediawiki": "mediawiki",
    b"html": "html",
}
_BINARY = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"RIFF",
    b"OggS",
    b"ID3",
    b"\x00\x01\x00\x00",
    b"OTTO",
    b"wOF",
    b"\xd0\xcf\x11\xe0",
)
_MARKDOWN = re.compile(rb"^(?:#{1,6} \S|---\r?\n[a-z_]+:|[^\n]{1,200}\r?\n(?:=|-){3,}\s*$)", re.MULTILINE)
MARKDOWN_SUFFIXES = (".md", ".markdown", ".mdown", ".mkd")
TEXT_SUFFIXES = ("", ".txt", ".text", ".asc")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_TAR_AT, _TAR = 257, b"ustar"
_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f\x1b")
MAX_CONTROLS = 0.02


def format_of(data: bytes, name: str) -> Format:
    """Return the format of a file whose content, or at least its head, is `data`; "" for what is no book.

    Only text has no signature: there the suffix tells it from style sheets and programs, which are text as well.
    """
    head = data[:HEAD_BYTES]
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(b"PK\x03\x04"):
        return _zipped(data)
    if head[_TAR_AT : _TAR_AT + 5] == _TAR:
        return "tar"
    if head.startswith(_BINARY):
        return ""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n\f")
    if start.startswith(b"<"):
        root = _XML_ROOT.match(start)
        if root and root[1] in _ROOTS:
            return _ROOTS[root[1]]
        if re.search(rb"<(?:!doctype\s+html|html|head|body)\b", start[:2048], re.IGNORECASE):
            return "html"
        if start.startswith(b"<?xml"):
            return ""
    stem = name.lower().removesuffix(".gz").removesuffix(".zst").removesuffix(".bz2").removesuffix(".lz4")
    suffix = posixpath.splitext(stem)[1]
    if not start or not (head.startswith(_UTF_16) or _share(head) <= MAX_CONTROLS):
        return ""
    if suffix in MARKDOWN_SUFFIXES:
        return "markdown"
    if suffix not in TEXT_SUFFIXES:
        return ""
    return "markdown" if len(_MARKDOWN.findall(head)) >= 2 else "text"


def _share(head: bytes) -> float:
    return 1 - len(head.translate(None, _CONTROLS)) / max(len(head), 1)


def _zipped(data: bytes) -> Format:
    """Return what a ZIP archive is by its members; "" for other archives, "epub" for one that begins as an EPUB."""
    if data[30:58] == b"mimetypeapplication/epub+zip":
        return "epub"
    try:
        names = set(zipfile.ZipFile(BytesIO(data)).namelist())
    except NOT_ZIP:
        names = set()
        if b"META-INF/container.xml" in data:
            return "epub"
        if b"word/document.xml" in data:
            return "docx"
    if "META-INF/container.xml" in names or any(name.lower().endswith(".opf") for name in names):
        return "epub"
    return "docx" if "word/document.xml" in names or ("[Content_Types].xml" in names and _has_word(names)) else ""


def _has_word(names: set[str]) -> bool:
    return any(name.startswith("word/") for name in names)
