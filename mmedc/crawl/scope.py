"""Which hosts and paths a crawl may visit, and which process visits a host."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from mmedc.crawl.address import host_of, site_of

WWW = "www."


@dataclass
class Scope:
    """The sites of the lists: a URL belongs to the crawl if it lies below one of them.

    A site is a host with its subdomains; `www.` makes no difference. A site with a path holds that page and what is
    below it on that host: `/es` holds `/es/a` and `/es?a`, but not `/essays`.
    """

    paths: dict[str, tuple[str, ...]]
    """By host without `www.`: the beginnings of paths that belong to it; a host with `/` has its subdomains too."""
    _found: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, sites: Iterable[str]) -> "Scope":
        """Return the scope of sites, each a URL in normal form."""
        paths: dict[str, set[str]] = {}
        for site in sites:
            host = host_of(site)
            path = site[site.index(host) + len(host) :].partition("/")[2].partition("?")[0]
            paths.setdefault(_bare(host), set()).add("/" + path)
        return cls({host: tuple(sorted(found)) for host, found in paths.items()})

    def __contains__(self, url: str) -> bool:
        """Return whether a URL in normal form belongs to the crawl."""
        host = host_of(url)
        allowed = self._found.get(host)
        if allowed is None:
            allowed = self._found[host] = self._of_host(host)
        if not allowed:
            return False
        if "/" in allowed:
            return True
        path = url[url.index(host) + len(host) :]
        path = path[path.find("/") :]
        return any(
            path.startswith(begin) and (begin[-1] == "/" or path[len(begin) : len(begin) + 1] in ("", "/", "?"))
            for begin in allowed
        )

    def _of_host(self, host: str) -> tuple[str, ...]:
        bare = _bare(host)
        own = self.paths.get(bare, ())
        parts = bare.split(".")
        above = (".".join(parts[at:]) for at in range(1, len(parts)))
        return ("/",) if any("/" in self.paths.get(name, ()) for name in above) else own


def _bare(host: str) -> str:
    return host.removeprefix(WWW)


def set_of(host: str, sets: int) -> int:
    """Return the number of the set that visits a host; hosts of one registrable domain share a set."""
    digest = hashlib.blake2b(site_of(host).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % sets
