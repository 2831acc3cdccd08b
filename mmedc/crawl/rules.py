"""What the hosts of a crawl allow: their robots.txt and their reservations, fetched before anything else of them."""

import asyncio
import time
from collections.abc import Callable, Collection

from mmedc.crawl.address import host_of, normal, origin_of
from mmedc.crawl.archive import records_of, reserved_of
from mmedc.crawl.fetch import Fetcher, content_of
from mmedc.crawl.frontier import Frontier
from mmedc.crawl.optout import MAX_TDMREP, TDMREP, Reservations
from mmedc.crawl.queued import Host
from mmedc.crawl.robots import KEPT_S, MAX_BODY, MAX_HOPS, Robots, robots_of, robots_url
from mmedc.crawl.types import Fetched, OptOut, Refused

REDIRECTS = range(300, 400)
NOTHING = Fetched("http://host.example/robots.txt", "", 200, (), b"User-agent: *\nDisallow:\n", b"")
NO_ANSWER = 0
ENDLESS = -1


class SiteRules:
    """The rules of all origins of a set of hosts; what was fetched is kept in the frontier for as long as it holds."""

    def __init__(
        self,
        frontier: Frontier,
        fetcher: Fetcher,
        agents: Collection[str],
        delay_s: float,
        write: Callable[[list[bytes]], object],
    ) -> None:
        """Ask by `fetcher`; `agents` are names of crawlers that train models; `write` takes records of answers."""
        self._frontier, self._fetcher, self._agents, self._delay_s = frontier, fetcher, tuple(agents), delay_s
        self._write = write
        self._robots: dict[str, Robots] = {}
        robots_of(NOTHING, 0.0).allows(NOTHING.url)  # loads the parser before anybody waits for it
        self._reserved: dict[str, Reservations] = {}

    def lacks(self, url: str) -> str:
        """Return the URL of the rules that must be fetched before `url` is; empty if they are known."""
        origin, now = origin_of(url), time.time()
        robots = self._robots.get(origin) or self._stored(origin)
        if robots is None or robots.until < now:
            return robots_url(origin)
        if origin not in self._reserved and robots.why != "unreachable":
            place = origin + TDMREP
            stored = self._frontier.robots(place)
            if stored is None or stored[0] < now - KEPT_S:
                return place if robots.allows(place) else self._nothing_reserved(origin)
            self._reserved[origin] = Reservations.read(stored[2]) if stored[1] == 200 else Reservations()
        return ""

    def _nothing_reserved(self, origin: str) -> str:
        self._reserved[origin] = Reservations()
        return ""

    def _stored(self, origin: str) -> Robots | None:
        place = robots_url(origin)
        stored = self._frontier.robots(place)
        if stored is None:
            return None
        at, status, body = stored
        answer: Fetched | Refused | None = Fetched(place, "", status, (), body, b"")
        if status in (NO_ANSWER, ENDLESS):
            answer = Refused("connect") if status == NO_ANSWER else None
        self._robots[origin] = robots_of(answer, at, place, self._agents)
        return self._robots[origin]

    async def fetch(self, place: str, host: Host) -> tuple[Fetched | None, Robots | None]:
        """Fetch rules; return the last answer, and the robots.txt if it is one.

        Raises nothing: no answer is an answer too.
        """
        most = MAX_TDMREP if place.endswith(TDMREP) else MAX_BODY
        answer = await self._followed(place, most, host)
        now, body = time.time(), b""
        if isinstance(answer, Fetched) and answer.status == 200:
            try:
                body = content_of(answer, 64 * MAX_BODY)[: MAX_BODY + 1]
            except Refused:
                body = answer.body
        status = answer.status if isinstance(answer, Fetched) else ENDLESS if answer is None else NO_ANSWER
        self._frontier.keep_robots(place, now, status, body)
        last = answer if isinstance(answer, Fetched) else None
        origin = origin_of(place)
        if place.endswith(TDMREP):
            self._reserved[origin] = Reservations.read(body) if status == 200 else Reservations()
            return last, None
        self._reserved.pop(origin, None)  # asked for again when it is as old
        robots = self._robots[origin] = robots_of(answer, now, place, self._agents)
        return last, robots

    async def _followed(self, place: str, most: int, host: Host) -> Fetched | Refused | None:
        """Return the answer behind at most MAX_HOPS redirects; None where there are more."""
        url = place
        for hop in range(MAX_HOPS + 1):
            if hop:
                await asyncio.sleep(self._delay_s)
            try:
                answer = await self._fetcher.fetch(url, body_bytes=most)
            except Refused as refusal:
                host.errors[refusal.reason] = host.errors.get(refusal.reason, 0) + 1
                return refusal
            finally:
                host.last = time.time()
            host.ip = answer.ip if host_of(url) == host.name else host.ip
            notes = (("via", place),) if hop else ()
            self._write(reserved_of(answer, notes) if _is_page(answer) else records_of(answer, notes))
            target = normal(answer.header("location"), url) if answer.status in REDIRECTS else ""
            if not target:
                return answer
            url = target
        return None

    def allows(self, url: str) -> bool:
        """Return whether the robots.txt of its origin allows a URL; `lacks` was empty for it."""
        return self._robots[origin_of(url)].allows(url)

    def delay(self, url: str) -> float:
        """Return the seconds between two requests that the robots.txt of its origin asks for; 0 where it asks none."""
        return self._robots[origin_of(url)].delay or 0.0

    def unreachable(self, url: str) -> str:
        """Return why nothing of the origin may be fetched for now; empty if that is not so."""
        robots = self._robots[origin_of(url)]
        return f"robots.txt {robots.detail}" if robots.why == "unreachable" else ""

    def optouts(self, url: str) -> tuple[OptOut, ...]:
        """Return what the rules of its origin say against the use of a page."""
        origin = origin_of(url)
        reserved = self._reserved.get(origin)
        return (*self._robots[origin].optouts(url), *(reserved.optouts(url) if reserved else ()))


def _is_page(answer: Fetched) -> bool:
    """Return whether an answer for rules is a page, whose owner was not asked whether it may be kept."""
    return answer.status == 200 and ("html" in answer.header("content-type").lower() or b"<" in answer.body[:64])
