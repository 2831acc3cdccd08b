"""Exactly-once commits: the files are written first, named by their content; then the commit, which is created once.

The name of a file contains the hash of its bytes, so a second attempt at a unit writes the same name or
leaves an unreferenced file, but never changes one. The commit is written last, by a create-only put: of
two attempts one succeeds, and the other reads the commit of the first. Files that no commit names are ignored.
"""

import hashlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmedc.engine.chain import check_funnel
from mmedc.engine.unit import Accounted, Commit, CommitFormat, DataFile, Left, Pass, Spec, Stream, Unit
from mmedc.storage import Store, read_each

ROW_GROUP = 10_000
ROW_GROUP_BYTES = 64 << 20  # so that a few long books do not make a row group of gigabytes


def commit(
    store: Store, folder: str, unit: Unit[Spec], left: Left, form: CommitFormat[Left], begun: float
) -> Commit[Left]:
    """Commit the result of a unit, whose files are already written, below `folder`; return the valid commit.

    `begun` is the monotonic time at which the unit began.

    Raises: AccountingError if the rows do not add up; then nothing is committed.
    """
    if isinstance(left, Accounted):
        check_funnel(left.funnel, f"unit {unit.label}")
    own = Commit(unit.id, unit.label, left, round(time.monotonic() - begun, 3))
    name = f"{folder}/units/{unit.id}.json"
    return own if store.put_new(name, form.dump(own)) else form.load(store.get(name))


def write_table(store: Store, folder: str, table: "pa.Table | Stream", stem: str) -> DataFile:
    """Write a table as Parquet to `folder/stem-<hash>.parquet` and return the data file."""
    stream = table if isinstance(table, Stream) else Stream(table.schema, iter([table]))
    data, rows = parquet_bytes(stream)
    digest = hashlib.sha256(data).hexdigest()
    path = f"{folder}/{stem}-{digest[:12]}.parquet"
    store.put(path, data)
    return DataFile(path, digest, rows, len(data))


def parquet_bytes(stream: Stream) -> tuple[Any, int]:
    """Return a table as the bytes of a Parquet file, the same for the same rows, and its rows.

    zstd level 3 (of the levels 1 to 12 on web text: 184 MB/s a core and 35% of the size, where 1 gives
    215 and 44%, 9 gives 57 and 28%), of keys, which are noise, lz4 (half the time of zstd 1). Page checksums: a flipped
    byte is found before it is data. Row groups of at most 10,000 rows and about 64 MiB. Memory: the compressed
    file, one row group and one part.
    """
    sink, rows = pa.BufferOutputStream(), 0
    with pq.ParquetWriter(
        sink,
        stream.schema,
        compression="lz4" if stream.whole else "zstd",
        compression_level=None if stream.whole else 3,
        use_dictionary=not stream.whole,
        write_page_checksum=True,
        write_page_index=not stream.whole,
    ) as writer:
        for group in stream.parts if stream.whole else _row_groups(stream):
            writer.write_table(group, row_group_size=max(group.num_rows, 1))
            rows += group.num_rows
    return sink.getvalue(), rows


def _row_groups(stream: Stream) -> Iterator[pa.Table]:
    """Yield the row groups of `stream`; their boundaries do not depend on how the stream is divided into parts."""
    held: list[pa.Table] = []
    rows, size, value = 0, 0, None
    for part in stream.parts:
        sizes = _row_bytes(part)
        values = part.column(stream.group_by).to_pylist() if stream.group_by else None
        start = 0
        for row in range(part.num_rows):
            changed = values is not None and values[row] != value
            if rows and (rows == ROW_GROUP or size + sizes[row] > ROW_GROUP_BYTES or changed):
                yield pa.concat_tables([*held, part.slice(start, row - start)]).combine_chunks()
                held, start, rows, size = [], row, 0, 0
            rows, size = rows + 1, size + sizes[row]
            value = values[row] if values is not None else None
        held.append(part.slice(start))
    yield pa.concat_tables(held).combine_chunks() if held else stream.schema.empty_table()


def _row_bytes(table: pa.Table) -> list[int]:
    """Return the bytes of the strings of each row; the other columns hardly vary in size."""
    total = np.zeros(table.num_rows, np.int64)
    for column in table.columns:
        if pa.types.is_large_string(column.type) or pa.types.is_string(column.type):
            total += pc.fill_null(pc.binary_length(column), 0).to_numpy()
    return total.tolist()  # type: ignore[no-any-return]


def read_table(store: Store, file: DataFile, columns: list[str] | None = None, **options: Any) -> pa.Table:
    """Read a committed file, or some of its columns, checking the checksum of every page."""
    with store.open_input(file.path) as handle:
        return pq.read_table(handle, columns=columns, page_checksum_verification=True, use_threads=False, **options)


def read_groups(store: Store, file: DataFile, groups: list[int], columns: list[str] | None = None) -> pa.Table:
    """Read row groups of a committed file, or some of their columns; only their bytes are fetched."""
    with store.open_input(file.path) as handle:
        parquet = pq.ParquetFile(handle, page_checksum_verification=True)
        return parquet.read_row_groups(groups, columns=columns, use_threads=False)


def read_rows(
    store: Store, file: DataFile, rows: npt.NDArray[np.int64], columns: list[str]
) -> Iterator[tuple[npt.NDArray[np.int64], pa.Table]]:
    """Yield (rows, their table) for the sorted `rows` of a committed file, a row group at a time."""
    with store.open_input(file.path) as handle:
        parquet = pq.ParquetFile(handle, page_checksum_verification=True)
        sizes = [parquet.metadata.row_group(number).num_rows for number in range(parquet.num_row_groups)]
        starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        cuts = np.searchsorted(rows, starts)
        for number in range(len(sizes)):
            mine = rows[cuts[number] : cuts[number + 1]]
            if len(mine):
                table = parquet.read_row_group(number, columns=columns, use_threads=False)
                yield mine, table.take(mine - starts[number])


def commits(store: Store, of: Pass[Spec, Left]) -> dict[str, Commit[Left]]:
    """Return the commits of those units of a pass that are done, by unit id: one listing, and some reads at once."""
    wanted = {unit.id for unit in of.units}
    there = {unit: name for unit, name in names_of_commits(store, of).items() if unit in wanted}
    form = CommitFormat(of.work)
    return {unit: form.load(data) for unit, data in zip(there, read_each(store.get, there.values()), strict=True)}


def names_of_commits(store: Store, of: Pass[Spec, Left]) -> dict[str, str]:
    """Return the names of all commits of a pass, by unit id."""
    return {name.rsplit("/", 1)[-1].removesuffix(".json"): name for name in store.names(f"{of.folder}/units")}
