"""A page read by OCR: its picture, the model for its script, and its lines as those of a text layer."""

from statistics import median
from typing import Any

from mmedc.books.ocr import paddle, tesseract
from mmedc.books.ocr.models import OcrRules
from mmedc.books.ocr.tesseract import Read
from mmedc.books.pdf.model import Line, OcrPage, PageText

POINTS = 72.0
MOST_PIXELS = 30_000_000
"""Larger pages are drawn with fewer dots per inch: A2 at 200."""
ALIKE = 0.25
"""Lines whose heights differ from the median by less than this share are set in the size of the text."""
HAN = ("Han", "Japanese", "HanS", "HanT", "Hangul_vert")


def read_page(page: Any, width: float, height: float, rules: OcrRules) -> OcrPage:
    """Return what OCR reads on a page of pypdfium2 of `width` and `height` points."""
    dpi = min(float(rules.dpi), POINTS * (MOST_PIXELS / max(width * height, 1.0)) ** 0.5)
    picture = page.render(scale=dpi / POINTS, grayscale=True).to_pil().convert("L")
    model, turn = _model(picture, dpi, rules)
    if turn:
        picture = picture.rotate(-turn, expand=True)
        width, height = (height, width) if turn % 180 else (width, height)
    read = paddle.read(picture) if model == "paddle" else tesseract.read(picture, int(dpi), rules.folder, model)
    chars = sum(len(line.text) for line in read)
    confidence = sum(line.confidence * len(line.text) for line in read) / chars if chars else 0.0
    unused = None if read else "ocr_empty: OCR finds no text on the page"
    if read and confidence < rules.confidence:
        unused = f"ocr_unsure: the confidence is {confidence:.2f}, at least {rules.confidence:.2f} is asked"
    return OcrPage(PageText(width, height, _lines(read, POINTS / dpi), f"ocr {model}", 1.0), confidence, unused)


def _model(picture: Any, dpi: float, rules: OcrRules) -> tuple[str, int]:
    """Return (the model for a picture, by how many degrees it is turned)."""
    models = dict(rules.scripts)
    if not rules.detect:
        return rules.scripts[0][1], 0
    script, turn = tesseract.look(picture, int(dpi), rules.folder)
    script = "Han" if script in HAN else "Korean" if script == "Hangul" else script
    return models.get(script or "", rules.scripts[0][1]), turn


def _lines(read: list[Read], scale: float) -> list[Line]:
    """Return lines in points. Heights differ with the letters of a line, so that all but headings get one size."""
    if not read:
        return []
    usual = median(line.y1 - line.y0 for line in read)
    out = []
    for line in read:
        tall = line.y1 - line.y0
        size = usual if abs(tall - usual) <= ALIKE * usual else tall
        # The box ends at the descenders, which are a fifth of the size below the baseline.
        out.append(Line(line.x0 * scale, line.x1 * scale, (line.y1 - 0.2 * size) * scale, size * scale, line.text))
    return out
