"""Offsets of sections and pages through the normalisation of a text: marks stand for them while it is rewritten."""

import itertools
import re
import unicodedata
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mmedc.document import offset_columns, set_column
from mmedc.folding import INVISIBLE

MARK = "\ufdd0"
"""A noncharacter of Unicode, which no normalisation changes."""
_VISIBLE = re.compile(rf"(?!{INVISIBLE.pattern})[^\s{MARK}]")

Places = dict[int, list[int]]
"""The sorted offsets of each row that has some."""


def with_marks(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Places]:
    """Return (the batch with a MARK in `text` at each offset of the OFFSETS columns, the offsets); null becomes "".

    A mark stands before a visible character, outside runs of spaces and between no letter and its combining mark, so
    that what is around it is normalised as if it were not there.
    """
    texts = pc.fill_null(batch.column("text"), "")
    places: Places = {}
    for name in offset_columns(batch):
        column = batch.column(name)
        for row in pc.indices_nonzero(column.is_valid()).to_pylist():
            places[row] = sorted({*places.get(row, ()), *map(_offset, column[row].as_py())})
    if places:
        marked = texts.to_pylist()
        for row, offsets in places.items():
            marked[row] = _marked(marked[row], offsets)
        texts = pa.array(marked, texts.type)
    return set_column(batch, "text", texts), places


def without_marks(batch: pa.RecordBatch, places: Places) -> pa.RecordBatch:
    """Return the batch without marks, and with the OFFSETS columns as the marks of `places` stand now."""
    if not places:
        return batch
    texts = batch.column("text").to_pylist()
    columns = {name: batch.column(name).to_pylist() for name in offset_columns(batch)}
    for row, offsets in places.items():
        parts = texts[row].split(MARK)
        texts[row] = "".join(parts).rstrip(" \n")
        ends = itertools.accumulate(map(len, parts[:-1]))
        now = {offset: min(end, len(texts[row])) for offset, end in zip(offsets, ends, strict=True)}
        for values in columns.values():
            values[row] = values[row] and [_moved(value, now[_offset(value)]) for value in values[row]]
    for name, values in {"text": texts, **columns}.items():
        batch = set_column(batch, name, pa.array(values, batch.schema.field(name).type))
    return batch


def _marked(text: str, offsets: list[int]) -> str:
    parts, end = [], 0
    for offset in offsets:
        visible = _VISIBLE.search(text, offset)
        at = max(visible.start() if visible else len(text), end)
        while at < len(text) and _composes(text, at):
            at += 1
        parts += [text[end:at].replace(MARK, ""), MARK]
        end = at
    return "".join([*parts, text[end:].replace(MARK, "")])


def _composes(text: str, at: int) -> bool:
    """Return whether normalisation may join the character with the visible one before it, or change their order."""
    before = INVISIBLE.sub("", text[max(at - 8, 0) : at])[-1:]
    joined = unicodedata.normalize("NFKC", before + text[at])
    apart = unicodedata.normalize("NFKC", before) + unicodedata.normalize("NFKC", text[at])
    return bool(unicodedata.combining(text[at])) or joined != apart


def _offset(value: Any) -> int:
    return int(value["offset"] if isinstance(value, dict) else value)


def _moved(value: Any, offset: int) -> Any:
    return {**value, "offset": offset} if isinstance(value, dict) else offset
