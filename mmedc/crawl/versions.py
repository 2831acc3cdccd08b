"""Versions of a page in the WARC files of a crawl: which of them counts, and which pages are visited again.

A later visit that finds another version ends the earlier one, and so does one that finds that the page is gone, has
moved, or is reserved by its owner. The record stays in its WARC file; its place is listed, so that ingest passes it
over. An error, a temporary redirect or a refusal (403) ends nothing: the earlier version stays.
"""

import sqlite3
from collections.abc import Iterable, Sequence

from mmedc.crawl.queued import FETCHED, PAGE, REFUSED, Outcome
from mmedc.crawl.revisit import History, Revisits, next_visit

SCHEMA = """
CREATE TABLE IF NOT EXISTS superseded (
    segment INTEGER, at INTEGER, url TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (segment, at)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS originals ON urls (original) WHERE original IS NOT NULL;
"""
CHANGED, GONE, MOVED = "changed", "gone", "moved"
FORBIDDEN = frozenset(("robots", "opt_out"))
"""Reasons for which a URL is not fetched, and for which an earlier version does not count any more."""
GONE_STATUSES = frozenset((404, 410, 451))
MOVED_STATUSES = frozenset((301, 308))
TRY_AGAIN = (
    f"(state = {FETCHED} AND (status = 200 OR status >= 500 OR visits > 1 OR depth = 0))"
    f" OR (state = {REFUSED} AND reason IN ('robots', 'opt_out'))"
)
"""What is a page, was one, or may be one now: pages, starts of sites, errors of servers, and what rules forbade."""


def ends(status: int, sound: bool) -> str:
    """Return why an answer ends the version of a page that an earlier visit brought; empty if that still counts.

    `sound` says whether the content of an answer with status 200 could be read to its end.
    """
    if status in GONE_STATUSES:
        return GONE
    if status in MOVED_STATUSES:
        return MOVED
    return CHANGED if status == 200 and sound else ""


def supersede(db: sqlite3.Connection, outcomes: Iterable[Outcome]) -> list[int]:
    """List the records that `outcomes` end; call it before they are recorded. Returns the ids of their URLs."""
    ended = [outcome for outcome in outcomes if outcome.ends]
    db.executemany(
        "INSERT OR IGNORE INTO superseded SELECT segment, at, url, ? FROM urls"
        " WHERE id = ? AND segment IS NOT NULL AND original IS NULL",
        [(outcome.ends, outcome.item.id) for outcome in ended],
    )
    return [outcome.item.id for outcome in ended]


def orphans(db: sqlite3.Connection, ended: Sequence[int]) -> list[tuple[int, float]]:
    """Queue the pages again that are in WARC files only as a revisit of a page that has `ended`.

    Returns (host, score) of each. Call it when the outcomes are recorded.
    """
    found: list[tuple[int, float]] = []
    for key in ended:
        found += db.execute("SELECT host, score FROM urls WHERE original = ? AND state = ?", (key, FETCHED))
        db.execute(
            "UPDATE urls SET state = 0, tries = 0, validators = NULL WHERE original = ? AND state = ?", (key, FETCHED)
        )
    return found


def queue_again(db: sqlite3.Connection, now: float, revisits: Revisits | None) -> int:
    """Queue pages for another visit: those that are due by `revisits`, or all; return their number."""
    query = f"SELECT id, kind, depth, state, status, first, seen, visits, changes FROM urls WHERE {TRY_AGAIN}"
    due = [
        (key,)
        for key, kind, depth, state, status, first, seen, visits, changes in db.execute(query)
        if revisits is None
        or kind != PAGE
        or depth == 0
        or state != FETCHED
        or status >= 500
        or next_visit(History(seen, visits, changes, seen - first), revisits) <= now
    ]
    db.executemany("UPDATE urls SET state = 0, tries = 0 WHERE id = ?", due)
    return len(due)


def queue_changed(
    db: sqlite3.Connection, changed: dict[int, float], now: float, revisits: Revisits
) -> list[tuple[int, float]]:
    """Queue pages that changed since their last visit, as a sitemap says; return (host, score) of each.

    `changed` has the times of the changes by the ids of URLs, in seconds since 1970.
    """
    queued = []
    query = "SELECT host, score, seen FROM urls WHERE id = ? AND state = ? AND status = 200 AND seen < ?"
    for key, when in changed.items():
        row = db.execute(query, (key, FETCHED, when)).fetchone()
        if row and next_visit(History(row[2]), revisits, when) <= now:
            db.execute("UPDATE urls SET state = 0, tries = 0 WHERE id = ?", (key,))
            queued.append((row[0], row[1]))
    return queued
