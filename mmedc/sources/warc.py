"""WARC and WET files (ISO 28500), plain or compressed by gzip, zstd or lz4."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from mmedc.engine import slot
from mmedc.jsonlines import whole_characters
from mmedc.sources.archive import Archive, Junk, Record
from mmedc.sources.books import book_values
from mmedc.sources.http import BOOK, page_of, typed
from mmedc.sources.mime import stated_type
from mmedc.sources.raw import InputSplit, Records, check_size, open_whole
from mmedc.unpack import Unpacked, packed_suffixes

SUFFIXES = packed_suffixes(".warc", ".wet")
MAX_HTTP_HEADERS = 64 << 10


@dataclass(frozen=True)
class WarcReader:
    """Reads the pages of WARC files: responses, resources and (WET) conversions.

    A record with a robots.txt and the like, as our crawler marks it (`WARC-Site-Rules`), is no page.
    Dropped here: `http_status` (not 200), `not_text` (by type and first bytes), and of the files of a crawl the
    records that a later visit has `superseded`. Rejected here:
    `too_large`, `truncated`, `bad_encoding`, `bad_http`, `damaged` (bytes that hold no sound record) and
    `empty_file`.
    """

    version: ClassVar[int] = 6

    def read(self, split: InputSplit, start: int, skip: frozenset[int]) -> Iterator[pa.RecordBatch]:
        """Yield the records of a file; see `mmedc.engine.chain.Source`. Raises: OSError when it cannot be read."""
        records, input_file = Records(start, skip), split.inputs[0]
        with open_whole(input_file) as stream:
            unpacked = Unpacked(stream, input_file.name, hold=True)
            yield from pages_of(unpacked, split, records, lambda at: (input_file.name, at))
            check_size(input_file, unpacked.tape.end)
        if not unpacked.given and not unpacked.account.damaged:
            yield from records.reject(input_file.name, input_file.name, f"empty_file: {input_file.bytes:,} bytes")
        yield from records.flush()


def pages_of(
    unpacked: Unpacked, split: InputSplit, records: Records, place: Callable[[str], tuple[str, str]]
) -> Iterator[pa.RecordBatch]:
    """Yield the records of `unpacked` and what is damaged in it; `place` turns an offset into (file, offset in it)."""
    limit, superseded = split.document_bytes, frozenset(map(str, split.superseded))

    def wanted() -> bool:
        here = records.next()
        slot.mark(records.ordinal)
        if records.skipped:
            unpacked.leap()  # a record that broke the reader is not unpacked again
        return here and not records.skipped

    archive = Archive(iter(unpacked), not unpacked.codec, limit + MAX_HTTP_HEADERS, wanted, lambda: unpacked.leap())
    for found in archive:
        if isinstance(found, Junk):
            name, at = place(found.at)
            yield from records.reject(f"{name}#damaged-{at}", f"{name}#offset={at}", f"damaged: {found.what}")
        elif records.ordinal >= records.start:
            locator = whole_characters(found.fields.get("warc-target-uri", "").strip("<> "))
            if found.at in superseded:
                values: dict[str, Any] = {"dropped_by": "superseded"}
            else:
                values = {} if records.skipped else _page(found, limit)
            if split.books is not None and values.get("content_type") == BOOK:
                values = book_values(values["payload"], locator, split.books, limit)
            name, at = place(found.at)
            yield from records.add(
                locator or f"{name}#{records.ordinal}",
                f"{name}#offset={at}",
                **{"date": found.fields.get("warc-date"), **values},
            )


def _page(record: Record, limit: int) -> dict[str, Any]:
    """Return the columns of the page in a record, or the reason for its removal."""
    problem = f"; {record.problem}" if record.problem else ""
    if record.block is None or record.length > limit + MAX_HTTP_HEADERS:
        return {"rejected_by": f"too_large: {record.length:,} bytes, at most {limit:,} are read{problem}"}
    if record.problem:
        return {"rejected_by": record.problem, "payload": bytes(record.block)}
    if reason := record.fields.get("warc-truncated"):
        return {
            "rejected_by": f"truncated: {whole_characters(reason)} (WARC-Truncated)",
            "payload": bytes(record.block),
        }
    if "warc-segment-number" in record.fields:
        return {"rejected_by": "truncated: the page is in several records (WARC-Segment-Number)"}
    stated = record.fields.get("content-type", "")
    identified = stated_type(record.fields.get("warc-identified-payload-type", ""))[0]
    media_type = stated_type(stated)[0]
    if media_type == "application/http" or (record.kind == "response" and bytes(record.block[:5]) == b"HTTP/"):
        return page_of(record.block, limit, identified)
    return typed(bytes(record.block), stated, limit, identified)
