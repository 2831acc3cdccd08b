"""Folders of saved pages and plain text, with one document per file."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from mmedc.engine import slot
from mmedc.inputs import Input
from mmedc.sources.mime import type_of
from mmedc.sources.raw import InputSplit, Records, check_size, open_whole
from mmedc.unpack import Damage, Unpacked, packed_suffixes

HTML_SUFFIXES = packed_suffixes(".html", ".htm", ".xhtml")
TEXT_SUFFIXES = packed_suffixes(".txt", ".md")
SUFFIXES = HTML_SUFFIXES + TEXT_SUFFIXES
PER_UNIT = 256


@dataclass(frozen=True)
class FilesReader:
    """Reads each file as one document; its first bytes determine what it is, or else its suffix.

    Dropped here: `not_text`. Rejected here: `too_large`, `empty_file`, `damaged` (a compressed file),
    `unreadable` (a link that leads to itself).
    """

    version: ClassVar[int] = 4

    def read(self, split: InputSplit, start: int, skip: frozenset[int]) -> Iterator[pa.RecordBatch]:
        """Yield the records of some files; see `mmedc.engine.chain.Source`. Raises: OSError when one cannot be read."""
        records = Records(start, skip)
        for input_file in split.inputs:
            if not records.next():
                continue
            slot.mark(records.ordinal)
            yield from records.add(
                input_file.name,
                input_file.name,
                **({} if records.skipped else _document(input_file, split.document_bytes)),
            )
        yield from records.flush()


def _document(input_file: Input, limit: int) -> dict[str, Any]:
    if input_file.problem:
        return {"rejected_by": f"unreadable: {input_file.problem}"}
    payload = b""
    with open_whole(input_file) as stream:
        unpacked = Unpacked(stream, input_file.name)
        for event in unpacked:
            if isinstance(event, Damage):
                return {"rejected_by": f"damaged: {event}", "payload": payload}
            payload += event.data
            kind = kind_of(input_file.name, payload)
            if kind is None and payload:
                return {"dropped_by": "not_text"}
            if len(payload) > limit:
                return {"rejected_by": f"too_large: {input_file.bytes:,} bytes, at most {limit:,} are read"}
        check_size(input_file, unpacked.tape.end)
    if not payload:
        return {"rejected_by": f"empty_file: {input_file.bytes:,} bytes"}
    return {"payload": payload, "content_type": kind}


def kind_of(name: str, payload: bytes) -> str | None:
    """Return the media type of a file of pages or text by its first bytes and its name; None when it is neither."""
    name = name.lower()
    stated = "text/html" if name.endswith(HTML_SUFFIXES) else "text/plain" if name.endswith(TEXT_SUFFIXES) else ""
    kind = type_of(payload, stated or "application/octet-stream")
    return kind if kind is None or kind == "text/plain" else "text/html"
