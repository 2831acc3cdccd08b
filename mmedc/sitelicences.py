"""The licences that a list of sites states: they are those of pages that state none themselves."""

from collections.abc import Iterable
from typing import NamedTuple

from mmedc.licences import spdx
from mmedc.sitelists import UNKNOWN, UNVERIFIED, Site, bare, domains_of, lies_below

EVIDENCE = "sites"
"""What `licence_evidence` begins with where a licence is that of a list."""


class SiteLicence(NamedTuple):
    """The licence of what lies below an address."""

    host: str
    """Without `www.`; its subdomains have the licence too if the path is `/`."""
    path: str
    licence: str
    """An SPDX identifier, or the words of the list."""
    evidence: str
    """When and where that was looked up, as `sites: 2026-11-30 https://…`."""


def licences_of(sites: Iterable[Site]) -> tuple[SiteLicence, ...]:
    """Return the licences that sites state, those of longer addresses first."""
    found = [
        SiteLicence(
            bare(site.host),
            site.path,
            spdx(site.licence) or site.licence,
            f"{EVIDENCE}: {site.checked or UNVERIFIED}",
        )
        for site in sites
        if site.licence not in ("", UNKNOWN)
    ]
    return tuple(sorted(set(found), key=lambda each: (-len(each.path), -len(each.host), each)))


class Licences:
    """Finds the licence of a page by its URL."""

    def __init__(self, known: tuple[SiteLicence, ...]) -> None:
        """Look for `known` licences, of which the first that fits counts."""
        self._by_host: dict[str, list[SiteLicence]] = {}
        for each in known:
            self._by_host.setdefault(each.host, []).append(each)

    def of(self, url: str) -> tuple[str, str] | None:
        """Return (licence, evidence) of the page at a URL; None where the list says nothing of it."""
        host, _, path = url.partition("://")[2].partition("/")
        own, *above = domains_of(host.rpartition("@")[2].partition(":")[0])
        for each in self._by_host.get(own, ()):
            if lies_below(f"/{path}", each.path):
                return each.licence, each.evidence
        for name in above:
            for each in self._by_host.get(name, ()):
                if each.path == "/":
                    return each.licence, each.evidence
        return None
