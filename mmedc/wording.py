"""What is wrong with a value of a settings file, in plain English: the words for each error of pydantic.

A message reads `FILE:LINE: "KEY": expected WHAT; found VALUE`. `EXPECTED` is the only table of the words.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmedc.yamlfile import nearest

LONGEST = 60
"""Characters of a value that a message shows."""

Context = Mapping[str, Any]


def _number(number: Any) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"


def _several(count: int) -> str:
    return f"{count} value{'s' * (count != 1)}"


def _characters(count: int) -> str:
    return f"{count} character{'s' * (count != 1)}"


def _choices(context: Context) -> list[str]:
    return re.findall(r"'([^']*)'", str(context.get("expected", "")))


_MAPPING = "a mapping of keys to values, such as `key: value`"
_LIST = "a list, such as [a, b]"
_TEXT = "text"
_SWITCH = "true or false"
_WHOLE = "a whole number"
_NUMBER = "a number"

EXPECTED: dict[str, Callable[[Context], str]] = {
    "model_type": lambda _: _MAPPING,
    "model_attributes_type": lambda _: _MAPPING,
    "dict_type": lambda _: _MAPPING,
    "mapping_type": lambda _: _MAPPING,
    "list_type": lambda _: _LIST,
    "tuple_type": lambda _: _LIST,
    "set_type": lambda _: _LIST,
    "frozen_set_type": lambda _: _LIST,
    "iterable_type": lambda _: _LIST,
    "string_type": lambda _: _TEXT,
    "string_unicode": lambda _: _TEXT,
    "bool_type": lambda _: _SWITCH,
    "bool_parsing": lambda _: _SWITCH,
    "int_type": lambda _: _WHOLE,
    "int_parsing": lambda _: _WHOLE,
    "int_parsing_size": lambda _: f"{_WHOLE} of fewer digits",
    "int_from_float": lambda _: _WHOLE,
    "float_type": lambda _: _NUMBER,
    "float_parsing": lambda _: _NUMBER,
    "finite_number": lambda _: "a finite number",
    "greater_than": lambda context: f"a number greater than {_number(context['gt'])}",
    "greater_than_equal": lambda context: f"a number that is {_number(context['ge'])} or more",
    "less_than": lambda context: f"a number less than {_number(context['lt'])}",
    "less_than_equal": lambda context: f"a number that is {_number(context['le'])} or less",
    "multiple_of": lambda context: f"a multiple of {_number(context['multiple_of'])}",
    "too_short": lambda context: f"at least {_several(context['min_length'])}",
    "too_long": lambda context: f"at most {_several(context['max_length'])}",
    "string_too_short": lambda context: f"text of at least {_characters(context['min_length'])}",
    "string_too_long": lambda context: f"text of at most {_characters(context['max_length'])}",
    "literal_error": lambda context: _one_of(_choices(context)),
    "enum": lambda context: _one_of(_choices(context)),
    "none_required": lambda _: "no value",
}
"""The type of an error of pydantic → what was expected, from the context of the error."""


def _one_of(choices: Sequence[str]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}" if len(choices) > 1 else "".join(choices)


def sentence(problems: Sequence[Any]) -> str:
    """Return what is wrong with one value, from what pydantic found: a problem for each type that it may have.

    A sentence of a validator of our own is used as it is.
    """
    first = problems[0]
    if first["type"] in ("value_error", "assertion_error"):
        text = re.sub(r"^(Value error|Assertion failed), ", "", first["msg"])
        value = first["input"]
        plain = isinstance(value, str | int | float) or text.startswith("expected a ")
        said, hint, near = text.partition("; did you mean ")
        return f"{said}; found {found(value)}{hint}{near}" if plain else text
    words = [EXPECTED[one["type"]](one.get("ctx", {})) for one in problems if one["type"] in EXPECTED]
    expected = " or ".join(dict.fromkeys(words)) or "a value of another kind"
    return f"expected {expected}; found {found(first['input'])}{_advice(first)}"


def _advice(problem: Any) -> str:
    """Return how to mend a value where that is clear: the nearest choice, or quotes around a number that is text."""
    value = problem["input"]
    if problem["type"] == "literal_error" and isinstance(value, str):
        close = nearest(value, _choices(problem["ctx"]))
        return close if "did you mean" in close else ""
    if problem["type"] == "string_type" and isinstance(value, bool | int | float):
        return "; put it in quotes to make it text"
    return ""


def found(value: Any) -> str:
    """Return a value as a message shows it, in the words of YAML."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"}"'
    if isinstance(value, Mapping):
        keys = ", ".join(map(str, value))
        return f"a mapping with the keys {keys[:LONGEST]}" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return f"a list of {_several(len(value))}" if value else "an empty list"
    return str(value)
