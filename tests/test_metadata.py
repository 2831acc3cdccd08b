"""What pages say about themselves: titles, days, authors, licences, addresses; and which of them ask and answer."""

import json

import pytest

from mmedc.licences import spdx
from mmedc.steps.extract import kinds, read_page, tree
from mmedc.steps.extract.addresses import canonical
from mmedc.steps.extract.dates import read_date
from mmedc.steps.extract.jsonld import MAX_THINGS, main_thing, read_things
from mmedc.steps.extract.metadata import Found, Metadata, read_metadata
from mmedc.steps.extract.titles import choose_title

URL = "https://health.example.org/asthma"


def said(head: str = "", body: str = "", url: str = URL, lang: str = "en", latest: str = "2026-12-01") -> Metadata:
    page = f'<html lang="{lang}"><head>{head}</head><body>{body}</body></html>'
    return read_metadata(Found(tree.parse(page)), url, latest)


def ld(value: object) -> str:
    return f'<script type="application/ld+json">{json.dumps(value, ensure_ascii=False)}</script>'


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("2024-03-05T23:10:00+09:00", "2024-03-05"),
        ("March 5th, 2024", "2024-03-05"),
        ("Tue, 05 Mar 2024 10:00:00 GMT", "2024-03-05"),
        ("2024年3月5日", "2024-03-05"),
        ("2024년 3월 5일", "2024-03-05"),
        ("令和6年3月5日", "2024-03-05"),
        ("令和元年5月1日", "2019-05-01"),
        ("5. März 2024", "2024-03-05"),
        ("1er février 2023", "2023-02-01"),
        ("5 de marzo de 2024", "2024-03-05"),
        ("5 de março de 2024", "2024-03-05"),
        ("5 marzo 2024", "2024-03-05"),
        ("5 марта 2024 г.", "2024-03-05"),
        ("5 مارس 2024", "2024-03-05"),
        ("٥ كانون الثاني ٢٠٢٤", "2024-01-05"),
        ("५ मार्च २०२४", "2024-03-05"),
        ("20240305", "2024-03-05"),
        ("31.12.1999", "1999-12-31"),
        ("2024-02-30", None),
        ("room 2024-1", None),
        ("version 1.2.3.2024", None),
    ],
)
def test_days_are_read_in_every_language(written: str, day: str | None) -> None:
    assert read_date(written) == day


def test_the_declared_language_says_whether_the_month_comes_first() -> None:
    assert read_date("3/5/2024", "en-US") == "2024-03-05"
    assert read_date("3/5/2024", "de") == read_date("3/5/2024", "en-gb") == "2024-05-03"
    assert read_date("1709600000", partial=True) == "2024-03-05"
    assert read_date("2024-03", partial=True) == "2024-03"
    assert read_date("2024-03") is None


def test_what_is_stated_counts_before_the_address_and_the_address_before_what_is_shown() -> None:
    stated = ld({"@type": "Article", "headline": "Asthma", "datePublished": "2020-01-02"})
    shown = '<h1>Asthma</h1><p class="date">March 5, 2019</p>'
    dated = "https://health.example.org/2018/07/09/asthma"
    assert said(stated, shown, dated).date == "2020-01-02"
    assert said("", shown, dated).date == "2018-07-09"
    assert said("", shown).date == "2019-03-05"


def test_the_address_decides_between_two_days_that_a_time_zone_makes_of_one() -> None:
    head = '<meta property="article:published_time" content="2018-07-10T01:00:00Z">'
    assert said(head, "", "https://health.example.org/2018/07/09/asthma").date == "2018-07-09"


def test_no_day_is_later_than_the_crawl_or_the_default_of_a_broken_system() -> None:
    for value in ("2027-01-01", "1970-01-01", "0001-01-01"):
        assert said(f'<meta name="date" content="{value}">').date is None
    assert said('<meta name="date" content="2024-06-02">', latest="2024-06-01").date is None


def test_a_shown_day_ends_at_its_element_and_is_of_the_age_of_the_web() -> None:
    assert said("", "<div class=meta><i>ana</i><i>28.09.19</i><i>12:44</i></div>", lang="de").date == "2019-09-28"
    assert said("", "<div class=date>28.09.1912</div>", lang="de").date is None


def test_the_day_of_a_change_is_only_the_last_resort() -> None:
    changed = '<meta property="article:modified_time" content="2022-02-02">'
    assert said(changed, '<time datetime="2020-05-06">May 6</time>').date == "2020-05-06"
    assert said(changed).date == "2022-02-02"
    body = "<p class=meta>Updated on 3 May 2021</p><p class=meta>Published on 1 May 2021</p>"
    assert said("", body).date == "2021-05-01"


@pytest.mark.parametrize(
    ("headline", "social", "document", "headings", "sites", "title"),
    [
        ("", "", "Asthma in children | Health Portal", ["Asthma in children"], ["Health Portal"], "Asthma in children"),
        ("", "", "Asthma in children | Health Portal", [], ["health portal"], "Asthma in children"),
        ("", "Asthma in children", "Asthma in children - News - HP", ["Health"], [], "Asthma in children"),
        ("", "", "哮喘的治疗_呼吸内科_健康网", [], ["健康网"], "哮喘的治疗_呼吸内科"),
        ("", "", "喘息とは｜みんなの病院", ["喘息とは"], [], "喘息とは"),
        ("", "", "Health Portal", ["Health Portal", "Asthma"], ["Health Portal"], "Asthma"),
        (
            "",
            "",
            "How asthma is treated in 2024",
            ["Asthma: how it is treated now"],
            [],
            "Asthma: how it is treated now",
        ),
        ("", "", "Install guide — Docs", ["Install guide¶"], ["Docs"], "Install guide"),
        ("", "", "COVID-19 - what helps", [], [], "COVID-19 - what helps"),
        (
            "",
            "",
            "Clinic - News - A new ward opens",
            ["Clinic", "News", "A new ward opens"],
            ["clinic"],
            "A new ward opens",
        ),
        (
            "",
            "",
            "A song that nobody knows : The Archive | Since 2005",
            ["The Archive"],
            [],
            "A song that nobody knows",
        ),
        ("", "", "Writing well - salus.example - Web design", [], ["salus.example"], "Writing well"),
        ("", "", "| : .", ["Asthma"], [], "Asthma"),
        ("", "", "Home", ["Time to say goodbye."], [], "Time to say goodbye."),
        ("", "", "", [], [], ""),
    ],
)
def test_the_title_is_what_its_sources_agree_on(
    headline: str, social: str, document: str, headings: list[str], sites: list[str], title: str
) -> None:
    assert choose_title(headline, social, document, headings, sites) == title


def test_broken_json_ld_is_mended_or_searched() -> None:
    assert read_things(['<!-- {"@type": "Article", "headline": "A",} -->'])[0]["headline"] == "A"
    assert read_things(['{"@type": "Article", "headline": "A\nB"}'])[0]["headline"] == "A\nB"
    (found,) = read_things(['{"@type": "Article", "datePublished": "2020-01-02", "author": {"name": "x" "y"}'])
    assert found == {"@type": "Article", "datePublished": "2020-01-02"}
    assert read_things(["null", "3", '"text"', "", "{"]) == []


def test_graphs_lists_and_entities_of_json_ld() -> None:
    graph = {"@graph": [{"@type": "WebSite", "name": "HP"}, [{"@type": ["Thing", "schema:NewsArticle"]}]]}
    assert [one.get("@type") for one in read_things([json.dumps(graph)])][1:] == [
        "WebSite",
        ["Thing", "schema:NewsArticle"],
    ]
    head = ld({"@type": "Article", "headline": "Q &amp;amp; A", "author": {"@id": "#a"}}) + ld(
        {"@id": "#a", "@type": "Person", "name": "Ana&nbsp;Ruiz"}
    )
    found = said(head + "<title>Q &amp; A</title>")
    assert (found.title, found.authors) == ("Q & A", ("Ana Ruiz",))


@pytest.mark.parametrize(
    "bomb",
    [
        "[" * 200_000,
        '{"@graph":' * 20_000,
        "[" + ",".join(["{}"] * 80_000) + "]",
        '{"a":"' + "x" * (1 << 20) + '"}',
        '"headline":"' * 90_000,
        '{"n":' + "9" * 100_000 + "}",
    ],
)
def test_bombs_of_json_ld_leave_a_bounded_number_of_objects(bomb: str) -> None:
    assert len(read_things([bomb])) <= MAX_THINGS


def test_an_article_of_several_is_not_the_page() -> None:
    several = [{"@type": "Article", "headline": f"{n}", "url": f"https://health.example.org/{n}"} for n in range(5)]
    assert main_thing(several, URL, "Health") == {}
    assert main_thing([*several, {"@type": "Article", "headline": "own", "url": URL}], URL, "")["headline"] == "own"
    video = [{"@type": "VideoObject", "name": "Another thing"}]
    assert main_thing(video, URL, "Asthma") == {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://creativecommons.org/licenses/by-sa/4.0/deed.de", "CC-BY-SA-4.0"),
        ("http://creativecommons.org/licenses/by-nc-nd/3.0/de/", "CC-BY-NC-ND-3.0-DE"),
        ("//creativecommons.org/licenses/by/2.5/br/", "CC-BY-2.5"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "CC-PDM-1.0"),
        ("https://creativecommons.org/licenses/by/", None),
        ("CC BY-NC 4.0", "CC-BY-NC-4.0"),
        ("cc-by", None),
        ("https://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/", "OGL-UK-3.0"),
        ("All rights reserved", None),
    ],
)
def test_licences_have_the_identifiers_of_spdx(given: str, expected: str | None) -> None:
    assert spdx(given) == expected


CC = "https://creativecommons.org/licenses/by-sa/4.0/"


@pytest.mark.parametrize(
    ("head", "body", "licence"),
    [
        (f'<link rel="license" href="{CC}">', "", ("CC-BY-SA-4.0", "link")),
        (ld({"@type": "Article", "license": CC}), "", ("CC-BY-SA-4.0", "json-ld")),
        (ld({"@type": "ImageObject", "license": CC}), "", None),
        ('<meta name="DC.rights" content="CC BY 4.0">', "", ("CC-BY-4.0", "meta")),
        (
            "",
            f'<p>This work is licensed under a <a rel="license" href="{CC}">licence</a>.',
            ("CC-BY-SA-4.0", "rel=license"),
        ),
        ("", f'<footer><a href="{CC}"><img alt="CC"></a></footer>', ("CC-BY-SA-4.0", "sentence")),
        ("", f'<p>Der Text ist unter der Lizenz <a href="{CC}">CC BY-SA</a> verfügbar.', ("CC-BY-SA-4.0", "sentence")),
        ("", f'<p>本文采用<a href="{CC}">知识共享</a>许可协议。', ("CC-BY-SA-4.0", "sentence")),
        ("", f'<figure><img><figcaption>A. Person, <a rel="license" href="{CC}">CC</a></figcaption></figure>', None),
        ("", f'<div class="photo-credit">Text of it: <a rel="license" href="{CC}">CC</a></div>', None),
        ("", f'<p>Photo: <a href="{CC}">CC BY-SA</a>', None),
        ("", f'<p>Code samples are licensed under <a rel="license" href="{CC}">CC</a>', None),
        ("", f'<p>Many journals use <a href="{CC}">this one</a>.', None),
        (
            "",
            f'<footer><a href="{CC}">1</a> <a href="https://creativecommons.org/licenses/by/4.0/">2</a></footer>',
            None,
        ),
        ("", f'<div class="comment-body"><p>This text is licensed: <a href="{CC}">CC</a></div>', None),
    ],
)
def test_only_a_licence_of_the_page_licenses_it(head: str, body: str, licence: tuple[str, str] | None) -> None:
    assert said(head, body).licence == licence


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/asthma?page=1#top", "https://health.example.org/asthma?page=1"),
        ("https://www.health.example.org/asthma", "https://www.health.example.org/asthma"),
        ("https://example.org/asthma", "https://example.org/asthma"),
        ("https://evil.example.com/asthma", None),
        ("https://health.example.org/", None),
        ("javascript:alert(1)", None),
        ("https://user@health.example.org/asthma", None),
        ("http://[", None),
        ("", None),
    ],
)
def test_a_canonical_address_is_believed_on_its_own_site(given: str, expected: str | None) -> None:
    assert canonical(given, URL) == expected


def test_authors_come_from_the_surest_source_and_writers_of_threads_are_not_named() -> None:
    metas = '<meta name="citation_author" content="Ruiz, Ana"><meta name="citation_author" content="Sato, Ken">'
    assert said(metas).authors == ("Ruiz, Ana", "Sato, Ken")
    assert said("", '<a rel="author" href="/a">By Ana Ruiz</a>').authors == ("Ana Ruiz",)
    for nobody in ("https://x.example/ana", "Super User", "publisher", "Redaktion"):
        assert said(f'<meta name="author" content="{nobody}">').authors == (), nobody
    assert said(ld({"@type": "DiscussionForumPosting", "author": {"name": "worried mum"}})).authors == ()


def test_an_author_that_only_a_byline_names_is_found() -> None:
    article = '<meta property="og:type" content="article">'
    for byline in (
        '<p class="byline">By <a href="/authors/ana-ruiz/">Ana Ruiz</a>, 3 May 2021</p>',
        '<div class="article__author">Von Ana Ruiz</div>',
        '<em class="byline">Ana Ruiz</em>',
    ):
        assert said(article, f"<h1>Asthma</h1>{byline}<p>A text.</p>").authors == ("Ana Ruiz",), byline
    assert said(article, '<h1>喘息</h1><p class="author">文：佐藤健</p>').authors == ("佐藤健",)
    for other in (
        '<div class="comments"><p class="author">By Ana Ruiz</p></div>',
        "".join(f'<p class="byline">By Ana {name}</p>' for name in ("Ruiz", "Sato", "Weber", "Costa")),
        '<p class="author-bio">Ana Ruiz writes about asthma and other diseases of the lungs.</p>',
    ):
        assert said(article, other).authors == (), other
    assert said('<meta name="author" content=", Ana Ruiz">').authors == ("Ana Ruiz",)


def test_writers_of_a_thread_are_not_named() -> None:
    thread = '<head><meta property="og:type" content="article"></head>'
    thread += '<div class="post"><p class="byline">By Ana Ruiz</p><div class="postbody">{}</div></div>' * 2
    assert read_page(thread.format("My inhaler does not help at night.", "Ask for a spacer.")).authors is None


def test_identifiers_of_a_page() -> None:
    head = (
        '<meta name="citation_doi" content="https://doi.org/10.1000/ABC.1"><meta name="citation_pmid" content="123">'
        '<link rel="canonical" href="/asthma/">'
    )
    assert said(head).identifiers == ("doi:10.1000/abc.1", "pmid:123", "url:https://health.example.org/asthma/")


THREADS = {
    "phpBB": '<div class="post"><div class="postbody">{}</div></div>' * 2,
    "vBulletin": '<ol><li><div id="post_message_11">{}</div></li><li><div id="post_message_12">{}</div></li></ol>',
    "Discourse": '<div class="topic-body crawler-post">{}</div><div class="topic-body crawler-post">{}</div>',
    "XenForo": '<article class="message js-post"><div class="bbWrapper">{}</div></article>' * 2,
    "Stack Exchange": '<div id="question">{}</div><div id="answers"><div class="answer">{}</div></div>',
    "Discuz": '<table><td id="postmessage_1">{}</td></table><table><td id="postmessage_2">{}</td></table>',
    "consultation zh": '<div class="ask_cont"><p>{}</p></div><div class="b_anscont"><p>{}</p></div>',
    "consultation ja": '<div class="ClapLv2QuestionItem_x">{}</div><div class="ClapLv2AnswerItem_x"><p>{}</p></div>',
    "microdata": '<div itemtype="https://schema.org/QAPage"><div itemtype="https://schema.org/Question">{}'
    '<div itemtype="https://schema.org/Answer">{}</div></div></div>',
}


@pytest.mark.parametrize("system", THREADS)
def test_a_thread_has_its_kind_and_its_roles(system: str) -> None:
    walk = tree.walk(tree.parse(THREADS[system].format("Does asthma go away?", "It often gets better with age.")))
    roles = kinds.roles_of(walk)
    assert kinds.kind_of([], walk, roles) == "qa"
    asked, answered = (roles[owner] for owner in walk.owners)
    assert (asked, answered) == ("question", "answer")


@pytest.mark.parametrize(
    "page",
    [
        "<article><p>Asthma is a disease.</p></article><div id=comments><li class=comment>Thank you!</li></div>",
        '<div class="question">Which inhaler?</div><div class="answer">Any.</div>' * 3 + "<p>Asthma is a disease.</p>",
        '<a class="ask-question" href="/ask">Ask a doctor</a><p>Asthma is a disease.</p>',
        '<div class="postbody">One post without an answer</div>',
    ],
)
def test_articles_with_comments_and_lists_of_questions_are_no_thread(page: str) -> None:
    walk = tree.walk(tree.parse(page))
    assert kinds.kind_of([], walk, kinds.roles_of(walk)) is None


def test_types_of_schema_org_decide() -> None:
    walk = tree.walk(tree.parse("<p>What is asthma?</p><p>A disease of the airways.</p>"))
    answer = {"@type": "Question", "acceptedAnswer": {"@type": "Answer", "text": "A disease of the airways."}}

    def kind(*things: object) -> str | None:
        return kinds.kind_of(read_things([json.dumps(list(things))]), walk, kinds.roles_of(walk))

    assert kind({"@type": "QAPage"}) == kind({"@type": "DiscussionForumPosting"}) == "qa"
    assert kind(*[{"@type": "DiscussionForumPosting"}] * 9) is None
    assert kind({"@type": "MedicalWebPage"}) is None
    assert kind({"@type": "FAQPage", "mainEntity": [answer]}) == "qa"
    assert kind({"@type": "FAQPage", "mainEntity": [{**answer, "acceptedAnswer": {"text": "Short."}}]}) is None


def test_a_page_fills_the_columns_that_its_source_leaves_empty() -> None:
    head = f'<title>Asthma</title><link rel="license" href="{CC}"><meta name="author" content="Ana Ruiz">'
    page = read_page(
        f"<html><head>{head}</head><body><p>{'Asthma is a disease. ' * 30}</p></body></html>", "trafilatura", url=URL
    )
    assert (page.title, page.licence, page.licence_evidence) == ("Asthma", "CC-BY-SA-4.0", "page:link")
    assert (page.authors, page.kind) == (["Ana Ruiz"], None)
