"""What a document is compared by: a hash of its text, MinHash band keys and a small sketch.

MinHash (Broder 1997) over 5-word shingles, 64-bit hashes, 112 permutations of their upper halves as
multiply-add modulo 2^32 (less than half the time of 2^64; of two sets of a million shingles one minimum in 4,000 is
equal by chance); bands and rows chosen for the wished Jaccard. The sketch keeps two bits of
each minimum (b-bit minwise hashing, Li and König, WWW 2010): 28 bytes that travel with the keys, from
which a candidate pair's Jaccard is estimated. A long text is signed in pieces: the minima of the whole
are the lowest of the pieces.
"""

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.document import set_column
from mmedc.engine.chain import Transform
from mmedc.folding import plain_texts
from mmedc.words import U64, TextBatch, folded_batch, mix

PERMUTATIONS = 112
SHINGLE_WORDS = 5
BITS = 2
SKETCH_BYTES = PERMUTATIONS * BITS // 8
SKETCH = pa.binary(SKETCH_BYTES)
CONTENT = pa.binary(16)
RECALL_AT_LINE = 0.97
"""Chance that a pair exactly as alike as asked becomes a candidate."""
U32 = npt.NDArray[np.uint32]
NO_SHINGLE = np.uint32(0xFFFFFFFF)
CACHED = 1 << 15
"""Shingles whose minima are taken together: 128 kB."""
PIECE_CHARS = 1 << 20
"""Characters that are signed at once: about 60 MB of working memory."""


@dataclass(frozen=True)
class Bands:
    """How a signature is cut: two documents are candidates when all rows of one band agree."""

    count: int
    rows: int

    def chance(self, jaccard: float) -> float:
        """Return the probability that two documents of this similarity become candidates."""
        return float(1.0 - (1.0 - jaccard**self.rows) ** self.count)


def bands_for(jaccard: float) -> Bands:
    """Return the sharpest bands that still make candidates of nearly all pairs at `jaccard`.

    Candidates are verified, so an unlike pair costs a comparison and a missed pair is lost: more
    recall than by the balanced choice of LSH Ensemble (Zhu et al., PVLDB 2016), which finds half of
    the pairs that lie on the line.
    """
    options = [Bands(PERMUTATIONS // rows, rows) for rows in range(PERMUTATIONS, 0, -1)]
    return next(bands for bands in options if bands.chance(jaccard) >= RECALL_AT_LINE)


@functools.cache
def permutations() -> tuple[U32, U32]:
    """Return the fixed multipliers (odd) and offsets, (K,) each; part of the stored format."""
    seeds = mix(np.arange(1, 2 * PERMUTATIONS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)).astype(np.uint32)
    return seeds[:PERMUTATIONS] | np.uint32(1), seeds[PERMUTATIONS:]


def signatures(batch: TextBatch) -> U32:
    """Return the MinHash minima of each document, (D, K); all ones where a document has no word."""
    hashes, bounds = batch.shingles(SHINGLE_WORDS)
    shingles = (hashes >> np.uint64(32)).astype(np.uint32)
    result = np.full((len(batch), PERMUTATIONS), NO_SHINGLE, np.uint32)
    filled = np.flatnonzero(np.diff(bounds))
    if not len(filled):
        return result
    # A few documents at a time, so that the work stays in the cache of the core.
    cuts = np.flatnonzero(np.diff(bounds[:-1][filled] // CACHED, prepend=-1))
    for low, high in pairwise([*cuts.tolist(), len(filled)]):
        mine = filled[low:high]
        first, last = bounds[mine[0]], bounds[mine[-1] + 1]
        part, starts = shingles[first:last], bounds[mine] - first
        buffer, minima = np.empty_like(part), np.empty((PERMUTATIONS, len(mine)), np.uint32)
        with np.errstate(over="ignore"):
            for k, (multiplier, offset) in enumerate(zip(*permutations(), strict=True)):
                np.multiply(part, multiplier, out=buffer)
                np.add(buffer, offset, out=buffer)
                np.minimum.reduceat(buffer, starts, out=minima[k])
        result[mine] = minima.T
    return result


def long_signatures(texts: Any, piece: int = PIECE_CHARS) -> U32:
    """Return the minima of folded texts (an Arrow array) as `signatures` does, `piece` characters at a time.

    Memory: the texts themselves and about 60 bytes for each character of a piece.
    """
    lengths = pc.utf8_length(texts).to_numpy(zero_copy_only=False)
    result = np.full((len(texts), PERMUTATIONS), NO_SHINGLE, np.uint32)
    low = 0
    while low < len(texts):
        total = np.cumsum(lengths[low:])
        high = low + max(1, int(np.searchsorted(total, piece, side="right")))
        if lengths[low] > piece:
            for part in _pieces(texts[low].as_py(), piece):
                result[low] = np.minimum(result[low], signatures(part)[0])
        else:
            result[low:high] = signatures(TextBatch(texts[low:high]))
        low = high
    return result


def sign(texts: Any) -> U32:
    """Return the minima of normalised texts (an Arrow array), (D, K): long ones in pieces, others at once."""
    if texts.nbytes <= 4 * PIECE_CHARS:
        return signatures(folded_batch(texts))
    return long_signatures(plain_texts(texts))


def _pieces(text: str, piece: int) -> Iterator[TextBatch]:
    """Yield parts of `text` that between them have all its runs of words, and no word cut in two."""
    at = 0
    while True:
        part = TextBatch(pa.array([text[at : at + piece]], pa.large_string()))
        starts = part.word_starts
        if at + piece >= len(text) or len(starts) <= SHINGLE_WORDS + 1:
            yield part
            if at + piece >= len(text):
                return
            at += piece  # a piece that is one word, or none
            continue
        # The last word may go on in the next piece, which begins with the runs that end in it.
        yield TextBatch(pa.array([text[at : at + int(starts[-1])]], pa.large_string()))
        at += int(starts[-SHINGLE_WORDS])


def band_keys(signature: U32, bands: Bands) -> U64:
    """Return a 64-bit key for each band of each signature, (D, bands.count)."""
    used = signature[:, : bands.count * bands.rows].reshape(len(signature), bands.count, bands.rows)
    keys = np.broadcast_to(np.arange(1, bands.count + 1, dtype=np.uint64), used.shape[:2]).copy()
    for row in range(bands.rows):
        keys = mix(keys ^ used[:, :, row])
    return keys


def sketches(signature: U32) -> npt.NDArray[np.uint8]:
    """Return two bits of each minimum, packed, (D, SKETCH_BYTES)."""
    low = mix(signature.astype(np.uint64)).astype(np.uint8)
    bits = np.stack([low & 1, low >> 1 & 1], axis=2).reshape(len(low), BITS * PERMUTATIONS)
    return np.packbits(bits, axis=1, bitorder="little")


def estimate(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return the Jaccard estimated from pairs of sketches, (N, SKETCH_BYTES) each; see `standard_error`.

    Of unequal minima one in four agrees by chance; that share is taken off.
    """
    bits = one ^ other
    unlike = (bits | bits >> np.uint8(1)) & np.uint8(0x55)
    agree = 1.0 - np.bitwise_count(unlike).sum(axis=1, dtype=np.int64) / PERMUTATIONS
    return np.asarray((agree - 0.25) / 0.75)


def standard_error(jaccard: float) -> float:
    """Return the standard error of `estimate` for a pair of this similarity: 0.045 at 0.8."""
    agree = 0.25 + 0.75 * jaccard
    return float(np.sqrt(agree * (1.0 - agree) / PERMUTATIONS) / 0.75)


@dataclass(frozen=True)
class Sign:
    """Adds `content`, `bands` and `sketch`; drops nothing."""

    jaccard: float
    name: ClassVar[str] = "sign"
    version: ClassVar[int] = 4

    def open(self) -> Transform:
        """Return the transform."""
        bands = bands_for(self.jaccard)

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            texts = batch.column("text")
            content = [hashlib.blake2b(text.as_buffer(), digest_size=16).digest() for text in texts]
            signature = sign(texts)
            keys = pa.FixedSizeListArray.from_arrays(pa.array(band_keys(signature, bands).ravel()), bands.count)
            sketch = pa.FixedSizeBinaryArray.from_buffers(
                SKETCH, len(signature), [None, pa.py_buffer(np.ascontiguousarray(sketches(signature)).tobytes())]
            )
            batch = set_column(batch, "content", pa.array(content, CONTENT))
            batch = set_column(batch, "bands", keys)
            return set_column(batch, "sketch", sketch)

        return transform
