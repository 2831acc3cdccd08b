"""Kills workers, nodes and drivers of crawls on a Ray cluster, and judges by the server's log and the WARC files.

    PYTHONPATH=. python benchmarks/crawl/ray_kills.py [--minutes 9] [--seed 0]

A cluster of two nodes crawls a web in two sets. Every few seconds SIGKILL ends one process that runs a set, the second
node with everything on it (another takes its place), or `mmedc run`, which is then given again. At the end every page
of the web must be in the WARC files once, none may have been asked for after the answer that is stored, and the corpus
must be the one that a build from the WARC files makes.
"""

import argparse
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
from fastwarc.warc import ArchiveIterator, WarcRecordType

from benchmarks.cluster.raylets import Raylets
from tests.crawlweb.server import CONNECTION, read_log
from tests.crawlweb.web import Web

SITES, PAGES = 4, 240
LOST = (1, 75)
"""What Ray ends a driver with, without a word, when the node dies that it is connected to; and mmedc where the cluster
is lost."""
RECIPE = """\
name: killed
languages: [en, zh, ja, ko]
limits: {retries: 100}
sources:
  web:
"""
CRAWLED = (
    'crawl: sites.txt, contact: "https://example.org/bot", hosts_file: hosts, delay_s: 0.25, segment: 100KB, sets: 2'
)


def workers(cluster: Raylets) -> list[psutil.Process]:
    """Return the processes that run a unit of the crawl now."""
    found = []
    for node in cluster.nodes.values():
        for process in psutil.Process(node.pid).children(recursive=True):
            try:
                name = " ".join(process.cmdline())
            except psutil.NoSuchProcess:
                continue
            if name.startswith("ray::") and "IDLE" not in name and "Agent" not in name:
                found.append(process)
    return found


def run(folder: Path, cluster: Raylets) -> "subprocess.Popen[bytes]":
    """Give the command."""
    command = [sys.executable, "-m", "mmedc", "run", str(folder / "recipe.yaml"), "--out", str(folder / "out")]
    environment = {**os.environ, "RAY_AUTH_MODE": "token"}
    with (folder / "said").open("ab") as said:
        return subprocess.Popen([*command, "--address", cluster.address], stdout=said, stderr=said, env=environment)


def one_crawl(folder: Path, cluster: Raylets, chance: random.Random, killed: Counter[str], until: float) -> list[str]:
    """Crawl a web to its end, with kills before `until`; return the faults."""
    command = [sys.executable, "-m", "tests.crawlweb.server", "--sites", str(SITES), "--pages", str(PAGES)]
    server = subprocess.Popen([*command, "--log", str(folder / "log")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdout is not None
    about: dict[str, Any] = json.loads(server.stdout.readline())
    web = Web(SITES, PAGES)
    lines = [f"{ip}:{port} {host}\n" for host, (ip, port) in about["names"].items() if host in web.sites]
    (folder / "hosts").write_text("".join(lines))
    (folder / "sites.txt").write_text("".join(f"{seed}\n" for seed in about["seeds"]))
    (folder / "recipe.yaml").write_text(f"{RECIPE}    {{{CRAWLED}}}\n")
    driver, nodes = run(folder, cluster), killed["node"]
    while driver.poll() is None:
        seen = (folder / "log").stat().st_size
        while driver.poll() is None and (folder / "log").stat().st_size == seen:
            time.sleep(0.02)  # until the crawl goes on
        try:
            driver.wait(chance.uniform(0.2, 3.0))
        except subprocess.TimeoutExpired:
            if time.monotonic() < until:
                driver = kill(chance, folder, cluster, driver, killed)
            else:
                driver.wait()
        if driver.poll() in LOST and killed["node"] > nodes:
            killed["driver with its node"] += 1
            nodes = killed["node"]
            time.sleep(1)
            driver = run(folder, cluster)
    server.communicate(b"")
    if driver.returncode:
        sys.exit(f"{dict(killed)}: ended with {driver.returncode}: {(folder / 'said').read_text()[-2000:]}")
    return faults_of(folder, web)


def kill(
    chance: random.Random, folder: Path, cluster: Raylets, driver: "subprocess.Popen[bytes]", killed: Counter[str]
) -> "subprocess.Popen[bytes]":
    """End something; return the driver, which may be another."""
    what = chance.choices(("worker", "node", "driver"), (6, 1, 2))[0]
    if what == "worker":
        running = workers(cluster)
        if not running:
            return driver
        chance.choice(running).send_signal(signal.SIGKILL)
    elif what == "node":
        cluster.remove(1)
        cluster.add(1)
    else:
        driver.kill()
        driver.wait()
        driver = run(folder, cluster)
    killed[what] += 1
    return driver


def faults_of(folder: Path, web: Web) -> list[str]:
    """Return what is wrong with what a crawl left."""
    stored: dict[str, list[int]] = {}
    faults = []
    for path in sorted((folder / "out").glob("crawl/web/*.warc.gz")):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, WarcRecordType.response, parse_http=False):
                url = record.headers["WARC-Target-URI"]
                faults += [] if record.verify_block_digest() else [f"damaged: {url}"]
                record.parse_http()
                if record.http_headers.status_code == 200:
                    stored.setdefault(url, []).append(int(record.http_headers[CONNECTION]))
    last = {entry.url: entry.connection for entry in read_log(folder / "log") if entry.status == 200}
    for url in web.wanted():
        answers = stored.get(url, [])
        if len(answers) != 1:
            faults.append(f"stored {len(answers)} times: {url}")
        elif answers[0] != last[url]:
            faults.append(f"asked for again, although its answer is stored: {url}")
    source = f'{{warc: "{folder}/out/crawl/web/*.warc.gz"}}'
    (folder / "again.yaml").write_text(RECIPE + f"    {source}\n")
    command = ["run", str(folder / "again.yaml"), "--inline", "--quiet", "--out", str(folder / "again")]
    subprocess.run([sys.executable, "-m", "mmedc", *command], check=True, stdout=subprocess.DEVNULL)
    digests = {json.loads((folder / name / "manifest.json").read_text())["digest"] for name in ("out", "again")}
    return faults + ([] if len(digests) == 1 else ["the corpus is not that of the WARC files"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=9.0, help="after which nothing more is killed")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance, until = random.Random(given.seed), time.monotonic() + 60 * given.minutes
    killed = Counter[str]()
    with tempfile.TemporaryDirectory() as temporary:
        token = Path(temporary, "token")
        token.write_text(secrets.token_hex(32))
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        faults = on_cluster(Path(temporary), chance, killed, until)
    sys.exit(1 if faults else 0)


def on_cluster(folder: Path, chance: random.Random, killed: Counter[str], until: float) -> int:
    """Crawl again and again with kills; return the number of faults."""
    crawls = faults = 0
    with Raylets(folder / "nodes", 2) as cluster:
        while time.monotonic() < until:
            crawls += 1
            place = folder / f"crawl{crawls}"
            place.mkdir()
            found = one_crawl(place, cluster, chance, killed, until)
            faults += len(found)
            print("\n".join(found[:20]), end="\n" if found else "")
            print(f"{crawls} crawls, {dict(killed)} kills, {faults} faults", flush=True)
    return faults


if __name__ == "__main__":
    main()
