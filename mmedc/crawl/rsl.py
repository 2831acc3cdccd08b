"""RSL licences (Really Simple Licensing 1.0): whether the file that `License:` in a robots.txt names reserves a page.

A licence lets a page be used here if it permits training (`ai-train`, or `ai-all` or `all`, which include it), costs
nothing, asks for no licence server, and is not for some kinds of users or some countries only. A file that cannot be
read reserves what it was meant for: its owner has terms, and nobody knows them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from mmedc.books.book import Unreadable
from mmedc.books.xmlfile import attribute, local, parse, text_of
from mmedc.crawl.paths import path_matches, path_of
from mmedc.crawl.types import OptOut

MAX_LICENCE = 512_000  # bytes that are read
MAX_CONTENTS = 5_000  # entries of a file
MAX_VALUE = 200  # characters that are recorded
TRAINING = ("all", "ai-all", "ai-train")
"""The uses that include training, the widest first."""
FREE = frozenset(("free", "attribution"))
"""Kinds of payment that are none. A corpus names the page that a text comes from."""
WORD = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Terms:
    """What an entry of the file says of the pages that its pattern matches."""

    pattern: str
    """A path as in robots.txt, or a whole URL; empty for all that the file is named for."""
    refusal: str
    """Why they are reserved; empty if they are not."""


@dataclass(frozen=True)
class Licence:
    """A file with licences."""

    url: str
    terms: tuple[Terms, ...] = ()
    problem: str = ""
    """Why the file could not be read."""

    @classmethod
    def read(cls, url: str, body: bytes) -> "Licence":
        """Return what a file says. Nothing that it declares is expanded or fetched. Raises nothing."""
        if len(body) > MAX_LICENCE:
            return cls(url, problem=f"over {MAX_LICENCE:,} bytes")
        try:
            root = parse(body, "the licence")
        except Unreadable as problem:
            return cls(url, problem=str(problem)[:MAX_VALUE])
        contents = [child for child in root if local(child) == "content"] if local(root) == "rsl" else []
        if not contents or len(contents) > MAX_CONTENTS:
            return cls(url, problem=f"no RSL file: {len(contents):,} elements `content` in `{local(root)[:40]}`")
        return cls(url, tuple(Terms(attribute(each, "url").strip(), _refusal_of(each)) for each in contents))

    def optouts(self, page: str) -> tuple[OptOut, ...]:
        """Return the wish for the page at a URL, if it is reserved: by the entry with the longest pattern."""
        if self.problem:
            return (self._wish(self.problem),)
        matching = [terms for terms in self.terms if _matches(terms.pattern, page)]
        longest = max((len(terms.pattern) for terms in matching), default=0)
        refused = [terms.refusal for terms in matching if len(terms.pattern) == longest and terms.refusal]
        return (self._wish(refused[0]),) if refused else ()

    def _wish(self, why: str) -> OptOut:
        return OptOut("rsl", self.url, f"{self.url} {why}"[:MAX_VALUE])


def _matches(pattern: str, page: str) -> bool:
    """Return whether a pattern matches a page; of a whole URL the scheme is not compared."""
    if "://" not in pattern:
        return not pattern or path_matches(pattern, path_of(page))
    host, slash, path = pattern.partition("://")[2].partition("/")
    return path_matches(host.lower() + slash + path, unquote(page.partition("://")[2]))


def _refusal_of(content: Any) -> str:
    """Return why an entry reserves its pages, or nothing; of several licences one that allows the use is enough."""
    if attribute(content, "server"):
        return "licence server"
    if attribute(content, "encrypted").lower() == "true":
        return "encrypted"
    licences = [child for child in content if local(child) == "license"]
    refusals = [_refused(licence) for licence in licences] or ["no licence"]
    return "" if "" in refusals else refusals[0]


def _refused(licence: Any) -> str:
    """Return why a licence does not let pages be used here, or nothing."""
    permitted: list[str] | None = None
    prohibited: list[str] = []
    for child in licence:
        name, kind = local(child), attribute(child, "type").lower() or "usage"
        words = WORD.findall(text_of(child)[:MAX_VALUE].lower())
        if name in ("permits", "prohibits") and kind != "usage":
            return f"{name} {kind}: {' '.join(words)}"
        if name == "permits":
            permitted = [*(permitted or ()), *words]
        elif name == "prohibits":
            prohibited += words
        elif name == "payment" and (kind := attribute(child, "type").lower() or _priced(child)) not in FREE:
            return f"payment: {kind}"
    allowed, refused = _rank(permitted or ()), _rank(prohibited)
    if refused >= 0 and refused >= allowed:
        return f"prohibits {TRAINING[refused]}"
    return f"permits only {' '.join(permitted) or 'nothing'}" if permitted is not None and allowed < 0 else ""


def _rank(words: Iterable[str]) -> int:
    """Return how exactly words name training, 0 to 2; -1 where they do not."""
    return max((TRAINING.index(word) for word in words if word in TRAINING), default=-1)


def _priced(payment: Any) -> str:
    """Return what a payment without a type asks for."""
    return "amount" if any(local(child) in ("amount", "custom", "standard") for child in payment) else "free"
