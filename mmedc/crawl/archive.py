"""WARC files (ISO 28500) that a crawl writes: one gzip member for each record, closed by size, cut after a stop.

The records are built here rather than by a library because three of them for each page are on the crawler's hot path:
see DECISIONS.md. The suite has warcio check them and FastWARC read them.
"""

import base64
import hashlib
import os
import uuid
import zlib
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mmedc.crawl.queued import SegmentRow
from mmedc.crawl.types import Fetched
from mmedc.errors import StorageError

LEVEL = 1  # of isal
COPY_BYTES = 1 << 20
RULES = "WARC-Site-Rules"
"""A header of ours: the record answers a request for the rules of a site at this URL, so it is no page."""
CODED = b"transfer-encoding"
SAME_PAYLOAD = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
NOT_MODIFIED = "http://netpreserve.org/warc/1.1/revisit/server-not-modified"


@dataclass(frozen=True, slots=True)
class Original:
    """The record that a revisit stands for."""

    url: str
    date: float
    profile: str


def packed(kind: str, fields: Iterable[tuple[str, str]], block: bytes, record: str = "") -> bytes:
    """Return a record as a gzip member. `record` is its id; by default a new one."""
    from isal import igzip

    head = [f"WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Record-ID: {record or new_id()}\r\n"]
    head += [f"{name}: {value}\r\n" for name, value in fields]
    head.append(f"WARC-Block-Digest: {sha1(block)}\r\nContent-Length: {len(block)}\r\n\r\n")
    member: bytes = igzip.compress(b"".join(("".join(head).encode("utf-8", "replace"), block, b"\r\n\r\n")), LEVEL)
    return member


def records_of(
    fetched: Fetched, notes: Iterable[tuple[str, str]], original: Original | None = None, rules_at: str = ""
) -> list[bytes]:
    """Return the records of an answer: response (or revisit of an `original`), request, and metadata with `notes`.

    The answer is first: its place in the file is that of the page. `rules_at` is where rules were asked for (such as a
    robots.txt), of which this is an answer; it marks the record as no page.
    """
    answer = new_id()
    common = [("WARC-Target-URI", fetched.url), ("WARC-Date", date_of(fetched.started))]
    linked = [*common, ("WARC-Concurrent-To", answer)]
    head = head_of(fetched)
    fields = [*common, ("WARC-IP-Address", fetched.ip)] if fetched.ip else list(common)
    fields += [("WARC-Payload-Digest", sha1(fetched.body))] if original is None or fetched.body else []
    fields.append(("Content-Type", "application/http; msgtype=response"))
    if original is not None:
        fields += [
            ("WARC-Profile", original.profile),
            ("WARC-Refers-To-Target-URI", original.url),
            ("WARC-Refers-To-Date", date_of(original.date)),
        ]
        first = packed("revisit", fields, head, answer)
    else:
        fields += [("WARC-Truncated", fetched.truncated)] if fetched.truncated else []
        fields += [(RULES, rules_at)] if rules_at else []
        first = packed("response", fields, head + fetched.body, answer)
    about = "".join(f"{name}: {value}\r\n" for name, value in notes).encode("utf-8", "replace")
    asked = [*linked, ("Content-Type", "application/http; msgtype=request")]
    return [
        first,
        packed("request", asked, fetched.request),
        packed("metadata", [*linked, ("Content-Type", "application/warc-fields")], about),
    ]


def reserved_of(fetched: Fetched, notes: Iterable[tuple[str, str]]) -> list[bytes]:
    """Return the one record of an answer whose owner reserves it: what was asked and why nothing of it is kept."""
    about = "".join(f"{name}: {value}\r\n" for name, value in notes).encode("utf-8", "replace")
    fields = [("WARC-Target-URI", fetched.url), ("WARC-Date", date_of(fetched.started))]
    return [packed("metadata", [*fields, ("Content-Type", "application/warc-fields")], about)]


def warcinfo(name: str, agent: str, date: float) -> bytes:
    """Return the record that a file begins with."""
    lines = (
        f"software: {agent}",
        "format: WARC File Format 1.1",
        "robots: RFC 9309",
        f"http-header-user-agent: {agent}",
    )
    fields = [("WARC-Date", date_of(date)), ("WARC-Filename", name), ("Content-Type", "application/warc-fields")]
    return packed("warcinfo", fields, "".join(f"{line}\r\n" for line in lines).encode())


def head_of(fetched: Fetched) -> bytes:
    """Return the head of an answer for its record.

    The body has no transfer coding any more, so a header that names one is renamed, and the length is stated.
    """
    lines = [b"HTTP/1.1 %d %b" % (fetched.status, fetched.reason)]
    coded = any(name.lower() == CODED for name, _ in fetched.headers)
    for name, value in fetched.headers:
        lower = name.lower()
        if lower == CODED or (coded and lower == b"content-length"):
            name = b"X-Crawl-" + name
        lines.append(name + b": " + value)
    if coded:
        lines.append(b"Content-Length: %d" % len(fetched.body))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def sha1(data: bytes) -> str:
    """Return a digest in the form of WARC headers."""
    return "sha1:" + base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


def new_id() -> str:
    """Return a new record id."""
    return f"<urn:uuid:{uuid.uuid4()}>"


def date_of(seconds: float) -> str:
    """Return a time since 1970 as WARC writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def whole_members(path: Path, size: int) -> int:
    """Return where the last complete gzip member in the first `size` bytes of a file ends."""
    end = read = 0
    unpack = zlib.decompressobj(31)
    with path.open("rb") as file:
        while data := file.read(min(COPY_BYTES, size - read)):
            read += len(data)
            while data:
                try:
                    unpack.decompress(data)
                except zlib.error:
                    return end
                data = unpack.unused_data if unpack.eof else b""
                if unpack.eof:
                    end, unpack = read - len(data), zlib.decompressobj(31)
    return end


class Segment:
    """An open WARC file. What is added is in memory until `flush`, which writes it; a thread then forces it to disk.

    A process that is killed loses nothing that was written. A machine that loses its power may; `cut` finds out.
    """

    def __init__(self, folder: Path, number: int, name: str) -> None:
        """Create the file, or continue one; then `cut` first."""
        self.number, self.name, self.path = number, name, folder / name
        self.records = 0
        self._held: list[bytes] = []
        self._size = self._end = 0
        self._hash = hashlib.sha256()
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="fsync")
        self._forced: Future[None] | None = None

    @property
    def end(self) -> int:
        """Where the next record begins."""
        return self._end

    @property
    def held(self) -> int:
        """The bytes that are not on disk yet."""
        return self._end - self._size

    @property
    def row(self) -> SegmentRow:
        """What is recorded of the file after a flush."""
        return SegmentRow(self.number, self.name, self._size, self.records, None)

    def cut(self, size: int, records: int) -> int:
        """Continue after the first `size` bytes, which hold so many records; what lies behind them is cut off.

        Returns the bytes that are there and sound, fewer if the disk has lost some of them.
        """
        there = whole_members(self.path, min(os.fstat(self._file).st_size, size))
        os.ftruncate(self._file, there)
        os.lseek(self._file, 0, os.SEEK_SET)
        self._hash = hashlib.sha256()
        while block := os.read(self._file, COPY_BYTES):
            self._hash.update(block)
        self._size = self._end = there
        self.records = records
        return there

    def add(self, records: list[bytes]) -> tuple[int, int]:
        """Add records; return (offset, length) of the first."""
        at = self._end
        self._held += records
        self._end += sum(map(len, records))
        self.records += len(records)
        return at, len(records[0])

    def flush(self) -> None:
        """Write what was added; it is forced to disk soon. Raises: StorageError; then the file ends as it did before.

        That an earlier write could not be forced to disk is raised as well.
        """
        if self._forced and self._forced.done():
            self._force_ended(self._forced)
        if not self._held:
            return
        whole = b"".join(self._held)
        data = memoryview(whole)
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as problem:
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)
            raise StorageError(f"{self.path}: {problem.strerror}; free some space and give the same command") from None
        self._hash.update(whole)
        self._held, self._size = [], self._end
        if self._forced is None:
            self._forced = self._thread.submit(os.fdatasync, self._file)

    def _force_ended(self, forced: "Future[None]") -> None:
        """Raise StorageError if what was written could not be forced to disk."""
        self._forced = None
        try:
            forced.result()
        except OSError as problem:
            raise StorageError(f"{self.path}: {problem.strerror}; free some space and give the same command") from None

    def close(self) -> SegmentRow:
        """Force the file to disk and close it for good; what is not flushed is lost. Raises: StorageError."""
        self._force_ended(self._thread.submit(os.fdatasync, self._file))  # after the one under way
        self._let_go()
        return SegmentRow(self.number, self.name, self._size, self.records, self._hash.hexdigest())

    def abandon(self) -> None:
        """Let go of the file; one that holds nothing is deleted."""
        self._let_go()
        if not self._size:
            self.path.unlink(missing_ok=True)

    def _let_go(self) -> None:
        self._thread.shutdown()
        os.close(self._file)
