"""What a model is asked, and which continuations are compared."""

import functools
import random
from dataclasses import dataclass, replace
from itertools import combinations

from mmedc import prompts
from mmedc.bench.config import Bench
from mmedc.filters import QuestionWords, open_filters
from mmedc.questions import Item


@dataclass(frozen=True)
class Asked:
    """An item as it is asked: perhaps with its options in another order."""

    item: Item
    order: tuple[str, ...]
    """Which of the item's letters stands at each place."""

    @property
    def shown(self) -> Item:
        """The item that the model sees."""
        letters = list(self.item.options)
        options = {letter: self.item.options[was] for letter, was in zip(letters, self.order, strict=True)}
        return replace(self.item, options=options, gold=tuple(letters[self.order.index(was)] for was in self.item.gold))

    def meant(self, letters: tuple[str, ...]) -> tuple[str, ...]:
        """Return the item's own letters for those that the model saw."""
        places = list(self.item.options)
        return tuple(sorted(self.order[places.index(letter)] for letter in letters))


def asked(items: list[Item], how: Bench) -> list[Asked]:
    """Return each item as it is, then `how.permute` times the items with options in orders drawn by seed and id."""
    out = [Asked(item, tuple(item.options)) for item in items]
    for time in range(how.permute):
        for item in items:
            order = list(item.options)
            random.Random(f"{how.seed}/{time}/{item.id}").shuffle(order)
            out.append(Asked(item, tuple(order)))
    return out


def question_of(item: Item, how: Bench) -> str:
    """Return what is asked about an item. In `short`, options are listed unless their texts are scored."""
    if how.prompt != "short":
        question = f"{item.context}\n{item.question}" if item.context else item.question
        return prompts.prompt_of(question, item.options, item.lang, how.reasoned, how.prompt)
    lines = [item.context] if item.context else []
    words = _words(item.lang)
    lines.append(f"{words.question}: {item.question}")
    if how.protocol != "options":
        lines += [f"{letter}. {text}" for letter, text in item.options.items()]
    lines.append(f"{words.answer}:")
    return "\n".join(lines)


@functools.cache
def _words(lang: str) -> QuestionWords:
    return open_filters().facts(lang).questions


def delimiter(how: Bench) -> str:
    """Return what stands between a question and its answer."""
    return " " if how.prompt == "short" else ""


def answer_of(letters: tuple[str, ...], item: Item, how: Bench) -> str:
    """Return the answer that says `letters`."""
    if how.prompt != "short":
        return prompts.answer_of(letters, item.rationale if how.reasoned else None)
    return item.options[letters[0]] if how.protocol == "options" else ",".join(letters)


def choices_of(item: Item, how: Bench) -> list[tuple[tuple[str, ...], str]]:
    """Return the answers that are compared, as (letters, answer).

    Where several letters may be right (`Item.multiple`), every set of letters is compared: 31 for five options
    (FrenchMedMCQA). Texts of options are compared one by one: an item of several right answers can't be won.
    """
    most = len(item.options) if item.multiple and how.protocol == "letters" else 1
    sets = [one for size in range(1, most + 1) for one in combinations(item.options, size)]
    return [(one, answer_of(one, item, how)) for one in sets]


def prompt_of(item: Item, how: Bench, examples: list[Item] | None = None) -> str:
    """Return the prompt for an item, after solved `examples`."""
    solved = [question_of(one, how) + delimiter(how) + answer_of(one.gold, one, how) for one in examples or []]
    return "\n\n".join([*solved, question_of(item, how)])
