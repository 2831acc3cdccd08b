"""Answers in words: what is chosen is read, what is not said is not guessed."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


OPTIONS = {"A": "Insulin", "B": "Aspirin", "C": "Heparin", "D": "Warfarin", "E": "Metformin"}
FONTS = [
    "{}", "({})", "{{{}}}", r"\text{{{}}}", r"\textbf{{{}}}", r"\mathrm{{{}}}", r"\rm {}", r"{{\bf {}}}", r"\ {}\,",
    r"\left({}\right)", r"\displaystyle {}", "{}.", " {} ",
]  # fmt: skip
SENTENCES = [
    "{}", "${}$", r"\[{}\]", "Final Answer: The final answer is ${}$. I hope this is right.", "Thus we take {} here.",
    "Réponse finale : la réponse est {}, car elle agit.", "La respuesta final es {}.", "Окончательный ответ: {}.",
    "最终答案是 {}。", "最終解答は {} です。", "<answer>{}</answer>", "So **{}**",
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from("ABCDE"), st.lists(st.sampled_from(FONTS), max_size=3), st.sampled_from(SENTENCES), st.booleans()
)
def test_a_box_is_read_in_any_font_and_sentence(letter: str, fonts: list[str], sentence: str, written: bool) -> None:
    boxed = f"{letter}: {OPTIONS[letter]}" if written else letter
    for font in fonts:
        boxed = font.format(boxed)
    assert parse(sentence.format(rf"\boxed{{{boxed}}}"), OPTIONS) == (letter,)


@pytest.mark.parametrize("joined", ["or", ", or", "ou", "или", "或", "$ or $", " または "])
def test_two_boxes_with_or_between_them_choose_nothing(joined: str) -> None:
    text = rf"\boxed{{B}} {joined} \boxed{{C}}"
    assert parse(text, OPTIONS) is None and parse(text, OPTIONS, multiple=True) is None
    assert parse(r"First \boxed{B}. Or rather, \boxed{C}", OPTIONS) == ("C",)
    assert parse(r"\boxed{B} and \boxed{C}", OPTIONS, multiple=True) == ("B", "C")


@settings(max_examples=400, deadline=None)
@given(st.text(r"ABE \boxed{}()text.:,rmfinalanswer是答案ответ\n$*_<>", max_size=80), st.booleans())
def test_any_text_gives_letters_of_the_options_or_nothing(text: str, multiple: bool) -> None:
    found = parse(text, OPTIONS, multiple)
    assert found is None or (found and set(found) <= set(OPTIONS) and list(found) == sorted(set(found)))
