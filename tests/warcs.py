"""Small WARC files for tests, made byte by byte so that they can be wrong in every way."""

import gzip


def http(body: bytes, content_type: str = "text/html; charset=utf-8", status: int = 200, **fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status} OK", f"Content-Type: {content_type}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def record(
    url: str,
    block: bytes,
    kind: str = "response",
    content_type: str = "application/http; msgtype=response",
    length: int | None = None,
) -> bytes:
    head = (
        f"WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000000>\r\n"
        f"WARC-Date: 2026-01-02T03:04:05Z\r\nWARC-Target-URI: {url}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(block) if length is None else length}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def page(url: str, html: str, charset: str = "utf-8", **fields: str) -> bytes:
    return record(url, http(html.encode(charset, "xmlcharrefreplace"), f"text/html; charset={charset}", **fields))


def packed(*records: bytes) -> bytes:
    """Return a .warc.gz: one gzip member a record, the same bytes every time."""
    return b"".join(gzip.compress(one, 6, mtime=0) for one in records)


def html(title: str, paragraphs: list[str], lang: str = "en") -> str:
    body = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    return (
        f'<!DOCTYPE html><html lang="{lang}"><head><meta charset="utf-8"><title>{title}</title></head><body>'
        '<nav><a href="/">Home</a> <a href="/news">News</a> <a href="/contact">Contact</a></nav>'
        f"<main><article><h1>{title}</h1>{body}</article></main>"
        "<footer>All rights reserved. Terms of use. Privacy.</footer></body></html>"
    )
