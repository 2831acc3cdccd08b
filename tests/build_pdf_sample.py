"""Makes the PDF of the quickstart from the sample texts: two columns, headers, page numbers, and a scanned page.

    python -m tests.build_pdf_sample [OUT]

The scanned page is a picture of one bit per point, drawn by pdfium from a page that is then left out.
"""

import sys
import tempfile
import textwrap
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from mmedc.books.pdf.glyphs import Pdfium
from mmedc.books.pdf.picture import pixels
from tests.pdffiles import Pdf, line, lines

SAMPLE = Path(__file__).parent / "sample" / "en.yaml"
OUT = Path(__file__).parent.parent / "pipelines" / "quickstart" / "books" / "handbook.pdf"
TITLE = "A small handbook of medicine"
ROWS, CHARS, DPI = 50, 46, 110


def columns() -> Iterator[list[tuple[str, str]]]:
    """Yield the columns of the book: rows of (font, text)."""
    rows: list[tuple[str, str]] = []
    for number, page in enumerate(row for row in YAML(typ="safe").load(SAMPLE) if row["label"] == "medical"):
        rows += [("F2", f"{number + 1} {page['title'].split(':')[0]}"), ("F1", "")]
        for paragraph in page["text"].split("\n"):
            if paragraph.strip():
                rows += [("F1", row) for row in textwrap.wrap(paragraph, CHARS, initial_indent="   ")]
        rows.append(("F1", ""))
    for at in range(0, len(rows), ROWS):
        yield rows[at : at + ROWS]


def content(number: int, pair: list[list[tuple[str, str]]]) -> bytes:
    """Return the operators that draw a page of two columns."""
    drawn = line(TITLE, 60, 800, 8) + line(str(number), 292, 40, 8)
    for side, rows in enumerate(pair):
        for at, (font, text) in enumerate(rows):
            drawn += line(text, 60 + 250 * side, 760 - 13.5 * at, 11 if font == "F2" else 9.5, font) if text else b""
    return drawn


def scanned(drawn: bytes) -> tuple[bytes, int, int]:
    """Return a page as a picture of one bit per point, packed, with its width and height."""
    pdf = Pdf()
    pdf.page(drawn)
    with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
        file.write(pdf.build())
        file.flush()
        image = pixels(Pdfium(file.name), 0, DPI)
    bits = np.packbits(image.mean(axis=2) > 150, axis=1)
    return zlib.compress(bits.tobytes(), 9), image.shape[1], image.shape[0]


def build() -> bytes:
    """Return the file: four pages with a text layer, and one that is a picture."""
    found = list(columns())
    info = b"<< /Title (%s) /Author (mmedc) /CreationDate (D:20261130) >>" % TITLE.encode()
    pdf = Pdf(info=info)
    for number in range(4):
        pdf.page(content(number + 1, found[2 * number : 2 * number + 2]))
    data, width, height = scanned(content(5, found[8:10]))
    head = b"<< /Type /XObject /Subtype /Image /Width %d /Height %d /BitsPerComponent 1 /ColorSpace /DeviceGray"
    head = head % (width, height) + b" /Filter /FlateDecode /Length %d >>" % len(data)
    image = pdf.add(head + b"\nstream\n" + data + b"\nendstream")
    pdf.page(b"q 595 0 0 842 0 0 cm /I Do Q", b"/XObject << /I %d 0 R >>" % image)
    licence = lines(["CC-BY-4.0: https://creativecommons.org/licenses/by/4.0/"], 60, 700)
    pdf.page(content(6, found[10:12]) + (licence if len(found) < 11 else b""))
    return pdf.build()


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else OUT).write_bytes(build())
