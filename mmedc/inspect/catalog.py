"""The catalog: the language, source, kind, fate and coded scores of every document, without its text.

It is made once, by reading the columns of scores, and kept by language in chunks of 65,536 rows, in files of a
temporary folder. A question reads only the columns that it needs, one chunk at a time, so memory does not grow with
the corpus. While the catalog is made, questions are answered from the chunks that are there, and say so.
"""

import contextlib
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmedc.corpus.manifest import tokens_per_byte
from mmedc.document import MEASURES
from mmedc.engine.unit import DataFile
from mmedc.inspect.files import PUBLISHED, UNREADABLE, Opened, RowFile
from mmedc.inspect.scales import Scale, scale_of
from mmedc.inspect.skipping import Skipping

CHUNK = 65_536
UNDECIDED = "undecided"
"""The fate of a document of a build that has not published."""
Columns = dict[str, npt.NDArray[Any]]


@dataclass
class Chunk:
    """Up to `CHUNK` documents of one language: arrays in memory, or the file that has them one after another."""

    lang: str
    rows: int
    held: Columns | None
    path: Path | None = None
    offsets: dict[str, tuple[int, Any]] = field(default_factory=dict)

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return a column."""
        if self.held is not None:
            return self.held[name]
        offset, dtype = self.offsets[name]
        return np.fromfile(self.path or "", dtype, self.rows, offset=offset)

    def write(self, path: Path) -> None:
        """Move the columns to a file."""
        with path.open("wb") as file:
            for name, values in (self.held or {}).items():
                self.offsets[name] = (file.tell(), values.dtype)
                file.write(np.ascontiguousarray(values).data)
        self.path, self.held = path, None


class Names:
    """Numbers names in the order in which they are met."""

    def __init__(self, *first: str) -> None:
        self.known: dict[str, int] = {name: at for at, name in enumerate(first)}

    def number(self, name: str) -> int:
        """Return the number of a name."""
        return self.known.setdefault(name, len(self.known))

    def name(self, number: int) -> str:
        """Return the name of a number."""
        return [*self.known][number]

    def numbers(self, column: Any, dtype: Any) -> npt.NDArray[Any]:
        """Return the numbers of a column of names (Arrow)."""
        coded = pc.fill_null(pc.cast(column, pa.string()), "").combine_chunks().dictionary_encode()
        table = np.asarray([self.number(name) for name in coded.dictionary.to_pylist()], dtype)
        return table[coded.indices.to_numpy()] if len(table) else np.zeros(len(coded), dtype)


class Catalog:
    """The documents of an opened corpus; `fill` makes it, perhaps in a thread of its own."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.measures = (*MEASURES, *(name for name in opened.extra))
        self.sources, self.kinds, self.licences = Names(), Names(), Names()
        self.fates = Names(PUBLISHED, UNDECIDED)
        self.chunks: dict[str, list[Chunk]] = {}
        self.scales: dict[str, Scale] = {}
        self.expected = sum(file.rows for file in opened.files if file.what == PUBLISHED or not opened.manifest)
        self.counted = 0
        """The documents that are in the catalog."""
        self.skipping = Skipping()
        self.done = threading.Event()
        self.problem = ""
        self.stopped = False
        """Whether no more is to be read."""
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._numbers = count()
        self._open: dict[str, list[Columns]] = {}

    def close(self) -> None:
        """Stop making the catalog, and delete its files."""
        self.stopped = True
        if self._folder:
            self._folder.cleanup()

    def rows(self, langs: Iterable[str] = ()) -> Iterator[Chunk]:
        """Yield the chunks of some languages, or of all, in a fixed order."""
        for lang in sorted(set(langs) or self.chunks):
            yield from list(self.chunks.get(lang, ()))

    @property
    def languages(self) -> list[str]:
        """The languages of documents."""
        return sorted(self.chunks)

    def fill(self) -> None:
        """Read the scores of all documents. A file that cannot be read is named in `problem`, and hides no other."""
        try:
            self._set_scales()
            shards = self.opened.manifest.shards if self.opened.manifest else ()
            ratios, fates = tokens_per_byte(shards), _Fates(self.opened)
            for number, file in enumerate(self.opened.files):
                if self.stopped:
                    return
                if file.rows:
                    with self._naming(file):
                        self._add(number, file, fates, ratios)
            for lang in [*self._open]:
                self._flush(lang, 1)
            self.skipping.fill(self.opened)
        except Exception as problem:  # what is counted so far is shown, and that it is not all
            self.problem = f"{type(problem).__name__}: {problem}"
        finally:
            self.done.set()

    @contextlib.contextmanager
    def _naming(self, file: RowFile) -> Iterator[None]:
        """Name a file that cannot be read, and go on."""
        try:
            yield
        except UNREADABLE as problem:
            if file.path not in self.problem:
                self.problem += f"{'; ' if self.problem else ''}{file.path}: {problem}"

    def _set_scales(self) -> None:
        """Give each measure its scale: the bounds of its values are in the statistics of the files."""
        low: dict[str, float] = {}
        high: dict[str, float] = {}
        for file in self.opened.files:
            if file.rows:
                with self._naming(file):
                    self._widen(file, low, high)
        exact = self._bounds()
        self.scales = {
            name: scale_of(name, low.get(name, 0.0), high.get(name, 1.0), exact.get(name, ())) for name in self.measures
        }

    def _widen(self, file: RowFile, low: dict[str, float], high: dict[str, float]) -> None:
        """Widen the bounds of measures to the values of a file."""
        with self.opened.store.open_input(file.keys or file.path) as handle:
            meta = pq.ParquetFile(handle).metadata
        at = {meta.schema.column(index).path: index for index in range(meta.num_columns)}
        for group in range(meta.num_row_groups):
            for name in self.measures:
                stats = meta.row_group(group).column(at[name]).statistics if name in at else None
                if stats is not None and stats.has_min_max:
                    low[name] = min(low.get(name, stats.min), stats.min)
                    high[name] = max(high.get(name, stats.max), stats.max)

    def _bounds(self) -> dict[str, set[float]]:
        """Return every value that some limit has, by measure."""
        found: dict[str, set[float]] = {}
        policies = [self.opened.limits, *self.opened.own_limits.values()]
        for limits in (limits for policy in policies for limits in policy.values()):
            for name, limit in limits.items():
                for value in (limit.min, limit.max, limit.floor, limit.ceiling):
                    if value is not None:
                        found.setdefault(name, set()).add(value)
        return found

    def _add(self, number: int, file: RowFile, fates: "_Fates", ratios: dict[str, float]) -> None:
        keys = RowFile(file.name, file.keys or file.path, file.rows, file.what)
        names = ["lang", "source", "kind", "licence", "tokens", "bytes", *self.measures]
        verdicts = fates.of(file)  # None: all are published
        for start, table in self.opened.groups(keys, names):
            if self.stopped:
                return
            rows = np.arange(start, start + table.num_rows, dtype=np.uint32)
            columns: Columns = {"file": np.full(len(rows), number, np.uint32), "row": rows}
            columns["source"] = self.sources.numbers(table["source"], np.uint16)
            if "licence" in table.column_names:  # the keys of older versions have none
                columns["licence"] = self.licences.numbers(table["licence"], np.uint16)
            else:
                columns["licence"] = np.full(len(rows), self.licences.number(""), np.uint16)
            columns["kind"] = self.kinds.numbers(table["kind"], np.uint8)
            columns["tokens"] = _tokens(table, ratios)
            for name in self.measures:
                columns[name] = self.scales[name].codes(_floats(table, name))
            langs, chosen = table["lang"], np.ones(len(rows), bool)
            if verdicts is None:
                columns["fate"] = np.zeros(len(rows), np.uint8)
            else:
                mine = verdicts[start : start + table.num_rows]
                chosen = mine != None  # noqa: E711 (element-wise): published documents are read from their shards
                coded = self.fates.numbers(pa.chunked_array([pa.array(mine[chosen], pa.string())]), np.uint8)
                columns["fate"] = np.zeros(len(rows), np.uint8)
                columns["fate"][chosen] = coded
            for lang in pc.unique(langs).to_pylist():
                rows_of = np.flatnonzero(chosen & pc.equal(langs, lang).to_numpy(zero_copy_only=False))
                if len(rows_of):
                    self._open.setdefault(lang, []).append({name: values[rows_of] for name, values in columns.items()})
                    self._flush(lang, CHUNK)

    def _flush(self, lang: str, least: int) -> None:
        """Make chunks of the rows of a language that wait, if they are at least `least`."""
        parts = self._open.get(lang, [])
        waiting = sum(len(part["row"]) for part in parts)
        if not waiting or waiting < least:
            return
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        large = self.expected > CHUNK
        for start in range(0, waiting, CHUNK):
            held = {name: values[start : start + CHUNK] for name, values in whole.items()}
            chunk = Chunk(lang, len(held["row"]), held)
            if large:
                self._folder = self._folder or tempfile.TemporaryDirectory(prefix="mmedc-inspect-")
                chunk.write(Path(self._folder.name) / f"{next(self._numbers):06d}")
            self.chunks.setdefault(lang, []).append(chunk)
            self.counted += chunk.rows
        self._open[lang] = []


def _floats(table: pa.Table, name: str) -> npt.NDArray[np.float32]:
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan, np.float32)
    return np.asarray(pc.fill_null(pc.cast(table[name], pa.float32()), np.nan).to_numpy(), np.float32)


def _tokens(table: pa.Table, ratios: dict[str, float]) -> npt.NDArray[np.uint32]:
    """Return the tokens of published documents, and for others an estimate by their bytes."""
    names = table.column_names
    if "bytes" not in names:
        return np.asarray(pc.fill_null(table["tokens"], 0).to_numpy(), np.uint32)
    per_byte = np.asarray([ratios.get(lang, ratios.get("", 0.0)) for lang in table["lang"].to_pylist()])
    return np.asarray(table["bytes"].to_numpy() * per_byte, np.uint32)


class _Fates:
    """What became of the documents of ingest."""

    def __init__(self, opened: Opened) -> None:
        self.opened, self.history = opened, opened.history
        self._trimmed: dict[tuple[int, str], str] | None = None

    def of(self, file: RowFile) -> npt.NDArray[Any] | None:
        """Return the reason of each row, None for a published one; None for a file of published documents."""
        if file.what == PUBLISHED:
            return None
        found = np.full(file.rows, UNDECIDED, object)
        if self.history is None:
            return found
        for name in ("select", "decontaminate"):
            for left in self.history.left(name)[file.unit : file.unit + 1]:
                gone = DataFile(**left["removed"])
                if gone.rows:
                    ledger = self.history.read(gone, ["ordinal", "reason"])
                    found[ledger["ordinal"].to_numpy()] = ledger["reason"].to_pylist()
        found[self.history.published_rows(file.unit)] = None
        if (open_ := np.flatnonzero(found == UNDECIDED)).size:
            known = self.opened.take(file, open_.tolist(), ["locator"])
            for row in open_.tolist():
                found[row] = self._trims().get((row, known[row]["locator"]), UNDECIDED)
        return found

    def _trims(self) -> dict[tuple[int, str], str]:
        """Return what the removal of lines dropped: (row, locator) → reason."""
        if self._trimmed is None and self.history:
            self._trimmed = {}
            for _, _, file in self.history.ledgers("trim"):
                for row in self.history.read(file, ["ordinal", "locator", "reason"]).to_pylist():
                    self._trimmed[row["ordinal"], row["locator"]] = row["reason"]
        return self._trimmed or {}
