"""The crawler of one set of hosts: an event loop that takes the best URL of each host whose turn has come.

Every host has one connection at a time. What an answer brings (links, records) is collected in memory and saved a few
times a second; see `mmedc.crawl.frontier` for what a stop at any moment leaves.
"""

import asyncio
import contextlib
import heapq
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mmedc.crawl.address import host_of, normal, origin_of
from mmedc.crawl.archive import Original, records_of, reserved_of
from mmedc.crawl.fetch import Bounds, Fetcher
from mmedc.crawl.frontier import PREFETCH, Frontier
from mmedc.crawl.guard import Guard
from mmedc.crawl.plan import Keep, Plan
from mmedc.crawl.politeness import Manners, Schedule, SteadyClock, retry_after
from mmedc.crawl.queued import (
    BINS,
    FAILED,
    FETCHED,
    LOWEST,
    OUTSIDE,
    QUEUED,
    REFUSED,
    SITEMAP,
    Found,
    Host,
    Item,
    Outcome,
    bin_of,
    id_of,
)
from mmedc.crawl.reading import SITEMAP_SCORE, Reading, Visit
from mmedc.crawl.robots import Robots
from mmedc.crawl.rules import SiteRules
from mmedc.crawl.scope import Scope
from mmedc.crawl.spool import Spool
from mmedc.crawl.types import Fetched, OptOut, Refused
from mmedc.crawl.versions import FORBIDDEN, ends

SAVE_S = 0.5
SAVING_S = 0.02  # that a save takes at the least; it waits for a host that is due before
LONGEST_SAVING_S = 0.2
HUNGRY_S = 0.05  # where a host waits for URLs that were found
DAY_S = 24 * 3600.0
LEARNT = "learnt"
HELD_BYTES = 8 << 20
STATUS_S = 2.0
ROUND_S = 3600.0
SKIPS = 200  # URLs of a host that are refused without a request before others have their turn
TRIES = 3
BUSY_TRIES = 6
BUSY = (429, 503)
LATER = 2.0  # by which the score of a URL falls that is tried again, so that others come between
ANSWERED = 1  # stands for the status of an answer that could not be read
SPOILT = frozenset(("cut_off", "bad_http"))
"""Reasons that say something about a URL, not about its server."""
PASSING = frozenset(("timeout", "connect", "cut_off", "dns", "tls", "bad_http"))
"""Reasons for which an attempt is repeated later."""
Report = Callable[[int, int], None]


class Crawler:
    """Crawls one set of hosts until its budget is spent or nothing is left that may be fetched now."""

    def __init__(
        self,
        plan: Plan,
        number: int,
        folder: Path,
        frontier: Frontier,
        budget: int,
        report: Report,
        keep: "Keep | None" = None,
    ) -> None:
        """Take up the set `number`; `budget` is the number of answers at which it stops.

        `report` is told (URLs that were answered, pages that were kept).
        """
        self.plan, self.number, self.frontier = plan, number, frontier
        self.budget, self._report = budget, report
        self.scope = Scope.of(plan.sites)
        self.reading = Reading(
            plan.languages, plan.filters, self.scope, plan.depth, plan.body_bytes, time.gmtime().tm_year
        )
        self._clock = SteadyClock()
        self.guard = Guard(plan.allowed, {host: (address, port) for host, address, port in plan.names})
        if state := frontier.note(LEARNT):
            self.reading.learn(state)
        manners = Manners(plan.delay_s, ip_delay_s=plan.delay_s / 4, busy_s=10 * plan.delay_s)
        self.schedule = Schedule(manners if plan.delay_s else replace(manners, share=0.0))
        self._heaps: dict[int, list[Item]] = {}
        self._enrolled: set[int] = set()
        self._located: set[int] = set()
        self._lookups: set[asyncio.Task[None]] = set()
        self._running: dict[asyncio.Task[None], Item | None] = {}
        self._problem: BaseException | None = None
        self._wake = asyncio.Event()
        self._fetched = sum(host.fetched for host in frontier.hosts.values())
        self._threshold = 0
        self._saved = self._shown = self._begun = time.monotonic()
        self._hungry = False
        self._saving_s = SAVING_S
        self.spool = Spool(plan, number, folder, frontier, keep)

    def save(self, close: bool = False) -> None:
        """Make everything durable that was noted; `close` also closes the WARC file, if it holds a page."""
        begun = time.monotonic()
        fresh = self.spool.save(self.reading.admits, close)
        self._saved, self._hungry = time.monotonic(), False
        took = 1.5 * (self._saved - begun)
        self._saving_s = min(max(took, 0.8 * self._saving_s, SAVING_S), LONGEST_SAVING_S)
        self._queue(fresh)
        if self._saved - self._shown > STATUS_S or close:
            self.frontier.put_note(LEARNT, self.reading.state())
            self._shown = time.monotonic()
            self.spool.show(len(self._running), self._fetched)

    def close(self) -> None:
        """Close the WARC file, so that all files are complete."""
        self.save(close=True)
        self.spool.segment.abandon()

    # What comes next

    def _queue(self, fresh: list[tuple[int, Item]]) -> None:
        """Put new URLs into the heaps of their hosts where they belong there, fill empty heaps, and enrol hosts."""
        for number, item in fresh:
            heap = self._heaps.get(number)
            if heap and (len(heap) < PREFETCH or item < heap[-1]):
                heapq.heappush(heap, item)
        self._threshold = self._cut_off()
        busy = {item.id for item in self._running.values() if item}
        for host in self.frontier.hosts.values():
            if host.queued and not self._heaps.get(host.id) and self._open(host):
                best = self.frontier.best(host.id, busy)
                if best:
                    self._heaps[host.id] = best  # in order, so a heap
            if host.id not in self._enrolled and self._has_work(host):
                self._enrol(host)

    def _cut_off(self) -> int:
        """Return the bin of scores below which URLs wait: there are enough better ones for what is left to spend."""
        left = self.budget - self._fetched
        for place in range(BINS, -1, -1):
            left -= self.frontier.bins[place]
            if left <= 0:
                return place
        return 0

    def _open(self, host: Host) -> bool:
        return not host.dead and host.fetched < self.plan.host_pages

    def _has_work(self, host: Host) -> bool:
        heap = self._heaps.get(host.id)
        return heap is not None and bool(heap) and self._open(host) and bin_of(heap[0].score) >= self._threshold

    def _enrol(self, host: Host) -> None:
        """Give a host a turn when its time comes; its address is looked up first, because that is shared."""
        self._enrolled.add(host.id)
        if host.id in self._located:
            self._wait(host)
        else:
            task = asyncio.get_running_loop().create_task(self._locate(host))
            self._lookups.add(task)
            task.add_done_callback(self._looked_up)

    async def _locate(self, host: Host) -> None:
        try:
            address, _ = (await self.guard.addresses(host.name, 443))[0]
        except Refused as refusal:
            self._give_up(host, str(refusal))
            return
        host.ip = address
        self._located.add(host.id)
        self.schedule.locate(host.name, address)
        self._wait(host)

    def _looked_up(self, task: "asyncio.Task[None]") -> None:
        self._lookups.discard(task)
        self._ended(task)

    def _wait(self, host: Host) -> None:
        now, wall = time.monotonic(), max(self._clock(), host.last)  # where the clock was set back between two runs
        if host.wait_until - wall > self.schedule.longest_s:
            self._give_up(host, "busy")
            return
        asked = self.plan.delay_s - (wall - host.last) if host.last else 0.0
        self.schedule.enrol(host.name, now + min(max(host.wait_until - wall, asked, 0.0), DAY_S))
        self._wake.set()

    def _give_up(self, host: Host, reason: str) -> None:
        host.dead = reason
        self._enrolled.discard(host.id)
        self.frontier.changed(host)

    async def run(self) -> None:
        """Crawl. What was fetched is saved also when this is cancelled or fails."""
        plan = self.plan
        bounds = Bounds(total_s=plan.page_s, body_bytes=plan.body_bytes, content_bytes=plan.body_bytes)
        try:
            async with Fetcher(self.guard, plan.agent, bounds, plan.connections) as self.fetcher:
                keep = self.spool.write
                self.rules = SiteRules(self.frontier, self.fetcher, plan.agents, plan.delay_s, keep, self._clock)
                self._deepen()
                while not self._spent():
                    self._launch()
                    now = time.monotonic()
                    save_at = self._saved + (HUNGRY_S if self._hungry else SAVE_S)
                    due = self.schedule.due() if len(self._running) < plan.connections else None
                    soon = due is not None and due - now < self._saving_s and now < save_at + SAVE_S
                    if (now >= save_at and not soon) or self.spool.segment.held > HELD_BYTES:
                        self.save()
                        continue
                    if not self._enrolled and not self._running:
                        self.save()
                        if not self._enrolled and not self._lower_cut_off():
                            break
                        continue
                    until = min(due or save_at, max(save_at, now + self._saving_s))
                    await self._pause(max(until - now, 0.0005))
                await self._drain()
        finally:
            for task in (*self._running, *self._lookups):
                task.cancel()
            self.save()
        if self._problem:
            raise self._problem

    def _deepen(self) -> None:
        """Take up what was found deeper than an earlier run went, if this one goes deeper; save what there is to do."""
        for found in self.frontier.deepen(self.plan.depth):
            self._find(found)
        self.save()
        self.frontier.deepened(self.plan.depth)

    def _lower_cut_off(self) -> bool:
        """Take up the URLs that wait for better ones, where these cannot be fetched; return whether there are any."""
        if not self._threshold:
            return False
        self._threshold = 0
        for host in self.frontier.hosts.values():
            if self._has_work(host):
                self._enrol(host)
        return bool(self._enrolled)

    def _spent(self) -> bool:
        over = time.monotonic() - self._begun > ROUND_S
        return over or self._fetched >= self.budget or self._problem is not None

    async def _pause(self, seconds: float) -> None:
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _drain(self) -> None:
        while self._running:
            await asyncio.wait(self._running)

    def _launch(self) -> None:
        """Give hosts their turn as long as connections and the budget allow."""
        now = time.monotonic()
        while len(self._running) < min(self.plan.connections, self.budget - self._fetched):
            name = self.schedule.take(now)
            if name is None:
                return
            host = self.frontier.host(name)
            task = asyncio.get_running_loop().create_task(self._turn(host))
            self._running[task] = None
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.pop(task, None)
        if not task.cancelled() and (problem := task.exception()):
            self._problem = problem
        self._wake.set()

    async def _turn(self, host: Host) -> None:
        """Fetch the next URL of a host, or first the rules that it lies under."""
        answer: Fetched | str | None = None
        asked = False
        begun = time.monotonic()
        try:
            for _ in range(SKIPS):
                if not self._has_work(host):
                    break
                item = self._heaps[host.id][0]
                if reason := self._barred(item.url):
                    self._refuse(host, heapq.heappop(self._heaps[host.id]), reason)
                    continue
                if place := self.rules.lacks(item.url):
                    asked = True
                    answer, robots = await self.rules.fetch(place, host)
                    self._obey(host, robots)
                    break
                if reason := self.rules.unreachable(item.url):
                    if self._is_only_origin(host, item.url):
                        self._give_up(host, reason)
                        break
                    self._fail(host, heapq.heappop(self._heaps[host.id]), reason)
                    continue
                if delay := self.rules.delay(item.url):
                    self.schedule.slow(host.name, delay)  # also where the robots.txt was fetched in an earlier round
                    if host.name in self.schedule.given_up:
                        break
                heapq.heappop(self._heaps[host.id])
                self._running[_current()] = item
                if not self._refused(host, item):
                    asked = True
                    answer = await self._fetch(host, item)
                    break
        finally:
            self._leave(host, answer, asked, time.monotonic() - begun)

    def _obey(self, host: Host, robots: Robots | None) -> None:
        """Take over the delay and the sitemaps of a robots.txt."""
        if robots is None:
            return
        if robots.delay:
            self.schedule.slow(host.name, robots.delay)
        for url in robots.sitemaps:
            target = normal(url)
            if target and target in self.scope:
                self._find(Found(target, host_of(target), SITEMAP, 0, 0, SITEMAP_SCORE))

    def _leave(self, host: Host, answer: Fetched | str | None, asked: bool, seconds: float) -> None:
        """Tell the schedule that the turn of a host is over, and whether it wants another."""
        now = time.monotonic()
        if asked:
            now -= max(self._clock() - host.last, 0.0)  # the pause begins when the answer has come, not when it is read
        if not self._heaps.get(host.id) and host.queued > 0:
            self._hungry = True
        more = self._has_work(host)
        if not asked:
            self.schedule.release(host.name, now, more=more)
        elif not isinstance(answer, Fetched):
            self.schedule.done(host.name, now, ANSWERED if answer in SPOILT else 0, None, seconds, more)
        else:
            wait = retry_after(answer.header("retry-after"), time.time())
            self.schedule.done(host.name, now, answer.status, wait, answer.seconds, more)
        host.wait_until = self._clock() + max(self.schedule.next(host.name) - time.monotonic(), 0.0)
        if host.name in self.schedule.given_up and not host.dead:
            self._give_up(host, self.schedule.given_up[host.name])
        if not more:
            self._enrolled.discard(host.id)
        self.frontier.changed(host)

    def _refused(self, host: Host, item: Item) -> bool:
        """Settle a URL that may not be fetched; return whether it is such a one."""
        reason = self.reading.traps.closed(item.url) if self.rules.allows(item.url) else "robots"
        optouts = () if reason else self.rules.optouts(item.url)
        if optouts and self.plan.honour:
            reason = "opt_out"
            host.opted_out += 1
            self._note_optouts(host, item.url, optouts, 0.0, kept=False)
        if reason:
            self._refuse(host, item, reason)
        return bool(reason)

    def _barred(self, url: str) -> str:
        """Return why nothing is sent because of a URL, not even for its robots.txt; empty if it may be asked for.

        A site may have left the lists since the URL was queued.
        """
        try:
            self.guard.check(url)
        except Refused as refusal:
            return refusal.reason
        return "" if url in self.scope else OUTSIDE

    def _refuse(self, host: Host, item: Item, reason: str) -> None:
        host.refused[reason] = host.refused.get(reason, 0) + 1
        ended = reason if item.version and reason in FORBIDDEN else ""
        self.frontier.settle(Outcome(item, host.id, REFUSED, reason, ends=ended))

    def _fail(self, host: Host, item: Item, reason: str) -> None:
        host.errors[reason] = host.errors.get(reason, 0) + 1
        self.frontier.settle(Outcome(item, host.id, FAILED, reason))

    def _is_only_origin(self, host: Host, url: str) -> bool:
        """Return whether nothing is known of a host but the origin of a URL; it may be reached by https alone."""
        return not host.fetched and all(origin_of(each.url) == origin_of(url) for each in self._heaps[host.id])

    # Answers

    async def _fetch(self, host: Host, item: Item) -> Fetched | str:
        """Fetch a URL and take in the answer; return it, or the reason why there is none."""
        try:
            conditions = json.loads(item.validators) if item.validators else {}
            host.last = self._clock()
            fetched = await self.fetcher.fetch(item.url, conditions)
        except Refused as refusal:
            host.last = self._clock()
            self._failed(host, item, refusal.reason)
            return refusal.reason
        host.last = self._clock()
        if fetched.status in BUSY or fetched.status >= 500:
            tries = BUSY_TRIES if fetched.status in BUSY else TRIES
            if item.tries + 1 < tries:
                self._again(host, item, fetched)
                return fetched
        await self._answered(host, item, fetched)
        return fetched

    def _failed(self, host: Host, item: Item, reason: str) -> None:
        """Note an attempt that brought no answer; a URL has TRIES of them."""
        host.errors[reason] = host.errors.get(reason, 0) + 1
        item.tries += 1
        if reason in PASSING and item.tries < TRIES:
            self._queue_again(host, item, reason)
        else:
            self.frontier.settle(Outcome(item, host.id, FAILED if reason in PASSING else REFUSED, reason))

    def _queue_again(self, host: Host, item: Item, reason: str, status: int = 0) -> None:
        """Queue a URL behind others of its host."""
        was, item.score = item.score, round(max(item.score - LATER, LOWEST), 2)
        self.frontier.settle(Outcome(item, host.id, QUEUED, reason, status, was=was))
        heap = self._heaps.setdefault(host.id, [])
        if not heap or item < heap[-1]:  # otherwise it comes with the next ones from the frontier
            heapq.heappush(heap, item)

    def _again(self, host: Host, item: Item, fetched: Fetched) -> None:
        """Queue a URL again whose server is busy or broken."""
        item.tries += 1
        self.spool.write(records_of(fetched, (("outcome", "asked again later"),)))
        self._queue_again(host, item, f"status {fetched.status}", fetched.status)

    async def _answered(self, host: Host, item: Item, fetched: Fetched) -> None:
        visit = await self.reading.visit(item, fetched)
        # From here on nothing waits, so that a save has all of an answer or nothing.
        self._fetched += 1
        host.fetched += 1
        host.bytes += len(fetched.body)
        name = str(fetched.status)
        host.statuses[name] = host.statuses.get(name, 0) + 1
        optouts = (*visit.optouts, *self.rules.optouts(item.url)) if visit.page or visit.optouts else ()
        if optouts:
            kept = not self.plan.honour
            self._note_optouts(host, item.url, optouts, fetched.started, kept)
            host.opted_out += 1
            visit.page = visit.page and kept
        reserved = bool(optouts) and self.plan.honour
        original = None if reserved else self.reading.original(self.frontier, item, fetched, visit)
        notes = visit.notes(item, optouts)
        at, length = self.spool.write(reserved_of(fetched, notes) if reserved else records_of(fetched, notes, original))
        if original is not None:
            host.revisits += 1
        elif visit.page:
            host.pages += 1
            host.medical += visit.score
        if visit.trap:
            visit.counts[visit.trap] = 1
        for reason, number in visit.counts.items():
            host.left_out[reason] = host.left_out.get(reason, 0) + number
        if visit.problem:
            host.errors[visit.problem] = host.errors.get(visit.problem, 0) + 1
        for found in visit.found:
            self._find(found)
        for found in visit.deep:
            self.frontier.put_aside(found)
        self.frontier.settle(self._outcome(host, item, fetched, visit, reserved, original, (at, length)))
        self._report(1, int(visit.page and original is None))

    def _outcome(
        self,
        host: Host,
        item: Item,
        fetched: Fetched,
        visit: Visit,
        reserved: bool,
        original: Original | None,
        place: tuple[int, int],
    ) -> Outcome:
        """Return what becomes of a URL by an answer that is stored at `place`, and of what it brought before."""
        reason = "opt_out" if reserved else visit.trap or visit.problem
        outcome = Outcome(item, host.id, FETCHED, reason, fetched.status, self.spool.segment.number, *place)
        outcome.fetched = fetched.started
        copy = original is not None and original.url != item.url
        if item.version:
            sound = not visit.problem and not fetched.truncated
            outcome.ends = "opt_out" if reserved else ends(fetched.status, sound)
            if (original is not None and not copy) or not outcome.ends:
                outcome.ends, outcome.kept = "", True
        if copy and original is not None:
            outcome.original = id_of(original.url)
        elif not reserved:
            outcome.validators = visit.validators
            outcome.payload = visit.payload if visit.page else None
        return outcome

    def _find(self, found: Found) -> None:
        if self.plan.set_of(found.host) != self.number:
            self.frontier.send(found)
        else:
            self.frontier.find(found)

    def _note_optouts(self, host: Host, url: str, found: tuple[OptOut, ...], at: float, kept: bool) -> None:
        for each in dict.fromkeys(found):
            self.frontier.opt_out(url, host.name, each.signal, each.where, each.value, at, kept)


def _current() -> "asyncio.Task[None]":
    task = asyncio.current_task()
    assert task is not None
    return task
