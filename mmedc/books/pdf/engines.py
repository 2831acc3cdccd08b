"""The engines by name. Each reads pages with one library, and those that it reads badly with pdfium's glyphs.

`permissive` needs nothing that is not installed with mmedc; `pymupdf` is the extra `books` (AGPL).
"""

import re
from collections.abc import Sequence

from mmedc.books.book import Unreadable
from mmedc.books.ocr.models import OcrRules
from mmedc.books.pdf import glyphs, hidden, inspector, mupdf
from mmedc.books.pdf.model import Heading, Line, OcrPage, PageText
from mmedc.books.pdf.need import unmapped
from mmedc.books.pdf.scripts import LETTER, RTL
from mmedc.errors import RequestError
from mmedc.redact import first_line

HANGUL = re.compile("[\uac00-\ud7a3]")
INDIC = re.compile("[\u0900-\u0dff]")
STRETCHED = 1.2  # sizes that a Chinese or Japanese character takes where lines are drawn out
SINGLE = 0.4  # share of the lines that are single characters, from which on a page is read by glyphs
HEAD_BYTES = 1024


def check(engine: str) -> None:
    """Check that the library of an engine is here. Raises: RequestError, with the command that installs it."""
    if engine == "pymupdf":
        try:
            import pymupdf  # noqa: F401
        except ImportError:
            raise RequestError(
                "books.engine: pymupdf is not installed (AGPL): pip install 'mmedc[books]', or use engine: permissive"
            ) from None


class Opened:
    """A file that an engine has opened. Raises: Unreadable."""

    def __init__(self, path: str, engine: str, ocr: OcrRules | None = None) -> None:
        self.path, self.engine, self.ocr = path, engine, ocr
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
        if b"%PDF-" not in head:
            raise Unreadable(f"not_pdf: the file begins with {head[:16]!r}" if head else "empty_file")
        check(engine)
        try:
            self._file: mupdf.MuPdf | glyphs.Pdfium = (mupdf.MuPdf if engine == "pymupdf" else glyphs.Pdfium)(path)
            self.pages = last_page(self._file) if self._file.pages else 0
            self.missing = self._file.pages - self.pages
        except (Unreadable, OSError, ImportError):
            raise
        except Exception as problem:  # of a library
            raise Unreadable(f"damaged: {first_line(problem)}") from None
        self._pdfium = self._file if isinstance(self._file, glyphs.Pdfium) else None
        self._held: dict[int, PageText] = {}
        self._shift: float | None = None

    @property
    def repaired(self) -> str | None:
        """What was wrong with the structure of the file, where the engine says so."""
        return self._file.repaired

    def metadata(self) -> dict[str, str]:
        """Return the document information."""
        try:
            return self._file.metadata()
        except Exception:
            return {}

    def outline(self) -> list[Heading]:
        """Return the outline."""
        try:
            return self._file.outline()
        except Exception:  # a broken outline is none
            return []

    def prepare(self, numbers: Sequence[int]) -> None:
        """Read several pages at once where that is cheaper than one by one."""
        if isinstance(self._file, glyphs.Pdfium):
            sizes = {number: self._file.size(number) for number in numbers}
            try:
                self._held = dict(inspector.read(self.path, sizes))
            except Unreadable:
                self._held = {}

    def page(self, number: int) -> PageText:
        """Return page `number`, from 0. Raises: Unreadable where the library fails on it."""
        try:
            return self._shown(self._page(number), number)
        except (Unreadable, OSError, ImportError):
            raise
        except Exception as problem:  # of a library; the other pages may be sound
            raise Unreadable(f"error: {type(problem).__name__}: {first_line(problem)}") from None

    def by_ocr(self, number: int) -> OcrPage | None:
        """Return page `number` as OCR reads it; None without OCR. Raises: Unreadable where a library fails on it."""
        if self.ocr is None:
            return None
        from mmedc.books.ocr.reader import read_page

        try:
            pdfium = self._glyphs()
            with pdfium.opened(number) as page:
                return read_page(page, *pdfium.size(number), self.ocr)
        except (Unreadable, OSError, ImportError):
            raise
        except Exception as problem:  # of a library; the other pages may be sound
            raise Unreadable(f"error: {type(problem).__name__}: {first_line(problem)}") from None

    def _glyphs(self) -> glyphs.Pdfium:
        """Return the file as pdfium opens it. Raises: Unreadable."""
        if self._pdfium is None:
            self._pdfium = glyphs.Pdfium(self.path)
        return self._pdfium

    def _page(self, number: int) -> PageText:
        if isinstance(self._file, glyphs.Pdfium):
            page = self._held.pop(number, None)
            if page is None or not page.lines or self._file.turned(number) or badly_read(page):
                return self._better(page, number)
            return self._lowered(page, number)
        page = self._file.read(number)
        return self._better(page, number) if badly_read(page) else page

    def _shown(self, page: PageText, number: int) -> PageText:
        """Return a page without the text that it does not show."""
        if not page.lines or not page.may_hide:
            return page
        try:
            found = hidden.unseen(self._glyphs(), number)
        except Unreadable:  # pdfium refuses a file that MuPDF reads
            return page
        if found:
            page.hidden = sum(hides for _, hides in found)
            page.lines = hidden.shown(page.lines, found)
        return page

    def _lowered(self, page: PageText, number: int) -> PageText:
        """Return a page of pdf-inspector with the lines of nameless fonts where they are.

        It reports them one size too low or not, so that the first page with such fonts is compared with pdfium's.
        """
        lines = [line for line in page.lines if line.nameless]
        if not lines:
            return page
        if self._shift is None:
            self._shift = _shift(lines, self._file.read(number).lines)
        if self._shift not in (0.0, 1.0):
            return self._better(page, number)
        for line in lines:
            line.base -= self._shift * line.size
        return page

    def _better(self, page: PageText | None, number: int) -> PageText:
        try:
            other = self._glyphs().read(number)
        except Unreadable:
            if page is None:
                raise
            return page
        if page is None:
            return other
        other.images = max(page.images, other.images)
        if self._file is self._pdfium and self._file.turned(number):
            return other
        return page if _faults(page) < _faults(other) else other


def last_page(file: "mupdf.MuPdf | glyphs.Pdfium") -> int:
    """Return how many pages of a file there are: fewer than it states where it lies about their number."""
    if file.has(file.pages - 1):
        return file.pages
    there, missing = 0, file.pages - 1
    while there < missing:
        middle = (there + missing) // 2
        if file.has(middle):
            there = middle + 1
        else:
            missing = middle
    return there


def _shift(lines: list[Line], known: list[Line]) -> float:
    """Return by how many sizes `lines` are lower than the `known` lines of the same page: 0 or 1, or -1 for unclear."""
    found = []
    for line in lines:
        for other in known:
            if abs(line.x0 - other.x0) < 2 and line.text.strip()[:3] == other.text.strip()[:3]:
                found.append((line.base - other.base) / line.size)
    near = [round(shift) for shift in found if abs(shift - round(shift)) < 0.15 and round(shift) in (0, 1)]
    return float(max(set(near), key=near.count)) if near and len(near) > 0.5 * len(found) else -1.0


def badly_read(page: PageText) -> bool:
    """Return whether the order or the spaces of a page can't be trusted, so that its glyphs have to tell."""
    text = "".join(line.text for line in page.lines)
    if _is_indic(page):
        return False  # pdfium gives their glyphs in the order in which they are drawn
    if any(line.x1 - line.x0 < 0.05 * line.size and not line.turned and line.text.strip() for line in page.lines):
        return True
    rtl = len(RTL.findall(text))
    if rtl > 4 and rtl > 0.02 * len(text):
        return True
    single = sum(0 < len(line.text.strip()) < 3 and line.text > "\u2e80" for line in page.lines)
    if single > 20 and single > SINGLE * len(page.lines):
        return True
    rows = [line for line in page.lines if len(line.text) >= 8 and line.text[0] > "\u2e80" and not line.turned]
    if sum(line.x1 - line.x0 > STRETCHED * line.size * len(line.text) for line in rows) > 0.5 * len(rows):
        return True  # characters of neighbouring vertical lines
    hangul = len(HANGUL.findall(text))
    if hangul > 0.3 * len(LETTER.findall(text)) and text.count(" ") < hangul / 9:
        return True
    return unmapped(text) > 0.002


def _is_indic(page: PageText) -> bool:
    text = "".join(line.text for line in page.lines)
    return len(INDIC.findall(text)) > 0.1 * len(text)


def _faults(page: PageText) -> float:
    return unmapped("".join(line.text for line in page.lines))
