"""Rationales made and checked, topics, sheets for people, and a judge with its agreement."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import kendalltau
from typer.testing import CliRunner

from mmedc.bench.builder import read_sheet, read_topics, text_of, with_rationales, with_topics, write_sheet
from mmedc.bench.cache import Cache
from mmedc.bench.items import QUESTIONS, Item, read_items, write_items
from mmedc.bench.judge import agreement, rank
from mmedc.bench.packing import Request
from mmedc.bench.statistics import kendall
from mmedc.cli import app
from mmedc.errors import RecipeError
from mmedc.shipped import shipped
from tests.test_served import Stub, stub  # noqa: F401 (a fixture)


@dataclass
class Said:
    """A backend that says what a function says."""

    answer: Any
    identity: str = "said"

    def chat(self, prompt: str) -> str:
        return prompt

    def score(self, requests: list[Request]) -> Iterator[tuple[int, list[float]]]:
        raise NotImplementedError

    def generate(self, prompts: list[str], most: int) -> Iterator[tuple[int, str]]:
        yield from ((number, self.answer(prompt)) for number, prompt in enumerate(prompts))


def item(lang: str = "en", **more: Any) -> Item:
    known = {"id": f"q-{lang}", "question": "Which organ makes insulin?", "options": {"A": "Liver", "B": "Pancreas"}}
    return Item(**{**known, "lang": lang, "gold": ("B",), **more})


GOOD = "Insulin comes from the islets of the pancreas; the liver stores glucose.\n###Answer: OPTION B IS CORRECT."


@pytest.mark.parametrize(
    ("lang", "output", "again", "problem"),
    [
        ("en", GOOD, "B", ""),
        ("en", GOOD, "A", "does not choose"),
        ("en", GOOD.replace("OPTION B", "OPTION A"), "B", "does not end in the right answer"),
        ("en", "Islets.\n###Answer: OPTION B IS CORRECT.", "B", "too short"),
        ("ru", GOOD, "B", "not in the language"),
        (
            "ar",
            "يُفرز الإنسولين من جزر البنكرياس، أما الكبد فيخزّن الغليكوجين.\n###Answer: OPTION B IS CORRECT.",
            "B",
            "",
        ),
        ("ar", GOOD, "B", "not in the language"),
        (
            "zh",
            "胰岛素由胰腺的胰岛β细胞分泌，肝脏只储存糖原，并不分泌胰岛素。\n###Answer: OPTION B IS CORRECT.",
            "B",
            "",
        ),
    ],
)
def test_a_rationale_is_kept_when_it_passes(lang: str, output: str, again: str, problem: str) -> None:
    seen: list[str] = []

    def answer(prompt: str) -> str:
        seen.append(prompt)
        return output if "The right answer is B." in prompt else again

    (found,), wrong = with_rationales([item(lang)], Said(answer), Cache(""))
    assert (problem in wrong.get(found.id, "?")) if problem else not wrong
    assert bool(found.rationale) is not bool(problem) and "###" not in found.rationale
    if len(seen) > 1:  # the second question does not give the answer away
        assert "right answer" not in seen[1] and "IS CORRECT" not in seen[1]
    kept = replace(item(lang), rationale="There already.")
    assert with_rationales([kept], Said(answer), Cache("")) == ([kept], {})


def test_topics_are_those_of_the_list() -> None:
    known = read_topics(shipped("pipelines") / "topics.txt")
    assert len(known) == len(set(known)) == 21
    said = {"one": "Physiology.", "two": "**Cardiology**", "three": "Either Cardiology or Neurology", "four": "None"}
    items = [item(id=name, question=name) for name in said]
    found, without = with_topics(items, known, Said(lambda prompt: said[asked_line(prompt)]), Cache(""))
    assert [one.topic for one in found] == ["Physiology", "Cardiology", "", ""] and without == 2
    others = [item(id="two", question="two", topic="nursery"), item(topic="Physiology")]  # of an exam; of the list
    found, _ = with_topics(others, known, Said(lambda prompt: said[asked_line(prompt)]), Cache(""))
    assert [one.topic for one in found] == ["Cardiology", "Physiology"]
    nested = ["Surgery", "Paediatric surgery"]
    (one,), _ = with_topics(items[:1], nested, Said(lambda prompt: "paediatric surgery"), Cache(""))
    assert one.topic == "Paediatric surgery"


def asked_line(prompt: str) -> str:
    return prompt.rpartition("\nA. Liver")[0].rpartition("\n")[2]


def test_what_people_say_on_a_sheet_is_taken_in(tmp_path: Path) -> None:
    items = [item(id=f"{n}", rationale=f"Because {n}.") for n in range(4)] + [
        item("fr", id="fr", rationale="Parce que.")
    ]
    sheet = tmp_path / "sheet.csv"
    assert write_sheet(items, sheet, 1.0, 0) == 5 and write_sheet(items, tmp_path / "some.csv", 0.1, 0) == 2
    rows = list(csv.DictReader(sheet.open(encoding="utf-8-sig", newline="")))
    said = {"0": "yes", "1": "No", "2": "", "3": "X", "fr": "yes"}
    for row in rows:
        row["passed"] = said[row["id"]]
        row["rationale"] = "Edited." if row["id"] == "3" else row["rationale"]
    with sheet.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    found, count = read_sheet(items, sheet)
    assert count == {"passed": 3, "failed": 1, "open": 1}
    assert [(one.rationale, one.human_checked) for one in found][:4] == [
        ("Because 0.", True), ("", False), ("Because 2.", False), ("Edited.", True),
    ]  # fmt: skip
    with pytest.raises(RecipeError, match="is it the sheet of these items"):
        read_sheet(items[:1], sheet)
    sheet.write_text("id,passed,rationale\n0,perhaps,r\n")
    with pytest.raises(RecipeError, match="expected yes, no or nothing"):
        read_sheet(items, sheet)


def test_a_question_without_words_is_read_as_it_was_written(tmp_path: Path) -> None:
    items = [item(id="0", question="", context="A passage that asks."), item(id="1")]
    write_items(items, tmp_path / "items.jsonl")
    assert read_items((str(tmp_path / "items.jsonl"),)) == items
    (tmp_path / "items.jsonl").write_text('{"question": null, "options": ["x", "y"], "answer": "A"}\n')
    with pytest.raises(RecipeError, match="no question"):
        read_items((str(tmp_path / "items.jsonl"),))


def test_a_judge_ranks_without_knowing_names() -> None:
    items = [item(id=f"{n}") for n in range(6)]
    runs = {name: {one.id: f"{name} says {one.id}" for one in items} for name in ("good", "fair", "poor")}
    del runs["poor"]["5"]
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        if "says 4" in prompt:
            return "I can't rank them."
        best = sorted(("good", "fair", "poor"), key=lambda name: ["good", "fair", "poor"].index(name))
        places = {name: re.search(rf"\[(\d)\] {name} says", prompt) for name in best}
        return " > ".join(found[1] for found in places.values() if found)

    judged = rank(items, runs, Said(answer), Cache(""))
    assert judged.unranked == 1 and set(judged.points) == {"0", "1", "2", "3"}
    assert all(points == {"good": 3.0, "fair": 2.0, "poor": 1.0} for points in judged.points.values())
    firsts = {re.search(r"\[1\] (\w+) says", prompt)[1] for prompt in asked}  # type: ignore[index]
    assert len(firsts) > 1  # the order is drawn
    people = {"0": {"good": 9, "fair": 5, "poor": 1}, "1": {"good": 1, "fair": 5, "poor": 9}, "9": {"good": 1.0}}
    assert agreement(judged.points, people) == (0.0, 2)


def test_kendall_is_scipys() -> None:
    for one, other in (([1, 2, 3, 4], [1, 3, 2, 4]), ([1, 1, 2, 3], [2, 1, 3, 3]), ([3, 2, 1], [1, 2, 3])):
        assert kendall(one, other) == pytest.approx(kendalltau(one, other).statistic)
    assert kendall([1, 1], [1, 2]) == 0.0


def test_the_commands_make_a_benchmark(stub: Stub, tmp_path: Path) -> None:  # noqa: F811
    items = [one for one in read_items((QUESTIONS,)) if one.lang == "en"]
    write_items(items, tmp_path / "items.jsonl")
    gold = {text_of(one): one for one in items}

    def answer(prompt: str) -> str:
        one = next(found for asked, found in gold.items() if asked in prompt)
        letters = ",".join(one.gold)
        if "fields" in prompt:
            return "Physiology"
        if "The right answer is" in prompt:
            said = f"{one.options[one.gold[0]]} is what every textbook of medicine says here."
            return f"{said}\n###Answer: OPTION {letters} IS CORRECT."
        return letters

    stub.answer = answer

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["items", *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    server = ["--model", "m", "--endpoint", stub.url]
    made, filed, sheet = (str(tmp_path / name) for name in ("made.jsonl", "filed.jsonl", "sheet.csv"))
    assert "3 of 3 items have a rationale" in run("rationales", str(tmp_path / "items.jsonl"), "--out", made, *server)
    assert "3 items, 0 without a topic, 21 topics" in run("topics", made, "--out", filed, *server)
    assert "3 rationales" in run("review", filed, "--out", sheet)
    text = Path(sheet).read_text(encoding="utf-8-sig")
    Path(sheet).write_text(text.replace("here.,,", "here.,yes,"), encoding="utf-8")
    assert "3 passed" in run("reviewed", filed, "--sheet", sheet, "--out", str(tmp_path / "done.jsonl"))
    done = read_items((str(tmp_path / "done.jsonl"),))
    assert all(one.human_checked and one.topic == "Physiology" and one.rationale for one in done)
    count = len(stub.asked)
    run("rationales", str(tmp_path / "items.jsonl"), "--out", made, *server)
    assert len(stub.asked) == count  # answers are kept

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        rows = [{"id": one.id, "output": f"###Rationale: {name}\n###Answer: OPTION A IS CORRECT."} for one in items]
        (tmp_path / name / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    stub.answer = lambda prompt: "1 2" if "[1] one" in prompt else "2 1"
    people = tmp_path / "people.csv"
    people.write_text("id,run,points\n" + "".join(f"{one.id},one,2\n{one.id},two,1\n" for one in items))
    said = run(
        "judge", str(tmp_path / "one"), str(tmp_path / "two"), "--items", str(tmp_path / "items.jsonl"),
        "--out", str(tmp_path / "points.csv"), "--people", str(people), *server,
    )  # fmt: skip
    assert "3 items ranked, 0 not" in said and "one: 2.000 points of 2" in said and "tau-b with people: 1.000" in said
