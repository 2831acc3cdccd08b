"""When which site may be asked again: a schedule that is told the time.

A site is asked by one request at a time, and an IP address by few, however many sites stand on it. Between the end of a
request and the begin of the next lies the delay of the user, the `Crawl-delay` of the site, or as long as the site took
to answer, whichever is longest. A site that says that it is busy is left alone as long as it asks for, or for a time
that doubles.
"""

import heapq
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

BUSY = frozenset({429, 503})
MAX_RETRY_AFTER_S = 24 * 3600.0
SECONDS = re.compile(r"\s*(\d{1,12})(?:\.\d*)?\s*")


class SteadyClock:
    """Seconds since 1970: the clock of the machine at the start and what has passed since. It may be set meanwhile."""

    def __init__(self) -> None:
        """Read the clock of the machine, once."""
        self._base = time.time() - time.monotonic()

    def __call__(self) -> float:
        """Return the seconds since 1970."""
        return self._base + time.monotonic()


@dataclass(frozen=True, slots=True)
class Manners:
    """What a site and an IP address are spared."""

    delay_s: float = 1.0
    """Between the end of a request and the begin of the next one to the same site."""
    share: float = 1.0
    """The pause as a multiple of the time that the last answer took: slow sites are asked less often."""
    longest_s: float = 30.0
    """That the pause grows to by `share`."""
    max_delay_s: float = 300.0
    """A site whose `Crawl-delay` is longer is given up."""
    per_ip: int = 2
    """Requests at a time to one IP address."""
    ip_delay_s: float = 0.25
    """Between the begins of two requests to one IP address."""
    busy_s: float = 10.0
    """The pause after the first answer of 429 or 503, and after an error; it doubles."""
    patience_s: float = 600.0
    """A site that asks for a longer pause is given up."""
    strikes: int = 6
    """A site that is busy or fails so often in a row is given up."""


def retry_after(value: str, now: float) -> float | None:
    """Return the seconds that a `Retry-After` asks to wait, at most a day; None where it says nothing of use.

    `now` is in seconds since 1970. A date in the past and a negative number say nothing.
    """
    if seconds := SECONDS.fullmatch(value):
        return min(float(seconds[1]), MAX_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError, OSError):
        return None
    return min(moment - now, MAX_RETRY_AFTER_S) if moment > now else None


@dataclass(slots=True)
class _Site:
    """What is known of a site."""

    next: float = 0.0  # when it may be asked
    delay: float = 0.0  # that it asks for
    strikes: int = 0
    slowed: float = 0.0  # added to the delay, after it said that it is busy
    ip: str = ""
    queued: bool = False
    busy: bool = False


@dataclass(slots=True)
class _Address:
    """What is known of an IP address."""

    next: float = 0.0
    busy: int = 0


class Schedule:
    """Says which site to ask next. All times are seconds of one clock, which may not go back."""

    def __init__(self, manners: Manners | None = None) -> None:
        self.manners = manners or Manners()
        self.given_up: dict[str, str] = {}
        """The sites that are not asked any more: `crawl_delay`, `busy` or `failing`."""
        self._sites: dict[str, _Site] = {}
        self._addresses: dict[str, _Address] = {}
        self._queue: list[tuple[float, int, str]] = []  # sites that wait, by the time at which they may be asked
        self._held: dict[str, list[tuple[float, int, str]]] = {}  # whose time has come, but whose address is busy
        self._turn = 0

    def enrol(self, site: str, now: float) -> None:
        """Take up a site that there is something to ask of; one that is enrolled, busy or given up is left as it is."""
        known = self._sites.setdefault(site, _Site(next=now))
        if not (known.queued or known.busy or site in self.given_up):
            self._wait(site, known, max(now, known.next))

    def locate(self, site: str, ip: str) -> None:
        """Note the address of a site, for which the limits by address hold. The site must not be busy."""
        known = self._sites.setdefault(site, _Site())
        if known.busy and known.ip != ip:
            raise ValueError(f"{site} is being asked at {known.ip}; its address is noted before it is taken")
        known.ip = ip

    def slow(self, site: str, delay_s: float) -> None:
        """Note the delay that the robots.txt of a site asks for; a site that asks for too long a one is given up."""
        known = self._sites.setdefault(site, _Site())
        known.delay = max(known.delay, delay_s)
        if delay_s > self.manners.max_delay_s:
            self._give_up(site, "crawl_delay")

    def take(self, now: float) -> str | None:
        """Return a site that may be asked now, which is busy from now on; None if there is none."""
        while self._queue and self._queue[0][0] <= now:
            entry = heapq.heappop(self._queue)
            site = entry[2]
            known = self._sites[site]
            if not known.queued or site in self.given_up:
                continue
            if not known.ip:
                return self._taken(site, known)
            address = self._addresses.setdefault(known.ip, _Address())
            if address.busy >= self.manners.per_ip:
                self._held.setdefault(known.ip, []).append(entry)
            elif address.next > now:
                heapq.heappush(self._queue, (address.next, entry[1], site))
            else:
                address.busy += 1
                address.next = now + self.manners.ip_delay_s
                return self._taken(site, known)
        return None

    def _taken(self, site: str, known: _Site) -> str:
        known.queued, known.busy = False, True
        return site

    def due(self) -> float | None:
        """Return when `take` may have a site at the earliest; None while that waits for a request under way to end."""
        while self._queue:
            when, _, site = self._queue[0]
            if self._sites[site].queued and site not in self.given_up:
                return when
            heapq.heappop(self._queue)
        return None

    @property
    def longest_s(self) -> float:
        """The longest pause that is waited for; a site that asks for a longer one is given up."""
        return max(self.manners.patience_s, self.manners.max_delay_s)

    def next(self, site: str) -> float:
        """Return when a site may be asked again, as far as its own pauses go."""
        return self._sites[site].next

    def done(
        self,
        site: str,
        now: float,
        status: int = 0,
        retry_after: float | None = None,
        seconds: float = 0.0,
        more: bool = True,
    ) -> None:
        """Free a site after a request that took `seconds`, and enrol it again if there is `more` to ask.

        `status` is 0 where no answer came; `retry_after` is in seconds, None without one.
        """
        known, manners = self._sites[site], self.manners
        self._free(known)
        pause = max(manners.delay_s + known.slowed, known.delay, min(seconds * manners.share, manners.longest_s))
        if status in BUSY or not status or (retry_after is not None and status >= 400):
            known.strikes += 1
            back_off = manners.busy_s * 2.0 ** min(known.strikes - 1, 20)
            pause = max(pause, back_off if retry_after is None else max(retry_after, manners.delay_s))
            if status:
                known.slowed = min(manners.longest_s, max(2 * known.slowed, manners.delay_s))
            if pause > self.longest_s or known.strikes >= manners.strikes:
                self._give_up(site, "busy" if status else "failing")
        else:
            known.strikes = 0
            known.slowed = known.slowed * 0.9 if known.slowed > 0.05 * manners.delay_s else 0.0
        known.next = now + pause
        if more and site not in self.given_up:
            self._wait(site, known, known.next)

    def release(self, site: str, now: float, more: bool = True) -> None:
        """Free a site that was taken but not asked after all."""
        known = self._sites[site]
        self._free(known)
        if more and site not in self.given_up:
            self._wait(site, known, max(now, known.next))

    def _free(self, known: _Site) -> None:
        known.busy = False
        if known.ip:
            self._addresses[known.ip].busy -= 1
            for entry in self._held.pop(known.ip, ()):
                heapq.heappush(self._queue, entry)

    def _wait(self, site: str, known: _Site, until: float) -> None:
        known.queued = True
        self._turn += 1
        heapq.heappush(self._queue, (until, self._turn, site))

    def _give_up(self, site: str, reason: str) -> None:
        self.given_up.setdefault(site, reason)
        self._sites[site].queued = False
