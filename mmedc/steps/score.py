"""Scores of learned models: a linear classifier over hashed words, one model for all languages.

`medical_model` is the score on which the decision to keep a document rests. It combines the score of the words with
the measures of the lexicon (terms, density and spread, set by an earlier step) and the length of the text by a second,
small regression (stacking: Wolpert 1992). All languages share its weights, so that a language without labelled texts
is judged by its lexicon.

The features are the words, the beginnings of words (so that endings don't matter) and the word pairs at the start of
a text; words are split by `mmedc.words`, as for the rules and signatures
(hashing trick: Weinberger et al. 2009, arXiv 0902.2206). The file holds only numbers, one byte per weight, and
reading it runs no code. A fastText model with two labels (`.ftz`, `.bin`; Joulin et al. 2017,
arXiv 1607.01759) works as well; docs/how-to/fitting.md explains why the shipped model is linear.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.document import set_column
from mmedc.engine.chain import Transform
from mmedc.errors import PolicyError
from mmedc.limits import drop_below_floor
from mmedc.models import Model
from mmedc.policy import Policy
from mmedc.steps.medical import LEXICON_MEASURES
from mmedc.words import TextBatch, folded_batch

BITS = 18
WORDS = 400  # of a text that are read: its beginning shows what it is about
BEGINNING = 5  # characters
TOTAL = 20.0
YES = "__label__yes"
LINE_CHARS = 2_000  # of a text that fastText reads

F32 = npt.NDArray[np.float32]
Scorer = Callable[[Any, Any], F32]
"""A function from texts (an Arrow array) and their `LEXICON_MEASURES` (None, or (D, 3)) to probabilities, (D,)."""
MIXED = len(LEXICON_MEASURES) + 3
"""How many values are combined; see `mixed`."""
Features = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Score:
    """Sets the column `measure` to a model's probability of "yes", 0 to 1; null in languages that it doesn't cover.

    Dropped: by the policy's floors on it.
    """

    measure: str
    model: Model
    policy: Policy
    version: ClassVar[int] = 2

    @property
    def name(self) -> str:
        """The name of the step in the funnel."""
        return self.measure

    def open(self) -> Transform:
        """Return the transform; loads the model."""
        score = scorer(self.model.path)
        known = pa.array(self.model.languages or tuple(self.policy.languages), pa.string())

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            found = np.stack([batch.column(name).to_numpy(zero_copy_only=False) for name in LEXICON_MEASURES], axis=1)
            values = pa.array(score(batch.column("text"), found))
            values = pc.if_else(pc.is_in(batch.column("lang"), known), values, pa.scalar(None, pa.float32()))
            return drop_below_floor(set_column(batch, self.measure, values), self.policy, (self.measure,))

        return transform


def scorer(path: str) -> Scorer:
    """Return the function that computes the model's probabilities of "yes".

    The SHA-256 of the file must have been checked before (see `mmedc.models`).

    Raises: PolicyError for a file that is not such a model.
    """
    return _fasttext(path) if path.endswith((".ftz", ".bin")) else _linear(path)


def _linear(path: str) -> Scorer:
    try:
        with np.load(path, allow_pickle=False) as file:
            weights = file["weights"].astype(np.float32) * file["scale"]  # (2**BITS,)
            bias, mix = float(file["bias"]), file["mix"].astype(np.float64)  # (MIXED,), or (0,)
        if weights.shape != (1 << BITS,):
            raise ValueError(f"{len(weights)} weights instead of {1 << BITS}")
        if len(mix) not in (0, MIXED):
            raise ValueError(f"it combines {len(mix)} values; this version combines {MIXED}")
    except (OSError, ValueError, KeyError) as problem:
        raise PolicyError(f"{path}: not a model made by `mmedc fit model` ({problem})") from None

    def score(texts: Any, found: Any) -> F32:
        buckets, offsets, values = features(folded_batch(texts))
        total = np.concatenate([[0.0], np.cumsum(weights[buckets], dtype=np.float64)])
        logits = (total[offsets[1:]] - total[offsets[:-1]]) * values + bias
        if len(mix) and found is not None:
            logits = mixed(logits, found, texts) @ mix
        # The order of additions depends on the batch; rounding makes the results independent of it.
        chances: F32 = np.round(1 / (1 + np.exp(-np.clip(logits, -50, 50))), 4).astype(np.float32)
        return chances

    return score


def mixed(logits: npt.NDArray[np.float64], found: npt.NDArray[Any], texts: Any) -> npt.NDArray[np.float64]:
    """Return the combined values, (D, `MIXED`).

    They are the logarithm of the terms, the square root of the density, the spread, the score of the words, the
    logarithm of the length in thousands of bytes, and 1. Bytes, because a Chinese text says in a third of the
    characters what an English one says, and has as many bytes.
    """
    terms, density, spread = found.T.astype(np.float64)
    sizes = np.log(np.maximum(pc.binary_length(texts).to_numpy(zero_copy_only=False), 1) / 1000)
    return np.column_stack(
        [np.log1p(terms), np.sqrt(density), spread, np.clip(logits, -6, 6), sizes, np.ones(len(logits))]
    )


@functools.lru_cache(maxsize=1)  # the next model needs the same features
def features(batch: TextBatch) -> Features:
    """Return the features of texts: buckets (F,), offsets of the texts in these (D+1,), and value in each text (D,).

    The values of a text add up to `TOTAL`, whatever its length.
    """
    pairs, pair_offsets = batch.shingles(2)
    parts = [
        _first(batch.word_hashes, batch.word_offsets),
        _first(batch.beginnings(BEGINNING) ^ np.uint64(1), batch.word_offsets),
        _first(pairs, pair_offsets),
    ]
    owners = np.concatenate([owners for _, owners in parts])
    order = np.argsort(owners, kind="stable")
    buckets = (np.concatenate([hashes for hashes, _ in parts]) >> np.uint64(64 - BITS)).astype(np.int64)[order]
    counts = np.bincount(owners, minlength=len(batch))
    return buckets, np.concatenate([[0], np.cumsum(counts)]), TOTAL / np.maximum(counts, 1)


def _first(hashes: Any, offsets: Any) -> tuple[Any, npt.NDArray[np.int64]]:
    """Return the hashes of the first `WORDS` words of each text, and the number of the text of each hash."""
    counts = np.minimum(np.diff(offsets), WORDS)
    total = np.concatenate([[0], np.cumsum(counts)])
    at = np.repeat(offsets[:-1] - total[:-1], counts) + np.arange(total[-1])
    return hashes[at], np.repeat(np.arange(len(counts)), counts)


def _fasttext(path: str) -> Scorer:
    import fasttext

    fasttext.FastText.eprint = lambda *_: None  # the loader prints a needless warning
    loaded = fasttext.load_model(path)
    if len(loaded.get_labels()) != 2 or YES not in loaded.get_labels():
        raise PolicyError(f"{path}: its labels are {loaded.get_labels()}; expected two, one of them {YES}")

    def score(texts: Any, _: Any) -> F32:
        heads = pc.utf8_lower(pc.utf8_slice_codeunits(texts, 0, LINE_CHARS))
        lines = pc.replace_substring(heads, "\n", " ").to_pylist()
        names, chances = loaded.predict(lines, k=2) if lines else ([], [])
        found = [dict(zip(*pair, strict=True)).get(YES, 0.0) for pair in zip(names, chances, strict=True)]
        return np.clip(np.array(found, np.float32), 0, 1)

    return score
