"""Question sets in the formats of their makers, as items: local paths, `s3://` or `hf://` data sets.

A row that can't be an item (a picture, no answer, an answer that is no option) is left out and counted by reason.
"""

import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmedc.bench.items import Item, language_of
from mmedc.errors import RecipeError
from mmedc.storage import Input, list_inputs, open_binary

Row = dict[str, Any]
LETTERS = "ABCDEFGHIJ"
SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".csv", ".csv.gz", ".parquet")
MMLU = (
    "clinical_knowledge",
    "medical_genetics",
    "anatomy",
    "professional_medicine",
    "college_biology",
    "college_medicine",
)
"""The six subjects of the paper."""


class Reject(Exception):
    """A row is no item; the message is the reason, the same for all rows of its kind."""


@dataclass(frozen=True)
class Format:
    """A question set: who made it, in which language, under which licence, and how its rows become items."""

    source: str
    lang: str
    licence: str
    read: Callable[[Row, str], Row]
    """(row, file name) → `question`, `options`, `gold` and what else an item has. Raises: Reject."""
    flatten: Callable[[Iterable[Row]], Iterable[Row]] = lambda rows: rows
    """The rows of what lies in a file."""


@dataclass
class Converted:
    """Items, and the rows that are none: reason → how many, and where the first stands."""

    items: list[Item] = field(default_factory=list)
    rejects: dict[str, tuple[int, str]] = field(default_factory=dict)


def convert(name: str, patterns: list[str]) -> Converted:
    """Return the items of the files of `patterns`, which are in the format `name`.

    Raises: RecipeError for an unknown format, a pattern without files, or a file that can't be read at all.
    """
    if name not in FORMATS:
        raise RecipeError(f'"{name}" is no format of questions; known are {", ".join(FORMATS)}')
    out, seen, kind = Converted(), set(), FORMATS[name]
    for pattern in patterns:
        inputs = list_inputs(pattern, SUFFIXES)
        if not inputs:
            raise RecipeError(f"{pattern}: there are no files ({', '.join(SUFFIXES)})")
        for one in inputs:
            first = len(out.items)
            for number, row in enumerate(kind.flatten(_rows(one)), 1):
                where = f"{one.name}#{number}"
                try:
                    item = _item(kind.read(row, one.name), kind, f"{name}-{where}")
                    if item.id in seen:
                        raise Reject("an id that came before")
                except Reject as problem:
                    count, at = out.rejects.get(str(problem), (0, where))
                    out.rejects[str(problem)] = count + 1, at
                    continue
                except (KeyError, TypeError, ValueError, AttributeError, IndexError) as problem:
                    reason = f"not a row of {kind.source} ({type(problem).__name__}: {problem})"
                    count, at = out.rejects.get(reason, (0, where))
                    out.rejects[reason] = count + 1, at
                    continue
                seen.add(item.id)
                out.items.append(item)
            if any(len(item.gold) > 1 for item in out.items[first:]):
                out.items[first:] = [replace(item, multiple=True) for item in out.items[first:]]
    return out


def _item(found: Row, kind: Format, name: str) -> Item:
    question, options, gold = " ".join(str(found["question"]).split()), found["options"], tuple(sorted(found["gold"]))
    if not question:
        raise Reject("no question")
    if len(options) < 2:
        raise Reject("fewer than two options")
    if not all(text.strip() for text in options.values()):
        raise Reject("an option without text")
    if not gold:
        raise Reject("no answer")
    if not set(gold) <= set(options):
        raise Reject("an answer that is not among the options")
    more = {key: found[key] for key in ("context", "topic", "rationale", "human_checked") if found.get(key)}
    name = str(found.get("id") or name)
    lang = str(found.get("lang") or kind.lang)
    return Item(name, lang, question, options, gold, source=kind.source, licence=kind.licence, **more)


def _rows(one: Input) -> Iterator[Row]:
    """Yield what a file holds: rows of Parquet, CSV (as `cells`) or JSON lines; or one JSON value, as its elements."""
    with open_binary(one.url) as file:
        if one.name.endswith(".parquet"):
            for batch in pq.ParquetFile(pa.PythonFile(file)).iter_batches(1_000):
                yield from batch.to_pylist()
            return
        data = file.read()
    try:
        text = (gzip.decompress(data) if one.name.endswith(".gz") else data).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as problem:
        raise RecipeError(f"{one.url}: can't be read ({problem})") from None
    if ".csv" in one.name:
        yield from ({"cells": cells} for cells in csv.reader(io.StringIO(text)) if cells)
        return
    try:
        whole = json.loads(text)
    except ValueError:
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as problem:
                    raise RecipeError(f"{one.url}:{number}: not JSON ({problem})") from None
        return
    yield from whole if isinstance(whole, list) else [whole]


def _lettered(texts: Iterable[Any]) -> dict[str, str]:
    return {letter: str(text).strip() for letter, text in zip(LETTERS, texts, strict=False)}


def _filled(options: dict[str, Any]) -> dict[str, str]:
    """Return options with capital letters, without those that say nothing."""
    return {str(letter).upper(): str(text).strip() for letter, text in options.items() if text and str(text).strip()}


def _medqa(row: Row, file: str) -> Row:
    options = row["options"]
    if isinstance(options, list):  # as the hub has it
        options = {one["key"]: one["value"] for one in options}
    return {"question": row["question"], "options": _filled(options), "gold": (row["answer_idx"],)}


def _igakuqa(row: Row, file: str) -> Row:
    if not row.get("text_only", True):
        raise Reject("a question about a picture")
    letters = [str(letter).upper() for letter in row["answer"]]
    if any(letter not in LETTERS for letter in letters):
        raise Reject("an answer that is a number")
    return {
        "id": f"igakuqa-{row['problem_id']}",
        "question": row["problem_text"],
        "options": _lettered(row["choices"]),
        "gold": letters,
    }


def _frenchmedmcqa(row: Row, file: str) -> Row:
    answers = row.get("answers") or {letter: row[f"answer_{letter}"] for letter in "abcde"}
    right = row["correct_answers"]
    letters = [LETTERS[one] if isinstance(one, int) else str(one).upper() for one in right]
    return {
        "id": f"frenchmedmcqa-{row['id']}",
        "question": row["question"],
        "options": _filled(answers),
        "gold": letters,
    }


def _rumeddanet(row: Row, file: str) -> Row:
    answer = {"да": "A", "нет": "B"}.get(str(row.get("answer", "")).strip().lower())
    if answer is None:
        raise Reject("no answer")
    found = {"question": row["question"], "context": row["context"], "options": {"A": "да", "B": "нет"}, "gold": answer}
    return found | ({"id": f"rumeddanet-{row['pairID']}"} if row.get("pairID") else {})


def _exams(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the questions of HEAD-QA's exams; rows of the hub are questions already."""
    for row in rows:
        if "exams" not in row:
            yield row
            continue
        for name, exam in row["exams"].items():
            for one in exam["data"]:
                yield {"lang": row.get("language"), "name": exam.get("name", name), **one, "category": exam["category"]}


def _headqa(row: Row, file: str) -> Row:
    if row.get("image"):
        raise Reject("a question about a picture")
    ordered = sorted(row["answers"], key=lambda one: int(one["aid"]))
    places = [str(one["aid"]) for one in ordered]
    return {
        "id": f"headqa-{row['name']}-{row['qid']}",
        "lang": row.get("lang"),
        "question": row["qtext"],
        "options": _lettered(one["atext"] for one in ordered),
        "gold": (LETTERS[places.index(str(row["ra"]))],) if str(row["ra"]) in places else (),
        "topic": row.get("category", ""),
    }


def _mmedbench(row: Row, file: str) -> Row:
    answer = row["answer_idx"]
    return {
        "lang": language_of(file),
        "question": row["question"],
        "options": _filled(row["options"]),
        "gold": answer if isinstance(answer, list) else [one.strip() for one in answer.split(",") if one.strip()],
        "rationale": row.get("rationale") or "",
        "human_checked": str(row.get("human_check_passed", "")).lower() == "true",
    }


def _counted_from_one(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield MedMCQA's rows with `cop` counted from 0, as the hub has it; its own files count from 1."""
    found = list(rows)
    known = [row["cop"] for row in found if isinstance(row.get("cop"), int) and row["cop"] >= 0]
    if known and min(known) > 0 and max(known) < 4:
        raise RecipeError("medmcqa: `cop` has neither 0 nor 4, so it can't be known which option is the first")
    less = 1 if known and max(known) == 4 else 0
    yield from ({**row, "cop": row["cop"] - less if row.get("cop") is not None else -1} for row in found)


def _medmcqa(row: Row, file: str) -> Row:
    if not 0 <= row["cop"] < 4:
        raise Reject("no answer")
    return {
        "id": f"medmcqa-{row['id']}" if row.get("id") else None,
        "question": row["question"],
        "options": _lettered(row[f"op{letter}"] or "" for letter in "abcd"),
        "gold": (LETTERS[row["cop"]],),
        "topic": row.get("subject_name") or "",
        "rationale": row.get("exp") or "",
    }


def _abstracts(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield PubMedQA's questions: a mapping by PubMed number, or rows of the hub."""
    for row in rows:
        if "QUESTION" in row or "question" in row:
            yield row
        else:
            yield from ({"pubid": number, **one} for number, one in row.items())


def _pubmedqa(row: Row, file: str) -> Row:
    contexts: list[str] = row["CONTEXTS"] if "CONTEXTS" in row else row["context"]["contexts"]
    options = {"A": "yes", "B": "no", "C": "maybe"}
    decided = [letter for letter, text in options.items() if text == row.get("final_decision")]
    return {
        "id": f"pubmedqa-{row['pubid']}",
        "question": row["QUESTION"] if "QUESTION" in row else row["question"],
        "context": " ".join(contexts),
        "options": options,
        "gold": decided,
        "rationale": row.get("LONG_ANSWER") or row.get("long_answer") or "",
    }


def _mmlu(row: Row, file: str) -> Row:
    subject = row.get("subject") or re.sub(r"_(test|val|dev)$", "", file.rsplit("/", 1)[-1].split(".")[0])
    if subject not in MMLU:
        raise Reject("a subject that is not medical")
    if "cells" in row:
        question, *texts, answer = row["cells"]
    else:
        question, texts, answer = row["question"], row["choices"], LETTERS[row["answer"]]
    return {"question": question, "options": _lettered(texts), "gold": (answer.strip(),), "topic": subject}


FORMATS = {
    "medqa-usmle": Format("MedQA-USMLE", "en", "MIT", _medqa),
    "medqa-mcmle": Format("MedQA-MCMLE", "zh", "MIT", _medqa),
    "igakuqa": Format("IgakuQA", "ja", "unknown", _igakuqa),
    "frenchmedmcqa": Format("FrenchMedMCQA", "fr", "Apache-2.0", _frenchmedmcqa),
    "rumeddanet": Format("RuMedDaNet", "ru", "unknown", _rumeddanet),
    "headqa": Format("HEAD-QA", "es", "MIT", _headqa, _exams),
    "mmedbench": Format("MMedBench", "en", "CC-BY-NC-4.0", _mmedbench),
    "medmcqa": Format("MedMCQA", "en", "MIT", _medmcqa, _counted_from_one),
    "pubmedqa": Format("PubMedQA", "en", "MIT", _pubmedqa, _abstracts),
    "mmlu": Format("MMLU", "en", "MIT", _mmlu),
}
"""By the names that `mmedc items convert` takes. Licences are those that the makers state."""
