"""The extractor and the medical filter of mmedc as pipeline steps of datatrove.

    from mmedc.interop.datatrove import MedicalExtractor, MedicalFilter

A pipeline `[WarcReader(…), MedicalExtractor(), MedicalFilter(), JsonlWriter(…)]` keeps what a recipe of mmedc with
the same policy keeps before it removes duplicates, except that pages are decoded by the reader.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pyarrow as pa

from mmedc.decoding import decode_page
from mmedc.document import MEASURES, RAW, set_column
from mmedc.engine.chain import Transform
from mmedc.errors import RecipeError
from mmedc.limits import reasons
from mmedc.pipeline.ingest import text_steps
from mmedc.recipe import Recipe
from mmedc.settings import checked
from mmedc.steps.extract import Engine, read_page
from mmedc.steps.nesting import Nesting, overgrown
from mmedc.steps.normalise import normalise
from mmedc.yamlfile import parse_yaml

try:
    from datatrove.data import Document
    from datatrove.pipeline.extractors.base import BaseExtractor
    from datatrove.pipeline.filters.base_filter import BaseFilter
except ModuleNotFoundError as problem:
    raise ModuleNotFoundError(
        f"mmedc.interop.datatrove: {problem}; pip install 'mmedc[datatrove]'", name=problem.name
    ) from None

Documents = Iterable[Document]
COMMON = {"lang": "language", "lang_score": "language_score"}
"""What datatrove's own steps call two of the columns of mmedc."""
DIGITS = 6  # of a measure, which is a 32-bit float


class MedicalFilter(BaseFilter):  # type: ignore[misc]
    """Keeps medical documents of the given languages by a policy of mmedc.

    A document is normalised, its language identified, and its terms, its prose and what the learned models say are
    measured, as in a recipe; its text stays as it was. The metadata gets `language`, `language_score` and every
    measure that was taken; of a dropped document, those up to the step that dropped it. The reasons are those of mmedc:
    `other_language`, `empty`, or a measure with `_low` or `_high`. A document on which a step raises an exception is
    dropped as `error`, and its metadata says why in `error`.
    """

    name = "mmedc: medical"

    def __init__(
        self,
        policy: str = "balanced",
        languages: Iterable[str] | None = None,
        *,
        limits: Mapping[str, Mapping[str, Mapping[str, float]]] | None = None,
        filters: str | None = None,
        models: dict[str, str] | None = None,
        exclusion_writer: Any = None,
        batch_size: int = 256,
    ) -> None:
        """Read the policy and find the models.

        `policy` is a name or a path; `languages` are ISO 639-1 codes, by default those of a recipe. `limits`, `filters`
        and `models` are the keys `policy`, `filters` and `models` of a recipe. `batch_size` is a number of documents.

        Raises: RecipeError, PolicyError or ModelMissing, as for a recipe.
        """
        super().__init__(exclusion_writer, batch_size)
        settings = {
            "name": "datatrove",
            "sources": {"documents": {"jsonl": "documents"}},  # a recipe has one; it is not read
            "medical": {"policy": policy},
            "policy": limits or {},
            "filters": filters,
            "models": models or {},
            **({} if languages is None else {"languages": list(languages)}),
        }
        recipe = checked(Recipe, parse_yaml(json.dumps(settings), "MedicalFilter", RecipeError))
        self.policy = replace(recipe.read_policy(), licences=None)  # its texts have none
        self._steps = text_steps(recipe, self.policy)
        self._transforms: list[Transform] = []

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs; it loads the models by itself."""
        return {**self.__dict__, "_transforms": []}

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Return True, or False and the reason."""
        return self.filter_batch([doc])[0]

    def filter_batch(self, batch: list[Document]) -> list[bool | tuple[bool, str]]:
        """Return True, or False and the reason, for each document."""
        try:
            why = self._judge(batch)
        except Exception as problem:
            if len(batch) > 1:
                return [result for document in batch for result in self.filter_batch([document])]
            batch[0].metadata["error"] = f"{type(problem).__name__}: {problem}"
            return [(False, "error")]
        return [(False, why[index]) if index in why else True for index in range(len(batch))]

    def _judge(self, documents: list[Document]) -> dict[int, str]:
        """Return the reasons of those that are dropped, by place, and write the measures of all."""
        if not self._transforms:
            self._transforms = [step.open() for step in self._steps]
        batch, why = _records(documents), {}
        for transform in (*self._transforms, self._decide):
            batch = transform(batch)
            dropped = batch.column("dropped_by")
            if dropped.null_count < len(dropped):
                for row, reason in zip(batch.column("ordinal").to_pylist(), dropped.to_pylist(), strict=True):
                    if reason is not None:
                        why[row] = reason
                _write_measures(documents, batch.filter(dropped.is_valid()))
                batch = batch.filter(dropped.is_null())
            if not batch.num_rows:
                return why
        _write_measures(documents, batch)
        return why

    def _decide(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Apply the limits of the policy; a measure that no step takes is null."""
        columns = batch
        for name in MEASURES:
            if name not in batch.schema.names:
                columns = set_column(columns, name, pa.nulls(batch.num_rows, pa.float32()))
        return set_column(batch, "dropped_by", reasons(columns, self.policy))


def _records(documents: list[Document]) -> pa.RecordBatch:
    """Return the texts as records of mmedc, numbered by their places."""
    columns: dict[str, Any] = {name: pa.nulls(len(documents), RAW.field(name).type) for name in RAW.names}
    names = pa.array([str(document.id) for document in documents])
    columns |= {"ordinal": pa.array(np.arange(len(documents))), "locator": names, "provenance": names}
    columns["text"] = pa.array([document.text for document in documents], pa.large_string())
    return pa.RecordBatch.from_pydict(columns, schema=RAW)


def _write_measures(documents: list[Document], batch: pa.RecordBatch) -> None:
    measured = batch.select([name for name in ("lang", *MEASURES) if name in batch.schema.names])
    for row, values in zip(batch.column("ordinal").to_pylist(), measured.to_pylist(), strict=True):
        documents[row].metadata |= {
            COMMON.get(name, name): round(value, DIGITS) if isinstance(value, float) else value
            for name, value in values.items()
            if value is not None
        }


class MedicalExtractor(BaseExtractor):  # type: ignore[misc]
    """Extracts the main text of pages as mmedc does, in its normal form.

    Pages that nest too deep or have too many tags for a parser are dropped before they are parsed, as `too_deep` and
    `too_many_nodes`. A page that is still bytes is decoded as mmedc does, with `metadata["charset"]` as what the server
    said, or dropped as `undecodable` or `binary`. Readers of datatrove decode by themselves.
    """

    name = "mmedc: extract"

    def __init__(
        self,
        engine: str = "mmedc",
        timeout: float = 20.0,
        html_depth: int = Nesting.html_depth,
        html_nodes: int = Nesting.html_nodes,
    ) -> None:
        """Take the values that a recipe has under `extract` and `limits`; `timeout` is in seconds per document.

        Raises: RecipeError for an unknown engine.
        """
        super().__init__(timeout)
        if engine not in get_args(Engine):
            raise RecipeError(f'MedicalExtractor: unknown engine "{engine}"; use {" or ".join(get_args(Engine))}')
        self.engine, self.html_depth, self.html_nodes = engine, html_depth, html_nodes

    def extract(self, text: str) -> str:
        """Return the main text of a page, or an empty text."""
        found = read_page(text, self.engine).text
        return str(normalise(pa.array([found], pa.large_string()))[0])

    def run(self, data: Documents, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        """Yield the documents in which a main text was found."""
        yield from super().run(self._parsable(data), rank, world_size)

    def _parsable(self, data: Documents) -> Iterator[Document]:
        for document in data:
            why = None
            if isinstance(document.text, bytes):
                decoded, charset = decode_page(document.text, document.metadata.get("charset"))
                why, document.text = (charset, "") if decoded is None else (None, decoded)
            why = why or overgrown(document.text.encode("utf-8", "replace"), self.html_depth, self.html_nodes)
            if why is None:
                yield document
            else:
                self.stat_update("total", "dropped", f"dropped_{why.partition(':')[0]}")
