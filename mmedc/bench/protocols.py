"""What a model is asked, and which continuations are compared."""

from itertools import combinations
from typing import Literal

from mmedc.bench.items import Item

Protocol = Literal["letters", "options"]
QUESTION = {"en": "Question", "zh": "问题", "ja": "問題", "fr": "Question", "ru": "Вопрос", "es": "Pregunta"}
ANSWER = {"en": "Answer", "zh": "答案", "ja": "答え", "fr": "Réponse", "ru": "Ответ", "es": "Respuesta"}


def prompt_of(item: Item, protocol: Protocol) -> str:
    """Return the prompt: passage, question, options (not where their texts are scored), and the word for answer."""
    lines = [item.context] if item.context else []
    lines.append(f"{QUESTION.get(item.lang, 'Question')}: {item.question}")
    if protocol == "letters":
        lines += [f"{letter}. {text}" for letter, text in item.options.items()]
    lines.append(f"{ANSWER.get(item.lang, 'Answer')}:")
    return "\n".join(lines)


def choices_of(item: Item, protocol: Protocol) -> list[tuple[tuple[str, ...], str]]:
    """Return the answers that are compared, as (letters, continuation).

    Where several letters may be right (`Item.multiple`), every set of letters is compared: 31 for five options
    (FrenchMedMCQA). Texts of options are compared one by one: an item of several right answers can't be won.
    """
    if protocol == "options":
        return [((letter,), f" {text}") for letter, text in item.options.items()]
    most = len(item.options) if item.multiple else 1
    sets = [one for size in range(1, most + 1) for one in combinations(item.options, size)]
    return [(one, f" {','.join(one)}") for one in sets]


def few_shot(item: Item, examples: list[Item], protocol: Protocol) -> str:
    """Return the prompt of `item` after solved `examples`."""
    solved = []
    for one in examples:
        answer = ",".join(one.gold) if protocol == "letters" else one.options[one.gold[0]]
        solved.append(f"{prompt_of(one, protocol)} {answer}")
    return "\n\n".join([*solved, prompt_of(item, protocol)])
