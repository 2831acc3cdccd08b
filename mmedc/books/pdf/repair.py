"""Files whose end is lost, with the table of objects and the trailer that names the catalog.

pdfium finds the objects of such a file by itself, but neither those in object streams nor which of them is the catalog.
Both are written behind the file: the objects as plain ones, and a trailer (ISO 32000-1, 7.5.5, 7.5.7 and 7.7.2).
"""

import re
import zlib
from collections.abc import Iterator

OBJECT = re.compile(rb"(?<!\d)(\d{1,10})\s+(\d{1,5})\s+obj\b")
CATALOG = re.compile(rb"/Type\s*/Catalog(?![A-Za-z])")
PACKED = re.compile(rb"/Type\s*/ObjStm\b")
FIRST, COUNT = re.compile(rb"/First\s+(\d+)"), re.compile(rb"/N\s+(\d+)")
MAX_BYTES = 1 << 27
"""Of a file, and of its object streams; larger ones are not repaired, because they are held in memory."""
NEAR = 100_000
"""Bytes around the mark of a catalog or an object stream in which its beginning is looked for."""


def mended(path: str) -> bytes | None:
    """Return a file with the objects of its object streams and a trailer that names its last catalog, or None."""
    with open(path, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        return None
    out = bytearray(data + b"\nendstream\nendobj\n")
    for number, body in _unpacked(data):
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
        if len(out) > 2 * MAX_BYTES:
            return None
    root = _catalog(out)
    if root is None:
        return None
    out += b"trailer\n<< /Root %d 0 R >>\nstartxref\n0\n%%%%EOF\n" % root
    return bytes(out)


def _catalog(data: bytes | bytearray) -> int | None:
    """Return the number of the last object that is a catalog."""
    found = None
    for mark in CATALOG.finditer(data):
        if begin := _begin(data, mark.start()):
            found = int(begin[1])
    return found


def _begin(data: bytes | bytearray, at: int) -> "re.Match[bytes] | None":
    """Return where the object begins that a place is in."""
    last = max(OBJECT.finditer(data, max(at - NEAR, 0), at), key=lambda found: found.start(), default=None)
    return last if last and data.find(b"endobj", last.end(), at) < 0 else None


def _unpacked(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (number, object) of the object streams that are whole."""
    for mark in PACKED.finditer(data):
        begin = _begin(data, mark.start())
        content = data.find(b"stream", mark.end(), mark.end() + NEAR)
        if begin is None or content < 0:
            continue
        head = data[begin.end() : content]
        first, count = FIRST.search(head), COUNT.search(head)
        begins = content + (8 if data[content + 6 : content + 8] == b"\r\n" else 7)
        try:
            packed = data[begins : data.find(b"endstream", begins)]
            plain = zlib.decompressobj().decompress(packed, MAX_BYTES) if b"/FlateDecode" in head else b""
            places = [int(value) for value in plain[: int(first[1]) if first else 0].split()]
        except (zlib.error, ValueError):
            continue
        ends = [*places[3::2], len(plain)]
        if first and count and len(places) >= 2 * int(count[1]):
            for number, start, end in zip(places[::2], places[1::2], ends, strict=False):
                yield number, plain[int(first[1]) + start : int(first[1]) + end if end < len(plain) else end]
