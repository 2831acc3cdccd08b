"""What the crawler reads in an answer: where it leads, how medical it is, and whether its owner reserves it.

Nothing is extracted here; texts of the corpus come from the WARC files.
"""

import asyncio
import codecs
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mmedc.crawl.address import host_of, normal, site_of
from mmedc.crawl.archive import NOT_MODIFIED, SAME_PAYLOAD, Original
from mmedc.crawl.fetch import content_of, wanted_since
from mmedc.crawl.frontier import Frontier
from mmedc.crawl.links import decoded, read_links, shown_text
from mmedc.crawl.optout import of_headers, of_page
from mmedc.crawl.queued import OUTSIDE, PAGE, SITEMAP, Found, Item
from mmedc.crawl.scope import Scope
from mmedc.crawl.score import Sections, open_scorer
from mmedc.crawl.sitemaps import Sitemap, read_sitemap
from mmedc.crawl.traps import Traps
from mmedc.crawl.types import Fetched, Link, OptOut, Refused
from mmedc.filters import open_filters

SEED_SCORE = 4.0
SITEMAP_SCORE = 3.0
MAX_LINKS = 5_000  # of a page
MAX_SITEMAP_DEPTH = 4
REDIRECTS = range(300, 400)
MAX_HOPS = 10
THREAD_BYTES = 1 << 20
"""Larger sitemaps are read in a thread: 40,000 links take .4 s."""
REMEMBERED = 1 << 17  # URLs that were met before
FEEDS = ("rss", "atom", "feed+json")
SNIFFED = 4096
LISTING = re.compile(rb"<(?:\w+:)?(?:urlset|sitemapindex|rss|feed|RDF)[\s>]")
"""The root of a sitemap or feed; what is called one may be a page."""


@dataclass
class Visit:
    """What was read in an answer."""

    page: bool = False
    """Whether it is a page that a corpus can be made of: status 200, with content."""
    score: float = 0.0
    """How medical its text is, 0 to 1."""
    trap: str = ""
    """Why its links are not followed, where it is part of a trap."""
    problem: str = ""
    """Why its content could not be read."""
    lang: str = ""
    title: str = ""
    optouts: tuple[OptOut, ...] = ()
    payload: int | None = None
    """63 bits of a hash of the body."""
    validators: str = ""
    """The headers of a later conditional request, as JSON."""
    found: list[Found] = field(default_factory=list)
    deep: list[Found] = field(default_factory=list)
    """Links that lie deeper than the crawl goes."""
    counts: dict[str, int] = field(default_factory=dict)
    """Links that are not followed, by reason."""

    def notes(self, item: Item, optouts: Iterable[OptOut]) -> Iterator[tuple[str, str]]:
        """Yield the fields of the metadata record."""
        yield "depth", str(item.depth)
        if self.page:
            yield "medical-score", f"{self.score:.3f}"
        for name, value in (("declared-language", self.lang), ("trap", self.trap)):
            if value:
                yield name, _line(value)
        for each in optouts:
            yield "opt-out", _line(f"{each.signal}; {each.where}; {each.value}")


class Reading:
    """Reads the answers of one set of hosts; it learns from page to page where medical pages are, and traps."""

    def __init__(
        self, languages: tuple[str, ...], filters: str | None, scope: Scope, depth: int, limit: int, year: int
    ) -> None:
        """Score for `languages`; keep links that lie in `scope`, `depth` deep at most; `limit` is that of a body."""
        self._scope, self._depth, self._limit = scope, depth, limit
        opened = open_filters(filters)
        self._scorer = open_scorer(languages, opened)
        self.sections = Sections(self._scorer.weights.section)
        missing = opened.words("crawl/missing.txt") if opened.find("crawl/missing.txt") else ()
        self.traps = Traps(missing=missing, year=year)
        self._met: dict[str, None] = {}
        _load()

    def state(self) -> dict[str, object]:
        """Return what was learnt, as JSON values."""
        return {"sections": self.sections.sums, "traps": self.traps.dump().decode()}

    def learn(self, state: dict[str, object]) -> None:
        """Take over what `state` returned in an earlier run."""
        sums: dict[str, list[float]] = state["sections"]  # type: ignore[assignment]
        self.sections.sums = {key: (total, int(pages)) for key, (total, pages) in sums.items()}
        self.traps.load(str(state["traps"]).encode())

    async def visit(self, item: Item, fetched: Fetched) -> Visit:
        """Return what an answer holds. A large sitemap is read in a thread, so that other hosts do not wait for it."""
        visit = Visit()
        if fetched.status in REDIRECTS:
            self._redirect(item, fetched, visit)
        elif fetched.status == 200:
            if fetched.body:
                visit.payload = (
                    int.from_bytes(hashlib.sha1(fetched.body, usedforsecurity=False).digest()[:8], "big") >> 1
                )
            if wanted := wanted_since(fetched.headers):
                visit.validators = json.dumps(wanted)
            await self._content(item, fetched, visit)
        return visit

    def original(self, frontier: Frontier, item: Item, fetched: Fetched, visit: Visit) -> Original | None:
        """Return the record that an answer repeats: unchanged since it was fetched, or the payload of another page."""
        if fetched.status == 304:
            return Original(item.url, frontier.fetched(item.id), NOT_MODIFIED) if item.version else None
        known = frontier.payload(visit.payload) if visit.payload is not None else None
        return Original(*known, SAME_PAYLOAD) if known else None

    def _redirect(self, item: Item, fetched: Fetched, visit: Visit) -> None:
        target = normal(fetched.header("location"), item.url)
        if not target:
            visit.problem = "bad_redirect"
        elif item.hops >= MAX_HOPS:
            visit.problem = "too_many_redirects"
        elif target in self._scope:
            visit.found.append(Found(target, host_of(target), item.kind, item.depth, item.hops + 1, item.score))
        else:
            visit.counts[OUTSIDE] = 1

    async def _content(self, item: Item, fetched: Fetched, visit: Visit) -> None:
        visit.optouts = of_headers(fetched)
        try:
            content = content_of(fetched, self._limit)
        except Refused as refusal:
            visit.problem = refusal.reason
            return
        stated = fetched.header("content-type").lower()
        begins = content[:SNIFFED].removeprefix(codecs.BOM_UTF8).lstrip()
        html = "html" in stated or begins[:1] == b"<"
        feed = "xml" in stated and any(feed in stated for feed in FEEDS)
        if feed or (item.kind == SITEMAP and (not html or LISTING.search(begins))):
            large = len(content) > THREAD_BYTES
            read = (
                await asyncio.to_thread(read_sitemap, content, item.url) if large else read_sitemap(content, item.url)
            )
            self._sitemap(item, read, visit)
            return
        visit.page = bool(content.strip())
        if not html:  # what servers say is not asked, because ingest does not ask it either
            return
        page = decoded(content, stated)
        said = read_links(page, item.url)
        visit.lang, visit.title = said.lang, said.title
        visit.optouts = (*visit.optouts, *of_page(said.robots))
        text = shown_text(page)
        visit.score = self._scorer.page(text)
        if not item.version:  # a page is like itself at every later visit
            visit.trap = self.traps.page(item.url, said.title, text, len(said.links))
        self.sections.add(item.url, 0.0 if visit.trap else visit.score)
        if visit.trap:
            return
        if "nofollow" in said.robots or "none" in said.robots:
            visit.counts["nofollow"] = len(said.links)
            return
        if len(said.links) > MAX_LINKS:
            visit.counts["too_many_links"] = len(said.links) - MAX_LINKS
        for link in said.links[:MAX_LINKS]:
            kind = SITEMAP if link.kind in ("sitemap", "feed") else PAGE
            self._link(item, link, visit, item.depth + 1, kind)

    def _sitemap(self, item: Item, read: Sitemap, visit: Visit) -> None:
        visit.problem = read.problem.partition(":")[0]
        for url in read.sitemaps:
            target = normal(url, item.url)
            if target in self._scope and item.depth < MAX_SITEMAP_DEPTH:
                visit.found.append(Found(target, host_of(target), SITEMAP, item.depth + 1, 0, SITEMAP_SCORE))
        for link in read.links:
            self._link(item, link, visit, 1, PAGE)

    def _link(self, item: Item, link: Link, visit: Visit, depth: int, kind: int) -> None:
        if link.nofollow:
            visit.counts["nofollow"] = visit.counts.get("nofollow", 0) + 1
            return
        url = normal(link.url, item.url)
        if not url or (url in self._met and not link.lastmod):
            return
        if len(self._met) >= REMEMBERED:
            del self._met[next(iter(self._met))]
        too_deep = depth > self._depth
        if url not in self._scope:
            self._met[url] = None
            visit.counts[OUTSIDE] = visit.counts.get(OUTSIDE, 0) + 1
            return
        if too_deep:  # it may be met again where it is less deep
            visit.counts["too_deep"] = visit.counts.get("too_deep", 0) + 1
        else:
            self._met[url] = None
        hops = item.hops + 1 if link.kind == "redirect" else 0
        lang = visit.lang if link.kind == "a" else ""
        score = self._scorer.link(url, link.anchor, visit.score, self.sections.expected(url), depth, lang)
        found = visit.deep if too_deep else visit.found
        found.append(Found(url, host_of(url), kind, depth, hops, score, _time_of(link.lastmod)))

    def admits(self, found: Found) -> str:
        """Return why a URL that is new to the frontier is not worth fetching; empty if it is."""
        return self.traps.found(found.url, site_of(found.host))


def _load() -> None:
    """Load what reads pages, before hosts wait for it: the list of public suffixes alone takes .2 s."""
    example = "http://host.example/"
    site_of(host_of(normal("//host.example:80/é", example)))
    read_sitemap(b"<urlset/>", example)
    read_links(decoded(b"<title>\xe9</title>", "text/html"), example)


def _line(text: str) -> str:
    return " ".join(text.split())[:500]


def _time_of(lastmod: str) -> float:
    """Return a date of ISO 8601 in seconds since 1970, the first day of a year or month; 0 for none."""
    try:
        when = datetime.fromisoformat((lastmod + "-01-01"[len(lastmod) - 4 :]) if 4 <= len(lastmod) < 10 else lastmod)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
