"""The fast encoder of Qwen's byte pairs gives the tokens of tiktoken, whatever the text."""

import random
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmedc import qwen
from mmedc.corpus.tokens import token_counter
from mmedc.tokenizer import open_tokenizer

PARTS = [
    "'s", "'LL", "'ſ", "’s", " ", "  ", "\t", "\n", "\r\n", "\r", "\u00a0", "\u2028", "\u3000", "\x00", "\x1f",
    "\x85", "\u200b", "\u200d", "\ufeff", "e\u0301", "é", "가", "\u1100\u1161", "ﬁ", "１２", "٣", "½", "Ⅻ", "1",
    "456", "<|endoftext|>", "<|im_start|>", "</s>", "👩‍⚕️", "🇫🇷", "क्षि", "ไทย", "日本語", "العربية", "Привет",
    "WORD", "!!", "...", "—", "_", "\ufdd0", "\U0010ffff", "\u0300", "\ufffd", "İ", "x" * 50, "\U00011dbd",
    "\ud800",
]  # fmt: skip


def same(texts: list[str]) -> list[str]:
    """The texts whose tokens differ."""
    expected = [qwen.reference().encode_ordinary(text) for text in texts]
    return [text for text, ids in zip(texts, expected, strict=True) if qwen.encode(text).tolist() != ids]


def test_each_character_that_this_python_knows_is_encoded_alike() -> None:
    chars = [char for char in map(chr, range(0x110000)) if unicodedata.category(char) not in (*qwen.UNKNOWN, "Co")]
    lines = [
        "".join(f"a{char}b {char}{char}\n{char}'s1{char}2" for char in chars[at : at + 64])
        for at in range(0, len(chars), 64)
    ]
    assert all(map(qwen.is_known, lines)) and same(lines) == []


def test_other_characters_are_left_to_tiktoken() -> None:
    for text in ("\U00011dbd", "a\ufdd0b", "\ud800", "日本\U0010ffff語"):
        assert not qwen.is_known(text) and same([text]) == []


@settings(max_examples=60)
@given(st.lists(st.text(max_size=40), max_size=8))
def test_any_text_is_encoded_alike(texts: list[str]) -> None:
    assert same(texts) == []


def test_texts_of_awkward_parts_and_forms_are_encoded_alike() -> None:
    draw = random.Random(5)
    texts = ["".join(draw.choices(PARTS, k=draw.randint(1, 25))) for _ in range(3000)]
    letters = [
        "".join(draw.choices("ab c\n'st1 ", k=3000)),
        "".join(draw.choices("abcdefgh", k=20_000)),
        " \n" * 5000,
        "é" * 5000,
    ]
    forms = [unicodedata.normalize(form, text) for form in ("NFD", "NFKC") for text in texts[:300]]
    assert same([*texts, *forms, *letters]) == []


def test_a_reopened_encoder_encodes_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qwen, "REOPENED", 1)
    fresh = qwen._Fast()
    monkeypatch.setattr(qwen, "_fast", lambda: fresh)
    assert same(["The heart pumps blood.", "心臓は血液を送り出す。"]) == []


def test_lists_arrays_and_counts_agree() -> None:
    tokenizer, texts = open_tokenizer("qwen"), ["The heart pumps blood.", "", "心臓"]
    lists, arrays = tokenizer.encode(texts), tokenizer.arrays(texts)
    assert [ids.tolist() for ids in arrays] == lists and arrays[0].dtype == np.uint32
    assert token_counter("qwen")(texts).tolist() == [len(ids) for ids in lists]
    assert tokenizer.vocabulary == qwen.reference().n_vocab and tokenizer.eos == qwen.reference().eot_token
