"""Benchmark questions inside documents: found by seed and extension, told with both sides.

Texts and questions are compared as words (`mmedc.words`): folded to NFKC and lower case, without
punctuation; in scripts without spaces a character is a word. A question is in a text when 13 of its
words in a row stand there (20 characters in scripts without spaces; Brown et al. 2020, arXiv 2005.14165, C).
A shorter question must stand whole, with options near: one of three words or more, or half of them; one of fewer
than five words, none of whose options has as many, together with its options, however they are marked. Where
all runs that were found occur in several questions, as exams repeat their phrases, options must be near too.
A question in other words is found when half of it stands in runs of five words and more, in their order: as many
words as one run would have to have, or options near.
"""

import functools
import unicodedata

import numpy as np
import pyarrow as pa

from mmedc.dedup.questions import SEED, Index, Questions, word_hashes
from mmedc.dedup.records import I64
from mmedc.words import U64, TextBatch, fold

NEAR_WORDS = 150  # after a short question, in which its options are looked for
TELLING = 3  # words of an option that tells by itself
PARTS = 0.5
"""Share of a question's words that must stand in the text where no run is long enough."""
SHIFT = 10  # words by which the parts of a question may lie otherwise than in it
REPEATED = 3  # questions that share a run, so that it is a phrase of exams

HIT = pa.schema(
    [
        ("text", pa.int64()),  # number of the text
        ("question", pa.int64()),  # number of the question
        ("words", pa.int64()),  # of the question that stand in a row in the text
        ("share", pa.float32()),  # of the question's words
        ("start", pa.int64()),  # characters of the text that it takes
        ("stop", pa.int64()),
    ]
)


@functools.lru_cache(maxsize=2)
def index_of(questions: Questions) -> Index:
    """Return the index of a recipe's questions, kept from unit to unit."""
    return Index(questions.read(), questions.words, questions.characters)


def find(texts: list[str], index: Index) -> pa.Table:
    """Return the questions that stand in `texts` as HIT rows, sorted by text and question, each pair once."""
    batch = TextBatch(fold(pa.array(texts, pa.large_string())))
    shingles, bounds = batch.shingles(SEED)
    at, word = index.look_up(shingles)
    text = np.searchsorted(bounds, at, side="right") - 1
    place = at - bounds[text] + batch.word_offsets[text]
    long_enough = batch.word_offsets[text + 1] - place >= SEED
    text, place, word = text[long_enough], place[long_enough], word[long_enough]
    question = index.sequence_of(word)
    left, right = _extend(batch, index, text, place, question, word)
    run = left + right
    rows = _in_parts(batch, index, texts, text, question, np.stack([place - left, word - left, run]))
    best: dict[tuple[int, int], tuple[int, int, int]] = {}
    for n in np.flatnonzero(run >= index.needed[question]):
        key = int(text[n]), int(question[n])
        found = int(run[n]), int(place[n] - left[n]), int(word[n] - left[n])
        if key not in best or found[0] > best[key][0]:
            best[key] = found
    for (number, asked), (length, first, word_at) in sorted(best.items()):
        last = first + length
        if not index.together[asked] and (index.whole[asked] or not _telling(index, asked, word_at, length)):
            words = batch.word_hashes[: int(batch.word_offsets[number + 1])]
            missing = int(index.offsets[asked + 1]) - word_at - length
            both = _with_options(words, int(batch.word_offsets[number]), (first, last), missing, index, asked)
            if both is None:
                continue
            first, last = both
        size = int(index.offsets[asked + 1] - index.offsets[asked])
        rows.append((number, int(index.owner[asked]), length, length / size, *_span(batch, texts, number, first, last)))
    every = {row[:2]: row for row in sorted(rows, key=lambda row: row[2])}  # of several findings the longest
    return pa.Table.from_pylist([dict(zip(HIT.names, every[pair], strict=True)) for pair in sorted(every)], HIT)


def _in_parts(
    batch: TextBatch, index: Index, texts: list[str], text: I64, sequence: I64, runs: I64
) -> list[tuple[int, int, int, float, int, int]]:
    """Return the questions that stand in `texts` with some words changed, as HIT rows.

    `runs` are (where in the batch's words, where in the index's, how many words), (3, N). Those that lie as in the
    question must make up PARTS of it, and as many words as one run would have to have, or options must stand near.
    """
    found: dict[tuple[int, int], set[tuple[int, int, int]]] = {}
    changed = (runs[2] < index.needed[sequence]) & ~index.by_option[sequence] & ~index.together[sequence]
    for n in np.flatnonzero(changed):
        found.setdefault((int(text[n]), int(sequence[n])), set()).add(tuple(runs[:, n].tolist()))
    rows = []
    for (number, asked), parts in found.items():
        middle = sorted(at - word for at, word, _ in parts)[len(parts) // 2]
        lie = sorted(part for part in parts if abs(part[0] - part[1] - middle) <= SHIFT)
        words = {word + step for _, word, length in lie for step in range(length)}
        size = int(index.offsets[asked + 1] - index.offsets[asked])
        if len(words) < PARTS * size:
            continue
        first, last = lie[0][0], max(at + length for at, _, length in lie)
        if len(words) < index.needed[asked] or index.whole[asked]:
            known = batch.word_hashes[: int(batch.word_offsets[number + 1])]
            missing = int(index.offsets[asked + 1]) - max(words) - 1
            both = _with_options(known, int(batch.word_offsets[number]), (first, last), missing, index, asked)
            if both is None or not index.options(asked):
                continue
            first, last = both
        longest = max(length for _, _, length in lie)
        span = _span(batch, texts, number, first, last)
        rows.append((number, int(index.owner[asked]), longest, len(words) / size, *span))
    return rows


def _span(batch: TextBatch, texts: list[str], number: int, first: int, last: int) -> tuple[int, int]:
    """Return which characters of a text the words `first` to `last` of the batch take."""
    low, high = int(batch.offsets[number]), int(batch.offsets[number + 1])
    start = int(batch.word_starts[first]) - low
    stop = int(batch.word_starts[last - 1] + batch.word_lengths[last - 1]) - low
    return _unfolded(texts[number], high - low, start, stop)


def _extend(batch: TextBatch, index: Index, text: I64, place: I64, question: I64, word: I64) -> tuple[I64, I64]:
    """Return how many words agree before each pair of places, and from it on, inside text and question."""
    ours, theirs = batch.word_hashes, index.words
    counts = []
    for step, limit in (
        (-1, np.minimum(place - batch.word_offsets[text], word - index.offsets[question])),
        (1, np.minimum(batch.word_offsets[text + 1] - place, index.offsets[question + 1] - word)),
    ):
        count = np.zeros(len(place), np.int64)
        going = np.flatnonzero(limit > 0)
        while len(going):
            offset = -(count[going] + 1) if step < 0 else count[going]
            same = ours[place[going] + offset] == theirs[word[going] + offset]
            going = going[same]
            count[going] += 1
            going = going[count[going] < limit[going]]
        counts.append(count)
    return counts[0], counts[1]


def _with_options(
    words: U64, begin: int, run: tuple[int, int], missing: int, index: Index, asked: int
) -> tuple[int, int] | None:
    """Return from where to where a question and its options stand in `words`, or None where they do not.

    `run` is what was found, of the question or of an option, after which `missing` words of it come; the
    text begins at `begin`.
    """
    first, last = run
    options = index.options(asked)
    if index.by_option[asked]:
        begin = max(begin, first - NEAR_WORDS)
        start = _find(words[begin:first], word_hashes((index.questions[asked].text,))[0])
        if start is None:
            return None
        first = begin + start
        last = first + 1
    near = words[last : last + missing + NEAR_WORDS]
    ends = [(start + len(option), len(option)) for option in options if (start := _find(near, option)) is not None]
    if not options or any(size >= TELLING for _, size in ends) or (ends and 2 * len(ends) >= len(options)):
        return first, last + max((end for end, _ in ends), default=0)
    return None


def _find(words: U64, sought: U64) -> int | None:
    """Return where `sought` first stands in `words`, or None."""
    if not len(sought):
        return None
    for start in np.flatnonzero(words == sought[0]).tolist():
        if np.array_equal(words[start : start + len(sought)], sought):
            return int(start)
    return None


def _telling(index: Index, question: int, word: int, length: int) -> bool:
    """Tell whether a run of a question's words holds one that is not of several questions."""
    needed = int(index.needed[question])
    phrases = _phrases(index, needed)
    return any(index.words[at : at + needed].tobytes() not in phrases for at in range(word, word + length - needed + 1))


@functools.lru_cache(maxsize=8)
def _phrases(index: Index, needed: int) -> frozenset[bytes]:
    """Return the runs of `needed` words that occur in several questions."""
    seen: dict[bytes, set[int]] = {}
    for question in np.flatnonzero((index.needed == needed) & ~index.whole).tolist():
        for at in range(int(index.offsets[question]), int(index.offsets[question + 1]) - needed + 1):
            seen.setdefault(index.words[at : at + needed].tobytes(), set()).add(question)
    return frozenset(run for run, owners in seen.items() if len(owners) >= REPEATED)


def _unfolded(text: str, folded: int, start: int, stop: int) -> tuple[int, int]:
    """Return where in `text` what lies at `start` to `stop` of its folded form, of `folded` characters, lies."""
    if len(text) == folded and text.isascii():
        return start, stop
    ends = np.cumsum([len(_fold_char(char)) for char in text])
    if ends[-1] != folded:  # characters that fold together: take the share of the way, and whole lines
        start, stop = (round(at * len(text) / folded) for at in (start, stop))
        return text.rfind("\n", 0, start) + 1, text.find("\n", stop) if "\n" in text[stop:] else len(text)
    return int(np.searchsorted(ends, start, side="right")), int(np.searchsorted(ends, stop)) + 1


@functools.lru_cache(maxsize=1 << 16)
def _fold_char(char: str) -> str:
    return unicodedata.normalize("NFKC", char).lower()
