"""The passes that make the corpus: they select the rows that are kept, and write the shards."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmedc.corpus.contents import Contents, Counted
from mmedc.corpus.statistics import ShardStatistics
from mmedc.corpus.summed import Statistics
from mmedc.corpus.tokens import TokenCounter
from mmedc.document import OFFSETS, edited_offsets, edited_text
from mmedc.engine.chain import HEAD_CHARS, REMOVED, SAMPLES, Count
from mmedc.engine.commit import read_groups, read_table
from mmedc.engine.selection import KEEP, Selection, Sizes, sizes_by_language
from mmedc.engine.unit import Accounted, DataFile, Stream, Unit, UnitFiles
from mmedc.limits import reasons
from mmedc.policy import Policy
from mmedc.storage import Store

SLICE_ROWS = 2_000


@dataclass(frozen=True)
class Candidates:
    """The documents of one ingest unit, from which `Select` chooses."""

    number: int
    source: str
    documents: DataFile
    keys: DataFile
    drops: DataFile
    """The dropped rows of a group of units."""
    part: int
    """The row group of `drops` that contains the rows of this unit."""


@dataclass(frozen=True, kw_only=True)
class Selected(Accounted):
    """The result of `Select` for a unit: the rows that are kept (KEEP), in their order."""

    keep: DataFile
    sizes: Sizes


@dataclass(frozen=True)
class Select:
    """Decides for each row of an ingest unit whether it is kept. Unit spec: Candidates."""

    policy: Policy
    units: int
    """The number of ingest units."""
    published: tuple[str, ...] = ()
    """The URLs of corpora whose files of keys are numbered after the ingest units."""

    def run(self, unit: Unit[Candidates], out: UnitFiles) -> Selected:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        spec, store = unit.spec, out.store
        keys = read_table(store, spec.keys)
        why = reasons(keys, self.policy)
        decided = pc.is_null(why).to_numpy(zero_copy_only=False)
        drops = read_groups(store, spec.drops, [spec.part])
        doubled = np.full(keys.num_rows, None, object)
        doubled[drops["place"].to_numpy() - (spec.number << 32)] = drops["reason"].to_pylist()
        duplicates = pa.array(doubled, pa.string())
        kept = decided & pc.is_null(duplicates).to_numpy(zero_copy_only=False)
        rows = np.flatnonzero(kept)
        table = keys.take(rows)
        keep = pa.table([rows, table["lang"], table["bytes"]], schema=KEEP)
        funnel = {"limits": _count(why), "dedup": _count(duplicates.filter(pa.array(decided)))}
        survivors = dict(zip(drops["place"].to_pylist(), drops["survivor"].to_pylist(), strict=True))
        removed = self._removed(spec, store, why, duplicates, survivors)
        return Selected(
            keep=out.write("keep", keep),
            sizes=sizes_by_language(keep),
            funnel=funnel,
            removed=out.write("removed", removed),
        )

    def _removed(
        self, spec: Candidates, store: Store, why: pa.Array, duplicates: pa.Array, survivors: dict[int, int]
    ) -> pa.Table:
        """Return the removed rows as a REMOVED table, with the head of the text for the first few of each reason."""
        columns = ["id", "lang", "locator", "provenance", "licence"]
        rows = read_table(store, spec.documents, columns).to_pylist()
        out: list[dict[str, Any]] = []
        sampled: dict[str, int] = {}
        texts = None
        for index, (low, double) in enumerate(zip(why.to_pylist(), duplicates.to_pylist(), strict=True)):
            if low is None and double is None:
                continue
            reason = low or double
            row = rows[index]
            detail = row["licence"] if low == "licence" else ""
            if low is None:
                other = survivors[(spec.number << 32) + index]
                unit, at = other >> 32, other & 0xFFFFFFFF
                where = f"corpus={self.published[unit - self.units]}" if unit >= self.units else f"unit={unit}"
                detail = f"{where} row={at}"
            text = None
            sampled[reason] = sampled.get(reason, 0) + 1
            if sampled[reason] <= SAMPLES:
                if texts is None:
                    texts = read_table(store, spec.documents, ["text"])["text"]
                text = texts[index].as_py()[:HEAD_CHARS]
            out.append(
                {
                    "ordinal": index,
                    "locator": row["locator"],
                    "provenance": row["provenance"],
                    "step": "limits" if low else "dedup",
                    "fate": "dropped",
                    "reason": reason,
                    "detail": detail,
                    "lang": row["lang"],
                    "sample": text is not None,
                    "text": text,
                    "draw": int(row["id"][:16], 16),
                }
            )
        return pa.Table.from_pylist(out, schema=REMOVED)


def _count(why: pa.Array) -> Count:
    dropped = {row["values"]: row["counts"] for row in pc.value_counts(why.drop_null()).to_pylist()}
    return Count(read=len(why), kept=why.null_count, dropped=dropped)


@dataclass(frozen=True)
class ShardPlan:
    """One file of the corpus: the documents of a language and source that begin in a range of bytes."""

    lang: str
    source: str
    number: int
    count: int
    parts: tuple[tuple[Selection, int], ...]
    """(selection, text bytes of this language in the units before it), in order."""
    low: float
    high: float

    @property
    def path(self) -> str:
        """Its place in the corpus."""
        return f"data/{self.lang}/{self.source}-{self.number:05d}-of-{self.count:05d}.parquet"


@dataclass(frozen=True)
class WrittenShard:
    """What `WriteShard` leaves: a file of the corpus."""

    file: DataFile
    contents: Contents
    statistics: Statistics
    grams: DataFile
    """The filters of its blocks; see `mmedc.corpus.grams`."""


@dataclass(frozen=True)
class WriteShard:
    """Writes a shard of the corpus and counts its tokens. Unit spec: ShardPlan."""

    count: TokenCounter
    schema: pa.Schema
    """Of the documents."""
    version: ClassVar[int] = 6

    def run(self, unit: Unit[ShardPlan], out: UnitFiles) -> WrittenShard:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        counted, found = Counted(), ShardStatistics(unit.spec.lang, unit.spec.source, self.schema)
        file = out.write("shard", Stream(self.schema, self._tables(unit.spec, out.store, counted, found)))
        with out.store.open_input(file.path) as handle:
            footer = pq.read_metadata(handle)
        statistics = Statistics(
            histograms=out.write("histograms", found.histograms()),
            extremes=out.write("extremes", found.extremes()),
            hosts=out.write("hosts", found.hosts()),
            row_groups=out.write("row_groups", found.row_groups(footer)),
        )
        return WrittenShard(file, counted.contents(), statistics, out.write("grams", found.grams.table()))

    def _tables(
        self, spec: ShardPlan, store: Store, counted: Counted, statistics: ShardStatistics
    ) -> Iterator[pa.Table]:
        for selection, before in spec.parts:
            kept = read_table(store, selection.keep, filters=[("lang", "==", spec.lang)])
            sizes = kept["bytes"].to_numpy()
            begins = before + np.cumsum(sizes) - sizes
            mine = (begins >= spec.low) & (begins < spec.high)
            rows: npt.NDArray[np.int64] = kept["row"].to_numpy()[mine]
            size = sizes[mine]
            if not len(rows):
                continue
            # Ingest wrote the rows of a language together, so only its row groups are read.
            first = int(rows.min())
            table = _read_rows(store, selection.documents, first, int(rows.max()) + 1).take(rows - first)
            if selection.edits is not None:
                table = edited(table, rows, read_table(store, selection.edits))
            for at in range(0, table.num_rows, SLICE_ROWS):
                part = table.slice(at, SLICE_ROWS)
                tokens = self.count(part["text"].to_pylist())
                counted.add(part, tokens, size[at : at + SLICE_ROWS])
                statistics.add(part, tokens, size[at : at + SLICE_ROWS])
                part = part.set_column(part.schema.get_field_index("tokens"), "tokens", pa.array(tokens))
                yield part.select(self.schema.names).cast(self.schema)


def edited(table: pa.Table, rows: npt.NDArray[np.int64], edits: pa.Table) -> pa.Table:
    """Return the documents `rows` with parts of their texts replaced, and `chars` as they are then.

    `edits` has (row, start, stop, by), sorted. What is removed without a replacement is counted in `removed_chars`.
    The other measures stay as they were taken.
    """
    mine = np.isin(rows, edits["row"].to_numpy())
    if not mine.any():
        return table
    spans: dict[int, list[tuple[int, int, str]]] = {}
    for edit in edits.to_pylist():
        spans.setdefault(edit["row"], []).append((edit["start"], edit["stop"], edit["by"]))
    names = ("text", "chars", "removed_chars", *OFFSETS)
    columns = {name: table[name].to_pylist() for name in names}
    for at in np.flatnonzero(mine).tolist():
        parts = spans[int(rows[at])]
        text = edited_text(columns["text"][at], parts)
        removed = sum(stop - start for start, stop, by in parts if not by)
        offsets = edited_offsets({name: columns[name][at] for name in OFFSETS}, parts)
        changed = {"text": text, "chars": float(len(text)), "removed_chars": removed, **offsets}
        for name, value in changed.items():
            columns[name][at] = value
    for name, values in columns.items():
        field = table.schema.field(name)
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values, field.type))
    return table


def _read_rows(store: Store, file: DataFile, low: int, high: int) -> pa.Table:
    """Return rows `low` to `high` of a file, reading only the row groups they lie in."""
    with store.open_input(file.path) as handle:
        parquet = pq.ParquetFile(handle, page_checksum_verification=True)
        starts = np.cumsum([0] + [parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups)])
        groups = [i for i in range(parquet.num_row_groups) if starts[i] < high and starts[i + 1] > low]
        table = parquet.read_row_groups(groups, use_threads=False)
        return table.slice(low - int(starts[groups[0]]), high - low)
