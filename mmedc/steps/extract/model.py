"""Which blocks of a page are its main content: oblivious decision trees over whole numbers.

An oblivious tree asks the same few questions of every block (is feature f over t?), and the answers, as the bits of a
number, name a leaf (Kohavi 1994; Prokhorenkova et al. 2018, arXiv 1706.09516). The sum of the leaves is the expected
share of the block's words that are main content. Questions, leaves and sums are whole numbers, so that the result does
not depend on the machine, the batch or the order of sums.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmedc.errors import PolicyError

SCALE = 1 << 16
"""The score of a block that is main content without doubt."""
KEPT, BEST = (13, 20), (3, 10)
"""Fractions of the choice. By folds of WCXB, .6 to .65 for `KEPT` and .2 to .4 for `BEST` are as good; the higher one
was taken with the figures of articles, forums and ScrapingHub in view. The greatest expected F1 of the page (Ye et al.
2012) is worse: teasers are no independent draws.
"""
CHUNK = 512
"""Blocks that are scored at a time: the answers to the questions of so many take 2 MB."""

Ints = NDArray[np.int64]
Whole = NDArray[np.int64] | NDArray[np.int32]


@dataclass(frozen=True)
class Trees:
    """The trees of a model: T trees of D questions each."""

    features: tuple[str, ...]
    """The names of the features that are asked for, in the order in which `asked` counts them."""
    asked: NDArray[np.int64]
    """(T, D): the feature of each question; the first one gives the lowest bit of the leaf."""
    over: NDArray[np.int64]
    """(T, D): the answer is yes where the feature is greater."""
    leaves: NDArray[np.int64]
    """(T, 2**D): what each leaf adds, in units of 1 / `SCALE`."""
    base: int
    """What every block begins with."""

    def scores(self, described: Mapping[str, Whole]) -> Ints:
        """Return the score of each block, 0 to `SCALE`, from its features by name.

        Raises: PolicyError for a model of another version, which asks for features that there are not.
        """
        if missing := set(self.features) - set(described):
            raise PolicyError(f"the extractor's model asks for {', '.join(sorted(missing))}; fit it with this version")
        features: Any = np.stack([described[name] for name in self.features])
        trees, depth = self.asked.shape
        asked, over = self.asked.ravel(), self.over.ravel()[:, None]
        first = (np.arange(trees) << depth)[:, None]
        result: Ints = np.empty(features.shape[1], np.int64)
        for start in range(0, features.shape[1], CHUNK):
            part = features[:, start : start + CHUNK]
            answers = (part[asked] > over).reshape(trees, depth, -1)
            leaf = first + sum(answers[:, bit].astype(np.int64) << bit for bit in range(depth))
            result[start : start + CHUNK] = self.leaves.ravel()[leaf].sum(axis=0)
        return np.minimum(np.maximum(result + self.base, 0), SCALE)


@functools.cache
def read_trees(path: str) -> Trees:
    """Return the trees of a model file (`.npz`, numbers and names only).

    Raises: PolicyError when the file is not such a model.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            values: dict[str, Any] = {name: file[name] for name in ("asked", "over", "leaves")}
            names, base = tuple(str(name) for name in file["features"]), int(file["base"])
    except (OSError, ValueError, KeyError) as problem:
        raise PolicyError(f"{path}: expected an extractor of `mmedc fit extractor` ({problem})") from None
    return Trees(names, **{name: value.astype(np.int64) for name, value in values.items()}, base=base)


def chosen(scores: Ints, described: Mapping[str, Whole]) -> NDArray[np.bool_]:
    """Return which blocks to keep: those whose score is at least `KEPT` of the page's own measure.

    Half of a score is that of all blocks of the same shape, so that the paragraphs of a text stay together. The measure
    is the score down to which the best blocks hold `BEST` of the words that are expected to be main content. On a page
    with a clear text, teasers of middling scores are left out, and on a page of doubtful blocks such blocks are kept.
    A heading or a term right above a block that is kept is kept too.
    """
    sizes, shapes = described["words"], described["shape"]
    above = (described["heading"] > 0) | (described["term"] > 0)
    words = np.bincount(shapes, sizes).astype(np.int64)
    together = np.bincount(shapes, scores * sizes).astype(np.int64) // np.maximum(words, 1)  # sums of whole numbers
    scores = (scores + together[shapes]) // 2
    order = np.argsort(-scores, kind="stable")
    expected = np.cumsum((scores * sizes)[order])
    enough = int(np.searchsorted(expected * BEST[1], int(expected[-1]) * BEST[0]))
    kept: NDArray[np.bool_] = (scores * KEPT[1] >= scores[order[enough]] * KEPT[0]) & (scores > 0)
    for block in np.flatnonzero(above[:-1])[::-1]:
        kept[block] |= kept[block + 1]
    return kept
