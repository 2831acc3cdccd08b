"""Fine-tuning learns the tokens that scoring asks for, with tokenizers of every kind; long prompts are counted."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the extra mmedc[train] is not installed")

from tokenizers import Tokenizer as Hub
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from mmedc.tokenizer import Tokenizer, continuation_of, continuations_of, open_tokenizer
from mmedc.train.accuracy import AccuracyWindows, MultipleChoice
from mmedc.train.examples import Example, ExampleStream
from mmedc.train.stream import IGNORE

TEXTS = [
    "Question: Which drug lowers fever? A. paracetamol B. insulin\nAnswer: A",
    "### Instruction: You're a doctor.\n### Response:###Answer: OPTION A,B IS CORRECT. ###Rationale: fever",
    "El paciente presenta fiebre y tos. Respuesta: B", "患者は発熱しています。答え：C", "У больного лихорадка",
] * 4  # fmt: skip
KINDS = ("byte-level", "unigram", "wordpiece")
SPECIAL = ["</s>", "<s>", "<unk>"]


def byte_level() -> Any:
    made = Hub(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=500, special_tokens=SPECIAL, show_progress=False))
    return made


def unigram() -> Any:
    """As SentencePiece makes them: a text of its own begins with ▁."""
    made = Hub(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    learnt = trainers.UnigramTrainer(vocab_size=300, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    made.train_from_iterator(TEXTS, learnt)
    return made


def wordpiece() -> Any:
    made = Hub(models.WordPiece(unk_token="<unk>"))
    made.normalizer = normalizers.BertNormalizer(lowercase=False)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    learnt = trainers.WordPieceTrainer(vocab_size=300, special_tokens=SPECIAL, show_progress=False)
    made.train_from_iterator(TEXTS, learnt)
    return made


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    out = {}
    for kind, make in zip(KINDS, (byte_level, unigram, wordpiece), strict=True):
        made = make()
        made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
        path = tmp_path_factory.mktemp(kind) / "tokenizer.json"
        made.save(str(path))
        out[kind] = open_tokenizer(str(path))
    return out


WORDS = st.text(st.sampled_from("abeéfг患 \n.,:#A▁"), max_size=12)
PAIRS = st.lists(st.tuples(WORDS, WORDS.filter(str.strip)), min_size=1, max_size=3)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(pairs=PAIRS)
def test_an_example_has_the_tokens_that_scoring_asks_for(
    kind: str, tokenizers: dict[str, Tokenizer], pairs: list[tuple[str, str]]
) -> None:
    tokenizer = tokenizers[kind]
    begin = list(tokenizer.begin)

    @cache
    def encode(text: str) -> tuple[int, ...]:
        return (*begin, *tokenizer.encode([text])[0])

    stream = ExampleStream([Example(prompt, answer, "en") for prompt, answer in pairs], tokenizer, 128, 0)
    learnt = []
    for number in range(stream.sequences(1)):
        got = stream.sequence(number)
        firsts = np.cumsum([0, *got.lengths])
        for part, first, last in zip(stream.provenance(number), firsts, firsts[1:], strict=False):
            targets = got.targets[first:last]
            ids = targets[targets != IGNORE].tolist()
            assert ids[-1] == tokenizer.eos
            learnt.append((part["example"], got.tokens[first : last - len(ids) + 1].tolist(), ids[:-1]))
    assert len(learnt) == len(pairs)
    for example, before, answer in learnt:
        prompt, tokens = continuation_of(lambda text: list(encode(text)), *pairs[example])
        assert (before, answer) == (prompt, tokens)
        assert tokens or tuple(prompt) == encode("".join(pairs[example]))  # only what has no tokens of its own


def test_an_answer_that_merges_into_the_prompt_keeps_tokens() -> None:
    """It had none, so its log-likelihood was 0 and it won every comparison."""
    words = {"ab": [1, 2], "abc": [1, 9]}
    assert continuation_of(words.__getitem__, "ab", "c") == ([1], [9])
    assert continuations_of(lambda texts: [words[text] for text in texts], [("ab", "c")]) == [([1], [9])]


def test_prompts_that_lose_their_beginning_are_counted(tokenizers: dict[str, Tokenizer]) -> None:
    examples = [Example("fever " * size, "A", "en") for size in (2, 200, 300)] + [Example("?", "tos " * 200, "es")]
    stream = ExampleStream(examples, tokenizers["byte-level"], 64, 0)
    assert (stream.cut, stream.left_out) == (2, 1)
    asked = tuple(MultipleChoice("en", "fever " * size, (" A", " B"), 0) for size in (2, 200))
    assert AccuracyWindows(asked, tokenizers["byte-level"], 64).cut == 1


def test_an_export_keeps_the_maximal_length(tokenizers: dict[str, Tokenizer], tmp_path: Path) -> None:
    tokenizers["unigram"].save(tmp_path / "given", 512)
    given = json.loads((tmp_path / "given" / "tokenizer_config.json").read_text())
    assert given["model_max_length"] == 512
    (tmp_path / "given" / "tokenizer_config.json").write_text(json.dumps(given | {"model_max_length": 300}))
    open_tokenizer(str(tmp_path / "given")).save(tmp_path / "again", 512)
    again = json.loads((tmp_path / "again" / "tokenizer_config.json").read_text())
    assert again["model_max_length"] == 300  # what its maker stated


def test_sequences_are_filled_before_others_are_opened(tokenizers: dict[str, Tokenizer]) -> None:
    """As many as fit, one sequence after the other, left 12% to 22% of the room empty; now it is 1% to 6%."""
    drawn = np.random.default_rng(0).lognormal(3.0, 0.6, 2_000).astype(int).clip(1, 120)
    stream = ExampleStream([Example("a" * size, "A", "en") for size in drawn], tokenizers["byte-level"], 128, 0)
    seen = [part["example"] for n in range(stream.sequences(1)) for part in stream.provenance(n)]
    assert sorted(seen) == list(range(2_000))
    used = sum(stream.sequence(n).lengths[:-1].sum() for n in range(stream.sequences(1)))
    assert 0 < stream.padding() < 0.06 and used > 0
    again = ExampleStream(stream.examples, tokenizers["byte-level"], 128, 0)
    assert all((again.sequence(n).tokens == stream.sequence(n).tokens).all() for n in (0, 7))
