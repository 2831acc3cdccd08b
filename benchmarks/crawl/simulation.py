"""What a crawl of 10,000 hosts and 100 million pages would take on 50 nodes, from costs that are measured here.

    PYTHONPATH=. python benchmarks/crawl/simulation.py [--urls 300000] [--fetch-ms 1.5]

Measured: bytes of the frontier for a queued and for a fetched URL (the real SQLite file, URLs of 80 characters), memory
of a process by hosts and of what it learns, CPU of a page of 30 kB (links, scores, traps, WARC records, frontier) and
bytes of its records. `--fetch-ms` is the CPU of the request itself (`fetching.py`). Simulated: hosts with a heavy tail
of pages (Zipf), divided into sets by hash as the crawler does, nodes that run their sets at once. The time is the
largest of three: the slowest host at its delay (politeness), the CPU of the busiest node, its network.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from random import Random

import numpy as np
import psutil

from mmedc.crawl.archive import records_of
from mmedc.crawl.frontier import Frontier
from mmedc.crawl.queued import FETCHED, PAGE, Found, Item, Outcome, id_of
from mmedc.crawl.reading import Reading
from mmedc.crawl.scope import Scope, set_of
from mmedc.crawl.types import Fetched
from tests.crawlweb.texts import article

LANGUAGES = ("en", "zh", "ja", "fr", "ru", "es")
BATCH = 2_000
LINKS = 60


def url_of(random: Random, host: str, number: int) -> str:
    """Return an address of about 80 characters."""
    return f"https://{host}/health/topic-{random.randrange(200)}/{random.getrandbits(96):024x}-{number}.html"


def resident() -> int:
    """Return the memory of this process in bytes."""
    return psutil.Process(os.getpid()).memory_info().rss


def frontier_costs(urls: int) -> dict[str, float]:
    """Return what URLs and hosts cost in the frontier."""
    random = Random(1)
    with tempfile.TemporaryDirectory() as folder:
        frontier, before = Frontier(Path(folder)), resident()
        begun = time.process_time()
        items = []
        for start in range(0, urls, BATCH):
            for number in range(start, start + BATCH):
                host = f"www.host{number % 1000}.example.org"
                frontier.find(Found(url_of(random, host, number), host, PAGE, 3, 0, random.uniform(-1, 3)))
            items += frontier.save(None)
        found_s = time.process_time() - begun
        size = lambda: sum(file.stat().st_size for file in Path(folder).iterdir())  # noqa: E731
        frontier._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        queued = size()
        begun = time.process_time()
        fetched = items[: urls // 5]
        for start in range(0, len(fetched), BATCH):
            for at, (host, item) in enumerate(fetched[start : start + BATCH], start):
                outcome = Outcome(
                    item,
                    host,
                    FETCHED,
                    "",
                    200,
                    1,
                    at * 9000,
                    9000,
                    random.getrandbits(62),
                    1.7e9,
                    '{"If-None-Match": "x"}',
                )
                frontier.settle(outcome)
            frontier.save(None)
        settled_s = time.process_time() - begun
        frontier._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        grown, memory = size() - queued, resident() - before
        del items, fetched
        frontier.close()
    return {
        "bytes_queued": queued / urls,
        "bytes_more_fetched": grown / (urls // 5),
        "ms_found": found_s / urls * 1e3,
        "ms_settled": settled_s / (urls // 5) * 1e3,
        "rss_mib": memory / 2**20,
    }


def host_costs(hosts: int = 1_000) -> dict[str, float]:
    """Return the memory of a host: its record, and the best of its queue, which the crawler holds."""
    random = Random(3)
    with tempfile.TemporaryDirectory() as folder:
        frontier = Frontier(Path(folder))
        for number in range(hosts * 80):
            host = f"www.host{number % hosts}.example.org"
            frontier.find(Found(url_of(random, host, number), host, PAGE, 3, 0, random.uniform(-1, 3)))
        frontier.save(None)
        before = resident()
        held = [frontier.best(number) for number in list(frontier.hosts)]
        grown = resident() - before
        frontier.close()
    return {"host_kib": grown / len(held) / 1024}


def page_of(number: int, random: Random, hosts: list[str]) -> tuple[Item, Fetched]:
    """Return an answer with a page of about 26 kB and LINKS links to pages that are new."""
    host = hosts[number % len(hosts)]
    texts = [part for k in range(4) for part in article(random.choice(LANGUAGES), k % 2 == 0, random)[1]]
    links = (url_of(random, host, n) for n in range(LINKS))
    menu = "".join(f'<li class="item"><a href="{link}">A link {n}</a></li>' for n, link in enumerate(links))
    head = "<script>" + "var x = 'menu';" * 300 + "</script>"
    text = "".join(f"<p class='text'>{part}</p>" for part in texts)
    body = f"<html><head><title>{number}</title>{head}</head><body>{menu}{text}".encode()[:30_000]
    headers = ((b"Content-Type", b"text/html; charset=utf-8"), (b"ETag", b'"abc"'))
    url = url_of(random, host, number)
    answer = Fetched(url, "192.0.2.1", 200, headers, body, b"GET / HTTP/1.1\r\n\r\n", started=1.7e9)
    return Item(id_of(url), url, PAGE, 2, 0, 1.0), answer


async def page_costs(pages: int) -> dict[str, float]:
    """Return what reading pages costs, the bytes of their records, and the memory of what is learnt from them.

    What is learnt from the first half fills the caches; the second half says what a page adds.
    """
    random, before = Random(2), resident()
    hosts = [f"www.host{number}.example.org" for number in range(200)]
    scope = Scope.of([f"https://{host}/" for host in hosts])
    reading = Reading(LANGUAGES, None, scope, 16, 1 << 24, 2026)
    found = stored = size = 0
    read_s = record_s = 0.0
    half = 0
    for number in range(pages):
        item, fetched = page_of(number, random, hosts)
        begun = time.process_time()
        visit = await reading.visit(item, fetched)
        found += sum(not reading.admits(each) for each in visit.found)
        read = time.process_time()
        stored += sum(len(record) for record in records_of(fetched, [("depth", "2")]))
        record_s += time.process_time() - read
        read_s += read - begun
        size += len(fetched.body)
        if number == pages // 2:
            half = resident()
    return {
        "ms_read": read_s / pages * 1e3,
        "ms_records": record_s / pages * 1e3,
        "bytes_records": stored / pages,
        "bytes_page": size / pages,
        "links": found / pages,
        "rss_reading_mib": (half - before) / 2**20,
        "bytes_learnt": max(resident() - half, 0) / (pages / 2),
        "bytes_state": len(json.dumps(reading.state())) / pages,
    }


def crawl(
    costs: dict[str, float], hosts: int, pages: int, nodes: int, cores: int, delay_s: float, sets: int, zipf: float
) -> dict[str, float]:
    """Return what a crawl takes on nodes of `cores` cores with 10 Gbit/s."""
    share = 1.0 / np.arange(1, hosts + 1) ** zipf
    each = share / share.sum() * pages
    mine = np.array([set_of(f"www.host{number}.example{number}.org", sets) for number in range(hosts)])
    of_set = np.bincount(mine, weights=each, minlength=sets)
    of_node = np.bincount(np.arange(sets) % nodes, weights=of_set, minlength=nodes)
    set_hosts = np.bincount(mine, minlength=sets)
    page_s = costs["cpu_ms"] / 1e3
    known = costs["known_per_page"] * costs["bytes_queued"] + costs["bytes_more_fetched"]
    politeness = each.max() * delay_s
    cpu = max(of_set.max() * page_s, of_node.max() * page_s / cores)
    network = of_node.max() * costs["bytes_page"] * 0.3 / (10e9 / 8)
    return {
        "delay_s": delay_s,
        "zipf": zipf,
        "largest_host": each.max(),
        "frontier_gb": known * pages / 1e9,
        "largest_set_gb": known * of_set.max() / 1e9,
        "hosts_of_a_set": set_hosts.max(),
        "memory_of_a_set_mib": costs["base_mib"]
        + set_hosts.max() * costs["host_kib"] / 1024
        + min(of_set.max(), 200_000) * costs["learnt_bytes"] / 2**20,
        "warc_tb": costs["bytes_records"] * pages / 1e12,
        "cpu_hours": page_s * pages / 3600,
        "politeness_days": politeness / 86400,
        "cpu_days": cpu / 86400,
        "network_days": network / 86400,
        "days": max(politeness, cpu, network) / 86400,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--urls", type=int, default=300_000)
    parser.add_argument("--read", type=int, default=6_000)
    parser.add_argument("--fetch-ms", type=float, default=1.5)
    parser.add_argument("--hosts", type=int, default=10_000)
    parser.add_argument("--pages", type=int, default=100_000_000)
    parser.add_argument("--nodes", type=int, default=50)
    asked = parser.parse_args()
    costs = host_costs() | asyncio.run(page_costs(asked.read)) | frontier_costs(asked.urls)
    costs |= {"base_mib": costs["rss_reading_mib"] + 90, "learnt_bytes": costs["bytes_learnt"]}
    costs["known_per_page"] = 5.0
    costs["cpu_ms"] = (
        asked.fetch_ms + costs["ms_read"] + costs["ms_records"] + costs["ms_settled"] + 5 * costs["ms_found"]
    )
    print(json.dumps({key: round(value, 4) for key, value in costs.items()}))
    for delay_s, zipf in ((1.0, 0.0), (1.0, 0.5), (1.0, 0.8), (0.25, 0.8)):
        row = crawl(costs, asked.hosts, asked.pages, asked.nodes, 16, delay_s, asked.nodes * 16, zipf)
        print(json.dumps({key: round(float(value), 2) for key, value in row.items()}))


if __name__ == "__main__":
    main()
