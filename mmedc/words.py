"""Texts of a batch as NumPy arrays: characters, their classes, words and hashes of words.

Quality rules and near-duplicate signatures both need words; only this module defines what a
word is. A word is a sequence of letters, digits and marks; in scripts written without spaces (Han,
Kana, Thai, Lao, Khmer, Myanmar) every character is a word of its own, so that one definition of
an n-gram works for all languages, even within one text.
"""

import functools
import unicodedata
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.folding import folded_texts, plain_texts

LETTER, DIGIT, SPACE, NEWLINE, PUNCTUATION, SYMBOL, MARK, UNSPACED = (1 << bit for bit in range(8))
WORD = LETTER | DIGIT | MARK

_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),
    (0x3040, 0x30FF),  # Kana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_TABLE = 0x20000  # above are only Han (planes 2 and 3) and characters that do not matter here

_BASE = np.uint64(0x9E3779B97F4A7C15)
_CACHED = 1 << 15  # characters that are hashed at a time, to stay in the cache

U64 = npt.NDArray[np.uint64]


@functools.cache
def _classes() -> npt.NDArray[np.uint8]:
    kinds = {"L": LETTER, "N": DIGIT, "Z": SPACE, "P": PUNCTUATION, "S": SYMBOL, "M": MARK}
    table = np.zeros(_TABLE + 1, np.uint8)
    for code in range(_TABLE):
        table[code] = kinds.get(unicodedata.category(chr(code))[0], 0)
    for low, high in _UNSPACED:
        table[low : min(high + 1, _TABLE)] |= UNSPACED
    for char in "\t\x0b\x0c\r":
        table[ord(char)] = SPACE
    for char in "\n\u2028\u2029":
        table[ord(char)] = SPACE | NEWLINE
    table[ord("_")] = PUNCTUATION
    table[_TABLE] = LETTER | UNSPACED
    return table


@functools.cache
def _powers(size: int) -> tuple[U64, U64]:
    """Return the powers of the base and of its inverse modulo 2^64, (size,) each."""
    inverse = np.uint64(pow(int(_BASE), -1, 1 << 64))
    with np.errstate(over="ignore"):
        powers, inverses = (
            np.cumprod(np.concatenate([[np.uint64(1)], np.full(size - 1, base)]), dtype=np.uint64)
            for base in (_BASE, inverse)
        )
    return powers, inverses


@functools.cache
def _weight_table() -> U64:
    points = np.arange(_TABLE + 1, dtype=np.uint32)
    sound = np.flatnonzero((points < 0xD800) | (points > 0xDFFF))
    lower = pc.utf8_lower(pa.array([points[sound].astype("<u4").tobytes().decode("utf-32-le")]))
    points[sound] = np.frombuffer(lower[0].as_py().encode("utf-32-le"), np.uint32)
    weights = mix(points.astype(np.uint64) + np.uint64(1))
    weights[(_classes() & WORD) == 0] = 0
    return weights


def _weights(codes: npt.NDArray[np.uint32]) -> U64:
    """Return a well-mixed number for each character of a word, whatever its case, and 0 for other characters."""
    result: U64 = _weight_table()[np.minimum(codes, _TABLE)]
    if len(codes) and int(codes.max()) >= _TABLE:
        rare = np.flatnonzero(codes >= _TABLE)
        result[rare] = mix(codes[rare].astype(np.uint64) + np.uint64(1))
    return result


@functools.cache
def is_unspaced(char: str) -> bool:
    """Return whether `char` belongs to a script that is written without spaces between words."""
    code = ord(char)
    return any(low <= code <= high for low, high in _UNSPACED)


@functools.cache
def in_word(char: str) -> bool:
    """Return whether `char` is a letter, a digit or a mark; vowel signs are marks and belong to their word."""
    return char.isalnum() or unicodedata.category(char)[0] == "M"


def mix(values: U64) -> U64:
    """Mix the bits of 64-bit values with the finaliser of SplitMix64 (Steele et al., OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return values ^ (values >> np.uint64(31))


class TextBatch:
    """The texts of an Arrow array without nulls, as arrays over all their characters and words.

    Hashes ignore case. Shapes: D documents, C characters in total, W words in total.
    """

    def __init__(self, texts: Any) -> None:
        if isinstance(texts, pa.ChunkedArray):
            texts = texts.combine_chunks()
        whole = "".join(texts.to_pylist())
        lengths = pc.utf8_length(texts).to_numpy(zero_copy_only=False).astype(np.int64)
        codes = np.frombuffer(whole.encode("utf-32-le", "surrogatepass"), np.uint32)
        self._hold(codes, np.concatenate([[0], np.cumsum(lengths)]))

    def _hold(self, codes: npt.NDArray[np.uint32], offsets: npt.NDArray[np.int64]) -> None:
        self.codes = codes  # (C,)
        self.offsets = offsets  # (D+1,) of characters
        self.classes = _classes()[np.minimum(codes, _TABLE)]  # (C,)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def count(self, mask: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return how many characters of each document are in `mask` (C,), as (D,)."""
        return sums(mask, self.offsets)

    @functools.cached_property
    def _word_bounds(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        word = (self.classes & WORD) != 0
        mark = (self.classes & MARK) != 0
        alone = word & ~mark & ((self.classes & UNSPACED) != 0)
        joins = np.zeros(len(word) + 1, bool)  # to the character before it
        joins[1:-1] = word[1:] & word[:-1] & (mark[1:] | (~alone[1:] & ~alone[:-1]))
        joins[self.offsets] = False
        starts = np.flatnonzero(word & ~joins[:-1])
        ends = np.flatnonzero(word & ~joins[1:]) + 1
        return starts, ends

    @property
    def word_starts(self) -> npt.NDArray[np.int64]:
        """The index of the first character of each word, (W,)."""
        return self._word_bounds[0]

    @property
    def word_lengths(self) -> npt.NDArray[np.int64]:
        """The number of characters of each word, (W,)."""
        starts, ends = self._word_bounds
        return ends - starts

    @functools.cached_property
    def word_offsets(self) -> npt.NDArray[np.int64]:
        """The offsets of the words of each document, (D+1,)."""
        return np.searchsorted(self.word_starts, self.offsets)

    @functools.cached_property
    def word_hashes(self) -> U64:
        """A 64-bit hash of each word's characters, (W,); the same for equal words of any batch."""
        starts, ends = self._word_bounds
        result = np.empty(len(starts), np.uint64)
        cuts = np.flatnonzero(np.diff(starts // _CACHED, prepend=-1)).tolist()
        for low, high in pairwise([*cuts, len(starts)]):  # some words at a time, in the cache of the core
            first, last = int(starts[low]), int(starts[high]) if high < len(starts) else len(self.codes)
            powers, inverses = _powers(1 << (last - first).bit_length())
            at = starts[low:high] - first
            with np.errstate(over="ignore"):
                # Powers go by position; the power before a word is divided out, and gaps between words have weight 0.
                weighted = _weights(self.codes[first:last]) * powers[: last - first]
                value = np.add.reduceat(weighted, at) * inverses[at]
                result[low:high] = mix(value + (ends - starts)[low:high].astype(np.uint64))
        return result

    @functools.cached_property
    def text_hashes(self) -> U64:
        """A 64-bit hash of the words of each text in their order, (D,); the same for equal words of any batch."""
        offsets, hashes = self.word_offsets, self.word_hashes
        powers, inverses = _powers(1 << len(hashes).bit_length())
        with np.errstate(over="ignore"):
            total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(hashes * powers[: len(hashes)], dtype=np.uint64)])
            value = (total[offsets[1:]] - total[offsets[:-1]]) * inverses[offsets[:-1]]
            return mix(value + np.diff(offsets).astype(np.uint64))

    def beginnings(self, size: int | None) -> U64:
        """Return a hash of each word's first `size` characters (of all of them for None), (W,)."""
        if size is None:
            return self.word_hashes
        starts, lengths = self.word_starts, np.minimum(self.word_lengths, size)
        if not len(starts):
            return np.zeros(0, np.uint64)
        total = np.concatenate([[0], np.cumsum(lengths)])
        within = np.arange(total[-1]) - np.repeat(total[:-1], lengths)
        powers, _ = _powers(1 << size.bit_length())
        with np.errstate(over="ignore"):
            weighted = _weights(self.codes[np.repeat(starts, lengths) + within]) * powers[within]
            return mix(np.add.reduceat(weighted, total[:-1]) + lengths.astype(np.uint64))

    def shingles(self, size: int) -> tuple[U64, npt.NDArray[np.int64]]:
        """Return hashes of every run of `size` words, and the (D+1,) offsets of each document's runs.

        A document of fewer words has one shingle of all its words; one without words has none.
        """
        hashes, offsets = self.word_hashes, self.word_offsets
        counts = np.diff(offsets)
        short = (counts < size) & (counts > 0)
        runs = np.where(short, 1, np.maximum(counts - size + 1, 0))
        bounds = np.concatenate([[0], np.cumsum(runs)])
        at = np.repeat(offsets[:-1] - bounds[:-1], runs) + np.arange(bounds[-1])
        length = np.repeat(np.minimum(counts, size), runs)
        padded = np.concatenate([hashes, np.zeros(size, np.uint64)])
        value = np.zeros(len(at), np.uint64)
        with np.errstate(over="ignore"):
            for step in range(size):
                value = value * _BASE + np.where(step < length, padded[at + step], np.uint64(0))
        return mix(value), bounds


_last: tuple[Any, TextBatch] | None = None


def folded_batch(texts: Any) -> TextBatch:
    """Return the `TextBatch` of folded texts; the last one is kept, because rules and signatures need the same."""
    global _last
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if _last is None or not _last[0].equals(texts):
        _last = texts, TextBatch(plain_texts(texts))
    return _last[1]


def sums(values: npt.NDArray[Any], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the sum of `values` between each pair of consecutive `offsets`."""
    total = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    result: npt.NDArray[np.int64] = total[offsets[1:]] - total[offsets[:-1]]
    return result


def hash_words(words: tuple[str, ...]) -> U64:
    """Return the sorted hashes of single words, equal to those of `TextBatch.word_hashes`."""
    batch = TextBatch(folded_texts(pa.array(words, pa.large_string())))
    single = np.diff(batch.word_offsets) == 1
    return np.unique(batch.word_hashes[batch.word_offsets[:-1][single]])
