"""PDF by its text layer: layout, books put together, page ranges, and files that hurt readers."""

import io
import json
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from ruamel.yaml import YAML

import mmedc
from mmedc.books.book import Book, Unreadable
from mmedc.books.pdf import whole
from mmedc.books.pdf.glyphs import lines_of, logical
from mmedc.books.pdf.joining import count_words, joined
from mmedc.books.pdf.model import Line, PageText
from mmedc.books.pdf.quality import Features, features
from mmedc.books.pdf.wrapped import unwrapped
from mmedc.books.rules import BookRules
from mmedc.engine.run import Inline, run_pass
from mmedc.engine.unit import Pass
from mmedc.inputs import Input
from mmedc.pipeline import pages
from mmedc.pipeline.build import Build
from mmedc.recipe import Recipe, read_recipe
from mmedc.report.explain import explain
from mmedc.report.pages import explain_pages, is_pdf, overview
from mmedc.sources.books import book_rules
from mmedc.storage import Store
from tests.conftest import Notes
from tests.pdffiles import Pdf, book, box, line, lines, plain
from tests.pdfhostile import FILES
from tests.test_cli import mmedc as mmedc_command

ENGINES = ("permissive", "pymupdf")
SENTENCE = "The kidney filters the blood of the patient, and asthma is treated by a physician of the hospital."


def read(data: bytes, engine: str = "permissive", dropped: tuple[str, ...] = ()) -> Book:
    found, *_ = whole.read(data, BookRules(dropped=dropped, engine=engine))
    return found


@pytest.mark.parametrize("engine", ENGINES)
def test_columns_are_read_one_after_another_without_headers_and_page_numbers(engine: str) -> None:
    found = read(book(12), engine)
    assert "Atlas of the lung" not in found.text and "- 3 -" not in found.text
    places = [
        found.text.index(f"air {page}.{column}.{row} ") for page in range(12) for column in (0, 1) for row in range(40)
    ]
    assert places == sorted(places)
    assert [(section.level, section.title) for section in found.sections] == [
        (1, "Chapter 1 Breathing"),
        (1, "Chapter 2 Breathing"),
    ]
    assert len(found.pages) == 12
    assert all(found.text.startswith(f"The lung fills with air {n}.0.0", found.pages[n]) for n in range(1, 10))
    assert (found.title, found.authors, found.date) == ("Atlas of the lung", ["A. Writer"], "2024-01-15")


@pytest.mark.parametrize("engine", ENGINES)
def test_paragraphs_go_on_over_lines_columns_and_pages(engine: str) -> None:
    pdf = Pdf()
    pdf.page(lines(["The patient has a fever and was treat-", "ed with a drug of the well-known"], 72, 700))
    pdf.page(lines(["kind. She recovered soon.", "A treated patient is well-known to us."], 72, 700))
    text = read(pdf.build(), engine).text
    assert "was treated with a drug of the well-known kind. She recovered" in text


@pytest.mark.parametrize("engine", ENGINES)
def test_a_title_over_several_lines_is_one_section(engine: str) -> None:
    pdf = Pdf()
    title = line("The lung and", 250, 740, 18, "F2") + line("all that it does", 230, 719, 18, "F2")
    second = line("2 A chapter about the heart and about", 72, 640, 14) + line("the vessels", 72, 623, 14)
    two = line("3 Bones", 72, 540, 14) + line("3.1 Of the hand", 72, 520, 14)
    pdf.page(b"".join((title, lines([SENTENCE] * 3, 72, 690), second, lines([SENTENCE] * 3, 72, 600), two)))
    assert [section.title for section in read(pdf.build(), engine).sections] == [
        "The lung and all that it does",
        "2 A chapter about the heart and about the vessels",
        "3 Bones",
        "3.1 Of the hand",
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_of_tables_and_footnotes(engine: str) -> None:
    pdf = Pdf()
    content = lines(
        [SENTENCE[:80], "It is done twice.1 Then the next day follows with rest and water for all."], 72, 740
    )
    for row, cells in enumerate((("Drug", "Dose", "Days"), ("Iron", "5 mg", "12"), ("Zinc", "7 mg", "14"))):
        for at, cell in enumerate(cells):
            content += line(cell, 72 + 120 * at, 690 - 14 * row)
    content += lines(["After the table the text goes on, and it ends here."] * 3, 72, 620)
    content += line("1 A note about the dose.", 72, 100, 7)
    pdf.page(content)
    text = read(pdf.build(), engine).text
    assert "| Drug | Dose | Days |\n| Iron | 5 mg | 12 |\n| Zinc | 7 mg | 14 |" in text
    assert text.index("It is done twice") < text.index("1 A note about the dose.") < text.index("After the table")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_whose_end_is_lost_gives_the_pages_that_are_there(engine: str, packed: bool) -> None:
    pdf = Pdf()
    if packed:
        pdf.stream(b"1 0 " + pdf.objects.pop(1), b" /Type /ObjStm /N 1 /First 4")
    for number in range(4):
        pdf.page(lines([f"{SENTENCE} {number}"], 72, 600))
    whole_file = pdf.build()
    assert read(whole_file[: whole_file.rindex(b"xref\n0")], engine).text.count(SENTENCE) == 4
    cut = whole_file.index(b"%d 0 obj" % pdf.pages[3])
    found = read(whole_file[:cut], "permissive")
    assert found.text.count(SENTENCE) == 3
    assert ("unread", "1 pages that the file states and does not have", 0) in found.left_out


def unseen(text: str, y: float) -> dict[str, bytes]:
    """Return the ways in which a text is written so that nobody sees it."""
    return {
        "white": b"1 g\n" + line(text, 72, y) + b"0 g\n",
        "nearly white": b".985 g\n" + line(text, 72, y) + b"0 g\n",
        "grey on grey": box(60, y - 5, 400, 20, 0.9) + b".9 g\n" + line(text, 72, y) + b"0 g\n",
        "no ink": b"3 Tr\n" + line(text, 72, y) + b"0 Tr\n",
        "covered": line(text, 72, y) + box(60, y - 5, 400, 20),
        "blackened": line(text, 72, y) + box(60, y - 5, 400, 20, 0.0),
    }


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("extra", [b"", b"/Rotate 90", b"/CropBox [20 20 560 800]"])
def test_text_that_a_page_does_not_show_is_removed_and_counted(engine: str, extra: bytes) -> None:
    pdf, ways = Pdf(), unseen("Nobody sees 100 mg", 400)
    turn = b"q 0 1 -1 0 842 0 cm\n" if b"Rotate" in extra else b"q\n"
    for content in ways.values():
        pdf.page(turn + lines([SENTENCE] * 5, 72, 600) + content + b"Q", extra=extra, size=(842, 842))
    found = read(pdf.build(), engine)
    assert "Nobody" not in found.text and found.text.count(SENTENCE) == 5 * len(ways)
    assert [(left.part, left.chars) for left in found.left_out] == [("hidden", 15 * len(ways))]


@pytest.mark.parametrize("engine", ENGINES)
def test_text_is_kept_that_only_looks_as_if_it_were_hidden(engine: str) -> None:
    pdf = Pdf()
    content = lines([SENTENCE] * 5, 72, 700) + box(60, 595, 400, 20, 0.2) + b"1 g\n" + line("White on dark", 72, 600)
    content += box(60, 495, 400, 20, 0.9) + b".9 g\n" + line("0", 72, 500) + b"0 g\n" + line("35,71", 77.6, 500)
    pdf.page(content)
    grey = bytes(range(0, 250, 10)) * 25
    extra = b" /Type /XObject /Subtype /Image /Width 25 /Height 25 /ColorSpace /DeviceGray /BitsPerComponent 8"
    image = b"/XObject << /Scan %d 0 R >>" % pdf.stream(grey, extra)
    scan = b"q 595 0 0 842 0 0 cm /Scan Do Q\n"
    pdf.page(scan + b"3 Tr\n" + lines(["The layer of a scanned page."] * 5, 72, 700), image)
    pdf.page(lines(["The layer under a scanned page."] * 5, 72, 700) + scan, image)
    found = read(pdf.build(), engine)
    assert "White on dark" in found.text and "\n35,71" in found.text
    assert found.text.count("The layer of") == found.text.count("The layer under") == 5
    assert [left.chars for left in found.left_out if left.part == "hidden"] == [1]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_wrapped_cell_stays_in_its_row(engine: str) -> None:
    pdf = Pdf()
    content = lines([SENTENCE] * 3, 72, 740)
    for row, (drug, note, dose) in enumerate(
        (("Iron", "with meals", "5"), ("Zinc", "not with milk", "7"), ("Salt", "", "9"))
    ):
        y = 660 - 34 * row
        content += line(drug, 72, y - 6) + line(dose, 330, y - 6)
        content += lines(["It is taken in the morning", note or "and before going to bed"], 180, y)
    pdf.page(content + lines([SENTENCE] * 3, 72, 520))
    rows = [text for text in read(pdf.build(), engine).text.split("\n") if text.startswith("|")]
    assert rows == [
        "| Iron | It is taken in the morning with meals | 5 |",
        "| Zinc | It is taken in the morning not with milk | 7 |",
        "| Salt | It is taken in the morning and before going to bed | 9 |",
    ]


def test_a_blank_line_in_a_wrapped_cell_is_no_text() -> None:
    rows = []
    for top in (100, 140, 180):
        rows.append([Line(72, 90, top, 10, "Iron"), Line(180, 260, top, 10, "in the morning")])
        rows.append([Line(180, 183, top + 12, 10, " "), Line(300, 330, top + 12, 10, "5 mg")])
    together = unwrapped(rows, [len(row) > 1 for row in rows], ())
    assert [[cell.text for cell in row] for row in together] == [["Iron", "in the morning", "5 mg"]] * 3


def test_the_second_line_of_a_caption_is_no_cell_of_the_table_below() -> None:
    rows = [[Line(72, 400, 70, 9, "Table 1: Doses of iron and of")], [Line(150, 320, 80, 9, "vitamin D")]]
    for top in (100, 140, 180):
        rows.append([Line(72, 90, top, 10, "Iron"), Line(180, 260, top, 10, "in the")])
        rows.append([Line(180, 230, top + 12, 10, "morning"), Line(300, 330, top + 12, 10, "5 mg")])
    together = [[cell.text for cell in row] for row in unwrapped(rows, [len(row) > 1 for row in rows], ())]
    assert together == [["Table 1: Doses of iron and of"], ["vitamin D"], *[["Iron", "in the morning", "5 mg"]] * 3]


def test_parts_are_left_out_and_counted() -> None:
    contents = [f"Chapter {n} ............ {n * 7}" for n in range(1, 10)]
    pdf = Pdf()
    pdf.page(lines(contents, 72, 740))
    pdf.page(lines([SENTENCE] * 8, 72, 740))
    pdf.page(line("References", 72, 760, 16) + lines(["Smith J. Lancet 1999.", "Doe A. BMJ 2001."], 72, 740))
    rules = book_rules(Recipe.model_validate({"name": "x", "sources": {"a": {"books": "nowhere"}}}))
    (found,) = whole.read(pdf.build(), rules)
    assert {left.part for left in found.left_out} == {"contents", "bibliography"}
    assert "Smith" not in found.text and "....." not in found.text and SENTENCE in found.text


def test_licence_and_identifiers_of_the_first_pages() -> None:
    found = read(plain([["https://creativecommons.org/licenses/by/4.0/ doi:10.9999/abc.1.", "ISBN 978-3-16-148410-0"]]))
    assert (found.licence, found.licence_evidence) == ("CC-BY-4.0", "page")
    assert found.identifiers == ["doi:10.9999/abc.1", "isbn:9783161484100"]


@pytest.mark.parametrize(
    ("before", "after", "whole_text"),
    [
        ("the treat-", "ment of", "the treatment of"),
        ("a well-", "known drug", "a well-known drug"),
        ("Vor-", "und Nachteile", "Vor- und Nachteile"),
        ("Nord-", "Süd-Gefälle", "Nord-Süd-Gefälle"),
        ("1990-", "1999", "1990-1999"),
        ("患者の", "治療", "患者の治療"),
        ("the drug", "works", "the drug works"),
        ("con\u00ad", "tent", "content"),
    ],
)
def test_line_ends(before: str, after: str, whole_text: str) -> None:
    words: Counter[str] = Counter()
    count_words(words, ["well-known drugs", "the treatment"])
    assert joined(before, after, words) == whole_text


def test_order_of_text_from_right_to_left() -> None:
    assert logical("31 هنس") == "سنه 31"
    assert logical("plain text (1)") == "plain text (1)"


def test_arabic_letters_that_lie_over_each_other_keep_their_order() -> None:
    # Alef, Lam, Meem, Qaf as Amiri draws them: Lam stands above the left half of Meem; each with its pen.
    boxes = [("ا", 281.1, 282.3, 280.5), ("ل", 277.4, 278.0, 278.2), ("م", 276.4, 279.7, 276.7), ("ق", 272.8, 277, 273)]
    glyphs = [(char, x0, x1, 127.5, 118.0, 10.0, pen) for char, x0, x1, pen in boxes]
    assert [line.text for line in lines_of(glyphs)] == ["المق"]
    ligature = [("ل", 163.6, 166.7, 126.0, 118.0, 10.0, 161.8), ("ا", 162.1, 166.9, 126.0, 118.0, 10.0, 161.8)]
    assert [line.text for line in lines_of(ligature)] == ["لا"]


@pytest.mark.parametrize("lang", ["en", "es", "fr", "ja", "ru", "zh"])
def test_a_page_needs_ocr_where_its_letters_are_those_of_no_language(lang: str) -> None:
    sample = YAML(typ="safe").load(Path(__file__).with_name("sample") / f"{lang}.yaml")
    text = " ".join(row["text"] for row in sample)[:2000]

    def of(text: str, images: float = 0.0) -> Features:
        return features(PageText(595, 842, [Line(72, 500, 100, 10, text)], "test", images))

    alphabet = sorted({char for char in text if char.isalpha()})
    wrong = dict(zip(alphabet, alphabet[7:] + alphabet[:7], strict=True))
    if lang == "zh":  # characters that change places remain common ones
        wrong = {char: chr(0x4E00 + (ord(char) - 0x4E00 + 777) % 20_000) for char in alphabet if char >= "一"}
    assert of(text).need() is None and of(text, 1.0).need() is None
    garbled = of("".join(wrong.get(char, char) for char in text))
    assert garbled.need() == f"garbled: the characters do not look like a language ({garbled.quality:.2f})"
    stamp = PageText(595, 842, [Line(72, 500, 30, 8, text[:60])], "test", 0.97)
    assert features(stamp).need() == "no_text: images cover 97%, and what text there is stands at the edges"
    assert of("12", 0.4).need() == "no_text: images cover 40%" and of("12").need() is None


def prepared(folder: Path, out: Path, engine: str = "permissive", **limits: object) -> Build:
    recipe = {
        "name": "pdf",
        "languages": ["en"],
        "sources": {"library": {"books": str(folder), "kind": "textbook"}},
        "books": {"engine": engine},
        "limits": limits,
        "fail_above": 1.0,
    }
    return Build.prepare(Recipe.model_validate(recipe), str(out))


def medical(count: int, skip: int = 0) -> bytes:
    """Return a book of `count` pages with texts about asthma, vertigo and the like."""
    sample = YAML(typ="safe").load(Path(__file__).with_name("sample") / "en.yaml")
    texts = [row["text"] for row in sample if row["label"] == "medical"][skip:]
    rows = [row for text in texts for part in text.split("\n") for row in textwrap.wrap(part, 85)]
    return plain([rows[at * 30 : at * 30 + 30] for at in range(count)])


@pytest.mark.parametrize("engine", ENGINES)
def test_ranges_of_pages_make_the_same_book_as_the_whole_file(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.pdf").write_bytes(medical(9))
    (tmp_path / "in" / "b.pdf").write_bytes(medical(2, skip=4))
    monkeypatch.setattr(pages, "RANGE_PAGES", 4)
    notes = Notes()
    manifest = prepared(tmp_path / "in", tmp_path / "out", engine).run(Inline(), notes)
    assert notes.done["pages"] == (0, 3) and notes.done["covers"] == (0, 1)
    batches = mmedc.open_corpus(str(tmp_path / "out")).documents()
    texts = {row["locator"]: row for batch in batches for row in batch.to_pylist()}
    alone = read(medical(9), engine)
    assert texts["a.pdf"]["text"] == alone.text and texts["a.pdf"]["pages"] == alone.pages
    assert texts["a.pdf"]["kind"] == "textbook"
    again = Notes()
    assert (
        prepared(tmp_path / "in", tmp_path / "again", engine).run(Inline(isolate=True), again).digest == manifest.digest
    )


def test_the_ranges_of_a_file_have_its_bytes_together() -> None:
    book, short = Input("/b/book.pdf", "book.pdf", 6_000_000, ""), Input("/b/short.pdf", "short.pdf", 3_000, "")
    ends = {book.url: 3000, short.url: 3}
    ranges = [pages.PageRange(book, first, min(first + 128, 3000)) for first in range(0, 3000, 128)]
    units = [pages.unit_of((part,), ends) for part in ranges[:-1]]
    last = pages.unit_of((ranges[-1], pages.PageRange(short, 0, 3)), ends)
    assert sum(unit.bytes for unit in units) + last.bytes == 6_003_000
    assert {unit.bytes for unit in units} == {256_000}


def test_a_build_killed_in_mid_book_ends_in_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.pdf").write_bytes(medical(30) + b"\n")
    calm = prepared(tmp_path / "in", tmp_path / "calm").run(Inline(), Notes())
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: pdf\nlanguages: [en]\nsources: {library: {books: in, kind: textbook}}\nfail_above: 1.0\n")
    command = ["run", str(recipe), "--inline", "--quiet", "--out", str(tmp_path / "out")]
    code = "import sys, mmedc.pipeline.pages as p; p.RANGE_PAGES = 2; from mmedc.cli import app; app(sys.argv[1:])"
    monkey = [sys.executable, "-c", code, *command]
    with subprocess.Popen(monkey, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not list((tmp_path / "out").glob(".work/pages-*/units/*.json")):
            time.sleep(0.01)
        process.kill()
    ranges = len(list((tmp_path / "out").glob(".work/pages-*/units/*.json")))
    assert ranges >= 1
    subprocess.run(monkey, check=True, stdout=subprocess.DEVNULL)
    assert mmedc.open_corpus(str(tmp_path / "out")).manifest.digest == calm.digest


def test_a_page_that_hangs_costs_that_page(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "form.pdf").write_bytes(FILES["self-drawing-form"]())
    build = prepared(tmp_path / "in", tmp_path / "out", document_seconds=1.0)
    store = Store(str(tmp_path / "out"))

    def run(current: Pass[Any, Any]) -> list[Any]:
        return [commit.left for commit in run_pass(current, Inline(isolate=True), store, Notes())]

    ready = pages.with_pages(run, build.ingest, build.recipe, store.below(".work"))
    (tables,) = ready.units[0].spec.pages
    assert tables is not None
    first, second = tables.sheets()
    assert first.need is None and second.need is not None and second.need.startswith(("timeout", "crash", "memory"))


def test_explain_says_page_by_page_what_was_read_and_cut(tmp_path: Path) -> None:
    path = tmp_path / "atlas.pdf"
    path.write_bytes(book(6))
    done = mmedc_command("explain", str(path), "--pages", "2-3", "--html", str(tmp_path / "a.html"), "--json")
    found = json.loads(done.stdout)
    assert [page["page"] for page in found["pages"]] == [2, 3]
    assert found["pages"][0]["verdict"] == "text" and found["pages"][0]["cut"] == ["Atlas of the lung", "- 2 -"]
    shown = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<del>Atlas of the lung</del>" in shown and "The lung fills with air 1.0.0" in shown
    failed = mmedc_command("explain", str(path), "--pages", "7")
    assert failed.returncode == 2 and "pages 1 to 6" in failed.stderr


def test_the_overview_shows_pages_of_one_verdict_in_a_row_and_what_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "atlas.pdf"
    path.write_bytes(book(6))
    found = explain_pages(str(path), read_recipe("quickstart"))
    for page in found.pages[2:4]:
        page.verdict = "needs OCR: picture"
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(overview(found))
    rows = [" ".join(row.split()) for row in console.export_text().splitlines()]
    chars = [sum(page.chars for page in found.pages[begin : begin + 2]) for begin in (0, 2, 4)]
    verdicts = zip(("1–2 text", "3–4 needs OCR: picture", "5–6 text"), chars, strict=True)
    begins = [f"{verdict} {count:,} 4 Atlas of the lung" for verdict, count in verdicts]
    assert [row for row in rows if row.startswith(tuple(begins))] == [row for row in rows if "–" in row]
    assert sum("–" in row for row in rows) == 3
    first = explain_pages(str(path), read_recipe("quickstart"), most=4)
    assert first.read == 4 and [page.page for page in first.pages] == [1, 2, 3, 4]


def test_a_file_that_is_no_pdf_has_no_overview(tmp_path: Path) -> None:
    pdf, text = tmp_path / "a.pdf", tmp_path / "b.pdf"
    pdf.write_bytes(book(1))
    text.write_text("hello")
    assert is_pdf(str(pdf)) and not is_pdf(str(text)) and not is_pdf(str(tmp_path))


def test_a_page_that_no_parser_can_stand_is_one_page_of_an_explanation(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(FILES["self-drawing-form"]())
    recipe = read_recipe("quickstart", ["limits.document_seconds=2", "limits.document_memory=256MiB"])
    found = explain_pages(str(path), recipe)
    assert found.pages[0].verdict == "text"
    assert found.pages[1].verdict.startswith(("memory: ", "timeout: "))
    assert explain(recipe, f"{path}#page=2").verdict.startswith("rejected at read: ")
    assert explain(recipe, str(path)).text.startswith("The kidney filters the blood")


HARMLESS = sorted(set(FILES) - {"self-drawing-form", "mutual-forms", "doubling-forms", "many-pages", "content-bomb"})


@pytest.mark.parametrize("name", HARMLESS)
def test_broken_files_are_rejected_or_give_their_sound_pages(name: str) -> None:
    data = FILES[name]()
    for engine in ENGINES:
        try:
            found = read(data, engine)
        except Unreadable as problem:
            assert str(problem).split(":")[0] in ("damaged", "encrypted", "empty_file", "needs_ocr", "not_pdf")
        else:
            assert name in ("no-pages", "deep-tree", "wrong-map", "half") or "kidney" in found.text


@pytest.mark.parametrize("every", [2, 6, 20])
def test_a_dose_at_the_top_of_pages_is_no_header(every: int) -> None:
    pdf = Pdf()
    for number in range(60):
        dose = [f"Dose: adults {5 * number} mg daily"] if number % every == 0 else []
        words = [f"{name}{number}" for name in ("fever", "lung", "heart", "bone", "nerve", "skin") for _ in range(20)]
        pdf.page(line("Handbook of medicine", 72, 800) + lines([*dose, *textwrap.wrap(" ".join(words), 70)], 72, 760))
    text = read(pdf.build()).text
    assert "Handbook" not in text
    assert [n for n in range(0, 60, every) if f"Dose: adults {5 * n} mg daily" not in text] == []
