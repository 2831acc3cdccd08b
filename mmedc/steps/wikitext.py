"""Wikitext becomes text behind the prefilter, because most articles of an encyclopedia are dropped there."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from mmedc.books.rules import BookRules
from mmedc.books.wiki import MARKUP, render
from mmedc.document import set_column
from mmedc.engine import slot
from mmedc.engine.chain import Transform

COLUMNS = ("text", "sections", "left_out")


@dataclass(frozen=True)
class Wikitext:
    """Turns wikitext into text with sections; rows of other types pass through. Dropped: `no_main_text`."""

    rules: BookRules
    name: ClassVar[str] = "wikitext"
    version: ClassVar[int] = 1

    def open(self) -> Transform:
        """Return the transform."""

        def transform(batch: pa.RecordBatch) -> pa.RecordBatch:
            rows = pc.indices_nonzero(pc.equal(batch.column("content_type"), MARKUP).fill_null(False)).to_pylist()
            if not rows:
                return batch
            columns: dict[str, list[Any]] = {name: batch.column(name).to_pylist() for name in COLUMNS}
            dropped: list[str | None] = [None] * batch.num_rows
            ordinals = batch.column("ordinal")
            for row in rows:
                slot.mark(ordinals[row].as_py())
                book = render(columns["text"][row], self.rules)
                values = book.columns()
                for name in COLUMNS:
                    columns[name][row] = values[name]
                dropped[row] = None if book.text else "no_main_text"
            for name in COLUMNS:
                batch = set_column(batch, name, pa.array(columns[name], batch.schema.field(name).type))
            return set_column(batch, "dropped_by", pa.array(dropped, pa.string()))

        return transform
