"""Links of pages: what a tree would find, from markup as it is written."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from mmedc.crawl.address import normal
from mmedc.crawl.links import decoded, read_links, shown_text

HERE = "https://clinic.example.org/es/a/b.html"


def found(page: str, kind: str = "a") -> dict[str, str]:
    return {link.url: link.anchor for link in read_links(page, HERE).links if link.kind == kind}


def test_links_are_absolute_and_have_their_text() -> None:
    page = """<a href="../asma.html">El <b>asma</b> &amp; más</a> <A HREF=/otro?x=1&amp;y=2 >otro</A>
    <a class='x' href='//cdn.example.org/c#part'> <img alt="dolor de espalda" src=i.png> </a><a name=anchor>no</a>
    <a href="#top">no</a><a href="mailto:a@b.org">no</a><a href="javascript:f()">no</a>
    <a href="ftp://x.org/">no</a>"""
    assert found(page) == {
        "https://clinic.example.org/es/asma.html": "El asma & más",
        "https://clinic.example.org/otro?x=1&y=2": "otro",
        "https://cdn.example.org/c": "dolor de espalda",
    }


def test_what_is_not_markup_has_no_links() -> None:
    page = """<!-- <a href="/1">no</a> --><script>"<a href='/2'>"</script><style>a{}</style>
    <textarea><a href=/3></textarea><a data-content='<a href="/5">' href="/6">yes</a><a data-href=/7>no</a>"""
    assert list(found(page)) == ["https://clinic.example.org/6"]


def test_character_references_in_addresses() -> None:
    page = '<a href="/a?region=1&region_id=2&copy=3&amp;lang=es&lt;&#47;">x</a>'
    assert list(found(page)) == ["https://clinic.example.org/a?region=1&region_id=2&copy=3&lang=es%3C/"]


def test_what_a_page_says_about_itself() -> None:
    page = """<html lang="es-MX"><head><base href="/base/"><title> Asma
    &amp; tos </title><meta name="Robots" content="NoIndex, nofollow">
    <meta name=tdm-reservation content=1><link rel="canonical" href="asma">
    <link rel="alternate" hreflang="fr" href="/fr/asthme"><link rel="alternate" type="application/rss+xml" href="rss">
    <link rel=sitemap href=map.xml><meta http-equiv=refresh content="0; url='next.html'"></head>
    <a href="x" rel="nofollow noopener">x</a><a href="y" rel="ugc">y</a><a href="y">a longer text</a></html>"""
    links = read_links(page, HERE)
    base = "https://clinic.example.org/base/"
    assert (links.lang, links.title, links.canonical) == ("es-mx", "Asma & tos", f"{base}asma")
    assert links.robots == {"noindex", "nofollow", "tdm-reservation=1"}
    assert {(link.kind, link.url) for link in links.links if link.kind != "a"} == {
        ("canonical", f"{base}asma"),
        ("hreflang", "https://clinic.example.org/fr/asthme"),
        ("feed", f"{base}rss"),
        ("sitemap", f"{base}map.xml"),
        ("redirect", f"{base}next.html"),
    }
    assert next(link.anchor for link in links.links if link.kind == "hreflang") == "fr"
    followed = {link.url: (link.nofollow, link.anchor) for link in links.links if link.kind == "a"}
    assert followed == {f"{base}x": (True, "x"), f"{base}y": (False, "a longer text")}


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("дыхание".encode(), "text/html; charset=iso-8859-1", "дыхание"),  # the server lies
        ("дыхание".encode("cp1251"), "text/html; charset=windows-1251", "дыхание"),
        (b'<meta charset="gb18030">' + "呼吸".encode("gb18030"), "", '<meta charset="gb18030">呼吸'),
        ("喘息".encode("iso-2022-jp"), "text/html;charset=ISO-2022-JP", "喘息"),
        (b"\xff\xfe" + "тоска".encode("utf-16le"), "", "тоска"),
        (b"caf\xe9", "text/html; charset=no-such", "café"),
        (b"\xef\xbb\xbfx", "", "x"),
    ],
)
def test_charsets(body: bytes, content_type: str, text: str) -> None:
    assert decoded(body, content_type) == text


PIECES = st.sampled_from(
    [
        "<a href=/x>",
        "<a href='/y'>",
        '<a href="/z?a=b"',
        "</a>",
        ">",
        "<!--",
        "-->",
        "<b>",
        "text",
        "<p ",
        "=",
        " ",
        "'",
        '"',
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_any_markup_is_read(page: str) -> None:
    assert all(url.startswith("https://") for url in found(page))


def test_the_tree_of_a_browser_has_the_same_links() -> None:
    page = "".join(
        f"<div class=c{n}><p>text <a title='a > b' href='/p/{n}?q=a&amp;b'>n {n}</a><span><a href=\"q{n}.html\"></span>"
        for n in range(300)
    )
    tree = LexborHTMLParser(page)
    expected = {normal(node.attributes["href"] or "", HERE) for node in tree.css("a[href]")}
    assert set(found(page)) == expected


def test_hostile_pages_are_read_in_time_that_grows_with_their_length() -> None:
    begun = time.process_time()
    for piece in ("<div>", "<a href=", '<a href="', "<!--", "<script>", "<a ", "<", "<title>", "&amp", "<a href='x' ="):
        page = piece * (1_000_000 // len(piece))
        read_links(page, HERE)
        shown_text(page)
    assert time.process_time() - begun < 60  # the square of a million would take hours


def test_shown_text() -> None:
    page = "<p>uno<br>dos<!-- <p>no --><script>no()</script><style>no</style> 1 < 2 tres"
    assert shown_text(page).split() == ["uno", "dos", "1", "<", "2", "tres"]
