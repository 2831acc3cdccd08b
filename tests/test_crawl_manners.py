"""What a site asks of crawlers is understood: robots.txt, opt-outs, delays, sitemaps."""

import gzip
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmedc.crawl.aitxt import AiTxt
from mmedc.crawl.optout import RESERVED, Reservations, of_headers, of_page, usage_refused
from mmedc.crawl.paths import path_matches
from mmedc.crawl.politeness import Manners, Schedule, retry_after
from mmedc.crawl.robots import ASKED_AGAIN_S, KEPT_S, MAX_BODY, Robots, robots_of
from mmedc.crawl.rsl import Licence
from mmedc.crawl.sitemaps import MAX_LINKS, read_sitemap
from mmedc.crawl.types import Fetched, OptOut, Refused
from mmedc.filters import open_filters

SITE = "http://site.test"
AGENTS = ("CCBot", "GPTBot")


def answer(body: bytes = b"", status: int = 200, **fields: str) -> Fetched:
    headers = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in fields.items())
    return Fetched(SITE + "/robots.txt", "192.0.2.1", status, headers, body, b"")


def rules(text: str, **fields: str) -> Robots:
    return robots_of(answer(text.encode(), **fields), 0.0, agents=AGENTS)


# robots.txt: RFC 9309


@pytest.mark.parametrize(
    ("text", "path", "allowed"),
    [
        ("", "/a", True),
        ("User-agent: *\nDisallow: /", "/a", False),
        ("User-agent: *\nDisallow:", "/a", True),
        ("User-agent: *\nDisallow: /a", "/b", True),
        ("User-agent: *\nDisallow: /a", "/ab", False),
        ("User-agent: *\nDisallow: /A", "/a", True),
        ("user-AGENT: *\ndisALLOW: /a", "/a", False),
        ("User-agent: MMEDC\nDisallow: /a", "/a", False),
        ("User-agent: mmedc\nDisallow: /a\nUser-agent: *\nDisallow: /b", "/b", True),  # our own group only
        ("User-agent: *\nDisallow: /b\nUser-agent: mmedc\nDisallow: /a", "/b", True),
        (
            "User-agent: mmedc\nDisallow: /a\n\nUser-agent: mmedc\nDisallow: /b",
            "/b",
            False,
        ),  # groups of one name are one
        ("User-agent: other\nUser-agent: mmedc\nDisallow: /a", "/a", False),
        ("User-agent: other\nDisallow: /", "/a", True),
        ("Disallow: /", "/a", True),  # of no group
        ("User-agent: *\nDisallow: /a\nAllow: /a/b", "/a/b/c", True),  # the longest match
        ("User-agent: *\nAllow: /a/b\nDisallow: /a", "/a/c", False),
        ("User-agent: *\nAllow: /a\nDisallow: /a", "/a", True),  # of equal ones the allowing
        ("User-agent: *\nDisallow: /*.pdf$", "/x/y.pdf", False),
        ("User-agent: *\nDisallow: /*.pdf$", "/x/y.pdf?v=1", True),
        ("User-agent: *\nDisallow: /*/private/", "/x/private/y", False),
        ("User-agent: *\nDisallow: /*?print=", "/x?print=1", False),
        ("User-agent: *\nDisallow: /ä", "/%C3%A4", False),
        ("User-agent: *\nDisallow: /%C3%A4", "/%C3%A4b", False),
        ("User-agent: *\nDisallow: /a # why\n", "/a", False),
        ("User-agent: *   # all\n  Disallow :  /a  \r\n", "/a", False),
        ("User-agent: *\rDisallow: /a\r", "/a", False),
        ("\ufeffUser-agent: *\nDisallow: /a", "/a", False),
        ("User-agent: *\nSitemap: http://site.test/s.xml\nDisallow: /a", "/a", False),
        ("User-agent: *\nCrawl-delay: 3\nUser-agent: other\nDisallow: /a", "/a", True),
        ("<html><body>Not found</body></html>", "/a", True),
        ("User-agent: *\nDisallow: /", "/robots.txt", True),
    ],
)
def test_what_a_robots_txt_allows(text: str, path: str, allowed: bool) -> None:
    assert rules(text).allows(SITE + path) is allowed


@pytest.mark.parametrize(
    ("given", "why", "kept"),
    [
        (answer(status=200), "", KEPT_S),
        (answer(status=404), "missing", KEPT_S),
        (answer(status=403), "missing", KEPT_S),
        (answer(status=302), "missing", KEPT_S),
        (answer(status=429), "unreachable", ASKED_AGAIN_S),
        (answer(status=500), "unreachable", ASKED_AGAIN_S),
        (answer(status=503), "unreachable", ASKED_AGAIN_S),
        (Refused("dns", "no such name"), "unreachable", ASKED_AGAIN_S),
        (Refused("timeout"), "unreachable", ASKED_AGAIN_S),
        (Refused("private_address"), "unreachable", ASKED_AGAIN_S),
        (answer(b"\x00\x01" * 99, Content_Encoding="compress"), "unreachable", ASKED_AGAIN_S),
        (None, "missing", KEPT_S),
        (answer(status=200, Cache_Control="public, max-age=7200"), "", 7200),
        (answer(status=200, Cache_Control="max-age=0"), "", ASKED_AGAIN_S),
        (answer(status=200, Cache_Control="max-age=99999999"), "", KEPT_S),
    ],
)
def test_what_an_answer_without_rules_means(given: Any, why: str, kept: float) -> None:
    robots = robots_of(given, 1000.0, SITE + "/robots.txt")
    assert (robots.why, robots.until) == (why, 1000.0 + kept)
    assert robots.allows(SITE + "/a") is (why != "unreachable")
    assert robots.optouts(SITE + "/a") == robots.sitemaps == ()
    assert robots.delay is None


def test_of_a_large_file_the_first_part_holds_up_to_its_last_whole_line() -> None:
    line = "Disallow: /%06d\n"
    text = "User-agent: *\n" + "".join(line % number for number in range(40_000))
    robots = rules(text)
    last = (MAX_BODY - len("User-agent: *\n")) // len(line % 0)
    assert not robots.allows(f"{SITE}/{last - 1:06d}")
    assert robots.allows(f"{SITE}/{last:06d}")
    packed = robots_of(answer(gzip.compress(text.encode()), Content_Encoding="gzip"), 0.0)
    assert packed.digest == robots.digest
    assert robots_of(answer("User-agent: *\nDisallow: /a".encode("utf-16")), 0.0).allows(SITE + "/a") is False


def test_many_stars_do_not_take_a_lifetime() -> None:
    robots = rules("User-agent: *\nDisallow: /" + "*a" * 40 + "$\nContent-Usage: /" + "*a" * 40 + "$ train-ai=n")
    assert robots.allows(SITE + "/" + "a" * 2000 + "b")
    assert robots.optouts(SITE + "/" + "a" * 2000 + "b") == ()


@pytest.mark.parametrize(
    ("lines", "delay"),
    [
        ("Crawl-delay: 2.5", 2.5),
        ("Crawl-delay: -5", None),
        ("Crawl-delay: nan", None),
        ("Crawl-delay: inf", None),
        ("Crawl-delay: soon", None),
        ("Request-rate: 1/10s", 10.0),
        ("Crawl-delay: 1\nRequest-rate: 1/4s", 4.0),
        ("Disallow: /a", None),
    ],
)
def test_the_delay_that_is_asked_for(lines: str, delay: float | None) -> None:
    assert rules("User-agent: *\n" + lines).delay == delay


def test_the_sitemaps_that_are_named() -> None:
    text = "Sitemap: http://a.test/1.xml\nUser-agent: other\nDisallow: /\nsitemap: http://b.test/2.xml\nSitemap: http://a.test/1.xml"
    assert rules(text).sitemaps == ("http://a.test/1.xml", "http://b.test/2.xml")


# opt-outs

WHERE = SITE + "/robots.txt"


@pytest.mark.parametrize(
    ("text", "path", "wanted"),
    [
        ("User-agent: GPTBot\nDisallow: /", "/a", [("robots-ai", "GPTBot: disallowed")]),
        ("User-agent: GPTBot\nUser-agent: CCBot\nDisallow: /a", "/b", []),
        (
            "User-agent: GPTBot\nDisallow: /a\nUser-agent: CCBot\nDisallow: /",
            "/b",
            [("robots-ai", "CCBot: disallowed")],
        ),
        ("User-agent: Googlebot\nDisallow: /", "/a", []),
        ("User-agent: *\nContent-Usage: train-ai=n", "/a", [("content-usage", "train-ai=n")]),
        ("User-agent: *\nContent-Usage: search=n, train-ai=y", "/a", []),
        ("User-agent: *\nContent-Usage: bots=n", "/a", [("content-usage", "bots=n")]),
        ("User-agent: *\nContent-Usage: train-ai=n\nContent-Usage: /open/ train-ai=y", "/open/a", []),
        ("User-agent: *\nContent-Usage: /closed/ train-ai=n", "/a", []),
        ("User-agent: *\nContent-Usage: /*.pdf$ train-ai=n", "/a.pdf", [("content-usage", "train-ai=n")]),
        ("User-agent: *\nContent-Usage: train-ai=n\nUser-agent: mmedc\nContent-Usage: train-ai=y", "/a", []),
        ("User-agent: *\nContent-Usage: train-ai=n\nUser-agent: mmedc\nDisallow: /b", "/a", []),
        ("User-agent: *\nContent-Signal: search=yes,ai-train=no\nAllow: /", "/a", [("content-signal", "ai-train=no")]),
        ("User-agent: *\nContent-Signal: search=yes, ai-input=no", "/a", []),
    ],
)
def test_what_a_robots_txt_says_against_training(text: str, path: str, wanted: list[tuple[str, str]]) -> None:
    assert rules(text).optouts(SITE + path) == tuple(OptOut(signal, WHERE, value) for signal, value in wanted)


def test_the_licences_that_a_robots_txt_names() -> None:
    named = rules("User-agent: other\nDisallow: /\nLicense: https://x.test/l\nLicense:\nLicense: /m # terms")
    assert named.licences == ("https://x.test/l", "/m") and not named.optouts(SITE + "/a")


def licence(inner: str, url: str = "/", more: str = "") -> bytes:
    content = f'<content url="{url}" {more}>{inner}</content>'
    return f'<?xml version="1.0"?><rsl xmlns="https://rslstandard.org/rsl">{content}</rsl>'.encode()


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (licence("<license/>"), ""),
        (licence("<license><permits type='usage'>ai-train search</permits></license>"), ""),
        (licence("<license><permits type='usage'>search</permits></license>"), "permits only search"),
        (licence("<license><prohibits type='usage'>ai-train</prohibits></license>"), "prohibits ai-train"),
        (licence("<license><prohibits>ai-all</prohibits></license>"), "prohibits ai-all"),
        (licence("<license><permits>ai-train</permits><prohibits>all</prohibits></license>"), ""),
        (licence("<license><permits>all</permits><prohibits>ai-train</prohibits></license>"), "prohibits ai-train"),
        (licence("<license><prohibits>search</prohibits></license>"), ""),
        (licence("<license><payment type='crawl'><amount>1</amount></payment></license>"), "payment: crawl"),
        (licence("<license><payment><amount>1</amount></payment></license>"), "payment: amount"),
        (licence("<license><payment type='attribution'/></license>"), ""),
        (licence("<license><permits type='user'>education</permits></license>"), "permits user: education"),
        (licence("<license><payment type='crawl'/></license><license/>"), ""),
        (licence(""), "no licence"),
        (licence("<license/>", more="server='https://l.test'"), "licence server"),
        (licence("", "/other/"), ""),
        (licence("", "https://site.test/a"), "no licence"),
        (licence("", "http://SITE.test/*b$"), "no licence"),
        (licence("", "https://elsewhere.test/"), ""),
        (licence("<license/>").replace(b"</rsl>", b"<content url='/a'/></rsl>"), "no licence"),
        (b"<html><body>Terms</body></html>", "no RSL file: 0 elements `content` in `html`"),
        (b"<rsl><content", "damaged: the licence is not well-formed XML"),
        (b"x" * 600_000, "over 512,000 bytes"),
        (b"<rsl>" * 5_000, "too_deep"),
    ],
)
def test_what_a_licence_says_of_a_page(body: bytes, wanted: str) -> None:
    found = Licence.read("https://site.test/l", body).optouts(SITE + "/a/b")
    assert [each.value.startswith(f"https://site.test/l {wanted}") for each in found] == [True] * bool(wanted)


def test_nothing_that_a_licence_declares_is_expanded_or_fetched(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("ai-train")
    bomb = "".join(f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' for n in range(9))
    for declared in (f'<!ENTITY e0 "ai-train">{bomb}', f'<!ENTITY e9 SYSTEM "file://{tmp_path}/word">'):
        body = f"<!DOCTYPE rsl [{declared}]>".encode() + licence("<license><permits>&e9;</permits></license>")[21:]
        (found,) = Licence.read("https://site.test/l", body).optouts(SITE + "/")
        assert len(found.value) <= 200 and "permits only" in found.value


@pytest.mark.parametrize(
    ("text", "path", "wanted"),
    [
        ("# Spawning AI\nUser-Agent: *\nDisallow: *.html", "/a/b", "disallowed: *.html"),
        ("User-Agent: *\nDisallow: *.html", "/a.pdf", ""),
        ("User-Agent: *\nDisallow: *.pdf\nAllow: *.html", "/a.pdf", "disallowed: *.pdf"),
        ("User-Agent: *\nDisallow: /\nDisallow: *", "/", "disallowed: /"),
        ("User-Agent: *\nDisallow: /\nAllow: /open/", "/open/x", ""),
        ("User-Agent: GPTBot\nDisallow: /", "/a", ""),
        ("User-Agent: *\nDisallow: /\n\nUser-Agent: mmedc\nAllow: /", "/a", ""),
        ("Spec-Version: 1.0\nTraining: deny", "/a", "training: deny"),
        ("Training: allow", "/a", ""),
        ("Training: conditional\nTraining-Allow: /free/*\nTraining-Deny: /paid/*", "/free/x", ""),
        ("Training: conditional\nTraining-Allow: /free/*\nTraining-Deny: /paid/*", "/paid/x", "disallowed: /paid/*"),
        ("Training: deny\nAgent: mmedc\n  Training: allow", "/a", ""),
        ("<title>Not found</title>\nDisallow: /", "/a", ""),
    ],
)
def test_what_an_ai_txt_says_of_a_page(text: str, path: str, wanted: str) -> None:
    found = AiTxt.read(text.encode()).optouts(SITE + path)
    assert [each.value for each in found] == [wanted] * bool(wanted)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"X-Robots-Tag": "noai"}, [("noai", "noai")]),
        ({"X-Robots-Tag": "NoIndex, nofollow"}, [("robots", "noindex")]),
        ({"X-Robots-Tag": "otherbot: noindex, noai"}, []),
        ({"X-Robots-Tag": "otherbot: noindex, mmedc: noai"}, [("noai", "noai")]),
        ({"X-Robots-Tag": "unavailable_after: 25 Jun 2030 15:00:00 PST, noarchive"}, [("robots", "noarchive")]),
        ({"X-Robots-Tag": "all, max-snippet:-1, nofollow"}, []),
        (
            {"TDM-Reservation": "1", "TDM-Policy": "https://site.test/p"},
            [("tdm", "tdm-reservation: 1 https://site.test/p")],
        ),
        ({"tdm-reservation": "0"}, []),
        ({"Content-Usage": "train-ai=n"}, [("content-usage", "train-ai=n")]),
        ({"Content-Usage": "train-ai=y"}, []),
        ({"Content-Signal": "ai-train=no"}, [("content-signal", "ai-train=no")]),
        (
            {"Link": '<https://s.test/l.xml>; rel="license"; type="application/rsl+xml"'},
            [("rsl", "https://s.test/l.xml")],
        ),
        ({"Link": '<https://creativecommons.org/licenses/by/4.0/>; rel="license"'}, []),
        ({"Content-Type": "text/html"}, []),
    ],
)
def test_what_headers_say_against_training(fields: dict[str, str], wanted: list[tuple[str, str]]) -> None:
    found = of_headers(answer(**{name.replace("-", "_"): value for name, value in fields.items()}))
    assert [(optout.signal, optout.value) for optout in found] == wanted


def test_what_a_page_says_against_training() -> None:
    assert of_page(frozenset({"index", "follow"})) == ()
    found = of_page(frozenset({"noai", "noindex", RESERVED}))
    assert [(optout.signal, optout.value) for optout in found] == [
        ("noai", "noai"),
        ("robots", "noindex"),
        ("tdm", "tdm-reservation=1"),
    ]


def test_of_contradictory_statements_the_refusal_holds() -> None:
    assert usage_refused("train-ai=y, train-ai=n") == "train-ai=n"
    assert usage_refused("bots=n, train-ai=y") == ""
    assert usage_refused("nonsense") == ""
    assert usage_refused('train-ai="n"') == "train-ai=n"


def test_the_reservations_of_a_site() -> None:
    body = b"""[{"location": "/free/*", "tdm-reservation": 0}, {"location": "/*.pdf$", "tdm-reservation": 1},
        {"location": "/books", "tdm-reservation": 1, "tdm-policy": "https://site.test/p.json"}]"""
    read = Reservations.read(b"\xef\xbb\xbf" + body)
    assert read.problem == ""
    assert [bool(read.optouts(SITE + path)) for path in ("/free/a.pdf", "/a.pdf", "/a.pdf?x", "/books/1", "/a")] == [
        False,
        True,
        False,
        True,
        False,
    ]
    assert read.optouts(SITE + "/books/1")[0].value == "tdm-reservation=1 https://site.test/p.json"
    assert Reservations.read(b'{"location": "/", "tdm-reservation": "1"}').optouts(SITE + "/")
    for odd in (b"", b"<html>", b"[" * 100_000, b"[1]", b'[{"location": 7}]', b"\xff"):
        assert Reservations.read(odd).problem
        assert Reservations.read(odd).optouts(SITE + "/") == ()


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8), st.booleans())
def test_patterns_match_as_a_regular_expression_would(pattern: str, path: str, ends: bool) -> None:
    import re

    oracle = "".join(".*" if letter == "*" else letter for letter in pattern) + (r"\Z" if ends else "")
    assert path_matches(pattern + ("$" if ends else ""), path) is bool(re.match(oracle, path))


def test_the_names_of_crawlers_that_train_models_ship() -> None:
    names = open_filters().words("crawl/ai_agents.txt")
    assert {"GPTBot", "CCBot", "Google-Extended"} <= set(names)


# delays

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 5 ", 5.0),
        ("1.5", 1.0),
        ("0", 0.0),
        ("-5", None),
        ("1000000000", 86400.0),
        ("99999999999999999999", None),
        ("soon", None),
        ("", None),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW + 9e8, usegmt=True), 86400.0),
        (formatdate(NOW - 90, usegmt=True), None),
        ("Wed, 99 Foo 2026 99:99:99 GMT", None),
    ],
)
def test_how_long_a_server_asks_to_wait(value: str, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


def test_a_site_is_asked_by_one_request_at_a_time_and_after_its_delay() -> None:
    schedule = Schedule(Manners(delay_s=2, share=1))
    schedule.enrol("a", 0)
    schedule.enrol("a", 0)
    assert schedule.take(0) == "a"
    schedule.enrol("a", 0)
    assert schedule.take(99) is None
    assert schedule.due() is None
    schedule.done("a", 100, status=200, seconds=0.1)
    assert schedule.due() == 102
    assert schedule.take(101.9) is None
    assert schedule.take(102) == "a"
    schedule.done("a", 110, status=200, seconds=8)  # a slow site
    assert schedule.due() == 118
    schedule.slow("a", 20)
    assert schedule.take(118) == "a"
    schedule.done("a", 120, status=404, more=False)
    assert schedule.due() is None
    schedule.enrol("a", 121)
    assert schedule.due() == 140


def test_an_address_is_asked_by_few_requests_however_many_sites_it_has() -> None:
    schedule = Schedule(Manners(delay_s=0, per_ip=2, ip_delay_s=1))
    for site in "abcd":
        schedule.locate(site, "192.0.2.1")
        schedule.enrol(site, 0)
    schedule.locate("e", "192.0.2.2")
    schedule.enrol("e", 0)
    assert [schedule.take(0), schedule.take(0), schedule.take(0)] == ["a", "e", None]
    assert schedule.due() == 1
    assert schedule.take(1) == "b"
    assert schedule.take(2) is None  # two are under way
    assert schedule.due() is None
    schedule.done("a", 3, status=200)
    taken = [schedule.take(3), schedule.take(3)]
    assert taken[0] in ("a", "c")
    assert taken[1] is None
    schedule.release("e", 3)
    assert schedule.take(3) == "e"
    with pytest.raises(ValueError, match="before it is taken"):
        schedule.locate("e", "192.0.2.9")


def test_a_busy_site_is_left_alone_ever_longer_and_in_the_end_for_good() -> None:
    schedule = Schedule(Manners(delay_s=1, busy_s=10, strikes=4))
    now, pauses = 0.0, []
    schedule.enrol("a", now)
    for _ in range(4):
        assert schedule.take(now) == "a"
        schedule.done("a", now, status=429)
        due = schedule.due()
        pauses.append(None if due is None else due - now)
        now = due or now
    assert pauses == [10, 20, 40, None]
    assert schedule.given_up == {"a": "busy"}
    schedule.enrol("a", now + 1e6)
    assert schedule.take(now + 2e6) is None


def test_a_site_is_waited_for_as_long_as_it_asks_unless_that_is_too_long() -> None:
    schedule = Schedule(Manners(delay_s=1, patience_s=600))
    for site in "abc":
        schedule.enrol(site, 0)
        assert schedule.take(0) == site
    schedule.done("a", 0, status=503, retry_after=120)
    schedule.done("b", 0, status=429, retry_after=86400)
    schedule.done("c", 0, status=0)
    assert schedule.given_up == {"b": "busy"}
    assert schedule.take(10) == "c"
    schedule.done("c", 10, status=200)
    assert schedule.take(11) == "c"  # it has answered: all is well again
    assert schedule.take(119) is None
    assert schedule.take(120) == "a"
    schedule.done("a", 120, status=200)
    due = schedule.due()
    assert due is not None
    assert due > 121  # after it was busy, it is asked more slowly


def test_a_site_with_an_absurd_delay_is_given_up() -> None:
    schedule = Schedule()
    schedule.enrol("a", 0)
    schedule.slow("a", 1e9)
    assert schedule.given_up == {"a": "crawl_delay"}
    assert schedule.take(1) is None


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from([200, 404, 429, 0]), st.floats(0, 3)), max_size=60)
)
def test_no_site_and_no_address_is_ever_asked_too_often(events: list[tuple[str, int, float]]) -> None:
    manners = Manners(delay_s=1, per_ip=2, ip_delay_s=0.5, strikes=99, patience_s=1e9)
    schedule, now = Schedule(manners), 0.0
    where = {site: "12"[index % 2] for index, site in enumerate("abcdef")}
    ended: dict[str, float] = {}
    began: dict[str, float] = {}
    under_way: list[str] = []
    for site, status, step in events:
        schedule.locate(site, where[site]) if site not in under_way else None
        schedule.enrol(site, now)
        if (taken := schedule.take(now)) is not None:
            assert taken not in under_way
            assert now - ended.get(taken, -9) >= 1 - 1e-9
            assert now - began.get(where[taken], -9) >= 0.5 - 1e-9
            began[where[taken]] = now
            under_way.append(taken)
            assert sum(where[other] == where[taken] for other in under_way) <= 2
        now += step
        if under_way and step > 1:
            other = under_way.pop(0)
            ended[other] = now
            schedule.done(other, now, status=status)


# sitemaps and feeds

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACES = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:xhtml="http://www.w3.org/1999/xhtml"'


def urls(body: str | bytes, url: str = SITE + "/sitemap.xml") -> list[str]:
    return [link.url for link in read_sitemap(body.encode() if isinstance(body, str) else body, url).links]


def test_a_sitemap_with_dates_and_languages() -> None:
    body = f"""{HEAD}<urlset {NAMESPACES}><url><loc> http://site.test/a?x=1&amp;y=2 </loc><lastmod>2026-11-30</lastmod>
        <xhtml:link rel="alternate" hreflang="de" href="http://site.test/de/a"/></url>
        <url><loc>/b</loc><lastmod>yesterday</lastmod></url><url><loc>mailto:x@site.test</loc></url>
        <url><loc>http://site.test/b</loc></url></urlset>"""
    for packed in (body.encode(), gzip.compress(body.encode()), body.replace("UTF-8", "utf-16").encode("utf-16")):
        read = read_sitemap(packed, SITE + "/sitemap.xml")
        assert [(link.url, link.kind, link.lastmod) for link in read.links] == [
            ("http://site.test/a?x=1&y=2", "sitemap", "2026-11-30"),
            ("http://site.test/de/a", "hreflang", "2026-11-30"),
            ("http://site.test/b", "sitemap", ""),
        ]
        assert (read.sitemaps, read.problem) == ((), "")


def test_an_index_names_sitemaps() -> None:
    body = f"{HEAD}<sitemapindex {NAMESPACES}><sitemap><loc>/1.xml.gz</loc></sitemap><sitemap/></sitemapindex>"
    assert read_sitemap(body.encode(), SITE + "/s.xml").sitemaps == ("http://site.test/1.xml.gz",)


def test_feeds_and_lists() -> None:
    rss = f"""{HEAD}<rss version="2.0"><channel><link>http://site.test/</link><item><title>Fieber</title>
        <link>/fever</link><pubDate>Mon, 30 Nov 2026 10:00:00 +0100</pubDate></item>
        <item><guid>http://site.test/cough</guid></item><item><guid>17</guid></item></channel></rss>"""
    read = read_sitemap(rss.encode(), SITE + "/feed")
    assert [(link.url, link.anchor, link.kind, link.lastmod) for link in read.links] == [
        ("http://site.test/fever", "Fieber", "feed", "2026-11-30T10:00:00+01:00"),
        ("http://site.test/cough", "", "feed", ""),
    ]
    atom = f"""{HEAD}<feed xmlns="http://www.w3.org/2005/Atom"><link href="http://site.test/"/><entry><title>Tos</title>
        <link rel="edit" href="/edit"/><link rel="alternate" href="/tos"/>
        <updated>2026-11-30T10:00:00Z</updated></entry></feed>"""
    assert urls(atom) == ["http://site.test/tos"]
    assert urls("http://site.test/1\r\n\r\nhttp://site.test/2\nnothing\n") == [
        "http://site.test/1",
        "http://site.test/2",
    ]


@pytest.mark.parametrize(
    ("body", "count", "problem"),
    [
        (b"", 0, ""),
        (b"no list", 0, "damaged"),
        (b"<html><p>Not found</html>", 0, "damaged"),
        (f"{HEAD}<urlset><url><loc>/a</loc></url><url><loc>/b</loc></url><url><l".encode(), 2, "damaged"),
        (gzip.compress(b"<urlset><url><loc>/a</loc></url></urlset>")[:-12], 0, "damaged"),
        (gzip.compress(bytes(60 << 20)), 0, "too_large"),
        (b"<urlset>" + b"<a>" * 5000, 0, "damaged"),
        (b"".join(b"http://site.test/%d\n" % number for number in range(MAX_LINKS + 5)), MAX_LINKS, "too_long"),
        (b'<!DOCTYPE x [<!ENTITY a "/bomb"><!ENTITY b "&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>', 1, ""),
        (b'<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd"><urlset><url><loc>/a</loc></url></urlset>', 1, ""),
    ],
)
def test_a_sitemap_that_is_no_sitemap(body: bytes, count: int, problem: str) -> None:
    read = read_sitemap(body, SITE + "/sitemap.xml")
    assert len(read.links) == count
    assert read.problem.partition(":")[0] == problem
    assert not any("bomb" in link.url for link in read.links)
