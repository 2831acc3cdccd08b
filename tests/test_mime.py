"""What a body is: labels of any form are read, and the bytes decide where labels say nothing or the wrong thing."""

import zlib
from pathlib import Path
from typing import Any

import pytest

from mmedc.sources.http import page_of, typed
from mmedc.sources.mime import stated_type, type_of
from tests.test_sources import reasons, warc
from tests.warcs import http, record

LIMIT = 1 << 20
PAGE = b"<!DOCTYPE html>\n<html><body><p>The nurse dressed the wound.</p></body></html>"
TEXT = "The nurse dressed the wound — twice.\n".encode() * 3
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256))


@pytest.mark.parametrize(
    ("header", "kind", "charset"),
    [
        ("text/html; charset=utf-8", "text/html", "utf-8"),
        ('text/html;charset="koi8-r"', "text/html", "koi8-r"),
        ("Text/HTML; Charset='GBK'", "text/html", "GBK"),
        ('"text/html"; charset=utf-8', "text/html", "utf-8"),
        ('"text/html; charset=utf-8"', "text/html", "utf-8"),
        ("text/html charset=utf-8", "text/html", "utf-8"),
        ("text/html:charset=utf-8", "text/html", "utf-8"),
        ("text/html; charset: utf-8", "text/html", "utf-8"),
        ("text/html, text/html; charset=utf-8", "text/html", "utf-8"),
        ("text/html; charset=big5, text/html", "text/html", "big5"),
        ("text/html; charset=big5, text/plain", "text/plain", None),
        ("image/gif, text/html", "text/html", None),
        ("text/html, */*; charset=big5", "text/html", "big5"),
        ("html; charset=utf-8", "text/html", "utf-8"),
        ("charset=utf-8", "", "utf-8"),
        ("*/*", "", None),
        ("", "", None),
        ("; charset=", "", None),
        ("nonsense", "", None),
    ],
)
def test_labels_of_any_form_are_read(header: str, kind: str, charset: str | None) -> None:
    assert stated_type(header) == (kind, charset)


CASES: list[tuple[str, str, bytes, str | None]] = [
    # a browser reads these as pages
    *(("page", stated, PAGE, "text/html") for stated in ("text/html", "", "unknown/unknown", "*/*", "text/x-html")),
    ("xhtml", "application/xhtml+xml", PAGE, "application/xhtml+xml"),
    ("page after a comment", "", b"\n<!-- a --><!-- <b --> <html><p>x</p>", "text/html"),
    ("page without a doctype", "", b"  <h1>Wounds</h1><p>x</p>", "text/html"),
    ("page as XML", "text/xml", b"<?xml version='1.0'?>\n<!DOCTYPE html>\n<html xmlns='x'>", "text/html"),
    ("page as bytes", "application/octet-stream", PAGE, "text/html"),
    ("page as text", "text/plain", PAGE, "text/html"),  # a browser shows the markup, which is no use here
    ("prose called a page", "text/html", TEXT, "text/html"),
    # text
    *(("text", stated, TEXT, "text/plain") for stated in ("text/plain", "", "*/*")),
    *(("text", "text/plain", head + b" is how such a file begins.\n" * 9, "text/plain")
      for head in (b"PAR1", b"%PDF-", b"%PDF-1.4", b"WARC/", b"WARC/1.0", b"GIF89a", b"BZh", b"RIFF", b"PK")),
    ("a tag in prose", "text/plain", b"<b> makes text bold.", "text/plain"),
    ("UTF-16", "text/plain", "Кашель прошёл.".encode("utf-16-le"), "text/plain"),
    ("UTF-16 with a mark", "", "The cough is gone.".encode("utf-16"), "text/plain"),
    ("ISO-2022-JP", "text/plain", "咳が出る".encode("iso2022_jp"), "text/plain"),
    # neither
    *(("PNG", stated, PNG, None) for stated in ("text/html", "text/plain", "", "image/png")),
    ("PDF", "text/html", b"%PDF-1.7\n1 0 obj\n<</Type/Catalog>>\nendobj\n%%EOF\n", None),
    ("Parquet", "text/plain", b"PAR1\x15\x04\x15\x80" + bytes(range(40)) + b"PAR1", None),
    ("archive", "text/plain", b"WARC/1.1\r\nWARC-Type: warcinfo\r\n\r\n", None),
    ("zip", "text/html", b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(range(99)), None),
    ("binary", "text/plain", bytes(range(1, 200)), None),
    ("binary", "", bytes(range(1, 200)), None),
    ("text of another kind", "application/json", b'{"a": 1}', None),
    ("text as bytes", "application/octet-stream", TEXT, None),
    ("style", "text/css", b"p { margin: 0 }", None),
    ("data", "", b"<?xml version='1.0'?><data/>", None),
    ("feed", "text/html", b"<?xml version='1.0'?>\n<!-- news -->\n<rss version='2.0'><channel>", None),
    ("feed", "text/html", b"<feed xmlns='http://www.w3.org/2005/Atom'>", None),
]  # fmt: skip


@pytest.mark.parametrize(("what", "stated", "body", "kind"), CASES)
def test_the_bytes_decide_what_a_body_is(what: str, stated: str, body: bytes, kind: str | None) -> None:
    assert type_of(body, stated_type(stated)[0]) == kind, what


def test_what_the_crawler_identified_counts_where_the_server_says_nothing() -> None:
    assert type_of(TEXT, "", "text/html") == "text/html"
    assert type_of(TEXT, "", "application/json") is None
    assert type_of(PAGE, "image/gif", "text/html") == "text/html"
    assert type_of(PAGE, "image/gif") is None
    assert type_of(TEXT, "text/plain", "application/msword") == "text/plain"


@pytest.mark.parametrize("unit", [b"<!", b"<!-- ", b"<!>", b"<!-->", b"<?>", b"<? ", b"<!-- --> ", b" ", b"<html"])
def test_hostile_beginnings_do_not_hang(unit: bytes) -> None:
    for stated in ("text/html", ""):
        assert type_of(unit * 1000 + b"x" * 1000, stated) in ("text/html", "text/plain", None)


def fields(body: bytes, content_type: str = "text/html", **more: str) -> dict[str, Any]:
    return page_of(memoryview(http(body, content_type, **more)), LIMIT)


@pytest.mark.parametrize("transfer", ["deflate, chunked", "gzip, chunked", "chunked"])
def test_codings_of_the_transfer_are_undone(transfer: str) -> None:
    packed = zlib.compress(PAGE) if "deflate" in transfer else PAGE
    if "gzip" in transfer:
        pack = zlib.compressobj(wbits=31)
        packed = pack.compress(PAGE) + pack.flush()
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed)
    assert fields(body, Transfer_Encoding=transfer)["payload"] == PAGE


@pytest.mark.parametrize("coding", ["compress", "x-compress", "aes128gcm", "dcb", "pack200-gzip"])
def test_a_coding_that_is_not_read_is_rejected_by_its_name(coding: str) -> None:
    packed = b"\x1f\x9d\x90" + bytes((7 * n * n + 3 * n) % 256 for n in range(900))
    for where in ("Content_Encoding", "Transfer_Encoding"):
        found = fields(packed, **{where: coding})
        assert found["rejected_by"] == f"bad_encoding: the coding {coding!r} is not read"
    for harmless in (coding, "utf-8", "none", "text/html"):  # undone already, or not a coding at all
        assert fields(PAGE, Content_Encoding=harmless)["payload"] == PAGE
        assert fields("Où ?".encode("latin-1") * 9, Content_Encoding=harmless)["payload"]


def test_fields_in_several_lines_are_one_list() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nContent-Type: text/html; charset=big5\r\n\r\n"
    found = page_of(memoryview(head + TEXT), LIMIT)
    assert (found["content_type"], found["charset"]) == ("text/html", "big5")


@pytest.mark.parametrize("kind", ["resource", "conversion"])
def test_resources_and_conversions_go_the_same_way_as_responses(kind: str, tmp_path: Path) -> None:
    bodies = [(PAGE, "text/html"), (TEXT, "text/plain;charset=koi8-r"), (PNG, "text/plain"), (PAGE, ""), (TEXT, "*/*")]
    data = b"".join(record(f"u:{n}", body, kind, stated) for n, (body, stated) in enumerate(bodies))
    typeless = record("u:5", TEXT, kind, "").replace(
        b"Content-Type: \r\n", b"WARC-Identified-Payload-Type: text/html\r\n"
    )
    rows = warc(tmp_path, data + typeless, "x.warc")
    assert reasons(rows) == ["ok", "ok", "not_text", "ok", "ok", "ok"]
    assert [row["content_type"] for row in rows] == [
        "text/html", "text/plain", None, "text/html", "text/plain", "text/html"
    ]  # fmt: skip
    assert rows[1]["charset"] == "koi8-r"
    for body, stated in bodies:
        same = typed(body, stated, LIMIT)
        assert page_of(memoryview(http(body, stated)), LIMIT) == same
