"""What a crawl has done so far, as a set of hosts writes it beside its frontier and `mmedc crawl-status` shows it."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from mmedc.crawl.frontier import Frontier

NAME = "status.json"


class HostStatus(BaseModel):
    """What was done with one host."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    fetched: int
    pages: int
    queued: int
    bytes: int
    medical: float
    """The sum of the medical scores of its pages."""
    statuses: dict[str, int]
    refused: dict[str, int]
    left_out: dict[str, int]
    errors: dict[str, int]
    opted_out: int
    rules: int = 0
    """Answers for robots.txt and the other files with wishes of the site."""
    revisits: int
    dead: str

    @property
    def share(self) -> float:
        """The mean medical score of its pages, 0 to 1."""
        return self.medical / self.pages if self.pages else 0.0


class SetStatus(BaseModel):
    """What one set of hosts has done."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: float
    """When this was written, in seconds since 1970."""
    running: int
    """Requests under way."""
    rate: float
    """Answers a second since the last writing."""
    hosts: tuple[HostStatus, ...]


def status_of(frontier: Frontier, running: int, rate: float, at: float) -> SetStatus:
    """Return the status of a set."""
    names = list(HostStatus.model_fields)
    hosts: list[dict[str, Any]] = [{name: getattr(host, name) for name in names} for host in frontier.hosts.values()]
    return SetStatus(at=at, running=running, rate=rate, hosts=tuple(HostStatus(**host) for host in hosts))
