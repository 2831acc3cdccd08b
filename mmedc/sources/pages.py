"""Reading of damaged Parquet column chunks: every sound page of a chunk is recovered.

Arrow stops at the first page that it cannot read. Each page is therefore read while all other pages of its chunk
are replaced, in memory, by pages of nulls of the same length (Parquet format, `PageHeader` in
parquet.thrift; version 2 pages are not compressed). This is used only for damaged files.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

MISSING = object()
"""The placeholder of a value that cannot be read."""
DICTIONARY_PAGE, INDEX_PAGE, DATA_PAGE, DATA_PAGE_V2 = 2, 1, 0, 3
MAX_CHUNK = 1 << 30  # bytes of the largest column chunk that is held in memory
STEP_ROWS = 64


@dataclass(frozen=True)
class _Page:
    begin: int
    end: int
    first: int
    """The number of its first row in the row group."""
    rows: int


def readable_values(
    file: pq.ParquetFile, source: Any, group: int, name: str, convert: Callable[[pa.RecordBatch], list[Any]]
) -> list[Any]:
    """Return the values of column `name` in a row group, with `MISSING` for those that cannot be read.

    `source` is the file as Arrow reads it; `convert` turns batches of the column into values.
    """
    rows = file.metadata.row_group(group).num_rows
    values = _first_values(file, group, name, convert)
    values += [MISSING] * (rows - len(values))
    if MISSING not in values:
        return values
    index = next((i for i in range(file.metadata.num_columns) if file.metadata.schema.column(i).path == name), None)
    if index is None:
        return values
    shape, (begin, size) = file.metadata.schema.column(index), chunk_at(source, group, name)
    if shape.max_repetition_level or not shape.max_definition_level or not 0 < size <= MAX_CHUNK:
        return values  # a page of nulls cannot replace a page of such a column
    source.seek(begin)
    data = source.read(size)
    pages = _pages(data, rows)
    for page in pages:
        if any(value is MISSING for value in values[page.first : page.first + page.rows]):
            patched = bytearray(data)
            for other in pages:
                if other is not page and (nulls := _nulls(other)):
                    patched[other.begin : other.end] = nulls
            found = _alone(file, source, begin, bytes(patched), group, name, convert)
            if len(found) == rows:
                values[page.first : page.first + page.rows] = found[page.first : page.first + page.rows]
    return values


def chunk_at(source: Any, group: int, name: str) -> tuple[int, int]:
    """Return (offset, bytes) of a column in a row group, or (0, 0) if the footer does not state them.

    The footer is parsed here, because Arrow crashes when it is asked for a column of a footer with damaged statistics.
    """
    source.seek(-8, io.SEEK_END)
    size = int.from_bytes(source.read(4), "little")
    try:
        source.seek(-8 - size, io.SEEK_END)
        footer, _ = _struct(source.read(size), 0)
        for column in footer[4][group][1]:
            meta = column[3]
            if b".".join(meta[3]) == name.encode():
                begin, length = meta.get(11) or meta[9], meta[7]
                return (begin, length) if isinstance(begin, int) and isinstance(length, int) and begin > 0 else (0, 0)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OSError, RecursionError):
        pass
    return 0, 0


def _first_values(file: pq.ParquetFile, group: int, name: str, convert: Callable[[Any], list[Any]]) -> list[Any]:
    """Return the values before the first one that cannot be read."""
    values: list[Any] = []
    try:
        for batch in file.iter_batches(STEP_ROWS, [group], columns=[name]):
            values += convert(batch)
    except (pa.ArrowException, OSError, ValueError):
        pass
    return values


def _alone(
    file: pq.ParquetFile, source: Any, begin: int, patched: bytes, group: int, name: str, convert: Callable[[Any], Any]
) -> list[Any]:
    """Return the values of a column when its chunk at offset `begin` is replaced by `patched`."""
    view = pq.ParquetFile(_Patched(source, begin, patched), metadata=file.metadata, page_checksum_verification=True)
    return _first_values(view, group, name, convert)


class _Patched(io.RawIOBase):
    """A file in which some bytes are replaced."""

    def __init__(self, source: Any, begin: int, patch: bytes) -> None:
        self._source, self._begin, self._patch, self._at = source, begin, patch, 0
        source.seek(0, io.SEEK_END)
        self._size = source.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        size = self._size - self._at if size < 0 else size
        self._source.seek(self._at)
        data = bytearray(self._source.read(size))
        low, high = max(self._begin, self._at), min(self._begin + len(self._patch), self._at + len(data))
        if low < high:
            data[low - self._at : high - self._at] = self._patch[low - self._begin : high - self._begin]
        self._at += len(data)
        return bytes(data)


def _pages(data: bytes, rows: int) -> list[_Page]:
    """Return the data pages of a column chunk, up to the first whose header cannot be read."""
    pages: list[_Page] = []
    at, first = 0, 0
    while at < len(data) and first < rows:
        try:
            header, body = _struct(data, at)
            size, kind = header[3], header[1]
            values = header[5 if kind == DATA_PAGE else 8][1] if kind in (DATA_PAGE, DATA_PAGE_V2) else 0
        except (KeyError, IndexError, TypeError, RecursionError):
            break
        if not (isinstance(size, int) and isinstance(values, int)):
            break
        end = body + size
        if size < 0 or end > len(data) or not 0 <= values <= rows - first:
            break
        if kind in (DATA_PAGE, DATA_PAGE_V2):
            pages.append(_Page(at, end, first, values))
            first += values
        at = end
    return pages


def _nulls(page: _Page) -> bytes:
    """Return a page with as many nulls and exactly as many bytes as `page`; b"" if the bytes are too few."""
    levels = _varint(page.rows << 1) + b"\0"  # one run of definition level 0
    fields = [page.rows, page.rows, page.rows, 0, len(levels), 0]
    inner = b"".join(b"\x15" + _varint(value << 1) for value in fields) + b"\x12\0"  # not compressed
    fixed = 2 + 6 + 6 + 1 + len(inner) + 1
    body = page.end - page.begin - fixed
    if body < len(levels):
        return b""
    size = _varint(body << 1, 5)
    return b"\x15\x06\x15" + size + b"\x15" + size + b"\x5c" + inner + b"\0" + levels + b"\0" * (body - len(levels))


def _varint(value: int, width: int = 1) -> bytes:
    """Return a number as written by thrift's compact protocol, in at least `width` bytes."""
    out = bytearray()
    while value > 0x7F or len(out) < width - 1:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


# Thrift's compact protocol, as far as page headers need it


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise IndexError("a number without an end")


def _struct(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    """Return (the fields of the struct at `at` by their numbers, where it ends). Raises: IndexError."""
    fields: dict[int, Any] = {}
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            raw, at = _number(data, at)
            number = raw >> 1 ^ -(raw & 1)
        fields[number], at = _value(data, at, head & 15)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):
        return kind == 1, at
    if kind == 3:
        return data[at], at + 1
    if kind in (4, 5, 6):
        raw, at = _number(data, at)
        return raw >> 1 ^ -(raw & 1), at
    if kind == 7:
        return data[at : at + 8], at + 8
    if kind == 8:
        size, at = _number(data, at)
        return data[at : at + size], at + size
    if kind in (9, 10):
        head = data[at]
        size, at = _number(data, at + 1) if head >> 4 == 15 else (head >> 4, at + 1)
        items = []
        for _ in range(min(size, len(data))):
            item, at = _value(data, at, head & 15)
            items.append(item)
        return items, at
    if kind == 12:
        return _struct(data, at)
    raise IndexError(f"a field of type {kind}")
