"""Decompression of files, member by member, with an account of every byte.

A file is a sequence of members: gzip members (RFC 1952), zstd frames (RFC 8878) or lz4 frames; a plain file
is one member. The first bytes decide which; the name is only a hint. After damage, reading resumes at the next
sound member. Every byte on disk is either in a complete member whose checksum is right (sound),
or is reported as `Damage`; the end of an iterator is never taken for the end of a file.
"""

import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import IO, Any, Literal

from isal import isal_zlib

from mmedc.errors import AccountingError
from mmedc.frames import EARLY, FRAMED, LZ4, ZSTD, Broken, Frames
from mmedc.tape import Tape

CHUNK_BYTES = 1 << 20  # given out at a time
FEED_BYTES = 1 << 15  # a gzip member is fed in slices: what follows its end is copied by the library
STORED_BYTES = {"gzip": 64 << 10, "zstd": 128 << 10, "lz4": 4 << 20}
"""The largest block that is copied as it is: so far into what follows a cut can a member seem to go on."""
PROOF_BYTES = 64 << 10  # that a member found after damage must unpack to, unless it ends before
PROOF_LAST = 512  # the same where the file ends before the member does
GZIP = b"\x1f\x8b\x08"
MAX_FLAGS = b"\x1f"  # of a gzip header; the bits above are reserved and must be zero, which isal does not check
CHECKED_HEADERS = tuple(bytes([flags]) for flags in range(32) if flags & 2)  # their checksum only zlib verifies
INFLATE_ERRORS: tuple[type[Exception], ...] = (isal_zlib.error, zlib.error)  # type: ignore[assignment]
MAGIC = {"gzip": GZIP[:2], "zstd": ZSTD, "lz4": LZ4}
SUFFIXES = {".gz": "gzip", ".bgz": "gzip", ".zst": "zstd", ".zstd": "zstd", ".lz4": "lz4"}
CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f")
HEAD_BYTES = 256  # of a file, by which text is told from packed bytes
MAX_SKIPPED = 64 << 20  # bytes of a skippable frame; more is taken for damage to its length


def packed_suffixes(*suffixes: str) -> tuple[str, ...]:
    """Return each suffix alone, and followed by the suffix of each kind of compression."""
    return tuple(suffix + packed for suffix in suffixes for packed in ("", *SUFFIXES))


@dataclass(frozen=True)
class MemberPart:
    """Unpacked bytes of one member, in order."""

    data: bytes
    at: int
    """Offset on disk of the member; of plain data, of the part itself."""
    first: bool
    """True when the member begins here."""


Fault = Literal["cut", "broken", "foreign"]
"""A member that ends early; one that is not as its format asks; bytes where no member begins."""


@dataclass(frozen=True)
class Damage:
    """Bytes on disk that hold nothing sound."""

    at: int
    end: int
    what: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.what}; {self.end - self.at:,} bytes at offset {self.at:,} are damaged"


@dataclass
class Account:
    """The numbers of sound and damaged bytes on disk, which add up to the size of the file."""

    sound: int = 0
    damaged: int = 0


Events = Iterator[MemberPart | Damage]


class Unpacked:
    """Iterates over the parts and the damage of a file, in the order of its bytes."""

    def __init__(
        self, stream: IO[bytes], name: str = "", at: int = 0, hold: bool = False, codec: str | None = None
    ) -> None:
        """Begin at offset `at` of a file called `name`, to which `stream` has been moved.

        With `hold`, a member of up to 1 MiB whose checksum disagrees is damage as a whole; without it,
        what it unpacked to is given out before the damage is reported. `codec` says what packs the file, where
        that is known already.
        """
        self.tape, self.account, self.hold, self.at = Tape(stream, at), Account(), hold, at
        self.codec = _codec(self.tape, at, name) if codec is None else codec
        """What packs the file: gzip, zstd, lz4 or nothing."""
        self.given = 0
        """Unpacked bytes given out so far."""
        self._leap = False

    def leap(self) -> None:
        """Skip the rest of the current member without unpacking it, if it has not ended yet."""
        self._leap = True

    def __iter__(self) -> Events:
        """Yield parts and damage. Raises: AccountingError if a byte belongs to neither."""
        for event in self._events():
            if isinstance(event, MemberPart):
                self.given += len(event.data)
            yield event
        account = self.account
        found = account.sound + account.damaged
        if found != self.tape.end - self.at:
            raise AccountingError(f"{self.tape.end - self.at:,} bytes on disk, but {found:,} are accounted for")

    def _events(self) -> Events:
        if self.codec in FRAMED:
            return _framed(self, FRAMED[self.codec](self.tape, self.at))
        return _gzip(self) if self.codec else _plain(self)

    def lost(self, at: int, end: int, what: str, fault: Fault) -> Iterator[Damage]:
        """Account for bytes that are damaged, or that are skipped because the consumer asked for it."""
        if self._leap:
            what, self._leap = "passed over unread", False
        if end > at:
            self.account.damaged += end - at
            yield Damage(at, end, what, fault)

    def wants_leap(self) -> bool:
        """Return whether the rest of the current member is to be skipped."""
        return self._leap

    def ended(self, at: int, end: int) -> None:
        """Account for a sound member."""
        self._leap = False
        self.account.sound += end - at


def _codec(tape: Tape, at: int, name: str) -> str:
    """Return the codec of a file, from its first bytes, or from its name if these are damaged."""
    head = tape.bytes_at(at, HEAD_BYTES)
    hint = next((codec for suffix, codec in SUFFIXES.items() if name.lower().endswith(suffix)), "")
    text = len(head[4:].translate(None, CONTROLS)) * 50 > len(head[4:]) * 49
    for codec, magic in MAGIC.items():
        if head.startswith(magic):
            other = hint if hint != codec else ""
            sound = codec == hint or _is_sound(tape, at, codec) or (not hint and _is_near(tape, at, codec))
            if sound and not (other and _is_near(tape, at, other)):
                return codec
    if head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F:  # a skippable frame, of either codec
        return hint if hint == "lz4" else "zstd"
    cut = len(head) < 4 and hint and MAGIC[hint].startswith(head)
    return hint if head and (cut or not text or head[:64].translate(None, CONTROLS) != head[:64]) else ""


def _is_near(tape: Tape, at: int, codec: str) -> bool:
    """Return whether a sound member of `codec` begins soon after `at`."""
    begin = at
    while (found := tape.find(MAGIC[codec], begin, at + PROOF_BYTES)) is not None:
        if _is_sound(tape, found, codec):
            return True
        begin = found + 1
    return False


def _is_sound(tape: Tape, at: int, codec: str) -> bool:
    return FRAMED[codec](tape, at).begins(tape, at) if codec in FRAMED else _is_gzip(tape, at)


def _plain(file: Unpacked) -> Events:
    at = file.at
    while data := file.tape.bytes_at(at, CHUNK_BYTES):
        yield MemberPart(data, at, at == file.at)
        file.ended(at, at + len(data))
        at += len(data)
        file.tape.forget(at)


def _nothing_sound(tape: Tape, at: int, kind: str) -> str:
    """Return a description of the bytes at `at`, where a member should begin."""
    zeros = not tape.bytes_at(at, PROOF_BYTES).strip(b"\0")
    return f"zeros where a {kind} should begin" if zeros else f"no {kind} begins here"


# gzip


class _Inflate:
    """Unpacks the gzip member at an offset of a tape."""

    def __init__(self, tape: Tape, at: int, library: Any) -> None:
        self._tape, self.fed, self._inflate = tape, at, library.decompressobj(zlib.MAX_WBITS | 16)
        self.cut = False
        """True when the file ended before the member did."""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; fewer when the member or the file ends. Raises: an error of the library."""
        parts: list[bytes] = []
        inflate, left = self._inflate, size
        while left > 0 and not inflate.eof:
            fed = inflate.unconsumed_tail
            if not fed:
                fed = self._tape.bytes_at(self.fed, FEED_BYTES)
                self.fed += len(fed)
            data = inflate.decompress(fed, left)
            if not data and not fed:
                self.cut = True
                break
            parts.append(data)
            left -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @property
    def end(self) -> int | None:
        """Offset behind the member, once it has ended."""
        return self.fed - len(self._inflate.unused_data) if self._inflate.eof else None

    def copy(self) -> "_Inflate":
        """Return an independent copy of the state; zlib only."""
        twin = _Inflate.__new__(_Inflate)
        twin._tape, twin.cut, twin.fed, twin._inflate = self._tape, self.cut, self.fed, self._inflate.copy()
        return twin

    @property
    def consumed(self) -> int:
        """Offset up to which the member has been unpacked."""
        return self.fed - len(self._inflate.unconsumed_tail)

    def salvage(self, stop: int) -> tuple[bytes, str]:
        """Return (what can be unpacked of the bytes before offset `stop`, why it is no more)."""
        parts, inflate, at, step = [], self._inflate, self.consumed, 512
        while at < stop and not inflate.eof:
            trial = inflate.copy()
            piece = self._tape.bytes_at(at, min(step, stop - at))
            try:
                parts.append(trial.decompress(piece))
            except zlib.error as problem:
                if step == 1:
                    return b"".join(parts), str(problem).partition("data: ")[2] or str(problem)
                step = 1
                continue
            inflate, at = trial, at + len(piece)
        return b"".join(parts), EARLY


def _gzip(file: Unpacked) -> Events:
    tape, at = file.tape, file.at
    while tape.bytes_at(at, 1):
        tape.forget(at)
        head = tape.bytes_at(at, 4)
        if head[:3] != GZIP or head[3:] > MAX_FLAGS:
            what, begin = _nothing_sound(tape, at, "gzip member"), at
            at = _next_gzip(tape, at + 1)
            yield from file.lost(begin, at, what, "foreign")
            continue
        inflate, data = _begun(tape, at)
        if inflate.end is not None:
            end = inflate.end
            yield MemberPart(data, at, True)
            file.ended(at, end)
        elif inflate.cut:
            end = yield from _torn_gzip(file, at, _Inflate(tape, at, zlib), inflate.fed, True)
        else:
            end = yield from _large_gzip(file, at)
        at = end


def _begun(tape: Tape, at: int) -> tuple[_Inflate, bytes]:
    """Return the gzip member at `at`, unpacked up to a chunk; `cut` where it is broken."""
    # The faster one first, but only zlib verifies the checksum that a header may have.
    libraries = (zlib,) if tape.bytes_at(at + 3, 1) in CHECKED_HEADERS else (isal_zlib, zlib)
    for library in libraries:
        inflate = _Inflate(tape, at, library)
        try:
            return inflate, inflate.read(CHUNK_BYTES)
        except INFLATE_ERRORS:
            inflate.cut = True
    return inflate, b""


def _large_gzip(file: Unpacked, at: int) -> Generator[MemberPart | Damage, None, int]:
    """Yield a member of more than a chunk, and return where the next begins."""
    inflate, first = _Inflate(file.tape, at, zlib), True
    while True:
        before = inflate.copy()
        file.tape.forget(before.consumed - STORED_BYTES["gzip"])
        try:
            data = inflate.read(CHUNK_BYTES)
        except zlib.error:
            inflate.cut = True
        if inflate.cut:
            return (yield from _torn_gzip(file, at, before, inflate.fed, first))
        yield MemberPart(data, at, first)
        first = False
        if inflate.end is not None:
            file.ended(at, inflate.end)
            return inflate.end
        if file.wants_leap():
            end = _next_gzip(file.tape, inflate.consumed)
            yield from file.lost(at, end, "", "cut")
            return end


def _torn_gzip(
    file: Unpacked, at: int, before: _Inflate, fed: int, first: bool
) -> Generator[MemberPart | Damage, None, int]:
    """Yield what can be recovered of a broken member from state `before` on, and return where the next begins."""
    begin = at + 1 if first else max(at + 1, before.consumed - STORED_BYTES["gzip"])
    follows = _next_gzip(file.tape, begin, fed)
    data, what = before.salvage(min(follows, fed))
    if data and not (file.hold and first and "check" in what):
        yield MemberPart(data, at, first)
    end = follows if follows < fed else _next_gzip(file.tape, max(fed - 2, begin))
    yield from file.lost(at, end, f"a gzip member is broken: {what}", "cut" if what == EARLY else "broken")
    return end


def _next_gzip(tape: Tape, at: int, stop: int | None = None) -> int:
    """Return where the next sound gzip member begins before `stop`; `stop` or the end of the file without one."""
    while (found := tape.find(GZIP, at, stop)) is not None:
        if _is_gzip(tape, found):
            return found
        at = found + 1
        if stop is None:
            tape.forget(at)
    return tape.end if stop is None else stop


def _is_gzip(tape: Tape, at: int) -> bool:
    if tape.bytes_at(at + 3, 1) > MAX_FLAGS:
        return False
    try:
        zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(tape.bytes_at(at, 256), 64)  # most fail here
        inflate = _Inflate(tape, at, zlib)
        data = inflate.read(PROOF_BYTES)
    except zlib.error:
        return False
    return not inflate.cut or len(data) >= PROOF_LAST or data.startswith(b"WARC/")


def _framed(file: Unpacked, frames: Frames) -> Events:
    """Yield the frames of a file."""
    tape, at, back = file.tape, file.at, STORED_BYTES[file.codec]

    def follows(begin: int, stop: int | None = None) -> int:
        while (found := tape.find(frames.magic, begin, stop)) is not None:
            if frames.begins(tape, found):
                return found
            begin = found + 1
            if stop is None:
                tape.forget(begin)
        return tape.end if stop is None else stop

    while head := tape.bytes_at(at, 8):
        tape.forget(at)
        if head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F and len(head) == 8:
            size = 8 + int.from_bytes(head[4:], "little")
            if size <= MAX_SKIPPED and len(tape.bytes_at(at, size)) == size:
                file.ended(at, at + size)
                at += size
                continue
        if not head.startswith(frames.magic):
            what, begin = _nothing_sound(tape, at, frames.kind), at
            at = follows(at + 1)
            yield from file.lost(begin, at, what, "foreign")
            continue
        frame, first, given, end = frames.opened(), True, at + 1, at
        pending: list[tuple[int, bytes]] = []  # (where the block ends, what it unpacked to)
        size, problem = 0, ""
        try:
            for block in frames.walk(tape, at):
                data = frame.decompress(block)
                end += len(block)
                pending.append((end, data))
                size += len(data)
                if size >= CHUNK_BYTES:
                    yield MemberPart(b"".join(data for _, data in pending), at, first)
                    pending, size, first, given = [], 0, False, end
                    tape.forget(end - back)
                    if file.wants_leap():
                        raise Broken
        except frames.errors as broken:
            problem = f"a {frames.kind} is broken: {broken}"
        if not problem:
            yield MemberPart(b"".join(data for _, data in pending), at, first)
            file.ended(at, end)
            at = end
            continue
        near = follows(max(at + 1, given - back), end)
        data = b"".join(data for stop, data in pending if stop <= near)
        if data and not (file.hold and first and "hecksum" in problem):
            yield MemberPart(data, at, first)
        begin, at = at, near if near < end else follows(max(at + 1, end))
        yield from file.lost(begin, at, problem, "cut" if problem.endswith(EARLY) else "broken")
