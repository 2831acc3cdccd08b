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
from mmedc.steps.charset_choice import SAMPLE_BYTES, best
from mmedc.steps.charsets import REPLACEMENT, charset, decoded

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARKS = tuple(bom for bom, _ in BOMS)
META = re.compile(
    rb"<(?:meta[^>]{0,200}?charset|\?xml[^>]{0,200}?encoding)\s*=\s*[\"']?\s*([A-Za-z0-9_:.()-]{2,40})", re.IGNORECASE
)
META_BYTES = 4096  # HTML demands the first 1,024 (WHATWG HTML 13.2.3.2), but many pages declare it later
JIS = re.compile(rb"\x1b\$[@B]|\x1b\([IJ]")  # what switches charsets in ISO-2022-JP, which has only ASCII bytes
HZ = b"hz-gb"  # a label of HZ, whose switches are too frequent elsewhere to be looked for in every page
REFUSED = re.compile(rb"~\{|\x1b\$\)|\x1b\$A")  # the same in HZ and in the ISO-2022 of Korea and China
BROKEN = re.compile("[\ufffd\x01-\x08\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f]")  # controls are no text either
MAX_BROKEN = 0.02  # share of the characters that may be broken
MAX_NUL = 0.1  # share of NUL bytes above which a page is not a text


@dataclass(frozen=True)
class Decode:
    """Decodes payloads into `html` (pages) or `text` (plain text); rows with text pass through.

    The charset is taken from, in this order: the byte-order mark; the escapes of ISO-2022-JP; UTF-8 if it explains
    more characters than it leaves broken, because text in another charset hardly ever looks like it; and otherwise
    what reads best of the charsets that the server and the page declare and the one that is detected
    (`mmedc.steps.charset_choice`). Rejected: `undecodable`, `binary`.
    """

    name: ClassVar[str] = "decode"
    version: ClassVar[int] = 3

    def open(self) -> Transform:
        """Return the transform; it adds `html`."""
        return _decode


def _decode(batch: pa.RecordBatch) -> pa.RecordBatch:
    ordinals = batch.column("ordinal").to_pylist()
    payloads, charsets = batch.column("payload"), batch.column("charset").to_pylist()
    rejected: list[str | None] = [None] * len(ordinals)
    parts = [payloads.slice(index, 1) for index in range(len(ordinals))]
    changed = False
    for index, (ordinal, seen) in enumerate(zip(ordinals, views(payloads), strict=True)):
        if seen is None:
            continue
        slot.mark(ordinal)
        payload = bytes(seen)
        if not (_is_plain(payload, charsets[index]) and _is_utf8(parts[index])):
            changed = True
            text, problem = decode_page(payload, charsets[index])
            page = None if text is None else text.encode("utf-8", "replace")
            parts[index] = pa.array([page], pa.large_binary())
            rejected[index] = problem if text is None else None
    # Most pages are UTF-8 already, so their bytes are reused without making a Python string of them.
    pages = (pa.concat_arrays(parts) if changed else payloads).view(pa.large_string())
    is_text = pc.equal(batch.column("content_type"), "text/plain").fill_null(False)
    if pc.any(is_text).as_py():
        given = batch.column("text")
        batch = set_column(batch, "text", pc.if_else(is_text, pc.coalesce(pages, given), given))
        pages = pc.if_else(is_text, pa.scalar(None, pa.large_string()), pages)
    batch = set_column(batch, "html", pages)
    return set_column(batch, "rejected_by", pa.array(rejected, pa.string()))


def _is_plain(payload: bytes, label: str | None) -> bool:
    """Return whether a payload has no byte-order mark, no NUL bytes and nothing that may switch charsets."""
    if b"\0" in payload or b"\x1b" in payload or payload.startswith(_MARKS):
        return False
    return HZ not in payload[:META_BYTES].lower() and not (label and HZ.decode() in label.lower())


def _is_utf8(payload: pa.LargeBinaryArray) -> bool:
    """Return whether the payloads are valid UTF-8; Arrow checks 4 GB/s, whereas Python would build a string first."""
    try:
        payload.cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


def decode_page(payload: bytes, label: str | None) -> tuple[str | None, str]:
    """Return (the characters of a page, its charset), or (None, the reason for the failure).

    `label` is the charset that the server declares; that of the page itself is looked up here.
    """
    for bom, name in BOMS:
        if payload.startswith(bom):
            return payload[len(bom) :].decode(name, "replace").replace("\0", ""), name
    nul = payload.count(b"\0")
    meta = META.search(payload[:META_BYTES])
    within = charset(meta.group(1).decode("ascii")) if meta else None
    if within and within.startswith("utf-16"):
        within = "utf-8"  # what could be read as ASCII is not UTF-16 (WHATWG HTML, 13.2.3.2)
    labels = [name for name in (charset(label), within) if name]
    found = _charset_of(payload, labels, nul)
    if found is None:
        return None, f"binary: {nul:,} NUL bytes in {len(payload):,}"
    if found == REPLACEMENT:
        return None, "undecodable: it is in a charset that browsers refuse to read"
    text = decoded(payload, found).replace("\0", "")
    broken = text.count("\ufffd") if found == "utf-8" else len(BROKEN.findall(text))
    if broken > max(2, len(text) * MAX_BROKEN):
        return None, f"undecodable: {broken:,} broken characters in {len(text):,} as {found}"
    return text, found


def _charset_of(payload: bytes, labels: list[str], nul: int) -> str | None:
    """Return the charset of a payload without a byte-order mark; None if it is not a text."""
    if nul > len(payload) * MAX_NUL:
        half = payload[:4096]
        name = "utf-16le" if half[1::2].count(0) > half[::2].count(0) else "utf-16be"
        text = decoded(payload[: SAMPLE_BYTES & ~1], name)
        return name if text.count("\0") + text.count("\ufffd") <= len(text) * MAX_NUL else None
    if payload.isascii():
        if REPLACEMENT in labels and REFUSED.search(payload):
            return REPLACEMENT
        return "iso-2022-jp" if JIS.search(payload) else "utf-8"
    text = payload.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    sound = len(text) - len(text.encode("ascii", "ignore")) - broken  # characters beyond ASCII
    if sound >= broken:
        return "utf-8"
    others = ["utf-16le", "utf-16be"] if nul else []
    others += ["iso-2022-jp"] if JIS.search(payload) else []
    return best(payload, [name for name in labels if name not in ("utf-8", REPLACEMENT, "x-user-defined")], others)
