"""Parquet files that contain text already, such as those of CulturaX."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmedc.engine import slot
from mmedc.errors import RecipeError
from mmedc.inputs import Input
from mmedc.recipe_parts import SourceConfig
from mmedc.redact import first_line
from mmedc.sources.columns import BATCH_ROWS, add_row, named_columns
from mmedc.sources.pages import MISSING, chunk_at, readable_values
from mmedc.sources.raw import InputSplit, Records, check_size
from mmedc.storage import open_random
from mmedc.yamlfile import nearest

SUFFIXES = (".parquet",)
READ_ROWS = 128  # at a time, because each may be a book
DAMAGE = (pa.ArrowException, OSError, ValueError)
"""The exceptions that Arrow raises for unreadable bytes; `_Watched` distinguishes failures of the disk."""


class _Watched:
    """A file that records a read failure, because Arrow reports it in the same way as damage."""

    def __init__(self, one: Input) -> None:
        self._file = open_random(one.url)
        self.failure: OSError | None = None
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        """Read at the current place."""
        try:
            data: bytes = self._file.read(size)
        except OSError as problem:
            self.failure = problem
            raise
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a place."""
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        """Return the current place."""
        return int(self._file.tell())

    def size(self) -> int:
        """Return the size of the file in bytes, and move to its start."""
        size = self.seek(0, 2)
        self.seek(0)
        return size

    def close(self) -> None:
        """Close the file."""
        self.closed = True
        self._file.close()


@dataclass(frozen=True)
class ParquetReader:
    """Reads each row as one document, and only the columns that the recipe names.

    A damaged page costs its own rows. Rejected here: `no_text` (null, or no text at all), `too_large`,
    `damaged`, `no_column`, `ambiguous_column` (a name that occurs twice) and `empty_file`.
    """

    version: ClassVar[int] = 2

    def read(self, split: InputSplit, start: int, skip: frozenset[int]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a file or of some row groups; see `mmedc.engine.chain.Source`.

        Raises: OSError when the file cannot be read, or has another size than when it was listed.
        """
        records, one = Records(start, skip, BATCH_ROWS), split.inputs[0]
        watched = _Watched(one)
        try:
            check_size(one, watched.size())  # row groups were planned from the file as it was
            for row in _rows(one, split, watched):
                if isinstance(row, str):
                    yield from records.reject(
                        f"{one.name}#{row.partition(':')[0]}-{records.ordinal + 1}", one.name, row
                    )
                elif records.next():
                    place = f"row={row.pop('row')}"
                    slot.mark(records.ordinal)
                    yield from add_row(records, one.name, place, row, split.document_bytes)
            check_size(one, watched.size())
        finally:
            watched.close()
        yield from records.flush()


def _rows(one: Input, split: InputSplit, watched: _Watched) -> Iterator[dict[str, Any] | str]:
    """Yield rows by our names of their columns, and their number; and reasons to reject what is not read."""
    columns = named_columns(split.config)
    try:
        file = pq.ParquetFile(watched, page_checksum_verification=True)
        known = file.schema_arrow.names
    except DAMAGE as problem:
        _raise_failure(watched)
        whole = f"damaged: {first_line(problem)[:200]}; {one.bytes:,} bytes at offset 0 are damaged"
        yield whole if one.bytes else "empty_file: 0 bytes"
        return
    twice = [theirs for theirs in columns.values() if known.count(theirs) > 1]
    missing = [theirs for theirs in columns.values() if theirs not in _names(file)]
    if twice or missing:
        reason = "ambiguous_column" if twice else "no_column"
        yield f"{reason}: {', '.join(sorted({*twice, *missing}))}; {file.metadata.num_rows:,} rows are not read"
        return
    text_type = _type(file, columns["text"])
    if pa.types.is_nested(text_type):
        yield f"no_text: {columns['text']} holds {text_type}; {file.metadata.num_rows:,} rows are not read"
        return
    groups = range(*split.row_groups) if split.row_groups else range(file.num_row_groups)
    first = sum(file.metadata.row_group(index).num_rows for index in range(groups.start))
    for group in groups:
        yield from _group(file, watched, group, first, columns)
        first += file.metadata.row_group(group).num_rows


def _group(
    file: pq.ParquetFile, watched: _Watched, group: int, first: int, columns: dict[str, str]
) -> Iterator[dict[str, Any] | str]:
    """Yield the rows of a row group, the first of which has number `first`."""
    rows, done = file.metadata.row_group(group).num_rows, 0
    try:
        for batch in file.iter_batches(READ_ROWS, [group], columns=sorted(set(columns.values()))):
            values = {ours: _values(batch, ours, theirs) for ours, theirs in columns.items()}
            for index in range(batch.num_rows):
                yield {"row": first + done, **{ours: column[index] for ours, column in values.items()}}
                done += 1
        if done == rows:
            return
        what = f"{done:,} of {rows:,} rows of row group {group}"
    except DAMAGE as problem:
        _raise_failure(watched)
        what = first_line(problem)[:200]
    yield from _damaged_group(file, watched, group, first, done, columns, what)


def _damaged_group(
    file: pq.ParquetFile, watched: _Watched, group: int, first: int, done: int, columns: dict[str, str], what: str
) -> Iterator[dict[str, Any] | str]:
    """Yield what can be read of a damaged row group from its row `done` on, and what cannot."""
    rows = file.metadata.row_group(group).num_rows

    def values_of(ours: str, theirs: str) -> list[Any]:
        def convert(batch: pa.RecordBatch) -> list[Any]:
            return _values(batch, ours, theirs)

        values = readable_values(file, watched, group, theirs, convert)
        _raise_failure(watched)
        return values

    found = {ours: values_of(ours, theirs) for ours, theirs in columns.items()}
    for ours, values in found.items():
        lost = [number for number in range(done, rows) if values[number] is MISSING]
        if lost:
            theirs = columns[ours]
            kept = "" if ours == "text" else "; the rows are kept without it"
            yield (
                f"damaged: {what}; {theirs} of {len(lost):,} rows, {first + lost[0]} to {first + lost[-1]}, "
                f"{_bytes(watched, group, theirs)} are damaged{kept}"
            )
    for number in range(done, rows):
        if found["text"][number] is not MISSING:
            row = {ours: values[number] for ours, values in found.items()}
            yield {"row": first + number, **{ours: None if value is MISSING else value for ours, value in row.items()}}


def _raise_failure(watched: _Watched) -> None:
    if watched.failure is not None:
        raise watched.failure


def _bytes(watched: _Watched, group: int, name: str) -> str:
    """Say how many bytes a column takes in a row group, and where."""
    begin, size = chunk_at(watched, group, name)
    return f"in {size:,} bytes at offset {begin:,}," if size else "in bytes that the footer does not place,"


def _names(file: pq.ParquetFile) -> set[str]:
    """Return what a column can be called: its name, or the path of one inside a structure."""
    schema = file.metadata.schema
    paths = {schema.column(index).path for index in range(file.metadata.num_columns)}
    return {*file.schema_arrow.names, *paths}


def _type(file: pq.ParquetFile, name: str) -> pa.DataType:
    schema, kind = file.schema_arrow, None
    if name in schema.names:
        return schema.field(name).type
    for part in name.split("."):
        kind = (schema.field(part) if kind is None else kind.field(part)).type
    return kind


def _values(batch: pa.RecordBatch, ours: str, name: str) -> list[Any]:
    """Return a column of a batch as Python values: texts, or what becomes a text or a date later."""
    if name in batch.schema.names:
        column = batch.column(name)
    else:
        top, *rest = name.split(".")
        column = batch.column(top)
        for part in rest:
            column = pc.struct_field(column, part)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_timestamp(column.type):
        return _iso_times(column)
    if ours != "text" and pa.types.is_nested(column.type):
        return [None] * len(column)
    if ours != "text" and (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return list(column.to_pylist())
    return _strings(column)


def _iso_times(column: pa.Array) -> list[str | None]:
    """Return times as ISO 8601, in UTC where they have a zone, with as many digits as they need."""
    zone = "Z" if column.type.tz else ""
    texts = pc.strftime(column.cast(pa.timestamp(column.type.unit)), "%Y-%m-%dT%H:%M:%S").to_pylist()
    return [text and (text.rstrip("0").rstrip(".") if "." in text else text) + zone for text in texts]


def _strings(column: pa.Array) -> list[Any]:
    """Return a column as strings; values that are not UTF-8, which Parquet does not rule out, stay bytes."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.cast(pa.large_binary())  # whose cast to text checks it
    try:
        return column.cast(pa.large_string()).to_pylist()  # type: ignore[no-any-return]
    except pa.ArrowInvalid:
        return [_utf8_or_bytes(value) for value in column.to_pylist()]


def _utf8_or_bytes(value: Any) -> Any:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def row_group_ranges(source: str, one: Input, config: SourceConfig, unit_bytes: int) -> list[tuple[int, int] | None]:
    """Return ranges of row groups of about `unit_bytes` each, or [None] for a file that is one unit.

    Raises: RecipeError when the file lacks a column that the recipe names.
    """
    watched = _Watched(one)
    try:
        file = pq.ParquetFile(watched)
        meta, names = file.metadata, _names(file)
    except DAMAGE:
        _raise_failure(watched)
        return [None]  # what is wrong with it is counted when it is read
    finally:
        watched.close()
    for ours, theirs in named_columns(config).items():
        if theirs not in names:
            key = "url" if ours == "locator" else ours
            raise RecipeError(f'source "{source}": {one.name} has no column "{theirs}" ({key}){nearest(theirs, names)}')
    if one.bytes <= unit_bytes:
        return [None]
    # A column's place is not asked for: where the statistics of a footer are damaged, that ends the process.
    unpacked = [meta.row_group(index).total_byte_size for index in range(meta.num_row_groups)]
    share = one.bytes / max(sum(unpacked), 1)
    ranges: list[tuple[int, int] | None] = []
    first, size = 0, 0.0
    for index, bytes_unpacked in enumerate(unpacked):
        size += bytes_unpacked * share
        if size >= unit_bytes:
            ranges.append((first, index + 1))
            first, size = index + 1, 0.0
    if first < meta.num_row_groups:
        ranges.append((first, meta.num_row_groups))
    return ranges
