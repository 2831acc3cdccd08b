"""The content codings of an HTTP body (RFC 9110, 8.4), undone within a limit.

Servers declare a coding that is already undone, or use one that they do not declare. The bytes decide; the headers are
only hints.
"""

import io
import re
import zlib
from collections.abc import Callable

from mmedc.unpack import Damage, Unpacked

IGNORED = re.compile(rb"(?:[\s\0]|<!--(?:(?!-->).)*-->)*", re.DOTALL)
"""What may follow a packed page without being a part of it: blanks, NULs, and comments that servers append."""
MAGIC = {"gzip": b"\x1f\x8b", "x-gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
MEMBERS = (b"\x1f\x8b\x08", MAGIC["zstd"])
MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")  # of UTF-8 and UTF-16
CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f\x1b")
PRINTED = bytes(range(32, 127)) + b"\t\r\n"
HEAD_BYTES = 1024  # of a body that are searched to find out what it is
MAX_LAYERS = 4
MAX_STREAMS = 64  # of deflate data, one after the other


class TooLarge(Exception):
    """A body unpacks to more bytes than a page may have."""


class Truncated(Exception):
    """A body ends too early."""


def undone(body: bytes, codings: list[str], limit: int) -> bytes:
    """Return `body` without its content codings, in the order of the header; at most `limit` bytes are unpacked.

    Raises: Truncated, TooLarge; ValueError for damaged data, and for a coding that is not read.
    """
    for coding in reversed(codings):
        body = decode(body, coding, limit)
    for _ in range(MAX_LAYERS):  # the body may be packed more than once, or without a header that says so
        if not body.startswith(MEMBERS):
            break
        body = _members(body, limit)
    return body


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
