"""Which hosts and paths a crawl may visit, and which process visits a host."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from mmedc.crawl.address import host_of, site_of
from mmedc.sitelists import Places, lies_below


@dataclass(frozen=True)
class Scope:
    """The sites of the lists: a URL belongs to the crawl if it lies below one of them."""

    places: Places

    @classmethod
    def of(cls, sites: Iterable[str]) -> "Scope":
        """Return the scope of sites, each a URL in normal form."""
        return cls(Places.of((host_of(site), _path_of(site).partition("?")[0]) for site in sites))

    def __contains__(self, url: str) -> bool:
        """Return whether a URL in normal form belongs to the crawl."""
        allowed = self.places.paths_of(host_of(url))
        if not allowed or "/" in allowed:
            return bool(allowed)
        path = _path_of(url)
        return any(lies_below(path, begin) for begin in allowed)


def _path_of(url: str) -> str:
    return "/" + url.partition("://")[2].partition("/")[2]


def set_of(host: str, sets: int) -> int:
    """Return the number of the set that visits a host; hosts of one registrable domain share a set."""
    digest = hashlib.blake2b(site_of(host).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % sets
