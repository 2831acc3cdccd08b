"""Tokenizers: no text becomes a control token, begin tokens come once, and training, scoring and export agree."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as HubTokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from mmedc.corpus.tokens import token_counter
from mmedc.errors import RecipeError
from mmedc.tokenizer import MARK, TextEncoder, continuation_of, open_encoder, open_tokenizer, readable

CONTROL = ["<unk>", "<s>", "</s>", "[SEP]", "<|im_start|>", "<|im_end|>", "<think>"]
TEXTS = ["the heart pumps blood", "the lungs breathe air", "a nurse measures the pressure of blood"] * 5
KINDS = ("byte pairs", "pairs of pieces", "unigram", "word pieces", "words")
CHAT = "{% for turn in messages %}<|im_start|>{{ turn.content }}<|im_end|>{% endfor %}<think>"


def made(kind: str) -> Any:
    """A tokenizer whose vocabulary holds its control tokens, as those of real models do."""
    options: dict[str, Any] = {"special_tokens": CONTROL[:-1], "show_progress": False}
    if kind == "unigram":
        found = HubTokenizer(models.Unigram())
        found.pre_tokenizer, found.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        trainer: Any = trainers.UnigramTrainer(vocab_size=60, unk_token="<unk>", **options)
    elif kind == "words":
        found = HubTokenizer(models.WordLevel(unk_token="<unk>"))
        found.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        trainer = trainers.WordLevelTrainer(**options)
    elif kind == "word pieces":
        found = HubTokenizer(models.WordPiece(unk_token="<unk>"))
        found.normalizer, found.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.WhitespaceSplit()
        trainer = trainers.WordPieceTrainer(vocab_size=80, **options)
    elif kind == "pairs of pieces":
        found = HubTokenizer(models.BPE(unk_token="<unk>"))
        found.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        trainer = trainers.BpeTrainer(vocab_size=80, **options)
    else:
        found = HubTokenizer(models.BPE())
        found.pre_tokenizer, found.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **options)
    found.train_from_iterator(TEXTS, trainer)
    found.add_tokens(["<think>"])  # not special, but the chat template writes it
    begin = found.token_to_id("<s>")
    found.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", begin)])
    return found


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    made(request.param).save(str(path / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": {"content": "</s>"}}
    (path / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": CHAT}))
    return path


WORDS = [*CONTROL, "the", "heart", " ", "  ", "\n", "血", "é", "<", "s>", MARK]
spelled = st.lists(st.sampled_from(WORDS), max_size=12)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spelled.map("".join))
def test_no_text_becomes_a_control_token(folder: Path, text: str) -> None:
    plain = HubTokenizer.from_file(str(folder / "tokenizer.json"))
    unknown = plain.token_to_id("<unk>")  # what stands for a character that the vocabulary lacks
    control = {plain.token_to_id(token) for token in CONTROL} - {unknown}
    (ids,) = open_tokenizer(str(folder)).encode([text])
    assert not control & set(ids)
    assert token_counter(str(folder))([text]).tolist() == [len(ids)]
    if not any(token in text for token in [*CONTROL, MARK]):
        assert ids == plain.encode(text, add_special_tokens=False).ids


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spelled.map("".join))
def test_a_chat_template_writes_control_tokens_and_its_message_does_not(folder: Path, text: str) -> None:
    encoder = open_encoder(folder / "tokenizer.json")
    plain = encoder.hub
    chat = encoder.render(lambda content: f"<s><|im_start|>{content}<|im_end|><think>", text)
    assert readable(chat) == f"<s><|im_start|>{text.replace(MARK, chr(0xFFFD))}<|im_end|><think>"
    ids = encoder.encode_marked(chat)
    for token in ("<s>", "<|im_start|>", "<|im_end|>", "<think>"):
        assert ids.count(plain.token_to_id(token)) == 1, token
    if not any(token in text for token in [*CONTROL, MARK]):
        assert ids == plain.encode(readable(chat), add_special_tokens=False).ids


def test_begin_tokens_are_those_that_the_tokenizer_puts_first(folder: Path) -> None:
    encoder, tokenizer = open_encoder(folder / "tokenizer.json"), open_tokenizer(str(folder))
    begin = encoder.hub.token_to_id("<s>")
    assert tokenizer.begin == encoder.begin == (begin,) and tokenizer.eos == encoder.hub.token_to_id("</s>")
    assert encoder.encode_marked("the heart")[:1] == [begin]
    assert encoder.encode_marked(encoder.mark_control("<s>the heart")).count(begin) == 1
    assert begin not in tokenizer.encode(["the heart"])[0]


def test_what_is_trained_scored_and_exported_is_encoded_alike(folder: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="the extra mmedc[train] is not installed")
    from mmedc.bench.prompting import PromptEncoder

    tokenizer = open_tokenizer(str(folder))
    tokenizer.save(tmp_path / "exported")
    hub = transformers.AutoTokenizer.from_pretrained(tmp_path / "exported")
    assert hub.chat_template == CHAT and hub.bos_token == "<s>" and hub.eos_token == "</s>"
    scoring = PromptEncoder(str(tmp_path / "exported"), hub)
    for text in ("the heart", "the </s> heart <s>", " blood\n"):
        trained = [*tokenizer.begin, *tokenizer.encode([text])[0]]
        assert scoring.encode(text) == trained
        if "<" not in text:
            assert hub(text)["input_ids"] == trained
    chat = scoring.encode(scoring.chat("the </s> heart"))
    assert chat.count(hub.bos_token_id) == 1 and hub.eos_token_id not in chat
    assert chat.count(hub.convert_tokens_to_ids("<|im_end|>")) == 1


def test_examples_and_questions_begin_once(folder: Path) -> None:
    pytest.importorskip("torch", reason="the extra mmedc[train] is not installed")
    from mmedc.train.examples import Example, ExampleStream
    from mmedc.train.stream import IGNORE

    tokenizer = open_tokenizer(str(folder))
    stream = ExampleStream([Example("the </s> heart", " pumps <s> blood", "en")] * 3, tokenizer, 128, 0)
    sequence = stream.sequence(0)
    used = sequence.tokens[: sequence.lengths[:3].sum()].tolist()
    assert used.count(tokenizer.begin[0]) == 3 and used[0] == tokenizer.begin[0] and tokenizer.eos not in used
    learnt = sequence.targets[sequence.targets != IGNORE].tolist()
    prompt, whole = tokenizer.encode(["the </s> heart", "the </s> heart pumps <s> blood"])
    assert learnt == [*whole[len(prompt) :], tokenizer.eos] * 3


def test_tokens_that_only_the_configuration_names_are_control_tokens() -> None:
    described = json.loads(made("unigram").to_str())
    described["added_tokens"] = []
    encoder = TextEncoder(json.dumps(described), ["</s>", ""])
    end = encoder.hub.token_to_id("</s>")
    assert end in encoder.hub.encode("the </s> heart", add_special_tokens=False).ids
    assert end not in encoder.encode(["the </s> heart"])[0]
    assert encoder.encode_marked(encoder.mark_control("the</s>"))[-1] == end


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40).filter(lambda text: MARK not in text))
def test_the_default_tokenizer_is_the_same_after_export(text: str) -> None:
    pytest.importorskip("transformers", reason="the extra mmedc[train] is not installed")
    assert qwen_encoder().encode([text]) == open_tokenizer("qwen").encode([text])


def qwen_encoder(known: list[TextEncoder] = []) -> TextEncoder:  # noqa: B006 (kept on purpose)
    from mmedc.tokenizer import hub_tokenizer

    if not known:
        known.append(TextEncoder(hub_tokenizer("qwen").to_str()))
    return known[0]


def test_counts_are_of_plain_text() -> None:
    counted = token_counter("qwen")(["<|endoftext|>", " the", ""])
    assert counted.dtype == np.int32 and counted[0] > 1 and counted[1:].tolist() == [1, 0]
    with pytest.raises(RecipeError, match=r'publish\.tokenizer is "none"; expected "qwen"'):
        token_counter("none")


def test_answers_are_cut_where_their_prompt_ends() -> None:
    def encode(text: str) -> list[int]:
        return [len(word) for word in text.split(" ")]

    assert continuation_of(encode, "one three", " seven") == ([3, 5], [5])
    assert continuation_of(encode, "one three ", "seven") == ([3, 5], [5])  # the blank is moved to the answer
