"""A crawl that visits pages again: which versions of them count, and which pages are due."""

import asyncio
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq

from mmedc.corpus.manifest import Manifest
from mmedc.crawl.frontier import Frontier
from mmedc.crawl.queued import FETCHED, PAGE, QUEUED, REFUSED, SITEMAP, Found, Item, Outcome, SegmentRow
from mmedc.crawl.revisit import DAY
from mmedc.engine.run import Inline
from mmedc.pipeline.build import Build
from mmedc.recipe import read_recipe
from tests.conftest import Notes
from tests.crawlweb.server import Server
from tests.crawlweb.web import Reply, Web
from tests.test_crawl import recipe_in


class Later(Web):
    """A web some of whose answers are replaced."""

    replaced: dict[str, Reply]

    def reply(self, host: str, target: str, visits: int, seen: str = "") -> Reply:
        return self.replaced.get(f"http://{host}{target}") or super().reply(host, target, visits, seen)


def texts(out: Path) -> dict[str, str]:
    table = ds.dataset(out / "data").to_table(["locator", "text"])
    return dict(zip(table["locator"].to_pylist(), table["text"].to_pylist(), strict=True))


def test_the_newest_version_counts_and_what_is_gone_or_reserved_later_does_not_stay(tmp_path: Path) -> None:
    web = Later(2, 60)
    web.replaced = {}
    sites = [f"{seed} | CC BY-SA 4.0 | 2026-11-30 test | the test web" for seed in web.seeds()]

    def build(more: str = "") -> Manifest:
        recipe = read_recipe(recipe_in(tmp_path, {"names": names}, more, sites))
        return Build.prepare(recipe, str(tmp_path / "out")).run(Inline(), Notes())

    async def crawl_twice() -> tuple[dict[str, str], dict[str, str], Manifest]:
        nonlocal names
        async with Server(web) as server:
            names = server.names()
            await asyncio.to_thread(build)
            first = texts(tmp_path / "out")
            changed, gone, reserved, moved, broken = sorted(first)[:5]
            host, _, path = changed.removeprefix("http://").partition("/")
            web.sites[host].pages[f"/{path}"].seed += 1
            page = web.reply(*_split(reserved), 0)
            web.replaced = {
                gone: Reply(410, b"gone"),
                reserved: Reply(200, page.body, (("Content-Type", "text/html"), ("X-Robots-Tag", "noai"))),
                moved: Reply(301, b"", (("Location", "/"),)),
                broken: Reply(403, b"not now"),
            }
            manifest = await asyncio.to_thread(build, '    again: "2"\n')
            again = await asyncio.to_thread(build, '    again: "2"\n')
            assert again.digest == manifest.digest
            return first, texts(tmp_path / "out"), manifest

    names: dict[str, Any] = {}
    first, second, manifest = asyncio.run(crawl_twice())
    changed, gone, reserved, moved, broken = sorted(first)[:5]
    assert set(first) - set(second) <= {changed, gone, reserved, moved} and broken in second
    assert not {gone, reserved, moved} & set(second)
    assert second.get(changed) != first[changed]
    table = ds.dataset(tmp_path / "out" / "data").to_table(["licence", "licence_evidence"])
    assert table.group_by(["licence", "licence_evidence"]).aggregate([]).to_pylist() == [
        {"licence": "CC-BY-SA-4.0", "licence_evidence": "sites: 2026-11-30 test"}
    ]
    rows = pq.read_table(tmp_path / "out" / "crawl" / "superseded.parquet").to_pylist()
    reasons = {row["url"]: row["reason"] for row in rows if not row["url"].endswith("/sitemap.xml")}
    assert reasons == {changed: "changed", gone: "gone", reserved: "opt_out", moved: "moved"}
    assert [row.dropped["superseded"] for row in manifest.funnel if "superseded" in row.dropped] == [len(rows)]


def _split(url: str) -> tuple[str, str]:
    host, _, path = url.removeprefix("http://").partition("/")
    return host, f"/{path}"


def _visited(frontier: Frontier, item: Item, at: float, **given: Any) -> None:
    values: dict[str, Any] = {"status": 200, "segment": 0, "at": int(at), "length": 10, "payload": 1, **given}
    frontier.settle(Outcome(item, frontier.host("a.test").id, FETCHED, fetched=at, **values))
    frontier.save(None)


def test_pages_are_due_by_their_age_their_changes_and_their_sitemap(tmp_path: Path, monkeypatch: Any) -> None:
    now = [0.0]
    monkeypatch.setattr("mmedc.crawl.frontier.time.time", lambda: now[0])
    frontier = Frontier(tmp_path)
    for number, kind in enumerate([PAGE, PAGE, PAGE, SITEMAP]):
        frontier.find(Found(f"http://a.test/{number}", "a.test", kind, 1, 0, 1.0))
    items = {item.url[-1]: item for _, item in frontier.save(None)}
    for number in range(1, 11):  # page 0 changes each day, page 1 never
        for name, item in items.items():
            changes = name == "0" and number > 1
            _visited(frontier, item, number * DAY, ends="changed" if changes else "", kept=not changes and number > 1)
    now[0] = 12 * DAY
    assert frontier.visit_again("2", only_due=True) == 2  # page 0 and the sitemap
    assert {item.url[-1] for item in frontier.best(1)} == {"0", "3"}
    frontier.find(Found("http://a.test/1", "a.test", PAGE, 1, 0, 1.0, changed=11 * DAY))
    frontier.find(Found("http://a.test/2", "a.test", PAGE, 1, 0, 1.0, changed=9 * DAY))
    frontier.save(None)
    assert {item.url[-1] for item in frontier.best(1)} == {"0", "1", "3"}
    assert frontier.hosts[1].queued == sum(frontier.bins) == 3
    frontier.close()


def test_an_attempt_that_fails_does_not_lose_the_place_of_the_page(tmp_path: Path) -> None:
    frontier = Frontier(tmp_path)
    for name in "ab":
        frontier.find(Found(f"http://a.test/{name}", "a.test", PAGE, 1, 0, 1.0))
    one, other = (item for _, item in sorted(frontier.save(None), key=lambda pair: pair[1].url))
    host = frontier.host("a.test").id
    _visited(frontier, one, 5.0)
    _visited(frontier, other, 6.0, payload=None, original=one.id)  # its text is that of the other page
    frontier.visit_again("2")
    again = {item.url: item for item in frontier.best(host)}[one.url]
    assert again.version
    frontier.settle(Outcome(again, host, QUEUED, "status 503"))
    frontier.settle(Outcome(other, host, FETCHED, status=200, segment=0, at=7, original=one.id))
    frontier.save(None)
    frontier.settle(Outcome(again, host, REFUSED, "robots", ends="robots"))
    frontier.save(SegmentRow(0, "a.warc.gz", 20, 2, None))
    assert list(frontier.superseded()) == [("a.warc.gz", 5, one.url, "robots")]
    assert [item.url for item in frontier.best(host)] == [other.url]  # what stood for it is gone
    assert frontier.hosts[host].queued == sum(frontier.bins) == 1
    assert frontier.payload(1) is None
    frontier.close()
