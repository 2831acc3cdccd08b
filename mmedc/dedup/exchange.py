"""Exchange by key range, and the search for pairs within a range.

Which document of a group stays is said by `rank`: what is published already, then the source that
the recipe names first, then the better quality where a model scores it, then the longer text, then the id; so it
does not depend on the order of anything that runs. Rank and place together order all rows.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.dedup.records import (
    ASK,
    EDGE,
    I64,
    NODE,
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

ROUNDS = 64  # of leaders in one bucket; what is left after that is linked to none
DOUBT = 2.5  # standard errors about the line within which an estimate does not decide


@dataclass(frozen=True)
class KeysOf:
    """The keys of one gather unit, or of one file of a published corpus, as later passes find them."""

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
    version: ClassVar[int] = 2

    def run(self, unit: Unit[tuple[KeysOf, ...]], out: UnitFiles) -> Exchanged:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        nodes, keys, kinds, at = [], [], [], []
        rows = 0
        for part in unit.spec:
            table, places = self._read(part, out.store)
            rank = ranks(table, self.sources, part.corpus is not None)
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


def ranks(table: pa.Table, sources: tuple[str, ...], published: bool = False) -> U64:
    """Return the rank of each row, lowest first: 8 bits of source, 4 of quality, 20 of length, 32 of id.

    Quality counts in tenths, the best first, and not where it is null; of equals the longer text comes first.
    """
    order = np.zeros(table.num_rows, np.uint64)
    if not published:
        order += pc.index_in(table.column("source"), pa.array(sources)).to_numpy().astype(np.uint64) + np.uint64(1)
    tenths = np.zeros(table.num_rows, np.uint64)
    if "quality" in table.schema.names:
        quality = pc.fill_null(table.column("quality").cast(pa.float32()), 0.0).to_numpy()
        tenths = (np.clip(quality, 0, 1) * np.float32(10)).astype(np.uint64)
    chars = table.column("chars").to_numpy().astype(np.uint64)
    fine = np.uint64(1 << 19)  # exact up to here, then in steps of 32 characters
    length = np.where(chars < fine, chars, fine + (np.maximum(chars, fine) - fine) // np.uint64(32))
    length = np.minimum(length, np.uint64(2**20 - 1))
    tail = _first_u64(table.column("id"), 16) >> np.uint64(32)
    found: U64 = np.minimum(order, np.uint64(255)) << np.uint64(56)
    found |= (np.uint64(10) - tenths) << np.uint64(52)
    found |= (np.uint64(2**20 - 1) - length) << np.uint64(32)
    return found | tail


def keys_of(table: pa.Table, minhash: bool) -> tuple[U64, U8, I64]:
    """Return the keys of the rows of `table`, of what kind each is and of which row: id, content, each band."""
    rows = table.num_rows
    keys = [_first_u64(table.column("id")), _first_u64(table.column("content"))]
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
    doubts: DataFile
    asks: DataFile
    compared: int
    alike: int
    doubtful: int


@dataclass(frozen=True)
class Match:
    """Finds the pairs that are alike inside one key range. Unit spec: the range's number.

    Within a bucket of equal keys every row is compared with the best-ranked one; rows that are not
    alike are compared with the best of themselves, and so on: linear where a bucket is one group, and
    no pair counts that was not compared. Leaves `edges`, cut by the owner of the row that would go. Pairs
    so near the line that only their texts can tell are left as `doubts`, cut by the group of the row that
    would go, and, where the other is of another group, `asks`, cut by that: whose shingles are needed, and where.
    """

    jaccard: float
    owners: int
    groups: tuple[int, ...]
    """The first gather unit of each group of units; the last number is that of the first published file."""
    files: tuple[DataFile, ...] = ()
    """What exchange left."""
    version: ClassVar[int] = 2

    def run(self, unit: Unit[int], out: UnitFiles) -> Matched:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        records = read_cut(out.store, self.files, unit.spec, RECORD)
        edges, doubts, compared = self.pairs(records)
        here, there = (group_of(doubts[name].to_numpy(), self.groups) for name in ("place", "to_place"))
        away = here != there
        wanted = np.unique(np.stack([doubts["to_place"].to_numpy()[away], here[away]]), axis=1)
        asks = pa.table(list(wanted), schema=ASK)
        count = len(self.groups) - 1
        return Matched(
            edges=out.write("edges", cut(edges, owner_of(edges["place"].to_numpy(), self.owners), self.owners)),
            doubts=out.write("doubts", cut(doubts, here, count)),
            asks=out.write("asks", cut(asks, group_of(wanted[0], self.groups), count)),
            compared=compared,
            alike=len(edges),
            doubtful=len(doubts),
        )

    def pairs(self, records: pa.Table) -> tuple[pa.Table, pa.Table, int]:
        """Return the sure pairs among RECORD rows as EDGE rows, the doubtful ones, and how many were compared."""
        records = _shared(records)
        key, kind = records["key"].to_numpy(), records["kind"].to_numpy()
        rank, place = records["rank"].to_numpy(), records["place"].to_numpy()
        sketch = byte_matrix(records["sketch"])
        known = place >= place_of(self.groups[-1], np.zeros(1, np.int64))[0]
        left = np.lexsort((place, rank, kind, key))
        ones, others, sures, compared = [], [], [], 0
        for _ in range(ROUNDS):
            same = (key[left][1:] == key[left][:-1]) & (kind[left][1:] == kind[left][:-1])
            begins = np.concatenate([[True], ~same])[: len(left)]
            leader = left[np.flatnonzero(begins)[np.cumsum(begins) - 1]] if len(left) else left
            leader, follower = leader[leader != left], left[leader != left]
            if known[follower].all():  # a published row never goes
                break
            sure, doubt = self._alike(kind, rank, sketch, known, follower, leader)
            linked = sure | doubt
            compared += len(follower)
            ones.append(follower[linked])
            others.append(leader[linked])
            sures.append(sure[linked])
            left = follower[~linked]
        if not ones:
            return EDGE.empty_table(), EDGE.empty_table(), compared
        one, other, sure = np.concatenate(ones), np.concatenate(others), np.concatenate(sures)
        edges = edges_of(kind[one], records, one, other)
        return _distinct(edges.filter(pa.array(sure))), _distinct(edges.filter(pa.array(~sure))), compared

    def _alike(self, kind: Any, rank: U64, sketch: Any, known: Any, one: I64, other: I64) -> tuple[Any, Any]:
        """Return (whether each pair is surely of one document, whether its texts must tell), (N,) each.

        Of what is published the text is not read again: there the estimate tells.
        """
        jaccard = np.empty(len(one))
        for at in range(0, len(one), 1 << 16):  # bounds the memory of the comparison
            stop = at + (1 << 16)
            jaccard[at:stop] = estimate(sketch[one[at:stop]], sketch[other[at:stop]])
        mask = np.uint64(0xFFFFFFFF)
        same_id = (rank[one] & mask) == (rank[other] & mask)
        margin = DOUBT * standard_error(self.jaccard)
        high = self.jaccard + np.where(known[other], 0.0, margin)
        sure = np.where(kind[one] == 0, same_id, np.where(kind[one] == 1, jaccard > 0.999, jaccard >= high))
        sure &= ~known[one]
        doubt = (kind[one] == 2) & ~sure & ~known[one] & ~known[other] & (jaccard >= self.jaccard - margin)
        return sure, doubt


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
