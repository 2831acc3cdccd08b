"""The wishes of a site that its pages are not used to train models: in headers, in the page, and in well-known files.

Every function returns only wishes against it; each is to be honoured unless the user's recipe says otherwise, and to be
recorded. Permissions are not returned, because without any wish a page may be used as its licence says.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from mmedc.crawl.paths import path_matches, path_of
from mmedc.crawl.types import Fetched, OptOut
from mmedc.wishes import AGAINST, RESERVED, usage_refused, words_for

TDMREP = "/.well-known/tdmrep.json"
MAX_TDMREP = 512_000  # bytes that are read
MAX_VALUE = 200  # characters that are recorded
RSL_LINK = re.compile(r"<([^>]*)>(?=[^,<]*rel\s*=\s*\"?license\b)[^,<]*rsl", re.IGNORECASE)


def of_headers(fetched: Fetched, token: str = "mmedc") -> tuple[OptOut, ...]:
    """Return the wishes in the headers of an answer."""
    names = {name.lower() for name, _ in fetched.headers}
    found: list[OptOut] = []
    if b"x-robots-tag" in names:
        lines = [value.decode("latin-1") for name, value in fetched.headers if name.lower() == b"x-robots-tag"]
        found += [_wish(word, "X-Robots-Tag") for word in sorted(AGAINST & set(words_for(lines, token)))]
    if b"tdm-reservation" in names and fetched.header("tdm-reservation").startswith("1"):
        found.append(_noted("tdm", "header", f"tdm-reservation: 1 {fetched.header('tdm-policy')}".strip()))
    for name in ("content-usage", "content-signal"):
        if name.encode() in names and (refused := usage_refused(fetched.header(name))):
            found.append(_noted(name, "header", refused))
    if b"link" in names and (link := RSL_LINK.search(fetched.header("link"))):
        found.append(_noted("rsl", "header", link[1]))
    return tuple(found)


def of_page(robots: Iterable[str]) -> tuple[OptOut, ...]:
    """Return the wishes in the `meta` elements of a page, from `PageLinks.robots`."""
    words = set(robots)
    found = [_wish(word, "meta") for word in sorted(AGAINST & words)]
    if RESERVED in words:
        found.append(_noted("tdm", "meta", RESERVED))
    return tuple(found)


def _wish(word: str, where: str) -> OptOut:
    return OptOut("noai" if word == "noai" else "robots", where, word)


def _noted(signal: str, where: str, value: str) -> OptOut:
    return OptOut(signal, where, value[:MAX_VALUE])


@dataclass(frozen=True, slots=True)
class Reservations:
    """What `/.well-known/tdmrep.json` says (TDM Reservation Protocol): the first location that matches decides."""

    rules: tuple[tuple[str, bool, str], ...] = ()
    """Pattern of the location, whether it is reserved, URL of the policy."""
    problem: str = ""
    """Why the file could not be read, which reserves nothing."""

    @classmethod
    def read(cls, body: bytes) -> "Reservations":
        """Return what a file says; never raises."""
        try:
            entries = json.loads(body[: MAX_TDMREP + 1].decode("utf-8-sig"))
        except (ValueError, RecursionError) as problem:
            return cls((), f"no JSON: {problem}"[:MAX_VALUE])
        rules: list[tuple[str, bool, str]] = []
        for entry in entries if isinstance(entries, list) else [entries]:
            location = entry.get("location") if isinstance(entry, dict) else None
            if not isinstance(location, str):
                return cls(tuple(rules), "an entry without a location")
            reserved = str(entry.get("tdm-reservation")).strip() in ("1", "True")
            rules.append((location, reserved, str(entry.get("tdm-policy") or "")))
        return cls(tuple(rules))

    def optouts(self, url: str) -> tuple[OptOut, ...]:
        """Return the wish for the page at `url`, if it is reserved."""
        path = path_of(url)
        for pattern, reserved, policy in self.rules:
            if path_matches(pattern, path):
                value = f"tdm-reservation=1 {policy}".strip()
                return (_noted("tdm", TDMREP, value),) if reserved else ()
        return ()
