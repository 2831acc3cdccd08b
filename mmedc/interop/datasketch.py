"""Signatures of mmedc as those of datasketch, to be compared and to query an index of datasketch.

Without `like`, a signature is the one by which a build of mmedc compares documents, value for value: our permutations
are of datasketch's scheme `affine32` (multiply by an odd number and add, modulo 2^32), over the upper halves of our
hashes of 5-word shingles. Its Jaccard estimate is the share of equal values. A build keeps only two bits of each value
(the *sketch*), so its own estimate of the same quantity has a larger standard error: 0.045 instead of 0.038 at 0.8.

With `like`, a signature is made from the same shingles with the permutations of that `MinHash`: for an index that has
another seed, scheme or number of permutations. Only signatures of equal shingles can be compared, so an index of
signatures that were made from other shingles (single words, characters) finds nothing for ours.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from mmedc.dedup.signature import PERMUTATIONS, SHINGLE_WORDS, bands_for, permutations, sign
from mmedc.steps.normalise import normalise
from mmedc.words import folded_batch

try:
    from datasketch import LeanMinHash, MinHash, MinHashLSH
except ModuleNotFoundError as problem:
    raise ModuleNotFoundError(
        f"mmedc.interop.datasketch: {problem}; pip install 'mmedc[datasketch]'", name=problem.name
    ) from None

SEED = 0x6D6D6564
"""The seed that our signatures carry. It stands for our permutations: datasketch compares only equal seeds."""
SCHEME = "affine32"


def minhashes(texts: Iterable[str], like: MinHash | None = None) -> list[MinHash]:
    """Return a `MinHash` of each text, with our permutations or those of `like`; see the module's text.

    A text without words has an empty one. They can be merged, but not updated: datasketch knows no shingles of ours.
    """
    normal = _normal(texts)
    if like is not None:
        return _made_like(normal, like)
    shared = np.array(permutations())  # (2, K), one array for all
    options: dict[str, Any] = {"seed": SEED, "scheme": SCHEME, "permutations": shared, "hashfunc": _no_update}
    return [MinHash(hashvalues=minima, **options) for minima in sign(normal)]


def lean_minhashes(texts: Iterable[str], like: MinHash | None = None) -> list[LeanMinHash]:
    """Return a `LeanMinHash` of each text: `minhashes` without the permutations, a quarter of the memory."""
    if like is not None:
        return [LeanMinHash(each) for each in minhashes(texts, like)]
    return [LeanMinHash(seed=SEED, hashvalues=minima, scheme=SCHEME) for minima in sign(_normal(texts))]


def lsh(jaccard: float = 0.8, **options: Any) -> MinHashLSH:
    """Return an empty index of datasketch whose bands are those of a build with this `dedup.jaccard`.

    `options` are those of `MinHashLSH`, such as `storage_config`.
    """
    bands = bands_for(jaccard)
    return MinHashLSH(num_perm=PERMUTATIONS, params=(bands.count, bands.rows), **options)


def _normal(texts: Iterable[str]) -> pa.Array:
    return normalise(pa.array(list(texts), pa.large_string()))


def _made_like(texts: pa.Array, like: MinHash) -> list[MinHash]:
    hashes, bounds = folded_batch(texts).shingles(SHINGLE_WORDS)
    if like.scheme != "affine64":
        hashes = hashes >> np.uint64(32)  # the half that our own signatures are made from
    given = getattr(like, "permutations", None)  # a LeanMinHash has none; its seed says which they are
    if given is None:
        given = MinHash(num_perm=len(like), seed=like.seed, scheme=like.scheme).permutations
    options: dict[str, Any] = {"seed": like.seed, "scheme": like.scheme, "permutations": given}
    made = []
    for low, high in pairwise(bounds.tolist()):
        each = MinHash(num_perm=len(like), hashfunc=int, **options)
        each.update_batch(hashes[low:high].tolist())
        each.hashfunc = _no_update
        made.append(each)
    return made


def _no_update(_: Any) -> int:
    raise TypeError("a signature of mmedc can't be updated: make one of the whole text, or merge signatures")
