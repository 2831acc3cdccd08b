"""The pass in which a transformer scores the documents kept by ingest, on GPUs if the cluster has any.

It runs between ingest and deduplication, so that the better one of two duplicates is kept. Documents that other
limits drop anyway are not scored.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmedc.engine.commit import read_rows, read_table
from mmedc.engine.run import Following
from mmedc.engine.unit import DataFile, Pass, Stream, Unit, UnitFiles
from mmedc.errors import ModelMissing
from mmedc.limits import reasons
from mmedc.pipeline.ingest import Ingested
from mmedc.policy import Policy
from mmedc.recipe import Recipe
from mmedc.steps.classify import Classifier, opened
from mmedc.storage import Store


@dataclass(frozen=True)
class Classified:
    """The result of `Classify`: the documents and keys of an ingest unit, with the scores."""

    documents: DataFile
    keys: DataFile
    scored: int


@dataclass(frozen=True)
class Classify:
    """Sets the column `measure` of an ingest unit to a transformer's scores. Unit spec: (documents, keys)."""

    classifier: Classifier
    measure: str
    policy: Policy
    schema: pa.Schema
    """The schema of the documents."""
    version: ClassVar[int] = 1

    def run(self, unit: Unit[tuple[DataFile, DataFile]], out: UnitFiles) -> Classified:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        store, (documents, keys_file) = out.store, unit.spec
        keys = read_table(store, keys_file)
        limited = {name for each in self.policy.every for lang in each.languages.values() for name in lang.limits}
        others = tuple(sorted(limited - {self.measure}))
        wanted = np.flatnonzero(reasons(keys, self.policy, others).is_null().to_numpy(zero_copy_only=False))
        scores = np.full(keys.num_rows, np.nan, np.float32)
        score = opened(self.classifier) if len(wanted) else None
        for rows, table in read_rows(store, documents, wanted, ["text"]):
            assert score is not None
            scores[rows] = score(table["text"].to_pylist())
        column = pa.array(scores, pa.float32(), mask=np.isnan(scores))
        with_scores = Stream(self.schema, self._documents(store, documents, column), group_by="lang")
        return Classified(
            out.write("documents", with_scores), out.write("keys", self._scored(keys, column)), len(wanted)
        )

    def _scored(self, table: pa.Table, column: pa.Array) -> pa.Table:
        at = table.schema.get_field_index(self.measure)
        field = table.schema.field(at)
        return table.set_column(at, field, column.cast(field.type))

    def _documents(self, store: Store, documents: DataFile, column: pa.Array) -> Iterator[pa.Table]:
        with store.open_input(documents.path) as file:
            parquet = pq.ParquetFile(file, page_checksum_verification=True)
            first = 0
            for number in range(parquet.num_row_groups):
                table = parquet.read_row_group(number, use_threads=False)
                yield self._scored(table, column.slice(first, table.num_rows))
                first += table.num_rows


def classifying(recipe: Recipe, policy: Policy, digest: str, count: int, schema: pa.Schema) -> Following | None:
    """Return the pass that follows ingest of `count` units, where the recipe names a classifier.

    `digest` is the `checkpoint_digest` of the checkpoint.
    """
    settings = recipe.classify
    if settings is None:
        return None
    classifier = Classifier(
        settings.checkpoint, settings.label, settings.scale, settings.tokens, settings.batch_tokens, digest
    )

    def unit(number: int, left: Ingested) -> Unit[tuple[DataFile, DataFile]]:
        return Unit.of((left.documents, left.keys), f"documents {number + 1} of {count}", left.documents.bytes)

    work = Classify(classifier, settings.measure, policy, schema)
    return Following(Pass("classify", work, (), recipe.limits.retries, settings.gpus), unit)


def checkpoint_digest(checkpoint: str) -> str:
    """Return a hash of the files of a checkpoint, which identifies it. Raises: ModelMissing."""
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
