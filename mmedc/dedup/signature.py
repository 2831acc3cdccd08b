"""What a document is compared by: a hash of its text, MinHash band keys and a small sketch.

MinHash (Broder 1997) over 5-word shingles, 64-bit hashes, 112 permutations as multiply-add modulo
2^64 on well-mixed values; bands and rows chosen for the wished Jaccard. The sketch keeps the
lowest 8 bits of each minimum (b-bit minwise hashing, Li and König, WWW 2010): 112 bytes that travel
with the keys, from which a candidate pair's Jaccard is estimated before it counts.
"""

import functools
import hashlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmedc.document import set_column
from mmedc.engine.chain import Transform
from mmedc.words import U64, TextBatch, folded_batch, mix

PERMUTATIONS = 112
SHINGLE_WORDS = 5
SKETCH = pa.binary(PERMUTATIONS)
CONTENT = pa.binary(16)
RECALL_AT_LINE = 0.97
"""Chance that a pair exactly as alike as asked becomes a candidate."""
NO_SHINGLE = np.uint64(0xFFFFFFFFFFFFFFFF)


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
def _permutations() -> tuple[U64, U64]:
    """Return the fixed multipliers (odd) and offsets, (K,) each; part of the stored format."""
    seeds = mix(np.arange(1, 2 * PERMUTATIONS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return seeds[:PERMUTATIONS] | np.uint64(1), seeds[PERMUTATIONS:]


def signatures(batch: TextBatch) -> U64:
    """Return the MinHash minima of each document, (D, K); all ones where a document has no word."""
    shingles, bounds = batch.shingles(SHINGLE_WORDS)
    result = np.full((len(batch), PERMUTATIONS), NO_SHINGLE, np.uint64)
    filled = np.flatnonzero(np.diff(bounds))
    if not len(filled):
        return result
    starts = bounds[:-1][filled]
    with np.errstate(over="ignore"):
        for k, (multiplier, offset) in enumerate(zip(*_permutations(), strict=True)):
            result[filled, k] = np.minimum.reduceat(shingles * multiplier + offset, starts)
    return result


def band_keys(signature: U64, bands: Bands) -> U64:
    """Return a 64-bit key for each band of each signature, (D, bands.count)."""
    used = signature[:, : bands.count * bands.rows].reshape(len(signature), bands.count, bands.rows)
    keys = np.broadcast_to(np.arange(1, bands.count + 1, dtype=np.uint64), used.shape[:2]).copy()
    for row in range(bands.rows):
        keys = mix(keys ^ used[:, :, row])
    return keys


def sketches(signature: U64) -> npt.NDArray[np.uint8]:
    """Return the lowest 8 bits of each minimum after mixing, (D, K)."""
    return mix(signature).astype(np.uint8)


def estimate(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return the Jaccard estimated from pairs of sketches, (N, K) each; standard error about 0.04 at 0.8.

    Of unequal minima one in 256 agrees by chance; that share is taken off.
    """
    agree = (one == other).mean(axis=1)
    return np.asarray((agree - 1 / 256) / (1 - 1 / 256))


@dataclass(frozen=True)
class Sign:
    """Adds `content`, `bands` and `sketch`; drops nothing."""

    jaccard: float
    name: ClassVar[str] = "sign"
    version: ClassVar[int] = 1

    def open(self) -> Transform:
        """Return the transform."""
        bands = bands_for(self.jaccard)

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            texts = batch.column("text")
            content = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts.to_pylist()]
            signature = signatures(folded_batch(texts))
            keys = pa.FixedSizeListArray.from_arrays(pa.array(band_keys(signature, bands).ravel()), bands.count)
            sketch = pa.FixedSizeBinaryArray.from_buffers(
                SKETCH, len(signature), [None, pa.py_buffer(sketches(signature).tobytes())]
            )
            batch = set_column(batch, "content", pa.array(content, CONTENT))
            batch = set_column(batch, "bands", keys)
            return set_column(batch, "sketch", sketch)

        return transform
