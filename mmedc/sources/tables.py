"""Parquet and JSON lines: corpora that hold text already, such as CulturaX."""

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmedc.errors import RecipeError
from mmedc.recipe import Source
from mmedc.redact import first_line
from mmedc.sources.raw import Records, utf8
from mmedc.storage import Input, file_system, open_binary
from mmedc.yamlfile import nearest

PARQUET_SUFFIXES = (".parquet",)
JSONL_SUFFIXES = tuple(f".{kind}{packed}" for kind in ("jsonl", "json", "ndjson") for packed in ("", ".gz", ".zst"))
BATCH_ROWS = 512
READ_ROWS = 128  # at a time from Parquet, whose rows may each be a book
BOMB_BYTES = 64 << 20  # that any compressed file may unpack to


def _columns(config: Source) -> dict[str, str]:
    """Return the file's column for each of ours that the recipe names."""
    named = {"text": config.text, "locator": config.url, "title": config.title, "date": config.date}
    return {ours: theirs for ours, theirs in named.items() if theirs}


def _open_parquet(one: Input) -> pq.ParquetFile:
    system, path = file_system(one.url)
    return pq.ParquetFile(system.open_input_file(path), page_checksum_verification=True)


def row_group_ranges(source: str, one: Input, config: Source, unit_bytes: int) -> list[tuple[int, int] | None]:
    """Return ranges of row groups of about `unit_bytes` each, or [None] for a file that is one unit.

    Raises: RecipeError when the file lacks a column that the recipe names.
    """
    try:
        meta = _open_parquet(one).metadata
    except (OSError, pa.ArrowInvalid):
        return [None]  # what is wrong with it is counted when it is read
    names = {meta.schema.column(index).path.split(".")[0] for index in range(meta.num_columns)}
    for ours, theirs in _columns(config).items():
        if theirs not in names:
            key = "url" if ours == "locator" else ours
            raise RecipeError(f'source "{source}": {one.name} has no column "{theirs}" ({key}){nearest(theirs, names)}')
    if one.bytes <= unit_bytes:
        return [None]
    ranges: list[tuple[int, int] | None] = []
    first, size = 0, 0
    for index in range(meta.num_row_groups):
        group = meta.row_group(index)
        size += sum(group.column(c).total_compressed_size for c in range(group.num_columns))
        if size >= unit_bytes:
            ranges.append((first, index + 1))
            first, size = index + 1, 0
    if first < meta.num_row_groups:
        ranges.append((first, meta.num_row_groups))
    return ranges


def read_parquet(
    one: Input, config: Source, row_groups: tuple[int, int] | None, limit: int, start: int, skip: frozenset[int]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet file, reading only the columns named; see `Reader.read`.

    Rejected here: `no_text` (null), `too_large`, `damaged`, `no_column`, `unreadable`.
    """
    records, columns = Records(start, skip, BATCH_ROWS), _columns(config)
    try:
        file = _open_parquet(one)
        groups = list(range(*row_groups)) if row_groups else list(range(file.num_row_groups))
        first_row = sum(file.metadata.row_group(index).num_rows for index in range(groups[0])) if groups else 0
        missing = set(columns.values()) - set(file.schema_arrow.names)
        if missing:
            records.next()
            yield from records.add(one.name, one.name, rejected_by=f"no_column: {', '.join(sorted(missing))}")
            groups = []
        for batch in file.iter_batches(READ_ROWS, groups, columns=sorted(set(columns.values()))):
            values = {ours: _strings(batch.column(theirs)) for ours, theirs in columns.items()}
            for index in range(batch.num_rows):
                if records.next():
                    row = {ours: column[index] for ours, column in values.items()}
                    yield from _add_text(records, one, f"row={first_row + records.ordinal}", row, limit)
    except (FileNotFoundError, PermissionError) as problem:
        records.next()
        yield from records.add(one.name, one.name, rejected_by=f"unreadable: {problem.strerror}")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as problem:
        if isinstance(problem, OSError) and "://" in one.url and not isinstance(problem, pa.ArrowException):
            raise
        records.next()
        reason = "empty_file: 0 bytes" if not one.bytes else f"damaged: {first_line(problem)[:200]}"
        yield from records.add(f"{one.name}#damaged", one.name, rejected_by=reason)
    yield from records.flush()


def _strings(column: pa.Array) -> list[Any]:
    """Return a column as strings; bytes where they are no UTF-8, which Parquet does not promise."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
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


def read_jsonl(
    one: Input, config: Source, limit: int, start: int, skip: frozenset[int], ratio: float
) -> Iterator[pa.RecordBatch]:
    """Yield the lines of a JSON-lines file; see `Reader.read`.

    Rejected here: `bad_json`, `no_text`, `too_large`, `damaged` (a broken gzip or zstd stream), `unreadable`,
    `bomb` (a file that unpacks to more than `ratio` times its size: the rest of it).
    """
    records, columns = Records(start, skip, BATCH_ROWS), _columns(config)
    most = max(BOMB_BYTES, one.bytes * ratio) if one.name.endswith((".gz", ".zst")) else float("inf")
    unpacked = 0
    try:
        with _open_lines(one) as stream:
            while line := stream.readline(limit + 1):
                too_long = len(line) > limit
                unpacked += len(line)
                while too_long and unpacked <= most and not line.endswith(b"\n"):
                    line = stream.readline(1 << 20)
                    unpacked += len(line)
                    if not line:
                        break
                if unpacked > most:
                    records.next()
                    rest = f"bomb: {one.bytes:,} bytes unpack to over {most:,.0f}; the rest is not read"
                    yield from records.add(f"{one.name}#bomb", one.name, rejected_by=rest)
                    break
                if not too_long and not line.strip():
                    continue
                if not records.next():
                    continue
                where = f"{one.name}#line={records.ordinal + 1}"
                row, problem = (None, f"too_large: over {limit:,} bytes") if too_long else _parse(line)
                if row is None:
                    yield from records.add(where, where, rejected_by=problem, payload=line[:4096])
                else:
                    picked = {ours: row.get(theirs) for ours, theirs in columns.items()}
                    yield from _add_text(records, one, f"line={records.ordinal + 1}", picked, limit)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as problem:
        records.next()
        yield from records.add(one.name, one.name, rejected_by=f"unreadable: {problem.strerror}")
    except (OSError, EOFError, zlib.error, _zstd_error()) as problem:
        if "://" in one.url and type(problem) is OSError:
            raise
        records.next()
        yield from records.add(f"{one.name}#damaged", one.name, rejected_by=f"damaged: {problem}")
    yield from records.flush()


def _add_text(records: Records, one: Input, place: str, row: dict[str, Any], limit: int) -> Iterator[pa.RecordBatch]:
    where = f"{one.name}#{place}"
    text = row.pop("text", None)
    locator = row.pop("locator", None)
    values = {key: utf8(value) for key, value in row.items() if isinstance(value, str)}
    if records.skipped:
        pass
    elif not isinstance(text, str):
        values["rejected_by"] = f"no_text: {'null' if text is None else type(text).__name__}"
    elif len(text) > limit:
        values["rejected_by"] = f"too_large: {len(text):,} characters, at most {limit:,} are read"
    else:
        values["text"] = utf8(text)
    yield from records.add(utf8(locator) if isinstance(locator, str) and locator else where, where, **values)


def _open_lines(one: Input) -> Any:
    stream: Any = open_binary(one.url)
    if one.name.endswith(".gz"):
        return gzip.open(stream, "rb")
    if one.name.endswith(".zst"):
        import zstandard

        unpacked = zstandard.ZstdDecompressor(max_window_size=128 << 20).stream_reader(stream, read_across_frames=True)
        return io.BufferedReader(unpacked, 1 << 20)
    return io.BufferedReader(stream, 1 << 20)


def _zstd_error() -> type[Exception]:
    import zstandard

    return zstandard.ZstdError


def _parse(line: bytes) -> tuple[dict[str, Any] | None, str]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as problem:
        return None, f"bad_json: {problem}"
    return (row, "") if isinstance(row, dict) else (None, f"bad_json: {type(row).__name__}, not an object")
