"""EPUB 2 and 3: the chapters of the spine in their order, with the titles and levels of the table of contents."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mmedc.books.book import Book, LeftOut, Unreadable
from mmedc.books.epub_metadata import describe
from mmedc.books.manuscript import Manuscript
from mmedc.books.package import Package, resolve
from mmedc.books.rules import BookRules
from mmedc.books.xhtml import HEADINGS, NOTES, NUMBERED, PART_OF_TYPE, XhtmlWalker, types_of
from mmedc.books.xmlfile import attribute, local, parse, parse_page, text_of

CONTAINER = "META-INF/container.xml"
_OBFUSCATED = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_PAGES = ("application/xhtml+xml", "text/html", "text/x-oeb1-document", "application/x-dtbook+xml")
_GUIDE = {
    "title-page": "titlepage",
    "copyright-page": "copyright-page",
    "acknowledgements": "acknowledgements",
    "notes": "",
    "text": "",
}
"""The names of EPUB 2 for what EPUB 3 calls otherwise; the others are the same."""
MAX_LINKED = 0.7
"""A page whose text lies in links by more than this share is a table of contents."""
MIN_LINKS = 8
_OUTER = 5
"""So many files at the beginning of the spine may be front matter by their words."""
_NOTE_BLOCKS = frozenset(("p", "li", "aside", "dd", "div", "td", "body"))
IMPRINT = re.compile(
    r"©|\(c\) ?\d{4}|\bISBN\b|copyright|all rights reserved|tous droits réservés|derechos reservados|все права|"
    r"版权所有|著作権|版權|\bimpr(?:int|essum)\b|dépôt légal|depósito legal|first published|"
    r"publi(?:shed|cado) (?:by|por)",
    re.IGNORECASE,
)
COST_A_CHAPTER = frozenset(("damaged", "too_deep"))
"""The reasons for which a chapter is left out; for any other, the whole book is not read."""
ENDING_BYTES = 1_000
_ENDS = re.compile(rb"</(?:\w+:)?(?:body|html)\s*>|<\0?/\0?(?:b\0?o\0?d\0?y|h\0?t\0?m\0?l)", re.IGNORECASE)
"""What a chapter ends with, also in UTF-16; one without it was cut off, and how much is lost nobody knows."""
IMPRINT_CHARS = 6_000
"""A page at the beginning or end of a book with two of these marks, and no longer than this, is an imprint."""


@dataclass
class Contents:
    """The table of contents: the depth of each place, the titles of files, what files are by the landmarks."""

    depths: dict[tuple[str, str], int] = field(default_factory=dict)
    by_file: dict[str, list[int]] = field(default_factory=dict)
    """The depths of all places in a file."""
    titles: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    navigation: set[str] = field(default_factory=set)
    """The files that are the table of contents."""


def read(data: bytes, rules: BookRules, limit: int) -> Iterator[Book]:
    """Yield the book. Raises: Unreadable: `damaged`, `encrypted`, `bomb`, `too_large`, `too_deep`, `no_chapters`."""
    package = Package(data, limit)
    opf = _opf_of(package)
    _check_encryption(package)
    root = parse(package.read(opf), opf)
    metadata = describe(root)
    items = {node.get("id"): node for node in root.iter("{*}item") if node.get("id")}
    spine = _spine(root, items, opf)
    contents = _contents(package, root, items, opf)
    pages: list[tuple[str, Any]] = []
    lost: list[LeftOut] = []
    for name in spine:
        if name not in package:
            lost.append(LeftOut("missing", name[:200], 0))
            continue
        try:
            data = package.read(name)
            page = parse_page(data)
        except Unreadable as problem:
            if (reason := str(problem).partition(":")[0]) not in COST_A_CHAPTER:
                raise
            lost.append(LeftOut(reason, name[:200], package.size(name)))
            continue
        if page is None:
            lost.append(LeftOut("empty", name[:200], len(data)))
            continue
        pages.append((name, page))
        if not _ENDS.search(data[-ENDING_BYTES:]):
            lost.append(LeftOut("cut", name[:200], 0))
    if not pages:
        such = f", such as {lost[0].title} ({lost[0].part})" if lost else ""
        raise Unreadable(f"no_chapters: none of the {len(spine)} chapters of the spine can be read{such}")
    out = Manuscript(rules)
    walker = XhtmlWalker(out, _notes(pages))
    walker.levels = contents.depths
    for number, (name, page) in enumerate(pages):
        outer = number < _OUTER or number >= len(pages) - 2
        _write(walker, name, page, contents, outer)
    book = out.into(metadata.fill(Book("")))
    book.left_out += lost
    yield book


def _opf_of(package: Package) -> str:
    """Return the name of the package document."""
    if CONTAINER in package:
        root = parse(package.read(CONTAINER), CONTAINER)
        for node in root.iter("{*}rootfile"):
            path = node.get("full-path") or ""
            if path in package:
                return path
    found = [name for name in package if name.lower().endswith(".opf")]
    if not found:
        raise Unreadable("damaged: the archive has no package document (.opf)")
    return found[0]


def _check_encryption(package: Package) -> None:
    """Check that no chapter is encrypted; fonts may be obfuscated. Raises: Unreadable, with the reason `encrypted`."""
    name = "META-INF/encryption.xml"
    if name not in package:
        return
    for node in parse(package.read(name), name).iter("{*}EncryptedData"):
        method = next(node.iter("{*}EncryptionMethod"), None)
        algorithm = (method.get("Algorithm") if method is not None else None) or "an unknown method"
        target = next((inner.get("URI") or "" for inner in node.iter("{*}CipherReference")), "")
        if algorithm not in _OBFUSCATED:
            raise Unreadable(
                f"encrypted: {target[:100]} is encrypted ({algorithm[:100]}); the book has a copy protection"
            )


def _spine(root: Any, items: dict[str, Any], opf: str) -> list[str]:
    """Return the files of the spine in order, each once."""
    names: dict[str, None] = {}
    for node in root.iter("{*}itemref"):
        seen: set[str] = set()
        item = items.get(node.get("idref"))
        while item is not None and (item.get("media-type") or "") not in _PAGES and item.get("id") not in seen:
            seen.add(item.get("id"))  # a page may stand in for what readers need not know, and loops are possible
            item = items.get(item.get("fallback"))
        if item is not None and (name := resolve(opf, item.get("href") or "")):
            names[name] = None
    if not names:
        raise Unreadable("no_chapters: the spine names no chapter")
    return list(names)


def _contents(package: Package, root: Any, items: dict[str, Any], opf: str) -> Contents:
    """Return the table of contents of EPUB 3 (nav), else of EPUB 2 (NCX)."""
    found = Contents()
    for node in root.iter("{*}reference"):  # the guide
        kind = (node.get("type") or "").lower()
        if name := resolve(opf, node.get("href") or ""):
            found.types[name] = _GUIDE.get(kind, kind)
    for item in items.values():
        is_nav = "nav" in (item.get("properties") or "").split()
        is_ncx = item.get("media-type") == "application/x-dtbncx+xml"
        name = resolve(opf, item.get("href") or "")
        if not (is_nav or is_ncx) or name not in package or (is_ncx and found.depths):
            continue
        found.navigation.add(name)
        with contextlib.suppress(Unreadable):  # the chapters are in the spine, with or without a table of contents
            page = parse_page(package.read(name))
            if page is not None:
                (_read_nav if is_nav else _read_ncx)(page, name, found)
    return found


def _add(found: Contents, base: str, href: str, title: str, depth: int) -> None:
    name, fragment = resolve(base, href), href.partition("#")[2]
    if name:
        found.depths.setdefault((name, fragment), depth)
        found.by_file.setdefault(name, []).append(depth)
        if not fragment:
            found.titles.setdefault(name, title)


def _read_nav(page: Any, name: str, found: Contents) -> None:
    for nav in page.iter("{*}nav", "nav"):
        types = types_of(nav)
        for link in nav.iter("{*}a", "a"):
            href = link.get("href") or ""
            if "toc" in types:
                depth = sum(local(above) == "ol" for above in link.iterancestors())
                _add(found, name, href, text_of(link), max(depth, 1))
            elif "landmarks" in types and (target := resolve(name, href)):
                kinds = [kind for kind in types_of(link) if kind in PART_OF_TYPE]
                if kinds:
                    found.types[target] = kinds[0]


def _read_ncx(page: Any, name: str, found: Contents) -> None:
    for point in page.iter("{*}navPoint", "navpoint"):
        source = next((node for node in point if local(node) == "content"), None)
        label = next((node for node in point if local(node) == "navlabel"), None)
        if source is not None:
            depth = 1 + sum(local(above) == "navpoint" for above in point.iterancestors())
            _add(found, name, attribute(source, "src"), text_of(label), depth)


def _notes(pages: list[tuple[str, Any]]) -> dict[tuple[str, str], Any]:
    """Return the elements that are notes, or in a list of notes, by file and id."""
    found: dict[tuple[str, str], Any] = {}
    for name, page in pages:
        for node in page.iter():
            if not isinstance(node.tag, str):
                continue
            types = types_of(node)
            if types & NOTES and node.get("id"):
                found[name, node.get("id")] = node
            elif types & {"footnotes", "endnotes", "rearnotes"}:
                for item in node.iter("{*}li", "li", "{*}aside", "aside"):
                    if item.get("id"):
                        found.setdefault((name, item.get("id")), item)
    return found or _notes_by_links(pages)


def _notes_by_links(pages: list[tuple[str, Any]]) -> dict[tuple[str, str], Any]:
    """Return the paragraphs that are notes because a number before them leads to them, and they lead back to it."""
    references: dict[tuple[str, str], set[tuple[str, str]]] = {}  # where a number leads → the ids of the number
    found: dict[tuple[str, str], Any] = {}
    for name, page in pages:
        for node in page.iter():
            if not isinstance(node.tag, str):
                continue
            key = name, node.get("id") or ""
            if key in references:
                block = node
                while local(block) not in _NOTE_BLOCKS and block.getparent() is not None:
                    block = block.getparent()
                for link in block.iter("{*}a", "a"):
                    href = link.get("href") or ""
                    if (resolve(name, href), href.partition("#")[2]) in references[key]:
                        found[key] = block
            href = (node.get("href") or "") if local(node) == "a" else ""
            if "#" in href and NUMBERED.fullmatch("".join(node.itertext())):
                own = {
                    (name, near.get("id")) for near in (node, node.getparent()) if near is not None and near.get("id")
                }
                references.setdefault((resolve(name, href), href.partition("#")[2]), set()).update(own)
    return found


def _write(walker: XhtmlWalker, name: str, page: Any, contents: Contents, outer: bool) -> None:
    """Write a chapter."""
    body = next(iter(page.iter("{*}body", "body")), page)
    title = contents.titles.get(name, "")
    kind = contents.types.get(name, "")
    part = PART_OF_TYPE.get(kind) or ("contents" if name in contents.navigation or _is_contents(body) else None)
    part = part or walker.out.rules.part_of(title) or ("front_matter" if outer and _is_imprint(body) else None)
    headings = [HEADINGS[local(node)] for node in body.iter() if local(node) in HEADINGS]
    depths = contents.by_file.get(name, [])
    walker.file = name
    walker.target = lambda href: (resolve(name, href), href.partition("#")[2])
    walker.base = min(depths) - min(headings) if depths and headings else 0
    walker.pending = contents.depths.get((name, ""), 0)
    out = walker.out
    with out.part(part, title or name):
        if title and (text := text_of(body)) and not _begins_with_heading(body):
            if text.startswith(title):
                _first_as_heading(walker, body, title, min(depths, default=1))
            else:
                walker.pending = 0
                out.heading(title, min(depths, default=1))
        walker.walk(body)
        walker.flush()
    out.end_headed()


def _begins_with_heading(body: Any) -> bool:
    """Return whether the first text of a chapter lies in a heading."""
    for node in body.iter():
        if isinstance(node.tag, str) and (node.text or "").strip():
            return any(local(above) in HEADINGS for above in (node, *node.iterancestors()))
        if node is not body and (node.tail or "").strip():
            return any(local(above) in HEADINGS for above in node.iterancestors())
    return False


def _first_as_heading(walker: XhtmlWalker, body: Any, title: str, level: int) -> None:
    """Make the first paragraph of a chapter without headings its heading, where it is its title."""
    for node in body.iter("{*}p", "p", "{*}div", "div"):
        if text_of(node) == title:
            node.tag = "h1"
            walker.pending = level
            return


def _is_imprint(body: Any) -> bool:
    """Return whether a short page states who published the book and who has the rights."""
    text = text_of(body)
    return len(text) <= IMPRINT_CHARS and len({mark.lower() for mark in IMPRINT.findall(text)}) >= 2


def _is_contents(body: Any) -> bool:
    """Return whether nearly all of a page lies in links to other places."""
    links = [text_of(node) for node in body.iter("{*}a", "a") if node.get("href")]
    return len(links) >= MIN_LINKS and sum(map(len, links)) > MAX_LINKED * max(len(text_of(body)), 1)
