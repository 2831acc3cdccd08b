"""The rows that passes over keys exchange: records and edges, in files cut by the range that reads them.

A row is identified by its place: the number of its ingest unit, times 2^32, plus its row there. A node is
a row with its rank and place, which together order all rows by precedence, and a sketch. A file
that is cut by range has one row group for each range, so that a reader fetches only its own bytes.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmedc.dedup.signature import SKETCH
from mmedc.engine.commit import read_groups
from mmedc.engine.unit import DataFile, Stream
from mmedc.storage import Store
from mmedc.words import U64, mix

I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]

KINDS = ("same_locator", "exact_duplicate", "near_duplicate")
KNOWN = "already_published"
"""The reason of a row that a published corpus has already, of whatever kind."""

RANGE_RECORDS = 2_000_000  # about 110 MB in memory
RANGE_EDGES = 400_000
NODE = [("rank", pa.uint64()), ("place", pa.int64()), ("sketch", SKETCH)]
RECORD = pa.schema([("key", pa.uint64()), ("kind", pa.uint8()), *NODE])
EDGE = pa.schema(
    [
        ("kind", pa.uint8()),  # an index into KINDS
        ("rank", pa.uint64()),
        ("place", pa.int64()),
        ("to_rank", pa.uint64()),
        ("to_place", pa.int64()),
        ("jaccard", pa.float32()),
    ]
)
"""A row and a better one that it is like; the Jaccard is true for pairs that were verified by their texts."""
PLACES = pa.schema([("place", pa.int64())])
ASK = pa.schema([("place", pa.int64()), ("group", pa.int64())])
"""The shingles of the row at `place` are needed in a group of ingest units."""
DROP = pa.schema(
    [
        ("place", pa.int64()),
        ("reason", pa.string()),  # of KINDS, or KNOWN
        ("survivor", pa.int64()),
        ("jaccard", pa.float32()),  # of the two; see EDGE
    ]
)


def ranges_for(rows: int, bands: int, size: int = RANGE_RECORDS) -> int:
    """Return into how many key ranges the records of `rows` documents are cut."""
    return max(1, -(-rows * (bands + 2) // size))


def place_of(unit: int, row: I64) -> I64:
    """Return the places of rows of ingest unit number `unit`."""
    return row + (np.int64(unit) << np.int64(32))


def range_of(keys: U64, ranges: int) -> I64:
    """Return the range of each key: equal slices of the 64-bit space."""
    return ((keys >> np.uint64(32)) * np.uint64(ranges) >> np.uint64(32)).astype(np.int64)


def owner_of(places: I64, ranges: int) -> I64:
    """Return the range that looks after each row, evenly."""
    return range_of(mix(places.astype(np.uint64) + np.uint64(1)), ranges)


def group_of(places: I64, groups: tuple[int, ...]) -> I64:
    """Return the group of ingest units that each row lies in; `groups` are their first units."""
    found: I64 = np.searchsorted(np.array(groups), places >> np.int64(32), side="right") - 1
    return found


def cut(table: pa.Table, target: I64, ranges: int) -> Stream:
    """Return `table` as a file of `ranges` row groups: the rows for each target, in their order."""
    return cut_lazily(table.take, table.schema, target, ranges)


def cut_lazily(take: Callable[[I64], pa.Table], schema: pa.Schema, target: I64, ranges: int) -> Stream:
    """Return the same of rows that `take` makes, given their numbers, when their row group is written."""
    order = np.argsort(target, kind="stable")
    bounds = np.searchsorted(target, np.arange(ranges + 1), sorter=order)

    def parts() -> Iterator[pa.Table]:
        for low, high in pairwise(bounds):
            yield take(order[low:high])

    return Stream(schema, parts(), whole=True)


def read_cut(store: Store, files: tuple[DataFile, ...], number: int, schema: pa.Schema) -> pa.Table:
    """Return what the `files`, cut by range, hold for range `number`."""
    tables = [read_groups(store, file, [number]) for file in files if file.rows]
    return pa.concat_tables([schema.empty_table(), *tables]).combine_chunks()


def byte_matrix(column: pa.ChunkedArray | pa.Array) -> U8:
    """Return a column of fixed-size binaries without nulls as (N, width)."""
    width = column.type.byte_width
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts = [
        np.frombuffer(chunk.buffers()[1], np.uint8)[chunk.offset * width : (chunk.offset + len(chunk)) * width]
        for chunk in chunks
        if len(chunk)
    ]
    flat = parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, np.uint8), *parts])
    return flat.reshape(-1, width)


def sketch_array(matrix: U8) -> pa.Array:
    """Return (N, SKETCH_BYTES) as a SKETCH column."""
    return pa.FixedSizeBinaryArray.from_buffers(
        SKETCH, len(matrix), [None, pa.py_buffer(np.ascontiguousarray(matrix).tobytes())]
    )


def edges_of(
    kind: npt.NDArray[np.integer], nodes: pa.Table, one: I64, other: I64, jaccard: npt.NDArray[np.floating]
) -> pa.Table:
    """Return EDGE rows between rows `one` and `other`, the better, of `nodes`, which has the columns of NODE."""
    rank, place = nodes["rank"].to_numpy(), nodes["place"].to_numpy()
    columns = [kind.astype(np.uint8), rank[one], place[one], rank[other], place[other], jaccard.astype(np.float32)]
    return pa.table(columns, schema=EDGE)
