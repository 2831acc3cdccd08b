"""What a crawl may do and how, and what takes the files that it leaves."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from mmedc.crawl.address import host_of, site_of
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
    placed: tuple[tuple[str, int], ...] = ()
    """(registrable domain, number of its set) where that is not what a hash says; see `mmedc.crawl.placing`."""

    @cached_property
    def _placed(self) -> dict[str, int]:
        return dict(self.placed)

    def set_of(self, host: str) -> int:
        """Return the number of the set that visits a host."""
        if self.sets == 1:
            return 0
        number = self._placed.get(site_of(host)) if self.placed else None
        return set_of(host, self.sets) if number is None else number


def seeds(plan: Plan, number: int) -> list[Found]:
    """Return the URLs at which the set `number` begins."""
    found = [Found(url, host_of(url), PAGE, 0, 0, SEED_SCORE) for url in plan.sites]
    return [each for each in found if plan.set_of(each.host) == number]
