"""What the hosts of a crawl allow: their robots.txt and their reservations, fetched before anything else of them."""

import asyncio
from collections.abc import Callable, Collection, Iterable
from typing import Literal, NamedTuple

from mmedc.crawl.address import host_of, normal, origin_of
from mmedc.crawl.aitxt import AITXT, MAX_AITXT, AiTxt
from mmedc.crawl.archive import records_of, reserved_of
from mmedc.crawl.fetch import Fetcher, content_of
from mmedc.crawl.frontier import Frontier
from mmedc.crawl.optout import MAX_TDMREP, TDMREP, Reservations
from mmedc.crawl.queued import Host
from mmedc.crawl.robots import KEPT_S, MAX_BODY, MAX_HOPS, Robots, robots_of, robots_url
from mmedc.crawl.rsl import MAX_LICENCE, Licence
from mmedc.crawl.types import Fetched, OptOut, Refused

REDIRECTS = range(300, 400)
NOTHING = Fetched("http://host.example/robots.txt", "", 200, (), b"User-agent: *\nDisallow:\n", b"")
NO_ANSWER = 0
ENDLESS = -1
FRESH_S = 60.0  # by which an answer is in the frontier
MAX_LICENCES = 3  # that a robots.txt may name
Kind = Literal["robots", "tdm", "ai-txt", "rsl"]
BYTES: dict[Kind, int] = {"robots": MAX_BODY, "tdm": MAX_TDMREP, "ai-txt": MAX_AITXT, "rsl": MAX_LICENCE}
"""That are read of each."""
Wishes = Reservations | AiTxt | Licence


class Place(NamedTuple):
    """Where rules are looked for."""

    kind: Kind
    url: str

    @property
    def key(self) -> str:
        """Under what the frontier keeps the answer."""
        return f"rsl {self.url}" if self.kind == "rsl" else self.url


class SiteRules:
    """The rules of all origins of a set of hosts; what was fetched is kept in the frontier for as long as it holds.

    A licence may lie on another host, which many sites name: it is asked for once a day for all of them.
    """

    def __init__(
        self,
        frontier: Frontier,
        fetcher: Fetcher,
        agents: Collection[str],
        delay_s: float,
        write: Callable[[list[bytes]], object],
        clock: Callable[[], float],
    ) -> None:
        """Ask by `fetcher`; `agents` are names of crawlers that train models; `write` takes records of answers.

        `clock` returns the seconds since 1970.
        """
        self._frontier, self._fetcher, self._agents, self._delay_s = frontier, fetcher, tuple(agents), delay_s
        self._write, self._clock = write, clock
        self._robots: dict[str, Robots] = {}
        robots_of(NOTHING, 0.0).allows(NOTHING.url)  # loads the parser before anybody waits for it
        self._fresh: dict[str, tuple[float, int, bytes]] = {}  # answers that the frontier may not have saved yet
        self._wishes: dict[str, tuple[Wishes, ...]] = {}  # by origin; complete, and as old as its robots.txt at most

    def lacks(self, url: str) -> Place | None:
        """Return the rules that must be fetched before `url` is; None if all are known."""
        origin, now = origin_of(url), self._clock()
        robots = self._robots.get(origin) or self._stored(origin)
        if robots is None or robots.until < now:
            return Place("robots", robots_url(origin))
        if origin in self._wishes or robots.why == "unreachable":
            return None
        known: list[Wishes] = []
        for place in _places(origin, robots):
            if origin_of(place.url) == origin and not robots.allows(place.url):
                known += [Licence(place.url, problem="robots.txt forbids to read it")] if place.kind == "rsl" else []
                continue
            stored = self._fresh.get(place.key) or self._frontier.robots(place.key)
            if stored is None or stored[0] < now - KEPT_S:
                return place
            known.append(_read(place, *stored[1:]))
        self._wishes[origin] = (*known, *_unread(robots))
        self._fresh = {key: kept for key, kept in self._fresh.items() if kept[0] > now - FRESH_S}
        return None

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

    async def fetch(self, place: Place, host: Host) -> tuple[Fetched | None, Robots | None]:
        """Fetch rules; return the last answer, and the robots.txt if it is one.

        Raises nothing: no answer is an answer too.
        """
        answer = await self._followed(place, host)
        now, body = self._clock(), b""
        if isinstance(answer, Fetched) and answer.status == 200:
            try:
                body = content_of(answer, 64 * MAX_BODY)[: BYTES[place.kind] + 1]
            except Refused:
                body = answer.body
        status = answer.status if isinstance(answer, Fetched) else ENDLESS if answer is None else NO_ANSWER
        self._frontier.keep_robots(place.key, now, status, body)
        self._fresh[place.key] = now, status, body
        last = answer if isinstance(answer, Fetched) else None
        if place.kind != "robots":
            return last, None
        origin = origin_of(place.url)
        self._wishes.pop(origin, None)  # asked for again when they are as old
        robots = self._robots[origin] = robots_of(answer, now, place.url, self._agents)
        return last, robots

    async def _followed(self, place: Place, host: Host) -> Fetched | Refused | None:
        """Return the answer behind at most MAX_HOPS redirects; None where there are more."""
        url = place.url
        for hop in range(MAX_HOPS + 1):
            if hop:
                await asyncio.sleep(self._delay_s)
            try:
                answer = await self._fetcher.fetch(url, body_bytes=BYTES[place.kind] + 1)
            except Refused as refusal:
                host.errors[refusal.reason] = host.errors.get(refusal.reason, 0) + 1
                return refusal
            finally:
                host.last = self._clock()
            host.ip = answer.ip if host_of(url) == host.name else host.ip
            host.rules += 1
            notes = (("via", place.url),) if hop else ()
            page = place.kind != "rsl" and _is_page(answer)
            self._write(reserved_of(answer, notes) if page else records_of(answer, notes, rules_at=place.url))
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
        wishes = self._wishes.get(origin, ())
        return (*self._robots[origin].optouts(url), *(each for known in wishes for each in known.optouts(url)))


def _places(origin: str, robots: Robots) -> list[Place]:
    """Return where the wishes of an origin stand, besides its robots.txt."""
    licences = [url for named in robots.licences[:MAX_LICENCES] if (url := normal(named, f"{origin}/"))]
    return [Place("tdm", origin + TDMREP), Place("ai-txt", origin + AITXT), *(Place("rsl", url) for url in licences)]


def _unread(robots: Robots) -> Iterable[Licence]:
    """Yield the licences that a robots.txt names and that are not asked for."""
    for number, named in enumerate(robots.licences):
        if number >= MAX_LICENCES:
            yield Licence(named, problem=f"more than {MAX_LICENCES} licences")
            return
        if not normal(named, robots.url):
            yield Licence(named, problem="no address")


def _read(place: Place, status: int, body: bytes) -> Wishes:
    """Return what an answer for rules says; without an answer only a licence says anything."""
    if place.kind == "rsl":
        return Licence.read(place.url, body) if status == 200 else Licence(place.url, problem=f"status {status}")
    if place.kind == "ai-txt":
        return AiTxt.read(body) if status == 200 else AiTxt()
    return Reservations.read(body) if status == 200 else Reservations()


def _is_page(answer: Fetched) -> bool:
    """Return whether an answer for rules is a page, whose owner was not asked whether it may be kept."""
    return answer.status == 200 and ("html" in answer.header("content-type").lower() or b"<" in answer.body[:64])
