"""Benchmark questions, read from JSON lines or Parquet as they lie about, and an index to find them in texts.

Understood: a question under `question`, `prompt` or `query`; options as a mapping or list under `options` or
`choices`, or as columns A, B, C … or `opa`, `opb` …. MMedBench, MedQA, MedMCQA, FrenchMedMCQA and others are so.
"""

import functools
import gzip
import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmedc.dedup.records import I64
from mmedc.errors import RecipeError
from mmedc.storage import Input, list_inputs, open_binary
from mmedc.words import U64, UNSPACED, TextBatch, fold

QUESTION = ("question", "prompt", "query")
OPTIONS = ("options", "choices")
APART = 6
"""Words from one seed to the next at most."""
LETTERS = "ABCDEFGHIJ"
MARKS = (LETTERS, "1234567890", "АБВГДЕЖЗИК", [""] * len(LETTERS))
"""How options are marked."""
SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json", ".json.gz", ".parquet")
SEED = 5
"""Words by whose hash a place in a text is looked up."""


@dataclass(frozen=True)
class Question:
    """A benchmark item: where it stands (`file#line`), the question, its options."""

    place: str
    text: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Questions:
    """The files of a recipe's questions; small to pickle, read where they are used."""

    inputs: tuple[Input, ...]
    words: int
    """Words in a row that make a hit."""
    characters: int
    """The same in scripts without spaces."""

    @functools.cached_property
    def digest(self) -> str:
        """What a result depends on: the questions and the lengths."""
        whole = hashlib.sha256(repr((self.words, self.characters)).encode())
        for one in self.read():
            whole.update(repr((one.place, one.text, one.options)).encode("utf-8", "surrogatepass"))
        return whole.hexdigest()

    def read(self) -> list[Question]:
        """Return the questions, each once, in the order of the files."""
        seen: set[bytes] = set()
        found = []
        for one in self.inputs:
            for question in read_questions(one):
                key = hashlib.blake2b("\0".join((question.text, *question.options)).encode(), digest_size=16).digest()
                if key not in seen:
                    seen.add(key)
                    found.append(question)
        return found


def find_questions(patterns: tuple[str, ...], words: int, characters: int) -> Questions:
    """Return the question files of `patterns`. Raises: RecipeError for a pattern without any."""
    inputs: list[Input] = []
    for pattern in patterns:
        found = [one for one in list_inputs(pattern, SUFFIXES) if one.name.endswith(SUFFIXES)]
        if not found:
            raise RecipeError(f"decontaminate.questions: {pattern} has no file of questions ({', '.join(SUFFIXES)})")
        inputs += found
    return Questions(tuple(inputs), words, characters)


def read_questions(one: Input) -> Iterator[Question]:
    """Yield the questions of a file. Raises: RecipeError with file and line for a row without a question."""
    for number, row in enumerate(_rows(one), 1):
        where = f"{one.name}#{number}"
        text = next((row[name] for name in QUESTION if isinstance(row.get(name), str)), None)
        if text is None:
            raise RecipeError(f"{one.url}, row {number}: no text under {', '.join(QUESTION)}; it has {sorted(row)[:8]}")
        yield Question(where, text, _options(row))


def _options(row: dict[str, Any]) -> tuple[str, ...]:
    given = next((row[name] for name in OPTIONS if row.get(name)), None)
    if isinstance(given, str):
        given = json.loads(given) if given.lstrip()[:1] in "[{" else None
    if isinstance(given, dict):
        given = given["text"] if isinstance(given.get("text"), list) else list(given.values())
    if given is None:
        names = [
            *LETTERS,
            *(f"op{letter.lower()}" for letter in LETTERS),
            *(f"option_{one.lower()}" for one in LETTERS),
        ]
        given = [row[name] for name in names if row.get(name)]
    texts = [one.get("text", one.get("value")) if isinstance(one, dict) else one for one in given]
    return tuple(str(one) for one in texts if one)


def _rows(one: Input) -> Iterator[dict[str, Any]]:
    if one.name.endswith(".parquet"):
        with open_binary(one.url) as file:
            for batch in pq.ParquetFile(pa.PythonFile(file)).iter_batches(1_000):
                yield from batch.to_pylist()
        return
    with open_binary(one.url) as file:
        if one.name.endswith(".gz"):
            stream: Any = gzip.GzipFile(fileobj=file)
        elif one.name.endswith(".zst"):
            import zstandard

            stream = zstandard.ZstdDecompressor().stream_reader(file)
        else:
            stream = file
        lines = io.TextIOWrapper(stream, encoding="utf-8")
        head = lines.read(1)
        if head == "[":  # one JSON array, not a line each
            yield from json.loads(head + lines.read())
            return
        for number, line in enumerate(lines, 1):
            text = head + line if number == 1 else line
            if text.strip():
                try:
                    yield json.loads(text)
                except ValueError as problem:
                    raise RecipeError(f"{one.url}:{number}: not JSON ({problem})") from None


class Index:
    """Questions as sequences of word hashes, and seeds: places in them by the hash of the SEED words there.

    The sequence of a question of fewer words than a seed is its longest option; where that is too short as well,
    question and options together, in several layouts. Seeds lie so close that any run of `needed` words holds
    one whole; of the places allowed the rarest is taken. Shapes: Q sequences, first one of each question; S seeds.
    """

    def __init__(self, questions: list[Question], words: int, characters: int) -> None:
        self.questions = questions
        own = _sizes([one.text for one in questions])
        self.by_option = own < SEED
        """(Q,) whether the sequence is that of an option."""
        texts = [
            max(one.options, key=len, default="") if short else one.text
            for one, short in zip(questions, self.by_option.tolist(), strict=True)
        ]
        brief = np.flatnonzero(_sizes(texts) < SEED).tolist()
        together = [(number, text) for number in brief for text in _together(questions[number])]
        self.owner = np.array([*range(len(texts)), *(number for number, _ in together)], np.int64)
        """(Q,) which question each sequence is of."""
        self.together = np.arange(len(self.owner)) >= len(texts)
        """(Q,) whether it is of the question and its options."""
        self.by_option = np.concatenate([self.by_option, np.zeros(len(together), bool)])
        batch = TextBatch(fold(pa.array([*texts, *(text for _, text in together)], pa.large_string())))
        self.words, self.offsets = batch.word_hashes, batch.word_offsets
        unspaced = (batch.classes[batch.word_starts] & UNSPACED) != 0
        share = [float(unspaced[low:high].mean()) if high > low else 0.0 for low, high in self._bounds()]
        lengths = np.diff(self.offsets)
        run = np.where(np.array(share) > 0.5, characters, words)
        self.whole = (lengths < run) | self.by_option | self.together
        """(Q,) whether a sequence is so short that it must stand whole, with options."""
        self.needed = np.where(self.whole, lengths, run)
        """(Q,) words in a row that make a hit."""
        self.short = len(questions) - len(np.unique(self.owner[lengths >= SEED]))
        """How many questions are too short, with all their options, to be looked for."""
        shingles, bounds = batch.shingles(SEED)
        self.seeds, self.at = self._seeds(shingles, bounds, lengths)
        self._table = np.zeros(1 << 22, bool)
        self._table[self.seeds >> np.uint64(42)] = True

    @functools.cache  # noqa: B019 (an index lives as long as its process)
    def options(self, question: int) -> list[U64]:
        """Return the word hashes of each option of a question."""
        return [hashes for hashes in word_hashes(self.questions[question].options) if len(hashes)]

    def _bounds(self) -> list[tuple[int, int]]:
        return list(zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True))

    def _seeds(self, shingles: U64, bounds: I64, lengths: I64) -> tuple[U64, I64]:
        """Return (hashes, sorted; where in `words` each begins), (S,) each."""
        common = Counter(shingles.tolist())
        places: list[tuple[int, int]] = []
        for question, (low, _) in enumerate(self._bounds()):
            if lengths[question] < SEED:
                continue
            mine = shingles[bounds[question] : bounds[question + 1]].tolist()
            gap = min(int(self.needed[question]) - SEED + 1, APART)
            at = -1
            while at + gap < len(mine):
                window = range(at + 1, at + gap + 1)
                at = min(window, key=lambda place: (common[mine[place]], -place))
                places.append((mine[at], low + at))
        places.sort()
        return np.array([one for one, _ in places], np.uint64), np.array([at for _, at in places], np.int64)

    def look_up(self, shingles: U64) -> tuple[I64, I64]:
        """Return (index into `shingles`, index into `words`) of every seed that stands among them."""
        maybe = np.flatnonzero(self._table[shingles >> np.uint64(42)])
        low = np.searchsorted(self.seeds, shingles[maybe])
        count = np.searchsorted(self.seeds, shingles[maybe], side="right") - low
        where = np.repeat(low - np.concatenate([[0], np.cumsum(count)[:-1]]), count) + np.arange(count.sum())
        return np.repeat(maybe, count), self.at[where] if len(where) else np.zeros(0, np.int64)

    def sequence_of(self, words: I64) -> I64:
        """Return the sequence that each word belongs to."""
        found: I64 = np.searchsorted(self.offsets, words, side="right") - 1
        return found


def _together(question: Question) -> list[str]:
    """Return a question and its options as one text, the options marked in the usual ways or not at all."""
    marked = (zip(marks, question.options, strict=False) for marks in MARKS)
    texts = [" ".join([question.text, *(f"{mark} {option}" for mark, option in pairs)]) for pairs in marked]
    return texts if question.options else []


def word_hashes(texts: tuple[str, ...]) -> list[U64]:
    """Return the word hashes of each of `texts`, folded."""
    if not texts:
        return []
    batch = TextBatch(fold(pa.array(texts, pa.large_string())))
    return np.split(batch.word_hashes, batch.word_offsets[1:-1])


def _sizes(texts: list[str]) -> I64:
    return np.diff(TextBatch(fold(pa.array(texts, pa.large_string()))).word_offsets)


def quoted(text: str, limit: int = 300) -> str:
    """Return `text` on one line, cut at `limit` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def name_of(place: str) -> str:
    """Return the name of a question's set: its file without folders and suffixes."""
    return os.path.basename(place.partition("#")[0]).split(".")[0]
