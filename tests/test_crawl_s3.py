"""A crawl on an object store: what lies there after each WARC file, and how another machine goes on."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from mmedc.crawl.frontier import NAME, Frontier
from mmedc.crawl.queued import FETCHED
from mmedc.storage import Store
from tests.crawlset import crawl, plan_of
from tests.crawlweb.server import read_log
from tests.crawlweb.web import Web
from tests.test_crawl import PAGES, SITES, responses, served  # noqa: F401
from tests.test_storage import s3  # noqa: F401

SET = "crawl/web/0000"


def fetched(store: Store, folder: Path) -> dict[str, str]:
    """Return the pages that the copy of the frontier says are in WARC files, with the file of each."""
    folder.mkdir()
    if store.exists(f"{SET}/{NAME}"):
        (folder / NAME).write_bytes(store.get(f"{SET}/{NAME}"))
    frontier = Frontier(folder)
    closed = {row.number: row.name for row in frontier.segments() if row.sha256}
    rows = frontier._db.execute("SELECT url, segment FROM urls WHERE state = ?", (FETCHED,)).fetchall()
    frontier.close()
    return {url: closed[segment] for url, segment in rows}


def test_a_machine_that_is_lost_costs_what_it_had_not_copied(
    tmp_path: Path,
    s3: str,  # noqa: F811
    served: tuple[dict[str, Any], Path],  # noqa: F811
) -> None:
    (about, log), url = served, f"{s3}/{tmp_path.name}"
    (tmp_path / "about").write_text(json.dumps(about))
    store, kept = Store(url), dict[str, int]()
    points = [
        ("after a WARC file is closed", 2),
        ("before the frontier is copied", 2),
        ("before the round is recorded", 1),
    ]
    for number, (point, count) in enumerate([*points, ("", 0)]):
        command = [sys.executable, "-m", "tests.crawlset", url, str(tmp_path / "about"), point, str(count)]
        done = subprocess.run(
            command, capture_output=True, text=True
        )  # its folder ends with it: a new machine each time
        assert done.returncode == (9 if point else 0), done.stderr
        for page, at in kept.items():
            assert not [each for each in read_log(log)[at:] if each.url == page], (point, page)
        now, found = len(read_log(log)), fetched(store, tmp_path / f"copy{number}")
        assert found and set(found.values()) <= {name.rpartition("/")[2] for name in store.names(SET)}
        kept |= {page: now for page in found if page not in kept}
    left = crawl(url, plan_of(about, languages=())).left
    local = tmp_path / "files"
    local.mkdir()
    for file in left.segments:
        assert store.sha256(file.path) == (file.sha256, file.bytes)
        (local / file.path.rpartition("/")[2]).write_bytes(store.get(file.path))
    pages = Counter(page for page, status in responses(local) if status == 200)
    wanted = set(Web(SITES, PAGES).wanted())
    assert wanted <= set(pages) and {pages[page] for page in wanted} == {1}
