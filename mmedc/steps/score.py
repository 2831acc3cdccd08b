"""Scores that a model learned: a linear classifier over hashed words, one model for all languages.

`medical_model` is the judgement that the kept decision rests on: what the words say and what the lexicon found
(terms, density and spread, set before), weighed against each other by a second, tiny regression (stacking: Wolpert
1992) whose weights all languages share, so that a language without labelled texts is judged by its lexicon.

Features are the words, the beginnings of words (so that endings don't matter) and the pairs of words
among the first of a text, as `mmedc.words` cuts them for the rules and signatures too
(hashing trick: Weinberger et al. 2009, arXiv 0902.2206). The file holds numbers only, one byte a weight, and is
read without running anything. A fastText model of two labels (`.ftz`, `.bin`; Joulin et al. 2017,
arXiv 1607.01759) serves as well: see docs/how-to/fitting.md for why the shipped one is linear.
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
WORDS = 400  # of a text that are looked at: what it is about shows early
BEGINNING = 5  # characters
TOTAL = 20.0
YES = "__label__yes"
LINE_CHARS = 2_000  # of a text that fastText sees

F32 = npt.NDArray[np.float32]
Scorer = Callable[[Any, Any], F32]
"""From texts (an Arrow array) and their `LEXICON_MEASURES` (None, or (D, 3)) to probabilities, (D,)."""
Features = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Score:
    """Sets the column `measure` to a model's probability of "yes", 0 to 1; null in languages it doesn't know.

    Dropped: by the policy's floors on it.
    """

    measure: str
    model: Model
    policy: Policy
    version: ClassVar[int] = 1

    @property
    def name(self) -> str:
        """What the funnel calls it."""
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
    """Return the function that gives the model's probabilities of "yes".

    The file's SHA-256 must have been checked (see `mmedc.models`). Raises: PolicyError for a file of another kind.
    """
    return _fasttext(path) if path.endswith((".ftz", ".bin")) else _linear(path)


def _linear(path: str) -> Scorer:
    try:
        with np.load(path, allow_pickle=False) as file:
            weights = file["weights"].astype(np.float32) * file["scale"]  # (2**BITS,)
            bias, mix = float(file["bias"]), file["mix"].astype(np.float64)  # (5,), or (0,) where words decide alone
        if weights.shape != (1 << BITS,):
            raise ValueError(f"{len(weights)} weights instead of {1 << BITS}")
        if len(mix) not in (0, 2 + len(LEXICON_MEASURES)):
            raise ValueError(f"it weighs {len(mix)} things, this version {2 + len(LEXICON_MEASURES)}")
    except (OSError, ValueError, KeyError) as problem:
        raise PolicyError(f"{path}: no model that `mmedc fit model` made ({problem})") from None

    def score(texts: Any, found: Any) -> F32:
        buckets, offsets, values = features(folded_batch(texts))
        total = np.concatenate([[0.0], np.cumsum(weights[buckets], dtype=np.float64)])
        logits = (total[offsets[1:]] - total[offsets[:-1]]) * values + bias
        if len(mix) and found is not None:
            logits = mixed(logits, found) @ mix
        # Rounded, so that the order of additions, which depends on the batch, shows nowhere.
        chances: F32 = np.round(1 / (1 + np.exp(-np.clip(logits, -50, 50))), 4).astype(np.float32)
        return chances

    return score


def mixed(logits: npt.NDArray[np.float64], found: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return what is weighed, (D, 5): logarithm of terms, root of density, spread, what the words say, and one."""
    terms, density, spread = found.T.astype(np.float64)
    return np.column_stack([np.log1p(terms), np.sqrt(density), spread, np.clip(logits, -6, 6), np.ones(len(logits))])


@functools.lru_cache(maxsize=1)  # the next model asks for the same
def features(batch: TextBatch) -> Features:
    """Return the features of texts: buckets (F,), which of them are whose (D+1,), and their value in each text (D,).

    The values of a text add up to `TOTAL`, however long it is.
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
    """Return the hashes of the first `WORDS` of each text, and whose they are."""
    counts = np.minimum(np.diff(offsets), WORDS)
    total = np.concatenate([[0], np.cumsum(counts)])
    at = np.repeat(offsets[:-1] - total[:-1], counts) + np.arange(total[-1])
    return hashes[at], np.repeat(np.arange(len(counts)), counts)


def _fasttext(path: str) -> Scorer:
    import fasttext

    fasttext.FastText.eprint = lambda *_: None  # its loader prints a warning that warns of nothing
    loaded = fasttext.load_model(path)
    if len(loaded.get_labels()) != 2 or YES not in loaded.get_labels():
        raise PolicyError(f"{path}: its labels are {loaded.get_labels()}; expected two, one of them {YES}")

    def score(texts: Any, _: Any) -> F32:
        heads = pc.utf8_lower(pc.utf8_slice_codeunits(texts, 0, LINE_CHARS))
        lines = pc.replace_substring(heads, "\n", " ").to_pylist()
        names, chances = loaded.predict(lines, k=2) if lines else ([], [])
        found = [dict(zip(*one, strict=True)).get(YES, 0.0) for one in zip(names, chances, strict=True)]
        return np.clip(np.array(found, np.float32), 0, 1)

    return score
