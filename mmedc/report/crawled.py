"""What the crawls of a build have done, by host: `mmedc crawl-status`, also while they run."""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from rich.console import Group
from rich.text import Text

from mmedc.corpus.outcome import commonest, counted
from mmedc.crawl.status import NAME, HostStatus, SetStatus
from mmedc.engine.run import WORK
from mmedc.errors import CorpusError
from mmedc.report.grid import Column, Grid, number
from mmedc.report.progress import clock
from mmedc.storage import Store, read_each

LIVE_S = 15.0
"""A set whose status is older is not running."""
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
    statuses = {f"status {status}": count for status, count in host.statuses.items() if status != "200"}
    errors = sum(host.errors.values())
    notes = [
        Text(f"given up: {host.dead}", "red").plain if host.dead else "",
        commonest(statuses),
        commonest(dict(host.errors)),
        commonest(dict(other)),
        f"unchanged or duplicate {host.revisits:,}" if host.revisits else "",
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
