"""The frontier of a set of hosts: every URL that was met, what became of it, and what comes next; an SQLite file.

What lies in a WARC file and what the frontier says about it change together: the bytes of a batch are written first,
then one transaction records the URLs and the length of the file. After any stop the file is cut to that length
(`mmedc.crawl.archive`), so a page is in a WARC file exactly if its URL is recorded as fetched, and a URL that was
under way is queued still.

Nobody waits until they are on the disk, except when a file is closed and when a round ends: all hosts would wait, too.
So a machine that loses its power may lose the last seconds of either. If the frontier is behind, the file is cut; if
the file is, URLs whose records it lacks are queued again (`lost`).

A URL is known by 63 bits of a hash, so the table is its own index and a URL is stored once. SQLite holds the lock of
the file for as long as it is open: a second process that takes up the same set is refused.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmedc.crawl.queued import (
    BINS,
    FAILED,
    FETCHED,
    OUTSIDE,
    PAGE,
    QUEUED,
    REFUSED,
    Found,
    Host,
    Item,
    Outcome,
    SegmentRow,
    bin_of,
    id_of,
)
from mmedc.crawl.revisit import Revisits
from mmedc.crawl.versions import CHANGED, orphans, queue_again, queue_changed, supersede
from mmedc.crawl.versions import SCHEMA as VERSIONS
from mmedc.errors import FolderBusy, WorkError

NAME = "frontier.sqlite"
LOCK_S = 20.0
PREFETCH = 64
GENERATION, DUE = "generation", "only due"  # notes

SCHEMA = """
CREATE TABLE IF NOT EXISTS urls (
    id INTEGER PRIMARY KEY, url TEXT NOT NULL, host INTEGER NOT NULL, kind INTEGER NOT NULL, depth INTEGER NOT NULL,
    hops INTEGER NOT NULL, score REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0, state INTEGER NOT NULL DEFAULT 0,
    reason TEXT, status INTEGER, segment INTEGER, at INTEGER, length INTEGER, payload INTEGER, fetched REAL,
    validators TEXT, original INTEGER, first REAL, seen REAL, visits INTEGER NOT NULL DEFAULT 0,
    changes INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS queue ON urls (host, score DESC, id) WHERE state = 0;
CREATE INDEX IF NOT EXISTS payloads ON urls (payload) WHERE payload IS NOT NULL;
CREATE TABLE IF NOT EXISTS hosts (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS robots (origin TEXT PRIMARY KEY, fetched REAL, status INTEGER, body BLOB);
CREATE TABLE IF NOT EXISTS segments (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, bytes INTEGER NOT NULL, records INTEGER NOT NULL, sha256 TEXT
);
CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY, part INTEGER, row TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deep (id INTEGER PRIMARY KEY, depth INTEGER NOT NULL, row TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS optouts (
    url TEXT, host TEXT, signal TEXT, place TEXT, value TEXT, fetched REAL, kept INTEGER
);
CREATE TABLE IF NOT EXISTS notes (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
TOUCHED = "UPDATE urls SET state = ?, reason = ?, tries = ?, score = ? WHERE id = ?"
"""Of a URL that brought no answer. The place of what an earlier visit brought stays."""
KEPT = "UPDATE urls SET state = ?, reason = NULL, tries = 0, seen = ?, visits = visits + 1 WHERE id = ?"
"""Of an answer that leaves what an earlier visit brought as it is."""
ANSWERED = (
    "UPDATE urls SET state = ?, reason = ?, status = ?, segment = ?, at = ?, length = ?, payload = ?,"
    " fetched = COALESCE(?, fetched), first = COALESCE(first, ?), seen = COALESCE(?, seen), tries = ?, score = ?,"
    " validators = ?, original = ?, visits = visits + 1, changes = changes + ? WHERE id = ?"
)


class Frontier:
    """The open frontier of a set of hosts. `save` makes changes durable; everything else reads or only notes them."""

    def __init__(self, folder: Path) -> None:
        """Open or create the frontier in `folder`. Raises: FolderBusy when another process has it open."""
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / NAME
        self._db = sqlite3.connect(self.path, timeout=LOCK_S, isolation_level=None)
        try:
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._force(False)
            self._db.execute("PRAGMA cache_size = -32768")
            self._db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} {VERSIONS} COMMIT;")
        except sqlite3.OperationalError as problem:
            self._db.close()
            if "locked" in str(problem):
                raise FolderBusy(f"{folder}: another process crawls this set of hosts; let it end") from None
            raise WorkError(f"{self.path}: can't be opened ({problem})") from None
        except sqlite3.DatabaseError as problem:
            self._db.close()
            raise WorkError(f"{self.path}: is damaged ({problem}); restore it, or delete {folder}") from None
        self.hosts: dict[int, Host] = {}
        self._ids: dict[str, int] = {}
        for number, name, record in self._db.execute("SELECT id, name, record FROM hosts"):
            self.hosts[number] = Host(number, name, **json.loads(record))
            self._ids[name] = number
        self._changed: set[int] = set()
        self._found: dict[int, Found] = {}
        self._outcomes: list[Outcome] = []
        self._abroad: dict[int, Found] = {}
        self._deep: dict[int, Found] = {}
        self._robots: list[tuple[str, float, int, bytes]] = []
        self._optouts: list[tuple[str, str, str, str, str, float, int]] = []
        self._modified: dict[int, float] = {}
        self.revisits: Revisits | None = Revisits() if self.note(DUE) else None
        """When pages are due whose sitemap says that they have changed; None where that is not asked."""
        self.bins = [0] * (BINS + 1)
        self._count()

    def _force(self, on: bool) -> None:
        """Have transactions wait until they are on the disk, with all before them, or not."""
        self._db.execute(f"PRAGMA synchronous = {'FULL' if on else 'NORMAL'}")

    def close(self) -> None:
        """Close the file; what was not saved is forgotten, as at a kill."""
        self._db.close()

    # Hosts

    def host(self, name: str) -> Host:
        """Return the host of this name; a new one is made."""
        number = self._ids.get(name)
        if number is None:
            number = len(self.hosts) + 1
            self._ids[name] = number
            self.hosts[number] = Host(number, name)
            self._changed.add(number)
        return self.hosts[number]

    def changed(self, host: Host) -> None:
        """Note that the counts of a host changed."""
        self._changed.add(host.id)

    def _count(self) -> None:
        self.bins = [0] * (BINS + 1)
        for host in self.hosts.values():
            host.queued = 0
        rows = self._db.execute("SELECT host, ROUND(score, 2), COUNT(*) FROM urls WHERE state = 0 GROUP BY 1, 2")
        for number, score, count in rows:
            self.hosts[number].queued += count
            self.bins[bin_of(score)] += count

    # URLs

    def find(self, found: Found) -> None:
        """Note a URL of this set, with a score of two decimals; the next `save` queues it if it is new."""
        key = id_of(found.url)
        if found.changed and self.revisits:
            self._modified[key] = found.changed
        known = self._found.get(key)
        if known is None or known.score < found.score:
            self._found[key] = found

    def send(self, found: Found) -> None:
        """Note a URL that belongs to another set of hosts."""
        self._abroad.setdefault(id_of(found.url), found)

    def put_aside(self, found: Found) -> None:
        """Note a URL that lies deeper than the crawl goes now; see `deepen`."""
        key = id_of(found.url)
        known = self._deep.get(key)
        if known is None or known.depth > found.depth:
            self._deep[key] = found

    def settle(self, outcome: Outcome) -> None:
        """Note what became of a URL."""
        self._outcomes.append(outcome)

    def keep_robots(self, origin: str, fetched: float, status: int, body: bytes) -> None:
        """Note the robots.txt of an origin; status 0 stands for no answer."""
        self._robots.append((origin, fetched, status, body))

    def opt_out(self, url: str, host: str, signal: str, place: str, value: str, fetched: float, kept: bool) -> None:
        """Note that a page is reserved by a signal, and whether it is kept nevertheless."""
        self._optouts.append((url, host, signal, place, value[:500], fetched, int(kept)))

    @property
    def pending(self) -> int:
        """The number of changes that are not saved."""
        return len(self._found) + len(self._outcomes) + len(self._robots)

    def save(
        self,
        segment: SegmentRow | None,
        finish: Iterable[SegmentRow] = (),
        admits: Callable[[Found], str] = lambda found: "",
    ) -> list[tuple[int, Item]]:
        """Record what was noted, and the valid length of the open WARC file, in one transaction.

        `finish` are files that are closed by it. `admits` returns why a new URL is not worth fetching. Returns the
        (host, URL) that are newly queued.
        """
        fresh, finished = self._new(admits), list(finish)
        self._force(bool(finished))
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(
                "INSERT INTO urls (id, url, host, kind, depth, hops, score) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(i.id, i.url, host, i.kind, i.depth, i.hops, i.score) for host, i in fresh],
            )
            ended = supersede(self._db, self._outcomes)
            for outcome in self._outcomes:
                self._db.execute(*_settled(outcome))
            queued = orphans(self._db, ended)
            if self.revisits and self._modified:
                queued += queue_changed(self._db, self._modified, time.time(), self.revisits)
            self._db.executemany(
                "INSERT OR IGNORE INTO outbox (id, part, row) VALUES (?, NULL, ?)",
                [(key, json.dumps(asdict(found))) for key, found in self._abroad.items()],
            )
            self._db.executemany(
                "INSERT INTO deep VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET depth = excluded.depth, row = excluded.row"
                " WHERE excluded.depth < depth",
                [(key, found.depth, json.dumps(asdict(found))) for key, found in self._deep.items()],
            )
            self._db.executemany("INSERT OR REPLACE INTO robots VALUES (?, ?, ?, ?)", self._robots)
            self._db.executemany("INSERT INTO optouts VALUES (?, ?, ?, ?, ?, ?, ?)", self._optouts)
            for row in (*finished, *([segment] if segment else [])):
                self._db.execute(
                    "INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?)",
                    (row.number, row.name, row.bytes, row.records, row.sha256),
                )
            self._tell(fresh, queued)
            self._db.executemany(
                "INSERT OR REPLACE INTO hosts VALUES (?, ?, ?)",
                [(number, self.hosts[number].name, _record(self.hosts[number])) for number in self._changed],
            )
            self._db.execute("COMMIT")
        except sqlite3.Error as problem:
            self._db.execute("ROLLBACK")
            raise WorkError(f"{self.path}: can't be written ({problem})") from None
        for noted in (
            self._found,
            self._outcomes,
            self._abroad,
            self._deep,
            self._robots,
            self._optouts,
            self._changed,
            self._modified,
        ):
            noted.clear()
        return fresh

    def _new(self, admits: Callable[[Found], str]) -> list[tuple[int, Item]]:
        """Return the noted URLs that the frontier does not know, best first; those not admitted are counted."""
        if not self._found:
            return []
        query = "SELECT id FROM urls WHERE id IN (SELECT value FROM json_each(?))"
        known = {key for (key,) in self._db.execute(query, (json.dumps(list(self._found)),))}
        fresh = []
        for key, found in self._found.items():
            if key in known:
                continue
            host = self.host(found.host)
            if reason := admits(found):
                host.refused[reason] = host.refused.get(reason, 0) + 1
                self._changed.add(host.id)
            else:
                score = round(found.score, 2)
                fresh.append((host.id, Item(key, found.url, found.kind, found.depth, found.hops, score)))
        return sorted(fresh, key=lambda pair: pair[1])

    def _tell(self, fresh: list[tuple[int, Item]], queued: list[tuple[int, float]]) -> None:
        """Bring the counts of what is queued up to date; `queued` are (host, score) of URLs that are queued again."""
        for number, score in (*((number, item.score) for number, item in fresh), *queued):
            self.hosts[number].queued += 1
            self.bins[bin_of(score)] += 1
            self._changed.add(number)
        for outcome in self._outcomes:
            self._changed.add(outcome.host)
            if outcome.was is not None:
                self.bins[bin_of(outcome.was)] -= 1
                self.bins[bin_of(outcome.item.score)] += 1
            if outcome.state != QUEUED:
                self.hosts[outcome.host].queued -= 1
                self.bins[bin_of(outcome.item.score)] -= 1

    def best(self, host: int, but: Iterable[int] = ()) -> list[Item]:
        """Return the best queued URLs of a host, PREFETCH at most, without those in `but`."""
        rows = self._db.execute(
            "SELECT id, url, kind, depth, hops, score, tries, COALESCE(validators, ''),"
            " COALESCE(status = 200 AND segment IS NOT NULL, 0) FROM urls"
            " WHERE state = 0 AND host = ? ORDER BY score DESC, id LIMIT ?",
            (host, PREFETCH + len(list(but))),
        )
        excluded = set(but)
        return [Item(*row) for row in rows if row[0] not in excluded]

    def payload(self, digest: int) -> tuple[str, float] | None:
        """Return (URL, time) of a page in a WARC file that has the same payload, or None."""
        query = "SELECT url, fetched FROM urls WHERE payload = ? LIMIT 1"
        found: tuple[str, float] | None = self._db.execute(query, (digest,)).fetchone()
        return found

    def fetched(self, key: int) -> float:
        """Return when the answer of a URL that is in a WARC file came, in seconds since 1970; 0 if there is none."""
        row = self._db.execute("SELECT fetched FROM urls WHERE id = ?", (key,)).fetchone()
        return row[0] or 0.0 if row else 0.0

    def robots(self, origin: str) -> tuple[float, int, bytes] | None:
        """Return (time, status, body) of the robots.txt of an origin, or None."""
        query = "SELECT fetched, status, body FROM robots WHERE origin = ?"
        found: tuple[float, int, bytes] | None = self._db.execute(query, (origin,)).fetchone()
        return found

    def urls(self, state: int) -> Iterator[tuple[str, str, int, float, str]]:
        """Yield (URL, reason, status, score, host) of all URLs in a state."""
        query = "SELECT url, reason, status, score, host FROM urls WHERE state = ? ORDER BY id"
        for url, reason, status, score, host in self._db.execute(query, (state,)):
            yield url, reason or "", status or 0, score, self.hosts[host].name

    def optouts(self) -> list[tuple[Any, ...]]:
        """Return the rows of the audit of opt-outs: URL, host, signal, where, value, time, whether it was kept."""
        return self._db.execute("SELECT * FROM optouts ORDER BY url, signal, place").fetchall()

    # Segments

    def segments(self) -> list[SegmentRow]:
        """Return the WARC files of the set, closed and open."""
        return [SegmentRow(*row) for row in self._db.execute("SELECT * FROM segments ORDER BY number")]

    def lost(self, segment: int, length: int) -> int:
        """Queue the URLs again whose records lie behind the first `length` bytes of a WARC file; return their number.

        That is needed where a disk lost what it had confirmed.
        """
        gone = "segment = ? AND at + length > ?"
        found = self._db.execute(
            f"UPDATE urls SET state = 0, segment = NULL, payload = NULL WHERE {gone} AND state = 1",
            (segment, length),
        )
        self._db.execute("UPDATE segments SET bytes = ? WHERE number = ?", (length, segment))
        self._db.execute("DELETE FROM superseded WHERE segment = ? AND at >= ?", (segment, length))
        self._count()
        return found.rowcount

    # Notes, the outbox, and what a new run begins with

    def note(self, key: str) -> Any:
        """Return what was noted under `key`, or None."""
        row = self._db.execute("SELECT value FROM notes WHERE key = ?", (key,)).fetchone()
        return json.loads(row[0]) if row else None

    def put_note(self, key: str, value: Any) -> None:
        """Note a JSON value under `key`, at once."""
        self._db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (key, json.dumps(value)))

    def unsent(self) -> list[Found]:
        """Return the URLs for other sets that no part of the outbox has yet."""
        rows = self._db.execute("SELECT row FROM outbox WHERE part IS NULL ORDER BY id")
        return [Found(**json.loads(row)) for (row,) in rows]

    def end(self, key: str, result: Any, part: int) -> None:
        """Record the result of a round under `key`, and its URLs for other sets as sent with `part`, on the disk."""
        self._force(True)
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("UPDATE outbox SET part = ? WHERE part IS NULL", (part,))
        self.put_note(key, result)
        self._db.execute("COMMIT")

    def revive(self) -> None:
        """Give hosts that were given up, and URLs that failed or lay outside the lists, another chance.

        What was noted of a robots.txt that could not be had is forgotten, so that the server is asked for it again.
        """
        self._db.execute("DELETE FROM robots WHERE status = 0 OR status = 429 OR status >= 500")
        for host in self.hosts.values():
            if host.dead:
                host.dead = ""
                self._changed.add(host.id)
        failed = "state = ? OR (state = ? AND reason = ?)"
        self._db.execute(
            f"UPDATE urls SET state = 0, tries = 0, reason = NULL WHERE {failed}", (FAILED, REFUSED, OUTSIDE)
        )
        self._count()

    def deepen(self, depth: int) -> list[Found]:
        """Put queued links that lie deeper than `depth` aside; return those put aside earlier that do not any more.

        They are to be noted by `find` and saved; then `deepened` forgets that they were aside.
        """
        deeper = f"state = {QUEUED} AND kind = {PAGE} AND depth > ? AND visits = 0"
        row = (
            "json_object('url', url, 'host', name, 'kind', kind, 'depth', depth, 'hops', hops, 'score', score,"
            " 'changed', 0.0)"
        )
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute(
            f"INSERT OR REPLACE INTO deep SELECT urls.id, depth, {row} FROM urls JOIN hosts ON hosts.id = host"
            f" WHERE {deeper}",
            (depth,),
        )
        self._db.execute(f"DELETE FROM urls WHERE {deeper}", (depth,))
        self._db.execute("COMMIT")
        self._count()
        rows = self._db.execute("SELECT row FROM deep WHERE depth <= ? ORDER BY id", (depth,))
        return [Found(**json.loads(row)) for (row,) in rows]

    def deepened(self, depth: int) -> None:
        """Forget that links up to a depth were put aside."""
        self._db.execute("DELETE FROM deep WHERE depth <= ?", (depth,))

    def visit_again(self, generation: str, only_due: bool = False) -> int:
        """Begin a generation: queue pages for another visit, all or those that are due; return their number."""
        revisits = Revisits() if only_due else None
        self._db.execute("BEGIN IMMEDIATE")
        found = queue_again(self._db, time.time(), revisits)
        self.put_note(GENERATION, generation)
        self.put_note(DUE, only_due)
        for host in self.hosts.values():
            host.fetched = 0
        self._db.executemany(
            "UPDATE hosts SET record = ? WHERE id = ?", [(_record(host), number) for number, host in self.hosts.items()]
        )
        self._db.execute("COMMIT")
        self.revisits = revisits
        self._count()
        return found

    def superseded(self) -> Iterator[tuple[str, int, str, str]]:
        """Yield (WARC file, offset, URL, reason) of the records that do not count any more, in their order."""
        yield from self._db.execute(
            "SELECT name, at, url, reason FROM superseded JOIN segments ON number = segment ORDER BY number, at"
        )

    def snapshot(self, to: Path) -> None:
        """Write a copy of the frontier as it was saved last to the file `to`."""
        to.unlink(missing_ok=True)
        with sqlite3.connect(to) as copy:
            self._db.backup(copy)
        copy.close()


def _record(host: Host) -> str:
    values = asdict(host)
    for name in ("id", "name", "queued"):
        del values[name]
    return json.dumps(values)


def _settled(outcome: Outcome) -> tuple[str, tuple[Any, ...]]:
    """Return the statement that records an outcome, and its values."""
    item, state, reason = outcome.item, outcome.state, outcome.reason or None
    if outcome.kept:
        return KEPT, (state, outcome.fetched, item.id)
    if state != FETCHED and not outcome.ends:
        return TOUCHED, (state, reason, item.tries, item.score, item.id)
    at = outcome.fetched or None
    record = (outcome.status or None, outcome.segment, outcome.at, outcome.length, outcome.payload, at, at, at)
    more = (outcome.validators or None, outcome.original, int(outcome.ends == CHANGED), item.id)
    return ANSWERED, (state, reason, *record, item.tries, item.score, *more)
