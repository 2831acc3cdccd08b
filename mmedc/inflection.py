"""The other forms of a term, by the rules of its language: plurals, cases, articles, particles.

A form on a line of a lexicon that ends with `~` is inflected by `inflection` of `language.yaml`. A rule is the ending
of a word, as a regular expression, and what stands in its place in each other form. The rules are tried in their order,
and the first that fits a word is used. They may make forms that nobody writes, which cost only a little memory.
"""

import re
from collections.abc import Iterator
from functools import cached_property
from itertools import chain, product
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from mmedc.settings import Part

MARK = "~"
"""Stands behind a form that is to be inflected."""
MOST = 60
"""The largest number of forms that are made of one."""

_Template = tuple[str | int, ...]
"""What stands in the place of an ending: text, and the numbers of groups of the ending."""


def _template(text: str) -> _Template:
    parts = re.split(r"\\(\d)", text)
    return tuple(int(part) if at % 2 else part for at, part in enumerate(parts) if part or not at)


def _filled(template: _Template, found: re.Match[str]) -> str:
    """Return a template with the groups of an ending; `Match.expand` would parse it anew for every word."""
    if len(template) == 1:
        return str(template[0])
    return "".join([found[part] or "" if isinstance(part, int) else part for part in template])


def _expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as problem:
        raise ValueError(f"{text}: not a regular expression ({problem})") from None
    return text


class Inflection(Part):
    """`inflection` of `language.yaml`: how the words of a term change."""

    words: Literal["last", "all"] = "all"
    """Which words of a phrase change: all, or the last, of those before `until`."""
    until: Annotated[str, AfterValidator(_expression)] = ""
    """Words, such as "of", before which the part of a phrase that changes ends; a regular expression."""
    attributes: Annotated[str, AfterValidator(_expression)] = ""
    """What words before the noun look like: then the first other word is the noun, and what follows it is fixed."""
    agree: bool = False
    """Whether the words of a phrase change together: each has its first other form, or each its second, and so on."""
    endings: dict[Annotated[str, AfterValidator(_expression)], str] = Field(default_factory=dict)
    """The ending of a word → what stands in its place in the other forms, separated by spaces.

    `-` stands for nothing, `/` separates variants of one form, and \\1 is what a group of the ending matched.
    """
    before: tuple[str, ...] = ()
    """What may be written before a phrase as a part of its first word, such as an Arabic preposition."""
    article: str = ""
    """An article that is written as a part of the word, on every word of a phrase that changes, or on none."""
    spellings: dict[str, str] = Field(default_factory=dict)
    """Letters that many writers replace: what is written → what they write."""

    @model_validator(mode="after")
    def _has_groups(self) -> "Inflection":
        for (
            ending,
            slots,
        ) in zip(self.endings, (slots for _, slots in self._rules), strict=True):
            groups = re.compile(ending).groups
            for part in chain.from_iterable(chain.from_iterable(slots)):
                if isinstance(part, int) and part > groups:
                    raise ValueError(
                        f"{ending}: \\{part} stands for group {part}, but there are {groups} in the ending"
                    )
        return self

    @cached_property
    def _until(self) -> re.Pattern[str]:
        return re.compile(self.until)

    @cached_property
    def _attribute(self) -> re.Pattern[str]:
        return re.compile(self.attributes)

    @cached_property
    def _rules(self) -> list[tuple[re.Pattern[str], list[list[_Template]]]]:
        return [
            (
                re.compile(f"(?:{ending})$"),
                [[_template("" if one == "-" else one) for one in slot.split("/")] for slot in made.split()],
            )
            for ending, made in self.endings.items()
        ]

    def forms_of(self, form: str) -> list[str]:
        """Return the form and its other forms, each once, the given one first."""
        words = form.split(" ")
        changing = self._changing(words)
        slots = [self._slots(word) if at in changing else [] for at, word in enumerate(words)]
        made = [form, *(" ".join(parts) for parts in self._combined(words, slots))]
        made += [self._with_article(one, changing) for one in made] if self.article else []
        made = list(dict.fromkeys(made))
        made += [prefix + one for one in made for prefix in self.before]
        for letter, other in self.spellings.items():
            made += [one.replace(letter, other) for one in made if letter in one]
        return list(dict.fromkeys(one for one in made if one))[:MOST]

    def _changing(self, words: list[str]) -> range:
        """Return which words of a phrase change."""
        end = next((at for at, word in enumerate(words) if at and self._until.fullmatch(word)), len(words))
        if self.attributes:
            end = next((at + 1 for at, word in enumerate(words[:end]) if not self._attribute.search(word)), end)
        return range(end - 1 if self.words == "last" else 0, end)

    def _slots(self, word: str) -> list[list[str]]:
        """Return the other forms of a word, in the order of its rule, each with its variants."""
        for ending, slots in self._rules:
            if found := ending.search(word):
                stem = word[: found.start()]
                return [[stem + _filled(one, found) for one in slot] for slot in slots]
        return []

    def _combined(self, words: list[str], slots: list[list[list[str]]]) -> Iterator[tuple[str, ...]]:
        """Yield the words of the other forms of a phrase."""
        if not self.agree:
            yield from product(*([word, *chain(*own)] for word, own in zip(words, slots, strict=True)))
            return
        for at in range(min((len(own) for own in slots if own), default=0)):
            yield from product(*(own[at] if own else [word] for word, own in zip(words, slots, strict=True)))

    def _with_article(self, form: str, changing: range) -> str:
        """Return a form with the article on the words that change, unless a later word has it already."""
        words = form.split(" ")
        if any(word.startswith(self.article) for word in words[1:]):
            return form
        return " ".join(self.article + word if at in changing else word for at, word in enumerate(words))
