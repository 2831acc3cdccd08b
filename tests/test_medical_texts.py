"""Our own short medical texts and near misses: their plan, and that no test text is fitted on."""

import json
from collections import Counter
from pathlib import Path

import pytest

from mmedc.filters import open_filters
from mmedc.fit.labelled import read_labelled

FOLDER = Path(__file__).parents[1] / "benchmarks/medical_texts"
FILES = sorted(FOLDER.glob("*.jsonl"))
KEYS = {"text", "lang", "label", "topic", "register", "split", "source", "licence"}
REGISTERS = {"textbook", "leaflet", "consultation", "news", "abstract", "guideline", "web", "book", "law"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_follows_the_plan(file: Path) -> None:
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert all(row.keys() == KEYS and row["lang"] == file.stem for row in rows)
    labels = Counter(row["label"] for row in rows)
    assert labels.keys() == {"medical", "general"} and min(labels.values()) >= 40
    least = 85 if file.stem in ("zh", "ja", "ko") else 150
    assert all(least <= len(row["text"]) <= 800 and row["text"] == row["text"].strip() for row in rows)
    assert len({row["text"][:40] for row in rows}) == len(rows)
    assert {row["register"] for row in rows} <= REGISTERS
    for label in labels:
        tested = [row["split"] == "test" for row in rows if row["label"] == label]
        assert tested == [number % 3 == 2 for number in range(len(tested))]


def test_every_file_is_of_a_language_that_ships() -> None:
    assert {file.stem for file in FILES} <= set(open_filters().languages())


def test_test_texts_are_left_out_of_fitting() -> None:
    rows = [json.loads(line) for file in FILES for line in file.read_text(encoding="utf-8").splitlines()]
    table = read_labelled([str(FOLDER / "*.jsonl")])
    assert table["text"].to_pylist() == [row["text"] for row in rows if row["split"] == "fit"]
    assert set(table["origin"].to_pylist()) == {"mmedc-own"}
