"""Raw records on their way into Arrow batches, shared by all readers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mmedc.document import RAW

BATCH_ROWS = 256
BATCH_BYTES = 16 << 20


@dataclass
class Records:
    """Collects records into batches, numbering them; passes over those before `start`.

    A record whose ordinal is in `skip` broke the reader before: it keeps its number and place but is not read.
    """

    start: int
    skip: frozenset[int]
    rows: int = BATCH_ROWS
    ordinal: int = -1
    _columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in RAW.names})
    _bytes: int = 0

    def next(self) -> bool:
        """Advance to the next record; tell whether it is to be read."""
        self.ordinal += 1
        return self.ordinal >= self.start

    @property
    def skipped(self) -> bool:
        """True when the current record is to be passed over unread."""
        return self.ordinal in self.skip

    def add(self, locator: str, provenance: str, **values: Any) -> Iterator[pa.RecordBatch]:
        """Add the current record; yields a batch when one is full."""
        values |= {"ordinal": self.ordinal, "locator": locator, "provenance": provenance}
        for name, column in self._columns.items():
            column.append(values.get(name))
        self._bytes += len(values.get("payload") or values.get("text") or "")
        # What stands before a record that broke the reader is safe before the reader comes to it again.
        if len(self._columns["ordinal"]) >= self.rows or self._bytes >= BATCH_BYTES or self.ordinal + 1 in self.skip:
            yield from self.flush()

    def flush(self) -> Iterator[pa.RecordBatch]:
        """Yield what is left, if anything."""
        if self._columns["ordinal"]:
            yield pa.RecordBatch.from_pydict(self._columns, schema=RAW)
            self._columns = {name: [] for name in RAW.names}
            self._bytes = 0


def utf8(text: str) -> str:
    """Return `text` without lone surrogates, which no UTF-8 column can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
