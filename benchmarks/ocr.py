"""OCR on pages whose text is known: character error rate by language, clean and as a worn scan, and who needs OCR.

    python benchmarks/ocr.py RENDERED [--tessdata FOLDER] [--pages 2] [--langs en ja]

RENDERED is what `benchmarks/rendered.py` has made. Each page is drawn at 200 dots per inch and put into a PDF as a
picture: clean, or turned by .7 degrees, blurred and with grey noise. The text layer of the same pages, read by the same
layout, is the gold. `needs OCR` counts the pages that the features of a page take for such pages.
"""

import argparse
import io
import tempfile
import time
import unicodedata
from pathlib import Path

import numpy as np
import pypdfium2
from PIL import Image, ImageFilter
from rapidfuzz.distance import Levenshtein

from mmedc.books.ocr.models import ocr_rules
from mmedc.books.pdf import whole
from mmedc.books.pdf.engines import Opened
from mmedc.books.rules import BookRules

DPI = 200
ENGINES = ("auto", "paddle")
LANGUAGES = ("en", "fr", "es", "de", "it", "pt", "zh", "ja", "ru", "ko", "ar", "hi")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rendered", type=Path)
    parser.add_argument("--tessdata")
    parser.add_argument("--pages", type=int, default=2)
    parser.add_argument(
        "--langs", nargs="*", default=["en", "fr", "es", "de", "it", "pt", "zh", "ja", "ru", "ko", "ar", "hi"]
    )
    given = parser.parse_args()
    needs: list[tuple[bool, bool]] = []
    for lang in given.langs:
        source = (given.rendered / f"{lang}-plain.pdf").read_bytes()
        part = first_pages(source, given.pages)
        gold = text_of(part, BookRules())
        needs += [(False, need) for need in needing(part)]
        for name, worn in (("clean", False), ("worn", True)):
            scan = scanned(part, worn)
            needs += [(True, need) for need in needing(scan)]
            for engine in ENGINES:
                if engine == "paddle" and lang in ("ru", "ko", "ar", "hi", "zh", "ja"):
                    continue  # it does not read them, or is what auto takes
                rules = ocr_rules(engine, (lang,), given.tessdata, DPI, 0.0)
                begun = time.process_time()
                found = text_of(scan, BookRules(ocr=rules))
                seconds = (time.process_time() - begun) / given.pages
                print(
                    f"{lang} {name:5} {dict(rules.scripts)} CER {error_rate(found, gold):.4f} {seconds:.2f} s/page",
                    flush=True,
                )
    for truth, label in ((True, "pictures"), (False, "text layers")):
        of = [need for known, need in needs if known is truth]
        print(f"{label}: {sum(of)} of {len(of)} pages are taken to need OCR")


def first_pages(data: bytes, count: int) -> bytes:
    """Return the first pages of a PDF."""
    out, source = pypdfium2.PdfDocument.new(), pypdfium2.PdfDocument(data)
    out.import_pages(source, list(range(min(count, len(source)))))
    target = io.BytesIO()
    out.save(target)
    return target.getvalue()


def scanned(data: bytes, worn: bool) -> bytes:
    """Return a PDF whose pages are pictures of those of `data`."""
    drawn, noise = [], np.random.default_rng(1)
    for page in pypdfium2.PdfDocument(data):
        image = page.render(scale=DPI / 72, grayscale=True).to_pil().convert("L")
        if worn:
            image = image.rotate(0.7, fillcolor=255).filter(ImageFilter.GaussianBlur(0.8))
            grey = np.asarray(image) * 0.75 + 40 + noise.normal(0, 18, image.size[::-1])
            image = Image.fromarray(np.clip(grey, 0, 255).astype("uint8"))
        drawn.append(image)
    target = io.BytesIO()
    drawn[0].save(target, "PDF", save_all=True, append_images=drawn[1:], resolution=DPI, quality=80)
    return target.getvalue()


def text_of(data: bytes, rules: BookRules) -> str:
    """Return the text of the book."""
    return next(iter(whole.read(data, rules))).text


def needing(data: bytes) -> list[bool]:
    """Return for each page whether its features say that it needs OCR."""
    with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
        file.write(data)
        file.flush()
        opened = Opened(file.name, "permissive")
        return [need is not None for need in whole.pages_of(opened, range(opened.pages))["need"].to_pylist()]


def error_rate(found: str, gold: str) -> float:
    """Return the edits that make `found` of `gold`, over its length, without spaces and in one form of characters."""
    plain = [unicodedata.normalize("NFKC", "".join(text.split())) for text in (found, gold)]
    return Levenshtein.distance(*plain) / max(len(plain[1]), 1)


if __name__ == "__main__":
    main()
