"""Counting of tokens with a named tokenizer, whose files are on this machine."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmedc import tokenizer
from mmedc.storage import Store

FOLDER = "tokens"
"""The folder of a corpus that holds the counts by the tokenizers of trainings."""


def counts_by_tokenizer(corpus: str) -> list[dict[str, Any]]:
    """Return the counts of each training on a corpus: {tokenizer, digest, languages: {lang: {documents, tokens}}}."""
    store = Store(corpus)
    return [json.loads(store.get(name)) for name in store.names(FOLDER)]


@dataclass(frozen=True)
class TokenCounter:
    """Counts the tokens of texts with a tokenizer on this machine, without special tokens."""

    name: str
    """`qwen`, or the path of its files."""
    digest: str
    """The digest of its files, which identifies it independently of their place."""

    def identity(self) -> str:
        """Return what the counts depend on."""
        return self.digest

    def __call__(self, texts: list[str]) -> npt.NDArray[np.int32]:
        """Return the number of tokens of each text, (D,)."""
        return np.array([len(ids) for ids in tokenizer.array_encoder(self.name)(texts)], np.int32)


def token_counter(name: str) -> TokenCounter:
    """Return the counter by the tokenizer `name`.

    Raises: RecipeError when it is neither `qwen` nor a tokenizer.json on this machine.
    """
    tokenizer.check_tokenizer(name, "publish.tokenizer")
    return TokenCounter(name, tokenizer.encoding_digest(name))
