"""Simple measures of prose for all languages, computed with arrays over a batch and without a loop over words.

They follow Gopher (Rae et al. 2021, arXiv 2112.11446, appendix A1.1), C4 (Raffel et al. 2020, section 2.2)
and FineWeb (Penedo et al. 2024, section 3). Words are those of `mmedc.words`, so that the measures also work for
Chinese and Japanese, whose documents would otherwise all be dropped.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmedc.document import set_column
from mmedc.engine.chain import Transform
from mmedc.limits import drop_below_floor
from mmedc.policy import Policy
from mmedc.words import LETTER, MARK, NEWLINE, SPACE, SYMBOL, TextBatch, folded_batch, hash_words, sums

RULES = (
    "chars",
    "words",
    "letter_ratio",
    "symbol_ratio",
    "mean_word_chars",
    "stopword_ratio",
    "duplicate_line_ratio",
    "sentence_end_ratio",
    "top_trigram_ratio",
)
SENTENCE_ENDS = np.array([ord(char) for char in ".!?…。！？｡।؟:;\"'”’»」』）)："], np.uint32)
LINE_WORDS = 5  # shorter lines are headings and list items
MARKUP = np.isin(np.arange(128), [ord(char) for char in "#{}|<>\\^~@_*"])  # ASCII characters that count as symbols too


@dataclass(frozen=True)
class Rules:
    """Sets the measures of prose. Dropped: by the policy's floors on them."""

    policy: Policy
    name: ClassVar[str] = "rules"
    version: ClassVar[int] = 2

    def open(self) -> Transform:
        """Return the transform."""
        stop = {code: hash_words(language.stopwords) for code, language in self.policy.languages.items()}

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            langs = np.array(batch.column("lang").to_pylist())
            for name, values in measure(batch.column("text"), langs, stop).items():
                batch = set_column(batch, name, pa.array(values.astype(np.float32)))
            return drop_below_floor(batch, self.policy, RULES)

        return transform


def measure(texts: Any, langs: npt.NDArray[Any], stop: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """Return the measures of `texts` by name, (D,) each, except `chars`, which the step `normalise` has set."""
    batch = folded_batch(texts)
    classes, codes = batch.classes, batch.codes
    solid = np.maximum(batch.count((classes & SPACE) == 0), 1)
    letters = batch.count((classes & (LETTER | MARK)) != 0)  # combining vowel signs count as letters
    symbols = batch.count(((classes & SYMBOL) != 0) | MARKUP[np.minimum(codes, 127)])
    words = np.diff(batch.word_offsets)
    some = np.maximum(words, 1)
    word_chars = sums(batch.word_lengths, batch.word_offsets)
    stops = np.zeros(len(batch), np.int64)
    for code, hashes in stop.items():
        in_language = langs == code
        if in_language.any() and len(hashes):
            word_numbers = np.flatnonzero(np.repeat(in_language, words))
            found = batch.word_hashes[word_numbers]
            hit = hashes[np.minimum(np.searchsorted(hashes, found), len(hashes) - 1)] == found
            owner = np.repeat(np.arange(len(batch)), words)[word_numbers]
            stops += np.bincount(owner, hit, len(batch)).astype(np.int64)
    duplicate, ends = _lines(batch)
    return {
        "words": words,
        "letter_ratio": letters / solid,
        "symbol_ratio": symbols / solid,
        "mean_word_chars": word_chars / some,
        "stopword_ratio": stops / some,
        "duplicate_line_ratio": duplicate,
        "sentence_end_ratio": ends,
        "top_trigram_ratio": _top_trigram(batch) * 3 / some,
    }


def _lines(batch: TextBatch) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return (share of characters in repeated lines, share of lines of prose that end a sentence), (D,) each."""
    breaks = np.flatnonzero((batch.classes & NEWLINE) != 0) + 1
    starts = np.union1d(breaks, batch.offsets[:-1])
    starts = starts[starts < len(batch.codes)]
    if not len(starts):
        return np.zeros(len(batch)), np.ones(len(batch))
    ends = np.append(starts[1:], len(batch.codes))
    owner = np.searchsorted(batch.offsets, starts, side="right") - 1
    # A line is identified by the hashes of its words; lines without words never count as repeated.
    first, last = np.searchsorted(batch.word_starts, starts), np.searchsorted(batch.word_starts, ends)
    total = np.concatenate([[np.uint64(0)], np.cumsum(batch.word_hashes, dtype=np.uint64)])
    with np.errstate(over="ignore"):
        identity = total[last] - total[first] + owner.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    _, earliest, inverse = np.unique(identity, return_index=True, return_inverse=True)
    repeated = (earliest[inverse] != np.arange(len(starts))) & (last > first)
    chars = np.maximum(np.diff(batch.offsets), 1)
    duplicate = np.bincount(owner, np.where(repeated, ends - starts, 0), len(batch)) / chars
    prose = last - first >= LINE_WORDS
    tail = ends - 1
    for _ in range(2):  # step back over the line break and a space before it
        back = (tail > starts) & ((batch.classes[tail] & SPACE) != 0)
        tail = np.where(back, tail - 1, tail)
    closed = prose & np.isin(batch.codes[tail], SENTENCE_ENDS)
    number = np.bincount(owner, prose, len(batch))
    share = np.where(number > 0, np.bincount(owner, closed, len(batch)) / np.maximum(number, 1), 1.0)
    return duplicate, share


def _top_trigram(batch: TextBatch) -> npt.NDArray[Any]:
    """Return how often the most frequent 3 consecutive words occur in each document, (D,); 0 if none repeat."""
    hashes, bounds = batch.shingles(3)
    if not len(hashes):
        return np.zeros(len(batch))
    # 48 bits distinguish the trigrams of a document; with its number in front, one sort serves all documents.
    owner = np.repeat(np.arange(len(batch), dtype=np.uint64), np.diff(bounds))
    runs = np.sort(owner << np.uint64(48) | hashes >> np.uint64(16))
    starts = np.flatnonzero(np.concatenate([[True], runs[1:] != runs[:-1]]))
    lengths = np.diff(np.append(starts, len(runs)))
    top = np.zeros(len(batch), np.int64)
    np.maximum.at(top, (runs[starts] >> np.uint64(48)).astype(np.int64), lengths)
    return np.where(top > 1, top, 0)
