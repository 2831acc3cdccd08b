"""Pages a second of one core, with WARC files written: mmedc's crawler and Scrapy with scrapy-warcio on the same web.

    PYTHONPATH=. python benchmarks/crawl/speed.py --scrapy ENV/bin/python [--sites 60] [--pages 6000] [--delay 0]

ENV has `scrapy`, `scrapy-warcio` and `setuptools`. Both crawl in one process, obey robots.txt, send each host one
request at a time, `--delay` seconds apart, and write what they fetch as WARC. The web is served by another process.
CPU seconds are those of the whole process; what it costs to start is measured apart (a crawl of one page) and left out.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.crawlset import crawl, plan_of
from tests.crawlweb.server import Entry, read_log
from tests.crawlweb.web import CALM, Web


class Run(NamedTuple):
    """What a crawl took."""

    cpu_s: float
    wall_s: float
    first: float
    last: float
    pages: int
    """Different pages that the server gave out with status 200."""
    requests: int
    bound_s: float
    """The time that the site with the most requests asks for: its answers, and the delay between them."""


def bound_of(log: list[Entry], delay: float) -> float:
    """Return the least time in which a crawler could have sent the requests of a log, `delay` seconds apart."""
    times: dict[str, float] = {}
    for entry in log:
        times[entry.host] = times.get(entry.host, -delay) + delay + entry.ended - entry.came
    return max(times.values())


def served(folder: Path, sites: int, pages: int) -> tuple[subprocess.Popen[bytes], dict]:
    arguments = ["--sites", str(sites), "--pages", str(pages), "--slow", "0", "--log", str(folder / "log")]
    command = [sys.executable, "-m", "tests.crawlweb.server", *arguments]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdout is not None
    return server, json.loads(server.stdout.readline())


def run(command: list[str], given: argparse.Namespace, most: int) -> Run:
    """Run one crawler on a web of its own; `most` is its budget of pages."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        server, about = served(folder, given.sites, given.pages)
        web = Web(given.sites, given.pages)
        calm = [seed for seed in about["seeds"] if web.sites[seed.split("/")[2]].part in CALM[:3]]
        (folder / "about").write_text(json.dumps(about | {"seeds": calm}))
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        env = dict(os.environ, FOLDER=str(folder), DELAY=str(given.delay), MOST=str(most))
        done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False)
        wall = time.perf_counter() - begun
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode or "Error" in done.stderr:
            sys.exit(done.stderr[-3000:])
        server.communicate(b"")
        log = read_log(folder / "log")
        wanted = set(web.wanted())
        pages = {entry.url for entry in log if entry.status == 200} & wanted
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        size = sum(path.stat().st_size for path in folder.glob("**/*.warc.gz"))
        print(f"  {len(pages):,} pages, {len(log):,} requests, {size / 1e6:.1f} MB of WARC", file=sys.stderr)
        return Run(cpu, wall, log[0].came, log[-1].ended, len(pages), len(log), bound_of(log, given.delay))


def crawl_here() -> None:
    """Crawl as mmedc does, in this process."""
    folder = Path(os.environ["FOLDER"])
    about = json.loads((folder / "about").read_text())
    plan = plan_of(about, delay_s=float(os.environ["DELAY"]), host_pages=1 << 30, segment_bytes=1 << 28)
    crawl(folder / "work", plan, budget=int(os.environ["MOST"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--scrapy", help="a Python that has Scrapy and scrapy-warcio")
    parser.add_argument("--sites", type=int, default=60)
    parser.add_argument("--pages", type=int, default=6000)
    parser.add_argument("--delay", type=float, default=0.0)
    given = parser.parse_args()
    crawlers = {"mmedc": [sys.executable, __file__]}
    if given.scrapy:
        crawlers["Scrapy"] = [given.scrapy, str(Path(__file__).with_name("scrapy_spider.py"))]
    for name, command in crawlers.items():
        start = run(command, given, 1)
        whole = run(command, given, 1 << 30)
        cpu, crawled = whole.cpu_s - start.cpu_s, whole.last - whole.first
        print(
            f"{name}: {whole.pages:,} pages, {whole.requests:,} requests; {cpu:.1f} CPU s without the start "
            f"({start.cpu_s:.1f}): {whole.pages / cpu:,.0f} pages/s of a core; {crawled:.1f} s by the server's log: "
            f"{whole.pages / crawled:,.0f} pages/s"
            + (f", {crawled / whole.bound_s:.3f} of the bound of {whole.bound_s:.1f} s" if given.delay else "")
        )


if __name__ == "__main__":
    if "FOLDER" in os.environ:
        crawl_here()
    else:
        main()
