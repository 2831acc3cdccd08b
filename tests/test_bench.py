"""Scoring: continuations as the plain computation has them, sets of letters, intervals and tests."""

import importlib.util
import itertools
import json
import math
import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, permutation_test

pytest.importorskip("torch", reason="the extra mmedc[train] is not installed")

import torch

from mmedc.bench import local, scoring
from mmedc.bench.config import Bench, read_bench
from mmedc.bench.greedy import groups_of, pools
from mmedc.bench.harness import export
from mmedc.bench.items import QUESTIONS, Item, read_items, write_items
from mmedc.bench.local import Local
from mmedc.bench.packing import Request, rows_of
from mmedc.bench.protocols import asked, choices_of, prompt_of
from mmedc.bench.scoring import Scored, compare, comparisons, positions, score, selected, summary, write
from mmedc.bench.statistics import holm, macro_interval, mcnemar, sign_flips, wilson
from mmedc.errors import RecipeError
from mmedc.tokenizer import continuation_of
from tests.tinymodel import make

GENERATED = {"protocol": "generate", "max_tokens": 6}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("model"))


def how(**settings: object) -> Bench:
    return Bench.model_validate({"model": "x", "items": [QUESTIONS], **settings})


def plain(scorer: Local, prompt: str, continuation: str) -> float:
    """The log-likelihood of one continuation, by itself."""
    whole = scorer.encode(prompt + continuation)[-(scorer.context + 1) :]
    count = min(len(scorer.encode(prompt + continuation)) - len(scorer.encode(prompt)), len(whole) - 1)
    with torch.no_grad():
        logs = torch.log_softmax(scorer.model(torch.tensor([whole[:-1]])).logits[0].float(), -1)
    return sum(float(logs[at - 1, whole[at]]) for at in range(len(whole) - count, len(whole)))


def test_a_tokenizer_of_another_model_is_told(tmp_path: Path) -> None:
    scorer = Local(str(make(tmp_path, vocabulary=1_000)), device="cpu")
    with pytest.raises(RecipeError, match="but the model has 512 embeddings; they are not of one checkpoint"):
        for item in read_items((QUESTIONS,)):
            scorer.encode(item.question)


@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize("protocol", ["letters", "options"])
@pytest.mark.parametrize("batch_tokens", [1, 300, 100_000])
def test_likelihoods_are_those_of_the_plain_computation(
    model: Path, protocol: str, batch_tokens: int, shots: int
) -> None:
    scorer = Local(str(model), device="cpu", context=120 if not shots else 250, batch_tokens=batch_tokens)
    assert scorer.packs and scorer.own_head
    items, manner = read_items((QUESTIONS,))[::2], how(protocol=protocol)
    solved = {item.lang: [item] * shots for item in read_items((QUESTIONS,))}
    requests = [
        Request(prompt_of(item, manner, solved[item.lang]), tuple(f" {text}" for _, text in choices_of(item, manner)))
        for item in items
    ]
    found = dict(scorer.score(requests))
    scorer.packs = False
    unpacked = dict(scorer.score(requests))
    for number, request in enumerate(requests):
        expected = [plain(scorer, request.prompt, one) for one in request.continuations]
        assert found[number] == pytest.approx(expected, abs=2e-4)
        assert unpacked[number] == pytest.approx(expected, abs=2e-4)


def test_what_continuations_share_is_in_a_row_once() -> None:
    def encode(text: str) -> list[int]:
        return [ord(letter) for letter in text]

    (row,) = rows_of([Request("ask:", ("A", "A,B", "A,C", "B"))], encode, 100, True)
    assert "".join(map(chr, row.tokens)) == "ask:A,"  # last tokens are never inputs
    assert [tokens for *_, tokens in row.wanted] == [tuple(map(ord, one)) for one in ("A", "A,B", "A,C", "B")]
    assert [path for _, _, path, _ in row.wanted] == [[3], [3, 4, 5], [3, 4, 5], [3]] and not row.branches
    (row,) = rows_of([Request("ask:", ("no", "yes"))], encode, 100, True)
    assert row.branches and row.parents == [-1, 0, 1, 2, 3, 3, 5] and row.depths == [0, 1, 2, 3, 4, 4, 5]
    assert row.visible()[5].nonzero()[0].tolist() == [0, 1, 2, 3, 5]  # "y" does not see "n"
    same = [Request("solved solved " + one, (" a", " b")) for one in ("x", "y")]
    assert len(rows_of(same, encode, 100, True)) == 1  # two prompts that begin alike
    assert len(rows_of(same, encode, 100, False)) == 2
    cut = rows_of([Request("0123456789", ("ab", "c"))], encode, 8, True)
    assert "".join(map(chr, cut[0].tokens)).startswith("3456789") or len(cut[0].tokens) > 8


def test_prompt_and_continuation_are_cut_where_the_prompt_ends() -> None:
    def encode(text: str) -> list[int]:
        return [len(word) for word in text.split(" ")]

    assert continuation_of(encode, "one three", " seven") == ([3, 5], [5])
    assert continuation_of(encode, "one three ", "seven") == ([3, 5], [5])  # the space goes to the continuation


def test_sets_of_letters_where_a_benchmark_has_several(tmp_path: Path) -> None:
    lines = [
        {"id": str(n), "lang": "fr", "question": "?", "options": {"A": "x", "B": "y", "C": "z"}, "answer": answer}
        for n, answer in enumerate(["A", "A,C", ["B", "A"]])
    ]
    path = tmp_path / "items.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    items = read_items((str(path),))
    assert [item.gold for item in items] == [("A",), ("A", "C"), ("A", "B")]
    # The one with a single answer is asked like the others: nothing tells.
    assert [len(choices_of(item, how())) for item in items] == [7, 7, 7]
    assert choices_of(items[0], how())[-1] == (("A", "B", "C"), "A,B,C\n")
    texts = [text for _, text in choices_of(items[0], how())]
    assert not any(one != other and other.startswith(one) for one in texts for other in texts)
    path.write_text(json.dumps(lines[0]))
    assert len(choices_of(read_items((str(path),))[0], how())) == 3


class Oracle:
    """A model that continues each prompt with its right answer and the end of the line, letter by letter, or nearly."""

    identity = "oracle"

    def __init__(self, answers: dict[str, str]) -> None:
        self.answers = answers

    def score(self, requests: list[Request]) -> Iterator[tuple[int, list[float]]]:
        """Give each character that the answer has .9, any other .1 / 9, as a chain of conditional probabilities."""
        for number, request in enumerate(requests):
            right = " " + self.answers[request.prompt] + "\n"
            yield number, [self._likelihood(text, right) for text in request.continuations]

    def _likelihood(self, text: str, right: str) -> float:
        same = next((at for at in range(len(text)) if text[at] != right[at : at + 1]), len(text))
        return same * math.log(0.9) + (len(text) - same) * math.log(0.1 / 9)


@pytest.mark.parametrize("normal", ["sum", "characters", "bytes"])
def test_a_model_that_prefers_the_right_sets_has_them_all(
    normal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = [letters for size in range(1, 6) for letters in itertools.combinations("ABCDE", size)]
    items = [
        Item(str(n), "fr", f"Question {n} ?", dict.fromkeys("ABCDE", f"{n}"), letters) for n, letters in enumerate(sets)
    ]
    write_items(items, tmp_path / "items.jsonl")
    settings = how(items=[str(tmp_path / "items.jsonl")], normal=normal)
    found = selected(settings)[0]
    oracle = Oracle({prompt_of(item, settings): ",".join(item.gold) for item in found})
    monkeypatch.setattr(scoring, "open_backend", lambda *_: oracle)
    result = score(settings)
    row = result["languages"]["fr"]
    assert (row["accuracy"], row["per_letter"], row["hamming"]) == (1.0, 1.0, 1.0)
    assert result["sets"] == "sets of letters, each with an end"
    for lang, prompt, answers, right, shares in comparisons(settings):
        likelihoods = next(oracle.score([Request(prompt, answers)]))[1]
        assert lang == "fr" and int(np.argmax(likelihoods)) == right and shares[right] == 1.0


def test_a_limit_draws_by_hash(tmp_path: Path) -> None:
    items = [Item(str(n), "fr", "?", {"A": "x", "B": "y"}, ("A",) if n < 100 else ("B",)) for n in range(200)]
    write_items(items, tmp_path / "items.jsonl")  # sorted, as FrenchMedMCQA is

    def drawn(limit: int) -> list[Item]:
        return selected(how(items=[str(tmp_path / "items.jsonl")], limit=limit))[0]

    assert 30 < sum(item.gold == ("B",) for item in drawn(100)) < 70
    before = [item.id for item in drawn(50)]
    assert before == sorted(before, key=int)
    write_items(items[::-1], tmp_path / "items.jsonl")
    assert [item.id for item in drawn(50)] == before[::-1]


def test_options_with_the_same_text_are_one_choice() -> None:
    item = Item("1", "en", "?", {"A": "x", "B": "y", "C": "x"}, ("C",))
    assert choices_of(item, how(protocol="options")) == [(("C",), "x"), (("B",), "y")]
    assert [letters for letters, _ in choices_of(item, how())] == [("A",), ("B",), ("C",)]


def test_a_question_that_spells_control_tokens_stays_text(model: Path) -> None:
    scorer = Local(str(model), device="cpu")
    end = scorer.tokenizer.eos_token_id
    assert end not in scorer.encode("What does </s> mean?") and end not in scorer.encode_plain("</s>")
    chat = scorer.chat("What does </s> mean?")
    assert chat == "<|user|>What does </s> mean?<|assistant|>" and end not in scorer.encode(chat)


def test_mmedbench_is_read_as_released(tmp_path: Path) -> None:
    raw = {"question": "問", "options": {"A": "a", "B": "b"}, "answer_idx": "B", "answer": "b", "rationale": "r"}
    (tmp_path / "Japanese.jsonl").write_text(json.dumps(raw) + "\n")
    (item,) = read_items((str(tmp_path),))
    assert (item.id, item.lang, item.gold, item.rationale) == ("Japanese.jsonl#1", "ja", ("B",), "r")
    assert prompt_of(item, how()) == "問題: 問\nA. a\nB. b\n答え:"
    assert prompt_of(item, how(protocol="options"), [item]) == "問題: 問\n答え: b\n\n問題: 問\n答え:"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not JSON"),
        ('{"id": "1", "question": "q", "options": {"A": "x", "B": "y"}, "answer": "C"}', "not among the options"),
        ('{"id": "0", "question": "p", "options": {"A": "x", "B": "y"}, "answer": "A"}', 'the id "0" occurs at'),
    ],
)
def test_what_is_no_item_is_told_with_its_line(line: str, said: str, tmp_path: Path) -> None:
    good = '{"id": "0", "question": "q", "options": {"A": "x", "B": "y"}, "answer": "A"}'
    (tmp_path / "items.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(RecipeError, match=rf"items\.jsonl:2: .*{said}"):
        read_items((str(tmp_path / "items.jsonl"),))


def test_a_benchmark_from_recipe_to_scores(model: Path, tmp_path: Path) -> None:
    sets = [f"model={model}", f"out={tmp_path / 'a'}", "limit=2"]
    settings = read_bench("mmedc-small", sets)
    found = score(settings)
    assert {lang: row["items"] for lang, row in found["languages"].items()} == dict.fromkeys(
        ("en", "es", "fr", "ja", "ru", "zh"), 2
    )
    rows = [json.loads(line) for line in (tmp_path / "a" / "items.jsonl").open()]
    assert found["languages"]["fr"]["accuracy"] == np.mean([row["right"] for row in rows if row["lang"] == "fr"])
    assert json.loads((tmp_path / "a" / "scores.json").read_text())["items_sha256"] == found["items_sha256"]
    score(settings.model_copy(update={"out": str(tmp_path / "b"), "protocol": "options", "normal": "bytes"}))
    compared = compare(tmp_path / "b", tmp_path / "a")
    assert set(compared) == set(found["languages"]) and all(0 < one["p"] <= 1 for one in compared.values())
    with pytest.raises(RecipeError, match="name files of solved questions"):
        score(settings.model_copy(update={"shots": 1}))
    with pytest.raises(RecipeError, match=r"holds no config\.json"):
        score(settings.model_copy(update={"model": str(tmp_path)}))
    shot = settings.model_copy(update={"shots": 1, "examples": (QUESTIONS,), "context": 256})
    assert score(shot)["shots"] == 1


def test_right_is_the_exact_set() -> None:
    rows = [
        Scored("1", "fr", ("A", "B"), ("A", "B"), options=5),
        Scored("2", "fr", ("A",), ("A", "B"), options=5),
        Scored("3", "en", ("C",), ("A",)),
    ]
    found = summary(rows)
    assert found["languages"]["fr"]["accuracy"] == 0.5 and found["languages"]["fr"]["hamming"] == 0.75
    assert found["languages"]["fr"]["per_letter"] == 0.9
    assert found["average"]["accuracy"] == 0.25


def test_scorings_are_compared_in_pairs(tmp_path: Path) -> None:
    gold = ("A", "B")
    for name, said in (("a", [("A", "B"), ("A",), ("A", "B", "C")]), ("b", [("C",), ("D",), ("A", "B", "C")])):
        rows = [Scored(str(number), "fr", chosen, gold) for number, chosen in enumerate(said)]
        write(tmp_path / name, [*rows, Scored("3", "en", ("A",), ("A",))], {})
    found = compare(tmp_path / "a", tmp_path / "b")
    # Right and wrong once; of shares two differ, by 1 and 1/2: two of four flips reach their sum. Twice for Holm.
    french = {"difference": 1 / 3, "p": 1.0, "hamming_difference": 0.5, "hamming_p": 1.0}
    assert found["fr"] == pytest.approx(french)
    assert found["en"] == {"difference": 0, "p": 1.0, "hamming_difference": 0, "hamming_p": 1.0}


def test_intervals_and_tests_are_the_textbooks() -> None:
    for right, count in ((0, 10), (7, 10), (199, 199), (640, 1273)):
        expected = binomtest(right, count).proportion_ci(method="wilson")
        assert wilson(right, count) == pytest.approx((expected.low, expected.high), abs=1e-9)
    one, other = [True] * 9 + [False] * 3 + [True] * 20, [False] * 9 + [True] * 3 + [True] * 20
    assert mcnemar(one, other) == pytest.approx(binomtest(3, 12).pvalue)
    assert mcnemar(one, one) == 1.0
    scores = np.random.default_rng(0).choice([0, 0.25, 0.5, 1], (2, 12)) + np.array([[0.2], [0.0]])
    every = [abs(np.dot(signs, scores[0] - scores[1])) for signs in itertools.product((1, -1), repeat=12)]
    assert sign_flips(*scores) == pytest.approx(np.mean(np.array(every) >= every[0] - 1e-9))
    many = np.random.default_rng(1).choice([0, 0.25, 0.5, 1], (2, 200)) + np.array([[0.05], [0.0]])
    drawn = permutation_test(many, lambda a, b, axis: (a - b).mean(axis), permutation_type="samples", rng=2)
    assert sign_flips(*many) == sign_flips(*many) == pytest.approx(drawn.pvalue, abs=0.02)
    assert sign_flips(one, other) == pytest.approx(mcnemar(one, other))  # of scores that are 0 or 1 the same test
    assert sign_flips(one, one) == 1.0
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    groups = {"x": [True] * 60 + [False] * 40, "y": [True] * 10 + [False] * 10}
    low, high = macro_interval(groups)
    spread = math.sqrt(0.24 / 100 + 0.25 / 20) / 2
    assert (low, high) == pytest.approx((0.55 - 1.96 * spread, 0.55 + 1.96 * spread), abs=0.01)


def test_the_shipped_questions_are_sound() -> None:
    items: list[Item] = read_items((QUESTIONS,))
    assert len(items) == 18 and {item.lang for item in items} == {"en", "zh", "ja", "fr", "ru", "es"}
    assert [path.written for path in Bench(model="x", items=QUESTIONS).items] == [QUESTIONS]  # type: ignore


def test_tasks_for_the_harness_say_what_we_ask(tmp_path: Path) -> None:
    from ruamel.yaml import YAML

    items = read_items((QUESTIONS,))
    manner = how(shots=1, examples=[QUESTIONS])
    names = export(items, {item.lang: [item] for item in items}, manner, tmp_path)
    assert names == [f"mmedc_{lang}" for lang in ("en", "es", "fr", "ja", "ru", "zh")]
    task = YAML(typ="safe").load(tmp_path / "mmedc_fr.yaml")
    docs = [json.loads(line) for line in (tmp_path / "mmedc_fr.jsonl").open(encoding="utf-8")]
    french = [item for item in items if item.lang == "fr"]
    for item, doc in zip(french, docs, strict=True):
        assert doc["choices"][doc["gold"]] == ",".join(item.gold) + "\n" and len(doc["choices"]) == 15
        example = json.loads((tmp_path / "mmedc_fr_examples.jsonl").read_text(encoding="utf-8"))
        solved = example["prompt"] + task["target_delimiter"] + example["choices"][example["gold"]]
        # What the harness makes of it is our prompt, to the letter.
        assert f"{solved}{task['fewshot_delimiter']}{doc['prompt']}" == prompt_of(item, manner, french[-1:])
    assert YAML(typ="safe").load(tmp_path / "mmedc.yaml")["task"] == names
    (several,) = [one for one in french if one.id == "toy-fr-1"]
    export([several], {}, how(protocol="options"), tmp_path / "options")
    doc = json.loads((tmp_path / "options" / "mmedc_fr.jsonl").read_text(encoding="utf-8"))
    assert doc["gold"] == -100 and doc["choices"][0] == "Le rein"  # never right, as with us
    export(items, {}, how(protocol="generate", prompt="paper"), tmp_path / "said")
    (doc, *_) = [json.loads(line) for line in (tmp_path / "said" / "mmedc_fr.jsonl").open(encoding="utf-8")]
    process = runpy.run_path(str(tmp_path / "said" / "utils.py"))["process"]
    assert process(doc, ["###Answer: OPTION A,B IS CORRECT."]) == {"exact_set": 1.0, "parsed": 1.0}
    assert process(doc, ["?"]) == {"exact_set": 0.0, "parsed": 0.0}


@pytest.mark.parametrize("settings", [{"protocol": "letters", "shots": 1}, {"protocol": "options"}, GENERATED])
def test_the_harness_chooses_as_we_do(
    model: Path, tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed; it is in mmedc[dev]")
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    examples = [QUESTIONS] if "shots" in settings else []
    manner = how(model=str(model), out=str(tmp_path / "out"), device="cpu", limit=2, examples=examples, **settings)
    score(manner)
    export(*selected(manner), manner, tmp_path / "tasks")
    found = simple_evaluate(
        model="hf",
        model_args=f"pretrained={model},dtype=float32",
        device="cpu",
        batch_size=4,
        tasks=["mmedc"],
        task_manager=TaskManager(include_path=str(tmp_path / "tasks"), include_defaults=False),
        log_samples=True,
    )
    ours = {row["id"]: row for row in map(json.loads, (tmp_path / "out" / "items.jsonl").open(encoding="utf-8"))}
    samples = [sample for samples in found["samples"].values() for sample in samples]
    assert len(samples) == len(ours) == 12
    for sample in samples:
        mine = ours[sample["doc"]["id"]]
        if settings is GENERATED:
            assert mine["output"].strip() == sample["resps"][0][0].strip()
            assert mine["right"] == bool(sample["exact_set"])
        else:
            assert mine["likelihoods"] == pytest.approx([one[0][0] for one in sample["resps"]], abs=1e-3)
            assert mine["right"] == bool(sample["acc"])


def test_options_in_another_order_show_a_bias_of_position(model: Path, tmp_path: Path) -> None:
    items = read_items((QUESTIONS,))
    ask = asked(items, how(permute=2))
    assert len(ask) == 54 and [one.shown for one in ask[:18]] == items
    for one in ask:
        assert one.meant(one.shown.gold) == one.item.gold
        assert {one.shown.options[letter] for letter in one.shown.gold} == {one.item.options[a] for a in one.item.gold}
    assert ask[18:] == asked(items, how(permute=2))[18:] != asked(items, how(permute=2, seed=1))[18:]
    first = [Scored(str(n), "en", one.meant(("A",)), one.item.gold, order=one.order) for n, one in enumerate(ask[18:])]
    found = positions(first)
    assert found["chosen"] == {"A": pytest.approx(1.0)} and sum(found["gold"].values()) == pytest.approx(1.0)
    result = score(how(model=str(model), permute=1, out=str(tmp_path), device="cpu"))
    assert set(result["positions"]) == {"chosen", "gold", "accuracy", "consistent"}
    assert len((tmp_path / "items.jsonl").read_text().splitlines()) == 18


def test_a_run_that_is_stopped_goes_on(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = how(model=str(model), out=str(tmp_path), device="cpu", protocol="options")
    fresh = score(settings.model_copy(update={"out": str(tmp_path / "fresh")}))
    told: list[int] = []

    def stop(done: int, of: int) -> None:
        told.append(done)
        if done > 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(settings, stop)
    kept = (tmp_path / "cache.jsonl").read_bytes()
    (tmp_path / "cache.jsonl").write_bytes(kept + b'{"key": "cut sho')  # as a crash in mid-write leaves it
    asked_again: list[int] = []
    plain = Local.score
    monkeypatch.setattr(Local, "score", lambda self, new: (asked_again.append(len(new)), plain(self, new))[1])
    assert score(settings)["languages"] == fresh["languages"]
    assert asked_again == [18 - len(kept.splitlines())]
    chosen = [
        [json.loads(line)["chosen"] for line in (path / "items.jsonl").open()]
        for path in (tmp_path, tmp_path / "fresh")
    ]
    assert chosen[0] == chosen[1]
    score(settings)
    score(settings.model_copy(update={"normal": "bytes"}))
    assert len(asked_again) == 1  # nothing is asked twice


def test_generated_answers_are_greedy_and_parsed(model: Path, tmp_path: Path) -> None:
    settings = how(model=str(model), protocol="generate", max_tokens=6, out=str(tmp_path), device="cpu", limit=2)
    found = score(settings)
    rows = [json.loads(line) for line in (tmp_path / "items.jsonl").open(encoding="utf-8")]
    assert sum(row["unparsed"] for row in found["languages"].values()) == sum(not row["chosen"] for row in rows)
    scorer = Local(str(model), device="cpu")
    items = {item.id: item for item in read_items((QUESTIONS,))}
    for row in rows[:6]:
        tokens = scorer.encode(prompt_of(items[row["id"]], settings))[-(scorer.context - 6) :]
        said: list[int] = []
        for _ in range(6):  # one by one, by itself
            with torch.no_grad():
                said.append(int(scorer.model(torch.tensor([tokens + said])).logits[0, -1].argmax()))
        said = said[: said.index(0)] if 0 in said else said
        assert row["output"] == scorer.tokenizer.decode(said, skip_special_tokens=True)


def one_by_one(scorer: Local, prompt: str, most: int, ends: set[int]) -> str:
    """The likeliest continuation of a prompt, by itself, without anything kept."""
    tokens = scorer.encode(prompt)[-(scorer.context - most) :]
    said: list[int] = []
    while len(said) < most and not ends & {*said}:
        with torch.no_grad():
            said.append(int(scorer.model(torch.tensor([tokens + said])).logits[0, -1].argmax()))
    return scorer.tokenizer.decode([token for token in said if token not in ends], skip_special_tokens=True)


@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize(("batch_tokens", "room"), [(1, 1), (200, 100_000), (100_000, 1 << 30)])
def test_prompts_that_go_on_together_say_what_each_says_alone(
    model: Path, shots: int, batch_tokens: int, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(local.CACHE_BYTES, "cpu", room)
    scorer = Local(str(model), device="cpu", context=250, batch_tokens=batch_tokens)
    assert scorer.decodes
    items = read_items((QUESTIONS,))
    solved = {item.lang: [item] * shots for item in items}
    prompts = [prompt_of(item, how(protocol="generate"), solved[item.lang]) for item in items]
    prompts += [prompts[0], "B"]
    free = [scorer.tokenizer.encode(one_by_one(scorer, prompt, 12, {0})) for prompt in prompts[:6]]
    ends = {0, *(tokens[2] for tokens in free)}  # so that some end early, and leave
    scorer.model.generation_config.eos_token_id = sorted(ends)
    expected = [one_by_one(scorer, prompt, 12, ends) for prompt in prompts]
    assert len({len(text) for text in expected}) > 3
    found = list(scorer.generate(prompts, 12))
    assert sorted(number for number, _ in found) == list(range(len(prompts)))
    assert [text for _, text in sorted(found)] == expected
    scorer.decodes = False
    assert dict(scorer.generate(prompts, 12)) == dict(found)


def test_what_prompts_begin_with_is_read_once() -> None:
    shared, other = tuple(range(10, 20)), tuple(range(30, 40))
    prompts = [(*shared, 1), (*other, 3, 4), (*shared, 2, 5, 6), (7, 8), (*other, 3), (*shared, 2)]
    groups = groups_of(prompts, 40, lambda width: 2)
    assert [(part.prefix, dict(part.rows)) for part in groups] == [
        (shared, {2: (2, 5, 6), 0: (1,)}),
        (shared, {5: (2,)}),
        (other, {1: (3, 4), 4: (3,)}),
        ((), {3: (7, 8)}),
    ]
    assert {part.prefix for part in groups_of(prompts, 100, lambda width: 9)} == {()}  # 20 tokens of 100 are too few
    assert [len(pool) for pool in pools(groups, 1, lambda width: 2)] == [1, 1, 1, 1]
    assert [len(pool) for pool in pools(groups, 1, lambda width: 9)] == [3, 1]  # two tokens don't wait for thirteen


def test_a_penalty_that_the_maker_set_is_kept(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model" / "generation_config.json").write_text('{"eos_token_id": 0, "repetition_penalty": 4.0}')
    plainly, scorer = (Local(str(path), device="cpu") for path in (model, tmp_path / "model"))
    assert plainly.decodes and not scorer.decodes
    prompts = [item.question for item in read_items((QUESTIONS,))]
    assert dict(scorer.generate(prompts, 12)) != dict(plainly.generate(prompts, 12))


def test_chat_templates_and_adapters(model: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    scorer = Local(str(model), device="cpu")
    assert scorer.chat("Hi") == "<|user|>Hi<|assistant|>"
    plain_scores = dict(scorer.score([Request("Question: ?", (" A", " Bile"))]))
    adapted = get_peft_model(scorer.model, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "lora")
    other = Local(str(model), str(tmp_path / "lora"), device="cpu")
    assert other.packs and other.own_head and other.identity != scorer.identity
    scores = dict(other.score([Request("Question: ?", (" A", " Bile"))]))
    assert scores[0] == pytest.approx([plain(other, "Question: ?", one) for one in (" A", " Bile")], abs=2e-4)
    assert scores[0] != pytest.approx(plain_scores[0], abs=1e-2)
    with pytest.raises(RecipeError, match=r"adapter_config\.json"):
        Local(str(model), str(tmp_path), device="cpu")
    result = score(how(model=str(model), chat=True, device="cpu", limit=1))
    assert result["average"]["accuracy"] >= 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"protocol": "options", "prompt": "paper"}, "set prompt: short"),
        ({"reasoned": True}, "reasoned needs"),
        ({"backend": "server"}, "go together"),
        ({"backend": "server", "endpoint": "http://x/v1"}, "not log-likelihoods"),
        ({"protocol": "generate", "normal": "bytes"}, "normal divides"),
    ],
)
def test_settings_that_contradict_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        how(**settings)


def test_the_papers_protocol_ships() -> None:
    papers = read_bench("mmedbench", ["model=x", "items=[y]"])
    assert (papers.protocol, papers.prompt, papers.reasoned, papers.answer_tokens) == ("generate", "paper", True, 1_000)


def test_vllm_is_asked_for_by_name(model: Path) -> None:
    if importlib.util.find_spec("vllm"):
        pytest.skip("vLLM is installed")
    with pytest.raises(RecipeError, match="not installed here"):
        score(how(model=str(model), backend="vllm"))


@pytest.mark.ray
def test_several_models_on_ray_answer_as_one(model: Path) -> None:
    settings = how(model=str(model), device="cpu")
    import ray

    try:
        assert score(settings.model_copy(update={"workers": 2}))["languages"] == score(settings)["languages"]
    finally:
        ray.shutdown()
