"""Crawls of small sites that are made for one fault each: what is stored of them, and what is asked of them later."""

import contextlib
import gzip
import hashlib
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from mmedc.crawl.archive import Segment
from mmedc.crawl.frontier import Frontier
from mmedc.crawl.politeness import Manners, Schedule
from mmedc.crawl.scope import Scope
from mmedc.errors import StorageError
from tests.crawlset import crawl, plan_of

NOAI = '<meta name="robots" content="noai">'
ALL = "User-agent: *\nDisallow:\n"
Answer = tuple[int, dict[str, str], str | bytes]


def page(text: str, *links: str, head: str = "") -> str:
    words = " ".join(f"{text} of patient {word} and hypertension." for word in text * 12)
    return f"<html><head><title>{text}</title>{head}</head>{words}{''.join(f'<a href={link}>x</a>' for link in links)}"


def html(text: str, *links: str, head: str = "", **headers: str) -> Answer:
    return 200, {"Content-Type": "text/html", **headers}, page(text, *links, head=head)


class Sites:
    """Sites on one loopback port: `answers` by URL without its scheme; everything else is 404."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        sites = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                place = self.headers["Host"].partition(":")[0] + self.path
                sites.asked.append(place)
                status, headers, body = sites.answers.get(place, (404, {}, ""))
                if headers.get("ETag") and self.headers["If-None-Match"] == headers["ETag"]:
                    status, body = 304, ""
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                sent = body if isinstance(body, bytes) else body.encode()
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # the crawler has enough of it
                    self.wfile.write(sent)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def about(self, *seeds: str) -> dict[str, Any]:
        names = {seed.partition("/")[0]: ("127.0.0.1", self.server.server_port) for seed in seeds}
        return {"names": names, "seeds": [f"http://{seed}" for seed in seeds]}

    def since(self) -> list[str]:
        """Return what was asked for since the last call, without the files with wishes."""
        asked = [place for place in self.asked if "well-known" not in place and "ai.txt" not in place]
        self.asked = []
        return asked


@pytest.fixture
def sites() -> Iterator[Sites]:
    made = Sites()
    yield made
    made.server.shutdown()
    made.server.server_close()


def stored(folder: Path) -> bytes:
    """Return the bodies of all responses in the WARC files."""
    found = []
    for path in sorted(folder.glob("**/*.warc.gz")):
        with path.open("rb") as stream:
            found += [record.reader.read() for record in ArchiveIterator(stream, WarcRecordType.response)]
    return b"".join(found)


def test_nothing_is_stored_of_reserved_pages_however_they_are_met(tmp_path: Path, sites: Sites) -> None:
    sites.answers |= {
        "a.test/robots.txt": (302, {"Location": "/rules.html"}, ""),
        "a.test/rules.html": html("SECRETRULES", head=NOAI),
        "a.test/": html("home", "/typed"),
        "a.test/typed": (200, {"Content-Type": "application/octet-stream"}, page("SECRETTYPED", head=NOAI)),
        "b.test/robots.txt": (200, {}, "".join(f"Sitemap: http://b.test/{name}\n" for name in ("m", "h", "f", "open"))),
        "b.test/": html("front"),
        "b.test/m": html("SECRETMAP", head=NOAI),
        "b.test/h": html("SECRETHEADER", **{"X-Robots-Tag": "noai"}),
        "b.test/f": (
            200,
            {"Content-Type": "application/rss+xml", "X-Robots-Tag": "noai"},
            "<rss><item><link>http://b.test/linked</link><title>SECRETFEED</title></item></rss>",
        ),
        "b.test/open": html("open", "/below"),
        "b.test/below": html("below"),
        "b.test/linked": html("linked"),
    }
    crawl(tmp_path, plan_of(sites.about("a.test/", "b.test/")))
    found = stored(tmp_path)
    assert b"SECRET" not in found
    assert {b"<title>%b<" % name.encode() in found for name in ("home", "open", "below", "linked")} == {True}


def test_another_visit_finds_new_pages_and_forgets_none(tmp_path: Path, sites: Sites) -> None:
    sites.answers |= {
        f"a.test/{number}": html(f"{number} {'abcdefgh'[number]}", ETag=f'"{number}"') for number in range(8)
    }
    sites.answers |= {f"b.test/part/{number}": html(f"{number} {'klmnopqr'[number]}") for number in range(8)}
    about = sites.about("a.test/", "b.test/")
    for visit in range(4):
        sites.answers["a.test/"] = html(f"visit {visit}", *(f"/{number}" for number in range(4 + visit)))
        sites.answers["b.test/"] = html(f"visit {visit}", *(f"/part/{number}" for number in range(4 + visit)))
        if visit == 2:
            gone = sites.answers.pop("a.test/0")
        if visit == 3:
            sites.answers["a.test/0"] = gone
        crawl(tmp_path, plan_of(about), again=str(visit or ""))
        pages = {f"{place}{number}" for place in ("a.test/", "b.test/part/") for number in range(4 + visit)}
        assert {place for place in sites.since() if "robots" not in place} == pages | {"a.test/", "b.test/"}


def test_one_bad_link_does_not_cost_a_host(tmp_path: Path, sites: Sites) -> None:
    sites.answers |= {
        "a.test/": html("home", "http://me:word@a.test/x", "http://a.test:9/y", "https://a.test/z", "/last"),
        "a.test/last": html("last"),
    }
    left = crawl(tmp_path, plan_of(sites.about("a.test/"))).left
    assert left.pages == 2 and "a.test/last" in sites.since()


def test_a_site_that_left_the_list_is_not_asked_until_it_comes_back(tmp_path: Path, sites: Sites) -> None:
    for host in ("a.test", "b.test"):
        sites.answers |= {f"{host}/": html(host, "/1", "/2"), f"{host}/1": html("one"), f"{host}/2": html("two")}
    both = sites.about("a.test/", "b.test/")
    crawl(tmp_path, plan_of(both), budget=2)
    sites.since()
    crawl(tmp_path, plan_of(both, sites=("http://a.test/",)), budget=50)
    assert set(sites.since()) == {"a.test/1", "a.test/2"}
    crawl(tmp_path, plan_of(both), budget=60)
    assert set(sites.since()) == {"b.test/1", "b.test/2"}


def test_a_server_that_failed_is_asked_for_its_rules_by_the_next_run(tmp_path: Path, sites: Sites) -> None:
    sites.answers |= {"a.test/": html("a"), "b.test/": html("b"), "b.test/robots.txt": (500, {}, "")}
    about = sites.about("a.test/", "b.test/")
    assert crawl(tmp_path, plan_of(about), budget=10).left.pages == 1
    sites.answers["b.test/robots.txt"] = (200, {}, ALL)
    assert crawl(tmp_path, plan_of(about), budget=20).left.pages == 2


def test_the_delay_of_a_robots_txt_holds_after_a_stop(tmp_path: Path, sites: Sites) -> None:
    sites.answers |= {"a.test/": html("a", "/1", "/2"), "a.test/1": html("one"), "a.test/2": html("two")}
    sites.answers["a.test/robots.txt"] = (200, {}, "User-agent: *\nCrawl-delay: 0.4\n")
    about = sites.about("a.test/")
    state = tmp_path / "crawl" / "web" / "0000"
    for budget in (1, 2):
        crawl(tmp_path, plan_of(about), budget=budget)
        frontier = Frontier(state)
        host = frontier.host("a.test")
        assert host.wait_until - host.last > 0.35
        frontier.close()


def test_a_link_that_is_too_deep_may_be_met_again_where_it_is_not(tmp_path: Path, sites: Sites) -> None:
    sites.answers |= {
        "a.test/": html("a", "/medical-insulin-diabetes", "/z"),
        "a.test/medical-insulin-diabetes": html("insulin", "/deep"),
        "a.test/z": html("z"),
        "a.test/deep": html("deep"),
        "a.test/robots.txt": (200, {}, "Sitemap: http://a.test/map.xml\n"),
        "a.test/map.xml": (200, {}, "<urlset><url><loc>http://a.test/deep</loc></url></urlset>"),
    }
    crawl(tmp_path, plan_of(sites.about("a.test/"), depth=1))
    assert "a.test/deep" in sites.since()


def test_a_crawl_goes_on_where_it_was_when_the_recipe_asks_for_more_depth_or_less(tmp_path: Path, sites: Sites) -> None:
    words = ["insulin", "asthma", "stroke", "cholera", "migraine", "gout"]
    sites.answers |= {f"a.test/{n}": html(f"{n} {word}", f"/{n + 1}") for n, word in enumerate(words)}
    sites.answers["a.test/"] = html("home", "/0", "/1")
    about = sites.about("a.test/")
    for budget, depth, wanted in [
        (50, 0, {"a.test/"}),
        (50, 1, {"a.test/0", "a.test/1"}),
        (4, 4, {"a.test/2"}),
        (50, 1, set()),
        (50, 3, {"a.test/3"}),
        (50, 16, {"a.test/4", "a.test/5", "a.test/6"}),
    ]:
        crawl(tmp_path, plan_of(about, depth=depth), budget=budget)
        assert {place for place in sites.since() if "robots" not in place} == wanted


TERMS = '<rsl xmlns="https://rslstandard.org/rsl">{}</rsl>'
ENTRY = '<content url="{}"><license><permits type="usage">{}</permits></license></content>'


def test_the_licence_that_a_robots_txt_names_and_ai_txt_decide_page_by_page(tmp_path: Path, sites: Sites) -> None:
    for host in ("a.test", "b.test", "c.test"):
        sites.answers |= {f"{host}/": html(f"{host} home", "/free", "/paid/x")}
        sites.answers |= {f"{host}/free": html(f"{host} free"), f"{host}/paid/x": html(f"{host} SECRET")}
    terms = TERMS.format(ENTRY.format("/", "all") + ENTRY.format("/paid/", "search"))
    sites.answers |= {
        "a.test/robots.txt": (200, {}, f"License: http://b.test/terms.xml\n{ALL}"),
        "b.test/robots.txt": (200, {}, f"License: /terms.xml\n{ALL}"),
        "b.test/terms.xml": (200, {"Content-Type": "text/xml"}, terms),
        "c.test/ai.txt": (200, {}, "User-Agent: *\nAllow: /\nDisallow: /paid/\n"),
    }
    left = crawl(tmp_path, plan_of(sites.about("a.test/", "b.test/", "c.test/"))).left
    asked = sites.since()
    assert asked.count("b.test/terms.xml") == 1 and not [place for place in asked if "paid" in place]
    assert left.pages == 6 and b"SECRET" not in stored(tmp_path)
    rows = pq.read_table(tmp_path / left.optouts.path).to_pylist()
    assert {(row["host"], row["signal"], row["value"], row["kept"]) for row in rows} == {
        ("a.test", "rsl", "http://b.test/terms.xml permits only search", False),
        ("b.test", "rsl", "http://b.test/terms.xml permits only search", False),
        ("c.test", "ai-txt", "disallowed: /paid/", False),
    }
    hosts = {row["host"]: row for row in pq.read_table(tmp_path / left.hosts.path).to_pylist()}
    assert {name: row["rules"] for name, row in hosts.items()} == {"a.test": 4, "b.test": 3, "c.test": 3}


def test_a_huge_robots_txt_a_bomb_of_a_sitemap_and_a_page_of_links_cost_what_their_bounds_say(
    tmp_path: Path, sites: Sites
) -> None:
    words = "-insulin-diabetes-asthma"  # fetched first
    begin = "User-agent: *\nDisallow: /no\nSitemap: http://a.test/bomb.xml.gz\n"
    sites.answers |= {
        "a.test/robots.txt": (200, {}, begin + "# nothing\n" * 1_000_000 + "Disallow: /\n"),
        "a.test/bomb.xml.gz": (200, {"Content-Type": "application/gzip"}, gzip.compress(bytes(60 << 20), 1)),
        "a.test/": html(
            "home", f"/no{words}", f"/yes{words}", *(f"/{n:x}-insulin-{n * 7919 % 99991}" for n in range(30_000))
        ),
        f"a.test/yes{words}": html("insulin"),
    }
    left = crawl(tmp_path, plan_of(sites.about("a.test/"), host_pages=8)).left
    (host,) = pq.read_table(tmp_path / left.hosts.path).to_pylist()
    assert left.pages == 2 and dict(host["refused"])["robots"] == 1
    assert dict(host["left_out"])["too_many_links"] == 25_002 and dict(host["errors"]) == {"too_large": 1}
    assert left.segments[0].bytes < 2 << 20


def test_a_clock_that_is_set_back_between_two_runs_stops_nobody(tmp_path: Path, sites: Sites) -> None:
    sites.answers |= {"a.test/": html("a", "/1"), "a.test/1": html("one")}
    about = sites.about("a.test/")
    crawl(tmp_path, plan_of(about), budget=1)
    frontier = Frontier(tmp_path / "crawl" / "web" / "0000")
    host = frontier.host("a.test")
    host.last, host.wait_until = host.last + 1e6, host.wait_until + 1e6
    frontier.changed(host)
    frontier.save(None)
    frontier.close()
    assert crawl(tmp_path, plan_of(about), budget=2).left.pages == 2


def test_a_pause_that_is_longer_than_patience_is_not_waited_for_by_the_next_run(tmp_path: Path, sites: Sites) -> None:
    sites.answers |= {"a.test/": html("a", "/busy"), "a.test/busy": (503, {"Retry-After": "99999999999"}, "")}
    about = sites.about("a.test/")
    for budget in (10, 20):
        left = crawl(tmp_path, plan_of(about), budget=budget).left
        assert left.pages == 1
    assert sites.since().count("a.test/busy") == 1
    assert Schedule(Manners()).longest_s == 600


def test_a_site_with_a_path_ends_at_a_slash() -> None:
    scope = Scope.of(["http://a.test/es", "http://b.test/fr/"])
    assert {url: url in scope for url in ("http://a.test/es", "http://a.test/es/x", "http://a.test/es?p=1")} == {
        "http://a.test/es": True,
        "http://a.test/es/x": True,
        "http://a.test/es?p=1": True,
    }
    assert "http://a.test/essays" not in scope and "http://b.test/fr/x" in scope and "http://b.test/fr" not in scope


def test_a_write_that_fails_leaves_a_warc_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = Segment(tmp_path, 0, "a.warc.gz")
    segment.add([b"first"])
    segment.flush()
    segment.add([b"second"])
    whole = os.write

    def full(file: int, data: Any) -> int:
        if len(data) < 6:
            raise OSError(28, "No space left on device")
        return whole(file, data[:3])

    with monkeypatch.context() as patched:
        patched.setattr("mmedc.crawl.archive.os.write", full)
        with pytest.raises(StorageError, match="No space left"):
            segment.flush()
    assert segment.path.read_bytes() == b"first"
    segment.flush()  # after there was space again
    row = segment.close()
    assert segment.path.read_bytes() == b"firstsecond"
    assert row.bytes == 11 and row.sha256 == hashlib.sha256(b"firstsecond").hexdigest()
