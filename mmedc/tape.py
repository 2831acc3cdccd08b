"""A stream of bytes with absolute offsets, in which bytes that are still needed can be read again."""

from typing import IO

READ_BYTES = 256 << 10  # at a time


class Tape:
    """A stream with absolute offsets whose bytes can be read again until `forget` is called for them."""

    def __init__(self, stream: IO[bytes], at: int = 0) -> None:
        self._stream, self._data, self._base, self._keep = stream, b"", at, at
        self.end = at
        """Offset up to which the stream has been read."""

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset` on; fewer only where the file ends."""
        while offset + size > self.end and self._fill():
            pass
        start = offset - self._base
        return self._data[start : start + size]

    def find(self, mark: bytes, offset: int, stop: int | None = None) -> int | None:
        """Return the offset of the first `mark` from `offset` on that begins before `stop`, or None."""
        while True:
            start = max(offset - self._base, 0)
            found = self._data.find(mark, start, None if stop is None else stop - self._base + len(mark) - 1)
            if found >= 0:
                return self._base + found
            offset = max(offset, self.end - len(mark) + 1)
            if (stop is not None and self.end >= stop + len(mark) - 1) or not self._fill():
                return None

    def forget(self, offset: int) -> None:
        """Allow the bytes before `offset` to be dropped at the next read."""
        self._keep = max(self._keep, offset)

    def _fill(self) -> bool:
        more = self._stream.read(READ_BYTES)
        if self._keep > self._base:
            self._data, self._base = self._data[self._keep - self._base :], min(self._keep, self.end)
        self._data += more
        self.end += len(more)
        return bool(more)
