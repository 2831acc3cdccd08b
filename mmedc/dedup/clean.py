"""The pass that takes benchmark questions out of what was selected, and tells of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from mmedc.dedup.contamination import find, index_of
from mmedc.dedup.questions import Questions, name_of, quoted
from mmedc.dedup.records import I64
from mmedc.engine.chain import GONE, HEAD_CHARS, SAMPLES, Count
from mmedc.engine.commit import read_rows, read_table
from mmedc.engine.unit import Output, Result, Unit
from mmedc.storage import Store

SLICE_CHARS = 1 << 20
AROUND = 80  # characters of a document that are quoted before and after a hit
MASK = "…"
REASON = "benchmark_question"

FOUND = pa.schema(
    [
        ("row", pa.int64()),
        ("id", pa.string()),
        ("lang", pa.string()),
        ("locator", pa.string()),
        ("benchmark", pa.string()),  # the file's name without suffixes
        ("question", pa.string()),  # `file#line`
        ("words", pa.int64()),  # in a row, the same on both sides
        ("share", pa.float32()),  # of the question's words
        ("start", pa.int64()),  # of the document's characters
        ("stop", pa.int64()),
        ("in_question", pa.string()),
        ("in_document", pa.string()),
    ]
)
"""A question that was found in a document, with both sides."""
EDIT = pa.schema([("row", pa.int64()), ("start", pa.int64()), ("stop", pa.int64()), ("by", pa.string())])
"""Characters of a row's text that are replaced; sorted, without overlap."""


@dataclass(frozen=True)
class Selected:
    """The rows of a gather unit that select keeps."""

    documents: Output
    keep: Output


@dataclass(frozen=True)
class Decontaminate:
    """Looks for questions in the rows that are kept. Unit spec: Selected.

    Leaves `keep` and `gone` as select does, `found` (FOUND) and `edits` (EDIT); notes {lang: [rows, bytes]}.
    """

    questions: Questions
    hits: Literal["drop", "mask", "report"]

    def run(self, unit: Unit, store: Store) -> Result:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        spec: Selected = unit.spec
        keep = read_table(store, spec.keep)
        rows = keep["row"].to_numpy()
        found: list[dict[str, Any]] = []
        gone: list[dict[str, Any]] = []
        edits: list[dict[str, Any]] = []
        sizes = keep["bytes"].to_numpy().copy()
        for at, table in _slices(store, spec.documents, rows):
            texts = table["text"].to_pylist()
            mine = self._found(at, table, texts)
            found += mine
            for number in sorted({one["number"] for one in mine}):
                here = [one for one in mine if one["number"] == number]
                if self.hits == "drop":
                    gone.append(_gone(table.slice(number, 1).to_pylist()[0], at[number], here, len(gone) < SAMPLES))
                elif self.hits == "mask":
                    spans = _joined([(one["start"], one["stop"]) for one in here])
                    edits += [{"row": at[number], "start": low, "stop": high, "by": MASK} for low, high in spans]
                    cut = sum(len(texts[number][low:high].encode()) - len(MASK.encode()) for low, high in spans)
                    sizes[np.searchsorted(rows, at[number])] -= cut
        dropped = np.isin(rows, [one["ordinal"] for one in gone])
        keep = keep.set_column(2, "bytes", pa.array(sizes)).filter(pa.array(~dropped))
        count = Count(len(rows), len(rows) - len(gone), {REASON: len(gone)} if gone else {})
        by_lang = keep.group_by("lang").aggregate([("bytes", "count"), ("bytes", "sum")]).to_pylist()
        notes = {row["lang"]: [row["bytes_count"], row["bytes_sum"]] for row in by_lang}
        tables = {
            "keep": keep,
            "gone": pa.Table.from_pylist(gone, schema=GONE),
            "found": pa.Table.from_pylist(found, schema=FOUND),
            "edits": pa.Table.from_pylist(edits, schema=EDIT),
        }
        return Result({**tables}, {"decontaminate": count}, notes)

    def _found(self, at: I64, table: pa.Table, texts: list[str]) -> list[dict[str, Any]]:
        """Return FOUND rows of a slice of rows, with the `number` of each text in it."""
        index = index_of(self.questions)
        out = []
        for hit in find(texts, index).to_pylist():
            number, start, stop = hit["text"], hit["start"], hit["stop"]
            question = index.questions[hit["question"]]
            around = texts[number][max(start - AROUND, 0) : stop + AROUND]
            out.append(
                {
                    "number": number,
                    "row": int(at[number]),
                    **{name: table[name][number].as_py() for name in ("id", "lang", "locator")},
                    "benchmark": name_of(question.place),
                    "question": question.place,
                    **{name: hit[name] for name in ("words", "share", "start", "stop")},
                    "in_question": quoted(question.text),
                    "in_document": quoted(around, 500),
                }
            )
        return out


def _slices(store: Store, documents: Output, rows: I64) -> Iterator[tuple[I64, pa.Table]]:
    """Yield (rows, table) of about SLICE_CHARS characters of text each."""
    columns = ["id", "lang", "locator", "provenance", "text"]
    for at, table in read_rows(store, documents, rows, columns):
        sizes = np.array([len(text) for text in table["text"].to_pylist()])
        part = np.cumsum(sizes) // SLICE_CHARS
        for low, high in zip(*_runs(part), strict=True):
            yield at[low:high], table.slice(low, high - low)


def _runs(values: I64) -> tuple[list[int], list[int]]:
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]])).tolist()
    return starts, [*starts[1:], len(values)]


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans, sorted, those that overlap made one."""
    out: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if out and low <= out[-1][1]:
            out[-1] = out[-1][0], max(high, out[-1][1])
        else:
            out.append((low, high))
    return out


def _gone(row: dict[str, Any], ordinal: int, found: list[dict[str, Any]], sample: bool) -> dict[str, Any]:
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return {
        "ordinal": int(ordinal),
        **{name: row[name] for name in ("locator", "provenance", "lang")},
        "step": "decontaminate",
        "fate": "dropped",
        "reason": REASON,
        "detail": f"{found[0]['question']}, {found[0]['words']} words{more}",
        "sample": sample,
        "text": row["text"][:HEAD_CHARS] if sample else None,
        "draw": int(row["id"][:16], 16),
    }
