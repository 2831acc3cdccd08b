"""Answers in words: what is chosen is read, what is not said is not guessed."""

import json
from pathlib import Path

import pytest

from mmedc.bench.parsing import parse

FOUND = json.loads((Path(__file__).parent / "answers.json").read_text(encoding="utf-8"))
CASES = [(name, *case) for name, cases in FOUND["answers"].items() for case in cases]


def test_the_cases_are_many_and_varied() -> None:
    assert len(CASES) == len({(name, text) for name, text, _ in CASES}) >= 300
    assert {FOUND["sets"][name]["lang"] for name, *_ in CASES} == {"en", "zh", "ja", "fr", "ru", "es"}
    assert sum(expected == "-" for *_, expected in CASES) >= 90  # what says no choice


@pytest.mark.parametrize(("name", "text", "expected"), CASES)
def test_an_answer_is_read_as_a_person_would(name: str, text: str, expected: str) -> None:
    one = FOUND["sets"][name]
    found = parse(text, one["options"], one["multiple"])
    assert found == (None if expected == "-" else tuple(expected.split(",")))
