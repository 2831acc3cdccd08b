"""Questions: one reader for scoring, fine-tuning and decontamination; what contradicts itself is no item."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mmedc.bench.formats import convert
from mmedc.bench.items import read_items
from mmedc.errors import RecipeError
from mmedc.inputs import list_inputs
from mmedc.questions import NotAnItem, answer_of, item_of, option_texts, options_of, read_questions, read_rows

ROW = {"question": "What treats type 1 diabetes?", "options": {"A": "Insulin", "B": "Aspirin"}, "answer_idx": "A"}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def readers(path: Path) -> list[list[str]]:
    """What the four readers of questions make of a file: the texts of their options, or their prompts."""
    from mmedc.train.config import Examples
    from mmedc.train.examples import read_examples

    (source,) = list_inputs(str(path), (".jsonl",))
    return [
        [" / ".join(item.options.values()) for item in read_items((str(path),))],
        [" / ".join(item.options.values()) for item in convert("mmedbench", [str(path)]).items],
        [" / ".join(question.options) for question in read_questions(source)],
        [
            example.prompt.partition("###Options: ")[2].partition("\n")[0].strip()
            for example in read_examples(Examples(path=str(path), rationale="without"))
        ],
    ]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
@pytest.mark.parametrize("begin", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_every_reader_takes_the_same_lines(pack: Any, begin: bytes, end: bytes, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the extra mmedc[train] is not installed")
    rows = [ROW, ROW | {"question": "Which\u2028one\u0085now?"}]
    lines = [json.dumps(row, ensure_ascii=False).encode() for row in rows]
    path = tmp_path / "English.jsonl"
    path.write_bytes(pack(begin + end.join(lines)))
    items, converted, questions, examples = readers(path)
    assert items == converted == questions == ["Insulin / Aspirin"] * 2
    assert examples == ["A. Insulin B. Aspirin"] * 2


BLANKS = st.text(" \t\u00a0\u3000\u200b\ufeff\n", max_size=3)


@given(BLANKS, BLANKS, BLANKS)
def test_blanks_around_options_and_letters_are_gone(before: str, after: str, around: str) -> None:
    given_options = {f"{around}a{around}": f"{before}Insulin{after}", "B": f"{after}Two words{before}"}
    assert options_of(given_options) == {"A": "Insulin", "B": "Two words"}
    assert options_of([f"{before}Insulin", "Aspirin"]) == {"A": "Insulin", "B": "Aspirin"}
    row = {"question": f"{before}Which?{after}", "options": given_options, "answer": f"{around}a{around}"}
    item = item_of(row, "French.jsonl", 1)
    assert (item.gold, item.lang) == (("A",), "fr")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"answer_idx": "A", "answer": "Aspirin"}, "name different options"),
        ({"answer_idx": "A", "answer": "B"}, "name different options"),
        ({"answer_idx": "A", "answer": " aspirin. "}, "name different options"),
        ({"answer_idx": ["A"], "answer": ["B"]}, "name different options"),
        ({"answer_idx": "A,B", "answer": "A"}, "name different options"),
        ({"answer_idx": "C"}, "not among the options"),
        ({"answer_idx": ""}, "no answer"),
        ({"answer_idx": 0}, "not a letter"),
        ({"options": {"A": "Insulin", "B": " "}, "answer_idx": "A"}, "fewer than two options"),
        ({"options": ["Insulin", None], "answer_idx": "A"}, "an option without text"),
        ({"options": {"A": "Insulin", "a": "Aspirin"}, "answer_idx": "A"}, "a letter that stands for two options"),
        ({"question": " ", "answer_idx": "A"}, "no question"),
    ],
)
def test_what_contradicts_itself_is_no_item(row: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = write(tmp_path / "English.jsonl", ROW | row)
    with pytest.raises(RecipeError, match=rf"English\.jsonl:1: .*{said}"):
        read_items((str(path),))
    found = convert("mmedbench", [str(path)])
    assert not found.items and [said in reason for reason in found.rejects] == [True]
    pytest.importorskip("torch", reason="the extra mmedc[train] is not installed")
    from mmedc.train.config import Examples
    from mmedc.train.examples import read_examples

    with pytest.raises(RecipeError, match=rf"English\.jsonl:1: .*{said}"):
        read_examples(Examples(path=str(path)))


@pytest.mark.parametrize(
    ("options", "row", "letters"),
    [
        ({"A": "Insulin", "B": "Aspirin"}, {"answer_idx": "B", "answer": "Aspirin"}, ("B",)),
        ({"A": "Insulin", "B": "Aspirin"}, {"answer_idx": "B", "answer": "aspirin."}, ("B",)),
        ({"A": "Insulin", "B": "Aspirin"}, {"answer_idx": "B", "answer": "b"}, ("B",)),
        ({"A": "Insulin", "B": "Aspirin"}, {"answer_idx": "B", "answer": None}, ("B",)),
        ({"A": "B", "B": "A", "C": "AB"}, {"answer_idx": "A", "answer": "B"}, ("A",)),  # blood groups
        ({"A": "B", "B": "A", "C": "AB"}, {"answer_idx": "B", "answer": "B"}, ("B",)),
        ({"A": "x", "B": "y", "C": "z"}, {"answer_idx": "C, A", "answer": "x"}, ("A", "C")),
        ({"A": "x", "B": "y"}, {"answer_idx": "A", "answer": "in other words, x"}, ("A",)),
        ({"A": "x", "B": "x"}, {"answer_idx": "B", "answer": "x"}, ("B",)),
    ],
)
def test_keys_that_agree_are_read(options: dict[str, str], row: dict[str, Any], letters: tuple[str, ...]) -> None:
    assert answer_of(row, options) == letters


@pytest.mark.parametrize("name", ["medqa-usmle", "mmedbench"])
def test_options_with_the_same_text_are_counted(name: str, tmp_path: Path) -> None:
    same = {"A": "Mean - Mode", "B": "Mode", "C": "Mean  -  Mode ", "D": "SD"}
    path = write(tmp_path / "English.jsonl", ROW, ROW | {"options": same, "answer_idx": "C"})
    found = convert(name, [str(path)])
    assert len(found.items) == 1
    assert found.rejects == {"two options with the same text": (1, "English.jsonl#2")}
    # In mmedc's own lines somebody has put the question there, and only the texts cannot be told apart.
    assert [item.gold for item in read_items((str(path),))] == [("A",), ("C",)]


def test_options_of_every_shape_are_found() -> None:
    texts = ("Insulin", "Aspirin")
    lettered = {"A": "Insulin ", "B": "Aspirin"}
    for row in (
        {"options": lettered},
        {"choices": list(texts)},
        {"options": json.dumps(lettered)},
        {"options": [{"key": "A", "value": "Insulin"}, {"key": "B", "value": "Aspirin"}]},
        {"choices": {"text": list(texts), "label": ["A", "B"]}},
        lettered,
        {"opa": "Insulin", "opb": "Aspirin", "opc": None},
        {"option_a": "Insulin", "option_b": "Aspirin"},
    ):
        assert option_texts({"question": "?", **row}) == texts
    assert option_texts({"question": "?", "options": "none"}) == ()
    with pytest.raises(NotAnItem):
        options_of({"A": "x", "a": "y"})


def test_rows_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"exams": 1}, indent=2).encode())
    (tmp_path / "b.json").write_text("[{}, {}]")
    (tmp_path / "c.json.gz").write_bytes(gzip.compress(b'{"n": 1}\r\n{"n": 2}'))
    (tmp_path / "d.csv").write_bytes('\ufeffone,"two\nlines"\r\n'.encode())
    found = list_inputs(str(tmp_path), (".json", ".gz", ".csv"))
    files = {file.name: [row for _, row in read_rows(file)] for file in found}
    assert files == {
        "a.json": [{"exams": 1}],
        "b.json": [{}, {}],
        "c.json.gz": [{"n": 1}, {"n": 2}],
        "d.csv": [{"cells": ["one", "two\nlines"]}],
    }
    (tmp_path / "e.jsonl").write_text('{"n": 1}\nnull\n')
    (file,) = list_inputs(str(tmp_path / "e.jsonl"), ())
    with pytest.raises(RecipeError, match=r"e\.jsonl:2: not a row \(None\); expected a JSON object"):
        list(read_rows(file))
