"""Rationales, held-out text, corpora that hold questions, and the files of the leaderboard."""

import csv
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra mmedc[train] is not installed")
pytest.importorskip("sacrebleu", reason="the extra mmedc[rationales] is not installed")

import torch

from mmedc.bench import leaderboard
from mmedc.bench.cache import Cache
from mmedc.bench.config import Bench
from mmedc.bench.items import Item
from mmedc.bench.local import Local
from mmedc.bench.perplexity import perplexities, read_texts, windows
from mmedc.bench.rationales import _cutter, alike, bert_scores, bleu, rationale_of, rouge, words
from mmedc.bench.scoring import score
from mmedc.corpus.manifest import read_manifest
from mmedc.engine.run import Inline
from mmedc.errors import RecipeError
from mmedc.pipeline.build import Build
from mmedc.recipe import read_recipe
from mmedc.report.scores import plot, report
from tests.test_build import Notes
from tests.tinymodel import make

PAIRS = {
    "en": ("Insulin is made by the beta cells of the pancreas.", "The pancreas makes insulin in its beta cells."),
    "zh": ("胰腺的β细胞分泌胰岛素，肝脏不分泌。", "胰岛素由胰腺的β细胞分泌，因此答案是胰腺。"),
    "ja": ("膵臓のβ細胞がインスリンを分泌する。", "インスリンは膵臓のランゲルハンス島から分泌される。"),
    "fr": ("L'insuline est sécrétée par le pancréas.", "C'est le pancréas qui sécrète l'insuline, pas le foie."),
    "ru": ("Инсулин вырабатывают клетки поджелудочной железы.", "Поджелудочная железа вырабатывает инсулин."),
    "es": ("El páncreas produce la insulina.", "La insulina la producen las células beta del páncreas."),
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("lang", PAIRS)
def test_bleu_is_that_of_nltk_and_sacrebleu(lang: str) -> None:
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    from sacrebleu import sentence_bleu as sacre

    said, gold = (words(text, lang) for text in PAIRS[lang])
    assert len(said) > 4
    for order, found in enumerate(bleu(said, gold), 1):
        weights = tuple(1 / order for _ in range(order))
        expected = sentence_bleu([gold], said, weights, smoothing_function=SmoothingFunction().method1)
        assert found == pytest.approx(expected, abs=1e-9)
    theirs = sacre(" ".join(said), [" ".join(gold)], "floor", 0.1, tokenize="none", use_effective_order=False)
    assert bleu(said, gold)[3] == pytest.approx(theirs.score / 100, abs=1e-9)


@pytest.mark.parametrize("lang", PAIRS)
def test_rouge_is_that_of_its_definition(lang: str) -> None:
    """By the definition of Lin (2004) over the same words; in English also what rouge-score says by itself."""
    said, gold = (
        [word.casefold() for word in words(text, lang) if any(map(str.isalnum, word))] for text in PAIRS[lang]
    )
    found = rouge(*PAIRS[lang], lang)

    def f1(common: int, one: int, other: int) -> float:
        return 2 * common / (one + other) if common else 0.0

    for order in (1, 2):
        grams = [[tuple(side[at : at + order]) for at in range(len(side) - order + 1)] for side in (said, gold)]
        common = sum(min(grams[0].count(one), grams[1].count(one)) for one in set(grams[0]))
        assert found[f"rouge{order}"] == pytest.approx(f1(common, len(grams[0]), len(grams[1])))
    table = [[0] * (len(gold) + 1) for _ in range(len(said) + 1)]
    for i, a in enumerate(said):
        for j, b in enumerate(gold):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    assert found["rougeL"] == pytest.approx(f1(table[-1][-1], len(said), len(gold)))
    if lang == "en":
        from rouge_score.rouge_scorer import RougeScorer

        theirs = RougeScorer(["rouge1", "rouge2", "rougeL"]).score(PAIRS[lang][1], PAIRS[lang][0])
        assert found == pytest.approx({name: one.fmeasure for name, one in theirs.items()})


def test_words_are_those_of_the_language() -> None:
    assert words("胰腺分泌胰岛素。", "zh") == ["胰腺", "分泌", "胰岛素", "。"]
    assert words("膵臓はインスリンを分泌する。", "ja") == ["膵臓", "は", "インスリン", "を", "分泌", "する", "。"]
    assert words("L'insuline (sécrétée).", "fr") == ["L", "'", "insuline", "(", "sécrétée", ")", "."]
    assert words("Не А, а Б!", "ru") == ["Не", "А", ",", "а", "Б", "!"]
    assert rationale_of("###Rationale: Because.\n###Answer: OPTION B IS CORRECT.") == "Because."
    assert rationale_of("Only this.") == "Only this." and rationale_of("###Answer: OPTION B IS CORRECT.") == ""


def test_likeness_is_a_mean_by_language(model: Path) -> None:
    pairs = [(lang, *pair) for lang, pair in PAIRS.items()] + [("en", "The same.", "The same.")]
    found = alike(pairs, str(model))
    assert found["en"]["items"] == 2 and found["zh"]["items"] == 1
    assert found["en"]["rouge1"] == pytest.approx((1 + rouge(*PAIRS["en"], "en")["rouge1"]) / 2)
    assert all(0 <= row[name] <= 1.0001 for row in found.values() for name in ("bleu1", "bleu4", "bertscore"))
    assert found["en"]["bleu4"] < found["en"]["bleu1"]


def test_bertscore_matches_each_token_with_its_nearest(model: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    texts = PAIRS["en"]
    same, found = list(bert_scores([(texts[0], texts[0]), texts], str(model), layer=1))
    assert same == pytest.approx(1.0, abs=1e-5)
    tokenizer, encoder = AutoTokenizer.from_pretrained(model), AutoModel.from_pretrained(model).eval()
    with torch.no_grad():
        a, b = (
            encoder(torch.tensor([tokenizer(one)["input_ids"]]), output_hidden_states=True).hidden_states[1][0]
            for one in texts
        )
    close = torch.nn.functional.cosine_similarity(a[:, None], b[None], dim=-1)
    precision, recall = close.max(1).values.mean(), close.max(0).values.mean()
    assert found == pytest.approx(float(2 * precision * recall / (precision + recall)), abs=1e-4)
    with pytest.raises(RecipeError, match=r"holds no config\.json"):
        list(bert_scores([texts], "nowhere"))


def test_every_token_is_foretold_once(model: Path, tmp_path: Path) -> None:
    assert windows([1, 2, 3, 4, 5], 0, 2) == [((0, 1, 2), 2), ((2, 3, 4), 2), ((3, 4, 5), 1)]
    scorer = Local(str(model), device="cpu", context=16)
    (tmp_path / "a.jsonl").write_text(
        json.dumps({"text": "The pancreas makes insulin. " * 5, "lang": "en"}) + "\n"
        + json.dumps({"text": "胰腺分泌胰岛素。", "lang": "zh"}) + "\n"
    )  # fmt: skip
    texts = read_texts((str(tmp_path),), 0)
    found = perplexities(texts, scorer, Cache(""))
    for lang, text in texts:
        tokens = scorer.encode_plain(text)
        nats = 0.0
        for inputs, count in windows(tokens, scorer.begin, 16):
            with torch.no_grad():
                logs = torch.log_softmax(scorer.model(torch.tensor([inputs[:-1]])).logits[0].float(), -1)
            nats -= float(logs[range(len(inputs) - 1), inputs[1:]][-count:].sum())
        assert found[lang]["tokens"] == len(tokens)
        assert found[lang]["bits_per_byte"] == pytest.approx(nats / math.log(2) / len(text.encode()), rel=1e-4)
        assert found[lang]["perplexity"] == pytest.approx(math.exp(nats / len(tokens)), rel=1e-3)
    (tmp_path / "b.jsonl").write_text('{"text": "no language"}\n')
    with pytest.raises(RecipeError, match="expected `text` and `lang`"):
        read_texts((str(tmp_path / "b.jsonl"),), 0)


def test_the_files_of_the_leaderboard(tmp_path: Path) -> None:
    options = {"A": "x", "B": "y"}
    items = [
        Item("1", "fr", "?", options, ("A", "B"), rationale="Les deux.", human_checked=True),
        Item("2", "en", "?", options, ("A",), rationale="Not checked."),
    ]
    result: dict[str, Any] = {
        "languages": {"en": {"accuracy": 0.5}, "fr": {"accuracy": 1.0}},
        "rationales": {"fr": {f"bleu{n}": 0.25 for n in range(1, 5)} | {"rouge1": 0.5, "rouge2": 0.5, "rougeL": 0.5}},
    }
    leaderboard.write(tmp_path, items, ["ask\n1", "ask 2"], ["A,B", "A"], result)
    rows = {path.stem: list(csv.reader(path.open(encoding="utf-8", newline=""))) for path in tmp_path.iterdir()}
    head = ["Language", "ModelInput", "ModelOutput", "GT_Answer"]
    assert rows["multi_choice_results"] == [head, ["French", "ask\n1", "A,B", "A,B"], ["English", "ask 2", "A", "A"]]
    assert rows["rationale_results"] == [head, ["French", "ask\n1", "A,B", "Les deux."]]
    assert rows["accuracy_metric"] == [["English", "French"], ["50.00", "100.00"]]
    assert rows["rationale_similarity_metric"][:2] == [["Metric", "English", "French"], ["BLEU-1", "", "25.00"]]


def test_items_that_stand_in_the_corpus_are_told_of(model: Path, tmp_path: Path) -> None:
    """The quickstart's English page on asthma says what one of three items asks."""
    asthma = "Which disease is meant: the muscles around the small airways tighten, air flows out with difficulty?"
    asked = asthma.replace("Which disease is meant: the", "When the").replace("?", " and the chest feels tight.")
    options = {"A": "Asthma", "B": "Gout"}
    lines = [
        {"id": f"i{n}", "lang": "en", "question": question, "options": options, "answer": "A"}
        for n, question in enumerate((asked, "Which disease hurts the big toe?", "Which is worse at night?"))
    ]
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for hits in ("report", "drop"):
        sets = [f"decontaminate.questions={tmp_path}/asked.jsonl", f"decontaminate.hits={hits}", "languages=[en]"]
        Build.prepare(read_recipe("quickstart", sets), str(tmp_path / hits)).run(Inline(), Notes())
    settings = Bench.model_validate({"model": str(model), "items": [str(tmp_path / "asked.jsonl")], "device": "cpu"})
    found = score(settings.model_copy(update={"corpora": (str(tmp_path / "report"),), "out": str(tmp_path / "scores")}))
    about = found["contamination"]
    assert set(about["hits"]) == {"i0"} and about["without"]["languages"]["en"]["items"] == 2
    assert "1 of 3 items occur in the corpora" in about["warnings"][0]
    shown = "\n".join(str(part) for part in report(found, {}).renderables)
    assert "warning: 1 of 3 items" in shown
    assert plot(found, tmp_path / "scores") == tmp_path / "scores" / "scores.svg"
    clean = score(settings.model_copy(update={"corpora": (str(tmp_path / "drop"),)}))["contamination"]
    assert clean["hits"] == {} and clean["removed"] == 1 and not clean["warnings"]
    # An exported model names its corpora itself.
    digest = read_manifest(str(tmp_path / "report")).digest
    trained = make(tmp_path / "trained")
    (trained / "trained_on.json").write_text(
        json.dumps({"main": [str(tmp_path / "report"), digest], "old": ["gone", "x"]})
    )
    named = score(settings.model_copy(update={"model": str(trained)}))["contamination"]
    assert set(named["hits"]) == {"i0"} and "corpus old of this model is no longer at gone" in named["warnings"][-1]
    assert "contamination" not in score(settings)


def test_what_compares_rationales_is_asked_for_before_answers_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _cutter.cache_clear()
    monkeypatch.setitem(sys.modules, "rjieba", None)
    row = {
        "id": "1",
        "lang": "zh",
        "question": "?",
        "options": {"A": "肝", "B": "肺"},
        "answer": "A",
        "rationale": "肝。",
    }
    (tmp_path / "items.jsonl").write_text(json.dumps(row), encoding="utf-8")
    asks = {"model": str(tmp_path / "none"), "protocol": "generate", "prompt": "paper", "reasoned": True}
    with pytest.raises(RecipeError, match=r"mmedc\[rationales\]"):
        score(Bench.model_validate({"items": [str(tmp_path / "items.jsonl")], **asks}))
    _cutter.cache_clear()
