"""The content of files of books: unpacked, in parts or as a whole, within bounds."""

import bz2
from collections.abc import Iterator
from dataclasses import dataclass

from mmedc.books.book import Unreadable
from mmedc.inputs import Input
from mmedc.sources.raw import check_size, open_whole
from mmedc.unpack import Damage, Unpacked

FREE_BYTES = 64 << 20
"""A compressed file may unpack to so many bytes whatever its ratio."""
BZIP2 = b"BZh"
MAX_EMPTY = 8
BLOCK_BYTES = 512
"""A block of a tar archive."""


def parts_of(file: Input, ratio: float) -> Iterator[bytes]:
    """Yield the unpacked content of a file in parts.

    Raises: OSError when the file cannot be read; Unreadable (`damaged`, `bomb`, `unreadable`) behind what is sound.
    """
    if file.problem:
        raise Unreadable(f"unreadable: {file.problem}")
    with open_whole(file) as stream:
        unpacked = Unpacked(stream, file.name)
        sound = _unpacked(unpacked)
        first = next(sound, b"")
        packed = bool(unpacked.codec)
        given = 0
        if first.startswith(BZIP2):
            sound, packed, first = _bunzipped(first, sound), True, b""
        for data in _chain(first, sound):
            given += len(data)
            if packed and given > max(FREE_BYTES, file.bytes * ratio):
                raise Unreadable(
                    f"bomb: {file.bytes:,} bytes unpack to over {max(FREE_BYTES, file.bytes * ratio):,.0f}"
                )
            yield data
        check_size(file, unpacked.tape.end)


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _unpacked(unpacked: Unpacked) -> Iterator[bytes]:
    for event in unpacked:
        if isinstance(event, Damage):
            raise Unreadable(f"damaged: {event}")
        yield event.data


def _bunzipped(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of bzip2 streams, one after another as in dumps of MediaWiki."""
    unpack, at, begun = bz2.BZ2Decompressor(), 0, False
    for data in _chain(first, rest):
        while data:
            try:
                out = unpack.decompress(data, 1 << 22)
                while out:
                    yield out
                    out = b"" if unpack.needs_input or unpack.eof else unpack.decompress(b"", 1 << 22)
            except (OSError, ValueError) as problem:
                raise Unreadable(f"damaged: bzip2 data is broken near byte {at:,} ({problem})") from None
            at += len(data)
            data = unpack.unused_data if unpack.eof else b""
            begun = not unpack.eof
            if unpack.eof:
                unpack = bz2.BZ2Decompressor()
    if begun:
        raise Unreadable("damaged: the bzip2 data ends early")


@dataclass
class Stream:
    """A file read from its beginning to its end, in pieces of any size, for readers of containers."""

    parts: Iterator[bytes]
    most: int
    """The bytes that are asked for at once at most; a container that asks for more lies about its sizes."""
    held: bytes = b""
    """What was fetched last; the bytes before `at` are taken."""
    at: int = 0
    empty: int = 0
    """How often in a row nothing was left to take."""
    last: bytes = b""
    """The last bytes that were taken."""
    failed: Unreadable | None = None
    """Why the file cannot be read any further."""

    def head(self, size: int) -> bytes:
        """Return the first `size` bytes without taking them."""
        while len(self.held) < size and (part := next(self.parts, b"")):
            self.held += part
        return self.held[:size]

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes, fewer at the end. Raises: Unreadable when it is asked for too much."""
        if size > self.most:
            raise Unreadable(f"too_large: a member has {size:,} bytes, at most {self.most:,} are read")
        pieces: list[bytes] = []
        got = 0
        while size < 0 or got < size:
            if self.at == len(self.held):
                if self.failed:
                    raise self.failed
                try:
                    self.held, self.at = next(self.parts, b""), 0
                except Unreadable as problem:
                    self.held, self.at, self.failed = b"", 0, problem
                    if not pieces or size < 0:
                        raise
                if not self.held:  # at the end, or at damage behind what is sound
                    break
            stop = len(self.held) if size < 0 else min(self.at + size - got, len(self.held))
            pieces.append(self.held[self.at : stop])
            got += stop - self.at
            self.at = stop
            if size < 0 and got > self.most:
                raise Unreadable(f"too_large: over {self.most:,} bytes")
        whole = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.empty = self.empty + 1 if not whole else 0
        if self.empty > MAX_EMPTY:  # a reader of tar would ask for every block of a terabyte that is not there
            raise Unreadable("damaged: the file ends inside a member")
        self.last = (self.last + whole[-BLOCK_BYTES:])[-BLOCK_BYTES:]
        return whole
