"""Large dumps of MediaWiki, in ranges of bytes, so that all workers read one dump.

A page belongs to the range in which its start tag begins, and whoever reads the range reads on to the end of that page.
A plain dump can be cut anywhere. One of bzip2 can be cut between its streams: the dumps of Wikimedia called
`multistream` have one for every hundred pages, and those packed by several processes one for every 900 kB. A dump of a
single stream, or packed by gzip, zstd or lz4, is read by one worker.
"""

import bz2
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from mmedc.books import wiki
from mmedc.books.book import Unreadable
from mmedc.books.sniff import HEAD_BYTES, format_of
from mmedc.inputs import Input
from mmedc.sources.containers import Item, elements
from mmedc.sources.content import BZIP2, FREE_BYTES
from mmedc.sources.raw import check_size, open_whole

PACKED = 4
"""A range of bzip2 has so many times fewer bytes, because they unpack to so many times more, or to more still."""
READ_BYTES = 1 << 20
_STREAM = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
"""How a stream begins: its header, and that of its first block or of its end; 80 bits, which chance does not make."""
_MAGIC_BYTES = 10


def ranges_of(file: Input, size: int) -> list[tuple[int, int]]:
    """Return the ranges of a dump that is larger than `size` bytes; none for any other file. Raises: OSError."""
    if file.problem or file.bytes <= size // PACKED:
        return []
    with open_whole(file) as stream:
        head = stream.read(HEAD_BYTES)
        if head.startswith(BZIP2):
            head, size = _unpacked_head(head + stream.read(READ_BYTES)), max(size // PACKED, 1)
    if file.bytes <= size or format_of(head, file.name) != "mediawiki":
        return []
    return [(low, min(low + size, file.bytes)) for low in range(0, file.bytes, size)]


def pages_of(file: Input, low: int, high: int, limit: int, ratio: float) -> Iterator[tuple[Item, str]]:
    """Yield the pages that begin in a range, and what cannot be read of it, each with the address of the wiki.

    Raises: OSError when the file cannot be read; Unreadable (`bomb`).
    """
    with open_whole(file) as stream:
        head = stream.read(HEAD_BYTES)
        packed = head.startswith(BZIP2)
        base = wiki.base_of(_unpacked_head(head + stream.read(READ_BYTES)) if packed else head)
    with open_whole(file, low) as stream:
        part = _Bzip2(file, stream, low, high, ratio) if packed else _Plain(file, stream, low, high)
        for item in elements(part, "page", limit):
            if part.own_end is not None and item.at >= part.own_end:
                break
            yield item._replace(place=f"bytes={low}&{item.place}"), base
        for number, problem in enumerate(part.problems, 1):
            yield Item(f"bytes={low}&damage={number}", "", b"", problem), base


def _unpacked_head(data: bytes) -> bytes:
    try:
        return bz2.BZ2Decompressor().decompress(data, HEAD_BYTES)
    except (OSError, ValueError):
        return b""


@dataclass
class _Plain:
    """A range of a plain file, and what follows it."""

    file: Input
    stream: IO[bytes]
    low: int
    high: int
    problems: list[str] = field(default_factory=list)
    given: int = 0

    @property
    def own_end(self) -> int | None:
        """How many bytes of what is read belong to the range."""
        return self.high - self.low

    def read(self, size: int) -> bytes:
        """Return the next bytes; none at the end of the file. Raises: OSError when the file is shorter than listed."""
        data = self.stream.read(size)
        self.given += len(data)
        if not data:
            check_size(self.file, self.low + self.given)
        return data


@dataclass
class _Bzip2:
    """The streams that begin in a range, unpacked, and what follows them."""

    file: Input
    stream: IO[bytes]
    at: int
    """Where in the file the bytes in `held` begin."""
    high: int
    ratio: float
    held: bytes = b""
    unpack: bz2.BZ2Decompressor | None = None
    began: int = 0
    """Where the current stream began."""
    own_end: int | None = None
    """How many bytes of what is read belong to the range; None as long as all do."""
    given: int = 0
    consumed: int = 0
    problems: list[str] = field(default_factory=list)

    def read(self, size: int) -> bytes:
        """Return the next unpacked bytes; none at the end. Raises: Unreadable (`bomb`), OSError."""
        while True:
            if self.unpack is None and not self._next_stream():
                self.own_end = self.given if self.own_end is None else self.own_end
                return b""
            data = self._unpacked(size)
            if data:
                self.given += len(data)
                if self.given > max(FREE_BYTES, self.consumed * self.ratio):
                    raise Unreadable(f"bomb: {self.consumed:,} bytes unpack to over {self.given:,}")
                return data

    def _next_stream(self) -> bool:
        """Go to the next stream; return whether there is one. If none begins in the range, none is read."""
        skipped = 0
        while True:
            found = _STREAM.search(self.held)
            if found:
                skipped += found.start()
                self._take(found.start())
                break
            keep = min(len(self.held), _MAGIC_BYTES - 1)
            skipped += len(self.held) - keep
            self._take(len(self.held) - keep)
            if self.at >= self.high and self.given == 0:  # the streams of this range begin before it
                return False
            if not self._fill():
                if self.given and (skipped or self.held):
                    self._lost(f"{skipped + len(self.held):,} bytes at its end are no bzip2 stream")
                return False
        if self.at >= self.high:
            self.own_end = self.given if self.own_end is None else self.own_end
            if not self.given:
                return False
        elif skipped and self.given:
            self._lost(f"{skipped:,} bytes before offset {self.at:,} are no bzip2 stream")
        self.unpack, self.began = bz2.BZ2Decompressor(), self.at
        return True

    def _unpacked(self, size: int) -> bytes:
        """Return the next bytes of the current stream; empty where it ends or breaks."""
        unpack = self.unpack
        assert unpack is not None
        if unpack.needs_input and not self.held and not self._fill():
            self._lost(f"the bzip2 stream at offset {self.began:,} ends early")
            self.unpack = None
            return b""
        given = self.held if unpack.needs_input else b""
        try:
            data = unpack.decompress(given, size)
        except (OSError, ValueError) as problem:
            self._lost(f"the bzip2 stream at offset {self.began:,} is broken ({problem})")
            self.unpack = None
            if self.at == self.began:  # so that the same stream is not found again
                self._take(_MAGIC_BYTES)
            return b""
        self._take(len(given) - len(unpack.unused_data))
        if given:
            self.consumed += len(given) - len(unpack.unused_data)
        if unpack.eof:
            self.unpack = None
        return data

    def _lost(self, what: str) -> None:
        """Note damage, unless it lies behind the range: then whoever reads the next one notes it."""
        if self.own_end is None:
            self.problems.append(f"damaged: {what}")

    def _take(self, size: int) -> None:
        self.held, self.at = self.held[size:], self.at + size

    def _fill(self) -> bool:
        """Read more of the file; return whether there was more. Raises: OSError when it is shorter than listed."""
        data = self.stream.read(READ_BYTES)
        if not data:
            check_size(self.file, self.at + len(self.held))
        self.held += data
        return bool(data)
