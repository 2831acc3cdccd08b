"""Benchmark questions inside documents: found by seed and extension, reported with both sides.

Texts and questions are compared as words, folded alike (`mmedc.dedup.folded`); in scripts without spaces a character
is a word. A question is in a text when 13 of its words in a row stand there (20 characters in scripts without spaces;
Brown et al. 2020, arXiv 2005.14165, C). A shorter question must stand there whole, and either be a sentence of its own
that is rare enough (`Index.alone`), or have options near it: one of three words or more, or half of them. One of fewer
than five words counts with options only together with its longest option or all of them. Where all runs that were
found occur in several questions, because exams repeat their phrases, options must be near too.
A question in other words is found when half of it stands in runs of five words and more, in their order: as many words
as one run would have to have, or options near. A whole question with something else in the middle counts as if
nothing stood there.
"""

import functools
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mmedc.dedup.folded import FoldedBatch
from mmedc.dedup.question_index import ASKING, HEAD, SEED, Bools, Index, head_hashes
from mmedc.dedup.records import I64
from mmedc.words import U64, mix

NEAR_WORDS = 150  # before and after a short question, in which its options are looked for
PARTS = 0.5
"""Share of a question's words that must stand in the text where no run is long enough."""
SHIFT = 10  # words by which the parts of a question may lie otherwise than in it
GAP = 100  # words that may stand in the middle of a whole question
SLOTS = 1 << 22
PART_LETTERS = 6  # of the beginning and of the rest of such a question
CLOSING = frozenset('\n\r.!?;…。।|•*»"”」』)]<–—؟')
"""What may stand after a sentence, folded."""

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


@dataclass(frozen=True)
class Runs:
    """Words in a row that text and sequence share, (N,) each: where they begin in both, and how many they are."""

    text: I64
    sequence: I64
    place: I64
    word: I64
    length: I64

    def rows(self, which: I64) -> list[tuple[int, int, int, int, int]]:
        """Return some of the runs as tuples of (text, sequence, place, word, length)."""
        columns = (self.text, self.sequence, self.place, self.word, self.length)
        return [tuple(row) for row in np.stack(columns, axis=1)[which].tolist()]


@dataclass(frozen=True)
class Found:
    """A sequence found in a text: the longest run, how many words in all, and the words of the batch it takes."""

    text: int
    sequence: int
    run: int
    words: int
    first: int
    last: int


def find(texts: list[str], index: Index) -> pa.Table:
    """Return the questions that stand in `texts` as HIT rows, sorted by text and question, each pair once."""
    batch = FoldedBatch(texts, index.vocabulary)
    runs = _runs(batch, index)
    search = _Search(batch, index)
    best: dict[tuple[int, int], Found] = {}
    for one in (*search.in_parts(runs), *search.whole_or_long(runs), *search.sentences()):
        pair = one.text, int(index.owner[one.sequence])
        if pair not in best or (one.run, one.words) > (best[pair].run, best[pair].words):
            best[pair] = one  # of several findings the longest
    rows = []
    for (number, question), one in sorted(best.items()):
        share = one.words / len(index.sequence(one.sequence))
        rows.append((number, question, one.run, share, *batch.span(number, one.first, one.last)))
    return pa.Table.from_pylist([dict(zip(HIT.names, row, strict=True)) for row in rows], HIT)


def standing(text: str, questions: set[int], index: Index) -> list[tuple[int, int]]:
    """Return the characters at which some questions stand whole in a text, whether options are near or not.

    Of questions of one word or two, which are topics, none is returned.
    """
    batch = FoldedBatch([text], index.vocabulary)
    spans = []
    for sequence in (index.sequence(question) for question in sorted(questions)):
        for at in _places(batch.word_hashes, sequence) if len(sequence) > HEAD else ():
            spans.append(batch.span(0, at, at + len(sequence)))
    return spans


def _slot(text: I64, word: U64) -> I64:
    """Return a number below SLOTS for each pair of a text and a word's hash."""
    return ((word ^ mix(text.astype(np.uint64))) % np.uint64(SLOTS)).astype(np.int64)


class _Search:
    """The ways in which a question is recognised in the texts of a batch."""

    def __init__(self, batch: FoldedBatch, index: Index) -> None:
        self.batch, self.index = batch, index
        self.low, self.high = batch.word_offsets[:-1].tolist(), batch.word_offsets[1:].tolist()

    def whole_or_long(self, runs: Runs) -> list[Found]:
        """Return the sequences that a run shows: the longest run of each text that its surroundings confirm."""
        index = self.index
        rows = set(runs.rows(np.flatnonzero(runs.length >= index.needed[runs.sequence])))
        found: dict[tuple[int, int], Found] = {}
        for number, asked, place, word, length in sorted(rows, key=lambda row: (-row[4], row)):
            if (number, asked) not in found:
                span = self._confirmed(number, asked, word, length, (place, place + length))
                if span is not None:
                    found[number, asked] = Found(number, asked, length, length, *span)
        return list(found.values())

    def in_parts(self, runs: Runs) -> list[Found]:
        """Return the sequences that stand in texts with some words changed.

        Runs that lie as in the question must make up PARTS of it, and as many words as one run would have to have,
        or options must stand near.
        """
        index = self.index
        together: dict[tuple[int, int], set[tuple[int, int, int]]] = {}
        changed = (runs.length < index.needed[runs.sequence]) & ~index.by_option[runs.sequence]
        for number, asked, *run in runs.rows(np.flatnonzero(changed & ~index.together[runs.sequence])):
            together.setdefault((number, asked), set()).add((run[0], run[1], run[2]))
        found = []
        for (number, asked), parts in together.items():
            middle = sorted(place - word for place, word, _ in parts)[len(parts) // 2]
            lie = sorted(part for part in parts if abs(part[0] - part[1] - middle) <= SHIFT)
            words = {word + step for _, word, length in lie for step in range(length)}
            if len(words) < PARTS * len(index.sequence(asked)):
                continue
            first, last = lie[0][0], max(place + length for place, _, length in lie)
            span: tuple[int, int] | None = first, last
            if len(words) < index.needed[asked] or index.short[asked]:
                missing = int(index.offsets[asked + 1]) - max(words) - 1
                span = self._with_options(number, asked, first, last, missing) if index.options(asked) else None
            if span is not None:
                found.append(Found(number, asked, max(length for *_, length in lie), len(words), *span))
        return found

    def sentences(self) -> list[Found]:
        """Return the questions that stand where a sentence begins: whole, or with something else in their middle."""
        index, batch = self.index, self.batch
        begins = np.flatnonzero(batch.begins)
        at, sequence = index.heads.find(head_hashes(batch.word_hashes, begins))
        text = np.searchsorted(batch.word_offsets, begins[at], side="right") - 1
        heads = _extended(batch, index, text, begins[at], sequence, index.offsets[sequence])
        size = index.offsets[sequence + 1] - index.offsets[sequence]
        found: dict[tuple[int, int], Found] = {}
        for number, asked, place, word, length in heads.rows(
            np.flatnonzero((heads.length == size) & index.short[sequence])
        ):
            span = self._confirmed(number, asked, word, length, (place, place + length))
            if span is not None:
                found[number, asked] = Found(number, asked, length, length, *span)
        return list(found.values()) + self._interrupted(heads, size)

    def _interrupted(self, heads: Runs, size: I64) -> list[Found]:
        """Return the questions whose beginning is a run of `heads`, and whose rest stands not far behind it."""
        index, words = self.index, self.batch.word_hashes
        begun = index.letters_before(heads.word + heads.length) - index.letters_before(heads.word)
        rest = index.letters_before(heads.word + size) - index.letters_before(heads.word + heads.length)
        part = np.flatnonzero((np.minimum(begun, rest) >= PART_LETTERS) & (size < 2 * index.needed[heads.sequence]))
        # Many questions of an exam begin alike; the words that come next and last stand in the text of few.
        for at in (heads.word + heads.length, heads.word + size - 1):
            part = part[self._stands(heads.text[part], index.words[at[part]])]
        found = {}
        for number, asked, place, word, length in heads.rows(part):
            sequence = index.sequence(asked)
            behind = words[place + length : min(self.high[number], place + len(sequence) + GAP)]
            for start in _places(behind, sequence[length:]):
                span = place, place + start + len(sequence)
                confirmed = self._confirmed(number, asked, word, len(sequence), span)
                if confirmed is not None:
                    longest = max(length, len(sequence) - length)
                    found[number, asked] = Found(number, asked, longest, len(sequence), *confirmed)
                    break
        return list(found.values())

    def _stands(self, text: I64, word: U64) -> Bools:
        """Tell of words, by their hashes, whether each stands in its text; for one in 25 of the others too."""
        result: Bools = self._known[_slot(text, word)]
        return result

    @functools.cached_property
    def _known(self) -> Bools:
        """Which slots the words of the texts fall into."""
        known = np.zeros(SLOTS, bool)
        text = np.repeat(np.arange(len(self.low)), np.diff(self.batch.word_offsets))
        known[_slot(text, self.batch.word_hashes)] = True
        return known

    def _confirmed(
        self, number: int, asked: int, word: int, length: int, span: tuple[int, int]
    ) -> tuple[int, int] | None:
        """Return the words that a sequence takes, with its options where they are near, or None for too little.

        `span` is where `length` words of it, from `word` on, stand.
        """
        index = self.index
        missing = int(index.offsets[asked + 1]) - word - length
        if index.together[asked] or (not index.short[asked] and index.is_telling(asked, word, length)):
            return span
        options = self._with_options(number, asked, *span, missing)
        if asked >= len(index.questions) or missing or not index.alone[asked]:
            return options if length >= SEED else None
        return options or (span if self._is_sentence(number, asked, *span) else None)

    def _is_sentence(self, number: int, asked: int, first: int, last: int) -> bool:
        """Tell whether the words from `first` to `last` of a text are a sentence of their own, asked as it is."""
        after = self.batch.after(last - 1)
        if not self.batch.begins[first]:
            return False
        if self.index.asks[asked]:
            return any(mark in after for mark in ASKING)
        return last == self.high[number] or not CLOSING.isdisjoint(after)

    def _with_options(self, number: int, asked: int, first: int, last: int, missing: int) -> tuple[int, int] | None:
        """Return the words that a sequence and its options take, or None where the options are not near.

        `first` to `last` is what was found, of the question or of an option; `missing` words of it come after that.
        """
        index, words = self.index, self.batch.word_hashes
        begin, end = max(self.low[number], first - NEAR_WORDS), min(self.high[number], last + missing + NEAR_WORDS)
        question = int(index.owner[asked])
        if index.by_option[asked]:
            sought = index.sequence(question)
            if places := _places(words[begin:first], sought):
                return begin + places[-1], last
            places = _places(words[last:end], sought)
            return (first, last + places[0] + len(sought)) if places else None
        options = index.options(question)
        if not options:
            return first, last
        after = [(at[0], len(option)) for option in options if (at := _places(words[last:end], option))]
        if index.is_shown(question, [size for _, size in after]):
            return first, last + max(at + size for at, size in after)
        before = [(at[-1], len(option)) for option in options if (at := _places(words[begin:first], option))]
        if index.is_shown(question, [size for _, size in before]):
            return begin + min(at for at, _ in before), last
        return None


def _runs(batch: FoldedBatch, index: Index) -> Runs:
    """Return the runs of SEED words and more that texts and questions share."""
    shingles, bounds = batch.shingles(SEED)
    at, word = index.seeds.find(shingles)
    text = np.searchsorted(bounds, at, side="right") - 1
    place = at - bounds[text] + batch.word_offsets[text]
    whole = batch.word_offsets[text + 1] - place >= SEED  # a shorter text has one run of all its words
    text, place, word = text[whole], place[whole], word[whole]
    return _extended(batch, index, text, place, index.sequence_of(word), word)


def _extended(batch: FoldedBatch, index: Index, text: I64, place: I64, sequence: I64, word: I64) -> Runs:
    """Return the longest runs that text and sequence share about each pair of places."""
    left, right = _extend(batch, index, text, place, sequence, word)
    return Runs(text, sequence, place - left, word - left, left + right)


def _extend(batch: FoldedBatch, index: Index, text: I64, place: I64, question: I64, word: I64) -> tuple[I64, I64]:
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


def _places(words: U64, sought: U64) -> list[int]:
    """Return where `sought` stands in `words`; nowhere, if it is empty."""
    if not len(sought):
        return []
    starts = np.flatnonzero(words[: max(len(words) - len(sought) + 1, 0)] == sought[0])
    return [int(at) for at in starts if np.array_equal(words[at : at + len(sought)], sought)]
