"""Pictures of pages, as PNG, drawn by pdfium; for people to look at and for OCR."""

import struct
import zlib

import numpy as np
import numpy.typing as npt

from mmedc.books.pdf.glyphs import Pdfium

MOST_PIXELS = 4_000_000


def pixels(file: Pdfium, number: int, dpi: float = 70.0) -> npt.NDArray[np.uint8]:
    """Return page `number`, from 0, as rows of (red, green, blue), with fewer dots where it has over `MOST_PIXELS`."""
    width, height = file.size(number)
    scale = min(dpi / 72, (MOST_PIXELS / max(width * height, 1.0)) ** 0.5)
    return np.asarray(file.draw(number, scale), np.uint8)


def png(image: npt.NDArray[np.uint8]) -> bytes:
    """Return an image of (red, green, blue) as a PNG file."""
    height, width, _ = image.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, width * 3)], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(rows.tobytes(), 6))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")
