"""Pages/s of the fetcher alone, against the test web in a process of its own.

    PYTHONPATH=. python benchmarks/crawl/fetching.py [--pages 20000] [--at-a-time 100] [--loop uvloop]

Each page of a calm site is fetched once. Counted are the CPU seconds of this process, because the server has a process
of its own; `plain` is aiohttp without guard, limits and what is kept for an archive.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from mmedc.crawl.fetch import Fetcher, agent_of
from mmedc.crawl.guard import Guard
from tests.crawlweb.web import Web


async def measure(name: str, urls: list[str], at_a_time: int, fetch: Callable[[str], Awaitable[int]]) -> None:
    """Fetch all URLs, so many at a time, and print the speed."""
    left = iter(urls)
    size = 0

    async def one() -> None:
        nonlocal size
        for url in left:
            got = await fetch(url)
            size += got

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(one() for _ in range(at_a_time)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        f"{name:8} {len(urls):,} pages, {size / 1e6:.1f} MB: {len(urls) / cpu:,.0f} pages a CPU second "
        f"({cpu / len(urls) * 1e6:,.0f} µs a page), {len(urls) / wall:,.0f} pages/s"
    )


async def run(about: dict[str, object], urls: list[str], at_a_time: int, only: str) -> None:
    names = {host: (ip, port) for host, (ip, port) in about["names"].items()}  # type: ignore[attr-defined]
    if only in ("", "fetcher"):
        async with Fetcher(Guard(names, names), agent_of("0", "https://example.org/bot")) as fetcher:

            async def ours(url: str) -> int:
                return len((await fetcher.fetch(url)).body)

            await measure("fetcher", urls, at_a_time, ours)
    if only in ("", "plain"):

        class Names(aiohttp.abc.AbstractResolver):
            async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[dict[str, object]]:  # type: ignore[override]
                ip, to = names[host]
                return [{"hostname": host, "host": ip, "port": to, "family": 2, "proto": 0, "flags": 0}]

            async def close(self) -> None:
                pass

        connector = aiohttp.TCPConnector(resolver=Names(), limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:

            async def plain(url: str) -> int:
                async with session.get(url) as answer:
                    return len(await answer.read())

            await measure("plain", urls, at_a_time, plain)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--sites", type=int, default=200)
    parser.add_argument("--pages", type=int, default=20_000)
    parser.add_argument("--at-a-time", type=int, default=100)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--only", choices=("", "fetcher", "plain"), default="")
    given = parser.parse_args()
    web = Web(given.sites, given.pages)
    calm = {site.host for site in web.sites.values() if site.part in ("clinic", "news")}
    urls = [url for url in web.wanted() if url.split("/")[2] in calm]
    urls.sort(key=lambda url: hash(url) % 9973)  # neighbours are of many sites
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.crawlweb.server", "--log", str(Path(folder) / "log")]
        command += ["--sites", str(given.sites), "--pages", str(given.pages)]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert server.stdout is not None
        about = json.loads(server.stdout.readline())
        try:
            if given.loop == "uvloop":
                import uvloop

                uvloop.run(run(about, urls, given.at_a_time, given.only))
            else:
                asyncio.run(run(about, urls, given.at_a_time, given.only))
        finally:
            server.communicate(b"")


if __name__ == "__main__":
    main()
