"""Exchange by key range, and the search for pairs within a range.

The rank of a document decides which of several stays: what is published already, then the source that the recipe names
first, then the better quality where a model scores it, then the longer text, then the lower id. So the result does not
depend on the order in which anything runs. Rank and place together order all rows.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.dedup.groups import by_owner, watches
from mmedc.dedup.records import (
    ASK,
    EDGE,
    I64,
    NODE,
    PLACES,
    RECORD,
    U8,
    byte_matrix,
    cut,
    cut_lazily,
    edges_of,
    group_of,
    owner_of,
    place_of,
    range_of,
    read_cut,
)
from mmedc.dedup.signature import estimate, standard_error
from mmedc.engine.commit import read_table
from mmedc.engine.identity import NO_EFFECT
from mmedc.engine.unit import DataFile, Unit, UnitFiles
from mmedc.limits import reasons
from mmedc.policy import Policy
from mmedc.storage import Store
from mmedc.words import U64

LEADERS = 64  # of one bucket; what is left after that is compared with none
DOUBT = 2.5  # standard errors around the threshold within which an estimate does not decide


@dataclass(frozen=True)
class KeysOf:
    """The keys of one ingest unit, or one file of keys of a published corpus."""

    number: int
    keys: DataFile
    corpus: str | None = field(default=None, metadata=NO_EFFECT)
    """The URL of the corpus, where it is published already; the hash of `keys` says what it contains."""


@dataclass(frozen=True)
class Exchanged:
    """What `Exchange` leaves."""

    records: DataFile
    """Cut by key range."""


@dataclass(frozen=True)
class Exchange:
    """Sends the records of the rows that the policy keeps to the ranges of their keys.

    Unit spec: a tuple of KeysOf.
    """

    policy: Policy
    sources: tuple[str, ...]
    ranges: int
    minhash: bool
    kinds: tuple[str, ...] = ()
    version: ClassVar[int] = 2

    def run(self, unit: Unit[tuple[KeysOf, ...]], out: UnitFiles) -> Exchanged:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        nodes, keys, kinds, at = [], [], [], []
        rows = 0
        for part in unit.spec:
            table, places = self._read(part, out.store)
            rank = ranks(table, self.sources, part.corpus is not None, self.kinds)
            nodes.append(pa.table([rank, places, table["sketch"]], schema=pa.schema(NODE)))
            key, kind, row = keys_of(table, self.minhash)
            keys.append(key)
            kinds.append(kind)
            at.append(row + rows)
            rows += table.num_rows
        every_key, every_kind, every_row = np.concatenate(keys), np.concatenate(kinds), np.concatenate(at)
        node = pa.concat_tables(nodes).combine_chunks()

        def take(which: I64) -> pa.Table:
            return pa.table([every_key[which], every_kind[which], *node.take(every_row[which]).columns], schema=RECORD)

        records = cut_lazily(take, RECORD, range_of(every_key, self.ranges), self.ranges)
        return Exchanged(out.write("records", records))

    def _read(self, part: KeysOf, store: Store) -> tuple[pa.Table, I64]:
        """Return the keys of the rows that count, and their places."""
        if part.corpus is not None:
            table = read_table(Store(part.corpus), part.keys)
            return table, place_of(part.number, np.arange(table.num_rows))
        table = read_table(store, part.keys)
        kept = np.flatnonzero(reasons(table, self.policy).is_null().to_numpy(zero_copy_only=False))
        return table.take(kept), place_of(part.number, kept)


MAX_ORDER = 254
"""The places that kinds and sources have together; the first is for what is published."""


def ranks(table: pa.Table, sources: tuple[str, ...], published: bool = False, kinds: tuple[str, ...] = ()) -> U64:
    """Return the rank of each row, lowest first: 8 bits of kind and source, 4 of quality, 20 of length, 32 of id.

    `kinds` come before all others, in this order, and within a kind the sources in theirs. Quality counts in tenths,
    the best first, and not where it is null; of equals the longer text comes first.
    """
    order = np.zeros(table.num_rows, np.uint64)
    if not published:
        source = pc.index_in(table.column("source"), pa.array(sources)).to_numpy().astype(np.uint64)
        if kinds:
            kind = pc.fill_null(pc.index_in(table.column("kind"), pa.array(kinds)), len(kinds)).to_numpy()
            each = min(len(sources), MAX_ORDER // (len(kinds) + 1))  # with many sources, the last ones share a place
            source = kind.astype(np.uint64) * np.uint64(each) + np.minimum(source, np.uint64(each - 1))
        order += source + np.uint64(1)
    tenths = np.zeros(table.num_rows, np.uint64)
    if "quality" in table.schema.names:
        quality = pc.fill_null(table.column("quality").cast(pa.float32()), 0.0).to_numpy()
        tenths = (np.clip(quality, 0, 1) * np.float32(10)).astype(np.uint64)
    chars = table.column("chars").to_numpy().astype(np.uint64)
    fine = np.uint64(1 << 19)  # exact up to here, then in steps of 32 characters
    length = np.where(chars < fine, chars, fine + (np.maximum(chars, fine) - fine) // np.uint64(32))
    length = np.minimum(length, np.uint64(2**20 - 1))
    head = _first_u64(table.column("id")) >> np.uint64(32)
    found: U64 = np.minimum(order, np.uint64(255)) << np.uint64(56)
    found |= (np.uint64(10) - tenths) << np.uint64(52)
    found |= (np.uint64(2**20 - 1) - length) << np.uint64(32)
    return found | head


def keys_of(table: pa.Table, minhash: bool) -> tuple[U64, U8, I64]:
    """Return the keys of the rows of `table`, of what kind each is and of which row: id, content, each band."""
    rows = table.num_rows
    keys = [_first_u64(table.column("id"), 8), _first_u64(table.column("content"))]
    kinds, at = [np.full(rows, 0, np.uint8), np.full(rows, 1, np.uint8)], [np.arange(rows)] * 2
    if minhash and rows:
        flat = table.column("bands").combine_chunks().flatten().to_numpy()
        count = len(flat) // rows
        worded = np.repeat(table.column("words").to_numpy() > 0, count)
        keys.append(flat[worded])
        kinds.append(np.full(worded.sum(), 2, np.uint8))
        at.append(np.repeat(np.arange(rows), count)[worded])
    return np.concatenate(keys), np.concatenate(kinds), np.concatenate(at)


@dataclass(frozen=True)
class Matched:
    """What `Match` leaves: files of pairs, and how many."""

    edges: DataFile
    """Pairs that are surely alike, cut by the owner of the worse row."""
    watch: DataFile
    """Who watches their better rows; see `mmedc.dedup.groups`."""
    doubts: DataFile
    """Pairs so near the threshold that their texts must decide, cut by the group of units of the worse row."""
    asks: DataFile
    """Whose shingles are needed in another group, cut by the group they are in."""
    followers: DataFile
    """Rows that were not compared with all of a bucket, cut by owner."""
    compared: int
    alike: int
    doubtful: int


@dataclass(frozen=True)
class Pairs:
    """What was found inside a key range."""

    sure: pa.Table
    """Pairs that are alike, as EDGE rows."""
    doubtful: pa.Table
    """Pairs so near the threshold that their texts must decide, as EDGE rows."""
    followers: I64
    """Places of the rows that were not compared with all of a bucket."""
    compared: int


@dataclass(frozen=True)
class Match:
    """Finds the pairs that are alike inside one key range. Unit spec: the range's number.

    In a bucket of equal keys a leader is compared with every other row: first the best-ranked row, then the best of
    those that are like no leader so far, and so on. This is linear where a bucket is one group, and no pair counts
    that was not compared. Rows that are like a leader follow it; among themselves they are compared only when they
    are released, because the leader was dropped or its text turned out to be unlike.
    """

    jaccard: float
    owners: int
    groups: tuple[int, ...]
    """The first unit of each group of units whose texts lie together; the last number is that of all units."""
    published: int
    """The number of the first published file of keys."""
    files: tuple[DataFile, ...] = ()
    """What the exchange left."""
    released: tuple[DataFile, ...] = ()
    """Cut by range: the rows to compare again; empty: all rows are compared."""
    version: ClassVar[int] = 3

    def run(self, unit: Unit[int], out: UnitFiles) -> Matched:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        records = self._records(out.store, unit.spec)
        found = self.pairs(records)
        doubts = found.doubtful
        here, there = (group_of(doubts[name].to_numpy(), self.groups) for name in ("place", "to_place"))
        away = here != there
        wanted = np.unique(np.stack([doubts["to_place"].to_numpy()[away], here[away]]), axis=1)
        asks = pa.table(list(wanted), schema=ASK)
        count = len(self.groups) - 1
        followers = pa.table([found.followers], schema=PLACES)
        return Matched(
            edges=out.write("edges", by_owner(found.sure, self.owners)),
            watch=out.write("watch", watches(found.sure, self.owners)),
            doubts=out.write("doubts", cut(doubts, here, count)),
            asks=out.write("asks", cut(asks, group_of(wanted[0], self.groups), count)),
            followers=out.write("followers", cut(followers, owner_of(found.followers, self.owners), self.owners)),
            compared=found.compared,
            alike=len(found.sure),
            doubtful=len(doubts),
        )

    def _records(self, store: Store, number: int) -> pa.Table:
        """Return the RECORD rows of a range that are compared."""
        if not self.released:
            return read_cut(store, self.files, number, RECORD)
        places = read_cut(store, self.released, number, PLACES)["place"].to_numpy()
        if not len(places):
            return RECORD.empty_table()
        parts = [RECORD.empty_table()]
        for file in self.files:
            part = read_cut(store, (file,), number, RECORD)
            parts.append(part.filter(pa.array(np.isin(part["place"].to_numpy(), places))))
        return pa.concat_tables(parts).combine_chunks()

    def pairs(self, records: pa.Table) -> Pairs:
        """Return the pairs among RECORD rows."""
        records = _shared(records)
        kind, place = records["kind"].to_numpy(), records["place"].to_numpy()
        comparison = _Comparison(self.jaccard, records, place >= place_of(self.published, np.zeros(1, np.int64))[0])
        order = np.lexsort((place, records["rank"].to_numpy(), kind, records["key"].to_numpy()))
        buckets = _Buckets(order, records["key"].to_numpy(), kind)
        ones, others, sures, estimates, compared = [], [], [], [], 0
        for _ in range(LEADERS):
            one, other = buckets.lead(bool(self.released))
            if not len(one):
                break
            worse, better = order[np.maximum(one, other)], order[np.minimum(one, other)]
            sure, doubt, jaccard = comparison.of(worse, better)
            buckets.follow(one[sure if self.released else sure | doubt])
            linked = (sure | doubt) & (place[worse] != place[better])  # a row may have a key twice
            compared += len(one)
            ones.append(worse[linked])
            others.append(better[linked])
            sures.append(sure[linked])
            estimates.append(jaccard[linked])
        followers = np.unique(place[order[buckets.followers()]])
        if not ones:
            return Pairs(EDGE.empty_table(), EDGE.empty_table(), followers, compared)
        one, other, sure = np.concatenate(ones), np.concatenate(others), np.concatenate(sures)
        edges = edges_of(kind[one], records, one, other, np.concatenate(estimates))
        known = _distinct(edges.filter(pa.array(sure)))
        return Pairs(known, _distinct(edges.filter(pa.array(~sure))), followers, compared)


class _Buckets:
    """The buckets of equal keys in a range, and which of their rows have led and which follow.

    `order` sorts the records by bucket and rank; a position is an index into it.
    """

    def __init__(self, order: I64, key: U64, kind: U8) -> None:
        new = np.ones(len(order), bool)
        new[1:] = (key[order][1:] != key[order][:-1]) | (kind[order][1:] != kind[order][:-1])
        self._bucket = np.cumsum(new) - 1
        self._size = np.bincount(self._bucket)
        self._led, self._follows = np.zeros(len(order), bool), np.zeros(len(order), bool)
        self._complete = np.zeros(len(order), bool)
        self._active = np.arange(len(order))

    def lead(self, again: bool) -> tuple[I64, I64]:
        """Return (row, leader) positions to compare: the next leader of each bucket with all rows that have not led.

        When rows are compared `again`, rows that follow lead too when no others are left.
        """
        bucket = self._bucket[self._active]
        candidate = ~self._led[self._active] & ~self._follows[self._active]
        if again:
            free = np.bincount(bucket[candidate], minlength=len(self._size))
            candidate |= ~self._led[self._active] & (free[bucket] == 0)
        positions = self._active[candidate]
        buckets, first = np.unique(self._bucket[positions], return_index=True)
        leaders = positions[first]
        self._led[leaders] = True
        leader = np.full(len(self._size), -1)
        leader[buckets] = leaders
        self._active = self._active[(leader[bucket] >= 0) & ~self._led[self._active]]
        return self._active, leader[self._bucket[self._active]]

    def follow(self, positions: I64) -> None:
        """Note that rows are like their leader."""
        self._follows[positions] = True

    def followers(self) -> I64:
        """Return the positions of rows that have not led, where a bucket has several."""
        found = np.flatnonzero(~self._led)
        several = np.bincount(self._bucket[found], minlength=len(self._size)) > 1
        result: I64 = found[several[self._bucket[found]]]
        return result


class _Comparison:
    """Compares pairs of records by their sketches."""

    def __init__(self, jaccard: float, records: pa.Table, known: Any) -> None:
        self.jaccard, self.known = jaccard, known
        self.kind, self.rank = records["kind"].to_numpy(), records["rank"].to_numpy()
        self.sketch = byte_matrix(records["sketch"])

    def of(self, one: I64, other: I64) -> tuple[Any, Any, Any]:
        """Return (whether each pair is surely alike, whether its texts must decide, its estimated Jaccard), (N,) each.

        A row that is published is never dropped.
        """
        jaccard = np.empty(len(one))
        for at in range(0, len(one), 1 << 16):  # bounds the memory of the comparison
            stop = at + (1 << 16)
            jaccard[at:stop] = estimate(self.sketch[one[at:stop]], self.sketch[other[at:stop]])
        mask = np.uint64(0xFFFFFFFF)
        same_id = (self.rank[one] & mask) == (self.rank[other] & mask)
        margin = DOUBT * standard_error(self.jaccard)
        kind, open_row = self.kind[one], ~self.known[one]
        sure = np.where(kind == 0, same_id, np.where(kind == 1, jaccard > 0.999, jaccard >= self.jaccard + margin))
        sure &= open_row
        doubt = (kind == 2) & ~sure & open_row & (jaccard >= self.jaccard - margin)
        return sure, doubt, jaccard


def _shared(records: pa.Table) -> pa.Table:
    """Return the records whose key stands more than once: all others can't be of a pair."""
    key = records["key"].to_numpy()
    order = np.argsort(key, kind="stable")
    same = key[order][1:] == key[order][:-1]
    shared = np.concatenate([same, [False]]) | np.concatenate([[False], same]) if len(key) else np.zeros(0, bool)
    return records.take(np.sort(order[shared[: len(order)]]))


def _distinct(edges: pa.Table) -> pa.Table:
    """Return the edges, each pair once, by its strongest kind; sorted by place."""
    kind, one, other = (edges[name].to_numpy() for name in ("kind", "place", "to_place"))
    order = np.lexsort((kind, other, one))
    first = np.ones(len(order), bool)
    first[1:] = (one[order][1:] != one[order][:-1]) | (other[order][1:] != other[order][:-1])
    return edges.take(order[first])


def _first_u64(column: pa.ChunkedArray, start: int = 0) -> U64:
    """Return 64 bits of each value: the first of binaries; of strings of hex digits those from digit `start` on."""
    if pa.types.is_string(column.type):
        digits = pc.binary_slice(column.cast(pa.binary()), start, start + 16).cast(pa.binary(16))
        codes = byte_matrix(digits)
        nibbles: U8 = (codes & np.uint8(0xF)) + np.uint8(9) * (codes >> np.uint8(6))  # 0 to 9, a to f
        octets: U8 = nibbles[:, 0::2] << np.uint8(4) | nibbles[:, 1::2]
    else:
        octets = byte_matrix(column)[:, :8]
    return np.ascontiguousarray(octets).view(">u8").ravel().astype(np.uint64)
