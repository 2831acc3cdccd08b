"""Lists of sites (`filters/LANG/sites.txt`): which sites are crawled, under which licence as far as is known, and why.

    # encyclopedias
    medlineplus.gov/spanish/ | public domain | 2026-11-30 https://… | encyclopedia for patients
    clinic.example.org

A line is a host, with its subdomains, or an address without its scheme, with everything below it; then, each after a
`|`, its licence (an SPDX identifier or words, `unknown` where nobody has looked or nothing is stated), when and where
that was looked up (or `unverified`), and why the site is worth it. The other columns may be missing: a list of bare
hosts is a list of sites too.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mmedc.errors import PolicyError
from mmedc.lexicon import read_lines
from mmedc.shipped import shipped

WWW = "www."
UNKNOWN = "unknown"
UNVERIFIED = "unverified"
PLACE = re.compile(r"(?:https?://)?(?:[\w-]+\.)+[\w-]+(?::\d{1,5})?(?:/\S*)?")
CHECKED = re.compile(r"unverified|\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?: .+)?")
COLUMNS = "host or address | licence | date and evidence, or unverified | why"


@dataclass(frozen=True)
class Site:
    """A line of a list of sites."""

    place: str
    """A host, or an address with a path; with or without its scheme, as it is written."""
    licence: str = ""
    """An SPDX identifier or words; `unknown`; empty where the line has no column for it."""
    checked: str = ""
    """When that was looked up, and the evidence; or `unverified`."""
    why: str = ""

    @property
    def url(self) -> str:
        """The address at which a crawl begins."""
        place = self.place if "://" in self.place else f"https://{self.place}"
        return place if "/" in place.partition("://")[2] else f"{place}/"

    @property
    def host(self) -> str:
        """The host, without its port, in lower case."""
        return self.url.split("/")[2].partition(":")[0].lower()

    @property
    def path(self) -> str:
        """The path, beginning with a slash and without a query."""
        return "/" + self.url.split("/", 3)[3].partition("?")[0]

    @property
    def licensed(self) -> bool:
        """Whether it may be used by default: its licence is stated, or the list leaves that to its user."""
        return self.licence != UNKNOWN


@dataclass
class Places:
    """Which addresses belong to the sites of lists.

    A site is a host with its subdomains; `www.` makes no difference. A site with a path holds that page and what is
    below it on that host.
    """

    paths: dict[str, tuple[str, ...]]
    """By host without `www.`: the beginnings of paths that belong to it; a host with `/` has its subdomains too."""
    _found: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, sites: Iterable[tuple[str, str]]) -> "Places":
        """Return the places of sites, each (host, path)."""
        paths: dict[str, set[str]] = {}
        for host, path in sites:
            paths.setdefault(bare(host), set()).add(path)
        return cls({host: tuple(sorted(found)) for host, found in paths.items()})

    def paths_of(self, host: str) -> tuple[str, ...]:
        """Return the beginnings of paths that belong to a site on `host`: `("/",)` for all, none for a strange host."""
        found = self._found.get(host)
        if found is None:
            above = any("/" in self.paths.get(name, ()) for name in domains_of(host))
            found = self._found[host] = ("/",) if above else self.paths.get(bare(host), ())
        return found


def bare(host: str) -> str:
    """Return a host in lower case and without `www.`."""
    return host.lower().removeprefix(WWW)


def domains_of(host: str) -> list[str]:
    """Return a host without `www.`, and the domains above it, but for the top level."""
    parts = bare(host).split(".")
    return [".".join(parts[at:]) for at in range(max(len(parts) - 1, 1))]


def lies_below(path: str, begin: str) -> bool:
    """Return whether a path is `begin` or below it: `/es` holds `/es/a` and `/es?a`, but not `/essays`."""
    return path.startswith(begin) and (begin[-1] == "/" or path[len(begin) : len(begin) + 1] in ("", "/", "?"))


def read_sites(path: str, unlicensed: bool = False) -> list[Site]:
    """Return the sites of the list `path`, which may be one that ships, such as `filters/fr/sites.txt`.

    Sites whose licence is `unknown` are left out unless they are asked for (`unlicensed`).

    Raises: PolicyError with file and line.
    """
    sites = [site for _, site in numbered_sites(list_file(path))]
    return [site for site in sites if unlicensed or site.licensed]


def list_file(path: str) -> Path:
    """Return the file of a list: `path` itself, or what ships with mmedc where that does not exist."""
    file = Path(path)
    parts = file.parts
    if not file.exists() and "filters" in parts:
        at = len(parts) - 1 - parts[::-1].index("filters")
        below = shipped("filters").joinpath(*parts[at + 1 :])
        return below if below.is_file() else file
    return file


def numbered_sites(file: Path) -> list[tuple[int, Site]]:
    """Return the sites of a list with the numbers of their lines. Raises: PolicyError with file and line."""
    found: dict[str, int] = {}
    sites = []
    for number, line in read_lines(file):
        columns = [column.strip() for column in line.split("|")]
        where = f"{file}:{number}"
        if len(columns) > 4 or not PLACE.fullmatch(columns[0]):
            raise PolicyError(
                f'{where}: "{line}" is no site; expected {COLUMNS}, where all but the first may be missing'
            )
        site = Site(*columns)
        if site.checked and not CHECKED.fullmatch(site.checked):
            raise PolicyError(f'{where}: "{site.checked}" is no date; expected one such as 2026-11-30, or {UNVERIFIED}')
        key = site.place.partition("://")[2] or site.place
        if key.rstrip("/") in found:
            raise PolicyError(f"{where}: {site.place} stands on line {found[key.rstrip('/')]} too; remove one of them")
        found[key.rstrip("/")] = number
        sites.append((number, site))
    return sites


def problems_of(file: Path) -> list[str]:
    """Return what is missing in a list that ships or is shared, a line each: `file:line: what`."""
    try:
        sites = numbered_sites(file)
    except PolicyError as problem:
        return str(problem).splitlines()
    problems = []
    for number, site in sites:
        for name, value in (("licence", site.licence), ("date or unverified", site.checked), ("reason", site.why)):
            if not value:
                problems.append(f"{file}:{number}: {site.place} has no {name}; expected {COLUMNS}")
                break
    return problems
