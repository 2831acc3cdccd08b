"""The texts behind the catalog: rows of a list, one document, a search through texts, and records without scores."""

import re
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmedc.engine.commit import ROW_GROUP
from mmedc.inspect.catalog import Catalog, Chunk
from mmedc.inspect.files import Opened, RowFile
from mmedc.inspect.question import PAGE, Question
from mmedc.inspect.selection import Row, matching, rows_of

EXCERPT = 400
"""Characters of a text that a list reads."""
BUDGET_S = 1.8
"""Seconds of a search before it shows what it found, and goes on where it is asked to."""
HEADS_S = 0.6
"""Seconds in which a list reads the beginnings of texts; later rows show only their titles."""
AT_ONCE = 2
"""Groups of rows that a search reads at a time."""
AROUND = 90
HEAD_COLUMNS = ("title", "locator", "text")
SHOWN_SCORES = ("medical_model", "quality")
LEDGER = ("ordinal", "locator", "provenance", "step", "fate", "reason", "detail", "lang", "sample", "text")


@dataclass(frozen=True)
class Listed:
    """A document as a list shows it."""

    row: Row
    title: str
    """Its title, or else the first line of its text."""
    locator: str
    excerpt: str
    scores: dict[str, float | None]


@dataclass(frozen=True)
class Searched:
    """What a search found."""

    found: list[Listed]
    after: int | None
    """The number of the document at which to go on; None at the end."""


def with_heads(opened: Opened, rows: list[Row], scores: tuple[str, ...] = SHOWN_SCORES) -> list[Listed]:
    """Return rows with their titles, addresses, scores, and the beginnings of their texts."""
    deadline = time.monotonic() + HEADS_S
    by_file: dict[str, list[int]] = {}
    for row in rows:
        by_file.setdefault(row.file, []).append(row.row)
    known: dict[tuple[str, int], dict[str, Any]] = {}
    for name, numbers in by_file.items():
        late = time.monotonic() > deadline
        columns = (*(HEAD_COLUMNS[:2] if late else HEAD_COLUMNS), *scores)
        for number, values in _heads(opened, opened.places[name], numbers, columns).items():
            known[name, number] = values
    pa.default_memory_pool().release_unused()
    return [_listed(row, known[row.file, row.row]) for row in rows]


def _heads(opened: Opened, file: RowFile, rows: list[int], columns: tuple[str, ...]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for start, table in opened.groups(file, columns, np.asarray(sorted(rows), np.int64)):
        mine = [row for row in rows if start <= row < start + table.num_rows]
        taken = table.take(pa.array([row - start for row in mine], pa.int64()))
        if "text" in taken.column_names:
            at = taken.column_names.index("text")
            taken = taken.set_column(at, "text", pc.utf8_slice_codeunits(taken["text"], 0, EXCERPT))
        found |= dict(zip(mine, taken.to_pylist(), strict=True))
    return found


def _listed(row: Row, values: dict[str, Any], excerpt: str | None = None) -> Listed:
    text = (values.get("text") or "") if excerpt is None else excerpt
    scores = {name: value for name, value in values.items() if name not in HEAD_COLUMNS}
    title = values.get("title") or (values.get("text") or "")[:EXCERPT].lstrip().partition("\n")[0]
    return Listed(row, title, values.get("locator") or "", text, scores)


def search(catalog: Catalog, asked: Question, most: int = PAGE, budget_s: float = BUDGET_S) -> Searched:
    """Look for `asked.q` in the documents that the filters keep, from number `asked.start` on.

    Letters of either case are the same. The search stops after `most` documents, or when its time is over. Blocks of
    documents that cannot have the text, as `Skipping` knows, count as looked through.
    """
    deadline, found = time.monotonic() + budget_s, list[Listed]()
    parts, waiting = _parts(catalog, asked), deque[tuple[_Part, Future[list[Listed]]]]()
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        while True:
            for part in islice(parts, AT_ONCE - len(waiting)):
                waiting.append((part, pool.submit(_hits, catalog, part, asked)))
            if not waiting:
                return Searched(found, None)
            part, future = waiting.popleft()
            for each in future.result():
                found.append(each)
                if len(found) == most:
                    return Searched(found, each.row.number + 1)
            if time.monotonic() > deadline:
                return Searched(found, int(part.numbers[-1]) + 1)
    finally:
        pool.shutdown(cancel_futures=True)
        pa.default_memory_pool().release_unused()


@dataclass(frozen=True)
class _Part:
    """Documents of one group of rows of a file, in their order."""

    chunk: Chunk
    places: npt.NDArray[np.int64]
    """Where they are in the chunk."""
    numbers: npt.NDArray[np.int64]
    """Their numbers among the documents that the filters keep."""
    file: RowFile
    rows: npt.NDArray[np.int64]
    """Their rows in the file."""


def _parts(catalog: Catalog, asked: Question) -> Iterator[_Part]:
    for number, chunk, places in matching(catalog, asked, asked.start):
        files, rows = chunk.column("file")[places], chunk.column("row")[places].astype(np.int64)
        numbers = number + np.arange(len(places))
        if asked.where == "text":
            may = catalog.skipping.may_have(files, rows, asked.q)
            files, rows, places, numbers = files[may], rows[may], places[may], numbers[may]
            if not len(places):
                continue
        changes = (np.diff(files.astype(np.int64)) != 0) | (np.diff(rows // ROW_GROUP) != 0)
        for low, high in pairwise([0, *(np.flatnonzero(changes) + 1).tolist(), len(places)]):
            file = catalog.opened.files[int(files[low])]
            yield _Part(chunk, places[low:high], numbers[low:high], file, rows[low:high])


def _hits(catalog: Catalog, part: _Part, asked: Question) -> list[Listed]:
    found: list[Listed] = []
    for start, table in catalog.opened.groups(part.file, (*HEAD_COLUMNS, *SHOWN_SCORES), part.rows):
        mine = np.flatnonzero((part.rows >= start) & (part.rows < start + table.num_rows))
        if len(mine) < table.num_rows:
            table = table.take(pa.array(part.rows[mine] - start))
        mask = pc.fill_null(contains(table[asked.where], asked.q), False).to_numpy(zero_copy_only=False)
        hits = np.flatnonzero(mask)[:PAGE]
        for at, values in zip(hits.tolist(), table.take(pa.array(hits)).to_pylist(), strict=True):
            place = int(mine[at])
            (row,) = rows_of(catalog, part.chunk, part.places[place : place + 1], int(part.numbers[place]))
            text = values["text"] or ""
            excerpt = around(text, asked.q) if asked.where == "text" else text
            found.append(_listed(row, values, excerpt[: 2 * EXCERPT]))
    return found


def contains(column: Any, wanted: str) -> Any:
    """Return which texts of an Arrow column contain a text, in either case."""
    return pc.match_substring(column, wanted, ignore_case=True)


def around(text: str, wanted: str) -> str:
    """Return what stands around the first place of a text in another."""
    found = re.search(re.escape(wanted), text, re.I)
    if found is None:
        return text[:EXCERPT]
    low = max(found.start() - AROUND, 0)
    return ("…" if low else "") + text[low : found.end() + 2 * AROUND]


@dataclass(frozen=True)
class Removed:
    """A record that was removed before it was scored."""

    file: str
    row: int
    values: dict[str, Any]


def removed(opened: Opened, asked: Question, start: int, most: int = PAGE) -> tuple[list[Removed], int | None]:
    """Return records that were removed before scoring, from row number `start` of all on, and where to go on."""
    before, found = 0, list[Removed]()
    deadline = time.monotonic() + BUDGET_S
    for file in opened.removed:
        if before + file.rows <= start or (asked.source and file.source not in ("", asked.source)):
            before += file.rows
            continue
        for first, table in opened.groups(file, LEDGER):
            mask = np.arange(first, first + table.num_rows) + before >= start
            for name, wanted in (("reason", asked.reason), ("lang", asked.lang)):
                if wanted:
                    mask &= pc.fill_null(pc.equal(table[name], wanted), False).to_numpy(zero_copy_only=False)
            if asked.q:
                column = table["text" if asked.where == "text" else "locator"]
                mask &= pc.fill_null(contains(column, asked.q), False).to_numpy(zero_copy_only=False)
            rows = np.flatnonzero(mask)[: most - len(found)]
            heads = table.take(pa.array(rows)).to_pylist()
            found += [Removed(file.name, first + int(row), head) for row, head in zip(rows, heads, strict=True)]
            if len(found) >= most:
                return found, before + found[-1].row + 1
            if time.monotonic() > deadline:
                return found, before + first + table.num_rows
        before += file.rows
    return found, None


def document(opened: Opened, name: str, row: int) -> dict[str, Any] | None:
    """Return all columns of a row of a file; None where there is no such row."""
    file = opened.places.get(name)
    if file is None or not 0 <= row < file.rows:
        return None
    with opened.store.open_input(file.path) as handle:
        names = pq.ParquetFile(handle).schema_arrow.names
    return opened.take(file, [row], names)[row]


def find(opened: Opened, wanted: str, seconds: float = BUDGET_S) -> tuple[str, int] | None:
    """Return the (file, row) of the document with this id, looking for at most some seconds."""
    deadline = time.monotonic() + seconds
    for file in opened.files:
        for start, table in opened.groups(file, ["id"]):
            at = pc.index(table["id"], wanted).as_py()
            if at >= 0:
                return file.name, start + at
        if time.monotonic() > deadline:
            return None
    return None
