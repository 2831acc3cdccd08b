"""Books and articles as their parsers read them: text, sections, what is known of them, and what is left out."""

import pytest

from mmedc.books import pubmed, wiki
from mmedc.books.book import Book, Unreadable
from mmedc.books.documents import documents
from mmedc.books.rules import BookRules
from mmedc.recipe import Recipe
from mmedc.sources.books import book_rules
from tests import bookfiles

LIMIT = 16 << 20


@pytest.fixture(scope="module")
def rules() -> BookRules:
    recipe = {"name": "books", "sources": {"books": {"books": "nowhere"}}}
    return book_rules(Recipe.model_validate(recipe))


def one(data: bytes, rules: BookRules, name: str = "file") -> Book:
    (book,) = documents(data, name, rules, LIMIT)
    for section in book.sections:
        assert book.text.startswith(section.title, section.offset)
    return book


def headings(book: Book) -> list[tuple[int, str]]:
    return [(section.level, section.title) for section in book.sections]


def test_article_with_everything(rules: BookRules) -> None:
    meta = """
      <article-id pub-id-type="doi">10.9999/x.1</article-id><article-id pub-id-type="pmid">42</article-id>
      <title-group><article-title>Iron<xref ref-type="fn" rid="t">*</xref> in <italic>H. pylori</italic></article-title></title-group>
      <contrib-group><contrib contrib-type="author"><name><surname>Doe</surname><given-names>A. B.</given-names></name></contrib>
      </contrib-group><pub-date pub-type="ppub"><year>2020</year></pub-date>
      <pub-date pub-type="epub"><day>3</day><month>2</month><year>2021</year></pub-date>
      <permissions><license><ali:license_ref>https://creativecommons.org/licenses/by-nc/4.0/</ali:license_ref></license></permissions>
      <abstract><p>Short.</p></abstract><trans-abstract xml:lang="fr"><title>Résumé</title><p>Bref.</p></trans-abstract>"""
    body = """<sec><title>Methods</title><p>Counts of 10<sup>9</sup>/L and H<sub>2</sub>O<sup><xref ref-type="bibr" rid="r">1</xref></sup>
      were taken.<xref ref-type="fn" rid="f1"><sup>a</sup></xref></p><sec><label>1.1</label><title>Cells</title>
      <p>See <xref ref-type="table" rid="t1">Table 1</xref>.</p>
      <table-wrap id="t1"><label>Table 1</label><caption><p>Values</p></caption><table><tr><th rowspan="2">A</th><th>B</th></tr>
      <tr><td>2|3</td></tr></table></table-wrap><fig><label>Figure 1</label><caption><p>A cell.</p></caption></fig></sec></sec>
      <sec><title>Results</title><p><inline-formula><mml:math><mml:mfrac><mml:mi>a</mml:mi><mml:mn>2</mml:mn></mml:mfrac></mml:math>
      </inline-formula> holds.</p></sec>"""
    back = """<ack><title>Thanks</title><p>We thank all.</p></ack><fn-group><fn id="f1"><label>a</label><p>By hand.</p></fn></fn-group>
      <ref-list><title>References</title><ref><mixed-citation>Smith 1999.</mixed-citation></ref></ref-list>"""
    book = one(bookfiles.jats(body, meta, back), rules)
    assert book.kind == "article" and book.title == "Iron in H. pylori" and book.date == "2021-02-03"
    assert book.authors == ["A. B. Doe"] and book.identifiers == ["doi:10.9999/x.1", "pmid:42"]
    assert (book.licence, book.licence_evidence) == ("CC-BY-NC-4.0", "jats")
    assert book.text == (
        "Iron in H. pylori\n\nAbstract\n\nShort.\n\nMethods\n\nCounts of 10⁹/L and H₂O[1] were taken.[a]\n\n[a] By hand.\n\n"
        "1.1 Cells\n\nSee Table 1.\n\nTable 1. Values\n\n| A | B |\n| A | 2\\|3 |\n\nFigure 1. A cell.\n\n"
        "Results\n\na/2 holds."
    )
    assert headings(book) == [
        (1, "Iron in H. pylori"),
        (2, "Abstract"),
        (2, "Methods"),
        (3, "1.1 Cells"),
        (2, "Results"),
    ]
    assert {(left.part, left.title) for left in book.left_out} == {
        ("translations", "Résumé"),
        ("acknowledgements", "Thanks"),
        ("bibliography", "References"),
    }


def test_an_abstract_in_parts_has_a_heading_in_its_language(rules: BookRules) -> None:
    meta = "<title-group><article-title>Tos</article-title></title-group><abstract><sec><title>Métodos</title><p>Uno.</p></sec>"
    meta += "</abstract><trans-abstract xml:lang='en'><p>Two.</p></trans-abstract><abstract abstract-type='teaser'><p>Tres.</p></abstract>"
    book = one(bookfiles.jats("<sec><title>Métodos</title><p>Más.</p></sec>", meta, lang="es"), rules)
    assert headings(book) == [(1, "Tos"), (2, "Resumen"), (3, "Métodos"), (2, "Métodos")]
    assert [(left.part, left.chars) for left in book.left_out] == [("translations", len("AbstractTwo."))]


def test_a_chapter_that_is_broken_or_cut_off_is_noted(rules: BookRules) -> None:
    members = {f"{n}.xhtml": bookfiles.page(f"<h1>Part {n}</h1><p>{'A long text. ' * 9}</p>") for n in range(4)}
    members |= {"1.xhtml": members["1.xhtml"][:-60], "2.xhtml": ""}
    data = bookfiles.epub(members, metadata="<dc:title>T</dc:title>")
    at = data.index(b"OEBPS/3.xhtml") + 30
    book = one(data[:at] + bytes(9) + data[at + 9 :], rules)
    assert [section.title for section in book.sections] == ["Part 0", "Part 1"]
    noted = [(left.part, left.title) for left in book.left_out]
    assert noted == [("cut", "OEBPS/1.xhtml"), ("empty", "OEBPS/2.xhtml"), ("damaged", "OEBPS/3.xhtml")]


def test_translation_of_an_article_is_a_document(rules: BookRules) -> None:
    stub = "<front-stub><title-group><article-title>Le titre</article-title></title-group></front-stub>"
    after = f'<sub-article article-type="translation" xml:lang="fr">{stub}<body><p>Le texte.</p></body></sub-article>'
    after += '<sub-article article-type="reviewer-report"><body><p>Good.</p></body></sub-article>'
    meta = "<title-group><article-title>The title</article-title></title-group><permissions><license><license-p>Ask us."
    meta += "</license-p></license></permissions>"
    english, french = documents(bookfiles.jats("<p>The text.</p>", meta, after=after), "a.xml", rules, LIMIT)
    assert (english.place, english.text) == ("", "The title\n\nThe text.")
    assert (french.place, french.text) == ("translation=fr", "Le titre\n\nLe texte.")
    assert english.licence is None and french.licence_evidence == "jats: Ask us."
    assert [left.part for left in english.left_out] == ["reviews"]


def test_parts_that_the_recipe_keeps_stay() -> None:
    recipe = {
        "name": "b",
        "sources": {"b": {"books": "x"}},
        "books": {"parts": {"bibliography": "keep", "tables": "drop"}},
    }
    rules = book_rules(Recipe.model_validate(recipe))
    data = bookfiles.jats(
        "<table-wrap><table><tr><td>1</td><td>2</td></tr></table></table-wrap><p>Text.</p>",
        back="<ref-list><title>References</title><ref><mixed-citation>Smith.</mixed-citation></ref></ref-list>",
    )
    book = one(data, rules)
    assert book.text == "Text.\n\nReferences\n\nSmith."
    assert [left.part for left in book.left_out] == ["tables"]


def test_book_of_bits(rules: BookRules) -> None:
    data = b"""<book xmlns:xlink="x"><book-meta><book-title-group><book-title>Renal care</book-title></book-title-group>
      <isbn>978-0-00-000000-2</isbn><subj-group><subject>Textbook</subject></subj-group></book-meta><book-body>
      <book-part><book-part-meta><title-group><label>1</label><title>Kidney</title></title-group></book-part-meta>
      <body><sec><title>Stones</title><p>Text.</p></sec></body></book-part></book-body></book>"""
    book = one(data, rules)
    assert book.kind == "textbook" and book.identifiers == ["isbn:9780000000002"]
    assert headings(book) == [(1, "Renal care"), (2, "1 Kidney"), (3, "Stones")]


METADATA = (
    '<dc:title>Anatomy</dc:title><dc:creator id="a">A. Writer</dc:creator><dc:creator opf:role="trl">T. Other</dc:creator>'
    "<dc:identifier>urn:isbn:9780000000002</dc:identifier><dc:date>2019-05</dc:date><dc:subject>Anatomy textbooks</dc:subject>"
    '<dc:rights>CC BY-SA 3.0</dc:rights><meta property="role" refines="#a">aut</meta>'
)


def test_epub_in_the_order_of_its_spine(rules: BookRules) -> None:
    chapters = {
        "cover.xhtml": bookfiles.page('<body epub:type="cover"><p>ANATOMY</p></body>'),
        "imprint.xhtml": bookfiles.page("<p>© 2019 The House. ISBN 9780000000002.</p>"),
        "two.xhtml": bookfiles.page(
            '<h1>Bones</h1><p>The hip<a href="notes.xhtml#n1" epub:type="noteref">1</a> bears.</p><p>More.'
            '<span epub:type="pagebreak" id="p2"/> Next page.</p><h2 id="joint">Joints</h2><ul><li>Knee</li><li>Hip</li></ul>'
        ),
        "one.xhtml": bookfiles.page("<p>The <ruby>骨<rt>ほね</rt></ruby> is hard.</p><h2>Index</h2><p>hip, 3</p>"),
        "notes.xhtml": bookfiles.page('<aside epub:type="footnote" id="n1"><p>Or coxa.</p></aside>'),
    }
    nav = '<li><a href="two.xhtml">Bones</a><ol><li><a href="two.xhtml#joint">Joints</a></li></ol></li><li><a href="one.xhtml">Tissue</a></li>'
    book = one(bookfiles.epub(chapters, metadata=METADATA, nav=nav), rules)
    assert book.text == (
        "Bones\n\nThe hip[1] bears.\n\n[1] Or coxa.\n\nMore. Next page.\n\nJoints\n\n- Knee\n- Hip\n\nTissue\n\nThe 骨 is hard."
    )
    assert headings(book) == [(1, "Bones"), (2, "Joints"), (1, "Tissue")]
    assert [book.text[page:][:9] for page in book.pages] == [" Next pag"]
    assert (book.kind, book.authors, book.date) == ("textbook", ["A. Writer"], "2019-05")
    assert (book.identifiers, book.licence, book.licence_evidence) == (["isbn:9780000000002"], "CC-BY-SA-3.0", "epub")
    assert [left.part for left in book.left_out] == ["front_matter", "front_matter", "index"]


def test_epub_2_takes_titles_from_its_ncx(rules: BookRules) -> None:
    ncx = '<navPoint><navLabel><text>First</text></navLabel><content src="a.xhtml"/></navPoint>'
    guide = '<guide><reference type="copyright-page" href="b.xhtml"/></guide>'
    chapters = {"a.xhtml": bookfiles.page("<p>Text.</p>"), "b.xhtml": bookfiles.page("<p>All ours.</p>")}
    book = one(bookfiles.epub(chapters, metadata="<dc:title>T</dc:title>", ncx=ncx, guide=guide), rules)
    assert book.text == "First\n\nText." and book.kind is None
    assert [left.part for left in book.left_out] == ["front_matter"]


def test_notes_are_found_by_links_in_both_directions(rules: BookRules) -> None:
    body = '<p>Text<a id="r1" href="#n1">[1]</a> on.</p><p>End.</p><p id="n1"><a href="#r1">[1]</a> The note.</p>'
    book = one(bookfiles.epub({"a.xhtml": bookfiles.page(body)}), rules)
    assert book.text == "Text[1] on.\n\n[1] The note.\n\nEnd."


def test_reserved_and_encrypted_books(rules: BookRules) -> None:
    metadata = '<dc:title>T</dc:title><meta property="tdm:reservation">1</meta><meta property="tdm:policy">https://p.example</meta>'
    book = one(bookfiles.epub({"a.xhtml": bookfiles.page("<p>Text.</p>")}, metadata=metadata), rules)
    assert book.reserved == "1 https://p.example"
    members = bookfiles.epub_members({"a.xhtml": bookfiles.page("<p>Text.</p>")}, metadata="<dc:title>T</dc:title>")
    encryption = '<encryption><EncryptedData><EncryptionMethod Algorithm="{}"/><CipherReference URI="{}"/></EncryptedData></encryption>'
    font = encryption.format("http://www.idpf.org/2008/embedding", "OEBPS/font.otf")
    assert one(bookfiles.zipped(members | {"META-INF/encryption.xml": font}), rules).text == "Text."
    page = encryption.format("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "OEBPS/a.xhtml")
    with pytest.raises(Unreadable, match="encrypted"):
        documents(bookfiles.zipped(members | {"META-INF/encryption.xml": page}), "b.epub", rules, LIMIT)


ARTICLE = """{{Infobox|name=Asthma}}
'''Asthma''' affects [[airway|the airways]].<ref>Doe 2014</ref> Counts of 10<sup>9</sup>/L; {{lang|fr|toux}}; <math>x^2</math>.
[[File:A.jpg|thumb|200px|The ''airways''.]]

== Signs ==
* [[cough]]ing
* wheeze
# one
# two
{| class="wikitable"
|+ Degrees
! Degree !! Days
|-
| mild || 2
|}
=== See also ===
* [[Bronchitis]]
[[Category:Asthma]]
[[fr:Asthme]]"""


def test_wikitext(rules: BookRules) -> None:
    book = wiki.render(ARTICLE, rules)
    assert book.text == (
        "Asthma affects the airways. Counts of 10⁹/L; toux; $x^2$.\n\nThe airways.\n\nSigns\n\n- coughing\n- wheeze\n1. one\n2. two\n\n"
        "Degrees\n\n| Degree | Days |\n| mild | 2 |"
    )
    assert headings(book) == [(1, "Signs")] and book.kind == "encyclopedia"
    assert [(left.part, left.title) for left in book.left_out] == [("bibliography", "See also")]


def test_pages_of_a_dump(rules: BookRules) -> None:
    base = "https://en.wiki.example/wiki/"
    (book,) = wiki.article(bookfiles.wiki_page("Hay fever", "Text.", 0), base)
    assert (book.locator, book.date, book.markup) == (f"{base}Hay_fever", "2026-01-01T00:00:00Z", wiki.MARKUP)
    assert wiki.article(bookfiles.wiki_page("Talk:A", "Text.", 1), base)[0].unwanted.startswith("not_article: ")
    assert wiki.article(bookfiles.wiki_page("B", "#REDIRECT [[A]]", 0, "<redirect title='A'/>"), base)[0].unwanted
    assert wiki.base_of(bookfiles.wiki_dump()) == base


def test_citation_of_pubmed(rules: BookRules) -> None:
    data = b"""<PubmedArticle><MedlineCitation><PMID>7</PMID><Article><Journal><JournalIssue><PubDate><Year>2018</Year><Month>May</Month>
      </PubDate></JournalIssue></Journal><ArticleTitle>Iron.</ArticleTitle><Abstract><AbstractText Label="METHODS">We did.</AbstractText>
      <AbstractText Label="RESULTS">It did.</AbstractText></Abstract><AuthorList><Author><LastName>Doe</LastName><ForeName>A</ForeName>
      </Author></AuthorList></Article></MedlineCitation><PubmedData><ArticleIdList><ArticleId IdType="doi">10.9/x</ArticleId>
      </ArticleIdList></PubmedData></PubmedArticle>"""
    (book,) = pubmed.citation(data, rules)
    assert book.text == "Iron.\n\nMethods\n\nWe did.\n\nResults\n\nIt did."
    assert (book.date, book.authors, book.identifiers) == ("2018-05", ["A Doe"], ["pmid:7", "doi:10.9/x"])


def test_docx(rules: BookRules) -> None:
    run, paragraph = bookfiles.word_run, bookfiles.word_paragraph
    cell = "<w:tc><w:tcPr>{}</w:tcPr><w:p>{}</w:p></w:tc>"
    wide = '<w:gridSpan w:val="2"/>'
    body = (
        paragraph(run("Knee"), "berschrift1")
        + paragraph(
            run("Counts of 10")
            + run("9", '<w:vertAlign w:val="superscript"/>')
            + run("/L")
            + "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del>"
            + f"<w:ins>{run(' stay')}</w:ins><w:r><w:footnoteReference w:id='2'/></w:r>"
        )
        + paragraph(run("Knee 3"), "Verzeichnis1")
        + f"<w:tbl><w:tr>{cell.format('', run('A'))}{cell.format(wide, run('B'))}</w:tr>"
        + f"<w:tr>{cell.format('', run('1'))}{cell.format('', run('2'))}{cell.format('', run('3'))}</w:tr></w:tbl>"
        + "<w:p><m:oMath><m:f><m:num><m:r><m:t>a</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r></m:den></m:f></m:oMath></w:p>"
    )
    styles = '<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
    styles += '<w:style w:styleId="Verzeichnis1"><w:name w:val="toc 1"/></w:style>'
    notes = f'<w:footnote w:id="2"><w:p>{run("The note.")}</w:p></w:footnote>'
    core = "<dc:title>Legs</dc:title><dc:creator>A. Doe; B. Doe</dc:creator><dc:rights>Our own terms</dc:rights>"
    book = one(bookfiles.docx(body, styles=styles, footnotes=notes, core=core), rules)
    assert book.text == "Knee\n\nCounts of 10⁹/L stay[2]\n\n[2] The note.\n\n| A | B | B |\n| 1 | 2 | 3 |\n\na/2"
    assert headings(book) == [(1, "Knee")] and [left.part for left in book.left_out] == ["contents"]
    assert (book.title, book.authors) == ("Legs", ["A. Doe", "B. Doe"])
    assert (book.licence, book.licence_evidence) == (None, "docx: Our own terms")


def test_markdown(rules: BookRules) -> None:
    data = b"""---
title: Legs
author: A. Doe
license: CC-BY-4.0
type: textbook
---
# The *knee*

Text with a [link](https://x.example).

## Bones

- one
- two

| a | b |
|---|---|
| 1 | 2 |

References
----------

Doe 1999.
"""
    book = one(data, rules, "a.md")
    assert book.text == "The knee\n\nText with a link.\n\nBones\n\n- one\n- two\n\n| a | b |\n| 1 | 2 |"
    assert (book.title, book.authors, book.licence, book.kind) == ("Legs", ["A. Doe"], "CC-BY-4.0", "textbook")
    assert headings(book) == [(1, "The knee"), (2, "Bones")]


def test_html_in_markdown_is_read_as_in_pages(rules: BookRules) -> None:
    data = b"""# Blood

The platelets were 5 x 10<sup>9</sup>/L, and CO<sub>2</sub> rose.

<p align=center>Given by inhaler.</p>

<table><tr><td>Salbutamol</td><td>100 mg</td></tr><tr><td>Prednisone</td><td>5 mg</td></tr></table>

The last line.
"""
    text = one(data, rules, "a.md").text
    assert "10\u2079/L, and CO\u2082 rose." in text
    assert "Given by inhaler." in text and "| Salbutamol | 100 mg |" in text
    assert text.endswith("The last line.")


@pytest.mark.parametrize(
    ("text", "charset", "expected"),
    [
        (
            "Chapter 1\n\nThe knee\nbends.\n\n1.2 Hip joint\n\nIt turns.\n\nReferences\n\nDoe.",
            "utf-8",
            [(1, "Chapter 1"), (2, "1.2 Hip joint")],
        ),
        (
            "第一章 关节\n\n膝关节能弯曲，髋关节能转动。\n\n第二章 骨\n\n骨头很硬。\n",
            "gb18030",
            [(1, "第一章 关节"), (1, "第二章 骨")],
        ),
        (
            "Глава 1. Колено\n\nСустав сгибается.\n\nГлава 2\n\nКость.\n",
            "utf-16",
            [(1, "Глава 1. Колено"), (1, "Глава 2")],
        ),
        ("Knee\n====\n\nIt bends.\n\nHip\n---\n\nIt turns. 1.2 is no heading\n", "utf-8", [(1, "Knee"), (2, "Hip")]),
        ("الفصل الأول\n\nالركبة.\n\nالفصل الثاني\n\nالورك.\n", "utf-8", [(1, "الفصل الأول"), (1, "الفصل الثاني")]),
    ],
)
def test_headings_of_plain_text(rules: BookRules, text: str, charset: str, expected: list[tuple[int, str]]) -> None:
    book = one(text.encode(charset), rules, "a.txt")
    assert headings(book) == expected
    assert "Doe." not in book.text and "����" not in book.text


def test_a_book_in_html(rules: BookRules) -> None:
    data = (
        "<html><head><meta charset=gb2312><title>关节</title><link rel=license href='https://creativecommons.org/licenses/by/4.0/'></head>"
        "<body><nav><a href=#k>目录</a></nav><h1 id=k>膝</h1><p>膝<div>弯曲</div>。<p hidden>x<p>10<sup>9</sup>/L<br>次<h2>参考文献</h2><p>王</body></html>"
    ).encode("gb18030")
    book = one(data, rules, "a.html")
    assert book.text == "膝\n\n膝\n\n弯曲\n\n。\n\n10⁹/L\n次"
    assert (book.title, book.licence, book.licence_evidence) == ("关节", "CC-BY-4.0", "page")
    assert [left.part for left in book.left_out] == ["contents", "bibliography"]
