"""PDF files written byte by byte, sound and broken: fixtures of our own, without a PDF library."""

import zlib
from dataclasses import dataclass, field

A4 = (595, 842)
HELVETICA = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
BOLD = HELVETICA.replace(b"Helvetica", b"Helvetica-Bold")


@dataclass
class Pdf:
    """Objects of a file by number; 1 is the catalog and 2 the root of the pages."""

    objects: dict[int, bytes] = field(default_factory=dict)
    pages: list[int] = field(default_factory=list)
    info: bytes = b""
    encrypt: bytes = b""

    def __post_init__(self) -> None:
        self.objects |= {1: b"<< /Type /Catalog /Pages 2 0 R >>", 3: HELVETICA, 4: BOLD}

    def add(self, body: bytes) -> int:
        """Add an object and return its number."""
        number = max(self.objects, default=4) + 1
        self.objects[number] = body
        return number

    def stream(self, data: bytes, extra: bytes = b"", packed: bool = True) -> int:
        """Add a stream and return its number."""
        if packed:
            data, extra = zlib.compress(data), extra + b" /Filter /FlateDecode"
        return self.add(b"<< /Length %d%s >>\nstream\n%s\nendstream" % (len(data), extra, data))

    def page(self, content: bytes, resources: bytes = b"", size: tuple[int, int] = A4, extra: bytes = b"") -> int:
        """Add a page that draws `content`; fonts /F1 and /F2 are Helvetica and its bold."""
        fonts = b"/Font << /F1 3 0 R /F2 4 0 R >> " + resources
        stream = self.stream(content)
        body = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R /Resources << %s >> %s >>"
        self.pages.append(self.add(body % (*size, stream, fonts, extra)))
        return self.pages[-1]

    def build(self) -> bytes:
        """Return the file."""
        kids = b" ".join(b"%d 0 R" % number for number in self.pages)
        self.objects.setdefault(2, b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(self.pages)))
        trailer = b"/Root 1 0 R" + (b" /Encrypt %s" % self.encrypt if self.encrypt else b"")
        if self.info:
            trailer += b" /Info %d 0 R" % self.add(self.info)
        out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
        places = {}
        for number, body in sorted(self.objects.items()):
            places[number] = len(out)
            out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
        table, size = len(out), max(self.objects) + 1
        out += b"xref\n0 %d\n0000000000 65535 f \n" % size
        for number in range(1, size):
            out += b"%010d 00000 n \n" % places[number] if number in places else b"0000000000 65535 f \n"
        out += b"trailer\n<< /Size %d %s >>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, table)
        return bytes(out)


def escaped(text: str) -> bytes:
    """Return a text as the inside of a PDF string."""
    data = text.encode("cp1252", "replace")
    return data.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")


def line(text: str, x: float, y: float, size: float = 10, font: str = "F1") -> bytes:
    """Return the operators that draw a line of text; `y` is its height above the lower edge of the page."""
    return b"BT /%s %g Tf %g %g Td (%s) Tj ET\n" % (font.encode(), size, x, y, escaped(text))


def lines(texts: list[str], x: float, y: float, size: float = 10, leading: float = 12) -> bytes:
    """Return the operators that draw lines one below the other."""
    return b"".join(line(text, x, y - number * leading, size) for number, text in enumerate(texts))


def box(x: float, y: float, width: float, height: float, grey: float = 1.0) -> bytes:
    """Return the operators that fill a box; what is drawn after it is black."""
    return b"%g g %g %g %g %g re f 0 g\n" % (grey, x, y, width, height)


def plain(pages: list[list[str]], info: bytes = b"") -> bytes:
    """Return a file with the given lines on its pages."""
    pdf = Pdf(info=info)
    for texts in pages:
        pdf.page(lines(texts, 72, 740))
    return pdf.build()


def book(pages: int, columns: int = 2, seed: str = "The lung fills with air") -> bytes:
    """Return a book with running headers, page numbers, headings and columns; every page has a sentence of its own."""
    pdf = Pdf(info=b"<< /Title (Atlas of the lung) /Author (A. Writer) /CreationDate (D:20240115) >>")
    width = 451 / columns
    for number in range(pages):
        content = line("Atlas of the lung", 72, 800, 9) + line(f"- {number + 1} -", 290, 40, 9)
        if number % 10 == 0:
            content += line(f"Chapter {number // 10 + 1} Breathing", 72, 765, 16, "F2")
        for column in range(columns):
            texts = []
            for row in range(40):
                text = f"{seed} {number}.{column}.{row} and the patient"
                texts.append(text[: int(width / 5) - 3].ljust(8))
            content += lines(texts, 72 + column * (width + 12), 740, 10, 16)
        pdf.page(content)
    return pdf.build()
