"""Pages without a text layer: OCR where the recipe asks for it, and an account of each page where it does not."""

import io
import textwrap
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont

import mmedc
from mmedc.books.book import Unreadable
from mmedc.books.ocr import models
from mmedc.books.ocr.models import OcrRules, ocr_rules
from mmedc.books.pdf import whole
from mmedc.books.rules import BookRules
from mmedc.errors import RequestError
from tests.pdffiles import Pdf, lines

SENTENCES = (
    "The kidney filters the blood of the patient every day.",
    "Asthma is treated by a physician of the hospital with drugs that open the airways.",
    "A dose of 500 mg is taken twice a day after meals.",
)
WIDTH, HEIGHT = 1240, 1754  # A4 at 150 dots per inch


def picture(sentences: tuple[str, ...] = SENTENCES, turn: int = 0) -> bytes:
    """Return a page of A4 as a JPEG, as a scanner makes it."""
    page = Image.new("L", (WIDTH, HEIGHT), 250)
    font = ImageFont.load_default(28)
    rows = [row for sentence in sentences for row in (*textwrap.wrap(sentence, 60), "")]
    for number, row in enumerate(rows * 3):
        ImageDraw.Draw(page).text((130, 140 + 44 * number), row, fill=20, font=font)
    out = io.BytesIO()
    page.rotate(turn, expand=True).save(out, "JPEG", quality=85)
    return out.getvalue()


def add_scan(pdf: Pdf, jpeg: bytes, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    """Add a page that is a picture."""
    extra = b" /Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8" % size
    image = pdf.stream(jpeg, extra + b" /Filter /DCTDecode", packed=False)
    pdf.page(b"q 595 0 0 842 0 0 cm /Scan Do Q", b"/XObject << /Scan %d 0 R >>" % image)


@pytest.fixture(scope="module")
def scanned() -> bytes:
    """A book of one page with a text layer and two that are pictures."""
    pdf = Pdf()
    pdf.page(lines(textwrap.wrap(" ".join(SENTENCES * 4), 70), 72, 700))
    add_scan(pdf, picture())
    add_scan(pdf, picture(SENTENCES[::-1]))
    return pdf.build()


@pytest.fixture(scope="module")
def rules() -> OcrRules:
    return ocr_rules("paddle", ("en",), None, 150, 0.6)


def test_a_scanned_page_is_read(scanned: bytes, rules: OcrRules) -> None:
    (found,) = whole.read(scanned, BookRules(ocr=rules))
    text = found.text[found.pages[1] :]
    for sentence in SENTENCES:
        assert text.count(sentence) >= 3 + 3
    assert len(found.pages) == 3
    assert not found.sections


def test_a_page_that_ocr_is_not_sure_of_is_not_used(scanned: bytes) -> None:
    found, *unused = whole.read(scanned, BookRules(ocr=ocr_rules("paddle", ("en",), None, 150, 1.0)))
    assert [(page.place, page.unwanted.partition(":")[0]) for page in unused] == [
        ("page=2", "ocr_unsure"),
        ("page=3", "ocr_unsure"),
    ]
    assert found.text.count(SENTENCES[0]) == 4


def _recipe(folder: Path, data: bytes, more: str = "") -> Path:
    (folder / "books").mkdir()
    (folder / "books" / "kidney.pdf").write_bytes(data)
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        "name: scans\nlanguages: [en]\nsources: {library: {books: books}}\nfail_above: 1.0\n"
        f"books: {{parts: {{}}{more}}}\n"
    )
    return recipe


def test_every_page_without_text_is_counted_where_no_ocr_is_asked_for(tmp_path: Path, scanned: bytes) -> None:
    mmedc.build(_recipe(tmp_path, scanned), out=tmp_path / "out", inline=True)
    (row,) = _documents(tmp_path / "out")
    assert len(row["pages"]) == 3
    dropped = _removed(tmp_path / "out")
    assert dropped == {"kidney.pdf#page=2": "needs_ocr", "kidney.pdf#page=3": "needs_ocr"}


def test_a_recipe_that_asks_for_ocr_has_all_pages(tmp_path: Path, scanned: bytes) -> None:
    recipe = _recipe(tmp_path, scanned, ", ocr: {engine: paddle, dpi: 150}")
    mmedc.build(recipe, out=tmp_path / "out", inline=True)
    (row,) = _documents(tmp_path / "out")
    assert row["text"].count(SENTENCES[0]) == 4 + 3 + 3
    assert _removed(tmp_path / "out") == {}


def _documents(folder: Any) -> list[dict[str, Any]]:
    import pyarrow.dataset as ds

    return list(ds.dataset(Path(folder, "data"), format="parquet").to_table().to_pylist())


def _removed(folder: Path) -> dict[str, str]:
    import pyarrow.parquet as pq

    table = pq.read_table(folder / "rejects" / "samples.parquet", columns=["locator", "reason"])
    return {row["locator"]: row["reason"] for row in table.to_pylist()}


def test_a_file_whose_pages_have_no_text_is_rejected_with_the_reason(rules: OcrRules) -> None:
    pdf = Pdf()
    add_scan(pdf, picture(("",)))
    with pytest.raises(Unreadable, match="ocr_empty: 1 of 1 pages"):
        list(whole.read(pdf.build(), BookRules(ocr=rules)))
    with pytest.raises(Unreadable, match="needs_ocr: 1 of 1 pages"):
        list(whole.read(pdf.build(), BookRules()))


def test_a_recipe_names_its_models_by_language_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("eng", "rus", "osd"):
        (tmp_path / f"{name}.traineddata").write_bytes(name.encode())
    rules = ocr_rules("auto", ("en", "ru", "zh"), str(tmp_path), 200, 0.6)
    assert dict(rules.scripts) == {"Latin": "eng", "Cyrillic": "rus+eng", "Han": "paddle"}
    assert rules.detect
    assert [name for name, _ in rules.digests] == ["rapidocr", "tesserocr", "eng", "rus", "osd"]
    (tmp_path / "rus.traineddata").write_bytes(b"another")
    assert ocr_rules("auto", ("en", "ru", "zh"), str(tmp_path), 200, 0.6).identity() != rules.identity()
    assert not ocr_rules("auto", ("zh", "ja"), None, 200, 0.6).detect
    monkeypatch.setattr(models, "FOLDERS", (str(tmp_path),))
    with pytest.raises(RequestError, match="apt-get install tesseract-ocr-kor"):
        ocr_rules("auto", ("ko",), None, 200, 0.6)
    with pytest.raises(RequestError, match="paddle does not read ru"):
        ocr_rules("paddle", ("ru",), None, 200, 0.6)
    with pytest.raises(RequestError, match="no model reads xx"):
        ocr_rules("auto", ("xx",), None, 200, 0.6)
