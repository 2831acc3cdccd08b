"""Records of a WARC file (ISO 28500), found in its unpacked bytes with an account of every byte.

A record is as long as its Content-Length says, unless the bytes after it show that this is wrong: the next
record must begin there. After bytes that contain no record, reading resumes at the next header.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mmedc.errors import AccountingError
from mmedc.unpack import Damage, Events, MemberPart

VERSION = re.compile(rb"WARC/\d+\.\d+[ \t]*\r?\n", re.IGNORECASE)
HEADER = re.compile(rb"WARC/\d+\.\d+[ \t]*\r?\n[!-9;-~]+[ \t]*:", re.IGNORECASE)
FIELD = re.compile(
    rb"^(content-(?:length|type)"
    rb"|warc-(?:type|target-uri|date|truncated|segment-number|identified-payload-type|site-rules))[ \t]*:"
    rb"((?:[^\n]|\n[ \t])*)",
    re.IGNORECASE | re.MULTILINE,
)
FOLDED = re.compile(rb"\r?\n[ \t]+")  # a value that continues on the next line
BREAKS = re.compile(rb"[\r\n]*")
MAX_HEADER = 1 << 20
OVERLAP = 256  # bytes that are enough to recognise a header
LEAP_BYTES = 512 << 20  # of one member that are unpacked at most in order to skip them
PAGES = ("response", "resource", "conversion")
RULES = "warc-site-rules"  # of a record of our crawler that holds a robots.txt or the like
OTHERS = ("warcinfo", "request", "metadata", "revisit", "continuation")


@dataclass(frozen=True)
class Record:
    """A record that may hold a page."""

    at: str
    """The offset on disk of its member (in a plain file, of the record), then `+` and the offset in that member."""
    kind: str
    fields: dict[str, str]
    """The header fields that describe a page, by lower-case names."""
    length: int
    """Content-Length."""
    block: memoryview | None
    """The bytes of the block; None if they are not wanted, or are more than the limit."""
    problem: str = ""
    """The reason to reject an incomplete block, followed by a description."""


@dataclass(frozen=True)
class Junk:
    """Bytes that belong to no sound record."""

    at: str
    what: str
    """A description: how many bytes, where, and why they are not a record."""


def blank_line(data: bytes, at: int) -> tuple[int, int]:
    """Return where the first blank line from `at` on begins and ends, (0, 0) without one; lines end at LF or CR LF."""
    with_cr = data.find(b"\n\r\n", at)
    without = data.find(b"\n\n", at, with_cr if with_cr >= 0 else len(data))
    if without < 0 and with_cr < 0:
        return 0, 0
    begin, end = (without, without + 2) if without >= 0 else (with_cr, with_cr + 3)
    return begin - (data[begin - 1 : begin] == b"\r"), end


class Archive:
    """Iterates over the records of a file that may hold pages, and over what is damaged."""

    def __init__(
        self, events: Events, plain: bool, limit: int, wanted: Callable[[], bool], leap: Callable[[], None]
    ) -> None:
        """Read `events`; `wanted` is called for the record of each page and decides whether its block is read.

        `limit` is the largest block that is read; `leap` is called where the rest of a member may be skipped.
        """
        self._events, self._plain, self._limit, self._wanted, self._leap = events, plain, limit, wanted, leap
        self._data, self._pos, self._base = b"", 0, 0  # unpacked bytes, the place in them, what lies before them
        self._next: MemberPart | None = None  # taken from the events, but not yet looked at
        self._parts: deque[tuple[int, int, int]] = deque()  # (where a part begins, its `at`, where its member begins)
        self._damage: Damage | None = None  # that ends the current run of parts
        self._parsed = self._lost = 0

    def __iter__(self) -> Iterator[Record | Junk]:
        """Yield records and junk in their order. Raises: AccountingError if a byte belongs to neither."""
        while True:
            self._skip_breaks()
            if self._pos == len(self._data):
                if self._fill():
                    continue
                if self._damage is None:
                    break
                yield Junk(str(self._damage.at), str(self._damage))
                self._damage = None
            elif self._begins():
                yield from self._record()
            else:
                yield self._junk("no WARC record begins here")
        if self._parsed + self._lost != self._base + len(self._data):
            raise AccountingError(
                f"{self._base + len(self._data):,} unpacked bytes, but {self._parsed + self._lost:,} are accounted for"
            )

    # The window

    def _fill(self, inside: bool = False) -> bool:
        """Add the next part to the window; False at damage, at the end, and `inside` a record where another begins."""
        if self._damage is not None:
            return False
        while self._next is None or not self._next.data:
            event = next(self._events, None)
            if not isinstance(event, MemberPart):
                self._damage, self._next = event, None
                return False
            self._next = event
        part = self._next
        if inside and part.first and HEADER.match(part.data):
            return False
        self._next = None
        end = self._base + len(self._data)
        member = end if part.first or self._plain or not self._parts else self._parts[-1][2]
        self._base += self._pos
        self._data = self._data[self._pos :] + part.data if self._pos < len(self._data) else part.data
        self._pos = 0
        self._parts.append((end, part.at, member))
        return True

    def _begins(self) -> bool:
        """Return whether a record begins at the next byte."""
        while len(self._data) - self._pos < OVERLAP and not VERSION.match(self._data, self._pos):
            if not self._fill():
                return False
        return VERSION.match(self._data, self._pos) is not None

    def _where(self) -> str:
        """Return the place on disk of the next byte."""
        place = self._base + self._pos
        while len(self._parts) > 1 and self._parts[1][0] <= place:
            self._parts.popleft()
        begin, at, member = self._parts[0]
        if self._plain:
            return str(at + place - begin)
        return str(at) if place == member else f"{at}+{place - member}"

    def _skip_breaks(self) -> int:
        """Skip the line breaks in the window, and return how many bytes they have."""
        found = BREAKS.match(self._data, self._pos)
        size = found.end() - self._pos if found else 0
        self._pos += size
        self._parsed += size
        return size

    # Records

    def _junk(self, what: str, size: int = 0) -> Junk:
        """Take bytes without a record: at least `size`, and then up to the next header or the end of the run."""
        at, lost = self._where(), size
        self._pos += size
        while True:
            found = HEADER.search(self._data, self._pos)
            end = found.start() if found else max(len(self._data) - OVERLAP, self._pos)
            lost += end - self._pos
            self._pos = end
            if found or not self._fill():
                break
        if not found:
            lost += len(self._data) - self._pos
            self._pos = len(self._data)
        self._lost += lost
        description = f"{what}; {lost:,} {'' if self._plain else 'unpacked '}bytes at offset {at} are damaged"
        if self._damage is not None and self._pos == len(self._data):
            description, self._damage = f"{description}; {self._damage}", None
        return Junk(at, description)

    def _record(self) -> Iterator[Record | Junk]:
        """Yield the record that begins here if it may contain a page, and junk for what is wrong with it."""
        at = self._where()
        end, begin = blank_line(self._data, self._pos)
        while not begin and len(self._data) - self._pos < MAX_HEADER and self._fill(inside=True):
            end, begin = blank_line(self._data, self._pos)
        if not begin:
            yield self._junk("the header of a WARC record does not end", min(5, len(self._data) - self._pos))
            return
        if inner := self._header_in(self._data, self._pos + 1, end):
            yield self._junk("the header of a WARC record does not end", inner - self._pos)
            return
        fields = {
            name.lower().decode("latin-1"): FOLDED.sub(b" ", value).strip().decode("utf-8", "replace")
            for name, value in FIELD.findall(self._data, self._pos, end)
        }
        length, kind = fields.get("content-length", ""), fields.get("warc-type", "").lower()
        if not (length.isascii() and length.isdigit()) or not kind:
            missing = f"Content-Length {length!r}" if kind else "no WARC-Type"
            yield self._junk(f"a WARC record with {missing}", begin - self._pos)
            return
        self._parsed += begin - self._pos
        self._pos = begin
        is_page = kind in PAGES and RULES not in fields
        size = int(length[:18])
        read = self._wanted() if is_page else True
        block, got = self._block(size, size <= self._limit)
        problem = self._after(block, size, got)
        if is_page:
            yield Record(at, kind, fields, size, block if read else None, problem)
        elif kind not in OTHERS and kind not in PAGES:
            description = f"; {problem.partition(': ')[2]}" if problem else ""
            yield Junk(
                at, f"a WARC record of unknown type {kind!r}, with a block of {size:,} bytes, is not read{description}"
            )
        elif problem:
            yield Junk(at, f"a WARC record of type {kind}: {problem.partition(': ')[2]}")

    def _block(self, size: int, keep: bool) -> tuple[memoryview, int]:
        """Return (the bytes of a block, their number); no bytes are kept if there are too many."""
        if not keep:
            return memoryview(b""), self._pass_over(size)
        view = memoryview(self._data)[self._pos : self._pos + size]  # most lie in one part: not copied
        got = len(view)
        self._pos += got
        parts: list[bytes | memoryview] = [view]
        while got < size and self._fill(inside=True):
            data = self._data[: size - got]
            self._pos = len(data)
            got += len(data)
            parts.append(data)
        self._parsed += got
        return (view if len(parts) == 1 else memoryview(b"".join(parts))), got

    def _pass_over(self, size: int) -> int:
        """Skip a block that is too large to be kept, and return the number of its bytes that exist.

        In a plain file the block ends at the next header, because wrong lengths are more frequent than pages that
        contain archives.
        """
        got = 0
        while got < size:
            found = HEADER.search(self._data, self._pos) if self._plain else None
            end = found.start() if found else len(self._data) - (OVERLAP if self._plain else 0)
            step = min(max(end - self._pos, 0), size - got)
            self._pos += step
            got += step
            if found or got == size:
                break
            if not self._fill(inside=True):
                step = min(len(self._data) - self._pos, size - got)
                self._pos += step
                got += step
                break
            if got > LEAP_BYTES:
                self._leap()
        self._parsed += got
        return got

    def _after(self, block: memoryview, size: int, got: int) -> str:
        """Return the reason to reject the block just read, judged by the bytes after it; "" if it is complete."""
        breaks = 0
        if got == size:
            breaks = self._skip_breaks()
            if (self._pos == len(self._data) or self._begins()) and not (self._plain and _holds_record(block)):
                return ""
            self._pos -= breaks
            self._parsed -= breaks
        if (end := self._next_header(block)) is not None:
            self._back(block, end)
            return f"truncated: {end:,} of {size:,} bytes (Content-Length), then another record begins"
        if breaks:
            self._skip_breaks()
            return ""  # the bytes that follow are junk, which is not a fault of this record
        if got == size:
            return (
                f"truncated: more than {size:,} bytes (Content-Length); {self._junk('no WARC record begins here').what}"
            )
        short = f"{got:,} of {size:,} bytes"
        if self._damage is not None and self._pos == len(self._data):
            damage, self._damage = self._damage, None
            return f"{'truncated' if damage.fault == 'cut' else 'damaged'}: {short}; {damage}"
        return f"truncated: {short}"

    def _next_header(self, block: memoryview) -> int | None:
        """Return where in `block` a header begins; the header may end behind the block."""
        if found := HEADER.search(block):
            return found.start()
        tail = bytes(block[-OVERLAP:])
        found = HEADER.search(tail + self._data[self._pos : self._pos + OVERLAP])
        return len(block) - len(tail) + found.start() if found and found.start() < len(tail) else None

    @staticmethod
    def _header_in(data: bytes, at: int, end: int) -> int:
        """Return where another header begins in `data` from `at` on and before `end`; 0 without one."""
        while (at := data.find(b"WARC/", at, end)) >= 0:
            if HEADER.match(data, at):
                return at
            at += 1
        return 0

    def _back(self, block: memoryview, keep: int) -> None:
        """Put the bytes after the first `keep` bytes of `block` back into the window."""
        rest = bytes(block[keep:])
        self._parsed -= len(rest)
        self._base += self._pos - len(rest)
        self._data, self._pos = rest + self._data[self._pos :], 0


def _holds_record(block: memoryview) -> bool:
    """Return whether a complete record ends where a block ends: then its length wrongly includes the next record.

    A page that quotes a record has other text after it; a page that is an archive has none before it.
    """
    data = bytes(block)
    if data.find(b"WARC/") < 0 or not (found := HEADER.search(data)):
        return False
    end, begin = blank_line(data, found.start())
    fields = {name.lower(): value.strip() for name, value in FIELD.findall(data, found.start(), end)}
    length = fields.get(b"content-length", b"")
    if not begin or not length.isdigit() or data[: found.start()].endswith((b"\n\n", b"\n\r\n")) or not found.start():
        return False
    last = begin + int(length[:18])
    after = data[last:].lstrip(b"\r\n")
    return last <= len(data) and (not after or bool(VERSION.match(after)))
