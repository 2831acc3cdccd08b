"""The links of sitemaps and feeds: XML, packed or not, a plain list of URLs, RSS, Atom.

A file is read up to its first fault: what stands before it counts, and the fault is reported. Nothing that a file
declares is expanded or fetched.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from mmedc.books.book import Unreadable
from mmedc.books.xmlfile import attribute, characters, local, text_of
from mmedc.codings import TooLarge, Truncated, undone
from mmedc.crawl.address import normal
from mmedc.crawl.types import Link, LinkKind

MAX_BYTES = 52_428_800  # once decompressed: what the protocol allows
MAX_LINKS = 50_000  # the same
MAX_ALTERNATES = 100  # of one entry, in other languages
W3C_DATE = re.compile(r"\d{4}(?:-\d{2}(?:-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?)?)?")
KINDS: dict[str, LinkKind] = {"url": "sitemap", "item": "feed", "entry": "feed"}


@dataclass(frozen=True, slots=True)
class Sitemap:
    """What a sitemap or feed lists, in its order, each URL once."""

    links: tuple[Link, ...] = ()
    sitemaps: tuple[str, ...] = ()
    """Further sitemaps, of an index."""
    problem: str = ""
    """Why the file, or its rest, was not read."""


def read_sitemap(body: bytes, url: str) -> Sitemap:
    """Return what the sitemap or feed at `url` lists. `body` may be packed by gzip. Raises nothing."""
    try:
        body = undone(body, [], MAX_BYTES)
    except TooLarge:
        return Sitemap(problem=f"too_large: over {MAX_BYTES:,} bytes once decompressed")
    except (Truncated, ValueError) as fault:
        return Sitemap(problem=f"damaged: {fault}")
    problem = ""
    if len(body) > MAX_BYTES:
        body, problem = body[:MAX_BYTES], f"too_large: {len(body):,} bytes, of which {MAX_BYTES:,} were read"
    text = characters(body).lstrip()
    if not text.startswith("<"):
        return _plain(text, url, problem)
    found = _Found(url)
    try:
        for element in _entries(text):
            found.take(element)
    except Unreadable as fault:
        problem = problem or str(fault)
    except _Full:
        problem = problem or f"too_long: over {MAX_LINKS:,} entries, of which that many were read"
    return Sitemap(tuple(found.links.values()), tuple(found.sitemaps), problem)


class _Full(Exception):
    """As many links as are read have been found."""


class _Found:
    """Collects the links of one file."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.links: dict[str, Link] = {}
        self.sitemaps: dict[str, None] = {}

    def take(self, element: Any) -> None:
        """Take up an entry of a sitemap, an index or a feed. Raises: _Full."""
        name = local(element)
        parts: dict[str, str] = {}
        alternates: list[str] = []
        for child in element:
            part = local(child)
            if part == "link" and attribute(child, "href"):
                relation = attribute(child, "rel") or "alternate"
                if attribute(child, "hreflang"):
                    alternates.append(attribute(child, "href"))
                elif relation == "alternate":
                    parts.setdefault("link", attribute(child, "href"))
            elif part in ("loc", "link", "guid", "title", "lastmod", "pubdate", "updated", "published", "date"):
                parts.setdefault(part, text_of(child))
        address = parts.get("loc") or parts.get("link") or ""
        if not address and parts.get("guid", "").startswith(("http:", "https:")):
            address = parts["guid"]
        changed = next(
            (parts[part] for part in ("lastmod", "updated", "pubdate", "published", "date") if part in parts), ""
        )
        if name == "sitemap":
            if address and (found := normal(address, self.url)):
                self._room()
                self.sitemaps.setdefault(found)
            return
        self._add(address, Link("", parts.get("title", "")[:500], KINDS[name], lastmod=iso(changed)))
        for alternate in alternates[:MAX_ALTERNATES]:
            self._add(alternate, Link("", "", "hreflang", lastmod=iso(changed)))

    def _add(self, address: str, link: Link) -> None:
        if address and (found := normal(address, self.url)):
            self._room()
            self.links.setdefault(found, Link(found, link.anchor, link.kind, lastmod=link.lastmod))

    def _room(self) -> None:
        if len(self.links) + len(self.sitemaps) >= MAX_LINKS:
            raise _Full


def _entries(text: str) -> Iterator[Any]:
    """Yield the elements of a file that stand for a page or a sitemap, each as it ends. Raises: Unreadable."""
    from lxml import etree

    parser = etree.XMLPullParser(
        events=("end",),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    wanted = {*KINDS, "sitemap"}
    data = text.encode("utf-8", "replace")
    try:
        for at in range(0, len(data), 1 << 16):
            parser.feed(data[at : at + (1 << 16)])
            for _, element in parser.read_events():
                if local(element) in wanted:
                    yield element
                    element.clear()
                    while element.getprevious() is not None:  # what was read is let go of
                        del element.getparent()[0]
        parser.close()
    except etree.XMLSyntaxError as problem:
        raise Unreadable(f"damaged: not well-formed XML ({str(problem).partition(chr(10))[0][:200]})") from None


def _plain(text: str, url: str, problem: str) -> Sitemap:
    """Read a list of URLs, one a line."""
    links: dict[str, Link] = {}
    for line in text.splitlines():
        if len(links) >= MAX_LINKS:
            problem = problem or f"too_long: over {MAX_LINKS:,} lines, of which that many were read"
            break
        line = line.strip()
        if line.startswith(("http://", "https://")) and (found := normal(line)):
            links.setdefault(found, Link(found, kind="sitemap"))
        elif line and not links:
            return Sitemap(problem="damaged: neither XML nor a list of URLs")
    return Sitemap(tuple(links.values()), problem=problem)


def iso(date: str) -> str:
    """Return a date of a sitemap or feed as ISO 8601, or nothing where it is none."""
    date = date.strip()
    if W3C_DATE.fullmatch(date):
        return date
    try:
        return parsedate_to_datetime(date).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
