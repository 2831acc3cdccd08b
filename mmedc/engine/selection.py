"""Which rows of a unit's documents stay, and what is edited in their texts: what passes over texts hand on."""

from dataclasses import dataclass

import pyarrow as pa

from mmedc.engine.unit import DataFile

KEEP = pa.schema([("row", pa.int64()), ("lang", pa.string()), ("bytes", pa.int64())])
"""A row that stays, and the bytes of its text as edited; sorted by row."""

EDIT = pa.schema([("row", pa.int64()), ("start", pa.int64()), ("stop", pa.int64()), ("by", pa.string())])
"""Characters of a row's text that are replaced; sorted, without overlap."""


@dataclass(frozen=True)
class Size:
    """Of the documents of one language."""

    rows: int
    text_bytes: int


Sizes = dict[str, Size]
"""By language."""


@dataclass(frozen=True)
class Selection:
    """The rows that stay of what one unit of the first pass left, and the edits to their texts."""

    number: int
    """Of the unit, in the order of the recipe's inputs."""
    source: str
    documents: DataFile
    keep: DataFile
    sizes: Sizes
    edits: DataFile | None = None


def sizes_by_language(keep: pa.Table) -> Sizes:
    """Return the sizes of a KEEP table."""
    found = keep.group_by("lang").aggregate([("bytes", "count"), ("bytes", "sum")]).to_pylist()
    return {row["lang"]: Size(row["bytes_count"], row["bytes_sum"]) for row in sorted(found, key=lambda r: r["lang"])}
