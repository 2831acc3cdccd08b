"""The values of the frontier: URLs that wait, what became of them, hosts, and WARC files."""

import hashlib
from dataclasses import dataclass, field

QUEUED, FETCHED, REFUSED, FAILED = range(4)
"""States of a URL: to be fetched; answered, and in a WARC file; not allowed; given up after several attempts."""
OUTSIDE = "outside"
"""Why a URL is refused that lies below no site of the lists, as they are now."""
PAGE, SITEMAP = range(2)
BINS = 100  # of scores of links
LOWEST, SPAN = -3.0, 7.0  # where these lie, nearly all


def bin_of(score: float) -> int:
    """Return the bin of a score of a link."""
    return max(0, min(BINS, int((score - LOWEST) * BINS / SPAN)))


def id_of(url: str) -> int:
    """Return the 63 bits by which a URL is known."""
    return int.from_bytes(hashlib.blake2b(url.encode(), digest_size=8).digest(), "big") >> 1


@dataclass(slots=True)
class Item:
    """A URL that is queued."""

    id: int
    url: str
    kind: int
    depth: int
    hops: int
    score: float
    tries: int = 0
    validators: str = ""
    """Headers of a conditional request as JSON, where the page was fetched before."""
    version: bool = False
    """Whether an earlier visit brought a page."""

    def __lt__(self, other: "Item") -> bool:
        """Order items by their score, the best first."""
        return (-self.score, self.id) < (-other.score, other.id)


@dataclass(frozen=True, slots=True)
class Found:
    """A URL that was met: what becomes a row of the frontier, or of the outbox for another set of hosts."""

    url: str
    host: str
    kind: int
    depth: int
    hops: int
    score: float
    changed: float = 0.0
    """When it changed last, as a sitemap or feed says, in seconds since 1970; 0 if unknown."""


@dataclass(slots=True)
class Outcome:
    """What became of a URL."""

    item: Item
    host: int
    state: int
    reason: str = ""
    status: int = 0
    segment: int | None = None
    at: int | None = None
    length: int | None = None
    payload: int | None = None
    fetched: float = 0.0
    validators: str = ""
    ends: str = ""
    """Why what an earlier visit brought does not count any more."""
    kept: bool = False
    """Whether it still counts, and the place of its record stays; only `fetched` is new."""
    original: int | None = None
    """The id of the URL whose record stands for this page, which has the same payload."""
    was: float | None = None
    """The score that the URL had, where it is queued again with another."""


@dataclass(slots=True)
class Host:
    """A host: what was fetched from it and what was not, and why."""

    id: int
    name: str
    fetched: int = 0
    """URLs that it answered, whatever the status; these count against the budgets."""
    pages: int = 0
    """Pages that are in a WARC file."""
    medical: float = 0.0
    """The sum of their medical scores."""
    bytes: int = 0
    queued: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    """URLs that were not fetched, by reason: `robots`, those of the guard, and those of traps."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Links of its pages that are not followed, by reason, and pages whose links are not."""
    errors: dict[str, int] = field(default_factory=dict)
    """Attempts that brought no answer, and answers that could not be read, by reason."""
    opted_out: int = 0
    rules: int = 0
    """Answers for its robots.txt and the other files with its wishes; they count against no budget."""
    revisits: int = 0
    dead: str = ""
    """Why nothing more is fetched from it in this crawl; empty if it is alive."""
    ip: str = ""
    wait_until: float = 0.0
    """Not to be asked before this time, in seconds since 1970."""
    last: float = 0.0
    """When it was asked last."""

    @property
    def score(self) -> float:
        """The mean medical score of its pages so far; .5 where there are none."""
        return (self.medical + 1.0) / (self.pages + 2.0)


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A WARC file of the set: `bytes` of it are valid; with a hash it is closed."""

    number: int
    name: str
    bytes: int
    records: int
    sha256: str | None
