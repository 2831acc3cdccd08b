"""The values that the modules of the crawler hand to each other."""

from dataclasses import dataclass
from typing import Literal

LinkKind = Literal["seed", "a", "redirect", "sitemap", "feed", "canonical", "hreflang"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """One answer of a server, as it came; nothing in it is decoded."""

    url: str
    ip: str
    """The address that the connection was made to."""
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    """The header fields in their order, with their names as the server wrote them."""
    body: bytes
    """The bytes of the body after the transfer coding is undone; a content coding is kept."""
    request: bytes
    """The head of the request as it was sent, with the blank line at its end."""
    truncated: Literal["", "length", "time"] = ""
    """Why the body is incomplete: `length` or `time` where a limit cut it; the values of WARC-Truncated."""
    started: float = 0.0
    """When the request was sent, in seconds since 1970 (UTC)."""
    seconds: float = 0.0
    """How long the request took."""
    reason: bytes = b""
    """The words that followed the status, such as `OK`."""

    def header(self, name: str) -> str:
        """Return the values of a header field, joined by a comma as RFC 9110 does; empty without one."""
        wanted = name.lower().encode("ascii")
        return ", ".join(value.decode("latin-1").strip() for key, value in self.headers if key.lower() == wanted)


class Refused(Exception):
    """A URL was not fetched, or no answer came; `reason` is the word under which that is counted."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail

    def __reduce__(self) -> tuple[type["Refused"], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


@dataclass(frozen=True, slots=True)
class Link:
    """A link that was found, with an absolute URL."""

    url: str
    anchor: str = ""
    """Its text; empty where it has none."""
    kind: LinkKind = "a"
    nofollow: bool = False
    lastmod: str = ""
    """When its target changed last, as a sitemap or feed says it (ISO 8601); empty if unknown."""


@dataclass(frozen=True, slots=True)
class PageLinks:
    """What a page says about itself and about other pages."""

    links: tuple[Link, ...] = ()
    canonical: str = ""
    """The URL that the page names as its own."""
    robots: frozenset[str] = frozenset()
    """The words of its `meta` elements for robots, in lower case."""
    lang: str = ""
    """The language that it declares."""
    title: str = ""


@dataclass(frozen=True, slots=True)
class OptOut:
    """A wish of a site or page that its content is not used."""

    signal: str
    """Which signal, such as `robots`, `content-usage`, `noai`, `tdm` or `rsl`."""
    where: str
    """Where it was found: a header, `meta`, or the URL of a file."""
    value: str
    """The words of the signal as they were found."""
