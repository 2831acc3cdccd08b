"""Counts of kinds of characters in many texts at once, which mean the same in every script."""

import functools
import unicodedata

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

KINDS = ("letter", "upper", "wide", "digit", "space", "sentence", "comma", "other")
"""Kinds of characters; `wide` are letters of scripts without spaces, which count as letters too."""
_SENTENCE = ".!?…。！？｡؟۔।॥"
_COMMA = ",;:、，；：،؛"
WIDE_UNITS = 2
"""What a letter of a script without spaces counts beyond one: a Chinese text has a third of the letters."""


@functools.cache
def _table() -> NDArray[np.uint8]:
    """Return the kind of each character of the basic plane as bits, in the order of `KINDS`."""
    table = np.zeros(1 << 16, np.uint8)
    for code in range(1 << 16):
        char = chr(code)
        kind = unicodedata.category(char)
        if kind[0] in "LM":
            table[code] = 1 | (2 if kind in ("Lu", "Lt") else 0) | (4 if _is_wide(code) else 0)
        elif kind[0] == "N":
            table[code] = 8
        elif kind[0] == "Z" or char in "\n\t":
            table[code] = 16
        elif char in _SENTENCE:
            table[code] = 32
        elif char in _COMMA:
            table[code] = 64
        else:
            table[code] = 128
    return table


def _is_wide(code: int) -> bool:
    return 0x3040 <= code < 0xA000 or 0xAC00 <= code < 0xD7A4 or 0xF900 <= code < 0xFB00 or 0x0E00 <= code < 0x1000


def kinds_of(texts: list[str]) -> tuple[Ints, NDArray[np.uint8], Ints]:
    """Return (counts, kinds, starts): counts by kind (rows) and text, the kinds of all characters, where texts begin.

    An empty text counts as one space; characters beyond the basic plane count as wide letters.
    """
    joined = " ".join(texts) + " "
    codes = np.frombuffer(joined.encode("utf-32-le", "replace"), np.uint32)
    kinds = np.where(codes < 1 << 16, _table()[np.minimum(codes, 0xFFFF)], np.uint8(5))
    lengths = np.fromiter(map(len, texts), np.int64, len(texts)) + 1
    starts = np.cumsum(lengths) - lengths
    counts = np.empty((len(KINDS), len(texts)), np.int64)
    for number in range(len(KINDS)):
        counts[number] = np.add.reduceat((kinds >> number) & 1, starts, dtype=np.int64)
    counts[KINDS.index("space")] -= 1  # the space that joins
    return counts, kinds, starts
