"""The pass `crawl` and its rounds: site lists of a recipe become the WARC files that ingest reads.

A round crawls every set of hosts that has something left to fetch and a share of the budget. The next one gives each
set the links that others found for it, and what the others did not spend. The last round leaves the WARC files.
"""

import asyncio
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from itertools import count
from typing import Any

from pydantic import TypeAdapter

from mmedc import __version__
from mmedc.corpus.layout import Join, Placement
from mmedc.crawl.address import host_of, normal, site_of
from mmedc.crawl.fetch import agent_of
from mmedc.crawl.guard import Guard
from mmedc.crawl.placing import Placed, look_up, place
from mmedc.crawl.plan import Plan
from mmedc.crawl.scope import set_of
from mmedc.engine.commit import read_table
from mmedc.engine.identity import digest_of
from mmedc.engine.unit import DataFile, Pass, Unit
from mmedc.errors import OutcomeError, RecipeError
from mmedc.filters import open_filters
from mmedc.inputs import Input
from mmedc.pipeline.dedup import Run
from mmedc.pipeline.hostset import STATE, Crawled, CrawlHosts, HostSet
from mmedc.pipeline.ingest import Ingested
from mmedc.recipe import Recipe
from mmedc.recipe_parts import SourceConfig
from mmedc.settings import as_written
from mmedc.sitelicences import SiteLicence, licences_of
from mmedc.sitelists import read_sites
from mmedc.sourcekeys import CrawlSource
from mmedc.sources import FORMATS, InputSplit
from mmedc.storage import Store, open_binary

SITES_PER_SET = 200
"""A process has time for so many: it fetches and stores 400 pages a second and more, a site gives one or two."""
CPUS = 0.5
"""Of a set: at one page a second and site it waits for most of the time."""
NAME = "crawl"
PLACES = "places.json"
"""In the state of a source: the set and the addresses of each registrable domain."""
LISTED = 20
MAX_ROWS = 10_000_000  # of the tables of hosts and of opt-outs
PAGE_BYTES = 20_000  # of a page in a WARC file, about
PAGE_S = 0.0025  # of one core


@dataclass
class Crawl:
    """A source that is crawled, and what its sets have left so far."""

    plan: Plan
    config: CrawlSource
    licences: tuple[SiteLicence, ...] = ()
    """The licences that its lists state."""
    left: dict[int, Crawled] = field(default_factory=dict)
    received: dict[int, int] = field(default_factory=dict)
    """For each set the parcels that it has been given."""
    commits: list[tuple[str, str]] = field(default_factory=list)
    """(folder of the pass, unit) of all rounds."""
    rounds: int = 0
    """Those that were begun."""
    addresses: frozenset[str] = frozenset()
    """Those of its sites, as far as they were looked up."""

    @property
    def places(self) -> set[str]:
        """The registrable domains and the addresses of its sites, for which it keeps its delays."""
        return {*(site_of(host_of(site)) for site in self.plan.sites), *self.addresses}

    @property
    def archives(self) -> list[DataFile]:
        """The WARC files of all sets."""
        return [file for _, left in sorted(self.left.items()) for file in left.segments]

    def units(self) -> list[Unit[HostSet]]:
        """Return the units of the next round; none when the crawl has ended."""
        number, self.rounds = self.rounds, self.rounds + 1
        sets = self._with_work(number)
        spent = sum(left.fetched for left in self.left.values())
        shares = _shares(self.config.max_pages - spent, len(sets))
        units = []
        for each, share in zip(sets, shares, strict=True):
            inbox = self._inbox(each)
            self.received[each] = len(inbox)
            budget = share + (self.left[each].fetched if each in self.left else 0)
            spec = HostSet(self.plan, each, number, budget, inbox, self.config.again, self.config.revisit)
            label = f"{self.plan.source}: set {each + 1} of {self.plan.sets}, round {number + 1}"
            units.append(Unit.of(spec, label, share * PAGE_BYTES))
        return units

    def _with_work(self, number: int) -> list[int]:
        if number == 0:
            return sorted({self.plan.set_of(host_of(site)) for site in self.plan.sites})
        if sum(left.fetched for left in self.left.values()) >= self.config.max_pages:
            return []
        waiting = {each for each, left in self.left.items() if left.queued}
        mail = {parcel.to for left in self.left.values() for parcel in left.outbox}
        return sorted(waiting | {each for each in mail if len(self._inbox(each)) > self.received.get(each, 0)})

    def _inbox(self, number: int) -> tuple[DataFile, ...]:
        senders = sorted(self.left)
        return tuple(p.file for sender in senders for p in self.left[sender].outbox if p.to == number)


def run_crawls(run: Run, ingest: Pass[InputSplit, Ingested], recipe: Recipe, store: Store) -> list[Crawl]:
    """Crawl the sources that ask for it. `store` is the folder of passes.

    Raises: OutcomeError when a source yields no page at all, with what became of its hosts; RecipeError for a list that
    can't be read.
    """
    crawls = crawls_of(ingest, recipe, store)
    for crawl in crawls:
        if len(crawls) > 1 or crawl.plan.sets > 1:
            _place(crawl, store)
    for number in count() if crawls else ():
        units = _side_by_side(crawls)
        if not units:
            break
        asked = tuple(unit for _, unit in units)
        current = Pass(f"{NAME}-{number}", CrawlHosts(), asked, recipe.limits.retries, cpus=CPUS, twice=False)
        for (crawl, unit), left in zip(units, run(current), strict=True):
            crawl.left[unit.spec.number] = left
            crawl.commits.append((current.folder, unit.id))
    for crawl in crawls:
        _check(crawl, store)
    return crawls


def _side_by_side(crawls: list[Crawl]) -> list[tuple[Crawl, Unit[HostSet]]]:
    """Return the next round of crawls that share neither domain nor address: two at a time would ask twice as often."""
    units: list[tuple[Crawl, Unit[HostSet]]] = []
    taken: set[str] = set()
    for crawl in crawls:
        if taken.isdisjoint(crawl.places) and (of_crawl := crawl.units()):
            taken |= crawl.places
            units += [(crawl, unit) for unit in of_crawl]
    return units


def with_archives(
    crawls: list[Crawl], ingest: Pass[InputSplit, Ingested], recipe: Recipe, store: Store
) -> Pass[InputSplit, Ingested]:
    """Return ingest, which reads the WARC files of crawls in the place of their site lists."""
    warc = next(known for known in FORMATS if known.key == "warc")
    by_name = {crawl.plan.source: crawl for crawl in crawls}
    units: list[Unit[InputSplit]] = []
    done: set[str] = set()
    for unit in ingest.units:
        name = unit.spec.source
        if name not in by_name:
            units.append(unit)
        elif name not in done:
            done.add(name)
            ended = _superseded(by_name[name], store)
            for file in by_name[name].archives:
                label = file.path.rpartition("/")[2]
                archive = Input(f"{store.url}/{file.path}", label, file.bytes, file.sha256)
                given = recipe.sources[name].model_dump(include={"kind", "licence", "policy"}, exclude_unset=True)
                config = SourceConfig.model_validate({"warc": archive.url, **given})
                for whole in warc.cut(name, config, (archive,), recipe):
                    split = replace(
                        whole,
                        superseded=ended.get(label, ()),
                        licences=by_name[name].licences,
                        policy=unit.spec.policy,
                    )
                    units.append(Unit(digest_of(split, warc.reader.version), f"{name}: {label}", split, file.bytes))
    return replace(ingest, units=tuple(units))


def _superseded(crawl: Crawl, store: Store) -> dict[str, tuple[int, ...]]:
    """Return the offsets of records that do not count any more, by WARC file."""
    offsets: dict[str, list[int]] = {}
    for file in (left.superseded for left in crawl.left.values() if left.superseded):
        table = read_table(store, file, ["file", "offset"])
        for name, offset in zip(table["file"].to_pylist(), table["offset"].to_pylist(), strict=True):
            offsets.setdefault(name, []).append(offset)
    return {name: tuple(sorted(found)) for name, found in offsets.items()}


def show_crawls(run: Run, crawls: list[Crawl], retries: int) -> list[Placement]:
    """Return the files that a corpus has of its crawls: WARC files, and tables of hosts, opt-outs and old records."""
    if not crawls:
        return []
    placements = [
        Placement(file, f"crawl/{crawl.plan.source}/{file.path.rpartition('/')[2]}")
        for crawl in crawls
        for file in crawl.archives
    ]
    sets = [left for crawl in crawls for _, left in sorted(crawl.left.items())]
    files = {"hosts": [left.hosts for left in sets], "optouts": [left.optouts for left in sets]}
    if ended := [left.superseded for left in sets if left.superseded]:
        files["superseded"] = ended
    units = tuple(Unit.of(tuple(part), name, sum(file.bytes for file in part)) for name, part in files.items())
    tables = run(Pass("crawled", Join(MAX_ROWS), units, retries))
    return [
        *placements,
        *(Placement(left.file, f"crawl/{name}.parquet") for name, left in zip(files, tables, strict=True)),
    ]


def crawls_of(ingest: Pass[InputSplit, Ingested], recipe: Recipe, store: Store) -> list[Crawl]:
    """Return the sources of a recipe that are crawled. Raises: RecipeError."""
    lists: dict[str, list[Input]] = {}
    for unit in ingest.units:
        if isinstance(unit.spec.config, CrawlSource):
            lists.setdefault(unit.spec.source, []).extend(unit.spec.inputs)
    return [_crawl(name, files, recipe, store) for name, files in lists.items()]


def _crawl(name: str, files: list[Input], recipe: Recipe, store: Store) -> Crawl:
    config = recipe.sources[name]
    assert isinstance(config, CrawlSource)
    with recipe.at("sources", name, config.key):
        listed = [site for file in files for site in read_sites(file.url, config.unlicensed)]
        sites = tuple(dict.fromkeys(filter(None, (normal(site.url) for site in listed))))
        if not sites:
            raise RecipeError(
                f"{as_written(config.crawl[0])}: names no site with a licence; write one a line, such as example.org, "
                "or set unlicensed: true"
            )
    with recipe.at("sources", name, "hosts_file"):
        names = tuple(_names(config.hosts_file)) if config.hosts_file else ()
    filters = open_filters(recipe.filters)
    plan = Plan(
        source=name,
        agent=agent_of(__version__, config.contact),
        languages=recipe.languages,
        filters=recipe.filters,
        sites=sites,
        sets=_sets(name, config, sites, store),
        host_pages=config.host_pages,
        depth=config.depth,
        delay_s=config.delay_s,
        page_s=config.page_s,
        body_bytes=recipe.limits.document,
        segment_bytes=config.segment,
        honour=config.opt_outs == "honour",
        agents=tuple(filters.words("crawl/ai_agents.txt")),
        allowed=tuple(sorted({*config.private, *(host for host, _, _ in names)})),
        names=names,
    )
    return Crawl(plan, config, licences_of(listed))


def _names(path: str) -> Iterator[tuple[str, str, int]]:
    """Yield (host, address, port) of a file in the form of `/etc/hosts`; port 0 is that of the URL."""
    with open_binary(path) as stream:
        lines = stream.read().decode("utf-8", "replace").splitlines()
    for number, line in enumerate(lines, 1):
        address, *hosts = line.partition("#")[0].split() or [""]
        head, colon, port = address.rpartition(":")
        with_port = (bool(colon) and port.isdigit() and head.count(":") in (0, 7)) or head.endswith("]")
        if address and not hosts:
            raise RecipeError(f"{path}:{number}: {address} stands alone; expected an address and its hosts")
        bare = head.strip("[]") if with_port else address
        try:
            ip_address(bare or "::")
        except ValueError:
            raise RecipeError(
                f"{path}:{number}: {address} is no address; write one such as 192.0.2.7 (or 192.0.2.7:80), then hosts"
            ) from None
        for host in hosts:
            yield host.lower(), bare, (int(port) if with_port else 0)


def _sets(name: str, config: CrawlSource, sites: tuple[str, ...], store: Store) -> int:
    """Return the number of sets, which the first run fixes. Raises: RecipeError when the recipe asks for another."""
    try:
        fixed = int(store.get(f"{STATE}/{name}/sets"))
    except FileNotFoundError:
        return config.sets or max(1, math.ceil(len({site_of(host_of(site)) for site in sites}) / SITES_PER_SET))
    if config.sets not in (None, fixed):
        raise RecipeError(
            f"sources.{name}.sets: {config.sets}, but the crawl in {store.url}/{STATE}/{name} has {fixed}; take the "
            "key out, or choose another folder with --out"
        )
    return fixed


def _place(crawl: Crawl, store: Store) -> None:
    """Look up the addresses of sites that are new, and keep those that share one in one set, from now on."""
    plan, folder = crawl.plan, f"{STATE}/{crawl.plan.source}"
    adapter = TypeAdapter(dict[str, Placed])
    try:
        known = adapter.validate_json(store.get(f"{folder}/{PLACES}"))
    except FileNotFoundError:
        known = {}
        if store.exists(f"{folder}/sets"):  # it began without addresses, and goes on so
            known = {site_of(host_of(site)): Placed(plan.set_of(host_of(site))) for site in plan.sites}
    new = [site for site in plan.sites if site_of(host_of(site)) not in known]
    if new:
        guard = Guard(plan.allowed, {host: (address, port) for host, address, port in plan.names})
        known |= place(asyncio.run(look_up(new, guard)), known, plan.sets)
        store.put(f"{folder}/{PLACES}", adapter.dump_json(known))
    moved = ((domain, placed.set) for domain, placed in known.items() if placed.set != set_of(domain, plan.sets))
    crawl.plan = replace(plan, placed=tuple(sorted(moved)))
    crawl.addresses = frozenset(address for placed in known.values() for address in placed.addresses)


def _shares(total: int, parts: int) -> list[int]:
    """Return `total` as `parts` nearly equal whole numbers."""
    return [total // parts + (number < total % parts) for number in range(parts)]


def _check(crawl: Crawl, store: Store) -> None:
    """Raise OutcomeError for a crawl that has no page. Its rounds are forgotten, so the next run tries again."""
    if any(left.pages for left in crawl.left.values()):
        return
    hosts = [row for left in crawl.left.values() for row in read_table(store, left.hosts).to_pylist()]
    for folder, unit in crawl.commits:
        store.delete(f"{folder}/units/{unit}.json")
    rows = "\n".join(f"  {row['host']}: {_fate(row)}" for row in hosts[:LISTED])
    more = f"\n  … and {len(hosts) - LISTED} more hosts" if len(hosts) > LISTED else ""
    private = any("private_address" in _fate(row) for row in hosts)
    hint = "\nTo crawl a host of your own network, name it in `private` of the source." if private else ""
    raise OutcomeError(
        f'source "{crawl.plan.source}": the crawl brought no page.\n{rows}{more}{hint}\nCorrect the list of sites, '
        "or give the same command again when\nthe sites are up: it asks them again."
    )


def _fate(row: dict[str, Any]) -> str:
    """Return in words why a host yielded no page."""
    counts = [
        *(f"status {status}: {number:,}" for status, number in row["statuses"] or ()),
        *(f"{reason}: {number:,}" for reason, number in (*(row["refused"] or ()), *(row["errors"] or ()))),
    ]
    if row["opted_out"] and not any(reason == "opt_out" for reason, _ in row["refused"] or ()):
        counts.append(f"opt_out: {row['opted_out']:,}")
    dead = f"given up ({row['given_up']})" if row["given_up"] else ""
    return "; ".join(filter(None, [dead, *counts])) or "nothing was asked of it"


def seconds_of(units: Iterable[Unit[HostSet]]) -> float:
    """Return about how long a round takes, where every set runs at once: hosts are asked one after another."""
    times = [0.0]
    for unit in units:
        plan, pages = unit.spec.plan, unit.bytes / PAGE_BYTES
        hosts = sum(plan.set_of(host_of(site)) == unit.spec.number for site in plan.sites)
        times.append(pages * max(plan.delay_s / max(hosts, 1), PAGE_S))
    return max(times)
