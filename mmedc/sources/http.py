"""The page in an HTTP response as archives store it (RFC 9110, RFC 9112).

Servers and archives deviate from the standards in both directions: a coding is declared but already
undone, or present but not declared. The bytes decide; the headers are only hints. A body that ends too
early is `truncated` and never counts as a complete page.
"""

import re
from typing import Any

from mmedc.codings import CODINGS, HEAD_BYTES, MEMBERS, TooLarge, Truncated, undone
from mmedc.jsonlines import whole_characters
from mmedc.sources.archive import blank_line
from mmedc.sources.mime import stated_type, type_of
from mmedc.wishes import HEADERS, in_headers

LISTS = (b"content-type", b"content-encoding", b"transfer-encoding")  # fields that may be sent in several lines
CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,16})[ \t]*(?:;[^\n]*)?\r?\n")
TRAILERS = re.compile(rb"(?:[\w!#$%&'*+.^`|~-]+:[^\n]*(?:\n|\Z))*[\s\0]*")
LINE_BREAK = re.compile(rb"\r?\n")
BOOK = "application/x-book"
"""The type of a body that may be a book: PDF, EPUB or DOCX, whatever the server says."""
ZIP, PDF = b"PK\x03\x04", b"%PDF-"
WISHES = frozenset(name.encode() for name in HEADERS)
HEADERS_BYTES = 8 << 10  # enough for most headers


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
    wishes: dict[str, list[str]] = {}
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        name, text = name.strip().lower(), value.strip().decode("latin-1")
        fields[name] = f"{fields[name]}, {text}" if name in LISTS and name in fields else text
        if name in WISHES:
            wishes.setdefault(name.decode(), []).append(text)
    try:
        whole = body_of(bytes(body), fields, limit)
    except TooLarge:
        return {"rejected_by": f"too_large: over {limit:,} bytes once decompressed", "payload": bytes(block[:4096])}
    except Truncated as problem:
        return {"rejected_by": f"truncated: {problem}", "payload": bytes(block)}
    except ValueError as problem:
        return {"rejected_by": f"bad_encoding: {problem}", "payload": bytes(block)}
    opt_out = {"opt_out": "; ".join(in_headers(wishes)) or None} if wishes else {}
    return {**typed(whole, fields.get(b"content-type", ""), limit, identified), **opt_out}


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
    return undone(body, codings, limit)


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
