"""Benchmark questions, read from JSON lines or Parquet in the shapes in which question sets are published.

Understood: a question under `question`, `prompt` or `query`; options as a mapping or list under `options` or
`choices`, or as columns A, B, C … or `opa`, `opb` …. MMedBench, MedQA, MedMCQA, FrenchMedMCQA and others are so.
"""

import functools
import gzip
import hashlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmedc.errors import RecipeError
from mmedc.storage import Input, list_inputs, open_binary

QUESTION = ("question", "prompt", "query")
OPTIONS = ("options", "choices")
LETTERS = "ABCDEFGHIJ"
SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".json", ".json.gz", ".parquet")


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


def quoted(text: str, limit: int = 300) -> str:
    """Return `text` on one line, cut at `limit` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def name_of(place: str) -> str:
    """Return the name of a question's set: its file without folders and suffixes."""
    return os.path.basename(place.partition("#")[0]).split(".")[0]
