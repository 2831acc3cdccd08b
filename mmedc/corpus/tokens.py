"""Counts the tokens of texts by a named tokenizer, whose files are on this machine."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mmedc import tokenizer
from mmedc.storage import Store

TokenCounter = Callable[[list[str]], npt.NDArray[np.int32]]

FOLDER = "tokens"
"""The folder of a corpus that holds the counts by the tokenizers of trainings."""


def counts_by_tokenizer(corpus: str) -> list[dict[str, Any]]:
    """Return what each training counted in a corpus: {tokenizer, digest, languages: {lang: {documents, tokens}}}."""
    store = Store(corpus)
    return [json.loads(store.get(name)) for name in store.names(FOLDER)]


def check_tokenizer(name: str) -> None:
    """Check the name of a tokenizer. Raises: RecipeError when it is neither `qwen` nor a tokenizer.json here."""
    tokenizer.check_tokenizer(name, "publish.tokenizer")


def token_counter(name: str) -> TokenCounter:
    """Return the function that counts the tokens of texts by the tokenizer `name`, without special tokens."""
    check_tokenizer(name)
    encode = tokenizer.plain_encoder(name)

    def count(texts: list[str]) -> npt.NDArray[np.int32]:
        return np.array([len(ids) for ids in encode(texts)], np.int32)

    return count
