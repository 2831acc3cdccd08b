"""The rules of robots.txt (RFC 9309): what may be fetched, how often, and what the site says about training models.

protego matches groups and paths. This module adds what an answer other than a file means, and lines that the standard
does not have: `Content-Usage` (IETF AIPREF), `Content-Signal` (Cloudflare), and `License` (RSL).
"""

import codecs
import hashlib
import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from mmedc.crawl.fetch import content_of
from mmedc.crawl.paths import path_matches, path_of
from mmedc.crawl.types import Fetched, OptOut, Refused
from mmedc.wishes import usage_refused

if TYPE_CHECKING:
    from protego import Protego

TOKEN = "mmedc"
"""The name by which a robots.txt addresses this crawler."""
MAX_BODY = 512_000  # bytes that are read; RFC 9309, 2.5, asks for at least 500 KiB
KEPT_S = 24 * 3600.0  # RFC 9309, 2.4
ASKED_AGAIN_S = 3600.0  # after an error of the server or the network
MAX_HOPS = 5  # redirects that are followed, RFC 9309, 2.3.1.2
MAX_SITEMAPS = 1000
LINE = re.compile(r"[ \t]*([\w -]+?)[ \t]*:[ \t]*([^#\r\n]*)")
MAX_AGE = re.compile(r"max-age\s*=\s*\"?(\d{1,9})", re.IGNORECASE)
OWN = {"content-usage", "content-signal", "license"}
WHOLE_SITE = {"sitemap", "license", "host"}

Why = Literal["", "missing", "unreachable"]


def robots_url(origin: str) -> str:
    """Return the URL of the rules for an origin such as `https://example.org`."""
    return origin + "/robots.txt"


@dataclass(frozen=True, slots=True)
class Usage:
    """A line about the use of content, of the group that holds for this crawler."""

    signal: str
    path: str
    """A pattern as in `Disallow`; empty for the whole site."""
    value: str


@dataclass(frozen=True)
class Robots:
    """What holds for one origin until a time."""

    url: str
    """Where the rules come from."""
    until: float
    """When to ask again, in the seconds of the clock that `robots_of` was given."""
    why: Why = ""
    """`missing` where there are no rules, so that all is allowed; `unreachable` where nothing is, for now."""
    detail: str = ""
    """What made the rules missing or unreachable."""
    text: str = ""
    agents: tuple[str, ...] = ()
    """Names of crawlers that train models, as `filters/crawl/ai_agents.txt` has them."""

    @cached_property
    def _rules(self) -> "Protego":
        from protego import Protego

        return Protego.parse(self.text)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the file, in hexadecimal; empty without one."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest() if self.text else ""

    @cached_property
    def sitemaps(self) -> tuple[str, ...]:
        """The sitemaps that it names; they may lie on another host."""
        return tuple(dict.fromkeys(self._rules.sitemaps))[:MAX_SITEMAPS] if self.text else ()

    @cached_property
    def delay(self) -> float | None:
        """Seconds between two requests that it asks for, by `Crawl-delay` or `Request-rate`; None without them."""
        if not self.text:
            return None
        asked = [self._rules.crawl_delay(TOKEN)]
        if rate := self._rules.request_rate(TOKEN):
            asked.append(rate.seconds / max(1, rate.requests))
        return max(
            (delay for delay in asked if delay is not None and delay >= 0 and math.isfinite(delay)), default=None
        )

    def allows(self, url: str) -> bool:
        """Return whether this crawler may fetch a URL of the origin."""
        if self.why:
            return self.why == "missing"
        return not self.text or bool(self._rules.can_fetch(url, TOKEN))

    @cached_property
    def _named(self) -> tuple[str, ...]:
        lowered = self.text.lower()
        return tuple(agent for agent in self.agents if agent.lower() in lowered)

    @cached_property
    def _usage(self) -> tuple[Usage, ...]:
        return usage_of(self.text)

    def optouts(self, url: str) -> tuple[OptOut, ...]:
        """Return what the file says against training models on the page at `url`, apart from its `licences`."""
        found = [
            OptOut("robots-ai", self.url, f"{agent}: disallowed")
            for agent in self._named
            if not self._rules.can_fetch(url, agent)
        ][:1]
        for signal in ("content-usage", "content-signal"):
            lines = [usage for usage in self._usage if usage.signal == signal]
            value = most_specific(lines, url) if lines else ""
            if value and (refused := usage_refused(value)):
                found.append(OptOut(signal, self.url, refused))
        return tuple(found)

    @cached_property
    def licences(self) -> tuple[str, ...]:
        """The addresses of RSL licences that it names, as they are written."""
        return tuple(dict.fromkeys(usage.value for usage in self._usage if usage.signal == "license"))


def robots_of(answer: Fetched | Refused | None, now: float, url: str = "", agents: Collection[str] = ()) -> Robots:
    """Return the rules that an answer for robots.txt means; None stands for more redirects than are followed.

    A file that cannot be asked for (4xx, endless redirects) forbids nothing. A server that fails or is too busy (5xx,
    429), or that cannot be reached, forbids everything until it is asked again. `now` is in seconds of any clock; `url`
    is where the rules were looked for. RFC 9309, 2.3.1.
    """
    if answer is None:
        return Robots(url, now + KEPT_S, "missing", f"more than {MAX_HOPS} redirects")
    if isinstance(answer, Refused):
        return Robots(url, now + ASKED_AGAIN_S, "unreachable", str(answer))
    url = url or answer.url
    if answer.status == 429 or answer.status >= 500:
        return Robots(url, now + ASKED_AGAIN_S, "unreachable", f"status {answer.status}")
    if not 200 <= answer.status < 300:
        return Robots(url, now + KEPT_S, "missing", f"status {answer.status}")
    try:
        body = content_of(answer, 64 * MAX_BODY)
    except Refused as refusal:
        if answer.truncated != "length":  # a packed file that is longer than is read cannot be unpacked
            return Robots(url, now + ASKED_AGAIN_S, "unreachable", str(refusal))
        return Robots(url, now + KEPT_S, "unreachable", "packed, and longer than is read")
    if answer.truncated == "time":
        return Robots(url, now + ASKED_AGAIN_S, "unreachable", "cut by the time limit")
    return Robots(url, now + _kept(answer), text=text_of(body), agents=tuple(agents))


def _kept(answer: Fetched) -> float:
    age = MAX_AGE.search(answer.header("cache-control"))
    return min(KEPT_S, max(ASKED_AGAIN_S, float(age[1]))) if age else KEPT_S


def text_of(body: bytes) -> str:
    """Return the text of a robots.txt up to the last whole line of its first 512,000 bytes."""
    if len(body) > MAX_BODY:
        body = body[:MAX_BODY]
        body = body[: max(body.rfind(b"\n"), body.rfind(b"\r")) + 1]
    for mark, charset in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if body.startswith(mark):
            return body[2:].decode(charset, "replace").replace("\0", "")
    return body.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace").replace("\0", "")


def usage_of(text: str) -> tuple[Usage, ...]:
    """Return the lines about the use of content that hold for this crawler: those of its group, or of `*`."""
    lowered = text.lower()
    if not any(name in lowered for name in OWN):
        return ()
    found: dict[str, list[Usage]] = {"*": [], TOKEN: []}
    whole: list[Usage] = []
    group: list[str] = []
    naming = addressed = False
    for line in text.splitlines():
        parts = LINE.match(line)
        if not parts:
            continue
        field, value = parts[1].lower().replace(" ", "-"), parts[2].strip()
        if field in ("user-agent", "useragent"):
            group = [*group, value.lower()] if naming else [value.lower()]
            naming = True
            addressed = addressed or value.lower() == TOKEN
        elif field == "license":
            if value:
                whole.append(Usage("license", "", value))
        elif field not in WHOLE_SITE:
            naming = False
            if field in OWN and value:
                path, _, rest = value.partition(" ") if value.startswith("/") else ("", "", value)
                for agent in group or ["*"]:
                    if agent in found:
                        found[agent].append(Usage(field, path, rest.strip()))
    return (*whole, *found[TOKEN if addressed else "*"])


def most_specific(lines: list[Usage], url: str) -> str:
    """Return the value of the line with the longest path that matches a URL; of equal ones, all values."""
    path = path_of(url)
    matching = [line for line in lines if not line.path or path_matches(line.path, path)]
    longest = max((len(line.path) for line in matching), default=0)
    return ", ".join(line.value for line in matching if len(line.path) == longest)
