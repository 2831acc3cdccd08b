"""Which set of hosts visits which site: sites that share an IP address share a set, so that its limits hold for all.

By default a hash of the registrable domain decides. Addresses are looked up once, when a site is new to the crawl: the
set of a site has to stay the same, because its frontier does.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mmedc.crawl.address import host_of, site_of
from mmedc.crawl.guard import LOOKUPS, Guard
from mmedc.crawl.scope import set_of
from mmedc.crawl.types import Refused


@dataclass(frozen=True)
class Placed:
    """Where a registrable domain belongs."""

    set: int
    addresses: tuple[str, ...] = ()
    """Those of its listed hosts when it was new; none where no resolver knew them."""


async def look_up(sites: Iterable[str], guard: Guard) -> dict[str, tuple[str, ...]]:
    """Return the addresses of the hosts of `sites` (URLs), by registrable domain; an unknown host has none."""
    hosts = sorted({host_of(site) for site in sites})
    turn = asyncio.Semaphore(LOOKUPS)

    async def one(host: str) -> list[str]:
        async with turn:
            try:
                return [address for address, _ in await guard.addresses(host, 443)]
            except Refused:
                return []

    found: dict[str, set[str]] = {site_of(host): set() for host in hosts}
    for host, addresses in zip(hosts, await asyncio.gather(*map(one, hosts)), strict=True):
        found[site_of(host)].update(addresses)
    guard.close()
    return {domain: tuple(sorted(addresses)) for domain, addresses in found.items()}


def place(new: Mapping[str, tuple[str, ...]], known: Mapping[str, Placed], sets: int) -> dict[str, Placed]:
    """Return where new domains belong, given their addresses: to a known domain with one of these, or to one another.

    Of several known sets the lowest is taken; two of them are not joined, because each has pages already.
    """
    taken: dict[str, int] = {}
    for placed in known.values():
        for address in placed.addresses:
            taken[address] = min(placed.set, taken.get(address, placed.set))
    left = {domain: set(addresses) for domain, addresses in sorted(new.items())}
    found: dict[str, Placed] = {}
    while left:
        first = next(iter(left))
        group, shared = [first], left.pop(first)
        while more := [domain for domain, addresses in left.items() if addresses & shared]:
            for domain in more:
                shared |= left.pop(domain)
            group += more
        number = min((taken[address] for address in shared if address in taken), default=set_of(first, sets))
        found.update({domain: Placed(number, new[domain]) for domain in group})
    return found
