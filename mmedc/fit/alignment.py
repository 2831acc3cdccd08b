"""Which words of a page's blocks stand in its gold text, found by aligning both in order.

Words that a page happens to share with its gold text, such as those of a menu, must not count. So runs of three words
are aligned, the longest matches first (Ratcliff and Metzener 1988), and a block that stands elsewhere in the gold text
than in the page counts only with most of its runs.
"""

import re
from collections import Counter
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff"
WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
"""A word, or a character of a script without spaces: a whole clause would be one word otherwise."""
RUN = 3
"""The words of a run."""
LONG_WORDS, MOVED_SHARE = 5, 0.7
"""A block of so many words that stands elsewhere is found by this share of its runs."""

Run = tuple[str, ...]


def words_in(texts: list[str], gold: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each text how many of its words stand in `gold`, and how many words it has."""
    words = [WORD.findall(text.lower()) for text in texts]
    page, wanted = [word for text in words for word in text], WORD.findall(gold.lower())
    width = max(min(RUN, len(page), len(wanted)), 1)
    page_runs, gold_runs = _runs(page, width), _runs(wanted, width)
    found, used = np.zeros(len(page), np.int64), np.zeros(len(wanted), np.bool_)
    for at, there, length in SequenceMatcher(None, page_runs, gold_runs, autojunk=False).get_matching_blocks():
        if length:
            found[at : at + length + width - 1] = 1
            used[there : there + length + width - 1] = True
    left = Counter(run for at, run in enumerate(gold_runs) if not used[at : at + width].any())
    ends = np.cumsum([len(text) for text in words], dtype=np.int64)
    for text, end in zip(words, ends.tolist(), strict=True):
        block = slice(end - len(text), end)
        if left and len(text) >= LONG_WORDS and found[block].mean() < 1 - MOVED_SHARE:
            runs = Counter(_runs(text, width))
            if (runs & left).total() >= MOVED_SHARE * runs.total():
                left -= runs
                found[block] = 1
    counts = np.array([len(text) for text in words], np.int64)
    sums = np.concatenate((np.zeros(1, np.int64), np.cumsum(found)))
    return sums[ends] - sums[ends - counts], counts


def _runs(words: list[str], width: int) -> list[Run]:
    return list(zip(*[words[start:] for start in range(width)], strict=False))
