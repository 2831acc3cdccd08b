"""Benchmark questions: rows of files, options and right answers are read here, for every room that needs them.

Scoring and fine-tuning read `Item`s: a question, its options and the right letters, checked. Decontamination
reads `Question`s: only the texts to look for, from rows of many shapes.
"""

import csv
import io
import itertools
import json
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmedc.errors import RecipeError
from mmedc.inputs import Input, list_inputs
from mmedc.jsonlines import BadLine, parse_line, read_json_lines
from mmedc.prompts import LANGUAGES
from mmedc.shipped import SHIPPED, shipped_file
from mmedc.storage import open_binary
from mmedc.unpack import Damage, Unpacked

Row = dict[str, Any]

QUESTIONS = "shipped:questions"
"""Eighteen easy questions that ship with mmedc, three a language: to try a recipe, not to judge a model."""
ITEM_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
SUFFIXES = (*ITEM_SUFFIXES, ".json", ".json.gz", ".json.zst", ".parquet")
LETTERS = "ABCDEFGHIJ"
QUESTION_KEYS = ("question", "prompt", "query")
OPTION_KEYS = ("options", "choices")
_OPTION_COLUMNS = [*LETTERS, *(f"{prefix}{letter}" for prefix in ("op", "option_") for letter in LETTERS.lower())]
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060\u00ad"
"""Characters without width, which `str.strip` leaves."""


class NotAnItem(ValueError):
    """A row cannot be an item; the message is the reason, the same for all rows of its kind."""


@dataclass(frozen=True)
class Item:
    """A multiple-choice question."""

    id: str
    lang: str
    question: str
    options: dict[str, str]
    """Letter → text, in the order in which they are listed."""
    gold: tuple[str, ...]
    """The right letters, one or more, sorted."""
    context: str = ""
    """A passage that the question is about."""
    topic: str = ""
    source: str = ""
    licence: str = "unknown"
    rationale: str = ""
    human_checked: bool = False
    """Whether a person has checked the rationale, and it passed."""
    multiple: bool = False
    """Whether several letters may be right. This is a fact of the benchmark, not of the item."""


@dataclass(frozen=True)
class Question:
    """The text of a question to look for, with the texts of its options."""

    place: str
    """`file#row`."""
    text: str
    options: tuple[str, ...]


def read_items(paths: Iterable[str]) -> list[Item]:
    """Return the items of JSON-lines files, and of folders of them, in the order of their names.

    Own format: `id`, `lang`, `question`, `options` {letter: text}, `answer` (a letter, several with commas, or a
    list) and, optionally, `context`, `topic`, `source`, `licence`, `rationale`, `human_checked`, `multiple`. MMedBench:
    `answer_idx` instead of `answer`, `human_check_passed`, and the language in the file's name.

    Raises: RecipeError with file and line for a row that is not an item, and for an id that two different items have.
    """
    paths = tuple(paths)
    items: list[Item] = []
    seen: dict[str, tuple[str, Item]] = {}
    for path in paths:
        for file in item_files(path):
            own: list[Item] = []
            number = 0
            for number, row in read_rows(file):
                where = f"{file.url}:{number}"
                try:
                    item = item_of(row, file.name, number)
                except (ValueError, KeyError, TypeError, AttributeError) as problem:
                    raise RecipeError(
                        f"{where}: not an item ({problem!r}); docs/how-to/scoring.md has the format"
                    ) from None
                before = seen.setdefault(item.id, (where, item))
                if before[0] == where:
                    own.append(item)
                elif before[1] != item:
                    raise RecipeError(f'{where}: the id "{item.id}" occurs at {before[0]} already')
            if not number:
                warnings.warn(f"{file.url}: the file holds no item", stacklevel=2)
            items += marked_multiple(own)
    if not items:
        raise RecipeError(f"{', '.join(paths)}: there are no items")
    return items


def item_files(path: str) -> list[Input]:
    """Return the JSON-lines files of `path`: a file, a folder or a pattern. Raises: RecipeError when there are none."""
    if path.startswith(SHIPPED):
        path = str(shipped_file(path))
    pattern = any(char in path for char in "*?[")
    files = [file for file in list_inputs(path, ITEM_SUFFIXES) if pattern or "/" not in file.name]
    if not files:
        raise RecipeError(f"{path}: no such file, and no folder of .jsonl or .jsonl.gz files")
    return files


def read_rows(file: Input) -> Iterator[tuple[int, Row]]:
    """Yield (number from 1, row) of a file: the line of JSON lines, the place in any other format.

    A row of CSV is {"cells": […]}; a file with one JSON object is one row, and one with a JSON array its elements.

    Raises: RecipeError with file and line for what cannot be read.
    """
    name = file.name.lower()
    with open_binary(file.url) as stream:
        if name.endswith(".parquet"):
            batches = pq.ParquetFile(pa.PythonFile(stream)).iter_batches(1_000)
            yield from enumerate((row for batch in batches for row in batch.to_pylist()), 1)
        elif ".csv" in name:
            lines = csv.reader(io.StringIO(_text(_whole(stream, file.url), file.url), newline=""))
            yield from enumerate(({"cells": cells} for cells in lines if cells), 1)
        elif ".jsonl" in name:
            yield from _json_rows(read_json_lines(stream, arrays=True), file.url)
        else:
            yield from _json_file(_whole(stream, file.url), file.url)


def read_questions(file: Input) -> Iterator[Question]:
    """Yield the questions of a file. Raises: RecipeError with file and row for a row without a question."""
    for number, row in read_rows(file):
        text = next((row[name] for name in QUESTION_KEYS if isinstance(row.get(name), str)), None)
        if text is None:
            keys = ", ".join(QUESTION_KEYS)
            raise RecipeError(f"{file.url}, row {number}: no text under {keys}; it has {sorted(row)[:8]}")
        yield Question(f"{file.name}#{number}", text, option_texts(row))


def item_of(row: Row, file: str, number: int) -> Item:
    """Return a row of mmedc's own format, or of MMedBench's, as an item.

    `file`: its name, which says the language where the row does not. Raises: NotAnItem, or KeyError for a missing key.
    """
    options = options_of(row["options"])
    letters = answer_of(row, options)
    # In MMedBench a rationale that was checked need not have passed.
    passed = row.get("human_check_passed", row.get("human_checked"))
    # A text that is stated to be empty is one: the passage before it may ask. A text that is missing is an error.
    checked("-" if row["question"] == "" else row["question"], options, letters)
    return Item(
        id=str(row.get("id") or f"{file.rsplit('/', 1)[-1]}#{number}"),
        lang=str(row.get("lang") or language_of(file.rsplit("/", 1)[-1])),
        question=str(row["question"]).strip(),
        options=options,
        gold=letters,
        licence=str(row.get("licence") or "unknown"),
        human_checked=str(passed).lower() == "true",
        multiple=bool(row.get("multiple", False)),
        **{key: str(row.get(key) or "").strip() for key in ("context", "topic", "source", "rationale")},
    )


def checked(question: Any, options: dict[str, str], letters: tuple[str, ...]) -> None:
    """Check the parts of an item. Raises: NotAnItem with what is wrong."""
    if not str(question or "").strip():
        raise NotAnItem("no question")
    if len(options) < 2:
        raise NotAnItem("fewer than two options")
    if not all(options.values()):
        raise NotAnItem("an option without text")
    if not letters:
        raise NotAnItem("no answer")
    if not set(letters) <= set(options):
        raise NotAnItem("an answer that is not among the options")


def options_of(given: Any) -> dict[str, str]:
    """Return options as letter → text, without blanks around either.

    `given`: {letter: text}, in which options without text are left out; a list of texts, which are lettered in their
    order, or of {"key" or "label": letter, "value" or "text": text}; or {"label": […], "text": […]}.

    Raises: NotAnItem for a letter that occurs twice.
    """
    pairs = _option_pairs(given)
    options = dict(pairs)
    if len(options) < len(pairs):
        raise NotAnItem("a letter that stands for two options")
    return options


def option_texts(row: Row) -> tuple[str, ...]:
    """Return the texts of a row's options: under `options` or `choices`, as JSON in a string, or in columns."""
    given = next((row[name] for name in OPTION_KEYS if row.get(name)), None)
    if isinstance(given, str):
        given = json.loads(given) if given.lstrip()[:1] in ("[", "{") else None
    if given is None:
        given = [row[name] for name in _OPTION_COLUMNS if row.get(name)]
    return tuple(text for _, text in _option_pairs(given) if text)


def answer_of(row: Row, options: dict[str, str]) -> tuple[str, ...]:
    """Return the right letters of a row: those of `answer_idx`, or else of `answer`.

    Where a row has both, `answer` holds the text of the right option, or its letter again.

    Raises: NotAnItem where both are there and name different options; KeyError where there is neither.
    """
    if "answer_idx" not in row:
        return letters_of(row["answer"])
    letters = letters_of(row["answer_idx"])
    also = row.get("answer")
    if also is None or also == "":
        return letters
    words = _bare(also) if isinstance(also, str) else ""
    by_text = {letter for letter, text in options.items() if words and _bare(text) == words}
    by_letter = set(letters_of(also)) if isinstance(also, str | list) else set()
    named = [found for found in (by_text, by_letter & set(options) if by_letter <= set(options) else set()) if found]
    agrees = bool(by_text & set(letters)) or by_letter == set(letters)
    if named and not agrees:
        raise NotAnItem("answer and answer_idx name different options")
    return letters


def letters_of(value: Any) -> tuple[str, ...]:
    """Return the letters of "A", "A, C" or ["A", "C"], sorted, each once. Raises: NotAnItem for anything else."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list | tuple) or not all(isinstance(letter, str) for letter in value):
        raise NotAnItem("an answer that is not a letter")
    return tuple(sorted({_letter(letter) for letter in value if letter.strip()}))


def same_texts(options: dict[str, str]) -> bool:
    """Tell whether two options have the same text, so that a text does not say which of them is meant."""
    return len(set(options.values())) < len(options)


def marked_multiple(items: list[Item]) -> list[Item]:
    """Return the items of one file, all marked `multiple` if one has several right letters.

    All of a file are asked alike, so that nothing gives away which ones have several.
    """
    if any(len(item.gold) > 1 for item in items):
        return [replace(item, multiple=True) for item in items]
    return items


def row_of(item: Item) -> Row:
    """Return an item as a row of mmedc's own format, without the keys that say nothing."""
    row = {key: value for key, value in vars(item).items() if (value or key == "question") and key != "gold"}
    return row | {"answer": ",".join(item.gold)}


def write_items(items: list[Item], file: Path) -> None:
    """Write items in mmedc's own format."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row_of(item), ensure_ascii=False) + "\n" for item in items), encoding="utf-8")


def language_of(file: str) -> str:
    """Return the code of the language that a file is named after, and English for any other name."""
    return next((code for code, name in LANGUAGES.items() if name.lower() in file.lower()), "en")


def tidy(value: Any) -> str:
    """Return a text on one line, without blanks at its ends; of None, nothing."""
    text = " ".join(str("" if value is None else value).split())
    return " ".join(text.strip(_INVISIBLE + " ").split())


def _option_pairs(given: Any) -> list[tuple[str, str]]:
    if isinstance(given, dict) and isinstance(given.get("text"), list):
        given = zip(given.get("label") or _letters(), given["text"], strict=False)
    elif isinstance(given, dict):
        given = [(letter, text) for letter, text in given.items() if tidy(text)]
    else:
        given = [_lettered(option, letter) for option, letter in zip(given, _letters(), strict=False)]
    return [(_letter(letter), tidy(text)) for letter, text in given]


def _letters() -> Iterator[str]:
    yield from LETTERS
    yield from map(str, itertools.count(len(LETTERS) + 1))


def _letter(value: Any) -> str:
    text = tidy(value)
    return text.upper() if len(text) == 1 else text


def _lettered(option: Any, letter: str) -> tuple[str, Any]:
    if not isinstance(option, dict):
        return letter, option
    return str(option.get("key", option.get("label", letter))), option.get("value", option.get("text"))


def _bare(text: str) -> str:
    """Return the words of a text, in lower case."""
    return " ".join(re.findall(r"\w+", text.casefold())) or text.strip()


def _json_rows(rows: Iterable[tuple[int, Any]], url: str) -> Iterator[tuple[int, Row]]:
    for number, row in rows:
        if isinstance(row, BadLine):
            what = "can't be read" if "damaged" in str(row) else "not JSON"
            raise RecipeError(f"{url}:{number}: {what} ({row})")
        if not isinstance(row, dict):
            raise RecipeError(f"{url}:{number}: not a row ({str(row)[:40]}); expected a JSON object")
        yield number, row


def _json_file(data: bytes, url: str) -> Iterator[tuple[int, Row]]:
    """Yield the rows of one JSON value, or of JSON lines."""
    try:
        whole = parse_line(data)
    except BadLine:
        yield from _json_rows(read_json_lines(io.BytesIO(data)), url)
    else:
        yield from _json_rows(enumerate(whole if isinstance(whole, list) else [whole], 1), url)


def _whole(stream: IO[bytes], url: str) -> bytes:
    """Return the content of a file, unpacked where its first bytes say that it is compressed."""
    parts = []
    for event in Unpacked(stream, url):
        if isinstance(event, Damage):
            raise RecipeError(f"{url}: can't be read ({event})")
        parts.append(event.data)
    return b"".join(parts)


def _text(data: bytes, url: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise RecipeError(f"{url}: can't be read ({problem})") from None
