"""Input splits, which readers get, and raw records, which they collect in Arrow batches."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

from mmedc.books.rules import BookRules
from mmedc.document import RAW
from mmedc.inputs import Input
from mmedc.jsonlines import whole_characters
from mmedc.recipe_parts import SourceConfig
from mmedc.sitelicences import SiteLicence
from mmedc.storage import open_binary

if TYPE_CHECKING:
    from mmedc.sources.paged import PageTables
    from mmedc.sources.ranges import Ranges

BATCH_ROWS = 256
BATCH_BYTES = 16 << 20


@dataclass(frozen=True)
class InputSplit:
    """The input of one unit: a file, some row groups of a file, or a few small files."""

    source: str
    config: SourceConfig
    inputs: tuple[Input, ...]
    row_groups: tuple[int, int] | None
    """A half-open range of row groups if the file is a Parquet file that is split, otherwise None."""
    document_bytes: int
    """The size in bytes above which a payload is rejected."""
    ratio: float = 200.0
    """Reading of a compressed file of lines stops when it has unpacked to more than this many times its size."""
    books: BookRules | None = None
    """How books are read; None for formats that have none."""
    bytes_read: tuple[int, int] | None = None
    """A half-open range of bytes if the file is a dump that is split, otherwise None."""
    pages: "tuple[PageTables | None, ...]" = ()
    """For each file the pages that earlier passes have read of it, if it is a PDF; empty where they read none."""
    ranges: "Ranges | None" = None
    """The records of the files that are read, of an archive of which only these are fetched; None: whole files."""
    superseded: tuple[int, ...] = ()
    """Offsets of records of a WARC file that do not count any more, because a later one stands for the page."""
    licences: tuple[SiteLicence, ...] = ()
    """The licences of sites, for pages of a crawl that state none."""
    policy: str = ""
    """A digest of the policy of the source, if it has one of its own; the rows then say their source."""
    note: str = ""
    """What a plan says about the choice of what is read; it has no effect."""

    def identity(self) -> list[object]:
        """Return what is read and how; files count by name, size and modification time, not by their folder."""
        files = [[file.name, file.bytes, file.version] for file in self.inputs]
        settings = self.config.model_dump(mode="json", exclude={self.config.format, "policy"})
        rows = list(self.row_groups or self.bytes_read or ())
        books = [] if self.books is None else [self.books.identity(), "kind" in self.config.model_fields_set]
        pages = [[table and table.identity() for table in self.pages]] if self.pages else []
        ranges = [self.ranges.identity()] if self.ranges else []
        superseded = [["superseded", *self.superseded]] if self.superseded else []
        licences = [["licences", *map(list, self.licences)]] if self.licences else []
        policy = [["policy", self.policy]] if self.policy else []
        limits = [self.document_bytes, self.ratio]
        own = [self.source, self.config.format, settings, files, rows, *limits, *books, *pages, *ranges]
        return [*own, *superseded, *licences, *policy]


@dataclass
class Records:
    """Numbers records and collects them in batches, from record `start` on.

    A record whose ordinal is in `skip` broke the reader before; it keeps its number and place but is not read.
    """

    start: int
    skip: frozenset[int]
    rows: int = BATCH_ROWS
    ordinal: int = -1
    _columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in RAW.names})
    _bytes: int = 0

    def next(self) -> bool:
        """Advance to the next record; return whether it is to be read."""
        self.ordinal += 1
        return self.ordinal >= self.start

    @property
    def skipped(self) -> bool:
        """Whether the current record is to be skipped unread."""
        return self.ordinal in self.skip

    def add(self, locator: str, provenance: str, **values: Any) -> Iterator[pa.RecordBatch]:
        """Add the current record; yields a batch when one is full."""
        values |= {"ordinal": self.ordinal, "locator": locator, "provenance": provenance}
        for name, column in self._columns.items():
            column.append(values.get(name))
        self._bytes += len(values.get("payload") or values.get("text") or "")
        # The records before one that broke the reader are handed over before the reader reaches it again.
        if len(self._columns["ordinal"]) >= self.rows or self._bytes >= BATCH_BYTES or self.ordinal + 1 in self.skip:
            yield from self.flush()

    def reject(self, locator: str, provenance: str, reason: str) -> Iterator[pa.RecordBatch]:
        """Add a rejected record that represents bytes without a record."""
        if self.next():
            yield from self.add(locator, provenance, rejected_by=whole_characters(reason))

    def flush(self) -> Iterator[pa.RecordBatch]:
        """Yield the remaining records, if there are any."""
        if self._columns["ordinal"]:
            yield pa.RecordBatch.from_pydict(self._columns, schema=RAW)
            self._columns = {name: [] for name in RAW.names}
            self._bytes = 0


def open_whole(file: Input, offset: int = 0) -> IO[bytes]:
    """Open `file` from byte `offset` on. Raises: OSError if it cannot be read, which fails the unit."""
    if file.problem:
        raise OSError(f"{file.name}: {file.problem}")
    return open_binary(file.url, offset)


def check_size(file: Input, read: int) -> None:
    """Check that as many bytes were read as were listed. Raises: OSError if not, so that the unit is tried again."""
    if read != file.bytes:
        raise OSError(
            f"{file.name}: {file.bytes:,} bytes were listed, but {read:,} could be read; the file is being changed"
        )
