"""Makes pages of which it is known whether they need OCR, for `benchmarks/ocr_need.py`.

A page that needs it is a scan, or has a text layer that does not say what the page shows. Scans are grey pictures of
one dot: the decision sees the share of the page that pictures cover, and no picture. Needs pymupdf.
"""

import random
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymupdf

from mmedc.books.pdf.glyphs import Pdfium
from mmedc.books.pdf.model import Line, PageText
from mmedc.books.pdf.picture import pixels

CJK = ("zh", "ja", "ko")
FOREIGN = ("ru", "ar", "hi", "zh", "ja", "ko")
"""Languages that Tesseract's English model turns into Latin letters."""
BFCHAR, BFRANGE = (
    re.compile(rb"beginbfchar(.*?)endbfchar", re.DOTALL),
    re.compile(rb"beginbfrange(.*?)endbfrange", re.DOTALL),
)
HEX = re.compile(rb"<([0-9A-Fa-f\s]*)>")
NOISE = "|!.,;:'^~_{}[]()\\/<>*»«=+-1l0OrnmvwtfiIT§"


@dataclass(frozen=True)
class Made:
    """Pages of one kind."""

    data: bytes
    """The PDF."""
    need: bool


@dataclass(frozen=True)
class Sheet:
    """A page as it was rendered, and its lines."""

    lang: str
    file: Path
    number: int
    text: PageText


def dot(grey: int = 235) -> bytes:
    """Return a picture of one dot, as PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes((0, grey))))
        + chunk(b"IEND", b"")
    )


class Paper:
    """A PDF that is written page by page; its font maps codes to any character, and draws none."""

    def __init__(self) -> None:
        self.file = pymupdf.open()
        self.codes: dict[str, int] = {}
        self.font = self.file.get_new_xref()

    def page(
        self, like: PageText, lines: list[Line], pictures: list[tuple[float, ...]] = (), seen: bool = False
    ) -> None:
        """Add a page with lines of text over pictures; pictures are (x0, y0, x1, y1) as shares of the page."""
        page = self.file.new_page(width=like.width, height=like.height)
        for x0, y0, x1, y1 in pictures:
            page.insert_image(
                (x0 * like.width, y0 * like.height, x1 * like.width, y1 * like.height),
                stream=dot(),
                keep_proportion=False,
            )
        out = [b"BT %d Tr" % (0 if seen else 3)]
        for line in lines:
            if line.text.strip() and not line.end:
                codes = "".join(f"{self.codes.setdefault(char, len(self.codes) + 1):04x}" for char in line.text)
                scale = 100 * (line.x1 - line.x0) / max(0.5 * line.size * len(line.text), 1)
                place = (line.size, scale, line.x0, like.height - line.base, codes.encode())
                out.append(b"/U %.2f Tf %.1f Tz 1 0 0 1 %.2f %.2f Tm <%s> Tj" % place)
        content = self.file.get_new_xref()
        self.file.update_object(content, "<<>>")
        self.file.update_stream(content, b"\n".join([*out, b"ET"]))
        before = page.get_contents()
        self.file.xref_set_key(page.xref, "Contents", "[" + " ".join(f"{at} 0 R" for at in [*before, content]) + "]")
        kind, value = self.file.xref_get_key(page.xref, "Resources")
        holder, key = (int(value.split()[0]), "Font") if kind == "xref" else (page.xref, "Resources/Font")
        self.file.xref_set_key(holder, key, f"<< /U {self.font} 0 R >>")

    def bytes(self) -> bytes:
        """Return the file."""
        file, (descendant, descriptor, names) = self.file, (self.file.get_new_xref() for _ in range(3))
        file.update_object(descriptor, "<< /Type /FontDescriptor /FontName /Known /Flags 4 /FontBBox [0 -200 1000 900]"
                           " /ItalicAngle 0 /Ascent 800 /Descent -200 /CapHeight 700 /StemV 80 >>")  # fmt: skip
        file.update_object(descendant, "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Known /DW 500"
                           " /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >>"
                           f" /CIDToGIDMap /Identity /FontDescriptor {descriptor} 0 R >>")  # fmt: skip
        file.update_object(names, "<<>>")
        file.update_stream(names, cmap({code: char for char, code in self.codes.items()}))
        file.update_object(self.font, "<< /Type /Font /Subtype /Type0 /BaseFont /Known /Encoding /Identity-H"
                           f" /DescendantFonts [{descendant} 0 R] /ToUnicode {names} 0 R >>")  # fmt: skip
        return file.tobytes()


def cmap(chars: dict[int, str]) -> bytes:
    """Return a map from codes of two bytes to characters."""
    rows = [b"<%04x> <%s>" % (code, char.encode("utf-16-be").hex().encode()) for code, char in sorted(chars.items())]
    blocks = [rows[at : at + 100] for at in range(0, len(rows), 100)]
    body = b"\n".join(b"%d beginbfchar\n%s\nendbfchar" % (len(block), b"\n".join(block)) for block in blocks)
    return (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Known def /CMapType 2 def\n"
        b"1 begincodespacerange <0000> <ffff> endcodespacerange\n" + body + b"\nendcmap end end"
    )


def chars_of(stream: bytes) -> dict[int, str]:
    """Return the map that a ToUnicode stream states."""
    out: dict[int, str] = {}

    def text(value: bytes) -> str:
        return bytes.fromhex(value.decode()).decode("utf-16-be", "replace")

    for block in BFCHAR.findall(stream):
        values = HEX.findall(block)
        out |= {int(code, 16): text(value) for code, value in zip(values[::2], values[1::2], strict=False)}
    for block in BFRANGE.findall(stream):
        for row in block.splitlines():
            values = HEX.findall(row)
            if len(values) < 3:
                continue
            first, last = int(values[0], 16), int(values[1], 16)
            for at in range(last - first + 1):
                if b"[" in row:
                    out[first + at] = text(values[2 + at])
                else:
                    start = text(values[2])
                    out[first + at] = start[:-1] + chr(ord(start[-1]) + at)
    return out


def remapped(
    data: bytes, change: Callable[[dict[int, str], random.Random], dict[int, str]], rng: random.Random
) -> bytes:
    """Return a PDF whose fonts have other maps to Unicode."""
    file = pymupdf.open(stream=data)
    for xref in range(1, file.xref_length()):
        kind, value = file.xref_get_key(xref, "ToUnicode")
        if kind == "xref":
            target = int(value.split()[0])
            file.update_stream(target, cmap(change(chars_of(file.xref_stream(target)), rng)))
    return file.tobytes()


def shifted(chars: dict[int, str], rng: random.Random) -> dict[int, str]:
    """Return a map whose characters are all some places too far, as of an encoding that begins elsewhere."""
    by = rng.choice((1, 3, 29, -3, 31))
    return {
        code: "".join(chr(max(ord(char) + by, 33)) if char != " " else char for char in text)
        for code, text in chars.items()
    }


def permuted(chars: dict[int, str], rng: random.Random) -> dict[int, str]:
    """Return a map whose letters have changed places, as of a font that was subset with the map of another."""
    letters = [code for code, text in chars.items() if text.isalpha()]
    others = rng.sample(letters, len(letters))
    return chars | {code: chars[other] for code, other in zip(letters, others, strict=True)}


def other_han(chars: dict[int, str], rng: random.Random) -> dict[int, str]:
    """Return a map whose Chinese characters and syllables are others of their block: all of them look sound."""
    by = rng.randrange(300, 6000)

    def moved(char: str) -> str:
        for low, high in ((0x4E00, 0x9FA5), (0xAC00, 0xD7A3), (0x3041, 0x3093), (0x30A1, 0x30F3)):
            if low <= ord(char) <= high:
                return chr(low + (ord(char) - low + by) % (high - low + 1))
        return char

    return {code: "".join(map(moved, text)) for code, text in chars.items()}


def unnamed(chars: dict[int, str], rng: random.Random) -> dict[int, str]:
    """Return a map to places that stand for nothing, as fonts of their own encoding have."""
    return {code: chr(0xF000 + code % 0x800) if text != " " else text for code, text in chars.items()}


def misread(text: str, share: float, rng: random.Random) -> str:
    """Return a text with characters replaced, lost and added, as OCR of a bad scan has them."""
    out = []
    for char in text:
        chance = rng.random()
        if char == " " or chance >= share:
            out.append(char)
        elif chance < 0.6 * share:
            out.append(rng.choice(NOISE))
        elif chance < 0.8 * share:
            out.append(rng.choice(NOISE) + char)
    return "".join(out)


def worn(page: PageText, share: float, rng: random.Random) -> list[Line]:
    """Return the lines of a page, misread."""
    return [Line(line.x0, line.x1, line.base, line.size, misread(line.text, share, rng)) for line in page.lines]


def row(text: str, y: float, size: float = 10, x: float = 72) -> Line:
    """Return a line of text at a height."""
    return Line(x, x + 0.5 * size * len(text), y, size, text)


def words_of(sheets: list[Sheet]) -> list[str]:
    """Return the words of some pages."""
    return [word for sheet in sheets for line in sheet.text.lines for word in line.text.split() if line.text.strip()]


def figures(page: PageText, rng: random.Random, words: list[str]) -> list[Line]:
    """Return a table of values: a short name, and columns of figures."""
    out = []
    for at in range(36):
        out.append(row(rng.choice(words)[:14], 80 + 18 * at))
        for column in range(5):
            value = rng.choice(
                (f"{rng.uniform(0, 300):.1f}", f"{rng.randrange(900)}", "±0.3", "<0.001", "—", f"{rng.randrange(99)} %")
            )
            out.append(row(value, 80 + 18 * at, x=190 + 70 * column))
    return out


def codes(page: PageText, rng: random.Random, words: list[str]) -> list[Line]:
    """Return a list of abbreviations, codes and doses, each with a word: a page with hardly any vowels."""
    made = lambda: "".join(rng.choices("BCDFGHKLMNPRSTVX0123456789", k=rng.randrange(3, 6)))  # noqa: E731
    return [
        row(
            f"{made()}  {rng.choice(words)} {rng.choice(words)}  {made()}-{rng.randrange(9)} {rng.randrange(500)} mg",
            80 + 16 * at,
        )
        for at in range(42)
    ]


def kinds(sheets: list[Sheet], rng: random.Random, tessdata: str | None) -> Iterator[tuple[str, Made]]:
    """Yield (kind, pages) for pages of one file."""
    lang, words = sheets[0].lang, words_of(sheets)
    source = pymupdf.open(sheets[0].file)
    source.select([sheet.number for sheet in sheets])
    born = source.tobytes(garbage=4)

    def paper(make: Callable[[PageText], tuple[list[Line], list[tuple[float, ...]], bool]]) -> bytes:
        out = Paper()
        for sheet in sheets:
            lines, pictures, seen = make(sheet.text)
            out.page(sheet.text, lines, pictures, seen)
        return out.bytes()

    def pictured(box: Callable[[], tuple[float, ...]], over: bool) -> bytes:
        file = pymupdf.open(stream=born)
        for page in file:
            x0, y0, x1, y1 = box()
            wide, high = page.rect.width, page.rect.height
            page.insert_image(
                (x0 * wide, y0 * high, x1 * wide, y1 * high), stream=dot(), overlay=over, keep_proportion=False
            )
        return file.tobytes()

    def some(count: int) -> str:
        at = rng.randrange(max(len(words) - count, 1))
        return (" " if lang not in ("zh", "ja") else "").join(words[at : at + count])[:110]

    whole = [(0.0, 0.0, 1.0, 1.0)]
    edge = lambda: [(0.03 * rng.random(), 0.03 * rng.random(), 1 - 0.03 * rng.random(), 1 - 0.03 * rng.random())]  # noqa: E731
    strips = [(0.0, at / 8, 1.0, (at + 1) / 8) for at in range(8)]
    stamp = lambda page: [row(some(8), 20, 8), row(f"{some(4)} {rng.randrange(2000)}", page.height - 15, 8)]  # noqa: E731
    yield "born digital", Made(born, False)
    yield (
        "text beside a figure",
        Made(pictured(lambda: (0.1, 0.3 * rng.random(), 0.9, 0.35 + 0.3 * rng.random()), False), False),
    )
    yield "text over a full picture", Made(pictured(lambda: (0, 0, 1, 1), False), False)
    yield "logo over text", Made(pictured(lambda: (0.7, 0.02, 0.95, 0.12), True), False)
    yield (
        "scan, good layer",
        Made(paper(lambda page: (worn(page, rng.choice((0, 0.01, 0.03)), rng), edge(), False)), False),
    )
    yield (
        "figure and caption",
        Made(
            paper(
                lambda page: (
                    [row(some(9), 0.85 * page.height, 9), row(some(9), 0.87 * page.height, 9)],
                    [(0.1, 0.1, 0.9, 0.6 + 0.2 * rng.random())],
                    True,
                )
            ),
            False,
        ),
    )
    yield "empty", Made(paper(lambda page: ([], [], True)), False)
    yield (
        "nearly empty",
        Made(
            paper(
                lambda page: (
                    [row(some(rng.randrange(1, 5)), 300, 20), row(str(rng.randrange(400)), page.height - 30)],
                    [(0.3, 0.6, 0.6, 0.7)] if rng.random() < 0.5 else [],
                    True,
                )
            ),
            False,
        ),
    )
    yield "table of figures", Made(paper(lambda page: (figures(page, rng, words), [], True)), False)
    yield "abbreviations and codes", Made(paper(lambda page: (codes(page, rng, words), [], True)), False)
    yield (
        "capitals",
        Made(
            paper(
                lambda page: (
                    [Line(line.x0, line.x1, line.base, line.size, line.text.upper()) for line in page.lines],
                    [],
                    True,
                )
            ),
            False,
        ),
    )
    yield "scan", Made(paper(lambda page: ([], edge(), True)), True)
    yield "scan in strips", Made(paper(lambda page: ([], strips, True)), True)
    yield (
        "scan with a stamp",
        Made(paper(lambda page: (stamp(page), whole if rng.random() < 0.5 else [(0, 0.04, 1, 0.96)], True)), True),
    )
    yield (
        "scan, misread layer",
        Made(paper(lambda page: (worn(page, rng.uniform(0.25, 0.45), rng), edge(), False)), True),
    )
    yield "shifted map", Made(remapped(born, shifted, rng), True)
    yield "permuted map", Made(remapped(born, permuted, rng), True)
    yield "private map", Made(remapped(born, unnamed, rng), True)
    if lang in CJK:
        yield "other characters", Made(remapped(born, other_han, rng), True)
    if lang in FOREIGN and tessdata:
        yield "scan, layer of English OCR", Made(english(born, sheets, tessdata), True)


def english(born: bytes, sheets: list[Sheet], tessdata: str) -> bytes:
    """Return pictures of pages with the layer that Tesseract's English model makes of them."""
    import tempfile

    from PIL import Image

    from mmedc.books.ocr.tesseract import read

    out, dpi = Paper(), 120
    with tempfile.NamedTemporaryFile(suffix=".pdf") as copy:
        copy.write(born)
        copy.flush()
        file = Pdfium(copy.name)
        for number, sheet in enumerate(sheets):
            found: list[Any] = read(Image.fromarray(pixels(file, number, dpi)), dpi, tessdata, "eng")
            lines = [
                Line(
                    72 * one.x0 / dpi,
                    72 * one.x1 / dpi,
                    72 * one.y1 / dpi,
                    max(72 * (one.y1 - one.y0) / dpi, 4),
                    one.text,
                )
                for one in found
            ]
            out.page(sheet.text, lines, [(0, 0, 1, 1)], False)
    return out.bytes()
