"""Text that a page does not show: in the colour of what is behind it, invisible, or covered by an opaque area.

Readers of text layers see it like any other. The objects of a page tell which text may be hidden, and only where some
may be is the page drawn: a glyph is hidden where its place in the picture is of one colour. Text over or under images
stays, because that is how the text layer of a scanned page is written.
"""

import ctypes
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mmedc.books.pdf.glyphs import Glyph, Pdfium, frame_of, glyphs_of, lines_of
from mmedc.books.pdf.model import Line

ALIKE = 8
"""Colours (0 to 255 for each of red, green and blue) that differ by less look the same."""
LEAST_SIDE = 4.0
"""Points; narrower areas are rules, and no text fits in them."""
MAX_OBJECTS = 50_000
"""Of a page; more are a drawing, and the rest of them is not looked at."""
OVERLAP = 0.4
"""Of the height of a text: how far it must lie in an area to be hidden by it."""
MOST_PAIRS = 100_000
"""Of texts and areas that are compared at once."""
DEPTH = 3
"""Levels of forms that are looked into."""
INVISIBLE = (3, 7)
"""Modes in which text is drawn that leave no ink: not at all, and as a clipping path."""
SEVERAL, MOST = 0.3, 0.8
"""Shares of the glyphs of a text object: fewer hidden ones may be chance, and where more are hidden all are."""
SCALE, MOST_PIXELS = 2.0, 4_000_000
TEXT, PATH, IMAGE, FORM = 1, 2, 3, 5
Box = tuple[float, float, float, float]
"""Left, bottom, right, top in the coordinates of the content."""
Colour = tuple[int, int, int]
Matrix = tuple[float, ...]
FOUR = struct.Struct("=4I").unpack_from
NO_COLOUR = (-99, -99, -99)
Shades = npt.NDArray[np.int16]
Flags = npt.NDArray[np.bool_]


class Area(NamedTuple):
    """A filled area."""

    order: int
    """Its place among the objects of the page, in which they are drawn."""
    box: Box
    colour: Colour


@dataclass
class Drawn:
    """The objects of a page, as far as they tell whether text may be hidden."""

    areas: list[Area] = field(default_factory=list)
    images: list[Box] = field(default_factory=list)
    texts: list[tuple[int, Colour | None, int, Matrix | None]] = field(default_factory=list)
    """Of each text object its place, its colour, its address and the matrix of the form that it is in."""
    inkless: bool = False
    """Whether some text leaves no ink, or is white."""
    count: int = 0


def unseen(file: Pdfium, number: int) -> list[tuple[Glyph, bool]]:
    """Return (glyph, whether it is hidden) for the glyphs of a page, from 0; nothing where all of them are seen."""
    import pypdfium2.raw as pdfium

    with file.opened(number) as page:
        frame = frame_of(page)
        drawn = Drawn()
        walk = _Walk(pdfium, drawn)
        walk.see(walk.calls.of_page, _address(page.raw), pdfium.FPDFPage_CountObjects(page.raw), None, 0)
        if not walk.may_hide():
            return []
        text = page.get_textpage()
        try:
            glyphs = glyphs_of(pdfium, text.raw, frame)
            writing = Writing.of(pdfium, text.raw, [index for index, _ in glyphs], drawn)
        finally:
            text.close()
        doubtful = _doubtful(writing, drawn)
        if not doubtful.any():
            return []
        width, height = page.get_size()
        scale = min(SCALE, (MOST_PIXELS / max(width * height, 1.0)) ** 0.5)
        picture = page.render(scale=scale, rev_byteorder=True, may_draw_forms=False, draw_annots=False)
        pixels = picture.to_numpy()[:, :, :3]
        blank = np.zeros(len(doubtful), bool)
        for at in np.flatnonzero(doubtful):
            ink = frame.box(*writing.ink[at].tolist())
            blank[at] = _is_blank(writing, int(at), drawn, _cut(pixels, ink, scale))
        gone = _hidden(writing, blank)
    return [(glyph, bool(hides)) for (_, glyph), hides in zip(glyphs, gone, strict=True)] if gone.any() else []


class _Calls(NamedTuple):
    """Functions of pdfium that are called for each of thousands of objects, so that addresses are plain numbers here.

    That takes a third of the time of the same functions of pypdfium2.
    """

    of_page: Callable[[int, int], int]
    of_form: Callable[[int, int], int]
    kind: Callable[[int], int]
    mode: Callable[[int], int]
    fill: Callable[[int, int, int, int, int], int]
    drawn: Callable[[int, int, int], int]
    bounds: Callable[[int, int, int, int, int], int]


@cache
def _calls() -> _Calls:
    import pypdfium2.raw as pdfium

    address, number = ctypes.c_void_p, ctypes.c_int

    def call(function: Any, result: Any, *kinds: Any) -> Callable[..., int]:
        return ctypes.PYFUNCTYPE(result, *kinds)(_address(function))

    return _Calls(
        call(pdfium.FPDFPage_GetObject, address, address, number),
        call(pdfium.FPDFFormObj_GetObject, address, address, ctypes.c_ulong),
        call(pdfium.FPDFPageObj_GetType, number, address),
        call(pdfium.FPDFTextObj_GetTextRenderMode, number, address),
        call(pdfium.FPDFPageObj_GetFillColor, number, *[address] * 5),
        call(pdfium.FPDFPath_GetDrawMode, number, *[address] * 3),
        call(pdfium.FPDFPageObj_GetBounds, number, *[address] * 5),
    )


class _Walk:
    """Goes through the objects of a page; the variables that pdfium writes to are made once."""

    def __init__(self, pdfium: Any, drawn: Drawn) -> None:
        self.pdfium, self.drawn, self.calls = pdfium, drawn, _calls()
        self.rgba, self.edges, self.flags = (ctypes.c_uint * 4)(), (ctypes.c_float * 4)(), (ctypes.c_int * 2)()
        self.to_rgba, self.to_edges, self.to_flags = map(_places, (self.rgba, self.edges, self.flags))

    def may_hide(self) -> bool:
        """Return whether there may be hidden text among the objects that were seen."""
        drawn = self.drawn
        if drawn.inkless or not drawn.areas:
            return drawn.inkless
        fills = {area.colour for area in drawn.areas}
        colours_of = {colour for _, colour, _, _ in drawn.texts if colour}
        alike = {colour for colour in colours_of if any(_alike(colour, fill) for fill in fills)}
        last = drawn.areas[-1].order
        texts = [text for text in drawn.texts if text[0] < last or text[1] in alike]
        if not texts:
            return False
        boxes = np.array([self._box(thing, outer) for _, _, thing, outer in texts])
        order = np.array([place for place, *_ in texts])
        colours = np.array([colour or NO_COLOUR for _, colour, _, _ in texts], np.int16)
        thick = np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
        step = max(MOST_PAIRS // len(texts), 1)
        for begin in range(0, len(drawn.areas), step):
            areas = drawn.areas[begin : begin + step]
            edges = np.array([area.box for area in areas])[:, None]
            fills_of = np.array([area.colour for area in areas], np.int16)[:, None]
            later = np.array([area.order for area in areas])[:, None] > order
            shared = np.minimum(boxes[:, 2:], edges[..., 2:]) - np.maximum(boxes[:, :2], edges[..., :2])
            suspect = later | (abs(colours - fills_of) < ALIKE).all(axis=2)
            if (suspect & (shared.min(axis=2) > OVERLAP * thick)).any():
                return True
        return False

    def see(self, get: Callable[[int, int], int], holder: int, count: int, outer: Matrix | None, depth: int) -> None:
        """Note the objects of a page, or of a form whose matrix is `outer`."""
        drawn, rgba, texts, white = self.drawn, self.rgba, self.drawn.texts, 255 - ALIKE
        _, of_form, kind_of, mode, fill, _, _ = self.calls
        red_at, green_at, blue_at, alpha_at = self.to_rgba
        for index in range(count):
            drawn.count += 1
            if drawn.count > MAX_OBJECTS:
                return
            thing = get(holder, index)
            kind = kind_of(thing)
            if kind == TEXT:
                colour = None
                if fill(thing, red_at, green_at, blue_at, alpha_at):
                    red, green, blue, alpha = FOUR(rgba)
                    colour = red, green, blue
                    if alpha == 0 or (red > white and green > white and blue > white):
                        drawn.inkless = True
                texts.append((drawn.count, colour, thing, outer))
                if mode(thing) in INVISIBLE:
                    drawn.inkless = True
            elif kind == PATH:
                self._path(thing, outer)
            elif kind == IMAGE:
                drawn.images.append(self._box(thing, outer))
            elif kind == FORM and depth < DEPTH:
                form, matrix = ctypes.cast(thing, self.pdfium.FPDF_PAGEOBJECT), self.pdfium.FS_MATRIX()
                self.pdfium.FPDFPageObj_GetMatrix(form, matrix)
                inside = self.pdfium.FPDFFormObj_CountObjects(form)
                self.see(of_form, thing, inside, _product(matrix, outer), depth + 1)

    def _path(self, thing: int, outer: Matrix | None) -> None:
        if self.calls.drawn(thing, *self.to_flags) and self.flags[0]:
            left, bottom, right, top = box = self._box(thing, outer)
            wide = min(right - left, top - bottom) >= LEAST_SIDE
            if wide and self.calls.fill(thing, *self.to_rgba) and self.rgba[3] == 255:
                self.drawn.areas.append(Area(self.drawn.count, box, FOUR(self.rgba)[:3]))

    def _box(self, thing: int, outer: Matrix | None) -> Box:
        self.calls.bounds(thing, *self.to_edges)
        left, bottom, right, top = self.edges
        if outer is not None:
            a, b, c, d, e, f = outer
            xs = [a * x + c * y + e for x in (left, right) for y in (bottom, top)]
            ys = [b * x + d * y + f for x in (left, right) for y in (bottom, top)]
            left, bottom, right, top = min(xs), min(ys), max(xs), max(ys)
        return left, bottom, right, top


def _places(values: Any) -> list[int]:
    """Return the addresses of the values of an array of ctypes."""
    size = ctypes.sizeof(values) // len(values)
    return [ctypes.addressof(values) + size * at for at in range(len(values))]


def _address(thing: Any) -> int:
    return ctypes.cast(thing, ctypes.c_void_p).value or 0


def _product(matrix: Any, outer: Matrix | None) -> Matrix:
    """Return the matrix of a form inside another form."""
    a, b, c, d, e, f = matrix.a, matrix.b, matrix.c, matrix.d, matrix.e, matrix.f
    if outer is None:
        return a, b, c, d, e, f
    p, q, r, s, t, u = outer
    return a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s, e * p + f * r + t, e * q + f * s + u


@dataclass
class Writing:
    """How the glyphs of a page are drawn."""

    order: npt.NDArray[np.int64]
    """The place of their text object among those of the page."""
    colour: Shades
    """Rows of red, green and blue."""
    inked: Flags
    ink: npt.NDArray[np.float64]
    """Rows of the left, bottom, right and top of what is drawn, in the coordinates of the content."""

    @classmethod
    def of(cls, pdfium: Any, page: Any, indices: Sequence[int], drawn: Drawn) -> "Writing":
        """Return how glyphs of a text page of `pypdfium2.raw` are drawn."""
        rgba = [ctypes.c_uint() for _ in range(4)]
        left, right, bottom, top = (ctypes.c_double() for _ in range(4))
        places = {thing: place for place, _, thing, _ in drawn.texts}
        order, colours, inked, ink = [], [], [], []
        for index in indices:
            thing = pdfium.FPDFText_GetTextObject(page, index)
            order.append(places.get(_address(thing), 0) if thing else 0)
            pdfium.FPDFText_GetFillColor(page, index, *rgba)
            colours.append([value.value for value in rgba[:3]])
            inked.append(rgba[3].value > 0 and not (thing and pdfium.FPDFTextObj_GetTextRenderMode(thing) in INVISIBLE))
            pdfium.FPDFText_GetCharBox(page, index, left, right, bottom, top)
            ink.append((left.value, bottom.value, right.value, top.value))
        return cls(np.array(order), np.array(colours, np.int16), np.array(inked), np.array(ink))


def _doubtful(writing: Writing, drawn: Drawn) -> Flags:
    """Return which glyphs are drawn in a way that may hide them, and not where an image is."""
    doubtful = ~writing.inked | (writing.colour > 255 - ALIKE).all(axis=1)
    for area in drawn.areas:
        alike = (abs(writing.colour - np.array(area.colour, np.int16)) < ALIKE).all(axis=1)
        doubtful |= ((area.order > writing.order) | alike) & _within(writing, area.box)
    for image in drawn.images:
        doubtful &= ~_within(writing, image)
    return doubtful


def _within(writing: Writing, box: Box) -> Flags:
    x, y = writing.ink[:, 0] + writing.ink[:, 2], writing.ink[:, 1] + writing.ink[:, 3]
    return (x >= 2 * box[0]) & (x <= 2 * box[2]) & (y >= 2 * box[1]) & (y <= 2 * box[3])


def _cut(picture: "npt.NDArray[np.uint8]", ink: Box, scale: float) -> "npt.NDArray[np.uint8]":
    """Return the part of a picture where a glyph is, and a row above and below it, as some glyphs fill their boxes."""
    left, top, right, bottom = (round(value * scale) for value in ink)
    return picture[max(top - 1, 0) : max(bottom + 2, 0), max(left, 0) : max(right, left + 1, 0)]


def _is_blank(writing: Writing, at: int, drawn: Drawn, place: "npt.NDArray[np.uint8]") -> bool:
    """Return whether the place of a glyph is of one colour: for ink its own, or that of an area over it."""
    if not place.size:
        return True
    low, high = place.min(axis=(0, 1)), place.max(axis=(0, 1))
    if int((high - low).max()) > ALIKE:
        return False
    red, green, blue = (int(value) for value in (low.astype(int) + high) // 2)
    if not writing.inked[at] or (abs(writing.colour[at] - np.array((red, green, blue))) < ALIKE).all():
        return True
    return any(area.order > writing.order[at] and _alike(area.colour, (red, green, blue)) for area in drawn.areas)


def _hidden(writing: Writing, blank: Flags) -> Flags:
    """Return which glyphs the page does not show: blank ones, unless they are few of their text object."""
    total = np.bincount(writing.order)
    share = np.bincount(writing.order, weights=blank, minlength=len(total)) / np.maximum(total, 1)
    shares = share[writing.order]
    return (blank & (shares >= SEVERAL)) | (shares >= MOST)


def _alike(a: Colour, b: Colour) -> bool:
    return abs(a[0] - b[0]) < ALIKE and abs(a[1] - b[1]) < ALIKE and abs(a[2] - b[2]) < ALIKE


def shown(lines: list[Line], glyphs: list[tuple[Glyph, bool]]) -> list[Line]:
    """Return lines without their hidden glyphs; a line that is hidden in part is read again from the others."""
    gone = [glyph for glyph, hides in glyphs if hides]
    out: list[Line] = []
    for line in lines:
        if not any(_in(glyph, line) for glyph in gone):
            out.append(line)
            continue
        left = [glyph for glyph, hides in glyphs if not hides and _in(glyph, line)]
        for part in lines_of(left) if left else ():
            part.bold, part.turned = line.bold, line.turned
            out.append(part)
    return out


def _in(glyph: Glyph, line: Line) -> bool:
    x = (glyph[1] + glyph[2]) / 2
    if line.end or line.turned:
        return line.x0 <= x <= line.x1 and line.y0 - glyph[5] <= glyph[3] <= line.y1 + glyph[5]
    return line.x0 <= x <= line.x1 and abs(glyph[3] - line.base) < 0.3 * line.size
