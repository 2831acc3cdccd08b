"""The unit of the pass `crawl`: a set of hosts, crawled for a round. It commits the list of its WARC files.

A set keeps its state (the frontier and the WARC files) in `.work/crawl/SOURCE/SET/`, from round to round and from run
to run. So a larger budget, another site or another delay goes on with the same crawl, and a unit that is tried again
goes on where it was stopped. Links to hosts of another set wait in an outbox for the next round.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import TypeAdapter

from mmedc.crawl.crawler import Crawler
from mmedc.crawl.frontier import GENERATION, Frontier
from mmedc.crawl.frontier import NAME as FRONTIER
from mmedc.crawl.plan import Plan, seeds
from mmedc.crawl.queued import Found, Host, SegmentRow
from mmedc.engine.commit import read_table
from mmedc.engine.unit import DataFile, Unit, UnitFiles
from mmedc.storage import Store, is_local

STATE = "crawl"
"""The folder of the states of crawls, below that of passes."""
COUNTS = pa.map_(pa.string(), pa.int64())
MAIL = pa.schema(
    {
        "url": pa.string(),
        "host": pa.string(),
        "kind": pa.int64(),
        "depth": pa.int64(),
        "hops": pa.int64(),
        "score": pa.float64(),
        "changed": pa.float64(),
    }
)
HOSTS = pa.schema(
    {
        "source": pa.string(),
        "host": pa.string(),
        "fetched": pa.int64(),
        "pages": pa.int64(),
        "queued": pa.int64(),
        "bytes": pa.int64(),
        "medical": pa.float64(),
        "revisits": pa.int64(),
        "opted_out": pa.int64(),
        "rules": pa.int64(),
        "given_up": pa.string(),
        "statuses": COUNTS,
        "refused": COUNTS,
        "left_out": COUNTS,
        "errors": COUNTS,
    }
)
SUPERSEDED = pa.schema(
    {"source": pa.string(), "file": pa.string(), "offset": pa.int64(), "url": pa.string(), "reason": pa.string()}
)
OPTOUTS = pa.schema(
    {
        "source": pa.string(),
        "url": pa.string(),
        "host": pa.string(),
        "signal": pa.string(),
        "where": pa.string(),
        "value": pa.string(),
        "fetched": pa.timestamp("s", "UTC"),
        "kept": pa.bool_(),
    }
)


@dataclass(frozen=True)
class Parcel:
    """URLs that one set found and that belong to another: a table of MAIL."""

    to: int
    file: DataFile


@dataclass(frozen=True)
class HostSet:
    """What a unit of the pass crawls."""

    plan: Plan
    number: int
    round: int
    budget: int
    """The number of answers at which the set stops, those of earlier rounds included."""
    inbox: tuple[DataFile, ...]
    """All URLs that other sets have found for this one; those that it has taken before are skipped."""
    generation: str
    """A new one visits pages again."""
    revisit: str = "all"
    """Which pages these are: `all`, or those that are `due` by their age and their changes."""

    @property
    def folder(self) -> str:
        """The folder of the state of the set, below that of passes."""
        return f"{STATE}/{self.plan.source}/{self.number:04d}"


@dataclass(frozen=True)
class Crawled:
    """What a set has left so far, in all rounds."""

    segments: tuple[DataFile, ...]
    """Its WARC files, complete and closed; `rows` counts their records."""
    outbox: tuple[Parcel, ...]
    hosts: DataFile
    """A row for each of its hosts (HOSTS)."""
    optouts: DataFile
    """A row for each page and signal against its use (OPTOUTS)."""
    fetched: int
    """Answers in this generation, which count against the budget."""
    pages: int
    """Pages in the WARC files."""
    queued: int
    """URLs that may still be fetched."""
    superseded: DataFile | None = None
    """A row for each record in the WARC files that does not count any more (SUPERSEDED); None: there is none."""


@dataclass(frozen=True)
class CrawlHosts:
    """Crawls a set of hosts until its budget is spent, an hour has passed, or nothing is left that may be fetched."""

    version: ClassVar[int] = 2

    def run(self, unit: Unit[HostSet], out: UnitFiles) -> Crawled:
        """Compute the unit; see `mmedc.engine.unit.Work`. Of the same set only one process runs at a time."""
        spec = unit.spec
        out.store.put_new(f"{STATE}/{spec.plan.source}/sets", str(spec.plan.sets).encode())
        with _state(out.store, spec.folder) as folder:
            frontier = Frontier(folder)
            try:
                return self._crawl(unit, out, folder, frontier)
            finally:
                frontier.close()

    def _crawl(self, unit: Unit[HostSet], out: UnitFiles, folder: Path, frontier: Frontier) -> Crawled:
        spec, adapter = unit.spec, TypeAdapter(Crawled)
        if (ended := frontier.note(f"round {unit.id}")) and ended["pages"]:
            return adapter.validate_python(ended)
        self._begin(spec, out.store, frontier)
        keep = _Keeper(out.store, spec.folder, folder, frontier)
        crawler = Crawler(spec.plan, spec.number, folder, frontier, spec.budget, out.report, keep)
        try:
            asyncio.run(crawler.run())
        finally:
            crawler.close()
        left = self._left(spec, out, frontier, keep)
        frontier.end(f"round {unit.id}", adapter.dump_python(left, mode="json"), len(left.outbox))
        keep.snapshot()
        return left

    def _begin(self, spec: HostSet, store: Store, frontier: Frontier) -> None:
        """Queue where the crawl begins and what other sets have found; all of it is done once, however often."""
        if frontier.note(GENERATION) not in (None, spec.generation):
            frontier.visit_again(spec.generation, spec.revisit == "due")
        frontier.put_note(GENERATION, spec.generation)
        if spec.round == 0:
            frontier.revive()
        for found in seeds(spec.plan, spec.number):
            frontier.find(found)
        taken = set(frontier.note("taken") or ())
        for file in spec.inbox:
            if file.sha256 not in taken:
                for row in read_table(store, file).to_pylist():
                    frontier.find(Found(**row))
        frontier.save(None)
        frontier.put_note("taken", sorted({*taken, *(file.sha256 for file in spec.inbox)}))

    def _left(self, spec: HostSet, out: UnitFiles, frontier: Frontier, keep: "_Keeper") -> Crawled:
        hosts = list(frontier.hosts.values())
        sent: dict[int, list[dict[str, Any]]] = {}
        for found in frontier.unsent():
            sent.setdefault(spec.plan.set_of(found.host), []).append(asdict(found))
        before = [Parcel(to, DataFile(**file)) for to, file in frontier.note("sent") or ()]
        parcels = [
            Parcel(to, out.write("outbox", pa.Table.from_pylist(rows, schema=MAIL)))
            for to, rows in sorted(sent.items())
        ]
        frontier.put_note("sent", [[parcel.to, asdict(parcel.file)] for parcel in (*before, *parcels)])
        rows = [_host_row(spec.plan.source, host) for host in sorted(hosts, key=lambda host: host.name)]
        audit = [
            {
                "source": spec.plan.source,
                "url": url,
                "host": host,
                "signal": signal,
                "where": place,
                "value": value,
                "fetched": int(at) or None,
                "kept": bool(kept),
            }
            for url, host, signal, place, value, at, kept in frontier.optouts()
        ]
        names = ("file", "offset", "url", "reason")
        ended = [dict(zip(names, row, strict=True), source=spec.plan.source) for row in frontier.superseded()]
        return Crawled(
            superseded=out.write("superseded", pa.Table.from_pylist(ended, schema=SUPERSEDED)) if ended else None,
            segments=tuple(keep.files()),
            outbox=(*before, *parcels),
            hosts=out.write("hosts", pa.Table.from_pylist(rows, schema=HOSTS)),
            optouts=out.write("optouts", pa.Table.from_pylist(audit, schema=OPTOUTS)),
            fetched=sum(host.fetched for host in hosts),
            pages=sum(host.pages for host in hosts),
            queued=sum(
                min(host.queued, max(spec.plan.host_pages - host.fetched, 0)) for host in hosts if not host.dead
            ),
        )


def _host_row(source: str, host: Host) -> dict[str, Any]:
    given = {"source": source, "host": host.name, "given_up": host.dead}
    counts = {name: list(getattr(host, name).items()) for name in ("statuses", "refused", "left_out", "errors")}
    return given | counts | {name: getattr(host, name) for name in HOSTS.names if name not in given | counts}


@dataclass
class _Keeper:
    """Takes the files of a set to where they stay. On a local disk they are there already.

    An object store gets each WARC file when it is closed, and then a copy of the frontier, which says that it is.
    A node that is lost takes with it what was fetched since; that is fetched again.
    """

    store: Store
    name: str
    folder: Path
    frontier: Frontier

    def closed(self, row: SegmentRow) -> None:
        """Keep a WARC file that is complete."""
        if not is_local(self.store.url):
            self.store.put(f"{self.name}/{row.name}", (self.folder / row.name).read_bytes())
            (self.folder / row.name).unlink()

    def snapshot(self) -> None:
        """Keep the frontier as it is now."""
        if not is_local(self.store.url):
            copy = self.folder / "snapshot.sqlite"
            self.frontier.snapshot(copy)
            self.store.put(f"{self.name}/{FRONTIER}", copy.read_bytes())

    def files(self) -> Iterator[DataFile]:
        """Yield the closed WARC files."""
        for row in self.frontier.segments():
            if row.sha256:
                yield DataFile(f"{self.name}/{row.name}", row.sha256, row.records, row.bytes)


@contextmanager
def _state(store: Store, name: str) -> Iterator[Path]:
    """Yield the folder of the state of a set: on a local disk its own, otherwise a copy of what was kept last."""
    if is_local(store.url):
        yield Path(store.url) / name
        return
    with TemporaryDirectory(prefix="mmedc-crawl-") as temporary:
        if store.exists(f"{name}/{FRONTIER}"):
            (Path(temporary) / FRONTIER).write_bytes(store.get(f"{name}/{FRONTIER}"))
        yield Path(temporary)
