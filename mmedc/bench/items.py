"""Questions with options: mmedc's own JSON lines, or items of MMedBench as released."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmedc.errors import RecipeError
from mmedc.prompts import LANGUAGES
from mmedc.shipped import SHIPPED, shipped_file

QUESTIONS = "shipped:questions"
"""Eighteen easy questions that ship with mmedc, three a language: to try a recipe, not to judge a model."""


@dataclass(frozen=True)
class Item:
    """A question. `options`: letter → text, in their order; `gold`: the right letters, one or more."""

    id: str
    lang: str
    question: str
    options: dict[str, str]
    gold: tuple[str, ...]
    context: str = ""
    """A passage that the question is about."""
    topic: str = ""
    source: str = ""
    licence: str = "unknown"
    rationale: str = ""
    human_checked: bool = False
    """Whether a person has checked the rationale, and it passed."""
    multiple: bool = False
    """Whether several letters may be right, which is a fact of its benchmark, not of this item."""


def read_items(paths: tuple[str, ...]) -> list[Item]:
    """Return the items of files (`.jsonl`, `.jsonl.gz`) and of folders of them, in the order of their names.

    Own format: `id`, `lang`, `question`, `options` {letter: text}, `answer` (a letter, several with commas, or a
    list), and perhaps `context`, `topic`, `source`, `licence`, `rationale`, `human_checked`, `multiple`. MMedBench:
    `answer_idx` for `answer`, `human_check_passed`, the language by the file's name.

    Raises: RecipeError with file and line for what is not an item, and for an id that two different items have.
    """
    items: list[Item] = []
    seen: dict[str, tuple[str, int]] = {}
    for path in paths:
        for file in _files(Path(path)):
            first = len(items)
            for number, line in enumerate(_lines(file), 1):
                if not line.strip():
                    continue
                where = f"{file}:{number}"
                try:
                    item = _item(json.loads(line), file, number)
                except (ValueError, KeyError, TypeError, AttributeError) as problem:
                    raise RecipeError(
                        f"{where}: not an item ({problem!r}); docs/how-to/scoring.md has the format"
                    ) from None
                if item.id in seen and items[seen[item.id][1]] == item:
                    continue  # the same row once more
                if item.id in seen:
                    raise RecipeError(f'{where}: the id "{item.id}" stands at {seen[item.id][0]} already')
                seen[item.id] = where, len(items)
                items.append(item)
            # That some have several answers must not tell which: all of the file are asked alike.
            if any(len(item.gold) > 1 for item in items[first:]):
                items[first:] = [replace(item, multiple=True) for item in items[first:]]
    if not items:
        raise RecipeError(f"{', '.join(paths)}: there are no items")
    return items


def row_of(item: Item) -> dict[str, Any]:
    """Return an item as a row of mmedc's own format, without what says nothing."""
    row = {key: value for key, value in vars(item).items() if value and key != "gold"}
    return row | {"answer": ",".join(item.gold)}


def write_items(items: list[Item], file: Path) -> None:
    """Write items in mmedc's own format."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row_of(item), ensure_ascii=False) + "\n" for item in items), encoding="utf-8")


def language_of(file: str) -> str:
    """Return the language that a file is named after, English where it is none."""
    return next((code for code, name in LANGUAGES.items() if name.lower() in file.lower()), "en")


def json_lines(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of JSON lines, plain or `.gz`. Raises: RecipeError with file and line for what is no JSON."""
    for number, line in enumerate(_lines(file), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as problem:
                raise RecipeError(f"{file}:{number}: not JSON ({problem})") from None


def _files(path: Path) -> list[Path]:
    if str(path).startswith(SHIPPED):
        path = shipped_file(str(path))
    files = [path] if path.is_file() else sorted([*path.glob("*.jsonl"), *path.glob("*.jsonl.gz")])
    if not files:
        raise RecipeError(f"{path}: no such file, and no folder of .jsonl or .jsonl.gz files")
    return files


def _lines(file: Path) -> Iterator[str]:
    if file.suffix == ".gz":
        with gzip.open(file, "rt", encoding="utf-8") as packed:
            yield from packed
    else:
        with file.open(encoding="utf-8") as lines:
            yield from lines


def _item(raw: dict[str, Any], file: Path, number: int) -> Item:
    answer = raw["answer"] if "answer_idx" not in raw else raw["answer_idx"]
    gold = tuple(sorted(answer if isinstance(answer, list) else [one.strip() for one in answer.split(",")]))
    options = {str(letter): str(text) for letter, text in raw["options"].items()}
    unknown = [letter for letter in gold if letter not in options]
    if unknown or len(options) < 2:
        raise ValueError(f"answer {gold} is not among the options {list(options)}")
    texts: dict[str, Any] = {key: str(raw.get(key) or "") for key in ("context", "topic", "source", "rationale")}
    licence = str(raw.get("licence") or "unknown")
    name = str(raw.get("id") or f"{file.name}#{number}")
    texts["multiple"] = bool(raw.get("multiple", False))
    passed = raw.get(
        "human_check_passed", raw.get("human_checked")
    )  # in MMedBench checked is one thing, passed another
    texts["human_checked"] = str(passed).lower() == "true"
    return Item(
        name,
        str(raw.get("lang") or language_of(file.name)),
        str(raw["question"]),
        options,
        gold,
        licence=licence,
        **texts,
    )
