"""Sources `books`: files of a folder told apart by their content, containers of many articles, and hostile files."""

import bz2
import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from mmedc.errors import RecipeError
from mmedc.recipe import Recipe
from mmedc.sources import Reader, list_units
from tests import bookfiles
from tests.warcs import http, packed, record

TEXT = bookfiles.page("<p>Text.</p>")
EPUB = bookfiles.epub({"a.xhtml": TEXT}, metadata="<dc:title>T</dc:title>")


def read(
    folder: Path, files: dict[str, bytes], start: int = 0, skip: frozenset[int] = frozenset(), **settings: Any
) -> list[dict[str, Any]]:
    """Return the records of a folder with these files."""
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    source = {"books": str(folder), **settings.pop("source", {})}
    recipe = Recipe.model_validate({"name": "books", "sources": {"books": source}, **settings})
    rows = []
    for unit in list_units(recipe):
        for batch in Reader().read(unit.spec, start, skip):
            rows += batch.to_pylist()
    assert [row["ordinal"] for row in rows] == list(range(start, start + len(rows)))
    return rows


def said(row: dict[str, Any]) -> str:
    return (row["rejected_by"] or row["dropped_by"] or "").partition(":")[0]


def tar(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def test_the_content_says_what_a_file_is(tmp_path: Path) -> None:
    rows = read(
        tmp_path / "shelf",
        {
            "a.jpg": EPUB,
            "b.epub": bookfiles.jats("<p>An article.</p>"),
            "c.xml.gz": gzip.compress(bookfiles.jats("<p>Packed.</p>")),
            "d.css": b"p { margin: 0 }" + bytes(8),
            "e.png": b"\x89PNG\r\n\x1a\n",
        },
    )
    assert [(row["locator"], row["kind"], row["text"], said(row)) for row in rows] == [
        ("a.jpg", "book", "Text.", ""),
        ("b.epub", "article", "An article.", ""),
        ("c.xml.gz", "article", "Packed.", ""),
        ("d.css", None, None, "not_text"),
        ("e.png", None, None, "not_text"),
    ]
    assert [row["kind"] for row in read(tmp_path / "shelf", {}, source={"kind": "textbook"})][:2] == [
        "textbook",
        "article",
    ]


def test_a_dump_has_a_record_for_each_page(tmp_path: Path) -> None:
    pages = [bookfiles.wiki_page(f"Page {n}", f"Text {n}.", n % 2) for n in range(4)]
    half = len(pages[0]) * 2 + 300
    dump = bookfiles.wiki_dump(*pages)
    rows = read(
        tmp_path / "one", {"dump.xml.bz2": bz2.compress(dump[:half]) + bz2.compress(dump[half:])}
    )  # multistream
    assert [said(row) for row in rows] == ["", "not_article", "", "not_article"]
    assert rows[2]["locator"] == "https://en.wiki.example/wiki/Page_2" and rows[2]["text"] == "Text 2."
    again = read(tmp_path / "one", {}, start=1, skip=frozenset([2]))
    assert [(row["ordinal"], row["text"]) for row in again] == [(1, None), (2, None), (3, None)]
    cut = read(tmp_path / "cut", {"dump.xml": dump[: -len(pages[3]) - 5]})
    assert [said(row) for row in cut] == ["", "not_article", "", "damaged"]
    big = bookfiles.wiki_dump(pages[0], bookfiles.wiki_page("Big", "x" * 3_000_000), pages[2])
    rows = read(tmp_path / "big", {"dump.xml": big}, limits={"document": "1MiB"})
    assert [said(row) for row in rows] == ["", "too_large", ""]


def test_an_archive_has_a_record_for_each_member(tmp_path: Path) -> None:
    members = {
        "PMC1/a.nxml": bookfiles.jats("<p>A.</p>"),
        "../../b.nxml": bookfiles.jats("<p>B.</p>"),
        "c.gif": b"GIF89a",
    }
    rows = read(tmp_path / "tar", {"pmc.tar.gz": gzip.compress(tar(members))})
    assert [(row["locator"], row["text"], said(row)) for row in rows] == [
        ("pmc.tar.gz#member=PMC1/a.nxml", "A.", ""),
        ("pmc.tar.gz#member=../../b.nxml", "B.", ""),
        ("pmc.tar.gz#member=c.gif", None, "not_text"),
    ]
    rows = read(tmp_path / "cut", {"pmc.tar": tar(members)[:1300]})
    assert [said(row) for row in rows] == ["", "damaged"]


def test_records_are_numbered_alike_from_any_start(tmp_path: Path) -> None:
    stub = "<front-stub/><body><p>Le texte.</p></body>"
    after = f'<sub-article article-type="translation" xml:lang="fr">{stub}</sub-article>'
    files = {
        "a.xml": bookfiles.jats("<p>A.</p>", after=after),
        "b.xml": b"<article",
        "c.xml": bookfiles.jats("<p>C.</p>", after=after),
    }
    whole = read(tmp_path / "all", files)
    assert [(row["locator"], said(row)) for row in whole] == [
        ("a.xml", ""),
        ("a.xml#translation=fr", ""),
        ("b.xml", "damaged"),
        ("c.xml", ""),
        ("c.xml#translation=fr", ""),
    ]
    for start in range(1, 5):
        assert read(tmp_path / "all", {}, start=start) == whole[start:]
    broken = read(tmp_path / "all", {}, skip=frozenset([3]))
    assert [(row["locator"], row["text"]) for row in broken[3:]] == [("c.xml", None)]


def test_reserved_books_are_dropped_unless_the_recipe_keeps_them(tmp_path: Path) -> None:
    data = bookfiles.epub(
        {"a.xhtml": TEXT}, metadata='<dc:title>T</dc:title><meta name="tdm:reservation" content="1"/>'
    )
    (row,) = read(tmp_path / "one", {"a.epub": data})
    assert said(row) == "reserved" and row["text"] is None
    (row,) = read(tmp_path / "one", {}, books={"reserved": "keep"})
    assert row["text"] == "Text." and row["licence_evidence"] == "tdm:reservation 1"


def test_a_long_book_is_split_at_its_sections(tmp_path: Path) -> None:
    words = "The knee joint bends and the hip joint turns, as all joints of the leg do. "
    chapters = {
        f"{n}.xhtml": bookfiles.page(
            f"<h1>Chapter {n}</h1><p>{words * 4}</p><h2>Part {n}a</h2><p>{words * 9}</p><h2>Part {n}b</h2><p>{words * 9}</p>"
        )
        for n in (1, 2)
    }
    chapters["3.xhtml"] = bookfiles.page(f"<h1>Last</h1><p>{words}</p>" + f"<p>{words * 3}</p>" * 10)
    data = bookfiles.epub(chapters, metadata="<dc:title>T</dc:title>")
    rows = read(tmp_path / "one", {"a.epub": data}, publish={"split": "section", "tokens": 256})
    from mmedc.tokenizer import plain_encoder

    assert max(len(ids) for ids in plain_encoder("qwen")([row["text"] for row in rows])) <= 256
    assert len({row["locator"] for row in rows}) == len(rows)
    assert [row["locator"].partition("#")[2] for row in rows][:3] == ["section=1-1.1", "section=1.2", "section=2-2.1"]
    assert rows[1]["text"].startswith("Chapter 1\n\nPart 1b\n\nThe knee")
    assert [(section["offset"], section["title"]) for section in rows[1]["sections"]] == [
        (0, "Chapter 1"),
        (11, "Part 1b"),
    ]
    assert rows[-1]["locator"].startswith("a.epub#section=3&piece=")
    (whole,) = read(tmp_path / "one", {})
    kept = "".join("".join(row["text"].split()).removeprefix("Chapter1").removeprefix("Chapter2") for row in rows)
    assert kept.replace("Last", "") == "".join(whole["text"].split()).replace("Chapter1", "").replace(
        "Chapter2", ""
    ).replace("Last", "")


def test_a_folder_of_chapters_is_one_book(tmp_path: Path) -> None:
    def chapter(n: int) -> bytes:
        return f"<html><body><h1>Chapter {n}</h1><p>Text {n}.</p></body></html>".encode()

    links = "".join(f'<li><a href="c{n}.html">Chapter {n}</a></li>' for n in (2, 1, 3))
    files = {f"legs/c{n}.html": chapter(n) for n in (1, 2, 3)}
    files["legs/index.html"] = (
        f"<html><head><title>Legs</title></head><body><nav><ul>{links}</ul></nav></body></html>".encode()
    )
    files |= {
        "pages/a.html": chapter(7),
        "pages/b.html": chapter(8),
        "pages/c.html": chapter(9),
        "style.css": bytes(99),
    }
    rows = read(tmp_path / "one", files)
    assert [(row["locator"], row["title"]) for row in rows][:2] == [("legs/index.html", "Legs"), ("pages/a.html", None)]
    assert rows[0]["text"] == "Chapter 2\n\nText 2.\n\nChapter 1\n\nText 1.\n\nChapter 3\n\nText 3."
    assert [said(row) for row in rows] == ["", "", "", "", "not_text"]
    again = read(tmp_path / "one", {}, start=0, skip=frozenset([0]))  # the folder broke the reader
    assert [row["locator"] for row in again][:3] == ["legs/c1.html", "legs/c2.html", "legs/c3.html"]
    assert again[0]["text"] is None and again[1]["text"] == "Chapter 2\n\nText 2."


def test_books_among_the_pages_of_a_crawl(tmp_path: Path) -> None:
    article = bookfiles.jats("<p>An article.</p>")
    site = "https://books.example"
    whole = record(f"{site}/cut.epub", http(EPUB[:300], "application/epub+zip"))
    cut = whole.replace(b"WARC-Type: response", b"WARC-Type: response\r\nWARC-Truncated: length", 1)
    (tmp_path / "a.warc.gz").write_bytes(
        packed(
            record(f"{site}/a", http(EPUB, "application/octet-stream")),
            record(
                f"{site}/b.docx",
                http(bookfiles.docx(bookfiles.word_paragraph(bookfiles.word_run("Words."))), "application/msword"),
            ),
            record(f"{site}/c.zip", http(bookfiles.zipped({"a.txt": "x"}), "application/zip")),
            record(f"{site}/d.xml", http(article, "image/png")),
            cut,
        )
    )
    recipe = Recipe.model_validate({"name": "crawl", "sources": {"crawl": {"warc": str(tmp_path / "a.warc.gz")}}})
    rows = [
        row
        for unit in list_units(recipe)
        for batch in Reader().read(unit.spec, 0, frozenset())
        for row in batch.to_pylist()
    ]
    assert [(row["locator"].removeprefix(site), row["kind"], row["text"], said(row)) for row in rows] == [
        ("/a", "book", "Text.", ""),
        ("/b.docx", "book", "Words.", ""),
        ("/c.zip", None, None, "not_text"),
        ("/d.xml", None, None, "not_text"),
        ("/cut.epub", None, None, "truncated"),
    ]
    assert "WARC-Truncated" in rows[-1]["rejected_by"]


WIKI_PAGES = [bookfiles.wiki_page(f"Knee {n}", f"The knee {n}. " + "More of it. " * (n * 7 % 50)) for n in range(40)]


def packed_dumps() -> dict[str, bytes]:
    """Return one dump, packed as dumps are: not at all, a stream for some pages, streams that cut pages, one stream."""
    plain = bookfiles.wiki_dump(*WIKI_PAGES)
    head, tail = plain[: plain.index(b"  <page>")], plain[plain.rindex(b"</page>\n") + 8 :]
    groups = [head, *(b"".join(WIKI_PAGES[at : at + 5]) for at in range(0, 40, 5)), tail]
    return {
        "plain.xml": plain,
        "multistream.xml.bz2": b"".join(map(bz2.compress, groups)),
        "parallel.xml.bz2": b"".join(bz2.compress(plain[at : at + 1009]) for at in range(0, len(plain), 1009)),
        "single.xml.bz2": bz2.compress(plain),
    }


def test_a_large_dump_is_read_in_ranges_and_every_page_once(tmp_path: Path) -> None:
    for name, data in packed_dumps().items():
        whole = [(row["locator"], row["text"]) for row in read(tmp_path / name, {name: data})]
        assert len(whole) == 40
        for unit in (len(data), 997):
            recipe = {"name": "b", "sources": {"b": {"books": str(tmp_path / name)}}, "limits": {"unit": unit}}
            units = list_units(Recipe.model_validate(recipe))
            rows = [
                row for one in units for batch in Reader().read(one.spec, 0, frozenset()) for row in batch.to_pylist()
            ]
            assert [(row["locator"], row["text"]) for row in rows] == whole
            assert len({row["provenance"] for row in rows}) == 40 and sum(one.bytes for one in units) == len(data)
            assert len(units) > 3 or unit == len(data) or name == "single.xml.bz2"


def test_damage_to_a_dump_costs_the_stream_that_it_is_in(tmp_path: Path) -> None:
    data = bytearray(packed_dumps()["multistream.xml.bz2"])
    starts = [at for at in range(len(data)) if data[at : at + 10] == b"BZh91AY&SY"]
    data[starts[3] + 40 : starts[3] + 50] = bytes(10)
    folder, settings = tmp_path / "one", {"limits": {"unit": 4000}}
    folder.mkdir()
    (folder / "x.xml.bz2").write_bytes(bytes(data) + b"rubbish" * 9)
    recipe = Recipe.model_validate({"name": "b", "sources": {"b": {"books": str(folder)}}, **settings})
    rows = [
        row
        for one in list_units(recipe)
        for batch in Reader().read(one.spec, 0, frozenset())
        for row in batch.to_pylist()
    ]
    lost = [row["rejected_by"] for row in rows if row["rejected_by"]]
    assert len(rows) - len(lost) == 35 and all(reason.startswith("damaged: ") for reason in lost)
    assert any("stream at offset" in reason for reason in lost) and "63 bytes at its end" in lost[-1]
    whole = read(tmp_path / "two", {"x.xml.bz2": bytes(data)})  # a small one is read as a whole, up to the damage
    assert [said(row) for row in whole] == [""] * 10 + ["damaged"]


def test_a_short_section_before_a_long_one_is_no_piece_of_its_own(tmp_path: Path) -> None:
    long = "".join(f"<h2>Part {n}</h2><p>{'The knee joint bends and the hip joint turns. ' * 20}</p>" for n in range(4))
    page = bookfiles.page(f"<h1>Title</h1><p>One.</p><h1>Knee</h1>{long}")
    data = bookfiles.epub({"a.xhtml": page}, metadata="<dc:title>T</dc:title>")
    rows = read(tmp_path / "one", {"a.epub": data}, publish={"split": "section", "tokens": 256})
    assert [row["locator"].partition("=")[2] for row in rows] == ["1-2.1", "2.2", "2.3", "2.4"]
    assert rows[0]["text"].startswith("Title\n\nOne.\n\nKnee\n\nPart 0\n\nThe knee")
    assert [section["title"] for section in rows[0]["sections"]] == ["Title", "Knee", "Part 0"]
    assert rows[1]["text"].startswith("Knee\n\nPart 1\n\nThe knee")


def test_a_folder_that_has_only_web_archives_is_no_source_of_books(tmp_path: Path) -> None:
    (tmp_path / "pages.warc.gz").write_bytes(b"WARC/1.0")
    recipe = Recipe.model_validate({"name": "x", "sources": {"library": {"books": str(tmp_path)}}})
    with pytest.raises(RecipeError, match=r"are WARC files.*use `warc:`"):
        list_units(recipe)
    (tmp_path / "a.txt").write_text("Asthma is a disease.")
    assert [unit.label for unit in list_units(recipe)] == ["library: a.txt and 1 more"]
