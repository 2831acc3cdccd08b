"""The true Jaccard similarity of pairs near the threshold, from their texts, one group of ingest units at a time.

The sets of shingles of one side travel to the group of the other, so that the texts of each group are read at most
twice, in order, whatever the pairs are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.dedup.groups import by_owner, watches
from mmedc.dedup.records import ASK, EDGE, I64, cut, place_of, read_cut
from mmedc.dedup.signature import SHINGLE_WORDS
from mmedc.engine.commit import read_rows, read_table
from mmedc.engine.identity import NO_EFFECT
from mmedc.engine.unit import DataFile, Unit, UnitFiles
from mmedc.folding import plain_texts
from mmedc.storage import Store
from mmedc.words import TextBatch

SLICE_PAIRS = 1_000
SLICE_CHARS = 1 << 19
SHINGLES = pa.schema([("place", pa.int64()), ("shingles", pa.large_list(pa.uint32()))])
"""The set of a text's shingles: the lower halves of their hashes, sorted."""


@dataclass(frozen=True)
class Corpus:
    """A published corpus, whose texts are read from its shards."""

    url: str = field(metadata=NO_EFFECT)
    shards: tuple[tuple[str, str, DataFile], ...]
    """(language, source, file), in the order of their documents."""


@dataclass(frozen=True)
class Published:
    """A file of keys of a published corpus."""

    corpus: int
    """The number of the corpus among those of `Shingle`."""
    unit: int
    """The number of the file of keys, after all units of this build."""
    keys: DataFile


@dataclass(frozen=True)
class Texts:
    """A group of units whose texts are read together: its number, and (number, documents) of each unit."""

    number: int
    documents: tuple[tuple[int, DataFile], ...] = ()
    published: Published | None = None
    """The only unit of the group, where its documents are published already."""


@dataclass(frozen=True)
class Shingled:
    """What `Shingle` leaves."""

    shingles: DataFile


@dataclass(frozen=True)
class Shingle:
    """Leaves the `shingles` that other groups ask for, cut by group. Unit spec: Texts."""

    groups: int
    asks: tuple[DataFile, ...]
    corpora: tuple[Corpus, ...] = ()
    version: ClassVar[int] = 3

    def run(self, unit: Unit[Texts], out: UnitFiles) -> Shingled:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        spec = unit.spec
        asks = read_cut(out.store, self.asks, spec.number, ASK)
        wanted = np.unique(np.stack([asks[name].to_numpy() for name in ASK.names]), axis=1)
        places, at = np.unique(wanted[0], return_inverse=True)
        if spec.published is not None:
            sets = published_sets(self.corpora[spec.published.corpus], spec.published, places)
        else:
            sets = shingle_sets(out.store, spec.documents, places)
        sets = sets.take(pa.array(at))
        return Shingled(out.write("shingles", cut(sets, wanted[1], self.groups)))


@dataclass(frozen=True)
class VerifiedPairs:
    """What `VerifyPairs` leaves, and how many pairs it compared and found alike."""

    edges: DataFile
    """Cut by the owner of the worse row."""
    watch: DataFile
    """Who watches their better rows; see `mmedc.dedup.groups`."""
    verified: int
    alike: int


@dataclass(frozen=True)
class VerifyPairs:
    """Finds the doubtful pairs whose texts are as alike as asked. Unit spec: Texts."""

    jaccard: float
    owners: int
    doubts: tuple[DataFile, ...]
    shingles: tuple[DataFile, ...]
    version: ClassVar[int] = 2

    def run(self, unit: Unit[Texts], out: UnitFiles) -> VerifiedPairs:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        spec = unit.spec
        doubts = read_cut(out.store, self.doubts, spec.number, EDGE)
        both = np.stack([doubts["place"].to_numpy(), doubts["to_place"].to_numpy()])
        (one, other), first = np.unique(both, axis=1, return_index=True)
        doubts = doubts.take(pa.array(first))
        here = np.isin(other >> np.int64(32), [number for number, _ in spec.documents])
        own = shingle_sets(out.store, spec.documents, np.unique(np.concatenate([one, other[here]])))
        away = read_cut(out.store, self.shingles, spec.number, SHINGLES)
        every = pa.concat_tables([own, away]).sort_by("place") if away.num_rows else own
        true = jaccards(own, every, one, other)
        at = EDGE.get_field_index("jaccard")
        edges = doubts.set_column(at, EDGE.field(at), pa.array(true.astype(np.float32)))
        edges = edges.filter(pa.array(true >= self.jaccard))
        return VerifiedPairs(
            edges=out.write("edges", by_owner(edges, self.owners)),
            watch=out.write("watch", watches(edges, self.owners)),
            verified=len(true),
            alike=edges.num_rows,
        )


def shingle_sets(store: Store, documents: tuple[tuple[int, DataFile], ...], places: I64) -> pa.Table:
    """Return SHINGLES of the rows at the sorted `places`, reading only the row groups they lie in."""
    parts = [SHINGLES.empty_table()]
    for number, file in documents:
        first = place_of(number, np.array([0, 1 << 32]))
        rows = places[np.searchsorted(places, first[0]) : np.searchsorted(places, first[1])] - first[0]
        parts += [pa.table([at + first[0], sets], schema=SHINGLES) for at, sets in _sets_of_rows(store, file, rows)]
    return pa.concat_tables(parts).combine_chunks()


def published_sets(corpus: Corpus, published: Published, places: I64) -> pa.Table:
    """Return SHINGLES of the rows at the sorted `places` of a published file of keys, from the corpus's shards.

    The keys say which document of its language and source a row is, and the shards hold them in that order.
    """
    store = Store(corpus.url)
    rows = places - place_of(published.unit, np.zeros(1, np.int64))
    where = read_table(store, published.keys, ["lang", "source", "at"]).take(pa.array(rows))
    lang, source, at = where["lang"].to_numpy(), where["source"].to_numpy(), where["at"].to_numpy()
    parts = [SHINGLES.empty_table()]
    before: dict[tuple[str, str], int] = {}
    for shard_lang, shard_source, file in corpus.shards:
        low = before.get((shard_lang, shard_source), 0)
        before[shard_lang, shard_source] = low + file.rows
        rows_here = np.flatnonzero(
            (lang == shard_lang) & (source == shard_source) & (at >= low) & (at < low + file.rows)
        )
        rows_here = rows_here[np.argsort(at[rows_here])]
        done = 0
        for found, sets in _sets_of_rows(store, file, at[rows_here] - low):
            here = places[rows_here[done : done + len(found)]]
            parts.append(pa.table([here, sets], schema=SHINGLES))
            done += len(found)
    return pa.concat_tables(parts).sort_by("place").combine_chunks()


def _sets_of_rows(store: Store, file: DataFile, rows: I64) -> Iterator[tuple[I64, pa.LargeListArray]]:
    """Yield (rows, their sets of shingles) for the sorted `rows` of a file of documents, a few texts at a time."""
    for at, table in read_rows(store, file, rows, ["text"]) if len(rows) else ():
        sizes = pc.utf8_length(table["text"]).to_numpy()
        cuts = np.flatnonzero(np.diff(np.cumsum(sizes) // SLICE_CHARS, prepend=-1)).tolist()
        for low, high in pairwise([*cuts, len(at)]):
            yield at[low:high], sets_of(plain_texts(table["text"].slice(low, high - low).combine_chunks()))


def sets_of(texts: pa.Array) -> pa.LargeListArray:
    """Return the sorted set of shingles of each of the `texts`, which are in NFKC."""
    shingles, bounds = TextBatch(texts).shingles(SHINGLE_WORDS)
    text = np.repeat(np.arange(len(bounds) - 1, dtype=np.uint64), np.diff(bounds))
    keys = np.sort(text << np.uint64(32) | (shingles & np.uint64(0xFFFFFFFF)))
    keys = keys[np.diff(keys, prepend=~keys[:1]) != 0]
    offsets = np.searchsorted(keys, np.arange(len(bounds), dtype=np.uint64) << np.uint64(32))
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(keys.astype(np.uint32)))


def jaccards(left: pa.Table, right: pa.Table, one: I64, other: I64) -> npt.NDArray[np.float64]:
    """Return the Jaccard similarity of each pair of places; `left` and `right` hold their sets, sorted by place."""
    result = np.zeros(len(one))
    for low in range(0, len(one), SLICE_PAIRS):
        pairs = slice(low, low + SLICE_PAIRS)
        sizes, keys = [], []
        for table, places in ((left, one[pairs]), (right, other[pairs])):
            at = np.searchsorted(table["place"].to_numpy(), places)
            sets = table["shingles"].take(pa.array(at)).combine_chunks()
            length = np.diff(sets.offsets.to_numpy())
            sizes.append(length)
            pair = np.repeat(np.arange(len(places), dtype=np.uint64), length)
            keys.append(pair << np.uint64(32) | sets.flatten().to_numpy().astype(np.uint64))
        every = np.sort(np.concatenate(keys))
        both = every[1:][every[1:] == every[:-1]] >> np.uint64(32)
        common = np.bincount(both.astype(np.int64), minlength=len(sizes[0]))
        result[pairs] = common / np.maximum(sizes[0] + sizes[1] - common, 1)
    return result
