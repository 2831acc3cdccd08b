"""PDF files that hurt readers, written byte by byte; `python -m tests.pdfhostile OUT` leaves them in a folder."""

import hashlib
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

from tests.pdffiles import Pdf, line, lines, plain

TEXT = [
    "The kidney filters the blood of the patient.",
    "Both kidneys lie behind the peritoneum.",
    "Urine is made there.",
]
SOUND = lines(TEXT, 72, 740)
PAD = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


def rc4(key: bytes, data: bytes) -> bytes:
    state, j = list(range(256)), 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def encrypted(user: bytes) -> bytes:
    """A file of the standard security handler, revision 2 (ISO 32000-1, 7.6.3): RC4 with 40 bits."""
    owner = rc4(hashlib.md5((b"owner" + PAD)[:32]).digest()[:5], (user + PAD)[:32])
    rights, ident = 0xFFFFFFFC, b"0123456789abcdef"
    key = hashlib.md5((user + PAD)[:32] + owner + rights.to_bytes(4, "little") + ident).digest()[:5]
    pdf = Pdf()
    pdf.page(SOUND)
    entry = b"<< /Filter /Standard /V 1 /R 2 /O <%s> /U <%s> /P -4 >> /ID [<%s> <%s>]"
    pdf.encrypt = entry % (
        owner.hex().encode(),
        rc4(key, PAD).hex().encode(),
        ident.hex().encode(),
        ident.hex().encode(),
    )
    for number, body in pdf.objects.items():
        if b"stream\n" in body:
            head, _, rest = body.partition(b"stream\n")
            data = rest[: rest.rindex(b"\nendstream")]
            own = hashlib.md5(key + number.to_bytes(3, "little") + b"\0\0").digest()[:10]
            pdf.objects[number] = head + b"stream\n" + rc4(own, data) + b"\nendstream"
    return pdf.build()


def with_form(draws: Callable[[int], bytes], count: int = 1) -> bytes:
    """A page beside a sound one that draws forms; form `n` draws what `draws(n)` says."""
    pdf = Pdf()
    pdf.page(SOUND)
    first = max(pdf.objects) + 1
    names = b" ".join(b"/X%d %d 0 R" % (n, first + n) for n in range(count))
    for n in range(count):
        pdf.stream(
            draws(n), b" /Type /XObject /Subtype /Form /BBox [0 0 595 842] /Resources << /XObject << %s >> >>" % names
        )
    pdf.page(b"/X0 Do", b"/XObject << %s >>" % names)
    return pdf.build()


def bomb() -> bytes:
    """An image of 60,000 by 60,000 points in a few bytes."""
    pdf = Pdf()
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    image = b" /Type /XObject /Subtype /Image /Width 60000 /Height 60000 /BitsPerComponent 8 /ColorSpace /DeviceGray"
    number = pdf.add(b"<< /Length %d%s /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(data), image, data))
    pdf.page(SOUND + b"q 500 0 0 300 40 40 cm /I Do Q", b"/XObject << /I %d 0 R >>" % number)
    return pdf.build()


def content_bomb() -> bytes:
    """A page whose content unpacks to 256 MB of spaces."""
    pdf = Pdf()
    pdf.page(SOUND)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(b" " * (1 << 20)) for _ in range(256)) + packer.flush()
    number = pdf.add(b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(data), data))
    pdf.pages.append(pdf.add(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R >>" % number))
    return pdf.build()


def mapped(shift: int | None) -> bytes:
    """Two-byte codes, without a map to Unicode, or with one that is off by `shift`."""
    pdf = Pdf()
    font = b"<< /Type /Font /Subtype /Type0 /BaseFont /Nowhere /Encoding /Identity-H /DescendantFonts [%d 0 R]%s >>"
    below = pdf.add(b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Nowhere /CIDSystemInfo << /Registry (Adobe) "
                    b"/Ordering (Identity) /Supplement 0 >> /DW 500 >>")  # fmt: skip
    to_unicode = b""
    if shift is not None:
        rows = b"".join(b"<%04x> <%04x>\n" % (code, code + shift) for code in range(32, 127))
        cmap = b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def\n"
        cmap += b"1 begincodespacerange <0000> <ffff> endcodespacerange\n95 beginbfchar\n" + rows
        to_unicode = b" /ToUnicode %d 0 R" % pdf.stream(cmap + b"endbfchar endcmap end end")
    number = pdf.add(font % (below, to_unicode))
    content = b""
    for at, text in enumerate(TEXT * 8):
        codes = "".join(f"{ord(char):04x}" for char in text).encode()
        content += b"BT /F9 10 Tf 72 %d Td <%s> Tj ET\n" % (740 - 14 * at, codes)
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources << /Font << %s >> >> >>"
    pdf.pages.append(pdf.add(page % (pdf.stream(content), b"/F9 %d 0 R" % number)))
    return pdf.build()


def tree(kids: bytes, count: int, more: dict[int, bytes] | None = None) -> bytes:
    """A page tree of its own; the only page is 6."""
    pdf = Pdf()
    pdf.page(SOUND)
    pdf.objects[2] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count)
    pdf.objects |= more or {}
    return pdf.build()


def nested(levels: int) -> bytes:
    """A page below many levels of nodes."""
    pdf = Pdf()
    pdf.page(SOUND)
    page = pdf.pages[0]
    first = 100
    for level in range(levels):
        kid = first + level + 1 if level + 1 < levels else page
        parent = first + level - 1 if level else 2
        pdf.objects[first + level] = b"<< /Type /Pages /Parent %d 0 R /Kids [%d 0 R] /Count 1 >>" % (parent, kid)
    pdf.objects[2] = b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % first
    return pdf.build()


def outline() -> bytes:
    """An outline whose entries follow each other in a circle."""
    pdf = Pdf()
    pdf.page(SOUND)
    pdf.objects[1] = b"<< /Type /Catalog /Pages 2 0 R /Outlines 20 0 R >>"
    pdf.objects[20] = b"<< /Type /Outlines /First 21 0 R /Last 22 0 R /Count 2 >>"
    for number, after in ((21, 22), (22, 21)):
        entry = b"<< /Title (Chapter %d) /Parent 20 0 R /Next %d 0 R /First %d 0 R /Dest [%d 0 R /Fit] >>"
        pdf.objects[number] = entry % (number, after, number, pdf.pages[0])
    return pdf.build()


def drawn_font() -> bytes:
    """A font of type 3 whose glyph draws a text in its own font."""
    pdf = Pdf()
    pdf.page(SOUND)
    glyph, font = 30, 31
    pdf.objects[glyph] = b"<< /Length 43 >>\nstream\n1000 0 d0 BT /T 1 Tf 0 0 Td (aaaa) Tj ET    \nendstream"
    pdf.objects[font] = (b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 1000 1000] /FontMatrix [.001 0 0 .001 0 0] "
                         b"/CharProcs << /a 30 0 R >> /Encoding << /Type /Encoding /Differences [97 /a] >> "
                         b"/FirstChar 97 /LastChar 97 /Widths [1000] /Resources << /Font << /T 31 0 R >> >> >>"
                         )  # fmt: skip
    stream = pdf.stream(b"BT /T 12 Tf 72 700 Td (aaaaaaaa) Tj ET")
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources << /Font << %s >> >> >>"
    pdf.pages.append(pdf.add(page % (stream, b"/T 31 0 R")))
    return pdf.build()


def odd_page(content: bytes = SOUND, extra: bytes = b"", size: tuple[int, int] = (595, 842)) -> bytes:
    """A sound page and an odd one."""
    pdf = Pdf()
    pdf.page(SOUND)
    pdf.page(content, extra=extra, size=size)
    return pdf.build()


def looping_xref() -> bytes:
    """A table of objects that names itself as the one before it."""
    data = plain([TEXT])
    start = int(data.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    return data.replace(b"trailer\n<< ", b"trailer\n<< /Prev %d " % start)


FILES: dict[str, Callable[[], bytes]] = {
    "password": lambda: encrypted(b"secret"),
    "no-password": lambda: encrypted(b""),
    "half": lambda: (data := plain([TEXT] * 6))[: len(data) // 2],
    "no-end": lambda: (data := plain([TEXT] * 2))[: data.rindex(b"xref\n0")],
    "only-head": lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "noise": lambda: b"%PDF-1.4\n" + hashlib.sha256(b"x").digest() * 500,
    "no-pages": lambda: tree(b"", 0),
    "lying-count": lambda: tree(b"6 0 R", 1_000_000),
    "cyclic-tree": lambda: tree(b"6 0 R 2 0 R", 2),
    "cyclic-node": lambda: tree(
        b"6 0 R 9 0 R", 2, {9: b"<< /Type /Pages /Parent 2 0 R /Kids [9 0 R 2 0 R] /Count 9 >>"}
    ),
    "deep-tree": lambda: nested(3_000),
    "many-pages": lambda: plain([[f"Page {n} says: the kidney filters the blood."] for n in range(10_000)]),
    "image-bomb": bomb,
    "content-bomb": content_bomb,
    "no-map": lambda: mapped(None),
    "wrong-map": lambda: mapped(3),
    "self-drawing-form": lambda: with_form(lambda n: b"/X0 Do " * 4),
    "mutual-forms": lambda: with_form(lambda n: b"/X%d Do /X%d Do" % ((n + 1) % 12, (n + 1) % 12), 12),
    "doubling-forms": lambda: with_form(lambda n: b"" if n == 29 else b"/X%d Do /X%d Do" % (n + 1, n + 1), 30),
    "self-drawing-font": drawn_font,
    "outline-circle": outline,
    "xref-loop": looping_xref,
    "long-stream": lambda: plain([TEXT]).replace(b"/Length ", b"/Length 99999"),
    "no-box": lambda: odd_page(size=(0, 0)),
    "huge-box": lambda: odd_page(size=(2_000_000_000, 2_000_000_000)),
    "deep-arrays": lambda: odd_page(b"BT /F1 10 Tf " + b"[" * 100_000 + b"(x)" + b"]" * 100_000 + b" TJ ET"),
    "many-states": lambda: odd_page(b"q " * 2_000_000 + line("deep", 72, 700)),
    "odd-numbers": lambda: odd_page(b"BT /F1 1e30 Tf 1e38 -1e38 Td (far) Tj /F1 -0.0 Tf (none) Tj ET " + SOUND),
    "html": lambda: b"<!doctype html><html><body><p>The kidney filters the blood.</p></body></html>",
    "empty": lambda: b"",
}
"""The files by name."""


def main() -> None:
    """Write the files to the folder that the command names."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for name, make in FILES.items():
        (out / f"{name}.pdf").write_bytes(make())


if __name__ == "__main__":
    main()
