"""Words, hashes and shingles over a batch are those of each text alone."""

import itertools
import unicodedata

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from mmedc.words import TextBatch, hash_words, is_unspaced, sums

texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), min_size=1, max_size=6)
mixed = st.lists(st.text("ab 1é糖尿病かな。,\ń_", max_size=30), min_size=1, max_size=6)


def words_of(text: str) -> list[str]:
    """The definition in plain Python: runs of letters, digits and marks; unspaced letters stand alone."""
    out: list[str] = []
    open_run = alone_before = False
    for char in text:
        kind = unicodedata.category(char)[0]
        if kind not in "LNM":
            open_run = False
            continue
        alone = kind != "M" and is_unspaced(char)
        if open_run and (kind == "M" or (not alone and not alone_before)):
            out[-1] += char
        else:
            out.append(char)
        open_run, alone_before = True, alone
    return out


def cut(batch: TextBatch, texts: list[str]) -> list[list[str]]:
    whole = "".join(texts)
    words = [whole[s : s + n] for s, n in zip(batch.word_starts, batch.word_lengths, strict=True)]
    return [words[a:b] for a, b in itertools.pairwise(batch.word_offsets)]


@given(mixed)
def test_words_are_cut_as_defined(given_texts: list[str]) -> None:
    batch = TextBatch(pa.array(given_texts, pa.large_string()))
    assert cut(batch, given_texts) == [words_of(text) for text in given_texts]


@given(texts)
@settings(max_examples=50)
def test_a_text_is_cut_the_same_in_any_batch(given_texts: list[str]) -> None:
    together = TextBatch(pa.array(given_texts, pa.large_string()))
    hashes, bounds = together.shingles(3)
    for index, text in enumerate(given_texts):
        alone, alone_bounds = TextBatch(pa.array([text], pa.large_string())).shingles(3)
        assert np.array_equal(hashes[bounds[index] : bounds[index + 1]], alone)
        assert len(alone) == alone_bounds[-1]


def test_equal_words_have_equal_hashes_and_others_do_not() -> None:
    batch = TextBatch(pa.array(["fever cough fever", "coughs Cough КАШЕЛЬ кашель ⅣX ⅳx"], pa.large_string()))
    a, b, c, d, e, f, g, *rest = batch.word_hashes.tolist()
    assert a == c and b == e and len({a, b, d}) == 3
    assert f == g and rest[0] == rest[1]  # upper and lower case are the same
    assert hash_words(("cough",)).tolist() == [b]


def test_shingle_counts() -> None:
    batch = TextBatch(pa.array(["", "one two", "a b c d", "糖尿病患者"], pa.large_string()))
    _, bounds = batch.shingles(3)
    assert np.diff(bounds).tolist() == [0, 1, 2, 3]


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(1, 5))
def test_sums(values: list[int], parts: int) -> None:
    offsets = np.linspace(0, len(values), parts + 1).astype(np.int64)
    expected = [sum(values[a:b]) for a, b in itertools.pairwise(offsets)]
    assert sums(np.array(values, np.int64), offsets).tolist() == expected
