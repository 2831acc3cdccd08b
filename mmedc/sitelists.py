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
from dataclasses import dataclass
from pathlib import Path

from mmedc.errors import PolicyError
from mmedc.lexicon import read_lines
from mmedc.shipped import shipped

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
        """The path, beginning with a slash."""
        return "/" + self.url.split("/", 3)[3]

    @property
    def licensed(self) -> bool:
        """Whether it may be used by default: its licence is stated, or the list leaves that to its user."""
        return self.licence != UNKNOWN


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
