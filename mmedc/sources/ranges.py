"""Records of an archive that are fetched one by one: which they are, merged requests, and one stream of their bytes.

The stream is what a WARC file of only these records would be, so the reader of WARC files reads it, with its account of
every byte and every kind of damage; `RangeStream.place` says where in the archive a byte of it is from.
"""

import hashlib
import io
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mmedc.storage import Store

ROW = np.dtype([("file", "<i4"), ("offset", "<i8"), ("length", "<i4"), ("cut", "?")])
"""A record: the number of its file, its place in it, and whether the archive cut its payload."""
GAP_BYTES = 64 << 10
"""Unwanted bytes between two records that cost less than a second request."""
REQUEST_BYTES = 8 << 20
AHEAD = 4
"""Requests under way at once."""


@dataclass(frozen=True)
class Ranges:
    """Records of WARC files that lie below one URL."""

    base: str
    names: tuple[str, ...]
    """The files, below `base`."""
    rows: bytes
    """ROW for each record, by file and offset."""

    @property
    def table(self) -> npt.NDArray[Any]:
        """The rows as a structured array."""
        return np.frombuffer(self.rows, ROW)

    def identity(self) -> list[object]:
        """Return what is read; where the files are does not count."""
        return [list(self.names), hashlib.sha256(self.rows).hexdigest()]


@dataclass(frozen=True)
class Request:
    """Some bytes of a file, and the records in them as slices of these bytes."""

    name: str
    start: int
    end: int
    parts: tuple[tuple[int, int], ...]


def requests_of(ranges: Ranges) -> Iterator[Request]:
    """Yield the requests that fetch the records which are whole, in their order, near ones together."""
    name, start, end = "", 0, 0
    parts: list[tuple[int, int]] = []
    for file, offset, length, cut in ranges.table.tolist():
        if cut:
            continue
        near = (
            name == ranges.names[file] and 0 <= offset - end <= GAP_BYTES and offset + length - start <= REQUEST_BYTES
        )
        if parts and not near:
            yield Request(name, start, end, tuple(parts))
            parts = []
        if not parts:
            name, start = ranges.names[file], offset
        parts.append((offset - start, offset - start + length))
        end = offset + length
    if parts:
        yield Request(name, start, end, tuple(parts))


class RangeStream(io.RawIOBase):
    """The bytes of the records one after another, fetched ahead. Raises: OSError, StorageError."""

    def __init__(self, ranges: Ranges) -> None:
        self._ranges, self._store = ranges, Store(ranges.base)
        table = ranges.table[~ranges.table["cut"]]
        self._files, self._offsets = table["file"].tolist(), table["offset"].tolist()
        lengths = table["length"].astype(np.int64)
        self._starts = [0, *np.cumsum(lengths).tolist()]
        self.size = int(lengths.sum())
        """The bytes of all records."""
        self._requests = requests_of(ranges)
        self._pool = ThreadPoolExecutor(AHEAD)
        self._coming: deque[Future[bytes]] = deque()
        self._held, self._at = memoryview(b""), 0

    def readable(self) -> bool:
        """Return that it is a stream to read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as the held bytes reach."""
        while not self._held:
            while len(self._coming) < AHEAD and (request := next(self._requests, None)):
                self._coming.append(self._pool.submit(self._fetch, request))
            if not self._coming:
                return 0
            self._held = memoryview(self._coming.popleft().result())
        size = min(len(self._held), len(buffer))
        buffer[:size] = self._held[:size]
        self._held = self._held[size:]
        return size

    def _fetch(self, request: Request) -> bytes:
        try:
            data = self._store.get_range(request.name, request.start, request.end)
        except FileNotFoundError:
            raise OSError(f"{self._ranges.base}: has no {request.name}, which the index names") from None
        return b"".join([data[start:end] for start, end in request.parts])

    def place(self, at: str) -> tuple[str, str]:
        """Return the file, and the offset in it, of offset `at` of the stream (`12`, or `12+3` in its member)."""
        begin, plus, inside = at.partition("+")
        number = min(max(bisect_right(self._starts, int(begin)) - 1, 0), len(self._files) - 1)
        offset = self._offsets[number] + int(begin) - self._starts[number]
        return self._ranges.names[self._files[number]], f"{offset}{plus}{inside}"

    def close(self) -> None:
        """End the requests under way."""
        if not self.closed:
            self._pool.shutdown(cancel_futures=True)
        super().close()
