"""Tokens of medical text that a budget of pages yields, by the order in which the pages are fetched.

    PYTHONPATH=. python benchmarks/crawl/harvest.py [--seed 2] [--sites 200] [--pages 20000]

The test web (`tests/crawlweb`) is walked without a network: each order gets the same links, the same protection from
traps and the same budget of answers, begins at the front page of every site, and reads no sitemaps. `breadth` takes the
oldest link, `depth` the newest (Scrapy's default order), `mmedc` the one with the highest score when it was found,
`again` scores the best links once more when they are taken, `truth` knows which page is medical. Counted are the tokens
(Qwen) of pages about medicine in the six default languages; the first line has what the whole web holds of them, also
on sites that no crawl may ask. The weights in `filters/crawl/scores.yaml` were set by hand
and kept after a look at the web of seed 1; the figures are those of seed 2.
"""

import argparse
import gzip
import heapq
import json
import time
from collections import deque
from collections.abc import Callable
from random import Random

from mmedc.corpus.tokens import token_counter
from mmedc.crawl.address import host_of, normal, site_of
from mmedc.crawl.links import decoded, read_links, shown_text
from mmedc.crawl.score import Scorer, Sections
from mmedc.crawl.traps import Traps
from mmedc.filters import open_filters
from tests.crawlweb.texts import article
from tests.crawlweb.web import Web

LANGUAGES = ("en", "zh", "ja", "fr", "ru", "es")
FORBIDDEN = ("closed", "broken")


class Walk:
    """A crawl of the web in one order."""

    def __init__(self, web: Web, order: str, scorer: Scorer) -> None:
        filters = open_filters()
        self.web, self.order, self.scorer = web, order, scorer
        self.sections = Sections(scorer.weights.section)
        self.traps = Traps(missing=filters.words("crawl/missing.txt"))
        self.queue: deque[tuple] = deque()
        self.heap: list[tuple] = []
        self.met: set[str] = set()
        self.count = self.fetched = self.tokens = 0

    def add(self, url: str, anchor: str, page: float, depth: int, lang: str) -> None:
        """Queue a link that is new."""
        if url in self.met or host_of(url) not in self.web.sites or self.web.unwanted(url):
            return
        self.met.add(url)
        if self.traps.found(url, site_of(host_of(url))):
            return
        known = (url, anchor, page, depth, lang)
        self.count += 1
        if self.order in ("breadth", "depth"):
            self.queue.append(known)
        else:
            heapq.heappush(self.heap, (-self.score(known), self.count, known))

    def score(self, known: tuple) -> float:
        """Return what orders a link."""
        url, anchor, page, depth, lang = known
        if self.order == "truth":
            return float(self.web.medical(url) and wished(self.web, url)) + (depth == 0) + 0.5 * ("/list" in url)
        return self.scorer.link(url, anchor, page, self.sections.expected(url), depth, lang)

    def take(self) -> tuple | None:
        """Return the next link, or None when nothing waits."""
        if self.order in ("breadth", "depth"):
            return (self.queue.popleft() if self.order == "breadth" else self.queue.pop()) if self.queue else None
        while self.heap:
            _, count, known = heapq.heappop(self.heap)
            if self.order != "again" or not self.heap:
                return known
            now = -self.score(known)
            if now <= self.heap[0][0] + 1e-9:
                return known
            heapq.heappush(self.heap, (now, count, known))
        return None

    def fetch(self, known: tuple, tokens: Callable[[str], int]) -> None:
        """Read what the web answers, and queue its links."""
        url, _, _, depth, _ = known
        if self.traps.closed(url):
            return
        host, _, target = url.removeprefix("http://").partition("/")
        reply = self.web.reply(host, "/" + target, 0)
        self.fetched += 1
        headers = dict(reply.headers)
        if reply.status in (301, 302):
            if to := normal(headers.get("Location", ""), url):
                self.add(to, "", 0.0, depth, "")
            return
        if reply.status != 200 or reply.manner:
            return
        self.tokens += tokens(url)
        body = (
            gzip.decompress(reply.body)
            if headers.get("Content-Encoding") == "gzip" and reply.body[:2] == b"\x1f\x8b"
            else reply.body
        )
        if len(body) > 1 << 20:
            return
        page = decoded(body, headers.get("Content-Type", ""))
        text, read = shown_text(page), read_links(page, url)
        score = self.scorer.page(text)
        trap = self.traps.page(url, read.title, text)
        self.sections.add(url, 0.0 if trap else score)
        for link in () if trap else read.links:
            self.add(link.url, link.anchor, score, depth + 1, read.lang)


def wished(web: Web, url: str) -> bool:
    return web.sites[host_of(url)].lang in LANGUAGES


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--sites", type=int, default=200)
    parser.add_argument("--pages", type=int, default=20_000)
    parser.add_argument("--orders", default="breadth,depth,mmedc,again,truth")
    asked = parser.parse_args()
    web = Web(asked.sites, asked.pages, asked.seed)
    count, known = token_counter("qwen"), {}

    def tokens(url: str) -> int:
        host, _, path = url.removeprefix("http://").partition("/")
        page = web.sites[host].pages.get("/" + path)
        if page is None or not page.medical or not wished(web, url):
            return 0
        if url not in known:
            known[url] = int(count(["\n".join(article(page.lang, True, Random(page.seed))[1])])[0])
        return known[url]

    total = sum(len(site.pages) for site in web.sites.values())
    every = [f"http://{host}{path}" for host, site in web.sites.items() for path in site.pages]
    wanted = [url for url in every if tokens(url)]
    print(json.dumps({"medical_pages": len(wanted), "of": total, "tokens": sum(map(tokens, wanted))}), flush=True)
    scorer = Scorer(LANGUAGES)
    for order in asked.orders.split(","):
        walk, begun, got = Walk(web, order, scorer), time.process_time(), {}
        for url in web.seeds():
            if web.sites[host_of(url)].part not in FORBIDDEN:
                walk.add(url, "", 0.0, 0, "")
        while walk.fetched < total // 4 and (one := walk.take()):
            walk.fetch(one, tokens)
            if walk.fetched in (total // 10, total // 4):
                got[round(walk.fetched / total, 2)] = walk.tokens
        print(
            json.dumps(
                {"order": order, "pages": walk.fetched, "tokens": got, "cpu_s": round(time.process_time() - begun, 1)}
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
