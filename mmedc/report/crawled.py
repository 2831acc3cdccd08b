"""What the crawls of a build have done, by host: `mmedc crawl-status`, also while they run, and `mmedc stats`."""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pyarrow.parquet as pq
from rich.console import Group
from rich.text import Text

from mmedc.corpus.manifest import Manifest
from mmedc.corpus.outcome import commonest, counted
from mmedc.crawl.status import NAME, HostStatus, SetStatus
from mmedc.engine.run import WORK
from mmedc.errors import CorpusError
from mmedc.report.grid import Column, Grid, number
from mmedc.report.progress import clock
from mmedc.storage import Store, read_each

LIVE_S = 15.0
"""A set whose status is older is not running."""
HOSTS, OPTOUTS = "crawl/hosts.parquet", "crawl/optouts.parquet"
STATS_ROWS = 10
NAMED = 5
COLUMNS = (
    *(number("fetched"), number("pages"), number("queued"), number("medical %"), number("robots"), number("opted out")),
    *(number("errors"), Column("what else", wrap=True)),
)


def read_status(corpus: str) -> dict[str, list[SetStatus]]:
    """Return the status of each set of hosts, by source. Raises: CorpusError where nothing is crawled."""
    store = Store(corpus)
    names = [name for name in store.names(f"{WORK}/crawl") if name.endswith(f"/{NAME}")]
    if not names:
        raise CorpusError(f"{corpus}: no crawl has begun here; `mmedc run` begins one for sources with the key `crawl`")
    found: dict[str, list[SetStatus]] = {}
    for name, data in zip(names, read_each(store.get, names), strict=True):
        found.setdefault(name.split("/")[2], []).append(SetStatus.model_validate_json(data))
    return found


def status_json(found: dict[str, list[SetStatus]]) -> dict[str, Any]:
    """Return the status as JSON values."""
    return {
        source: {
            "answers_per_second": _rate(sets),
            "updated": max(each.at for each in sets),
            "hosts": [host.model_dump(mode="json") | {"medical_share": round(host.share, 4)} for host in _hosts(sets)],
        }
        for source, sets in found.items()
    }


def status_tables(found: dict[str, list[SetStatus]], rows: int) -> Group:
    """Return a table for each source, with its `rows` largest hosts."""
    parts: list[Any] = []
    for source, sets in found.items():
        hosts = _hosts(sets)
        shown = hosts[:rows]
        parts += [Text(_summary(source, sets, hosts)), Grid([Column("host"), *COLUMNS], map(_row, shown))]
        if len(hosts) > len(shown):
            rest = hosts[len(shown) :]
            what = f"… and {counted(len(rest), 'more host')} with {counted(sum(h.pages for h in rest), 'page')}"
            parts.append(Text(what, "dim"))
    return Group(*parts)


def read_crawled(corpus: str, manifest: Manifest) -> dict[str, list[HostStatus]]:
    """Return the hosts of the crawled sources of a corpus, those with most pages first."""
    found: dict[str, list[HostStatus]] = {}
    for row in _rows(corpus, manifest, HOSTS):
        values = {key: dict(value) if isinstance(value, list) else value for key, value in row.items()}
        host = HostStatus.model_validate(values | {"name": row["host"], "dead": row["given_up"]})
        found.setdefault(row["source"], []).append(host)
    return {source: sorted(hosts, key=lambda host: (-host.pages, host.name)) for source, hosts in found.items()}


def read_optouts(corpus: str, manifest: Manifest) -> list[dict[str, Any]]:
    """Return the audit of opt-outs of a corpus: for each source and signal how many pages of how many hosts have it."""
    pages: dict[tuple[str, str], set[str]] = {}
    hosts: dict[tuple[str, str], set[str]] = {}
    kept: dict[tuple[str, str], set[str]] = {}
    for row in _rows(corpus, manifest, OPTOUTS):
        key = row["source"], row["signal"]
        pages.setdefault(key, set()).add(row["url"])
        hosts.setdefault(key, set()).add(row["host"])
        kept.setdefault(key, set()).update([row["url"]] if row["kept"] else ())
    return [
        {"source": key[0], "signal": key[1], "pages": len(urls), "hosts": len(hosts[key]), "kept": len(kept[key])}
        for key, urls in sorted(pages.items())
    ]


def crawled_json(found: dict[str, list[HostStatus]], optouts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what `mmedc stats` says of the crawls of a corpus as JSON values."""
    hosts = {
        source: [host.model_dump(mode="json") | {"medical_share": round(host.share, 4)} for host in each]
        for source, each in found.items()
    }
    return {"hosts": hosts, "opt_outs": optouts}


def crawled_tables(found: dict[str, list[HostStatus]], optouts: list[dict[str, Any]]) -> Group:
    """Return for each source its largest hosts and those that brought no page, and a table of who opted out."""
    parts: list[Any] = []
    for source, hosts in found.items():
        pages = sum(host.pages for host in hosts)
        shown = hosts[:STATS_ROWS]
        head = f"{source}: {counted(pages, 'page')} of {counted(len(hosts), 'host')} crawled"
        parts += [Text(head), Grid([Column("host"), *COLUMNS], map(_row, shown))]
        if len(hosts) > len(shown):
            more = counted(len(hosts) - len(shown), "more host")
            parts.append(Text(f"… and {more}: crawl/hosts.parquet has them all", "dim"))
        if said := _barren(hosts):
            parts.append(Text(said, "yellow"))
        parts.append("")
    if optouts:
        columns = [Column("opted out by"), Column("source"), *map(number, ("pages", "hosts", "pages kept"))]
        rows = [(r["signal"], r["source"], f"{r['pages']:,}", f"{r['hosts']:,}", f"{r['kept']:,}") for r in optouts]
        parts += [Grid(columns, rows), ""]
    return Group(*parts[:-1])


def _barren(hosts: list[HostStatus]) -> str:
    """Return a sentence about the hosts that were asked for pages and brought none; empty where all brought some."""
    dead = [host for host in hosts if not host.pages and (host.dead or host.errors or host.statuses)]
    if not dead:
        return ""
    names = [
        f"{host.name} ({host.dead.partition(':')[0] or commonest({**host.errors, **_statuses(host)})})"
        for host in dead[:NAMED]
    ]
    more = f", and {len(dead) - NAMED} more" if len(dead) > NAMED else ""
    return f"{len(dead)} of {counted(len(hosts), 'host')} brought no page: {', '.join(names)}{more}"


def _statuses(host: HostStatus) -> dict[str, int]:
    return {f"status {status}": count for status, count in host.statuses.items() if status != "200"}


def _rows(corpus: str, manifest: Manifest, name: str) -> list[dict[str, Any]]:
    if name not in {file.path for file in manifest.crawled}:
        return []
    with Store(corpus).open_input(name) as handle:
        rows: list[dict[str, Any]] = pq.read_table(handle).to_pylist()
    return rows


def _hosts(sets: Iterable[SetStatus]) -> list[HostStatus]:
    return sorted((host for each in sets for host in each.hosts), key=lambda host: (-host.pages, host.name))


def _rate(sets: list[SetStatus]) -> float:
    live = [each for each in sets if time.time() - each.at < LIVE_S]
    return round(sum(each.rate for each in live if each.running), 1)


def _summary(source: str, sets: list[SetStatus], hosts: list[HostStatus]) -> str:
    pages = sum(host.pages for host in hosts)
    queued = sum(host.queued for host in hosts)
    age = time.time() - max(each.at for each in sets)
    rate = _rate(sets)
    state = f"{rate:,.1f} answers/s" if rate else f"not running; last change {clock(max(age, 0))} ago"
    return f"{source}: {counted(pages, 'page')} of {counted(len(hosts), 'host')}, {queued:,} queued, {state}"


def _row(host: HostStatus) -> tuple[Any, ...]:
    refused = {reason: count for reason, count in host.refused.items() if reason not in ("robots", "opt_out")}
    other = Counter(refused) + Counter(host.left_out)
    errors = sum(host.errors.values())
    notes = [
        Text(f"given up: {host.dead}", "red").plain if host.dead else "",
        commonest(_statuses(host)),
        commonest(dict(host.errors)),
        commonest(dict(other)),
        f"unchanged or duplicate {host.revisits:,}" if host.revisits else "",
        f"robots.txt and the like {host.rules:,}" if host.rules else "",
    ]
    return (
        host.name,
        f"{host.fetched:,}",
        f"{host.pages:,}",
        f"{host.queued:,}",
        f"{host.share:.0%}" if host.pages else "",
        f"{host.refused.get('robots', 0):,}",
        f"{host.opted_out:,}",
        f"{errors:,}",
        "; ".join(filter(None, notes)),
    )
