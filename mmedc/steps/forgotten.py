"""Drops what the recipe's `forget` names, before anything of it is stored."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.document import document_id, set_column
from mmedc.engine.chain import Source, Transform
from mmedc.forgetting import Entry, Forgotten

REASON = "forgotten"
BLANK = ("payload", "text", "title", "html", "rejected_by")
"""Columns of a forgotten record that are emptied, so that nothing that lists removed records has them."""


class OfSource(Protocol):
    """What a unit reads."""

    source: str


@dataclass(frozen=True)
class WithoutForgotten:
    """A source whose records are dropped as `forgotten` if their URL, domain, DOI or id is to be forgotten.

    They are emptied as they are read, so even what could not be read of them leaves no trace.
    """

    records: Source
    entries: tuple[Entry, ...]
    version: ClassVar[int] = 1

    def read(self, unit: Any, start: int, skip: frozenset[int]) -> Iterator[pa.RecordBatch]:
        """Yield the records; see `mmedc.engine.chain.Source`."""
        known, source = Forgotten(self.entries), unit.source
        for batch in self.records.read(unit, start, skip):
            locators = batch.column("locator").to_pylist()
            names = batch.column("identifiers").to_pylist() if known.dois else [None] * len(locators)
            mine = [
                known.locator(locator)
                or known.identifiers(identifiers)
                or (known.ids and known.identity(document_id(source, locator)))
                for locator, identifiers in zip(locators, names, strict=True)
            ]
            yield emptied(batch, np.array(mine, bool)) if any(mine) else batch


@dataclass(frozen=True)
class ForgetDois:
    """Drops documents whose DOI, which the page states, is to be forgotten, as `forgotten`."""

    entries: tuple[Entry, ...]
    name: ClassVar[str] = "forget"
    version: ClassVar[int] = 1

    def open(self) -> Transform:
        """Return the transform."""
        known = Forgotten(self.entries)

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            mine = np.array([known.identifiers(names) for names in batch.column("identifiers").to_pylist()], bool)
            return emptied(batch, mine) if mine.any() else batch

        return transform


def emptied(batch: pa.RecordBatch, rows: npt.NDArray[np.bool_]) -> pa.RecordBatch:
    """Return `batch` with `rows` marked as forgotten, and nothing in them that says what they were."""
    others = pa.array(~rows)
    values = {"locator": REASON, "provenance": REASON, "dropped_by": REASON, **dict.fromkeys(BLANK)}
    for name, value in values.items():
        if name in batch.schema.names:
            column = batch.column(name)
            batch = set_column(batch, name, pc.if_else(others, column, pa.scalar(value, column.type)))
    return batch
