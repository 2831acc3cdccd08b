"""Decoding of bytes: the charset that a page is really in, which may differ from the one that it declares."""

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from mmedc.decoding import BOMS, HZ, META_BYTES, decode_page
from mmedc.document import set_column, views
from mmedc.engine import slot
from mmedc.engine.chain import Transform

_MARKS = tuple(bom for bom, _ in BOMS)


@dataclass(frozen=True)
class Decode:
    """Decodes payloads into `html` (pages) or `text` (plain text); rows with text pass through.

    The charset is taken from, in this order: the byte-order mark; the escapes of ISO-2022-JP; UTF-8 if it explains
    more characters than it leaves broken, because text in another charset hardly ever looks like it; and otherwise
    what reads best of the charsets that the server and the page declare and the one that is detected
    (`mmedc.charset_choice`). Rejected: `undecodable`, `binary`.
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
