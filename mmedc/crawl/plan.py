"""What a crawl may do and how, and what takes the files that it leaves."""

from dataclasses import dataclass
from typing import Protocol

from mmedc.crawl.address import host_of
from mmedc.crawl.queued import PAGE, Found, SegmentRow
from mmedc.crawl.reading import SEED_SCORE
from mmedc.crawl.scope import set_of


class Keep(Protocol):
    """Takes what is complete to where it stays."""

    def closed(self, row: SegmentRow) -> None:
        """Keep a WARC file that is complete, before the frontier says so."""

    def snapshot(self) -> None:
        """Keep the frontier, which says that the file is complete."""


@dataclass(frozen=True)
class Plan:
    """What a crawl may do and how; the same for all sets of a source."""

    source: str
    agent: str
    languages: tuple[str, ...]
    filters: str | None
    """A folder that overlays the shipped filters."""
    sites: tuple[str, ...]
    """The URLs at which the crawl begins, and the limit of what it visits; in normal form."""
    sets: int
    host_pages: int
    depth: int
    delay_s: float
    page_s: float
    body_bytes: int
    segment_bytes: int
    honour: bool
    """Whether pages that are reserved by their owners are left out."""
    agents: tuple[str, ...] = ()
    """Names of crawlers that train models; what robots.txt says to them counts as an opt-out."""
    allowed: tuple[str, ...] = ()
    names: tuple[tuple[str, str, int], ...] = ()
    """(host, address, port) that replace what DNS and the URL say."""
    connections: int = 128


def seeds(plan: Plan, number: int) -> list[Found]:
    """Return the URLs at which the set `number` begins."""
    found = [Found(url, host_of(url), PAGE, 0, 0, SEED_SCORE) for url in plan.sites]
    return [each for each in found if plan.sets == 1 or set_of(each.host, plan.sets) == number]
