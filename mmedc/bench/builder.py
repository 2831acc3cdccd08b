"""Adds rationales and topics to items, as MMedBench's makers did with a language model and people.

The model is given the right answer, and explains it in the language of the item. The rationale is kept if it passes
three checks: it is in that language; it ends in the right answer; and from the question and the rationale alone,
without the answer, the model chooses the right letters again. People review a sample on a sheet, and the rationales
that they pass are marked.
"""

import csv
import functools
import math
import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mmedc.bench.backends import Backend
from mmedc.bench.cache import Cache
from mmedc.bench.parsing import parse
from mmedc.bench.rationales import rationale_of
from mmedc.errors import RecipeError
from mmedc.filters import LanguageFile, open_filters
from mmedc.prompts import LANGUAGES
from mmedc.questions import Item

RATIONALE_TOKENS, CHOICE_TOKENS, TOPIC_TOKENS = 600, 24, 24
SHORTEST = 40
"""The fewest characters of a rationale; half as many where a character is a word."""
PASSED = "passed"
SHEET = ("id", "lang", "question", "options", "answer", "rationale", PASSED, "note")
YES, NO = {"yes", "y", "1", "true", "x"}, {"no", "n", "0", "false"}

_EXPLAIN = """You are a physician who writes explanations of exam questions in {language}.

{asked}
The right answer is {answer}.

Explain in {language}, in about 100 words, why this is right and why the other options are not. \
End with a line of this form and nothing after it:
###Answer: OPTION {answer} IS CORRECT."""
_AGAIN = """{asked}
An explanation: {rationale}

Which option or options does the explanation support? Answer with letters only, several with commas."""
_TOPIC = """To which one of these fields does the question below belong most? Answer with the name of the field only.

{topics}

{asked}"""


OnProgress = Callable[[int, int], None]
"""Receives how many answers of how many have arrived."""


def silent(done: int, total: int) -> None:
    """Ignore progress."""


def text_of(item: Item) -> str:
    """Return the passage, the question and the options of an item as text."""
    lines = [item.context] if item.context else []
    return "\n".join([*lines, item.question, *(f"{letter}. {text}" for letter, text in item.options.items())])


def with_rationales(
    items: list[Item], backend: Backend, cache: Cache, on_progress: OnProgress = silent
) -> tuple[list[Item], dict[str, str]]:
    """Return the items with the rationales that they lacked, and what was wrong with the others (item → problem).

    An item whose rationale fails a check is left without one.
    """
    wanting = [item for item in items if not item.rationale]
    prompts = [
        _EXPLAIN.format(language=LANGUAGES.get(item.lang, item.lang), asked=text_of(item), answer=",".join(item.gold))
        for item in wanting
    ]
    outputs = answers_of(prompts, RATIONALE_TOKENS, backend, cache, on_progress)
    wrong: dict[str, str] = {}
    made: dict[str, str] = {}
    for item, output in zip(wanting, outputs, strict=True):
        rationale = rationale_of(output)
        if problem := _problem(item, output, rationale):
            wrong[item.id] = problem
        else:
            made[item.id] = rationale
    again = [item for item in wanting if item.id in made]
    prompts = [_AGAIN.format(asked=text_of(item), rationale=made[item.id]) for item in again]
    for item, output in zip(again, answers_of(prompts, CHOICE_TOKENS, backend, cache, on_progress), strict=True):
        if parse(output, item.options, item.multiple) != item.gold:
            wrong[item.id] = "from it the model does not choose the right answer again"
            del made[item.id]
    return [replace(item, rationale=made.get(item.id, item.rationale)) for item in items], wrong


def _problem(item: Item, output: str, rationale: str) -> str:
    """Return what is wrong with a rationale by itself, or an empty string."""
    if parse(output, item.options, item.multiple) != item.gold:
        return "it does not end in the right answer"
    language = _facts(item.lang)
    if len(rationale) < (SHORTEST if language.spaced else SHORTEST // 2):
        return "it is too short"
    letters = sum(char.isalpha() for char in rationale)
    in_script = sum(char.isalpha() for char in re.findall(f"[{language.letters}]", rationale))
    if in_script < letters / 2:
        return "it is not in the language of the item"
    return ""


@functools.cache
def _facts(lang: str) -> LanguageFile:
    return open_filters().facts(lang)


def with_topics(
    items: list[Item], topics: list[str], backend: Backend, cache: Cache, on_progress: OnProgress = silent
) -> tuple[list[Item], int]:
    """Return the items, each with one of `topics`, and how many of those that had none were given none."""
    wanting = [item for item in items if item.topic not in topics]
    listed = "\n".join(f"- {topic}" for topic in topics)
    prompts = [_TOPIC.format(topics=listed, asked=text_of(item)) for item in wanting]
    by_name = {_plain(topic): topic for topic in topics}
    found: dict[str, str] = {}
    for item, output in zip(wanting, answers_of(prompts, TOPIC_TOKENS, backend, cache, on_progress), strict=True):
        named = [topic for name, topic in by_name.items() if re.search(rf"\b{re.escape(name)}\b", _plain(output))]
        # "Paediatric surgery" also names surgery, so the longest counts. Two topics, neither part of the other, do not.
        named.sort(key=len, reverse=True)
        if named and all(_plain(topic) in _plain(named[0]) for topic in named):
            found[item.id] = named[0]
    out = [item if item.topic in topics else replace(item, topic=found.get(item.id, "")) for item in items]
    return out, len(wanting) - len(found)


def read_topics(file: Path) -> list[str]:
    """Return the topics of a file, one a line; `#` begins a comment. Raises: RecipeError for fewer than two."""
    try:
        lines = [line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except OSError as problem:
        raise RecipeError(f"{file}: can't be read ({problem.strerror})") from None
    if len(found := [line for line in lines if line]) < 2:
        raise RecipeError(f"{file}: expected topics, one a line")
    return found


def write_sheet(items: list[Item], file: Path, share: float, seed: int) -> int:
    """Write a sheet (CSV) for people, and return how many rationales it has.

    `share`: the part of the rationales of each language that is drawn, rounded up.
    """
    drawn: list[Item] = []
    for lang in sorted({item.lang for item in items}):
        open_ = [item for item in items if item.lang == lang and item.rationale and not item.human_checked]
        drawn += random.Random(f"{seed}/{lang}").sample(open_, math.ceil(share * len(open_)))
    with file.open("w", encoding="utf-8-sig", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(SHEET)
        for item in drawn:
            options = "\n".join(f"{letter}. {text}" for letter, text in item.options.items())
            writer.writerow([item.id, item.lang, item.question, options, ",".join(item.gold), item.rationale, "", ""])
    return len(drawn)


def read_sheet(items: list[Item], file: Path) -> tuple[list[Item], dict[str, int]]:
    """Return the items with the judgements of a sheet, and how many rationales passed, failed and are still open.

    A rationale that failed is removed. One that people edited on the sheet is taken over as they left it.

    Raises: RecipeError for a sheet of other items, or a judgement that is neither yes nor no.
    """
    known = {item.id: item for item in items}
    count = {"passed": 0, "failed": 0, "open": 0}
    with file.open(encoding="utf-8-sig", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), 2):
            if row.get("id") not in known:
                raise RecipeError(
                    f"{file}:{number}: there is no item {row.get('id')!r}; is it the sheet of these items?"
                )
            judgement = (row.get(PASSED) or "").strip().casefold()
            item = known[row["id"]]
            if not judgement:
                count["open"] += 1
            elif judgement in YES:
                known[item.id] = replace(item, rationale=row["rationale"].strip(), human_checked=True)
                count["passed"] += 1
            elif judgement in NO:
                known[item.id] = replace(item, rationale="")
                count["failed"] += 1
            else:
                raise RecipeError(f'{file}:{number}: "{PASSED}" is {judgement!r}; expected yes, no or nothing')
    return list(known.values()), count


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def answers_of(
    prompts: list[str], max_tokens: int, backend: Backend, cache: Cache, on_progress: OnProgress
) -> list[str]:
    """Return the answers to `prompts`, which `cache` keeps as they arrive."""
    out = [""] * len(prompts)
    identity = f"{backend.identity}/{max_tokens}"
    answers = cache.answered(identity, prompts, lambda new: backend.generate(new, max_tokens))
    for done, (number, text) in enumerate(answers, 1):
        out[number] = text
        on_progress(done, len(prompts))
    return out
