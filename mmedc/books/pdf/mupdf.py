"""MuPDF through pymupdf (AGPL): MuPDF's own JSON of lines, which costs half of what pymupdf's `dict` does."""

import html
import json
import re
from typing import Any

from mmedc.books.book import Unreadable
from mmedc.books.pdf.hidden import ALIKE, LEAST_SIDE, Box
from mmedc.books.pdf.model import REPAIRED, Heading, Line, PageText

RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
SUP = re.compile(r"<sup>(.*?)</sup>")
TAG = re.compile(r"<[^>]*>")
SOFT = re.compile("\u00ad(?=.)")
LIGATURE = re.compile(r"(f)(f|i|l|t)\2 (?=[^\W\d_])")
"""What MuPDF makes of a ligature whose letters the file gives as `ActualText`: `offf er`, `briefii ng`."""
COLOUR = re.compile(rb"color:#([0-9a-f]{6})")
COLOURLESS = re.compile(rb'<span style="[^"]*pt">')
"""Text that leaves no ink has no colour in MuPDF's HTML."""
SCALE = 100.0
"""MuPDF writes whole numbers, so that it is asked for hundredths of a point."""


class MuPdf:
    """An open file."""

    def __init__(self, path: str) -> None:
        import pymupdf

        pymupdf.TOOLS.mupdf_display_errors(False)
        pymupdf.TOOLS.mupdf_display_warnings(False)
        try:
            self._file = pymupdf.open(path, filetype="pdf")
        except Exception:  # the message names the path, which differs from machine to machine
            raise Unreadable("damaged: the table of objects is broken, and no page can be found without it") from None
        if self._file.needs_pass:
            raise Unreadable("encrypted: the file asks for a password")
        self._flags = pymupdf.TEXTFLAGS_TEXT & ~pymupdf.TEXT_PRESERVE_IMAGES | pymupdf.TEXT_COLLECT_VECTORS
        self.pages: int = self._file.page_count

    @property
    def repaired(self) -> str | None:
        """What was wrong with the file, if MuPDF mended it."""
        return REPAIRED if self._file.is_repaired else None

    def metadata(self) -> dict[str, str]:
        """Return the document information: `Title`, `Author`, `CreationDate`."""
        given = self._file.metadata or {}
        names = {"title": "Title", "author": "Author", "creationDate": "CreationDate"}
        return {name: given[key] for key, name in names.items() if given.get(key)}

    def outline(self) -> list[Heading]:
        """Return the outline."""
        return [Heading(title, level, page - 1) for level, title, page, *_ in self._file.get_toc() if page > 0]

    def has(self, number: int) -> bool:
        """Return whether page `number` can be loaded."""
        try:
            self._file[number]
        except Exception:
            return False
        return True

    def read(self, number: int) -> PageText:
        """Read page `number`, from 0."""
        from pymupdf import mupdf

        page = self._file[number]
        rect = page.rect
        text = page.get_textpage(flags=self._flags, matrix=page.rotation_matrix if page.rotation else None)
        buffer = mupdf.fz_new_buffer(8192)
        out = mupdf.FzOutput(buffer)
        mupdf.fz_print_stext_page_as_json(out, text.this, SCALE)
        out.fz_close_output()
        data = json.loads(mupdf.fz_buffer_extract_copy(buffer).decode("utf-8", "replace"), strict=False)
        found = [line for block in data["blocks"] for line in block.get("lines", ())]
        page_html = _html(text)
        self._raise(page_html, found)
        lines = [_line(line) for line in found]
        may_hide = bool(lines) and _may_hide(page_html, text, data["blocks"])
        return PageText(rect.width, rect.height, lines, "mupdf", _covered(page, rect), may_hide)

    @staticmethod
    def _raise(page: bytes, lines: list[dict[str, Any]]) -> None:
        """Write raised digits as such, 10⁹ and not 109: only MuPDF's HTML says which digits are raised."""
        if b"<sup>" not in page:
            return
        rows = [row for row in page.decode("utf-8", "replace").split("\n") if row.startswith("<p ")]
        if len(rows) != len(lines):
            return
        for row, line in zip(rows, lines, strict=True):
            if "<sup>" in row:
                raised = html.unescape(TAG.sub("", SUP.sub(lambda found: TAG.sub("", found[1]).translate(RAISED), row)))
                if raised.translate(LOWERED).strip() == line["text"].translate(LOWERED).strip():
                    line["text"] = raised


def _html(text: Any) -> bytes:
    from pymupdf import mupdf

    buffer = mupdf.fz_new_buffer(8192)
    out = mupdf.FzOutput(buffer)
    mupdf.fz_print_stext_page_as_html(out, text.this, 1)
    out.fz_close_output()
    return bytes(mupdf.fz_buffer_extract_copy(buffer))


def _may_hide(page: bytes, text: Any, blocks: list[dict[str, Any]]) -> bool:
    """Return whether some text may be hidden: it has no ink, or the colour of an area, or an area lies over it."""
    if COLOURLESS.search(page):
        return True
    colours = {tuple(bytes.fromhex(found.decode())) for found in set(COLOUR.findall(page))}
    if any(min(colour) > 255 - ALIKE for colour in colours):
        return True
    last = max((at for at, told in enumerate(blocks) if _is_filled(told)), default=-1)
    block = text.this.m_internal.first_block
    before: list[Box] = []
    alike: list[Box] = []
    for at, told in enumerate(blocks):  # MuPDF's JSON has the colours of areas, and only its blocks have their places
        if at > last and not alike:
            return False
        if at <= last and not block:
            return True
        if told["type"] == "text":
            x, y, wide, high = (told["bbox"][name] / SCALE for name in "xywh")
            place = x, y, x + wide, y + high
            if any(_share(place, area) for area in alike):
                return True
            before.append(place)
        elif _is_filled(told):
            box = block.bbox
            place = box.x0, box.y0, box.x1, box.y1
            if min(place[2] - place[0], place[3] - place[1]) >= LEAST_SIDE:
                if any(_share(written, place) for written in before):
                    return True
                rgb = (told["argb"] & 0xFFFFFF).to_bytes(3, "big")
                if any(max(abs(a - b) for a, b in zip(rgb, other, strict=True)) < ALIKE for other in colours):
                    alike.append(place)
        if at < last:
            block = block.next
    return False


def _is_filled(block: dict[str, Any]) -> bool:
    """Return whether a block of MuPDF's JSON is an opaque area."""
    return block["type"] == "vector" and not block["stroked"] and block["argb"] & 0xFFFFFFFF >= 0xFF000000


def _share(text: Box, area: Box) -> bool:
    """Return whether a block of text and an area lie over each other by more than they touch."""
    if text[3] - area[1] <= LEAST_SIDE or area[3] - text[1] <= LEAST_SIDE:  # as most are, above or below each other
        return False
    wide, high = min(text[2], area[2]) - max(text[0], area[0]), min(text[3], area[3]) - max(text[1], area[1])
    return min(wide, high) > LEAST_SIDE


def _covered(page: Any, rect: Any) -> float:
    """Return the share of a page that its images cover; the page is read again, so only where it names images."""
    area = 0.0
    try:
        for image in page.get_image_info() if page.get_images() else ():
            x0, y0, x1, y1 = image["bbox"]
            area += max(min(x1, rect.x1) - max(x0, rect.x0), 0) * max(min(y1, rect.y1) - max(y0, rect.y0), 0)
    except Exception:  # of an image; the text is sound
        return 0.0
    return float(min(area / max(rect.width * rect.height, 1.0), 1.0))


def _line(line: dict[str, Any]) -> Line:
    box, font = line["bbox"], line["font"]
    size, x0, width, height = font["size"] / SCALE, box["x"] / SCALE, box["w"] / SCALE, box["h"] / SCALE
    text = LIGATURE.sub(r"\1\2", SOFT.sub("", line["text"]))
    bold = font["weight"] == "bold"
    if line["wmode"]:
        top = box["y"] / SCALE
        return Line(x0, x0 + width, top, size, text, bold, top + height)
    turned = height > 1.9 * size and height > 2 * width and len(text) > 2
    return Line(x0, x0 + width, line["y"] / SCALE, size, text, bold, turned=turned)
