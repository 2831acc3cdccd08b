"""The page inside an HTTP response: what servers and archives do to it is undone, and a part is never a whole."""

import gzip
import zlib
from typing import Any

import brotli
import pytest
import zstandard

from mmedc.sources.http import page_of
from tests.warcs import http

LIMIT = 1 << 20
PAGE = "<html><body><p>" + "Ein Satz über Blut. " * 30 + "</p></body></html>"
BODY = PAGE.encode()


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data)[2:-4]


PACK: dict[str, list[Any]] = {
    "gzip": [gzip.compress],
    "x-gzip": [gzip.compress],
    "zstd": [zstandard.compress, zstandard.ZstdCompressor(write_content_size=False).compress],
    "deflate": [zlib.compress, raw_deflate],
    "br": [brotli.compress],
}
CASES = [(coding, pack) for coding, packs in PACK.items() for pack in packs]


def read(body: bytes, content_type: str = "text/html; charset=utf-8", **fields: str) -> dict[str, Any]:
    return page_of(memoryview(http(body, content_type, **fields)), LIMIT)


def reason(values: dict[str, Any]) -> str:
    return str(values.get("rejected_by") or values.get("dropped_by") or "ok").partition(":")[0]


@pytest.mark.parametrize(("coding", "pack"), CASES)
def test_a_coding_is_undone_once_twice_and_under_a_wrong_name(coding: str, pack: Any) -> None:
    assert read(pack(BODY), Content_Encoding=coding)["payload"] == BODY
    assert read(gzip.compress(pack(BODY)), Content_Encoding=f"{coding}, gzip")["payload"] == BODY
    if coding not in ("deflate", "br"):  # these have no magic number
        assert read(pack(BODY))["payload"] == BODY
        assert read(pack(BODY), Content_Encoding="br")["payload"] == BODY


@pytest.mark.parametrize(("coding", "pack"), CASES)
def test_a_body_that_is_cut_is_truncated(coding: str, pack: Any) -> None:
    packed = pack(BODY * 20)
    for size in (len(packed) // 2, len(packed) - 1):
        assert reason(read(packed[:size], Content_Encoding=coding)) in ("truncated", "bad_encoding")
        assert reason(read(packed[:size], Content_Encoding=coding)) == "truncated" or coding == "br"


@pytest.mark.parametrize("junk", [b"\r\n", b"\0" * 9, b"\n<!-- cached -->\n"])
def test_blanks_and_comments_behind_a_gzip_body_are_ignored(junk: bytes) -> None:
    assert read(gzip.compress(BODY) + junk, Content_Encoding="gzip")["payload"] == BODY
    assert read(gzip.compress(BODY[:50]) + gzip.compress(BODY[50:]) + junk, Content_Encoding="gzip")["payload"] == BODY
    assert read(gzip.compress(BODY[:50]) + junk + gzip.compress(BODY[50:]), Content_Encoding="gzip")["payload"] == BODY
    assert read(zlib.compress(BODY) + junk, Content_Encoding="deflate")["payload"] == BODY


@pytest.mark.parametrize(("coding", "pack"), [case for case in CASES if case[0] != "br"])
def test_half_a_packed_body_is_no_page(coding: str, pack: Any) -> None:
    first, second = pack(BODY[:300]), pack(BODY[300:])
    assert read(first + second, Content_Encoding=coding)["payload"] == BODY
    assert reason(read(first + second[:-1], Content_Encoding=coding)) == "truncated"
    for rest in (BODY[300:], b"\xff" + second[1:], b"\x1f\x8b"):
        assert reason(read(first + rest, Content_Encoding=coding)) in ("truncated", "bad_encoding")


UNDONE = [
    BODY,
    b"\xef\xbb\xbf" + BODY,
    b"\r\n\r\n   \t" + BODY,
    "﻿".encode("utf-16-le") + PAGE.encode("utf-16-le"),
    PAGE.encode("utf-16-be"),
    "Ein Satz über Blut, ohne Elemente.".encode(),
    "糖尿病是一种慢性代谢性疾病。".encode() * 40,
    "Сахарный диабет — хроническое заболевание. ".encode("windows-1251") * 20,
    "糖尿病は慢性の病気です。".encode("iso2022_jp"),
    "糖尿病は慢性の病気です。".encode("shift_jis") * 20,
]


@pytest.mark.parametrize("coding", PACK)
@pytest.mark.parametrize("body", UNDONE)
@pytest.mark.parametrize("content_type", ["text/html", "text/plain"])
def test_a_coding_that_is_declared_and_undone_already(coding: str, body: bytes, content_type: str) -> None:
    # The length is that of the body as it was sent, which says nothing about what the archive kept.
    values = read(body, content_type, Content_Encoding=coding, Content_Length="99999")
    assert values["payload"] == body


def test_data_that_is_neither_coded_nor_text_is_rejected() -> None:
    noise = bytes(range(256)) * 20
    assert reason(read(noise, Content_Encoding="br")) == "bad_encoding"
    assert reason(read(b"\x1f\x8b" + noise, Content_Encoding="gzip")) == "bad_encoding"
    flipped = bytearray(gzip.compress(BODY))
    flipped[-6] ^= 1
    assert reason(read(bytes(flipped), Content_Encoding="gzip")) == "bad_encoding"


def chunked(
    body: bytes, end: bytes = b"\r\n", extension: bytes = b"", last: bytes = b"0\r\n\r\n", size: int = 70
) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x%s%s%s%s" % (len(part), extension, end, part, end) for part in parts) + last


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("extension", [b"", b" ", b";x=" + b"y" * 500, b'; a; b="c"'])
@pytest.mark.parametrize("last", [b"0\r\n\r\n", b"0\n\n", b"000;x\r\n\r\n", b"0\r\nExpires: 0\r\n\r\n", b"0"])
def test_chunks_are_joined_however_they_are_written(end: bytes, extension: bytes, last: bytes) -> None:
    body = chunked(BODY, end, extension, last)
    assert read(body, Transfer_Encoding="chunked")["payload"] == BODY
    packed = chunked(gzip.compress(BODY), end, extension, last)
    assert read(packed, Transfer_Encoding="chunked", Content_Encoding="gzip")["payload"] == BODY


def test_chunks_that_are_missing_make_a_page_truncated() -> None:
    whole = chunked(BODY)
    for size in (len(whole) // 2, len(whole) - 5):
        assert reason(read(whole[:size], Transfer_Encoding="chunked")) == "truncated"
    assert read(BODY, Transfer_Encoding="chunked", Content_Length="9999")["payload"] == BODY
    assert read(b"2024\r\n<p>a page that begins with a number, and was joined already</p>" + b" " * 9000,
                Transfer_Encoding="chunked")["payload"].startswith(b"2024")  # fmt: skip


def test_a_page_that_continues_after_its_last_chunk_is_truncated() -> None:
    zeroed = chunked(BODY).replace(b"46\r\n", b"00\r\n").replace(b"00\r\n", b"46\r\n", 2)
    for body in (zeroed, chunked(BODY[:99]) + chunked(BODY[99:]), chunked(BODY) + b"<p>more"):
        assert reason(read(body, Transfer_Encoding="chunked")) == "truncated"
    assert read(chunked(BODY) + b"\0\0\r\n", Transfer_Encoding="chunked")["payload"] == BODY


@pytest.mark.parametrize("line", [b"0\n", b"0\r\n", b"000;\n", b"2024\n", b"5\n"])
@pytest.mark.parametrize("text", [b"Patients were seen.", b"Age: 50\n"])
def test_a_joined_text_that_begins_with_a_hexadecimal_line_is_whole(line: bytes, text: bytes) -> None:
    assert read(line + text, "text/plain", Transfer_Encoding="chunked")["payload"] == line + text


def test_a_body_that_is_shorter_than_its_length_is_truncated() -> None:
    assert reason(read(BODY, Content_Length=str(len(BODY) + 1))) == "truncated"
    assert read(BODY, Content_Length=str(len(BODY)))["payload"] == BODY
    assert read(BODY, Content_Length="7")["payload"] == BODY
    assert read(BODY, Content_Length="many")["payload"] == BODY


@pytest.mark.parametrize("head_end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("blank", [b"\r\n", b"\n"])
@pytest.mark.parametrize("before", [b"", b"\r\n", b"\n\n"])
def test_a_header_ends_at_the_first_blank_line_of_either_kind(head_end: bytes, blank: bytes, before: bytes) -> None:
    head = head_end.join([b"HTTP/1.1 200 OK", b"Content-Type: text/html; charset=koi8-r", b""]) + blank
    body = b"<p>first</p>\r\n\r\n<p>second</p>\n\n<p>third</p>"
    values = page_of(memoryview(before + head + body), LIMIT)
    assert (values["payload"], values["charset"]) == (body, "koi8-r")


def test_bombs_are_too_large() -> None:
    bomb = b"a" * (LIMIT + 1)
    for coding, pack in CASES:
        assert reason(read(pack(bomb), Content_Encoding=coding)) == "too_large", coding
