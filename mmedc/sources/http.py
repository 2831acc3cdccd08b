"""The page in an HTTP response as archives store it (RFC 9110, RFC 9112).

Servers and archives deviate from the standards in both directions: a coding is declared but already
undone, or present but not declared. The bytes decide; the headers are only hints. A body that ends too
early is `truncated` and never counts as a complete page.
"""

import io
import re
import zlib
from collections.abc import Callable
from typing import Any

from mmedc.jsonlines import whole_characters
from mmedc.sources.archive import blank_line
from mmedc.sources.mime import stated_type, type_of
from mmedc.unpack import Damage, Unpacked

LISTS = (b"content-type", b"content-encoding", b"transfer-encoding")  # fields that may be sent in several lines
CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,16})[ \t]*(?:;[^\n]*)?\r?\n")
TRAILERS = re.compile(rb"(?:[\w!#$%&'*+.^`|~-]+:[^\n]*(?:\n|\Z))*[\s\0]*")
IGNORED = re.compile(rb"(?:[\s\0]|<!--(?:(?!-->).)*-->)*", re.DOTALL)
"""What may follow a packed page without being a part of it: blanks, NULs, and comments that servers append."""
LINE_BREAK = re.compile(rb"\r?\n")
MAGIC = {"gzip": b"\x1f\x8b", "x-gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
MEMBERS = (b"\x1f\x8b\x08", MAGIC["zstd"])
MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")  # of UTF-8 and UTF-16
CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f\x1b")
PRINTED = bytes(range(32, 127)) + b"\t\r\n"
BOOK = "application/x-book"
"""The type of a body that may be a book: PDF, EPUB or DOCX, whatever the server says."""
ZIP, PDF = b"PK\x03\x04", b"%PDF-"
HEADERS_BYTES = 8 << 10  # enough for most headers
HEAD_BYTES = 1024  # of a body that are searched to find out what it is
MAX_LAYERS = 4
MAX_STREAMS = 64  # of deflate data, one after the other


class TooLarge(Exception):
    """A body unpacks to more bytes than a page may have."""


class Truncated(Exception):
    """A body ends too early."""


def page_of(block: memoryview, limit: int, identified: str = "") -> dict[str, Any]:
    """Return the columns of `mmedc.document.RAW` for an HTTP response, or the reason why there are none.

    `identified` is the media type that the crawler found in the body.

    Dropped: `http_status` (not 200), `not_text`. Rejected: `bad_http`, `bad_encoding`, `truncated`, `too_large`.
    """
    head = bytes(block[:HEADERS_BYTES]).lstrip(b"\r\n")
    skipped = min(len(block), HEADERS_BYTES) - len(head)
    end, begin = blank_line(head, 0)
    if not begin and len(block) > HEADERS_BYTES:
        head, skipped = bytes(block), 0
        end, begin = blank_line(head, 0)
    body = block[skipped + begin :] if begin else block[:0]
    lines = LINE_BREAK.split(head[:end] if begin else head)
    status = lines[0].split(None, 2)
    if len(status) < 2 or not status[0].startswith(b"HTTP/") or not status[1].isdigit():
        return {"rejected_by": f"bad_http: begins with {lines[0][:60]!r}", "payload": bytes(block)}
    if status[1] != b"200":
        return {"dropped_by": "http_status"}
    fields: dict[bytes, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        name, text = name.strip().lower(), value.strip().decode("latin-1")
        fields[name] = f"{fields[name]}, {text}" if name in LISTS and name in fields else text
    try:
        whole = body_of(bytes(body), fields, limit)
    except TooLarge:
        return {"rejected_by": f"too_large: over {limit:,} bytes once decompressed", "payload": bytes(block[:4096])}
    except Truncated as problem:
        return {"rejected_by": f"truncated: {problem}", "payload": bytes(block)}
    except ValueError as problem:
        return {"rejected_by": f"bad_encoding: {problem}", "payload": bytes(block)}
    return typed(whole, fields.get(b"content-type", ""), limit, identified)


def typed(body: bytes, content_type: str, limit: int, identified: str = "") -> dict[str, Any]:
    """Return the columns of a decoded body, or the reason not to read it."""
    if len(body) > limit:
        return {"rejected_by": f"too_large: {len(body):,} bytes, at most {limit:,} are read"}
    stated, charset = stated_type(content_type)
    kind = type_of(body, stated, identified)
    if kind is None:
        if body.startswith(ZIP) or PDF in body[:HEAD_BYTES]:
            return {"payload": body, "content_type": BOOK}
        return {"dropped_by": "not_text"}
    return {"payload": body, "content_type": kind, "charset": charset and whole_characters(charset)}


def body_of(body: bytes, fields: dict[bytes, str], limit: int) -> bytes:
    """Return `body` without its transfer and content codings; at most `limit` bytes are unpacked.

    Raises: Truncated, TooLarge; ValueError for damaged data.
    """
    chunked = "chunked" in fields.get(b"transfer-encoding", "").lower()
    codings = [coding.strip() for coding in fields.get(b"content-encoding", "").lower().split(",")]
    packed = [coding.strip() for coding in fields.get(b"transfer-encoding", "").lower().split(",")]
    codings += [coding for coding in packed if coding not in ("chunked", "identity")]  # these were done last
    stated = fields.get(b"content-length", "").strip()[:18]
    if chunked:
        body = dechunk(body)
    elif not any(coding in CODINGS for coding in codings) and stated.isdigit() and len(body) < int(stated):
        raise Truncated(f"{len(body):,} of {int(stated):,} bytes (Content-Length)")
    for coding in reversed(codings):
        body = decode(body, coding, limit)
    for _ in range(MAX_LAYERS):  # the body may be packed more than once, or without a header that says so
        if not body.startswith(MEMBERS):
            break
        body = _members(body, limit)
    return body


def dechunk(body: bytes) -> bytes:
    """Return `body` without chunked coding (RFC 9112, 7.1), or unchanged if that was already undone.

    Raises: Truncated if chunks are missing, or if anything but trailers follows the last one.
    """
    parts: list[bytes] = []
    at = 0
    while head := CHUNK.match(body, at):
        size, begin = int(head.group(1), 16), head.end()
        if size == 0:
            rest = body[begin:]
            if not parts and rest.strip(b"\0 \t\r\n"):
                return body  # its first line happened to be a zero
            if not TRAILERS.fullmatch(rest):
                raise Truncated(f"{len(rest):,} bytes follow what should be the last chunk")
            return b"".join(parts)
        if begin + size > len(body):
            if not parts and not head.group().endswith(b"\r\n") and not body[begin:].startswith((b"<", *MEMBERS)):
                return body  # a chunk's line ends at CR LF, so this is a line of text
            raise Truncated(f"{len(body) - begin:,} of {size:,} bytes of a chunk")
        after = LINE_BREAK.match(body, begin + size)
        if after is None and begin + size < len(body):
            if parts:
                raise Truncated("a chunk is longer than it says")
            return body  # its first line happened to be a number
        parts.append(body[begin : begin + size])
        at = after.end() if after else len(body)
    if not parts or body[at:].strip() == b"0":
        return b"".join(parts) or body
    raise Truncated(f"{len(parts):,} chunks and no last one")


def decode(body: bytes, coding: str, limit: int) -> bytes:
    """Return `body` without its content coding, or unchanged if it does not have that coding (RFC 9110, 8.4).

    Raises: Truncated, TooLarge; ValueError for damaged data, and for a coding that is not read.
    """
    if not body or coding in NO_CODING:
        return body
    if coding not in CODINGS and not body.startswith(MEMBERS):
        if looks_like_text(body, strictly=False):
            return body  # servers write charsets, types and their own names there
        raise ValueError(f"the coding {coding[:40]!r} is not read")
    if coding in MAGIC or body.startswith(MEMBERS):  # a magic number is more reliable than a header
        return _members(body, limit) if body.startswith((*MAGIC.values(), *MEMBERS)) else body
    if looks_like_text(body):
        return body
    try:
        return CODINGS[coding](body, limit)
    except ValueError:
        if looks_like_text(body, strictly=False):
            return body
        raise


def looks_like_text(body: bytes, strictly: bool = True) -> bool:
    """Return whether a body is text already, so that no coding needs to be undone.

    With `strictly`, text begins with a byte-order mark or markup, or is UTF-8 without control characters. Without it,
    text in another charset, which has few control characters, and ASCII as UTF-16 are accepted too.
    """
    head = body[:HEAD_BYTES]
    if head.startswith(MARKS) or head.lstrip(b"\0 \t\r\n\f")[:1] == b"<":
        return True
    shifts = 0 if b"\x1b$" in head or b"\x1b(" in head else head.count(b"\x1b")  # those of ISO-2022 are text
    controls = len(head) - len(head.translate(None, CONTROLS)) + shifts
    if not strictly:
        letters = head.replace(b"\0", b"")
        return controls * 50 <= len(head) or (
            len(letters) * 2 <= len(head) + 1 and not letters.translate(None, PRINTED)
        )
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as problem:
        if problem.start < HEAD_BYTES - 4:  # not just a character that the head cuts
            return False
    return not controls


def _members(body: bytes, limit: int) -> bytes:
    """Return the content of the gzip members or zstd frames of `body`.

    Raises: Truncated, TooLarge; ValueError for damaged data, and for bytes that are neither packed nor IGNORED.
    """
    parts: list[bytes] = []
    left = limit
    codec = "zstd" if body.startswith(MAGIC["zstd"]) else "gzip"
    for event in Unpacked(io.BytesIO(body), hold=True, codec=codec):
        if isinstance(event, Damage):
            if event.fault == "foreign" and parts and IGNORED.fullmatch(body, event.at, event.end):
                continue
            if event.fault == "cut":
                raise Truncated(event.what)
            raise ValueError(event.what)
        parts.append(event.data)
        left -= len(event.data)
        if left < 0:
            raise TooLarge
    return b"".join(parts)


def _inflate(body: bytes, limit: int) -> bytes:
    """Undo `deflate`, under which name servers send zlib data as well as raw data."""
    cut: Truncated | None = None
    for window in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        try:
            return _streams(body, window, limit)
        except zlib.error:
            continue
        except Truncated as problem:
            cut = cut or problem
    raise cut or ValueError("not deflate data, or not to its end")


def _streams(body: bytes, window: int, limit: int) -> bytes:
    """Return the content of the deflate streams of `body`. Raises: Truncated, TooLarge; zlib.error, also at its end."""
    parts: list[bytes] = []
    left, rest = limit, body
    for _ in range(MAX_STREAMS):  # each copies the rest
        inflate = zlib.decompressobj(window)
        try:
            parts.append(inflate.decompress(rest, left + 1))
        except zlib.error:
            if limit - left > len(body) - len(rest) and looks_like_text(parts[0]):  # so this is deflate data
                raise Truncated(f"{len(rest):,} bytes follow the deflate data") from None
            raise
        left -= len(parts[-1])
        if left < 0:
            raise TooLarge
        if not inflate.eof:
            raise Truncated(f"deflate data of {len(body):,} bytes ends early")
        rest = inflate.unused_data
        if IGNORED.fullmatch(rest):
            return b"".join(parts)
    raise zlib.error(f"over {MAX_STREAMS} streams")


def _unbrotli(body: bytes, limit: int) -> bytes:
    import brotli

    unpacker, out, fed = brotli.Decompressor(), [], body
    left = limit + 1
    try:
        while left > 0 and not unpacker.is_finished():
            data = unpacker.process(fed, output_buffer_limit=left)
            fed = b""
            if not data and unpacker.can_accept_more_data():
                break
            out.append(data)
            left -= len(data)
    except brotli.error as problem:
        raise ValueError(f"not brotli data ({problem})") from None
    if left <= 0:
        raise TooLarge
    if not unpacker.is_finished():
        raise Truncated(f"brotli data of {len(body):,} bytes ends early")
    return b"".join(out)


CODINGS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _members,
    "x-gzip": _members,
    "zstd": _members,
    "deflate": _inflate,
    "br": _unbrotli,
}
"""The codings that are undone; a body under any other name is read only if it is text all the same."""
NO_CODING = ("", "identity")
