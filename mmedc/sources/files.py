"""Folders of saved pages and plain text, one document a file."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from mmedc.engine import slot
from mmedc.sources.raw import Records
from mmedc.storage import Input, open_binary

HTML_SUFFIXES = (".html", ".htm", ".xhtml")
TEXT_SUFFIXES = (".txt", ".md")
FILE_SUFFIXES = HTML_SUFFIXES + TEXT_SUFFIXES


def read_files(inputs: tuple[Input, ...], limit: int, start: int, skip: frozenset[int]) -> Iterator[pa.RecordBatch]:
    """Yield each file as one record; see `Reader.read`.

    Dropped here: `not_text` (by suffix). Rejected here: `too_large`, `empty_file`, `unreadable`.
    """
    records = Records(start, skip)
    for one in inputs:
        if not records.next():
            continue
        slot.mark(records.ordinal)
        yield from records.add(one.name, one.name, **({} if records.skipped else _read(one, limit)))
    yield from records.flush()


def _read(one: Input, limit: int) -> dict[str, Any]:
    name = one.name.lower()
    if not name.endswith(FILE_SUFFIXES):
        return {"dropped_by": "not_text"}
    try:
        with open_binary(one.url) as stream:
            payload = stream.read(limit + 1)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as problem:
        return {"rejected_by": f"unreadable: {problem.strerror}"}
    if len(payload) > limit:
        return {"rejected_by": f"too_large: {one.bytes:,} bytes, at most {limit:,} are read"}
    if not payload:
        return {"rejected_by": "empty_file: 0 bytes"}
    return {"payload": payload, "content_type": "text/html" if name.endswith(HTML_SUFFIXES) else "text/plain"}
