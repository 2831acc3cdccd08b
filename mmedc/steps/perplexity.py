"""Perplexity of a text under a language model of good prose: KenLM over SentencePiece pieces, as in CCNet.

Wenzek et al. 2020 (arXiv 1911.00359, section 3.3) train a 5-gram model per language on clean text and compute the
perplexity per piece, line by line. The third of the texts with the lowest perplexity is the *head*, the next third
the *middle*, the rest the *tail*. `mmedc fit kenlm` writes the three files of a language.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from mmedc.document import set_column
from mmedc.engine import slot
from mmedc.engine.chain import Transform
from mmedc.engine.identity import Json, fields_of
from mmedc.errors import ModelMissing, PolicyError
from mmedc.folding import folded
from mmedc.limits import drop_below_floor
from mmedc.policy import Policy

TEXT_CHARS = 5_000
PARTS = (".sp.model", ".bin", ".json")
BUCKETS = ("head", "middle", "tail")


@dataclass(frozen=True)
class Perplexity:
    """Sets `perplexity` and `bucket`; both null in languages without a model. Dropped: by the policy's ceilings."""

    folder: str
    policy: Policy
    name: ClassVar[str] = "perplexity"
    version: ClassVar[int] = 1

    def open(self) -> Transform:
        """Return the transform; loads the models."""
        models = {code: (measurer(self.folder, code), cutoffs(self.folder, code)) for code in self._languages()}

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            values = np.full(batch.num_rows, np.nan, np.float32)
            buckets: list[str | None] = [None] * batch.num_rows
            rows = zip(*(batch.column(name).to_pylist() for name in ("ordinal", "lang", "text")), strict=True)
            for index, (ordinal, lang, text) in enumerate(rows):
                if lang in models:
                    slot.mark(ordinal)
                    measure, cuts = models[lang]
                    values[index] = measure(text)
                    buckets[index] = BUCKETS[int(np.searchsorted(cuts, values[index]))]
            batch = set_column(batch, "perplexity", pa.array(values, from_pandas=True))
            batch = set_column(batch, "bucket", pa.array(buckets, pa.string()))
            return drop_below_floor(batch, self.policy, ("perplexity",))

        return transform

    def _languages(self) -> list[str]:
        return [code for code in self.policy.languages if (Path(self.folder) / f"{code}.bin").is_file()]

    def identity(self) -> Json:
        """Return the fields and the hashes of the models. Raises: ModelMissing when no language has one."""
        if not self._languages():
            raise ModelMissing(
                f"{self.folder}: no LANG.bin of {', '.join(self.policy.languages)}; see `mmedc fit kenlm`"
            )
        files = [Path(self.folder) / f"{code}{part}" for code in self._languages() for part in PARTS]
        missing = [str(file) for file in files if not file.is_file()]
        if missing:
            raise ModelMissing(
                f"{missing[0]}: the file is missing; `mmedc fit kenlm` writes {', '.join(PARTS)} for a language"
            )
        return [fields_of(self, "folder"), [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]]


def measurer(folder: str, code: str) -> Callable[[str], float]:
    """Return the function from a text to its perplexity per piece, which is at least 1; NaN for an empty text.

    Raises: ModelMissing if a package is missing; PolicyError for a file that is not a model.
    """
    try:
        import kenlm
        import sentencepiece
    except ImportError as problem:
        raise ModelMissing(f"perplexity needs {problem.name}: `pip install 'mmedc[lm]'`") from None
    quiet = kenlm.Config()
    quiet.show_progress = False
    path = Path(folder) / f"{code}.bin"
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(path.with_suffix(".sp.model")))
    try:
        model = kenlm.Model(str(path), quiet)
    except OSError as problem:
        raise PolicyError(f"{path}: not a KenLM model ({problem})") from None

    def measure(text: str) -> float:
        score = length = 0.0
        for line in lines_of(text):
            tokens = pieces.encode(line, out_type=str)
            score += model.score(" ".join(tokens))
            length += len(tokens) + 1
        return float(10 ** (-score / length)) if length else float("nan")

    return measure


def lines_of(text: str) -> list[str]:
    """Return the lines of a text as the models read them: folded, and only the first `TEXT_CHARS` characters."""
    return [line for line in (" ".join(line.split()) for line in folded(text[:TEXT_CHARS]).split("\n")) if line]


def cutoffs(folder: str, code: str) -> tuple[float, float]:
    """Return the perplexities up to which a text of language `code` belongs to the head and to the middle."""
    found = json.loads((Path(folder) / f"{code}.json").read_text(encoding="utf-8"))["cutoffs"]
    return float(found[0]), float(found[1])
