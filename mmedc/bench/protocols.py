"""What a model is asked, and which continuations are compared."""

import functools
import random
from dataclasses import dataclass, replace
from itertools import combinations

from mmedc import prompts
from mmedc.bench.config import Bench
from mmedc.filters import QuestionWords, open_filters
from mmedc.questions import Item

END = "\n"
"""Ends a set of letters that is compared with others: "A" begins "A,B", so without an end no larger set is likelier."""


@dataclass(frozen=True)
class Asked:
    """An item as it is asked, possibly with its options in another order."""

    item: Item
    order: tuple[str, ...]
    """The item's own letter of the option at each place."""

    @property
    def shown(self) -> Item:
        """The item as the model sees it."""
        letters = list(self.item.options)
        options = {letter: self.item.options[own] for letter, own in zip(letters, self.order, strict=True)}
        gold = tuple(sorted(letters[self.order.index(own)] for own in self.item.gold))
        return replace(self.item, options=options, gold=gold)

    def meant(self, letters: tuple[str, ...]) -> tuple[str, ...]:
        """Return the item's own letters for letters that the model saw."""
        places = list(self.item.options)
        return tuple(sorted(self.order[places.index(letter)] for letter in letters))


def asked(items: list[Item], settings: Bench) -> list[Asked]:
    """Return each item as it is, then `settings.permute` times all items with options in drawn orders."""
    out = [Asked(item, tuple(item.options)) for item in items]
    for time in range(settings.permute):
        for item in items:
            order = list(item.options)
            random.Random(f"{settings.seed}/{time}/{item.id}").shuffle(order)
            out.append(Asked(item, tuple(order)))
    return out


def question_of(item: Item, settings: Bench) -> str:
    """Return the question that a model is asked. The prompt `short` lists options unless their texts are scored."""
    if settings.prompt != "short":
        question = f"{item.context}\n{item.question}" if item.context else item.question
        return prompts.prompt_of(question, item.options, item.lang, settings.reasoned, settings.prompt)
    lines = [item.context] if item.context else []
    words = _words(item.lang)
    lines.append(f"{words.question}: {item.question}")
    if settings.protocol != "options":
        lines += [f"{letter}. {text}" for letter, text in item.options.items()]
    lines.append(f"{words.answer}:")
    return "\n".join(lines)


@functools.cache
def _words(lang: str) -> QuestionWords:
    return open_filters().facts(lang).questions


def delimiter(settings: Bench) -> str:
    """Return what separates a question and its answer."""
    return " " if settings.prompt == "short" else ""


def answer_of(letters: tuple[str, ...], item: Item, settings: Bench) -> str:
    """Return the answer that chooses `letters`."""
    if settings.prompt != "short":
        return prompts.answer_of(letters, item.rationale if settings.reasoned else None)
    return item.options[letters[0]] if settings.protocol == "options" else ",".join(letters)


def choices_of(item: Item, settings: Bench) -> list[tuple[tuple[str, ...], str]]:
    """Return the answers that are compared, as (letters, answer).

    Where several letters may be right (`Item.multiple`), all sets of letters are compared: 31 for five options
    (FrenchMedMCQA). Each ends with its line, so that a set which begins another competes with it; the paper's prompt
    states an end itself. The texts of options are compared one by one, so that an item with several right answers
    cannot be answered rightly. Options with the same text are one choice, which stands for the right one among them.
    """
    if settings.protocol == "options":
        by_text: dict[str, str] = {}
        for letter, text in item.options.items():
            if text not in by_text or letter in item.gold:
                by_text[text] = letter
        return [((letter,), answer_of((letter,), item, settings)) for letter in by_text.values()]
    most = len(item.options) if item.multiple and settings.protocol == "letters" else 1
    sets = [letters for size in range(1, most + 1) for letters in combinations(item.options, size)]
    end = END if ended(item, settings) else ""
    return [(letters, answer_of(letters, item, settings) + end) for letters in sets]


def ended(item: Item, settings: Bench) -> bool:
    """Return whether the answers that are compared end with their line: sets of letters after the prompt `short`."""
    return item.multiple and settings.protocol == "letters" and settings.prompt == "short"


def prompt_of(item: Item, settings: Bench, examples: list[Item] | None = None) -> str:
    """Return the prompt for an item, after solved `examples`."""
    solved = [
        question_of(example, settings) + delimiter(settings) + answer_of(example.gold, example, settings)
        for example in examples or []
    ]
    return "\n\n".join([*solved, question_of(item, settings)])
