"""Pages read glyph by glyph through pdfium, where the order in which others read them can't be trusted.

That is text from right to left, vertical text whose characters are drawn one by one, and text without spaces. The
glyphs are put in order by their places.
"""

import contextlib
import ctypes
import itertools
import math
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple

from mmedc.books.book import Unreadable
from mmedc.books.pdf.model import REPAIRED, Heading, Line, PageText
from mmedc.books.pdf.repair import mended

LINE_TOLERANCE = 0.4  # of the size, between baselines of one line
SPACE = 0.2  # of the size: a wider gap between glyphs is a space
SPLIT = 1.0  # of the size: a wider gap ends the run
MAX_GLYPHS = 60_000  # of a page; more are a drawing
STACKED = 3  # letters that lie over each other
MIRRORED = {"(": ")", ")": "(", "[": "]", "]": "[", "{": "}", "}": "{", "«": "»", "»": "«"}
Glyph = tuple[str, float, float, float, float, float, float]
"""Character, x0, x1 (the place that it takes, which may be more than its ink), baseline, top, size, and the place
of the pen, which is the same for the characters of one ligature."""


class Frame(NamedTuple):
    """The visible box of a page in the coordinates of its content, and by how many quarters the page is turned."""

    left: float
    bottom: float
    right: float
    top: float
    turns: int

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Return a point of the content as it is seen, from the upper left corner, y growing downwards."""
        if self.turns == 0:
            return x - self.left, self.top - y
        if self.turns == 1:
            return y - self.bottom, x - self.left
        if self.turns == 2:
            return self.right - x, y - self.bottom
        return self.top - y, self.right - x

    def box(self, left: float, bottom: float, right: float, top: float) -> tuple[float, float, float, float]:
        """Return (left, top, right, bottom) of a box of the content as it is seen."""
        (x0, y0), (x1, y1) = self.point(left, bottom), self.point(right, top)
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


class Pdfium:
    """An open file."""

    def __init__(self, path: str) -> None:
        import pypdfium2

        self.repaired: str | None = None
        try:
            self._file = pypdfium2.PdfDocument(path)
        except pypdfium2.PdfiumError as problem:
            if "password" in str(problem).lower():
                raise Unreadable("encrypted: the file asks for a password") from None
            self._file = self._mended(path)
        self.pages = len(self._file)
        self._last: tuple[int, Any] | None = None

    def _mended(self, path: str) -> Any:
        """Return a file whose end is lost, as far as it is there. Raises: Unreadable."""
        import pypdfium2

        if data := mended(path):
            with contextlib.suppress(pypdfium2.PdfiumError):
                file = pypdfium2.PdfDocument(data)
                if len(file):
                    self.repaired = REPAIRED
                    return file
        raise Unreadable("damaged: the table of objects is broken, and no page can be found without it")

    def metadata(self) -> dict[str, str]:
        """Return the document information: `Title`, `Author`, `CreationDate`."""
        return {name: value for name, value in self._file.get_metadata_dict().items() if value}

    def outline(self) -> list[Heading]:
        """Return the outline."""
        found = []
        for entry in self._file.get_toc(max_depth=6):
            place = entry.get_dest()
            page = place.get_index() if place else None
            if page is not None:
                found.append(Heading(entry.get_title(), entry.level + 1, page))
        return found

    def size(self, number: int) -> tuple[float, float]:
        """Return width and height of a page in points; of A4 for a page that has none."""
        try:
            width, height = self._file.get_page_size(number)
        except Exception:
            return 595.0, 842.0
        return (width, height) if width > 0 and height > 0 else (595.0, 842.0)

    def draw(self, number: int, scale: float) -> Any:
        """Return the picture of page `number` as an array of (red, green, blue); `scale` is in dots per point."""
        with self.opened(number) as page:
            return page.render(scale=scale, rev_byteorder=True).to_numpy()[:, :, :3].copy()

    def has(self, number: int) -> bool:
        """Return whether there is a page `number`; what it draws is not read."""
        try:
            self._file.get_page_size(number)
        except Exception:
            return False
        return True

    @contextlib.contextmanager
    def opened(self, number: int) -> Iterator[Any]:
        """Give page `number` of pypdfium2; it stays open until another one is asked for."""
        if self._last is None or self._last[0] != number:
            page = self._file[number]
            if self._last:
                self._last[1].close()
            self._last = number, page
        yield self._last[1]

    def turned(self, number: int) -> bool:
        """Return whether page `number` is shown turned."""
        with self.opened(number) as page:
            return bool(page.get_rotation())

    def read(self, number: int) -> PageText:
        """Read page `number`, from 0."""
        import pypdfium2.raw as pdfium

        width, height = self.size(number)
        with self.opened(number) as page:
            text = page.get_textpage()
            try:
                glyphs = [glyph for _, glyph in glyphs_of(pdfium, text.raw, frame_of(page))]
            finally:
                text.close()
            area = sum(_area(thing) for thing in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3))
        indic = sum("\u0900" <= glyph[0] < "\u0e00" for glyph in glyphs)
        lines = in_order(glyphs) if indic > 0.1 * len(glyphs) else lines_of(glyphs)
        return PageText(width, height, lines, "glyphs", min(area / (width * height), 1.0))


def _area(thing: Any) -> float:
    left, bottom, right, top = thing.get_bounds()
    return float(max(right - left, 0.0) * max(top - bottom, 0.0))


def frame_of(page: Any) -> Frame:
    """Return where a page of pypdfium2 is seen; of A4 where it says nothing."""
    left, bottom, right, top = page.get_cropbox()
    width, height = page.get_size()
    turns = page.get_rotation() // 90 % 4
    if not (right > left and top > bottom):
        left, bottom = 0.0, 0.0
    wide, high = (height, width) if turns % 2 else (width, height)
    return Frame(left, bottom, left + wide, bottom + high, turns)


def glyphs_of(pdfium: Any, page: Any, frame: Frame) -> list[tuple[int, Glyph]]:
    """Return (index, glyph) for the glyphs of a text page of `pypdfium2.raw`, in their order there."""
    box, matrix, x, y = pdfium.FS_RECTF(), pdfium.FS_MATRIX(), ctypes.c_double(), ctypes.c_double()
    left, right, bottom, top = (ctypes.c_double() for _ in range(4))
    scales: dict[float, float] = {}
    glyphs: list[tuple[int, Glyph]] = []
    for index in range(min(pdfium.FPDFText_CountChars(page), MAX_GLYPHS)):
        code = pdfium.FPDFText_GetUnicode(page, index)
        if code <= 32 or code == 0xA0 or pdfium.FPDFText_IsGenerated(page, index) == 1:
            continue
        if 0x590 <= code < 0x900 or 0xFB1D <= code < 0xFEFD:  # joined letters reach over their places
            pdfium.FPDFText_GetCharBox(page, index, left, right, bottom, top)
            box.left, box.right, box.bottom, box.top = left.value, right.value, bottom.value, top.value
        else:
            pdfium.FPDFText_GetLooseCharBox(page, index, box)
        pdfium.FPDFText_GetCharOrigin(page, index, x, y)
        size = pdfium.FPDFText_GetFontSize(page, index)
        if size not in scales or size < 2:
            pdfium.FPDFText_GetMatrix(page, index, matrix)
            scales[size] = math.hypot(matrix.c, matrix.d) or 1.0
        char = "-" if code == 0xFFFE else chr(code) if not 0xD800 <= code < 0xE000 else "\ufffd"
        x0, y0, x1, _ = frame.box(box.left, box.bottom, box.right, box.top)
        pen, base = frame.point(x.value, y.value)
        glyphs.append((index, (char, x0, x1, base, y0, size * scales[size], pen)))
    return glyphs


def in_order(glyphs: list[Glyph]) -> list[Line]:
    """Return lines in the order of the page: signs of Indian scripts stand before, above or below their letters."""
    lines: list[Line] = []
    run: list[Glyph] = []
    for glyph in glyphs:
        if run:
            last, size = run[-1], max(glyph[5], run[-1][5])
            back, gap = glyph[1] < last[1] - 2 * size, glyph[1] - last[2]
            if abs(glyph[3] - run[0][3]) > 0.6 * size or back or gap > 1.5 * size:
                lines.append(_ordered_run(run))
                run = []
        run.append(glyph)
    return [*lines, _ordered_run(run)] if run else lines


def _ordered_run(run: list[Glyph]) -> Line:
    size = max(glyph[5] for glyph in run)
    bases = sorted(glyph[3] for glyph in run)
    pieces, end = [], run[0][2]
    for glyph in run:
        if glyph[1] - end > SPACE * size:
            pieces.append(" ")
        pieces.append(glyph[0])
        end = max(end, glyph[2])
    return Line(min(g[1] for g in run), end, bases[len(bases) // 2], size, "".join(pieces))


def lines_of(glyphs: list[Glyph]) -> list[Line]:
    """Return the lines of a page's glyphs, each in the order in which it is read."""
    if _stands(glyphs):
        return _standing(glyphs)
    lines: list[Line] = []
    rows: list[list[tuple[Glyph, int]]] = []
    for pair in sorted(zip(glyphs, itertools.count(), strict=False), key=lambda pair: pair[0][3]):
        glyph, first = pair[0], rows[-1][0][0] if rows else None
        if first and glyph[3] - first[3] <= LINE_TOLERANCE * max(first[5], glyph[5]):
            rows[-1].append(pair)
        else:
            rows.append([pair])
    for found in rows:
        row = _side_by_side(found)
        run = [row[0]]
        for glyph in row[1:]:
            if glyph[1] - run[-1][2] > SPLIT * max(glyph[5], run[-1][5]):
                lines.append(_run(run))
                run = []
            run.append(glyph)
        lines.append(_run(run))
    return lines


def _side_by_side(row: list[tuple[Glyph, int]]) -> list[Glyph]:
    """Return the glyphs of a row from left to right; each comes with its place in the order of the page.

    Where letters from right to left lie one above the other, as Lam and Meem do in Amiri, their order on the page tells
    which is first, seen from that of the letters beside each other.
    """
    row.sort(key=lambda pair: pair[0][1] + pair[0][2])
    joined = [_is_joined(a[0], b[0]) for a, b in itertools.pairwise(row)]
    if any(joined):
        steps = [b[1] - a[1] for (a, b), over in zip(itertools.pairwise(row), joined, strict=True) if not over]
        backwards = sum(step < 0 for step in steps) > sum(step > 0 for step in steps)
        for _ in range(STACKED):
            for at in range(len(row) - 1):
                a, b = row[at], row[at + 1]
                if (a[1] < b[1]) is backwards and _is_joined(a[0], b[0]):
                    row[at : at + 2] = b, a
    return [glyph for glyph, _ in row]


def _is_joined(a: Glyph, b: Glyph) -> bool:
    """Return whether two glyphs of Arabic lie over each other by more than half of the narrower one."""
    if a[6] == b[6] or not ("\u0600" <= a[0] < "\u0900" and "\u0600" <= b[0] < "\u0900"):
        return False
    return min(a[2], b[2]) - max(a[1], b[1]) > 0.5 * min(a[2] - a[1], b[2] - b[1])


def _stands(glyphs: list[Glyph]) -> bool:
    """Return whether most characters stand below the one before them: vertical text."""
    below = sum(
        abs(b[1] + b[2] - a[1] - a[2]) < 0.6 * a[5] and 0.4 * a[5] < b[4] - a[4] < 2.5 * a[5]
        for a, b in itertools.pairwise(glyphs)
    )
    return len(glyphs) > 20 and below > 0.5 * len(glyphs)


def _standing(glyphs: list[Glyph]) -> list[Line]:
    """Return vertical lines, and those level lines that stand among them, as running titles do."""
    columns: list[list[Glyph]] = []
    for glyph in sorted(glyphs, key=lambda glyph: -(glyph[1] + glyph[2])):
        middle = (glyph[1] + glyph[2]) / 2
        if columns and abs(middle - sum(columns[-1][0][1:3]) / 2) <= 0.5 * glyph[5]:
            columns[-1].append(glyph)
        else:
            columns.append([glyph])
    lines: list[Line] = []
    level: list[Glyph] = []
    for column in columns:
        column.sort(key=lambda glyph: glyph[4])
        run = [column[0]]
        for glyph in column[1:]:
            if glyph[4] - run[-1][4] > 2.2 * glyph[5]:
                _stand(run, lines, level)
                run = []
            run.append(glyph)
        _stand(run, lines, level)
    return lines + (lines_of(level) if level else [])


def _stand(run: list[Glyph], lines: list[Line], level: list[Glyph]) -> None:
    if len(run) < 3:
        level += run
        return
    size = max(glyph[5] for glyph in run)
    pieces = [run[0][0]]
    for before, glyph in itertools.pairwise(run):
        latin = before[0] < "\u2e80" and glyph[0] < "\u2e80"
        if latin and glyph[4] - before[4] > 0.95 * size:
            pieces.append(" ")
        pieces.append(glyph[0])
    x0, x1 = min(g[1] for g in run), max(g[2] for g in run)
    lines.append(Line(x0, x1, run[0][4], size, "".join(pieces), end=run[-1][4] + size))


def _run(run: list[Glyph]) -> Line:
    size = max(glyph[5] for glyph in run)
    bases = sorted(glyph[3] for glyph in run)
    pieces, end = [run[0][0]], run[0][2]
    for before, glyph in itertools.pairwise(run):
        if glyph[1] - end > SPACE * size and not _dense(before[0], glyph[0]):
            pieces.append(" ")
        pieces.append(glyph[0])
        end = max(end, glyph[2])
    text = "".join(pieces)
    return Line(run[0][1], max(g[2] for g in run), bases[len(bases) // 2], size, logical(text))


def _dense(a: str, b: str) -> bool:
    return a >= "\u2e80" and b >= "\u2e80" and not "\uac00" <= a <= "\ud7a3"


def logical(visual: str) -> str:
    """Return the characters of a line, given from left to right, in the order in which they are read."""
    kinds = [unicodedata.bidirectional(char) for char in visual]
    if not any(kind in ("R", "AL") for kind in kinds):
        return visual
    chars = list(visual)[::-1]
    kinds = kinds[::-1]
    out: list[str] = []
    at = 0
    while at < len(chars):
        if kinds[at] in ("L", "EN", "AN"):
            end = at + 1
            last = end
            while end < len(chars) and kinds[end] not in ("R", "AL", "NSM"):
                end += 1
                if kinds[end - 1] in ("L", "EN", "AN"):
                    last = end
            out += chars[at:last][::-1]
            at = last
        else:
            out.append(chars[at])
            at += 1
    return _brackets("".join(out))


def _brackets(text: str) -> str:
    """Return a text from right to left whose brackets open before they close: drawn ones are mirrored or not."""
    out: list[str] = []
    opened: list[str] = []
    for char in text:
        if char in MIRRORED:
            left = char if char in "([{«" else MIRRORED[char]
            if opened and opened[-1] == left:
                opened.pop()
                char = MIRRORED[left]
            else:
                opened.append(left)
                char = left
        out.append(char)
    return "".join(out)
