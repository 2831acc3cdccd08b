"""Crawler traps: addresses without end that lead to the same few pages, and how they are recognised.

`Traps` is fed with the addresses that are found and with the pages that came, and answers with the reason why one is
not worth fetching or following, or "". It has no clock and does no I/O, so it is tested with lists of addresses. The
addresses of a host are told apart by their *shape*: the address with its numbers, dates and random tokens taken out.
A shape whose pages turn out alike is closed, whatever it is called: a calendar, a session id in the path, a table that
can be sorted in every way, an endless folder.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from mmedc.crawl.sketch import Sketch, likeness, sketch
from mmedc.settings import Part

TOKEN = re.compile(r"(?<![A-Za-z0-9])(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{20,}|(?<![a-z0-9])[0-9a-f]{12,}(?![a-z0-9])")
"""What looks random: 12 or more hexadecimal digits, or 20 or more letters and digits with a digit in it."""
NUMBER = re.compile(r"[0-9]+")
DATE = re.compile(
    r"(?<![0-9])(?P<year>[0-9]{4})(?:[-_/.](?:0?[1-9]|1[0-2])(?:[-_/.](?:0?[1-9]|[12][0-9]|3[01]))?)(?![0-9])"
    r"|(?:^|[?&/_-])(?:year|yr|annee|jahr|ano|anno)[=/](?P<named>[0-9]{4})",
    re.IGNORECASE,
)
CALENDAR = re.compile(r"calend|kalend|agenda|/events?\b|[?&](?:month|day|date|week|mes|mois|monat)=", re.IGNORECASE)
MAX_SHAPES = 20_000
MAX_TEXTS = 200_000
MAX_QUERIES = 300_000
EXEMPLARS = 2
TOP_CHARS = 400
"""Characters at the beginning of a text where it would say that nothing was found."""


class TrapLimits(Part):
    """From when on an address counts as part of a trap."""

    characters: int = 1_000
    """Of an address."""
    segments: int = 16
    """Folders of a path."""
    repeats: int = 3
    """How often a folder, or a run of folders, may occur in one path."""
    parameters: int = 8
    """Of a query."""
    query_keys: int = 12
    """Different sets of parameters of one path."""
    query_variants: int = 400
    """Different queries of one path."""
    subdomains: int = 200
    """Hosts of one registrable domain."""
    calendar: int = 60
    """Addresses that differ only in their date."""
    alike: int = 3
    """Pages of one shape that are alike, from which on the shape is closed unless most of its pages are new."""
    likeness: float = 0.92
    """The Jaccard similarity from which on two texts are alike."""
    missing_characters: int = 3_000
    """A page that says that nothing was found is believed when its text is at most so long."""


@dataclass
class Shape:
    """What is known of the addresses of one shape."""

    urls: int = 0
    pages: int = 0
    alike: int = 0
    closed: str = ""
    """The reason why no more of them are fetched."""
    exemplars: list[str] = field(default_factory=list)
    """Sketches of pages that were unlike each other, in hexadecimal digits."""


@dataclass
class Path:
    """The queries of one path."""

    keys: set[str] = field(default_factory=set)
    queries: set[int] = field(default_factory=set)
    """Hashes of the sorted parameters."""


class Traps:
    """Recognises the traps of some hosts. Reasons: see `REASONS`."""

    def __init__(self, limits: TrapLimits | None = None, missing: Iterable[str] = (), year: int = 2026) -> None:
        """Take the limits, phrases of pages that do not exist (`filters/crawl/missing.txt`), and the current year."""
        self._limits, self._year = limits or TrapLimits(), year
        self._missing = re.compile("|".join(re.escape(phrase.lower()) for phrase in missing) or "(?!)")
        self._shapes: dict[str, Shape] = {}
        self._paths: dict[str, Path] = {}
        self._hosts: dict[str, set[str]] = {}
        self._texts: dict[int, int] = {}
        self._absent: dict[str, list[str]] = {}
        self._queries = 0

    def found(self, url: str, domain: str = "") -> str:
        """Count a new address and return why it is not worth fetching; "" if it is.

        `domain` is its registrable domain.
        """
        parts = urlsplit(url)
        host = parts.netloc
        if reason := self._of_host(host, domain) or self._of_path(url, parts.path):
            return reason
        if parts.query and (reason := self._of_query(host + parts.path, parts.query)):
            return reason
        shape = self._shape(url)
        if shape is None:
            return ""
        shape.urls += 1
        return shape.closed or self._of_date(url, shape)

    def closed(self, url: str) -> str:
        """Return why an address that was queued is not worth fetching any more; "" if it is."""
        shape = self._shapes.get(shape_of(url))
        return shape.closed if shape else ""

    def page(self, url: str, title: str, text: str, links: int = 0) -> str:
        """Learn from a page that came, and return why its links are not worth following; "" if they are.

        `text` is its shown text; `links` how many links it has.
        """
        host = urlsplit(url).netloc
        print_ = sketch(text)
        if self._is_missing(host, title, text, print_):
            if shape := self._shape(url):
                shape.pages += 1
                shape.alike += 1
                self._judge(url, shape)
            return "soft_404"
        if not len(print_):
            return ""
        same = self._seen_before(host, print_)
        shape = self._shape(url)
        if shape is None:
            return "near_identical" if same else ""
        shape.pages += 1
        alike = same or self._is_like(print_, shape.exemplars)
        if not alike:
            shape.exemplars = [*shape.exemplars, print_.tobytes().hex()][-EXEMPLARS:]
            return ""
        shape.alike += 1
        self._judge(url, shape)
        return "near_identical" if same or shape.alike >= self._limits.alike else ""

    def _judge(self, url: str, shape: Shape) -> None:
        """Close a shape most of whose pages were alike."""
        if not shape.closed and shape.alike >= self._limits.alike and shape.alike * 2 > shape.pages:
            shape.closed = "session_id" if TOKEN.search(url) else "calendar" if is_dated(url) else "near_identical"

    def _shape(self, url: str) -> Shape | None:
        """Return what is known of the shape of `url`; None where too many are known to begin another."""
        key = shape_of(url)
        if key not in self._shapes and len(self._shapes) < MAX_SHAPES:
            self._shapes[key] = Shape()
        return self._shapes.get(key)

    def _of_host(self, host: str, domain: str) -> str:
        if not domain:
            return ""
        hosts = self._hosts.setdefault(domain, set())
        if host not in hosts:
            if len(hosts) >= self._limits.subdomains:
                return "subdomains"
            hosts.add(host)
        return ""

    def _of_path(self, url: str, path: str) -> str:
        if len(url) > self._limits.characters:
            return "long_url"
        segments = [segment for segment in path.split("/") if segment]
        if len(segments) > self._limits.segments:
            return "deep_path"
        return "repeated_path" if repeats(segments) > self._limits.repeats else ""

    def _of_query(self, place: str, query: str) -> str:
        parameters = sorted(part for part in query.split("&") if part)
        if len(parameters) > self._limits.parameters:
            return "query_parameters"
        known = self._paths.get(place)
        if known is None:
            if len(self._paths) >= MAX_SHAPES:
                return ""
            known = self._paths[place] = Path()
        number = _hash("&".join(parameters))
        if number in known.queries:
            return "query_order"
        keys = " ".join(part.partition("=")[0] for part in parameters)
        if keys not in known.keys:
            if len(known.keys) >= self._limits.query_keys:
                return "query_facets"
            known.keys.add(keys)
        if len(known.queries) >= self._limits.query_variants:
            return "query_variants"
        if self._queries < MAX_QUERIES:
            known.queries.add(number)
            self._queries += 1
        return ""

    def _of_date(self, url: str, shape: Shape) -> str:
        if not is_dated(url):
            return ""
        year = next((int(found["year"] or found["named"]) for found in DATE.finditer(url)), self._year)
        if not 1900 <= year <= self._year + 1:
            return "calendar"
        return "calendar" if shape.urls > self._limits.calendar and CALENDAR.search(url) else ""

    def _is_missing(self, host: str, title: str, text: str, print_: Sketch) -> bool:
        """Return whether a page says that what was asked for does not exist, or is like one that said so."""
        known = self._absent.get(host, [])
        if self._is_like(print_, known):
            return True
        stripped = text[: 2 * self._limits.missing_characters]
        if len(" ".join(stripped.split())) > self._limits.missing_characters:
            return False
        top = " ".join(text.split())[:TOP_CHARS]
        if not self._missing.search(f"{title}\n{top}".lower()):
            return False
        if len(print_):
            self._absent[host] = [*known, print_.tobytes().hex()][-EXEMPLARS:]
        return True

    def _is_like(self, print_: Sketch, known: list[str]) -> bool:
        """Return whether a sketch is like one of those that are known."""
        sketches = (np.frombuffer(bytes.fromhex(one), np.uint32) for one in known)
        return any(likeness(print_, one) >= self._limits.likeness for one in sketches)

    def _seen_before(self, host: str, print_: Sketch) -> bool:
        """Return whether another page of the host had the same text, but for digits and signs."""
        number = _hash(host + str(print_.tobytes()))
        seen = self._texts.get(number, 0)
        if seen or len(self._texts) < MAX_TEXTS:
            self._texts[number] = seen + 1
        return seen > 0

    def dump(self) -> bytes:
        """Return everything that was learnt, for `load`."""
        state: dict[str, Any] = {
            "shapes": {key: asdict(shape) for key, shape in self._shapes.items()},
            "paths": {key: [sorted(path.keys), sorted(path.queries)] for key, path in self._paths.items()},
            "hosts": {domain: sorted(hosts) for domain, hosts in self._hosts.items()},
            "texts": list(self._texts.items()),
            "absent": self._absent,
        }
        return json.dumps(state, separators=(",", ":")).encode()

    def load(self, state: bytes) -> None:
        """Take over what another `Traps` has learnt."""
        known = json.loads(state)
        self._shapes = {key: Shape(**shape) for key, shape in known["shapes"].items()}
        self._paths = {key: Path(set(keys), set(queries)) for key, (keys, queries) in known["paths"].items()}
        self._queries = sum(len(path.queries) for path in self._paths.values())
        self._hosts = {domain: set(hosts) for domain, hosts in known["hosts"].items()}
        self._texts = dict(known["texts"])
        self._absent = known["absent"]


REASONS = {
    "long_url": "the address is longer than a page needs",
    "deep_path": "the path has more folders than sites have",
    "repeated_path": "folders of the path repeat",
    "query_parameters": "the query has more parameters than a page needs",
    "query_order": "the same parameters in another order were queued before",
    "query_facets": "the path has too many sets of parameters",
    "query_variants": "the path has too many queries",
    "subdomains": "the domain has too many hosts",
    "calendar": "the page of a calendar, or a date out of range",
    "session_id": "pages of this shape differ only in a token",
    "near_identical": "pages of this shape, or other pages of the host, have the same text",
    "soft_404": "the page says that what was asked for does not exist",
}
"""The reasons that `Traps` answers with."""


def shape_of(url: str) -> str:
    """Return `url` without its scheme, with `*` for random tokens and `0` for numbers."""
    return NUMBER.sub("0", TOKEN.sub("*", url.partition("://")[2]))


def is_dated(url: str) -> bool:
    """Return whether the last thing that an address says is a date, or whether it looks like a calendar."""
    dates = list(DATE.finditer(url))
    return bool(dates and len(url) - dates[-1].end() <= 1) or CALENDAR.search(url) is not None


def repeats(segments: list[str]) -> int:
    """Return how often the most frequent folder, or run of up to three folders in a row, occurs; numbers not."""
    counts: dict[str, int] = {}
    for segment in segments:
        if not segment.isdigit():
            counts[segment] = counts.get(segment, 0) + 1
    most = max(counts.values(), default=0)
    for size in (1, 2, 3):
        run = 1
        for at in range(size, len(segments) - size + 1, size):
            run = run + 1 if segments[at : at + size] == segments[at - size : at] else 1
            most = max(most, run if size > 1 or not segments[at].isdigit() else 0)
    return most


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=7).digest(), "big")
