"""Benchmark questions as sequences of word hashes, with the places in them by which a text is looked up."""

import functools
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mmedc.dedup.folded import FoldedBatch
from mmedc.dedup.questions import LETTERS, Question, Questions
from mmedc.dedup.records import I64
from mmedc.words import U64, UNSPACED, mix

SEED = 5
"""Words by whose hash a place inside a question is looked up."""
HEAD = 2
"""Words by whose hash the beginning of a question is looked up, where a sentence begins."""
APART = 6
"""Words from one seed to the next at most."""
MARKS = (LETTERS, "1234567890", "АБВГДЕЖЗИК", [""] * len(LETTERS))
"""How options are marked."""
TELLING = 3
"""Words of an option that is evidence by itself."""
BRIEF = (3, 5)
"""Options at most, and characters of each, that are found in any text: yes, no, maybe."""
REPEATED = 3
"""Questions that share a run of words, at least, for the run to be a phrase of exams."""
PHRASE = 3
"""Words of such a run where it is looked for in short questions."""
HAN_LETTERS = 4
"""Letters for which a Chinese character counts."""
UNSPACED_LETTERS = 2
"""The same for a character of another script without spaces."""
ASKING = ("?", "؟", "？")

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Rarity:
    """Letters by which a question stands for itself: outside phrases of exams, or there and in all."""

    outside: int
    fewer_outside: int
    in_all: int


ASKED = Rarity(20, 8, 40)
"""For a question that ends in a question mark."""
STATED = Rarity(27, 8, 45)
"""For one that does not, which may be a topic."""


@dataclass(frozen=True)
class Lookup:
    """Sorted hashes of runs of words, with a number for each."""

    hashes: U64
    numbers: I64
    table: Bools
    """Which of the 2^22 prefixes of hashes occur: most look-ups end here."""

    @classmethod
    def of(cls, hashes: U64, numbers: I64) -> "Lookup":
        """Return the look-up of `numbers` by `hashes`, (N,) each."""
        order = np.lexsort((numbers, hashes))
        table = np.zeros(1 << 22, bool)
        table[hashes >> np.uint64(42)] = True
        return cls(hashes[order], numbers[order], table)

    def find(self, hashes: U64) -> tuple[I64, I64]:
        """Return (index into `hashes`, number) for every number of every hash that is known."""
        maybe = np.flatnonzero(self.table[hashes >> np.uint64(42)])
        low = np.searchsorted(self.hashes, hashes[maybe])
        count = np.searchsorted(self.hashes, hashes[maybe], side="right") - low
        where = np.repeat(low - np.concatenate([[0], np.cumsum(count)[:-1]]), count) + np.arange(count.sum())
        return np.repeat(maybe, count), self.numbers[where] if len(where) else np.zeros(0, np.int64)


class Index:
    """What is looked for in texts: S sequences of words, first those of the Q questions.

    A question of fewer words than a seed has more: its longest option; where that is too short as well, question and
    options together, in several layouts. Seeds lie so close that any run of `needed` words holds one whole; of the
    places allowed the rarest is taken.
    """

    def __init__(self, questions: list[Question], words: int, characters: int) -> None:
        self.questions = questions
        asked = [one.text for one in questions]
        brief = np.flatnonzero(np.diff(FoldedBatch(asked).word_offsets) < SEED).tolist()
        option = [max(questions[number].options, key=len, default="") for number in brief]
        few = np.diff(FoldedBatch(option).word_offsets) < SEED
        together = [(n, text) for n, one in zip(brief, few, strict=True) if one for text in _together(questions[n])]
        self.owner = np.array([*range(len(asked)), *brief, *(number for number, _ in together)], np.int64)
        """(S,) which question each sequence is of."""
        sequence = np.arange(len(self.owner))
        self.together: Bools = sequence >= len(asked) + len(brief)
        """(S,) whether it is of a question and its options."""
        self.by_option: Bools = (sequence >= len(asked)) & ~self.together
        """(S,) whether it is of an option."""
        batch = FoldedBatch([*asked, *option, *(text for _, text in together)])
        self.words, self.offsets = batch.word_hashes, batch.word_offsets
        unspaced = (batch.classes[batch.word_starts] & UNSPACED) != 0
        share = [float(unspaced[low:high].mean()) if high > low else 0.0 for low, high in self._bounds()]
        lengths = np.diff(self.offsets)
        run = np.where(np.array(share) > 0.5, characters, words)
        self.short: Bools = (lengths < run) | (sequence >= len(asked))
        """(S,) whether a sequence has so few words that it must stand whole, with options or for itself."""
        self.needed = np.where(self.short, lengths, run)
        """(S,) words in a row that make a hit."""
        self.asks = np.array([text.rstrip()[-1:] in ASKING for text in asked], bool)
        """(Q,) whether a question ends in a question mark."""
        han = unspaced & (batch.codes[batch.word_starts] >= 0x3400)
        letters = np.where(han, HAN_LETTERS, np.where(unspaced, UNSPACED_LETTERS, batch.word_lengths))
        self._letters = np.concatenate([[0], np.cumsum(letters)])
        self.alone = self._stand_alone(batch)
        """(Q,) whether a question is rare enough to count without its options, where it is a sentence of its own."""
        self._options = FoldedBatch([option for one in questions for option in one.options])
        self._first_option = np.cumsum([0, *(len(one.options) for one in questions)])
        self.vocabulary = np.unique(np.concatenate([self.words, self._options.word_hashes]))
        """Hashes of all words, sorted."""
        self.seeds = self._seeds(batch)
        headed = np.flatnonzero(lengths[: len(asked)] > HEAD)
        self.heads = Lookup.of(head_hashes(self.words, self.offsets[headed]), headed)
        """Questions by their first HEAD words."""
        found = (lengths >= SEED) | np.append(self.alone, np.zeros(len(sequence) - len(asked), bool))
        self.too_short = len(questions) - len(np.unique(self.owner[found]))
        """How many questions are too short, with all their options, to be looked for."""

    def options(self, question: int) -> list[U64]:
        """Return the word hashes of each option of a question that has words."""
        low, high = self._first_option[question], self._first_option[question + 1]
        offsets = self._options.word_offsets[low : high + 1]
        parts = np.split(self._options.word_hashes, offsets)[1:-1]
        return [part for part in parts if len(part)]

    def is_shown(self, question: int, sizes: list[int]) -> bool:
        """Tell whether options of these sizes, in words, that were found near a question are evidence of it.

        One of TELLING words is, or half of them; of two or three that are as brief as yes and no, all.
        """
        options = self.questions[question].options
        brief = len(options) <= BRIEF[0] and all(len(option) <= BRIEF[1] for option in options)
        needed = len(options) if brief else max(1, -(-len(options) // 2))
        return any(size >= TELLING for size in sizes) or len(sizes) >= needed

    def letters_before(self, words: I64) -> I64:
        """Return how many letters all of the index's words before each of `words` count."""
        found: I64 = self._letters[words]
        return found

    def sequence(self, number: int) -> U64:
        """Return the word hashes of a sequence."""
        return self.words[int(self.offsets[number]) : int(self.offsets[number + 1])]

    def sequence_of(self, words: I64) -> I64:
        """Return the sequence that each of `words`, places among the index's words, belongs to."""
        found: I64 = np.searchsorted(self.offsets, words, side="right") - 1
        return found

    def is_telling(self, sequence: int, word: int, length: int) -> bool:
        """Tell whether a run of a question's words holds one of `needed` words that is not a phrase of exams."""
        needed = int(self.needed[sequence])
        phrases = self._phrases(needed)
        starts = range(word, word + length - needed + 1)
        return any(self.words[at : at + needed].tobytes() not in phrases for at in starts)

    @functools.cache  # noqa: B019 (an index lives as long as its process)
    def _phrases(self, needed: int) -> frozenset[bytes]:
        """Return the runs of `needed` words that occur in several questions."""
        seen: dict[bytes, set[int]] = {}
        for sequence in np.flatnonzero((self.needed == needed) & ~self.short).tolist():
            for at in range(int(self.offsets[sequence]), int(self.offsets[sequence + 1]) - needed + 1):
                seen.setdefault(self.words[at : at + needed].tobytes(), set()).add(sequence)
        return frozenset(run for run, owners in seen.items() if len(owners) >= REPEATED)

    def _bounds(self) -> list[tuple[int, int]]:
        return list(zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True))

    def _stand_alone(self, batch: FoldedBatch) -> Bools:
        """Return which questions have letters enough, (Q,)."""
        shingles, bounds = batch.shingles(PHRASE)
        questions = self._bounds()[: len(self.questions)]
        distinct = {self.words[low:high].tobytes(): number for number, (low, high) in enumerate(questions)}
        shared: Counter[int] = Counter()
        for number in distinct.values():
            shared.update(set(shingles[bounds[number] : bounds[number + 1]].tolist()))
        several = max(REPEATED, len(distinct) // 3_000)
        phrases = {one for one, count in shared.items() if count >= several}
        result = np.zeros(len(questions), bool)
        for number, (low, high) in enumerate(questions):
            if high - low < PHRASE:
                continue
            outside = np.ones(high - low, bool)
            for at, one in enumerate(shingles[bounds[number] : bounds[number + 1]].tolist()):
                if one in phrases:
                    outside[at : at + PHRASE] = False
            letters = np.diff(self._letters[low : high + 1])
            rare, needed = letters[outside].sum(), ASKED if self.asks[number] else STATED
            enough = rare >= needed.fewer_outside and letters.sum() >= needed.in_all
            result[number] = rare >= needed.outside or enough
        return result

    def _seeds(self, batch: FoldedBatch) -> Lookup:
        """Return the look-up of places among `words` by the SEED words that begin there."""
        shingles, bounds = batch.shingles(SEED)
        common = Counter(shingles.tolist())
        places: list[tuple[int, int]] = []
        for sequence, (low, high) in enumerate(self._bounds()):
            if high - low < SEED:
                continue
            mine = shingles[bounds[sequence] : bounds[sequence + 1]].tolist()
            gap = min(int(self.needed[sequence]) - SEED + 1, APART)
            at = -1
            while at + gap < len(mine):
                window = range(at + 1, at + gap + 1)
                at = min(window, key=lambda place: (common[mine[place]], -place))
                places.append((mine[at], low + at))
        hashes = np.array([one for one, _ in places], np.uint64)
        return Lookup.of(hashes, np.array([at for _, at in places], np.int64))


def head_hashes(words: U64, places: I64) -> U64:
    """Return a hash of the HEAD words from each of `places` on; words after the last count as 0."""
    padded = np.append(words, np.zeros(HEAD, np.uint64))
    value = np.zeros(len(places), np.uint64)
    for step in range(HEAD):
        value = mix(value ^ padded[places + step])
    return value


@functools.lru_cache(maxsize=2)
def index_of(questions: Questions) -> Index:
    """Return the index of a recipe's questions, kept from unit to unit."""
    return Index(questions.read(), questions.words, questions.characters)


def _together(question: Question) -> list[str]:
    """Return a question with its options after it and before it, marked in the usual ways or not at all."""
    texts = []
    for marks in MARKS:
        options = [f"{mark} {option}" for mark, option in zip(marks, question.options, strict=False)]
        texts += [" ".join([question.text, *options]), " ".join([*options, question.text])]
    return texts if question.options else []
