"""Traps end with a reason, and sites without traps are not cut; when pages are due again."""

import random

import numpy as np
import pytest

from mmedc.crawl.revisit import DAY, History, Revisits, change_rate, next_visit
from mmedc.crawl.sketch import likeness, sketch
from mmedc.crawl.traps import REASONS, TrapLimits, Traps, repeats
from mmedc.filters import open_filters

WORDS = [
    "fever",
    "cough",
    "asthma",
    "lungs",
    "patient",
    "therapy",
    "dose",
    "clinic",
    "tablet",
    "nurse",
    "blood",
    "heart",
]


def article(number: int, words: int = 200) -> str:
    chosen = random.Random(number)
    return " ".join(chosen.choice(WORDS) + chosen.choice("aeiou") for _ in range(words))


def traps() -> Traps:
    return Traps(missing=open_filters().words("crawl/missing.txt"), year=2026)


def test_a_site_of_articles_is_no_trap() -> None:
    trap = traps()
    for number in range(2_000):
        url = f"https://h.org/articles/{number}?lang=es"
        assert trap.found(url, "h.org") == ""
        assert trap.page(url, f"Article {number}", article(number)) == ""
        assert trap.closed(url) == ""


def test_a_blog_with_dates_is_no_trap() -> None:
    trap = traps()
    for number in range(1_000):
        url = f"https://h.org/{2000 + number % 25}/{1 + number % 12:02}/{1 + number % 28:02}/post-{number}/"
        assert (trap.found(url), trap.page(url, "", article(number))) == ("", "")


def test_an_endless_calendar_ends() -> None:
    trap, fetched = traps(), 0
    for month in range(600):
        url = f"https://h.org/events?year={2020 + month // 12}&month={month % 12 + 1}"
        if trap.found(url) or trap.closed(url):
            continue
        fetched += 1
        trap.page(url, "Events", f"Events in month {month}: there are no events this month. " + "Mo Tu We Th Fr " * 20)
    assert fetched <= 5


def test_a_calendar_whose_pages_differ_ends_too() -> None:
    trap = traps()
    asked = [
        trap.found(f"https://h.org/calendar/{2000 + day // 365}-{day // 31 % 12 + 1:02}-{day % 28 + 1:02}")
        for day in range(999)
    ]
    assert asked.count("") <= TrapLimits().calendar
    assert trap.found("https://h.org/news/9999-01-01") == "calendar"


def test_tokens_in_paths_are_recognised_by_their_pages() -> None:
    trap = traps()
    reasons = []
    for number in range(10):
        url = f"https://h.org/s/{random.Random(number).getrandbits(64):016x}/index.html"
        reasons.append(trap.found(url) or trap.closed(url))
        trap.page(url, "Home", article(7))
    assert reasons[:2] == ["", ""] and reasons[-1] == "session_id"


def test_paths_without_end() -> None:
    trap = traps()
    assert trap.found("https://h.org/" + "a/b/" * 4) == "repeated_path"
    assert trap.found("https://h.org/" + "".join(f"s{n}/" for n in range(17))) == "deep_path"
    assert trap.found("https://h.org/" + "x" * 1_000) == "long_url"
    assert trap.found("https://h.org/2024/2024/01/01/2024/asthma") == ""
    assert repeats(["a", "b", "c", "a", "b", "c"]) == 2


def test_queries() -> None:
    trap = traps()
    assert trap.found("https://h.org/list?a=1&b=2") == ""
    assert trap.found("https://h.org/list?b=2&a=1") == "query_order"
    facets = [
        trap.found(f"https://h.org/find?{'&'.join(f'f{n}={n}' for n in range(12) if mask >> n & 1)}")
        for mask in range(1, 200)
    ]
    assert facets.count("") <= TrapLimits().query_keys
    assert "query_parameters" in facets or "query_facets" in facets
    pages = [trap.found(f"https://h.org/table?page={n}") for n in range(1_000)]
    assert pages.count("") == TrapLimits().query_variants and pages[-1] == "query_variants"


def test_subdomains_without_end() -> None:
    trap = traps()
    reasons = [trap.found(f"https://u{n}.h.org/", "h.org") for n in range(300)]
    assert reasons.count("") == TrapLimits().subdomains and reasons[-1] == "subdomains"
    assert trap.found("https://u5.h.org/more", "h.org") == ""


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("Page not found", "Sorry. Search our site."),
        ("Hospital", "Página no encontrada. Vuelva al inicio."),
        ("", "お探しのページが見つかりません"),
        ("Портал", "Ошибка: страница не найдена"),
    ],
)
def test_soft_404(title: str, text: str) -> None:
    trap = traps()
    assert (
        trap.page("https://h.org/x/1", title, text + " Home News About Contact Departments Doctors Appointments")
        == "soft_404"
    )
    assert trap.page("https://h.org/x/2", "Not found in the atlas", article(3, 2_000)) == ""


def test_a_page_like_one_that_does_not_exist_does_not_either() -> None:
    trap, shell = traps(), article(1, 150)
    assert trap.page("https://h.org/x/1", "Error 404", shell) == "soft_404"
    assert trap.page("https://h.org/y/2", "Welcome", shell) == "soft_404"


def test_what_was_learnt_survives() -> None:
    trap = traps()
    for number in range(5):
        trap.found(f"https://h.org/a/{number}?p={number}", "h.org")
        trap.page(f"https://h.org/a/{number}", "", article(1))
    other = traps()
    other.load(trap.dump())
    assert other.dump() == trap.dump()
    assert other.closed("https://h.org/a/9") == trap.closed("https://h.org/a/9") == "near_identical"
    assert other.found("https://h.org/a/3?p=3") == "query_order"
    assert set(REASONS) >= {"near_identical", "query_order"}


def test_sketches() -> None:
    text = article(1, 2_000)
    assert likeness(sketch(text), sketch(text.upper() + " 12.3.2024")) == 1.0
    assert likeness(sketch(text), sketch(article(2, 2_000))) < 0.5
    assert 0.7 < likeness(sketch(text), sketch(article(1, 1_800) + article(3, 200))) < 0.98
    assert not len(sketch("short")) and likeness(sketch("short"), sketch(text)) == 0.0
    assert np.all(np.diff(sketch(text).astype(np.int64)) >= 0)


def test_change_rates() -> None:
    assert change_rate(History(0.0)) == 0.0
    daily = History(last=100 * DAY, visits=11, changes=5, span=10 * DAY)
    assert change_rate(daily) * DAY == pytest.approx(0.65, abs=0.02)
    assert next_visit(daily, Revisits()) == pytest.approx(101 * DAY, abs=0.2 * DAY)
    still = History(last=100 * DAY, visits=11, changes=0, span=100 * DAY)
    assert next_visit(still, Revisits()) == 100 * DAY + Revisits().most
    assert next_visit(History(last=DAY), Revisits()) == 31 * DAY
    assert next_visit(still, Revisits(), lastmod=101 * DAY) == 101 * DAY
