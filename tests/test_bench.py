"""Scoring: continuations as the plain computation has them, sets of letters, intervals and tests."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

pytest.importorskip("torch", reason="the extra mmedc[train] is not installed")

import torch

from mmedc.bench.items import QUESTIONS, Item, read_items
from mmedc.bench.likelihood import Likelihood, Request, pair
from mmedc.bench.protocols import choices_of, few_shot, prompt_of
from mmedc.bench.scoring import Bench, Scored, compare, read_bench, score, summary
from mmedc.bench.statistics import holm, macro_interval, mcnemar, wilson
from mmedc.errors import RecipeError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama of random weights with a byte-level tokenizer learnt from the shipped questions."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("model")
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    learnt = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([item.question for item in read_items((QUESTIONS,))], learnt)
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"}')
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=512, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, initializer_range=0.5,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def plain(scorer: Likelihood, prompt: str, continuation: str) -> float:
    """The log-likelihood of one continuation, by itself."""
    whole = scorer.encode(prompt + continuation)[-(scorer.context + 1) :]
    count = min(len(scorer.encode(prompt + continuation)) - len(scorer.encode(prompt)), len(whole) - 1)
    with torch.no_grad():
        logs = torch.log_softmax(scorer.model(torch.tensor([whole[:-1]])).logits[0].float(), -1)
    return sum(float(logs[at - 1, whole[at]]) for at in range(len(whole) - count, len(whole)))


@pytest.mark.parametrize("protocol", ["letters", "options"])
@pytest.mark.parametrize("batch_tokens", [1, 300, 100_000])
def test_likelihoods_are_those_of_the_plain_computation(model: Path, protocol: str, batch_tokens: int) -> None:
    scorer = Likelihood(str(model), "cpu", context=120, batch_tokens=batch_tokens)
    items = read_items((QUESTIONS,))[::2]
    requests = [
        Request(prompt_of(item, protocol), tuple(text for _, text in choices_of(item, protocol))) for item in items
    ]
    told: list[int] = []
    found = scorer.score(requests, told.append)
    for request, values in zip(requests, found, strict=True):
        expected = [plain(scorer, request.prompt, one) for one in request.continuations]
        assert values == pytest.approx(expected, abs=2e-4)
    assert told[-1] == sum(len(request.continuations) for request in requests)


def test_prompt_and_continuation_are_cut_where_the_prompt_ends() -> None:
    def encode(text: str) -> list[int]:
        return [len(word) for word in text.split(" ")]

    assert pair(encode, "one three", " seven") == ((3, 5), (5,))
    assert pair(encode, "one three ", "seven") == ((3, 5), (5,))  # the space goes to the continuation


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
    assert [len(choices_of(item, "letters")) for item in items] == [7, 7, 7]
    assert choices_of(items[0], "letters")[-1] == (("A", "B", "C"), " A,B,C")
    path.write_text(json.dumps(lines[0]))
    assert len(choices_of(read_items((str(path),))[0], "letters")) == 3


def test_mmedbench_is_read_as_released(tmp_path: Path) -> None:
    raw = {"question": "問", "options": {"A": "a", "B": "b"}, "answer_idx": "B", "answer": "b", "rationale": "r"}
    (tmp_path / "Japanese.jsonl").write_text(json.dumps(raw) + "\n")
    (item,) = read_items((str(tmp_path),))
    assert (item.id, item.lang, item.gold, item.rationale) == ("Japanese.jsonl#1", "ja", ("B",), "r")
    assert prompt_of(item, "letters") == "問題: 問\nA. a\nB. b\n答え:"
    assert few_shot(item, [item], "options") == "問題: 問\n答え: b\n\n問題: 問\n答え:"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not an item"),
        ('{"id": "1", "question": "q", "options": {"A": "x", "B": "y"}, "answer": "C"}', "not among the options"),
        ('{"id": "0", "question": "q", "options": {"A": "x", "B": "y"}, "answer": "A"}', 'the id "0" stands at'),
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
        Scored("1", "fr", ("A", "B"), ("A", "B"), []),
        Scored("2", "fr", ("A",), ("A", "B"), []),
        Scored("3", "en", ("C",), ("A",), []),
    ]
    found = summary(rows)
    assert found["languages"]["fr"]["accuracy"] == 0.5 and found["languages"]["fr"]["hamming"] == 0.75
    assert found["average"]["accuracy"] == 0.25


def test_intervals_and_tests_are_the_textbooks() -> None:
    for right, count in ((0, 10), (7, 10), (199, 199), (640, 1273)):
        expected = binomtest(right, count).proportion_ci(method="wilson")
        assert wilson(right, count) == pytest.approx((expected.low, expected.high), abs=1e-9)
    one, other = [True] * 9 + [False] * 3 + [True] * 20, [False] * 9 + [True] * 3 + [True] * 20
    assert mcnemar(one, other) == pytest.approx(binomtest(3, 12).pvalue)
    assert mcnemar(one, one) == 1.0
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    groups = {"x": [True] * 60 + [False] * 40, "y": [True] * 10 + [False] * 10}
    low, high = macro_interval(groups)
    spread = math.sqrt(0.24 / 100 + 0.25 / 20) / 2
    assert (low, high) == pytest.approx((0.55 - 1.96 * spread, 0.55 + 1.96 * spread), abs=0.01)


def test_the_shipped_questions_are_sound() -> None:
    items: list[Item] = read_items((QUESTIONS,))
    assert len(items) == 18 and {item.lang for item in items} == {"en", "zh", "ja", "fr", "ru", "es"}
    assert Bench(model="x", items=QUESTIONS).items == (QUESTIONS,)  # type: ignore[arg-type]
