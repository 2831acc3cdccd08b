"""The statistics of the shards, added up into those of the corpus by tasks, some files at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from mmedc.corpus.manifest import Manifest
from mmedc.corpus.statistics import EXTREMES, HISTOGRAMS, added, most_hosts
from mmedc.engine.commit import read_table
from mmedc.engine.unit import DataFile, Stream, Unit, UnitFiles
from mmedc.errors import CorpusError
from mmedc.storage import Store
from mmedc.yamlfile import nearest

FOLDER = "statistics"
TABLES = ("histograms", "extremes", "hosts", "row_groups")


@dataclass(frozen=True)
class Statistics:
    """The tables of a shard, or of several; see `mmedc.corpus.statistics`."""

    histograms: DataFile
    extremes: DataFile
    hosts: DataFile
    row_groups: DataFile

    def files(self) -> dict[str, DataFile]:
        """Return the files by the names that they have in a corpus."""
        return {name: getattr(self, name) for name in TABLES}


@dataclass(frozen=True)
class Part:
    """Statistics that are added to others: of the shard at `path`, or of several, whose row groups name their paths."""

    statistics: Statistics
    path: str = ""


@dataclass(frozen=True)
class AddStatistics:
    """Adds up statistics. Unit spec: parts, in the order of the shards."""

    version: ClassVar[int] = 1

    def run(self, unit: Unit[tuple[Part, ...]], out: UnitFiles) -> Statistics:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        parts = unit.spec

        def read(name: str) -> pa.Table:
            return pa.concat_tables([read_table(out.store, part.statistics.files()[name]) for part in parts])

        keys = HISTOGRAMS.names[:-2]
        return Statistics(
            histograms=out.write("histograms", added(read("histograms"), keys, HISTOGRAMS.names[-2:])),
            extremes=out.write("extremes", _extremes(read("extremes"))),
            hosts=out.write("hosts", most_hosts(read("hosts"))),
            row_groups=out.write("row_groups", _row_groups(parts, out.store)),
        )


def _extremes(table: pa.Table) -> pa.Table:
    keys, counts = EXTREMES.names[:4], ["documents", "nulls", "sum"]
    total = added(table, keys, counts)
    ends = table.group_by(keys, use_threads=False).aggregate([("min", "min"), ("max", "max")])
    ends = ends.rename_columns({"min_min": "min", "max_max": "max"}).sort_by([(key, "ascending") for key in keys])
    return total.append_column("min", ends["min"]).append_column("max", ends["max"]).select(EXTREMES.names)


def _row_groups(parts: tuple[Part, ...], store: Store) -> Stream:
    def tables() -> Iterator[pa.Table]:
        for part in parts:
            table = read_table(store, part.statistics.row_groups)
            if part.path:
                table = table.set_column(0, table.schema.field(0), pa.array([part.path] * len(table), pa.string()))
            yield table

    first, *rest = tables()
    return Stream(first.schema, iter([first, *rest]))


def private_items(corpus: str, manifest: Manifest) -> dict[str, int]:
    """Return the number of placeholders for personal data by language; empty without statistics."""
    if not manifest.statistics:
        return {}
    table = read_statistics(corpus, manifest, "extremes").filter(pc.field("measure") == "private_items")
    sums = table.group_by("lang", use_threads=False).aggregate([("sum", "sum")]).sort_by("lang").to_pylist()
    return {row["lang"]: int(row["sum_sum"]) for row in sums}


def read_statistics(corpus: str, manifest: Manifest, name: str) -> pa.Table:
    """Return the table `statistics/<name>.parquet` of a corpus. Raises: CorpusError where it has none."""
    if name not in TABLES:
        raise CorpusError(f'{corpus}: no statistics "{name}"{nearest(name, TABLES)}')
    path = f"{FOLDER}/{name}.parquet"
    file = next((file for file in manifest.statistics if file.path == path), None)
    if file is None:
        raise CorpusError(
            f"{corpus}: there is no {path}, because an older version built it; give its `mmedc run` again"
        )
    return read_table(Store(corpus), DataFile(file.path, file.sha256, file.rows, file.bytes))
