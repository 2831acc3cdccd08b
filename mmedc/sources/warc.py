"""WARC and WET files (ISO 28500), plain or compressed by gzip, zstd or lz4.

Records are read whole but bounded, and their HTTP part is decoded here: left to the WARC reader,
one page that lies about its encoding, or a decompression bomb, costs the rest of the file.
"""

import io
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

import pyarrow as pa

from mmedc.engine import slot
from mmedc.sources.raw import Records, utf8
from mmedc.storage import Input, is_local, open_binary

WARC_SUFFIXES = tuple(
    f".{kind}{packed}" for kind in ("warc", "wet", "warc.wet") for packed in ("", ".gz", ".zst", ".lz4")
)
HTML_TYPES = ("text/html", "application/xhtml+xml")
UNSURE_TYPES = ("", "application/octet-stream", "application/xml", "text/xml", "unk")
MAX_HTTP_HEADERS = 64 << 10
SCAN_BYTES = 1 << 20
MEMBER_BYTES = 1 << 10  # in which a gzip member shows that a record begins in it


def read_warc(one: Input, limit: int, start: int, skip: frozenset[int]) -> Iterator[pa.RecordBatch]:
    """Yield the pages of a WARC file: responses, resources and (WET) conversions; see `Reader.read`.

    After damage it goes on with the next sound record, in files that are plain or gzip by record.
    Dropped here: `http_status` (not 200) and `not_text` (by type and first bytes). Rejected here:
    `too_large`, `truncated`, `bad_encoding`, `bad_http`, `damaged` (bytes that hold no sound record),
    `empty_file` and `unreadable`.
    """
    records = Records(start, skip)
    try:
        with open_binary(one.url) as probe:
            magic = probe.read(2)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as problem:
        yield from _whole_file(records, one, f"unreadable: {problem.strerror}")
        return
    packed = _is_packed(one, magic)
    damage: tuple[int, str] | None = None  # where it began, and what was seen
    begin: int | None = 0
    while begin is not None:
        problem_here, at = None, begin
        try:
            for at, record in _records(one, begin):
                if damage:
                    yield from _damaged(records, one, *damage, at)
                    damage = None
                wanted = records.next()
                # To go past a bomb, or past what broke the reader, look for the next member: do not unpack it.
                far = packed and (record.content_length > limit + MAX_HTTP_HEADERS or records.skipped)
                beyond = _next_record(one, magic, at + 1) if far else None
                if not wanted:
                    if beyond is not None:
                        break
                    continue
                slot.mark(records.ordinal)
                headers = record.headers
                locator = utf8((headers.get("WARC-Target-URI") or "").strip("<> "))
                values = {} if records.skipped else _page(record, limit)
                yield from records.add(
                    locator or f"{one.name}#{records.ordinal}",
                    f"{one.name}#offset={at}",
                    date=headers.get("WARC-Date"),
                    **values,
                )
                if beyond is not None or values.get("rejected_by", "").startswith("truncated"):
                    break  # a length that was a lie swallowed the records after it
            else:
                break
        except OSError as problem:
            # Fetching failed: that is for a retry. Parsing failed: go on behind the damage.
            if not is_local(one.url) and not str(problem).startswith(("Invalid", "Gzip", "Zstd", "Lz4")):
                raise
            problem_here = str(problem)
        begin = _next_record(one, magic, at + 1)
        if problem_here and not damage:
            damage = _member_end(one, at), problem_here
    if records.ordinal < 0:
        reason = "empty_file: 0 bytes" if not one.bytes else "damaged: no WARC record in it"
        yield from _whole_file(records, one, reason)
        return
    if damage:
        yield from _damaged(records, one, *damage, one.bytes)
    yield from records.flush()


def _records(one: Input, begin: int) -> Iterator[tuple[int, Any]]:
    """Yield (offset in the file, record) from offset `begin` on. Raises: OSError at damage."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    wanted = WarcRecordType.response | WarcRecordType.resource | WarcRecordType.conversion
    stream: str | IO[bytes] = one.url
    base = 0  # what the stream itself calls its beginning
    if begin or not is_local(one.url):
        stream = open_binary(one.url, begin)
        base = stream.tell()
    for record in ArchiveIterator(stream, record_types=wanted, parse_http=False, fsspec_args=False):
        yield begin + record.stream_pos - base, record


def _next_record(one: Input, magic: bytes, after: int) -> int | None:
    """Return the offset of the first record that begins at `after` or later, or None.

    In a gzip file a record is a member (ISO 28500, annex D) that begins with `WARC/`; in a plain one a
    line that does.
    """
    packed = _is_packed(one, magic)
    if not packed and one.name.endswith((".zst", ".lz4")):
        return None
    mark = b"\x1f\x8b\x08" if packed else b"\nWARC/1."
    offset = after - (not packed)  # with the end of the line before
    with open_binary(one.url, offset) as stream:
        window = b""
        while True:
            more = stream.read(SCAN_BYTES)
            window += more
            sure = len(window) - (MEMBER_BYTES if more else 0)
            found = window.find(mark)
            while 0 <= found < sure:
                if not packed or _begins_record(window[found : found + MEMBER_BYTES]):
                    return offset + found + (not packed)
                found = window.find(mark, found + 1)
            if not more:
                return None
            offset, window = offset + max(sure, 0), window[max(sure, 0) :]


def _is_packed(one: Input, magic: bytes) -> bool:
    return magic == b"\x1f\x8b" or one.name.endswith(".gz")


def _member_end(one: Input, begin: int) -> int:
    """Return where the gzip member at offset `begin` ends; `begin` when there is no sound one."""
    inflate, end = zlib.decompressobj(zlib.MAX_WBITS | 16), begin
    with open_binary(one.url, begin) as stream:
        while not inflate.eof:
            part = stream.read(SCAN_BYTES)
            if not part:
                return begin
            end += len(part)
            try:
                while part and not inflate.eof:
                    inflate.decompress(part, SCAN_BYTES)
                    part = inflate.unconsumed_tail
            except zlib.error:
                return begin
    return end - len(inflate.unused_data)


def _begins_record(member: bytes) -> bool:
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(member, 5) == b"WARC/"
    except zlib.error:
        return False


def _damaged(records: Records, one: Input, begin: int, what: str, end: int) -> Iterator[pa.RecordBatch]:
    records.next()
    yield from records.add(
        f"{one.name}#damaged-{begin}",
        f"{one.name}#offset={begin}",
        rejected_by=f"damaged: {what}; at most {max(end - begin, 0):,} bytes after offset {begin:,} are lost",
    )


def _whole_file(records: Records, one: Input, reason: str) -> Iterator[pa.RecordBatch]:
    records.next()
    yield from records.add(one.name, one.name, rejected_by=reason)
    yield from records.flush()


def _page(record: Any, limit: int) -> dict[str, Any]:
    """Return the columns of one record's page, or why it goes."""
    expected = record.content_length
    if expected > limit + MAX_HTTP_HEADERS:
        return {"rejected_by": f"too_large: {expected:,} bytes, at most {limit:,} are read"}
    block = record.reader.read(expected) if expected else b""
    if len(block) < expected:
        return {"rejected_by": f"truncated: {len(block):,} of {expected:,} bytes", "payload": block}
    content_type = (record.headers.get("Content-Type") or "").lower()
    if content_type.startswith("text/plain") and not content_type.startswith("application/http"):
        return {"text": utf8(block.decode("utf-8", "replace"))}
    if not content_type.startswith("application/http"):  # a resource: the block is the page
        return _typed(block, content_type, limit)
    head, found, body = block.partition(b"\r\n\r\n")
    if not found:
        head, found, body = block.partition(b"\n\n")
    lines = head.replace(b"\r\n", b"\n").split(b"\n")
    status = lines[0].split(None, 2)
    if len(status) < 2 or not status[0].startswith(b"HTTP/") or not status[1].isdigit():
        return {"rejected_by": f"bad_http: begins with {lines[0][:60]!r}", "payload": block}
    if status[1] != b"200":
        return {"dropped_by": "http_status"}
    fields = {}
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        fields[name.strip().lower()] = value.strip().decode("latin-1")
    try:
        if "chunked" in fields.get(b"transfer-encoding", "").lower():
            body = _dechunk(body)
        for coding in reversed(fields.get(b"content-encoding", "").lower().split(",")):
            body = decompress(body, coding.strip(), limit)
    except TooLarge:
        return {"rejected_by": f"too_large: over {limit:,} bytes once decompressed", "payload": block[:4096]}
    except (OSError, ValueError, EOFError) as problem:
        return {"rejected_by": f"bad_encoding: {problem}", "payload": block}
    return _typed(body, fields.get(b"content-type", ""), limit)


def _typed(body: bytes, content_type: str, limit: int) -> dict[str, Any]:
    if len(body) > limit:
        return {"rejected_by": f"too_large: {len(body):,} bytes, at most {limit:,} are read"}
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    if kind in UNSURE_TYPES:
        start = body[:1024].lstrip().lower()
        kind = "text/html" if start.startswith((b"<!doctype html", b"<html")) or b"<html" in start else kind
    if kind not in HTML_TYPES and kind != "text/plain":
        return {"dropped_by": "not_text"}
    charset = None
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip("\"'")
    return {"payload": body, "content_type": kind, "charset": charset and utf8(charset)}


class TooLarge(Exception):
    """More bytes came out of a decompressor than a page may have."""


def decompress(body: bytes, coding: str, limit: int) -> bytes:
    """Return `body` without its HTTP content coding, reading at most `limit` bytes (RFC 9110, 8.4).

    A body that does not look compressed is returned as it is: archives often undo the coding and keep the header.
    Raises: TooLarge; OSError or ValueError for damaged data.
    """
    from fastwarc.stream_io import BrotliReader, GzipReader, ZstdReader

    readers: dict[str, tuple[Callable[[Any], Any], bytes]] = {
        "gzip": (GzipReader, b"\x1f\x8b"),
        "x-gzip": (GzipReader, b"\x1f\x8b"),
        "zstd": (ZstdReader, b"\x28\xb5\x2f\xfd"),
        "br": (BrotliReader, b""),
    }
    if coding == "deflate":
        return _inflate(body, limit)
    if coding not in readers or not body:
        return body
    reader, magic = readers[coding]
    if not body.startswith(magic) or body[:64].lstrip()[:1] == b"<":
        return body
    out: bytes = reader(io.BytesIO(body)).read(limit + 1)
    if len(out) > limit:
        raise TooLarge
    return out


def _inflate(body: bytes, limit: int) -> bytes:
    if body[:64].lstrip()[:1] == b"<":
        return body
    for window in (zlib.MAX_WBITS, -zlib.MAX_WBITS):  # servers send either form
        try:
            out = zlib.decompressobj(window).decompress(body, limit + 1)
        except zlib.error:
            continue
        if len(out) > limit:
            raise TooLarge
        return out
    raise ValueError("not deflate data")


def _dechunk(body: bytes) -> bytes:
    """Return `body` without chunked coding (RFC 9112, 7.1); as it is when it was already undone."""
    parts: list[bytes] = []
    at = 0
    while True:
        end = body.find(b"\r\n", at, at + 32)
        size_text = body[at:end].partition(b";")[0].strip() if end >= 0 else b""
        try:
            size = int(size_text, 16)
        except ValueError:
            return body if not parts else b"".join(parts)
        if size == 0:
            return b"".join(parts)
        parts.append(body[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
