"""Statistics of the documents, taken while a shard is written: histograms, extremes, row groups and hosts.

Four small tables, which a corpus has in `statistics/`, answer what otherwise takes a scan of the columns. The edges of
the bins are the same in every corpus, so histograms of shards, and of corpora, can be added. Nothing is read twice: the
values are counted as they are written, and the extremes of row groups come from the footer of the finished file.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmedc.corpus.grams import BlockFilters
from mmedc.document import MEASURES

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

SHARES = frozenset(name for name, unit in MEASURES.items() if "0 to 1" in unit)
"""The measures between 0 and 1, whose bins are hundredths."""
LEAST, MOST, PARTS = -20, 64, 4
"""Other numbers: a bin is a quarter of the distance between two powers of 2, from 2^LEAST to 2^MOST."""
STEPS = (MOST - LEAST) * PARTS
SPAN = {True: 101, False: 2 * STEPS + 2}
"""The number of bins of a share and of another number; the last is that of the documents without a value."""
SKIPPED_BY = ("kind", "date", "licence", "bucket")
"""Columns that are not numbers whose extremes `row_groups` has."""
HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>\[[^\]]*\]|[^/?#:]+)"
MOST_HOSTS = 200_000
"""The number of hosts of a table; those with the fewest documents are one row without a name."""

GROUP = [pa.field("lang", pa.string()), pa.field("source", pa.string()), pa.field("kind", pa.string())]
HISTOGRAMS = pa.schema(
    [
        pa.field("measure", pa.string()),
        *GROUP,
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("documents", pa.int64()),
        pa.field("tokens", pa.int64()),
    ]
)
"""The documents whose value lies from `low` to below `high`; both are null for those without a value."""
EXTREMES = pa.schema(
    [
        pa.field("measure", pa.string()),
        *GROUP,
        pa.field("documents", pa.int64()),
        pa.field("nulls", pa.int64()),
        pa.field("min", pa.float64()),
        pa.field("max", pa.float64()),
        pa.field("sum", pa.float64()),
    ]
)
"""Of each measure; `documents` counts those without a value too."""
HOSTS = pa.schema(
    [
        pa.field("host", pa.string()),
        *GROUP[:2],
        pa.field("documents", pa.int64()),
        pa.field("tokens", pa.int64()),
    ]
)
"""`host` is null for documents that have no URL, and for the hosts beyond MOST_HOSTS."""


def measured(schema: pa.Schema) -> list[str]:
    """Return the columns of numbers: the tokens, the measures, and those of a recipe's own steps."""
    return [field.name for field in schema if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)]


def bins_of(name: str, values: F64) -> I64:
    """Return the number of the bin of each value, (N,); a value that is not a number has none."""
    share = name in SHARES
    known = np.nan_to_num(values)
    if share:
        found = np.clip(np.floor(known * 100), 0, 99).astype(np.int64)
    else:
        part, power = np.frexp(np.clip(np.abs(known), 2.0**LEAST / 2, np.nextafter(2.0**MOST, 0)))
        step = (power - 1 - LEAST) * PARTS + np.floor((part - 0.5) * 2 * PARTS).astype(np.int64)
        found = np.where(step < 0, STEPS, np.where(known < 0, STEPS - 1 - step, STEPS + 1 + step)).astype(np.int64)
    return np.where(np.isnan(values), SPAN[share] - 1, found)


def edges(name: str, number: int) -> tuple[float | None, float | None]:
    """Return from where to where a bin reaches; None for that of the documents without a value."""
    share = name in SHARES
    if number == SPAN[share] - 1:
        return None, None
    if share:
        return number / 100, (number + 1) / 100
    if number == STEPS:
        return 0.0, 2.0**LEAST
    step = abs(number - STEPS) - 1
    low, high = _edge(step), _edge(step + 1)
    return (low, high) if number > STEPS else (-high, -low)


def bins_between(name: str, low: float, high: float, least: int = 1) -> list[tuple[float | None, float | None]]:
    """Return the edges of the bins of a measure from that of `low` to the one that ends at `high`, at least `least`."""
    first, last = bins_of(name, np.array([low, np.nextafter(high, low)])).tolist()
    most = SPAN[name in SHARES] - 2
    while last - first + 1 < least and (first > 0 or last < most):
        first, last = max(first - (last - first) % 2, 0), min(last + 1, most)
        if last == most and last - first + 1 < least:
            first = max(last + 1 - least, 0)
    return [edges(name, number) for number in range(first, last + 1)]


def _edge(step: int) -> float:
    power, part = divmod(step, PARTS)
    return float(2.0 ** (LEAST + power) * (1 + part / PARTS))


@dataclass
class _Measured:
    """What was counted of one measure and kind."""

    documents: I64
    tokens: F64
    extremes: list[float] = field(default_factory=lambda: [np.inf, -np.inf])
    total: float = 0.0


@dataclass
class ShardStatistics:
    """Counts the documents of a shard, all of a language and source, as they are written."""

    lang: str
    source: str
    schema: pa.Schema
    grams: BlockFilters = field(default_factory=BlockFilters)
    _counts: dict[tuple[str, str], _Measured] = field(default_factory=dict)
    _hosts: dict[str | None, list[int]] = field(default_factory=dict)
    _sizes: list[I64] = field(default_factory=list)

    def add(self, table: pa.Table, tokens: npt.NDArray[Any], text_bytes: npt.NDArray[Any]) -> None:
        """Count a table of documents, with the `tokens` and the UTF-8 bytes of each."""
        self.grams.add(table["text"].to_pylist())
        self._sizes.append(np.stack([tokens, text_bytes]).astype(np.int64))
        kinds = table["kind"].combine_chunks().dictionary_encode()
        codes, names = kinds.indices.to_numpy(), kinds.dictionary.to_pylist()
        for name in measured(self.schema):
            values = tokens.astype(np.float64) if name == "tokens" else _floats(table[name])
            self._add_measure(name, values, codes, names, tokens)
        hosts = pa.table({"host": hosts_of(table["locator"]), "tokens": pa.array(tokens, pa.int64())})
        found = hosts.group_by("host", use_threads=False).aggregate([([], "count_all"), ("tokens", "sum")])
        for row in found.to_pylist():
            total = self._hosts.setdefault(row["host"], [0, 0])
            total[0] += row["count_all"]
            total[1] += row["tokens_sum"]

    def _add_measure(
        self, name: str, values: F64, codes: npt.NDArray[Any], kinds: list[str], tokens: npt.NDArray[Any]
    ) -> None:
        span = SPAN[name in SHARES]
        flat = codes * span + bins_of(name, values)
        counts = np.bincount(flat, minlength=len(kinds) * span).reshape(-1, span)
        weights = np.bincount(flat, tokens, minlength=len(kinds) * span).reshape(-1, span)
        # `bincount` adds one after the other, so that the sum is the same on every machine.
        sums = np.bincount(codes, np.nan_to_num(values), minlength=len(kinds))
        for code, kind in enumerate(kinds):
            held = self._counts.get((name, kind))
            if held is None:
                held = self._counts[name, kind] = _Measured(np.zeros(span, np.int64), np.zeros(span))
            held.documents += counts[code]
            held.tokens += weights[code]
            held.total += float(sums[code])
            mine = values[(codes == code) & ~np.isnan(values)]
            if len(mine):
                held.extremes = [min(held.extremes[0], float(mine.min())), max(held.extremes[1], float(mine.max()))]

    def histograms(self) -> pa.Table:
        """Return the HISTOGRAMS."""
        rows = [
            (name, self.lang, self.source, kind, *edges(name, at), int(held.documents[at]), int(held.tokens[at]))
            for (name, kind), held in sorted(self._counts.items())
            for at in np.flatnonzero(held.documents).tolist()
        ]
        return _table(rows, HISTOGRAMS)

    def extremes(self) -> pa.Table:
        """Return the EXTREMES."""
        rows = []
        for (name, kind), held in sorted(self._counts.items()):
            documents, nulls = int(held.documents.sum()), int(held.documents[-1])
            low, high = held.extremes if nulls < documents else (None, None)
            rows.append((name, self.lang, self.source, kind, documents, nulls, low, high, held.total))
        return _table(rows, EXTREMES)

    def hosts(self) -> pa.Table:
        """Return the HOSTS."""
        rows = [(host, self.lang, self.source, *counts) for host, counts in self._hosts.items()]
        return most_hosts(_table(rows, HOSTS))

    def row_groups(self, footer: pq.FileMetaData) -> pa.Table:
        """Return the row groups of the finished shard, which has this `footer`; see `row_groups_schema`."""
        schema = row_groups_schema(self.schema)
        sizes = np.concatenate([np.zeros((2, 1), np.int64), *self._sizes], axis=1).cumsum(axis=1)
        rows, first = [], 0
        for number in range(footer.num_row_groups if self._sizes else 0):
            group = footer.row_group(number)
            tokens, text_bytes = (sizes[:, first + group.num_rows] - sizes[:, first]).tolist()
            whole = (None, self.lang, self.source, number, first, group.num_rows, tokens, text_bytes)
            columns = {chunk.path_in_schema: chunk for chunk in _chunks(group)}
            size = sum(chunk.total_compressed_size for chunk in columns.values())
            rows.append((*whole, size, *(_extremes(columns[name]) for name in schema.names[len(whole) + 1 :])))
            first += group.num_rows
        return _table(rows, schema)


def row_groups_schema(schema: pa.Schema) -> pa.Schema:
    """Return the columns of a table of row groups: where it is, its sizes, and the extremes of columns.

    A reader that wants `quality` from 0.9 up can skip every group with `quality.max` below it.
    """
    names = [*SKIPPED_BY, *measured(schema)]
    return pa.schema(
        [
            pa.field("path", pa.string()),
            *GROUP[:2],
            *(pa.field(name, pa.int64()) for name in ("row_group", "first_row", "rows")),
            *(pa.field(name, pa.int64()) for name in ("total_tokens", "text_bytes", "bytes")),
            *(pa.field(name, _extremes_type(schema.field(name).type)) for name in names),
        ]
    )


def _extremes_type(of: pa.DataType) -> pa.DataType:
    return pa.struct([("min", of), ("max", of), ("nulls", pa.int64())])


def _chunks(group: pq.RowGroupMetaData) -> Iterator[pq.ColumnChunkMetaData]:
    return (group.column(at) for at in range(group.num_columns))


def _extremes(chunk: pq.ColumnChunkMetaData) -> dict[str, Any]:
    found = chunk.statistics
    known = found is not None and found.has_min_max
    return {
        "min": _unsigned(found.min) if known else None,
        "max": _unsigned(found.max) if known else None,
        "nulls": found.null_count if found is not None and found.has_null_count else None,
    }


def _unsigned(value: Any) -> Any:
    """Return zero for the negative zero that Parquet writes as the least of zeros."""
    return 0.0 if isinstance(value, float) and value == 0 else value


def hosts_of(locators: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the host of each locator, in lower case; null where it is not a URL."""
    return pc.utf8_lower(pc.struct_field(pc.extract_regex(locators, HOST), "host"))


def most_hosts(table: pa.Table) -> pa.Table:
    """Return HOSTS with each host once per language and source, those beyond MOST_HOSTS as one.

    The host of most documents comes first; the order does not depend on that of the rows.
    """
    total = _ranked(table)
    if total.num_rows <= MOST_HOSTS:
        return total
    rest = total.slice(MOST_HOSTS)
    unnamed = rest.set_column(0, HOSTS.field("host"), pa.nulls(rest.num_rows, pa.string()))
    return _ranked(pa.concat_tables([total.slice(0, MOST_HOSTS), unnamed]))


def _ranked(table: pa.Table) -> pa.Table:
    total = added(table, HOSTS.names[:3], HOSTS.names[3:])
    order = [("documents", "descending"), *((key, "ascending") for key in ("lang", "source", "host"))]
    return total.sort_by(order).combine_chunks()


def added(table: pa.Table, keys: list[str], sums: list[str]) -> pa.Table:
    """Return one row for each combination of `keys`, in their order, with the `sums` of its rows."""
    found = table.group_by(keys, use_threads=False).aggregate([(name, "sum") for name in sums])
    found = found.rename_columns({f"{name}_sum": name for name in sums})
    return found.sort_by([(key, "ascending") for key in keys]).select([*keys, *sums])


def _floats(column: pa.ChunkedArray) -> F64:
    """Return numbers as 64-bit floats, NaN for null."""
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def _table(rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )
