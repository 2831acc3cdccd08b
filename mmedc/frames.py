"""zstd frames (RFC 8878) and lz4 frames: sequences of blocks that state their lengths and so can be walked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mmedc.tape import Tape

EARLY = "it ends early"
ZSTD = b"\x28\xb5\x2f\xfd"
LZ4 = b"\x04\x22\x4d\x18"
LZ4_BLOCKS = {4: 64 << 10, 5: 256 << 10, 6: 1 << 20, 7: 4 << 20}
MAX_WINDOW = 128 << 20  # bytes that a zstd frame may look back


class Broken(Exception):
    """A frame that violates its format."""


def _zstd_blocks(tape: Tape, at: int) -> Iterator[bytes]:
    """Yield header, blocks and checksum of the zstd frame at `at`. Raises: Broken."""
    mark = tape.bytes_at(at + 4, 1)
    if not mark:
        raise Broken(EARLY)
    flags = mark[0]
    single = flags >> 5 & 1
    size = 5 + (not single) + (0, 1, 2, 4)[flags & 3] + (single, 2, 4, 8)[flags >> 6]
    yield _whole(tape, at, size)
    at, last = at + size, False
    while not last:
        head = int.from_bytes(_whole(tape, at, 3), "little")
        last, kind, size = bool(head & 1), head >> 1 & 3, head >> 3
        if kind == 3 or size > 128 << 10:
            raise Broken("a block has no valid header")
        size = 3 + (1 if kind == 1 else size)
        yield _whole(tape, at, size)
        at += size
    if flags & 4:
        yield _whole(tape, at, 4)


def _lz4_blocks(tape: Tape, at: int) -> Iterator[bytes]:
    """Yield header, blocks and end of the lz4 frame at `at`. Raises: Broken."""
    flags, sizes = _whole(tape, at + 4, 2)
    largest = LZ4_BLOCKS.get(sizes >> 4 & 7)
    if flags >> 6 != 1 or largest is None:
        raise Broken("its header is not valid")
    size = 7 + 8 * (flags >> 3 & 1) + 4 * (flags & 1)
    yield _whole(tape, at, size)
    at += size
    while head := int.from_bytes(_whole(tape, at, 4), "little"):
        if head & 0x7FFFFFFF > largest:
            raise Broken("a block has no valid header")
        size = 4 + (head & 0x7FFFFFFF) + 4 * (flags >> 4 & 1)
        yield _whole(tape, at, size)
        at += size
    yield _whole(tape, at, 4 + 4 * (flags >> 2 & 1))


def _whole(tape: Tape, at: int, size: int) -> bytes:
    data = tape.bytes_at(at, size)
    if len(data) < size:
        raise Broken(EARLY)
    return data


@dataclass(frozen=True)
class Frames:
    """A format whose frames can be walked block by block."""

    kind: str
    magic: bytes
    walk: Callable[[Tape, int], Iterator[bytes]]
    opened: Callable[[], Any]
    """Returns what unpacks one frame, fed block by block."""
    errors: tuple[type[Exception], ...]

    def begins(self, tape: Tape, at: int) -> bool:
        """Tell whether a frame begins at `at`, by its header and first block."""
        blocks, frame = self.walk(tape, at), self.opened()
        try:
            frame.decompress(next(blocks))
            frame.decompress(next(blocks))
        except self.errors:
            return False
        return True


def _zstd_frames(tape: Tape, at: int) -> Frames:
    import zstandard

    dictionary = _zstd_dictionary(tape, at)

    def opened() -> Any:
        return zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=MAX_WINDOW).decompressobj()

    return Frames("zstd frame", ZSTD, _zstd_blocks, opened, (Broken, zstandard.ZstdError))


def _lz4_frames(tape: Tape, at: int) -> Frames:
    return Frames("lz4 frame", LZ4, _lz4_blocks, _Lz4, (Broken, RuntimeError))


def _zstd_dictionary(tape: Tape, at: int) -> Any:
    """Return the dictionary that a WARC may begin with, in a skippable frame of its own, or None."""
    import zstandard

    if tape.bytes_at(at, 4) != b"\x5d\x2a\x4d\x18":
        return None
    data = tape.bytes_at(at + 8, int.from_bytes(tape.bytes_at(at + 4, 4), "little"))
    try:
        if data.startswith(ZSTD):
            data = zstandard.ZstdDecompressor().decompress(data, max_output_size=MAX_WINDOW)
        return zstandard.ZstdCompressionDict(data)
    except zstandard.ZstdError:
        return None  # every frame that needs it will be reported


class _Lz4:
    """Unpacks one lz4 frame, of which it is fed header and blocks one by one."""

    def __init__(self) -> None:
        import lz4.frame

        self._unpack: Any = lz4.frame.decompress_chunk
        self._context: Any = lz4.frame.create_decompression_context()
        self._largest = 0

    def decompress(self, block: bytes) -> bytes:
        """Return what a block unpacks to. Raises: RuntimeError."""
        self._largest = self._largest or LZ4_BLOCKS[block[5] >> 4 & 7]
        # With room for a whole block, nothing of it is kept back for the next call.
        data: bytes = self._unpack(self._context, block, max_length=self._largest)[0]
        return data


FRAMED = {"zstd": _zstd_frames, "lz4": _lz4_frames}
