"""The test web answers and logs as its truth says, so that a crawler can be judged by it."""

import asyncio
from pathlib import Path

import pytest

from mmedc.crawl.fetch import Bounds, Fetcher, agent_of, content_of, wanted_since
from mmedc.crawl.guard import Guard
from mmedc.crawl.robots import robots_of
from mmedc.crawl.sitemaps import read_sitemap
from mmedc.crawl.types import Refused
from mmedc.filters import open_filters
from tests.crawlweb.judge import judge
from tests.crawlweb.server import CANARY, Entry, Server, read_log
from tests.crawlweb.web import PARTS, Web

AGENT = agent_of("0.1.0", "https://example.org/bot")


def fetcher_for(server: Server, *more: str, bounds: Bounds | None = None) -> Fetcher:
    names = server.names()
    guard = Guard({*server.web.sites, *more}, names)
    return Fetcher(guard, AGENT, bounds or Bounds())


def test_a_web_is_the_same_each_time_and_has_every_part() -> None:
    first, second = Web(seed=3), Web(seed=3)
    assert list(first.wanted()) == list(second.wanted())
    assert [site.part for site in first.sites.values()] == list(PARTS)
    url = next(first.wanted())
    host, _, path = url.removeprefix("http://").partition("/")
    assert first.reply(host, "/" + path, 1) == second.reply(host, "/" + path, 1)
    assert {site.ip for site in first.sites.values()} != {"127.0.0.1"}
    wanted = set(first.wanted())
    assert 0 < sum(first.medical(url) for url in wanted) < len(wanted)
    assert not any(first.unwanted(url) for url in wanted)


def test_pages_are_served_and_logged(tmp_path: Path) -> None:
    async def run() -> None:
        web = Web()
        async with Server(web, tmp_path / "log") as server, fetcher_for(server) as fetcher:
            url = next(web.wanted())
            answer = await fetcher.fetch(url)
            assert b"<h1>" in content_of(answer, 1 << 20)
            assert answer.ip == web.sites["clinic0.test"].ip
            again = await fetcher.fetch(url, wanted_since(answer.headers))
            assert again.status == 304
            sitemap = await fetcher.fetch("http://clinic0.test/sitemap.xml")
            assert {link.url for link in read_sitemap(sitemap.body, sitemap.url).links} == {
                found for found in web.wanted() if found.startswith("http://clinic0.test/")
            }
            with pytest.raises(Refused, match="private_address"):
                await fetcher.fetch("http://rebinding.test/")
        entries = read_log(tmp_path / "log")
        assert [(entry.url, entry.status) for entry in entries[:2]] == [(url, 200), (url, 304)]
        assert {entry.agent for entry in entries} == {AGENT}
        assert {entry.connection for entry in entries} == {1}
        assert all(entry.ended >= entry.came for entry in entries)

    asyncio.run(run())


def test_a_second_edition_differs_in_some_pages() -> None:
    web = Web(pages=600)
    before = {url: web.reply(*_split(url), 1).body for url in web.wanted()}
    web.edition = 2
    changed = [url for url, body in before.items() if web.reply(*_split(url), 1).body != body]
    assert 0 < len(changed) < len(before) / 5


def test_sites_play_their_parts() -> None:
    async def run() -> None:
        web = Web()
        agents = open_filters().words("crawl/ai_agents.txt")
        bounds = Bounds(body_bytes=1 << 20)
        async with Server(web) as server, fetcher_for(server, bounds=bounds) as fetcher:
            for host, part in {
                "closed9.test": "closed",
                "broken10.test": "broken",
                "members11.test": "members",
            }.items():
                answer = await fetcher.fetch(f"http://{host}/robots.txt")
                robots = robots_of(answer, 0, agents=agents)
                url = f"http://{host}/"
                assert (robots.allows(url) and not robots.optouts(url)) is (part == "members")
                assert not robots.allows(url + "private/a")
            reasons = {}
            for path in ("endless", "cut", "bomb", "headers", "lie"):
                try:
                    answer = await fetcher.fetch(f"http://hostile6.test/{path}")
                    reasons[path] = answer.truncated
                    content_of(answer, 1 << 20)
                except Refused as refusal:
                    reasons[path] = refusal.reason
            wanted = {"endless": "length", "cut": "cut_off", "bomb": "too_large", "headers": "bad_http", "lie": ""}
            assert reasons == wanted
            async with fetcher_for(server, bounds=Bounds(total_s=0.3)) as hasty:
                with pytest.raises(Refused, match="timeout"):
                    await hasty.fetch("http://hostile6.test/stall")
            busy = [(await fetcher.fetch("http://busy3.test/")).status for _ in range(9)]
            assert busy.count(429) == 1
            moved = await fetcher.fetch("http://redirects5.test/loop1")
            assert (moved.status, moved.header("location")) == (302, "/loop2")
            assert (await fetcher.fetch("http://members11.test/members/")).status == 401
            assert not [entry for entry in server.log if entry.host == CANARY]
            _, writer = await asyncio.open_connection("127.0.0.1", server.canary)
            await asyncio.sleep(0.05)
            writer.close()
            assert [entry.host for entry in server.log if entry.host == CANARY] == [CANARY]

    asyncio.run(run())


def _split(url: str) -> tuple[str, str]:
    host, _, path = url.removeprefix("http://").partition("/")
    return host, "/" + path


def test_the_judge_sees_what_a_crawler_does_wrong() -> None:
    web = Web()
    log: list[Entry] = []
    now = dict.fromkeys(web.sites, 0.0)

    def visit(host: str, target: str, status: int = 200, pause: float = 1.0, agent: str = AGENT) -> None:
        came = now[host] + pause
        now[host] = came + 0.1
        log.append(Entry(came, now[host], host, target, status, 1, agent))

    for host in web.sites:
        visit(host, "/robots.txt")
    for url in web.wanted():
        visit(*_split(url))
    assert judge(web, log, delay_s=1).faults(10) == []

    del log[-1]
    visit("clinic0.test", "/private/a.html")
    visit("clinic0.test", next(iter(web.sites["clinic0.test"].pages)), pause=0.5)
    visit("busy3.test", "/", 429)
    visit("busy3.test", "/", pause=0.8, agent="Mozilla/5.0")
    for number in range(11):
        visit("traps4.test", f"/gone/{number}")
    log.append(Entry(1.05, 1.2, "news1.test", "/list?page=0", 200, 2, AGENT))
    log.append(Entry(1.0, 1.0, CANARY, "", 0, 0, ""))
    faults = judge(web, log, delay_s=1).faults(10)
    kinds = ["missed", "repeated", "unwanted", "early", "together", "hasty", "nameless", "the canary", "soft 404"]
    assert [fault.partition(":")[0].partition(" was")[0] for fault in faults] == kinds
    assert judge(web, log[1:], budgets=True).unruly == ["clinic0.test"]
    assert judge(web, log, budgets=True).missed == []
