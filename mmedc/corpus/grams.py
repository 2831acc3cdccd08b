"""Filters by which a search skips blocks of documents: for each block, a Bloom filter of the grams of its texts.

A gram is five letters, digits or marks in a row, or two of Han, Kana and Hangul; the case of letters does not count. A
search reads only the blocks whose filters have every gram of what is searched for, and then looks into the texts: a
filter may have a gram that its block lacks, but never lacks one that its block has. Measured on 13 MB of web pages: the
filters are 0.5% of the size of the texts, and are made at 84 MB/s a core.
"""

import functools
import unicodedata
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

BLOCK_ROWS = 2_000
"""The documents of a block."""
LETTERS, PAIR = 5, 2
BITS = 22
"""The binary logarithm of the bits of a filter while it is made. One of long books is nearly full, and skips little."""
LEAST_BITS = 10
LOAD = 0.2
"""A filter is halved while at most half of this share of its bits would be set before, so that it ends below LOAD."""
AT_ONCE = 1 << 20
"""The characters that are hashed at a time, to stay in the caches."""
WORDS = pa.schema(
    [
        pa.field("first_row", pa.int64()),
        pa.field("rows", pa.int64()),
        pa.field("grams", pa.list_(pa.uint64())),
    ]
)
"""A block of the rows of a shard. Bit n of `grams` is bit n % 64, from the least, of number n // 64."""
U64 = npt.NDArray[np.uint64]
_FIRST, _LAST = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)


class BlockFilters:
    """Makes the filters of the texts of a shard, in their order."""

    def __init__(self) -> None:
        self._done: list[tuple[int, int, U64]] = []
        self._rows, self._bits = 0, np.zeros(1 << BITS, np.bool_)

    def add(self, texts: list[str]) -> None:
        """Add the texts of the next rows."""
        while texts:
            mine, texts = texts[: BLOCK_ROWS - self._rows], texts[BLOCK_ROWS - self._rows :]
            # A line break is in no gram, so that none reaches from one text to the next.
            for places in _hashes("\n".join(mine)):
                self._bits[places] = True
            self._rows += len(mine)
            if self._rows == BLOCK_ROWS:
                self._close()

    def _close(self) -> None:
        self._done.append((len(self._done) * BLOCK_ROWS, self._rows, _packed(self._bits)))
        self._rows, self._bits = 0, np.zeros(1 << BITS, np.bool_)

    def table(self) -> pa.Table:
        """Return the filters as WORDS."""
        if self._rows:
            self._close()
        columns = list(zip(*self._done, strict=True)) or [()] * len(WORDS)
        return pa.table([pa.array(column, field.type) for column, field in zip(columns, WORDS, strict=True)], WORDS)


def _packed(bits: npt.NDArray[np.bool_]) -> U64:
    """Return a filter as numbers, with its halves laid over each other while few bits are set."""
    while len(bits) > 1 << LEAST_BITS and np.count_nonzero(bits) < LOAD / 2 * len(bits):
        half = len(bits) // 2
        bits = bits[:half] | bits[half:]
    return np.packbits(bits, bitorder="little").view("<u8").astype(np.uint64)


def grams_of(path: str) -> str:
    """Return where the filters of the shard at `path` are, below the folder of the corpus."""
    return f"statistics/grams/{path.removeprefix('data/')}"


def places_of(text: str) -> npt.NDArray[np.int64]:
    """Return the bits of the grams of a text in a filter of 2^BITS bits; in a smaller one, modulo its size."""
    return np.unique(np.concatenate([np.zeros(0, np.int64), *_hashes(text)]))


def _hashes(text: str) -> Iterator[npt.NDArray[np.int64]]:
    fold, kinds = _tables()
    codes = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), np.uint16)
    for start in range(0, len(codes), AT_ONCE):
        seen = fold[codes[start : start + AT_ONCE + LETTERS - 1]]
        kind = kinds[seen]
        for size in (LETTERS, PAIR):
            run, count = kind == size, len(seen) - size + 1
            if count < 1:
                continue
            starts = np.flatnonzero(np.logical_and.reduce([run[at : at + count] for at in range(size)]))
            # One unaligned read takes the first four characters, or both of a pair.
            width = np.dtype("<u8" if size == LETTERS else "<u4")
            value = np.ndarray((count,), width, seen, strides=(2,))[starts].astype(np.uint64) * _FIRST
            if size == LETTERS:
                value ^= seen[starts + 4] * _LAST
            yield (value * _FIRST >> np.uint64(64 - BITS)).astype(np.int64)


@functools.cache
def _tables() -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint8]]:
    """Return, for each code of UTF-16, the one that it is searched as, and the size of its grams; 0: it is in none."""
    fold, kinds = np.arange(1 << 16, dtype=np.uint16), np.zeros(1 << 16, np.uint8)
    for code in range(1 << 16):
        char = chr(code)
        other = char.casefold()
        if len(other) == 1:
            fold[code] = min(ord(other), 0xFFFF)
        if 0xD800 <= code < 0xE000:  # halves of rare characters, most of them Han
            kinds[code] = PAIR
        elif unicodedata.category(char)[0] in "LMN":
            kinds[code] = PAIR if 0x2E80 <= code < 0xA4D0 or 0xAC00 <= code < 0xFB00 else LETTERS
    return fold, kinds[fold]
