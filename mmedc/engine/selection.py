"""Selections: which rows of a unit's documents are kept, and the edits to their texts, as handed from pass to pass."""

from dataclasses import dataclass

import pyarrow as pa

from mmedc.engine.unit import DataFile

KEEP = pa.schema([("row", pa.int64()), ("lang", pa.string()), ("bytes", pa.int64())])
"""A kept row, and the bytes of its text after the edits; sorted by row."""

EDIT = pa.schema([("row", pa.int64()), ("start", pa.int64()), ("stop", pa.int64()), ("by", pa.string())])
"""A range of characters of a row's text that is replaced; sorted, without overlaps."""


@dataclass(frozen=True, slots=True)
class Size:
    """The number and the text bytes of the documents of one language."""

    rows: int
    text_bytes: int


Sizes = dict[str, Size]
"""Sizes by language."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that are kept of the documents of one unit of ingest, and the edits to their texts."""

    number: int
    """The position of the unit in the order of the recipe's inputs."""
    source: str
    documents: DataFile
    keep: DataFile
    sizes: Sizes
    edits: DataFile | None = None


def sizes_by_language(keep: pa.Table) -> Sizes:
    """Return the sizes of a KEEP table."""
    found = keep.group_by("lang").aggregate([("bytes", "count"), ("bytes", "sum")]).to_pylist()
    return {row["lang"]: Size(row["bytes_count"], row["bytes_sum"]) for row in sorted(found, key=lambda r: r["lang"])}
