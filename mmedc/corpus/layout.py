"""Placement of files in the corpus; tasks do it, so that no byte of a file passes through the driver."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from mmedc.engine.run import WORK
from mmedc.engine.unit import DataFile, Stream, Unit, UnitFiles
from mmedc.errors import WorkError
from mmedc.storage import Store, is_local

PER_TASK = 64
"""The number of files that one task places."""


@dataclass(frozen=True)
class Placement:
    """A file that a pass wrote, and its place in the corpus."""

    file: DataFile
    path: str


@dataclass(frozen=True)
class Placed:
    """The result of `Place`: the number of files that it placed."""

    files: int


@dataclass(frozen=True)
class Place:
    """Copies files to their places; on a local disk it makes hard links. Unit spec: the placements.

    Doing it again changes nothing.
    """

    corpus: Store

    def run(self, unit: Unit[tuple[Placement, ...]], out: UnitFiles) -> Placed:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        for placement in unit.spec:
            self._check(placement.file, out.store)
            self.corpus.copy(f"{WORK}/{placement.file.path}", placement.path)
        return Placed(len(unit.spec))

    def _check(self, file: DataFile, store: Store) -> None:
        """Check that a local file is as it was written: whoever edits a published file edits that of the pass too.

        Raises: WorkError.
        """
        if not is_local(store.url):
            return
        if store.sha256(file.path)[0] != file.sha256:
            folder = f"{store.url}/{file.path.split('/')[0]}"
            raise WorkError(
                f"{store.url}/{file.path}: was changed after it was written; delete {folder} and give the same command "
                "again to write it anew"
            )


@dataclass(frozen=True)
class Table:
    """The result of a work that makes one table of many files."""

    file: DataFile


@dataclass(frozen=True)
class Join:
    """Concatenates files, up to `rows` rows. Unit spec: the files, which have the same schema."""

    rows: int
    drop: tuple[str, ...] = ()
    """The columns that are left out."""
    version: ClassVar[int] = 1

    def run(self, unit: Unit[tuple[DataFile, ...]], out: UnitFiles) -> Table:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        with out.store.open_input(unit.spec[0].path) as handle:
            schema = pq.read_schema(handle)
        schema = pa.schema([field for field in schema if field.name not in self.drop])
        return Table(out.write("rows", Stream(schema, self._tables(unit.spec, out.store, schema))))

    def _tables(self, files: tuple[DataFile, ...], store: Store, schema: pa.Schema) -> Iterator[pa.Table]:
        left = self.rows
        for file in files:
            if not left:
                return
            if not file.rows:
                continue
            with store.open_input(file.path) as handle:
                parquet = pq.ParquetFile(handle, page_checksum_verification=True)
                for number in range(parquet.num_row_groups):
                    table = parquet.read_row_group(number, columns=schema.names, use_threads=False).slice(0, left)
                    left -= table.num_rows
                    yield table.cast(schema)
