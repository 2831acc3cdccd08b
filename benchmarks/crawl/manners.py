"""Crawls the whole test web by `mmedc run` and judges the crawler by the log of the server.

    PYTHONPATH=. python benchmarks/crawl/manners.py [--sites 200] [--pages 20000] [--delay 0.2]

The web has robots.txt of all sorts, opt-outs, slow and busy sites, traps, hostile answers, links to private addresses
and log-in walls (`tests/crawlweb`). "Nothing to complain about" means: every page was fetched once, nothing was fetched
that robots.txt or an opt-out forbids, no site was asked more often than its delay allows, no trap took more than its
share.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.crawlweb.judge import judge
from tests.crawlweb.server import read_log
from tests.crawlweb.web import Web

RECIPE = """\
name: manners
languages: [en, zh, ja, fr, ru, es, de, ar, hi, it, ko, pt]
sources:
  web:
    crawl: {folder}/sites.txt
    contact: "https://example.org/bot"
    hosts_file: {folder}/hosts
    delay_s: {delay}
    page_s: 5
    max_pages: {pages}
    host_pages: {host_pages}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--sites", type=int, default=200)
    parser.add_argument("--pages", type=int, default=20_000)
    parser.add_argument("--delay", type=float, default=0.2, help="seconds between two requests to a site")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--trap-budget", type=int, default=300, help="requests to one trap of one site that are in order"
    )
    parser.add_argument(
        "--calm", action="store_true", help="only sites that play no part: how near to the bound is it?"
    )
    parser.add_argument("--keep", type=Path, help="a folder for the log, the recipe and the corpus")
    given = parser.parse_args()
    web = Web(given.sites, given.pages, given.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "tests.crawlweb.server",
            "--log",
            str(folder / "log"),
            "--seed",
            str(given.seed),
        ]
        command += ["--sites", str(given.sites), "--pages", str(given.pages)]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert server.stdout is not None
        about = json.loads(server.stdout.readline())
        if given.calm:
            web.only("clinic", "news")
        names = {host: place for host, place in about["names"].items() if host in web.sites}
        (folder / "hosts").write_text("".join(f"{ip}:{port} {host}\n" for host, (ip, port) in names.items()))
        (folder / "sites.txt").write_text("".join(f"{seed}\n" for seed in web.seeds()))
        recipe = folder / "recipe.yaml"
        recipe.write_text(
            RECIPE.format(
                folder=folder,
                delay=given.delay,
                pages=10 * given.pages,
                host_pages=4 * given.pages // given.sites + 900,
            )
        )
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "mmedc", "run", str(recipe), "--inline", "--quiet", "--out", str(folder / "corpus")],
            check=False,
        )
        took = time.perf_counter() - began
        server.communicate(b"")
        verdict = judge(web, read_log(folder / "log"), given.delay)
    wanted = len(list(web.wanted()))
    print(f"mmedc run ended with {done.returncode} after {took:,.0f} s; the crawl took {verdict.seconds:,.0f} s")
    speed = verdict.pages / verdict.seconds
    print(f"{verdict.requests:,} requests, {verdict.pages:,} of {wanted:,} pages, {speed:,.0f} pages/s")
    print(f"shortest pause between two requests to a site: {verdict.closest_s:.3f} s (at least {given.delay} s)")
    print(f"visits took {verdict.pace:.3f} times as long as the delays and answers in them (the median of calm sites)")
    traps = ", ".join(f"{kind} {count}" for kind, count in verdict.traps.items())
    print(f"largest number of requests to a trap: {traps}")
    faults = verdict.faults(given.trap_budget)
    print("\n".join(faults) if faults else "nothing to complain about")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
