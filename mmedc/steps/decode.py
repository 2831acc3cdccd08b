"""Decoding of bytes: the charset that a page is really in, which may differ from the one that it declares."""

import codecs
import re
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from mmedc.document import set_column, views
from mmedc.engine import slot
from mmedc.engine.chain import Transform

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARKS = tuple(bom for bom, _ in BOMS)
META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
META_BYTES = 4096  # HTML demands the first 1,024 (WHATWG HTML 13.2.3.2), but many pages declare it later
ESCAPES = (b"\x1b$", b"\x1b(")  # of ISO-2022-JP, which otherwise has only ASCII bytes
MAX_BROKEN = 0.02  # share of the characters that may be undecodable
MAX_NUL = 0.1  # share of NUL bytes above which a page is not a text


@dataclass(frozen=True)
class Decode:
    """Decodes payloads into `html` (pages) or `text` (plain text); rows with text pass through.

    The charset is taken from, in this order: the byte-order mark; the escapes of ISO-2022; UTF-8 if all bytes are
    valid, because text in another charset hardly ever is; the charset that the server and then the page declares,
    if all bytes are valid in it; detection. Rejected: `undecodable`, `binary`.
    """

    name: ClassVar[str] = "decode"
    version: ClassVar[int] = 2

    def open(self) -> Transform:
        """Return the transform; it adds `html`."""
        return _decode


def _decode(batch: pa.RecordBatch) -> pa.RecordBatch:
    ordinals = batch.column("ordinal").to_pylist()
    payloads, charsets = batch.column("payload"), batch.column("charset").to_pylist()
    rejected: list[str | None] = [None] * len(ordinals)
    decoded = [payloads.slice(index, 1) for index in range(len(ordinals))]
    changed = False
    for index, (ordinal, seen) in enumerate(zip(ordinals, views(payloads), strict=True)):
        if seen is None:
            continue
        slot.mark(ordinal)
        payload = bytes(seen)
        if not (_is_plain(payload) and _is_utf8(decoded[index])):
            changed = True
            text, problem = decode_page(payload, charsets[index])
            page = None if text is None else text.encode("utf-8", "replace")
            decoded[index] = pa.array([page], pa.large_binary())
            rejected[index] = problem if text is None else None
    # Most pages are UTF-8 already, so their bytes are reused without making a Python string of them.
    pages = (pa.concat_arrays(decoded) if changed else payloads).view(pa.large_string())
    is_text = pc.equal(batch.column("content_type"), "text/plain").fill_null(False)
    if pc.any(is_text).as_py():
        given = batch.column("text")
        batch = set_column(batch, "text", pc.if_else(is_text, pc.coalesce(pages, given), given))
        pages = pc.if_else(is_text, pa.scalar(None, pa.large_string()), pages)
    batch = set_column(batch, "html", pages)
    return set_column(batch, "rejected_by", pa.array(rejected, pa.string()))


def _is_plain(payload: bytes) -> bool:
    """Return whether a payload has no byte-order mark, no NUL bytes and none of the escapes of ISO-2022."""
    return not (b"\0" in payload or b"\x1b" in payload or payload.startswith(_MARKS))


def _is_utf8(payload: pa.LargeBinaryArray) -> bool:
    """Return whether the payloads are valid UTF-8; Arrow checks 4 GB/s, whereas Python would build a string first."""
    try:
        payload.cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


def decode_page(payload: bytes, charset: str | None) -> tuple[str | None, str]:
    """Return (the characters of a page, the charset used), or (None, the reason for the failure)."""
    for bom, name in BOMS:
        if payload.startswith(bom):
            return payload[len(bom) :].decode(name, "replace").replace("\0", ""), name
    nul = payload.count(b"\0")
    escaped = any(escape in payload for escape in ESCAPES)
    if not nul and not escaped:
        try:
            return payload.decode("utf-8"), "utf-8"
        except UnicodeDecodeError:
            pass
    meta = META.search(payload[:META_BYTES])
    declared = ["iso2022_jp" if escaped else None, charset, meta.group(1).decode("ascii") if meta else None]
    if nul > len(payload) * MAX_NUL:
        half = payload[:4096]
        declared += ["utf-16-le" if half[1::2].count(0) > half[::2].count(0) else "utf-16-be"]
    for name in filter(None, map(_codec, declared)):
        try:
            text = payload.decode(name)
        except (UnicodeDecodeError, LookupError):
            continue
        if text.count("\0") <= len(text) * MAX_NUL:
            return text.replace("\0", ""), name
    if nul > len(payload) * MAX_NUL:
        return None, f"binary: {nul:,} NUL bytes in {len(payload):,}"
    from resiliparse.parse.encoding import detect_encoding

    name = _codec(detect_encoding(payload[: 256 << 10])) or "utf-8"
    text = payload.decode(name, "replace").replace("\0", "")
    broken = text.count("�")
    if broken > max(2, len(text) * MAX_BROKEN):
        return None, f"undecodable: {broken:,} broken characters in {len(text):,} as {name}"
    return text, name


def _codec(name: str | None) -> str | None:
    """Return Python's name for a charset label as browsers read it (WHATWG Encoding, 4.2), or None."""
    if not name:
        return None
    from resiliparse.parse.encoding import map_encoding_to_html5

    try:
        mapped = map_encoding_to_html5(name.strip().lower()) or name
        return codecs.lookup(
            {"gbk": "gb18030", "gb2312": "gb18030", "x-user-defined": "latin-1"}.get(mapped, mapped)
        ).name
    except (LookupError, TypeError, ValueError):
        return None
