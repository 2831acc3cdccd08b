"""What passes over texts share: reading texts a few at a time, spans to replace, rows of the ledger."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.dedup.records import I64
from mmedc.engine.chain import HEAD_CHARS
from mmedc.engine.commit import read_rows
from mmedc.engine.unit import DataFile
from mmedc.storage import Store

SLICE_CHARS = 1 << 20
COLUMNS = ["id", "lang", "source", "kind", "locator", "provenance", "chars", "quality", "text"]

Span = tuple[int, int, str]
"""The first character, the one after the last, and the text that replaces them."""


def text_slices(store: Store, documents: DataFile, rows: I64) -> Iterator[tuple[I64, pa.Table]]:
    """Yield (rows, table of COLUMNS) of about SLICE_CHARS characters of text each, for the sorted `rows`."""
    for at, table in read_rows(store, documents, rows, COLUMNS):
        part = np.cumsum(pc.utf8_length(table["text"]).to_numpy()) // SLICE_CHARS
        starts = np.flatnonzero(np.concatenate([[True], part[1:] != part[:-1]])).tolist()
        for low, high in zip(starts, [*starts[1:], len(part)], strict=True):
            yield at[low:high], table.slice(low, high - low)


def joined(spans: list[Span]) -> list[Span]:
    """Return the spans, sorted, with those that touch merged."""
    out: list[Span] = []
    for low, high, by in sorted(spans):
        if out and low <= out[-1][1]:
            out[-1] = out[-1][0], max(high, out[-1][1]), out[-1][2] or by
        else:
            out.append((low, high, by))
    return out


def removed_row(row: dict[str, Any], ordinal: int, step: str, reason: str, detail: str, sample: bool) -> dict[str, Any]:
    """Return a document that is removed, `row` of `text_slices`, as a row of the ledger."""
    return {
        "ordinal": ordinal,
        **{name: row[name] for name in ("locator", "provenance", "lang")},
        "step": step,
        "fate": "dropped",
        "reason": reason,
        "detail": detail,
        "sample": sample,
        "text": row["text"][:HEAD_CHARS] if sample else None,
        "draw": int(row["id"][:16], 16),
    }
