"""Kills a crawl at random moments until it ends, and judges by the server's log and the WARC files.

    PYTHONPATH=. python benchmarks/crawl/kills.py [--kills 200] [--driver 0.2] [--seed 0]

Each time SIGKILL ends either the process that crawls a set of hosts or, for a share `--driver` of the crawls,
`mmedc run` with everything below it. When a crawl has ended the next one begins. After every kill the frontier says
which pages lie in WARC files; none of these may be asked for later. At the end every page of the web must be in the
WARC files, once.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType

from mmedc.crawl.frontier import Frontier
from mmedc.crawl.queued import FETCHED
from tests.crawlweb.server import read_log
from tests.crawlweb.web import Web

SITES, PAGES = 3, 90
SET = "work/crawl/web/0000"
RECIPE = """\
name: killed
languages: [en, zh, ja]
sources:
  web: {crawl: sites.txt, contact: "https://example.org/bot", hosts_file: hosts, delay_s: 0.02, segment: 100KB}
"""


def attempt(folder: Path, driver: bool, seconds: float) -> bool:
    """Run a crawl and kill it `seconds` after the server has seen it; return whether it had ended by itself."""
    set_alone = ["-m", "tests.crawlset", str(folder / "work"), str(folder / "about"), "", "0"]
    whole = ["-m", "mmedc", "run", str(folder / "recipe.yaml"), "--inline", "--quiet", "--out", str(folder / "out")]
    asked = (folder / "log").stat().st_size
    process = subprocess.Popen(
        [sys.executable, *(whole if driver else set_alone)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    while process.poll() is None and (folder / "log").stat().st_size == asked:
        time.sleep(0.005)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    assert process.stderr is not None
    said = process.stderr.read().decode()
    process.wait()
    if process.returncode not in (0, -signal.SIGKILL) and "no document was kept" not in said:
        sys.exit(f"ended with {process.returncode}: {said[-2000:]}")
    return process.returncode != -signal.SIGKILL


def kept_in(state: Path) -> set[str]:
    """Return the pages that lie in WARC files, as the frontier says."""
    if not (state / "frontier.sqlite").exists():
        return set()
    frontier = Frontier(state)
    found = {url for url, *_ in frontier.urls(FETCHED)}
    frontier.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--driver", type=float, default=0.2, help="the share of kills that end `mmedc run`")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0, help="after which no further crawl is begun")
    given = parser.parse_args()
    chance, begun = random.Random(given.seed), time.monotonic()
    killed = Counter[str]()
    crawls, faults = 0, 0
    while sum(killed.values()) < given.kills and time.monotonic() - begun < 60 * given.minutes:
        crawls += 1
        with tempfile.TemporaryDirectory() as temporary:
            faults += one_crawl(Path(temporary), chance, given, killed)
        print(f"{crawls} crawls, {dict(killed)} kills, {faults} faults", flush=True)
    sys.exit(1 if faults else 0)


def one_crawl(folder: Path, chance: random.Random, given: argparse.Namespace, killed: Counter[str]) -> int:
    """Crawl a web to its end, with kills; return the number of faults."""
    command = [sys.executable, "-m", "tests.crawlweb.server", "--sites", str(SITES), "--pages", str(PAGES)]
    server = subprocess.Popen([*command, "--log", str(folder / "log")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdout is not None
    about = json.loads(server.stdout.readline())
    web = Web(SITES, PAGES)
    (folder / "about").write_text(json.dumps(about))
    lines = [f"{ip}:{port} {host}\n" for host, (ip, port) in about["names"].items() if host in web.sites]
    (folder / "hosts").write_text("".join(lines))
    (folder / "sites.txt").write_text("".join(f"{seed}\n" for seed in about["seeds"]))
    (folder / "recipe.yaml").write_text(RECIPE)
    driver = chance.random() < given.driver
    state = folder / (SET if not driver else SET.replace("work/", "out/.work/"))
    kept: dict[str, int] = {}
    faults: list[str] = []
    while not attempt(folder, driver, chance.uniform(0, 1.0)):
        killed["driver" if driver else "set"] += 1
        log = read_log(folder / "log")
        faults += [f"asked again: {url}" for url, at in kept.items() for each in log[at:] if each.url == url]
        kept |= {url: len(log) for url in kept_in(state) if url not in kept}
    log = read_log(folder / "log")
    faults += [f"asked again: {url}" for url, at in kept.items() for each in log[at:] if each.url == url]
    server.communicate(b"")
    stored = Counter[str]()
    for path in sorted(state.glob("*.warc.gz")):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, WarcRecordType.response, parse_http=False):
                sound = record.verify_block_digest()
                record.parse_http()
                if record.http_headers.status_code == 200:
                    stored[record.headers["WARC-Target-URI"]] += 1
                faults += [] if sound else [f"damaged: {record.headers['WARC-Target-URI']}"]
    wanted = set(web.wanted())
    faults += [f"lost: {url}" for url in wanted - set(stored)]
    faults += [f"stored {stored[url]} times: {url}" for url in wanted if stored[url] > 1]
    print("\n".join(faults[:20]), end="\n" if faults else "")
    return len(faults)


if __name__ == "__main__":
    main()
