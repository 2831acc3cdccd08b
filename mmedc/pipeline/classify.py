"""The pass in which a transformer scores what gather kept: on GPUs, where the cluster has any.

Between gather and dedup, so that of duplicates the better stays. What other limits drop anyway is not scored.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmedc.document import DOCUMENT
from mmedc.engine.commit import read_rows, read_table
from mmedc.engine.unit import Entry, Output, Pass, Result, Stream, Unit, digest_of
from mmedc.errors import ModelMissing
from mmedc.limits import reasons
from mmedc.policy import Policy
from mmedc.recipe import Recipe
from mmedc.steps.classify import Classifier, opened
from mmedc.storage import Store

VERSION = 1
"""Raised when the code of this pass changes what it leaves."""


@dataclass(frozen=True)
class Judge:
    """Leaves `documents` and `keys` of a gather unit with the scores in `measure`. Unit spec: (documents, keys)."""

    classifier: Classifier
    measure: str
    policy: Policy

    def run(self, unit: Unit, store: Store) -> Result:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        documents, keys_file = unit.spec
        keys = read_table(store, keys_file)
        limited = {name for language in self.policy.languages.values() for name in language.limits}
        others = tuple(sorted(limited - {self.measure}))
        wanted = np.flatnonzero(reasons(keys, self.policy, others).is_null().to_numpy(zero_copy_only=False))
        scores = np.full(keys.num_rows, np.nan, np.float32)
        score = opened(self.classifier) if len(wanted) else None
        for rows, table in read_rows(store, documents, wanted, ["text"]):
            assert score is not None
            scores[rows] = score(table["text"].to_pylist())
        column = pa.array(scores, pa.float32(), mask=np.isnan(scores))
        return Result(
            {
                "documents": Stream(DOCUMENT, self._documents(store, documents, column), group_by="lang"),
                "keys": self._scored(keys, column),
            },
            notes={"scored": len(wanted)},
        )

    def _scored(self, table: pa.Table, column: pa.Array) -> pa.Table:
        at = table.schema.get_field_index(self.measure)
        field = table.schema.field(at)
        return table.set_column(at, field, column.cast(field.type))

    def _documents(self, store: Store, documents: Output, column: pa.Array) -> Iterator[pa.Table]:
        with store.open_input(documents.path) as file:
            parquet = pq.ParquetFile(file, page_checksum_verification=True)
            first = 0
            for number in range(parquet.num_row_groups):
                table = parquet.read_row_group(number, use_threads=False)
                yield self._scored(table, column.slice(first, table.num_rows))
                first += table.num_rows


def classify_pass(recipe: Recipe, policy: Policy, files: str, gathered: list[Entry]) -> Pass:
    """Return the pass over what gather left; `files` is `checkpoint_digest` of the checkpoint."""
    how = recipe.classify
    assert how is not None
    classifier = Classifier(how.checkpoint, how.label, how.scale, how.tokens, how.batch_tokens)
    outputs = [(entry.outputs["documents"], entry.outputs["keys"]) for entry in gathered]
    key = digest_of(
        [documents.sha256 for documents, _ in outputs], files, how.model_dump(exclude={"checkpoint", "gpus"}),
        policy.digest("decide"), VERSION,
    )  # fmt: skip
    units = tuple(
        Unit(f"{number:06d}", entry.label, spec, spec[0].bytes)
        for number, (entry, spec) in enumerate(zip(gathered, outputs, strict=True))
    )
    return Pass("classify", key, Judge(classifier, how.measure, policy), units, recipe.limits.retries, how.gpus)


def classified(gathered: list[Entry], scored: list[Entry]) -> list[Entry]:
    """Return the entries of gather with the tables that hold the scores."""
    return [
        replace(entry, outputs={**entry.outputs, **one.outputs}) for entry, one in zip(gathered, scored, strict=True)
    ]


def checkpoint_digest(checkpoint: str) -> str:
    """Return a hash of the files of a checkpoint, by which the pass knows it. Raises: ModelMissing."""
    files = [
        path
        for path in sorted(Path(checkpoint).glob("*"))
        if path.suffix in (".safetensors", ".json", ".txt", ".model")
    ]
    if not any(path.suffix == ".safetensors" for path in files):
        raise ModelMissing(f"classify.checkpoint: {checkpoint}: no folder with a model in safetensors")
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
