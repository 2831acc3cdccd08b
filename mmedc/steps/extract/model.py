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
KEPT_OF_ARTICLE, KEPT = (7, 10), (6, 10)
BEST, TOP = (3, 10), (8, 10)
TOP_WORDS = 12
"""Fractions of the choice, by folds of WCXB: services and documentation gain by a lower one, articles do not, and
teasers and comments stay out of them by a higher one. The greatest expected F1 of the page (Ye et al. 2012) is worse:
teasers are no independent draws.
"""
CORE, OUTSIDE = (3, 4), (9, 10)
"""The share of an article by which its core is found, and the fraction of the measure that is asked outside the core.

Teasers of other articles have paragraphs like its own. On ScrapingHub's articles, word F1 is .9509 without the core and
.9554 with it, on Readability's pages .9676 and .9699, on the folds of WCXB .8637 and .8635. Shares from .7 to .85 and
fractions from .85 to .95 differ by .0006 at most on the first and by .0010 on the last.
"""
ARTICLE_WORDS, ARTICLE_SHARE = 40, (3, 10)
"""The words of an article above its comments, and their share of those of the comments, from which on it is one."""
CHUNK = 512
"""Blocks that are scored at a time: the answers to the questions of so many take 1 MB."""

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
        features: Any = np.stack([described[name] for name in self.features]).astype(np.int32)
        trees, depth = self.asked.shape
        asked, over = (
            self.asked.ravel(),
            np.minimum(self.over, np.iinfo(np.int32).max).astype(np.int32).ravel()[:, None],
        )
        first = (np.arange(trees) << depth)[:, None]
        leaves = self.leaves.ravel()
        result: Ints = np.empty(features.shape[1], np.int64)
        for start in range(0, features.shape[1], CHUNK):
            part = features[:, start : start + CHUNK]
            answers = (part[asked] > over).view(np.uint8).reshape(trees, depth, -1)
            leaf = answers[:, 0].astype(np.uint16)
            for bit in range(1, depth):
                leaf |= answers[:, bit].astype(np.uint16) << bit
            result[start : start + CHUNK] = leaves[first + leaf].sum(axis=0)
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


def chosen(scores: Ints, described: Mapping[str, Whole], spans: tuple[Ints, Ints]) -> NDArray[np.bool_]:
    """Return which blocks to keep: those whose score is at least `KEPT` of the page's own measure.

    `spans` are the blocks of each element of the page, of `blocks.spans_of`.

    Half of a score is that of all blocks of the same shape, so that the paragraphs of a text stay together. The measure
    is the score down to which the best blocks hold `BEST` of the words that are expected to be main content. On a page
    with a clear text, teasers of middling scores are left out, and on a page of doubtful blocks such blocks are kept.
    On a page that says that it is an article more is asked (`KEPT_OF_ARTICLE`), still more outside the element that
    holds the core of it (`OUTSIDE`), and its comments are left out. On any other page, the measure is at least `TOP` of
    the best block of `TOP_WORDS`. A heading or a term right above a block that is kept is kept too.
    """
    sizes, shapes = described["words"], described["shape"]
    above = (described["heading"] > 0) | (described["term"] > 0)
    words = np.bincount(shapes, sizes).astype(np.int64)
    together = np.bincount(shapes, scores * sizes).astype(np.int64) // np.maximum(words, 1)  # sums of whole numbers
    scores = (scores + together[shapes]) // 2
    order = np.argsort(-scores, kind="stable")
    expected = np.cumsum((scores * sizes)[order])
    measure = int(scores[order[int(np.searchsorted(expected * BEST[1], int(expected[-1]) * BEST[0]))]])
    part, whole = KEPT_OF_ARTICLE
    if not described["article"][0]:
        part, whole = KEPT
        best = int(scores[sizes >= TOP_WORDS].max(initial=0))
        measure = max(measure, best * TOP[0] // TOP[1])
    kept: NDArray[np.bool_] = (scores * whole >= measure * part) & (scores > 0)
    if described["article"][0]:
        kept &= _in_core(np.where(kept, scores * sizes, 0), spans) | (scores * OUTSIDE[1] >= measure * OUTSIDE[0])
        kept = _without_comments(kept, sizes, described["path comment"] > 0)
    for block in np.flatnonzero(above[:-1])[::-1]:
        kept[block] |= kept[block + 1]
    return kept


def _in_core(expected: Ints, spans: tuple[Ints, Ints]) -> NDArray[np.bool_]:
    """Return which blocks are in the innermost element with `CORE` of the words that are expected to be main content.

    Of elements that hold more than half of something each is within the one before it.
    """
    first, last = spans
    sums = np.concatenate((np.zeros(1, np.int64), np.cumsum(expected)))
    core = np.flatnonzero((sums[last] - sums[first]) * CORE[1] >= int(sums[-1]) * CORE[0])[-1]
    inside = np.zeros(len(expected), np.bool_)
    inside[first[core] : last[core]] = True
    return inside


def _without_comments(kept: NDArray[np.bool_], sizes: Whole, comments: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the kept blocks of an article without those of its comments; `comments` are the blocks so named.

    Where nearly all blocks are so named, or hardly any text stands outside, the name says nothing.
    """
    article = kept & ~comments
    outside, inside = int(sizes[article].sum()), int(sizes[kept & comments].sum())
    if outside < ARTICLE_WORDS or outside * ARTICLE_SHARE[1] < inside * ARTICLE_SHARE[0]:
        return kept
    below = np.arange(len(kept)) > int(np.argmax(article))
    return kept & ~(comments & below)
