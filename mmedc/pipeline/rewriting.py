"""The files of a corpus without the documents that are forgotten, written aside, and the order that places them."""

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel

from mmedc.corpus.contents import Contents, Counted
from mmedc.corpus.grams import grams_of
from mmedc.corpus.manifest import File, KeyFiles, Manifest, Shard, digest_of_shards
from mmedc.corpus.passes import SLICE_ROWS
from mmedc.corpus.statistics import ShardStatistics
from mmedc.corpus.summed import FOLDER as STATISTICS
from mmedc.corpus.summed import AddStatistics, Part, Statistics
from mmedc.document import DOCUMENT, document_schema
from mmedc.engine.run import WORK
from mmedc.engine.unit import DataFile, Stream, Unit, UnitFiles
from mmedc.forgetting import Forgotten
from mmedc.pipeline.accounts import without
from mmedc.pipeline.forgotten import CLUSTERS, Forgettable, named
from mmedc.pipeline.traces import Needles, members, target_of
from mmedc.storage import Store


class Move(BaseModel):
    """A file below `.work/` and its place in the corpus."""

    file: str
    path: str


class Order(BaseModel):
    """What is to be done when everything is written."""

    moves: tuple[Move, ...]
    manifest: Manifest


@dataclass(frozen=True)
class Changed:
    """A file of the corpus that is written anew; of the old path where it has a new content."""

    file: DataFile
    path: str

    @property
    def described(self) -> File:
        """Return how the manifest has it."""
        return File(path=self.path, rows=self.file.rows, bytes=self.file.bytes, sha256=self.file.sha256)


@dataclass
class Rewriting:
    """Writes the changed files of a corpus below the `.work/` of `out`."""

    old: Store
    out: Store
    manifest: Manifest
    what: Forgettable
    needles: Needles

    def __post_init__(self) -> None:
        """Name the folder by what it is made of, so that a second attempt writes the same files."""
        made_of = [self.manifest.digest, *map(str, self.what.entries)]
        key = hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:16]
        self.files = UnitFiles(self.out.below(WORK), f"forget-{key}", "new")
        self.rows = self.what.rows()
        self.known = Forgotten(self.what.entries)

    def order(self) -> Order:
        """Write everything, and return what is then to be done."""
        shards, changed, statistics = self._shards()
        keys = self._keys()
        rejects = [self._rejects(file) for file in self.manifest.rejects]
        crawled = [self._crawled(file) for file in self.manifest.crawled]
        changed += [each for each in (*keys, *rejects, *crawled, *statistics) if isinstance(each, Changed)]
        manifest = without(self.manifest, self.what).model_copy(
            update={
                "shards": tuple(shards),
                "digest": digest_of_shards(shards),
                "keys": self._key_files(keys),
                "rejects": tuple(map(_described, rejects)),
                "crawled": tuple(map(_described, crawled)),
                "statistics": tuple(map(_described, statistics)),
            }
        )
        return Order(moves=tuple(Move(file=each.file.path, path=each.path) for each in changed), manifest=manifest)

    def _shards(self) -> tuple[list[Shard], list[Changed], list[Changed]]:
        shards, changed, parts, grams = [], [], [], []
        for shard in self.manifest.shards:
            with self.old.open_input(shard.path) as handle:
                columns = [
                    field.remove_metadata() for field in pq.read_schema(handle)
                ]  # Parquet adds numbers to fields
            schema = document_schema(tuple(field for field in columns if field.name not in DOCUMENT.names))
            counted, found = Counted(), ShardStatistics(shard.lang, shard.source, schema)
            tables = (table.select(schema.names).cast(schema) for table in self._kept(shard, counted, found))
            if shard.path not in self.rows:
                for _ in tables:
                    pass
                shards.append(shard)
                where, store = shard.path, self.old
            else:
                file = self.files.write("shard", Stream(schema, tables))
                if not file.rows:
                    continue
                shards.append(_shard(shard, file, counted.contents()))
                changed.append(Changed(file, shard.path))
                where, store = file.path, self.files.store
            if self.manifest.statistics:
                parts.append(Part(self._statistics(found, store, where), shard.path))
                grams.append(Changed(self.files.write("grams", found.grams.table()), grams_of(shard.path)))
        return shards, changed, [*self._summed(parts), *grams]

    def _kept(self, shard: Shard, counted: Counted, found: ShardStatistics) -> Iterator[pa.Table]:
        """Yield the rows of a shard that stay, counting them."""
        gone, first = np.array(self.rows.get(shard.path, ()), np.int64), 0
        with self.old.open_input(shard.path) as handle:
            parquet = pq.ParquetFile(handle, page_checksum_verification=True)
            for batch in parquet.iter_batches(SLICE_ROWS, use_threads=False):
                table = pa.Table.from_batches([batch])
                mine = np.isin(np.arange(first, first + table.num_rows), gone, invert=True)
                first += table.num_rows
                table = table.filter(pa.array(mine))
                if table.num_rows:
                    tokens = table["tokens"].to_numpy()
                    sizes = pc.binary_length(table["text"]).to_numpy()
                    counted.add(table, tokens, sizes)
                    found.add(table, tokens, sizes)
                    yield table

    def _statistics(self, found: ShardStatistics, store: Store, path: str) -> Statistics:
        with store.open_input(path) as handle:
            footer = pq.read_metadata(handle)
        return Statistics(
            histograms=self.files.write("histograms", found.histograms()),
            extremes=self.files.write("extremes", found.extremes()),
            hosts=self.files.write("hosts", found.hosts()),
            row_groups=self.files.write("row_groups", found.row_groups(footer)),
        )

    def _summed(self, parts: list[Part]) -> list[Changed]:
        if not parts:
            return []
        total = AddStatistics().run(Unit.of(tuple(parts), "statistics", 0), self.files)
        return [Changed(file, f"{STATISTICS}/{name}.parquet") for name, file in total.files().items()]

    def _keys(self) -> list["Changed | File"]:
        """Write the keys without the rows, and with the new numbers of those that stay."""
        gone = pa.array([one.id for one in self.what.documents], pa.string())
        places = self._places()
        found: list[Changed | File] = []
        for file in self.manifest.keys.files if self.manifest.keys else ():
            with self.old.open_input(file.path) as handle:
                table = pq.read_table(handle, use_threads=False, page_checksum_verification=True)
            stays = table.filter(pc.invert(pc.is_in(table["id"], gone)))
            names = list(zip(stays["lang"].to_pylist(), stays["source"].to_pylist(), strict=True))
            at = stays["at"].to_numpy().copy()
            for name in set(names):
                mine = np.array([each == name for each in names])
                at[mine] -= np.searchsorted(places.get(name, np.zeros(0, np.int64)), at[mine])
            if stays.num_rows == table.num_rows and np.array_equal(at, stays["at"].to_numpy()):
                found.append(file)
                continue
            field = stays.schema.field("at")
            stays = stays.set_column(stays.schema.get_field_index("at"), field, pa.array(at, field.type))
            whole = Stream(stays.schema, iter([stays.combine_chunks()]), whole=True)
            found.append(Changed(self.files.write("keys", whole), file.path))
        return found

    def _places(self) -> dict[tuple[str, str], npt.NDArray[np.int64]]:
        """Return the numbers of the forgotten documents among those of their language and source, sorted."""
        found: dict[tuple[str, str], list[int]] = {}
        before: dict[tuple[str, str], int] = {}
        for shard in sorted(self.manifest.shards, key=lambda shard: shard.path):
            name = shard.lang, shard.source
            first = before.get(name, 0)
            found.setdefault(name, []).extend(first + row for row in self.rows.get(shard.path, ()))
            before[name] = first + shard.rows
        return {name: np.array(sorted(at), np.int64) for name, at in found.items()}

    def _key_files(self, files: list["Changed | File"]) -> KeyFiles | None:
        keys = self.manifest.keys
        return keys and keys.model_copy(update={"files": tuple(map(_described, files))})

    def _rejects(self, file: File) -> "Changed | File":
        """Write a table without the rows that name or quote the documents; of clusters, all rows of theirs."""
        with self.old.open_input(file.path) as handle:
            table = pq.read_table(handle, use_threads=False, page_checksum_verification=True)
        hit = self.needles.in_table(table) | named(self.known, table)
        if file.path == CLUSTERS and hit.any():
            numbers = pa.array(np.unique(table["cluster"].to_numpy()[hit]))
            hit = pc.is_in(table["cluster"], numbers).to_numpy(zero_copy_only=False)
        return self._without(file, table, hit)

    def _crawled(self, file: File) -> "Changed | File":
        if not file.path.endswith(".parquet"):
            return self._warc(file)
        with self.old.open_input(file.path) as handle:
            table = pq.read_table(handle, use_threads=False, page_checksum_verification=True)
        return self._without(file, table, self.needles.in_table(table) | named(self.known, table))

    def _without(self, file: File, table: pa.Table, hit: npt.NDArray[np.bool_]) -> "Changed | File":
        if not hit.any():
            return file
        return Changed(self.files.write("tables", table.filter(pa.array(~hit))), file.path)

    def _warc(self, file: File) -> "Changed | File":
        """Write a WARC file without the records of the documents."""
        kept: list[bytes] = []
        records = 0
        with self.old.open_input(file.path) as handle:
            for member in members(handle):
                records += 1
                target = target_of(zlib.decompress(member, 31))
                if not (self.needles.names(target) or self.known.locator(target)):
                    kept.append(member)
        if len(kept) == records:
            return file
        data = b"".join(kept)
        digest = hashlib.sha256(data).hexdigest()
        path = f"{self.files.folder}/warc/new-{digest[:12]}.warc.gz"
        self.files.store.put(path, data)
        return Changed(DataFile(path, digest, len(kept), len(data)), file.path)


def _described(each: "Changed | File") -> File:
    return each.described if isinstance(each, Changed) else each


def _shard(old: Shard, file: DataFile, contents: Contents) -> Shard:
    counts: dict[str, Any] = asdict(contents)
    sizes = {"rows": file.rows, "bytes": file.bytes, "sha256": file.sha256}
    totals = {"kind": contents.kind, "tokens": contents.tokens, "text_bytes": contents.text_bytes}
    return Shard.model_validate(old.model_dump() | counts | sizes | totals)
