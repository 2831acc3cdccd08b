"""Holds the log of the server against the truth of the web: what was missed, repeated, or not to be touched."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from tests.crawlweb.server import CANARY, Entry
from tests.crawlweb.web import Web

CLOCK_S = 0.002  # by which two readings of clocks, and the way over the network, may differ
FAMILIES = {
    "calendar": re.compile(r"/calendar\b"),
    "session ids": re.compile(r"/session\b"),
    "endless paths": re.compile(r"/deep/"),
    "permutations": re.compile(r"/sort\b"),
    "soft 404": re.compile(r"/gone/"),
    "one text": re.compile(r"/print/"),
    "endless redirects": re.compile(r"/endless\?\d"),
}


@dataclass
class Verdict:
    """What a log shows. Lists are empty where a crawler behaves."""

    requests: int = 0
    pages: int = 0
    """Different pages with text that were fetched."""
    missed: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    """Pages that were sent in full more than once."""
    unwanted: list[str] = field(default_factory=list)
    """URLs that robots.txt forbids, or of sites that do not want to be crawled."""
    early: list[str] = field(default_factory=list)
    """Requests that came sooner after the one before, to the same host, than the delay."""
    together: list[str] = field(default_factory=list)
    """Requests that came while another to the same host was under way."""
    hasty: list[str] = field(default_factory=list)
    """Requests that came sooner after an answer of 429 than that asked for."""
    unruly: list[str] = field(default_factory=list)
    """Sites of which something was fetched before their robots.txt."""
    nameless: list[str] = field(default_factory=list)
    """User-Agents without a contact."""
    canary: int = 0
    """Connections to the address that nothing should lead to."""
    traps: dict[str, int] = field(default_factory=dict)
    """The largest number of requests to one site, by kind of trap."""
    closest_s: float = float("inf")
    """The shortest time from the end of an answer to the next request to the same host."""
    seconds: float = 0.0
    """From the first request to the last answer."""
    pace: float = float("nan")
    """How much longer visits took than their answers and the pauses between them: the median of calm sites."""

    def faults(self, trap_budget: int) -> list[str]:
        """Return what is wrong, a line each; of each kind the first three."""
        lines = []
        for kind in ("missed", "repeated", "unwanted", "early", "together", "hasty", "unruly", "nameless"):
            found: list[str] = getattr(self, kind)
            if found:
                lines.append(f"{kind}: {len(found):,}, such as {', '.join(found[:3])}")
        if self.canary:
            lines.append(f"the canary was touched {self.canary} times")
        lines += [f"{kind}: {count:,} requests" for kind, count in self.traps.items() if count > trap_budget]
        return lines


def judge(
    web: Web, log: Iterable[Entry], delay_s: float = 0.0, retry_after_s: float = 1.0, budgets: bool = False
) -> Verdict:
    """Return what a log shows. With `budgets`, a crawl that ends early has missed nothing."""
    verdict = Verdict()
    by_host: dict[str, list[Entry]] = defaultdict(list)
    sent: Counter[str] = Counter()
    trapped: dict[str, Counter[str]] = {kind: Counter() for kind in FAMILIES}
    last = 0.0
    first = float("inf")
    for entry in log:
        if entry.host == CANARY:
            verdict.canary += 1
            continue
        verdict.requests += 1
        first, last = min(first, entry.came), max(last, entry.ended)
        by_host[entry.host].append(entry)
        if web.unwanted(entry.url):
            verdict.unwanted.append(entry.url)
        if entry.status == 200:
            sent[entry.url] += 1
        for kind, pattern in FAMILIES.items():
            if pattern.match(entry.target):
                trapped[kind][entry.host] += 1
        if not re.fullmatch(r"mmedc/\S+ \(\+\S+\)", entry.agent):
            verdict.nameless.append(entry.agent)
    wanted = set(web.wanted())
    verdict.pages = len(wanted & sent.keys())
    verdict.missed = [] if budgets else sorted(wanted - sent.keys())
    verdict.repeated = [url for url in wanted & sent.keys() if sent[url] > 1]
    verdict.traps = {kind: max(counts.values(), default=0) for kind, counts in trapped.items()}
    verdict.seconds = last - first if last else 0.0
    paces = []
    for host, entries in by_host.items():
        entries.sort()
        _look_at_pauses(host, entries, delay_s, retry_after_s, verdict)
        if host in web.sites and web.sites[host].part in ("clinic", "news") and len(entries) > 2 and delay_s:
            bound = sum(entry.ended - entry.came for entry in entries) + (len(entries) - 1) * delay_s
            paces.append((entries[-1].ended - entries[0].came) / bound)
    verdict.pace = median(paces) if paces else verdict.pace
    return verdict


def _look_at_pauses(host: str, entries: list[Entry], delay_s: float, retry_after_s: float, verdict: Verdict) -> None:
    """Look at the times of the requests to one host, which are in order."""
    if entries[0].target != "/robots.txt":
        verdict.unruly.append(host)
    for before, after in pairwise(entries):
        gap = after.came - before.ended
        if after.came < before.ended - CLOCK_S and not _hangs(before):
            verdict.together.append(after.url)
        elif gap < delay_s - CLOCK_S and not _hangs(before):
            verdict.early.append(f"{after.url} after {gap:.3f} s")
        if before.status == 429 and gap < retry_after_s - CLOCK_S:
            verdict.hasty.append(after.url)
        if not _hangs(before):
            verdict.closest_s = min(verdict.closest_s, gap)


def _hangs(entry: Entry) -> bool:
    """Return whether the crawler left before the server was done, so that the server's end says nothing."""
    return entry.target in ("/drip", "/endless", "/stall", "/cut") and "hostile" in entry.host
