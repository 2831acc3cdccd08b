"""The media type of a body: what its label says, and what its bytes are (WHATWG MIME Sniffing).

Servers write types in every form, and one label for whatever they send. A label that can be read is believed unless the
bytes show something else; without one the bytes decide. Unlike a browser, which shows the markup, mmedc reads a page
that is called plain text as a page.
"""

import re

HTML_TYPES = ("text/html", "application/xhtml+xml")
UNKNOWN = ("", "*/*", "unknown/unknown", "application/unknown")
"""Labels that say nothing: bytes decide between a page, text and neither."""
VAGUE = ("application/octet-stream", "application/xml", "text/xml", "binary/octet-stream", "application/x-unknown")
"""Labels of many things: only a body that begins as a page is one."""
HEAD_BYTES = 1445  # of a body that decide what it is (MIME Sniffing, 5.2)
_TYPE = re.compile(r"[\s\"'=:;]*([\w!#$&^.+-]+/[\w!#$&^.+-]+|\*/\*)")
_CHARSET = re.compile(r"charset\s*[=:]\s*[\"']?\s*([^\"'\s;,]+)", re.IGNORECASE)
_BLANKS = b"\xef\xbb\xbf \t\r\n\f\0"
_BEFORE = rb"(?>(?:<\?[^>]*>|<!--.*?-->|<!(?!doctype\s+html\b)[^>]*>)\s*)*+"  # declarations and comments
_PAGE = re.compile(_BEFORE + rb"<(?:!doctype\s+html|html)[\s>]", re.IGNORECASE | re.DOTALL)
_FEED = re.compile(_BEFORE + rb"<(?:rss|feed|rdf:rdf)[\s>]", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(
    rb"<(?:!--|(?:head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p)[\s>])", re.IGNORECASE
)  # with which pages without a type begin (MIME Sniffing, 7.1)
_CONTROLS = bytes((*range(1, 9), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)))
_FORMATS = (b"PAR1", b"PK\x03\x04", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"\x1f\x8b", b"BZh", b"7z\xbc\xaf", b"RIFF")
_PDF = re.compile(rb"\d+ \d+ obj\b|%%EOF|\bxref\b")
_ARCHIVE = re.compile(rb"WARC/\d+\.\d+[ \t]*\r?\n[!-9;-~]+[ \t]*:")
MAX_BINARY = 0.01  # share of control bytes in the head above which a body is not text


def stated_type(header: str) -> tuple[str, str | None]:
    """Return (the media type in lower case, the charset) that a Content-Type states; ("", None) without one.

    Of several values the last counts, with the charset of an earlier one if it repeats the type (Fetch, 3.4). Quotes, a
    blank or a colon for a semicolon, and a type that says no more than `html` do no harm.
    """
    kind, charset = "", None
    for value in header.split(","):
        found = _TYPE.match(value)
        here = found[1].lower() if found else "text/html" if "html" in value.lower() else ""
        named = _CHARSET.search(value)
        if here and here != "*/*":
            charset = named[1] if named else charset if here == kind else None
            kind = here
        elif named and kind:
            charset = named[1]
        elif named:
            charset = charset or named[1]
    return kind, charset


def type_of(body: bytes, stated: str, identified: str = "") -> str | None:
    """Return the media type of a body that is a page or plain text, or None.

    `stated` is the type that the server states, `identified` the one that the crawler found.
    """
    head = body[:HEAD_BYTES]
    start = head.lstrip(_BLANKS)
    if is_other_format(body):
        return None
    if "html" in stated:
        return None if _FEED.match(start) else stated if stated in HTML_TYPES else "text/html"
    if _PAGE.match(start) and (stated in (*UNKNOWN, *VAGUE, "text/plain") or identified in HTML_TYPES):
        return "text/html"
    if stated in (*UNKNOWN, *VAGUE) and b"<html" in head.lower():
        return "text/html"
    if stated in UNKNOWN:
        if identified in HTML_TYPES or _TAG.match(start):
            return "text/html"
        stated = identified or ("text/xml" if start.startswith(b"<?xml") else "text/plain")
    # NUL is left to decoding, because UTF-16 has it.
    return "text/plain" if stated == "text/plain" and (b"\0" in head or not is_binary(head)) else None


def is_binary(head: bytes) -> bool:
    """Return whether the first bytes of a body have more control bytes than a text, or NUL bytes."""
    return b"\0" in head or len(head) - len(head.translate(None, _CONTROLS)) > len(head) * MAX_BINARY


def is_other_format(body: bytes) -> bool:
    """Return whether a body is a file of another format: it begins as one, and is not a text about it."""
    if body.startswith(b"%PDF-"):
        return is_binary(body[:HEAD_BYTES]) or _PDF.search(body, 0, 64 << 10) is not None
    if body.startswith(b"WARC/"):
        return _ARCHIVE.match(body) is not None
    return body.startswith(_FORMATS) and is_binary(body[4:HEAD_BYTES])
