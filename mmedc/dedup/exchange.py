"""Exchange by key range, and the search for pairs within a range.

Which document of a group stays is said by `rank`: what is published already, then the source that
the recipe names first, then the longer text, then the id; so it does not depend on the order of
anything that runs. Rank and place together order all rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.dedup.records import (
    ASK,
    EDGE,
    I64,
    RECORD,
    cut,
    edges_of,
    group_of,
    owner_of,
    place_of,
    range_of,
    read_cut,
    sketch_matrix,
)
from mmedc.dedup.signature import estimate, standard_error
from mmedc.engine.commit import read_table
from mmedc.engine.unit import Output, Result, Tables, Unit
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
    keys: Output
    corpus: str | None = None
    """The URL of the corpus, where it is published already."""


@dataclass(frozen=True)
class Exchange:
    """Sends the records of the rows that the policy keeps to the ranges of their keys.

    Unit spec: a tuple of KeysOf. Leaves `records`, cut by key range.
    """

    policy: Policy
    sources: tuple[str, ...]
    ranges: int
    minhash: bool

    def run(self, unit: Unit, store: Store) -> Result:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        parts: tuple[KeysOf, ...] = unit.spec
        records = pa.concat_tables([RECORD.empty_table(), *(self._read(part, store) for part in parts)])
        return Result({"records": cut(records, range_of(records["key"].to_numpy(), self.ranges), self.ranges)})

    def _read(self, part: KeysOf, store: Store) -> pa.Table:
        if part.corpus is not None:
            table = read_table(Store(part.corpus), part.keys)
            kept = np.arange(table.num_rows)
        else:
            table = read_table(store, part.keys)
            kept = np.flatnonzero(reasons(table, self.policy).is_null().to_numpy(zero_copy_only=False))
            table = table.take(kept)
        return records_of(table, place_of(part.number, kept), self._ranks(table, part.corpus), self.minhash)

    def _ranks(self, table: pa.Table, corpus: str | None) -> U64:
        """Return ranks, lowest first: 8 bits of source, 24 of length (longest first), 32 of id."""
        if corpus is None:
            order = pc.index_in(table.column("source"), pa.array(self.sources)).to_numpy().astype(np.uint64)
            order += np.uint64(1)
        else:
            order = np.zeros(table.num_rows, np.uint64)
        chars = np.minimum(table.column("chars").to_numpy().astype(np.uint64), np.uint64(2**24 - 1))
        tail = np.array([int(value[16:24], 16) for value in table.column("id").to_pylist()], np.uint64)
        ranks: U64 = (order << np.uint64(56)) | ((np.uint64(2**24 - 1) - chars) << np.uint64(32)) | tail
        return ranks


def records_of(table: pa.Table, places: I64, rank: U64, minhash: bool) -> pa.Table:
    """Return RECORD rows: one for the id, one for the content and one for each band of each row of keys."""
    rows = table.num_rows
    ids = _first_u64([bytes.fromhex(value[:16]) for value in table.column("id").to_pylist()])
    content = _first_u64(table.column("content").to_pylist())
    keys, kinds, at = [ids, content], [np.full(rows, 0), np.full(rows, 1)], [np.arange(rows)] * 2
    if minhash and rows:
        bands = table.column("bands").combine_chunks()
        flat = bands.flatten().to_numpy()
        count = len(flat) // rows
        worded = np.repeat(table.column("words").to_numpy() > 0, count)
        keys.append(flat[worded])
        kinds.append(np.full(worded.sum(), 2))
        at.append(np.repeat(np.arange(rows), count)[worded])
    where = np.concatenate(at)
    sketch = table.column("sketch").combine_chunks().take(pa.array(where))
    columns = [np.concatenate(keys), np.concatenate(kinds).astype(np.uint8), rank[where], places[where], sketch]
    return pa.table(columns, schema=RECORD)


@dataclass(frozen=True)
class Match:
    """Finds the pairs that are alike inside one key range. Unit spec: the range's number.

    Within a bucket of equal keys every row is compared with the best-ranked one; rows that are not
    alike are compared with the best of themselves, and so on: linear where a bucket is one group, and
    no pair counts that was not compared. Leaves `edges`, cut by the owner of the row that would go. Pairs
    so near the line that only their texts can tell are left as `doubts`, cut by the group of the row that
    would go, and `asks`, cut by the group of the other: whose shingles are needed, and in which group.
    """

    jaccard: float
    owners: int
    groups: tuple[int, ...]
    """The first gather unit of each group of units; the last number is that of the first published file."""
    files: tuple[Output, ...] = ()
    """What exchange left."""

    def run(self, unit: Unit, store: Store) -> Result:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        records = read_cut(store, self.files, unit.spec, RECORD)
        edges, doubts, compared = self.pairs(records)
        notes = {"records": records.num_rows, "compared": compared, "edges": len(edges), "doubts": len(doubts)}
        here = group_of(doubts["place"].to_numpy(), self.groups)
        wanted = np.unique(np.stack([doubts["to_place"].to_numpy(), here]), axis=1)
        asks = pa.table(list(wanted), schema=ASK)
        count = len(self.groups) - 1
        tables: Tables = {
            "edges": cut(edges, owner_of(edges["place"].to_numpy(), self.owners), self.owners),
            "doubts": cut(doubts, here, count),
            "asks": cut(asks, group_of(wanted[0], self.groups), count),
        }
        return Result(tables, notes=notes)

    def pairs(self, records: pa.Table) -> tuple[pa.Table, pa.Table, int]:
        """Return the sure pairs among RECORD rows as EDGE rows, the doubtful ones, and how many were compared."""
        records = _shared(records)
        key, kind = records["key"].to_numpy(), records["kind"].to_numpy()
        rank, place = records["rank"].to_numpy(), records["place"].to_numpy()
        sketch = sketch_matrix(records["sketch"])
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


def _first_u64(values: list[bytes]) -> npt.NDArray[np.uint64]:
    return np.frombuffer(b"".join(value[:8] for value in values), ">u8").astype(np.uint64)
