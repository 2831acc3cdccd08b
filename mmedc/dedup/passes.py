"""The passes over keys: exchange by key range, match within a range, join into groups.

A row is known by its place: the number of its gather unit, times 2^32, plus its row there. Which
document of a group stays is said by `rank`: the source that the recipe names first, then the longer
text, then the id; so it does not depend on the order of anything that runs.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmedc.dedup.signature import PERMUTATIONS, SKETCH, estimate
from mmedc.engine.commit import read_table
from mmedc.engine.unit import Output, Result, Tables, Unit
from mmedc.limits import reasons
from mmedc.policy import Policy
from mmedc.storage import Store
from mmedc.words import U64

RANGE_RECORDS = 2_000_000  # about 256 MB in memory
ROUNDS = 64  # of leaders in one bucket; what is left after that is linked to none
SLACK = 0.06  # 1.5 standard errors of the estimate at 0.8: a true duplicate passes with it

RECORD = pa.schema(
    [
        ("key", pa.uint64()),
        ("kind", pa.uint8()),  # index into KINDS
        ("rank", pa.uint64()),
        ("place", pa.int64()),
        ("sketch", SKETCH),
    ]
)
KINDS = ("same_locator", "exact_duplicate", "near_duplicate")
EDGE = pa.schema(
    [
        ("kind", pa.uint8()),
        ("one", pa.int64()),
        ("other", pa.int64()),
        ("one_rank", pa.uint64()),
        ("other_rank", pa.uint64()),
        ("jaccard", pa.float32()),
    ]
)
DROP = pa.schema([("place", pa.int64()), ("reason", pa.string()), ("survivor", pa.int64()), ("group", pa.int64())])


def ranges_for(rows: int, bands: int) -> int:
    """Return into how many key ranges the keys of `rows` documents are cut."""
    return max(1, -(-rows * (bands + 2) // RANGE_RECORDS))


def place_of(unit: int, row: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the places of rows of gather unit number `unit`."""
    return row + (np.int64(unit) << np.int64(32))


@dataclass(frozen=True)
class KeysOf:
    """The keys of one gather unit, as later passes find them."""

    number: int
    keys: Output


@dataclass(frozen=True)
class Exchange:
    """Sends the records of the rows that the policy keeps to files by range of their keys.

    Unit spec: KeysOf. Leaves one table `range-NNNN` for each range.
    """

    policy: Policy
    sources: tuple[str, ...]
    ranges: int
    minhash: bool

    def run(self, unit: Unit, store: Store) -> Result:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        spec: KeysOf = unit.spec
        table = read_table(store, spec.keys)
        kept = np.flatnonzero(reasons(table, self.policy).is_null().to_numpy(zero_copy_only=False))
        table = table.take(kept)
        records = self._records(table, place_of(spec.number, kept))
        target = _range_of(records["key"].to_numpy(), self.ranges)
        tables: Tables = {
            f"range-{number:04d}": records.filter(pa.array(target == number)) for number in range(self.ranges)
        }
        return Result(tables)

    def _records(self, table: pa.Table, places: npt.NDArray[np.int64]) -> pa.Table:
        """Return RECORD rows: one for the id, one for the content and one for each band of each row."""
        rows = table.num_rows
        rank, sketch = self._ranks(table), table.column("sketch").combine_chunks()
        ids = _first_u64([bytes.fromhex(value[:16]) for value in table.column("id").to_pylist()])
        content = _first_u64(table.column("content").to_pylist())
        keys, kinds, at = [ids, content], [np.full(rows, 0), np.full(rows, 1)], [np.arange(rows)] * 2
        if self.minhash and rows:
            bands = table.column("bands").combine_chunks()
            flat = bands.flatten().to_numpy()
            count = len(flat) // rows
            worded = np.repeat(table.column("words").to_numpy() > 0, count)
            keys.append(flat[worded])
            kinds.append(np.full(worded.sum(), 2))
            at.append(np.repeat(np.arange(rows), count)[worded])
        where = np.concatenate(at)
        return pa.table(
            [
                np.concatenate(keys),
                np.concatenate(kinds).astype(np.uint8),
                rank[where],
                places[where],
                sketch.take(pa.array(where)),
            ],
            schema=RECORD,
        )

    def _ranks(self, table: pa.Table) -> U64:
        """Return ranks, lowest first: 8 bits of source, 24 of length (longest first), 32 of id."""
        order = pc.index_in(table.column("source"), pa.array(self.sources)).to_numpy().astype(np.uint64)
        chars = np.minimum(table.column("chars").to_numpy().astype(np.uint64), np.uint64(2**24 - 1))
        tail = np.array([int(value[16:24], 16) for value in table.column("id").to_pylist()], np.uint64)
        ranks: U64 = (order << np.uint64(56)) | ((np.uint64(2**24 - 1) - chars) << np.uint64(32)) | tail
        return ranks


@dataclass(frozen=True)
class Match:
    """Finds the duplicates inside one key range. Unit spec: the range's files. Leaves `edges`.

    Within a bucket of equal keys every row is compared with the best-ranked one; rows that are not
    alike are compared with the best of themselves, and so on: linear where a bucket is one group,
    and no pair counts that was not compared.
    """

    jaccard: float

    def run(self, unit: Unit, store: Store) -> Result:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        files: tuple[Output, ...] = unit.spec
        table = pa.concat_tables([read_table(store, file) for file in files]).combine_chunks()
        edges, compared = self.edges(table)
        return Result({"edges": edges}, notes={"records": table.num_rows, "compared": compared})

    def edges(self, records: pa.Table) -> tuple[pa.Table, int]:
        """Return the verified pairs among RECORD rows as EDGE rows, and how many pairs were compared."""
        key, kind = records["key"].to_numpy(), records["kind"].to_numpy()
        rank, place = records["rank"].to_numpy(), records["place"].to_numpy()
        sketch = _matrix(records["sketch"])
        left = np.lexsort((place, rank, kind, key))
        parts, compared = [], 0
        for _ in range(ROUNDS):
            same = (key[left][1:] == key[left][:-1]) & (kind[left][1:] == kind[left][:-1])
            group = np.concatenate([[0], np.cumsum(~same)]) if len(left) else np.zeros(0, int)
            first = np.flatnonzero(np.concatenate([[True], ~same])) if len(left) else np.zeros(0, int)
            leader = left[first[group]] if len(left) else left
            follower = left[leader != left]
            if not len(follower):
                break
            leader = leader[leader != left]
            alike = self._alike(kind, rank, sketch, leader, follower)
            compared += len(follower)
            parts.append((leader[alike[0]], follower[alike[0]], alike[1][alike[0]]))
            left = follower[~alike[0]]
        one = np.concatenate([part[0] for part in parts]) if parts else np.zeros(0, int)
        other = np.concatenate([part[1] for part in parts]) if parts else np.zeros(0, int)
        jaccard = np.concatenate([part[2] for part in parts]) if parts else np.zeros(0)
        columns = [kind[one], place[one], place[other], rank[one], rank[other], jaccard.astype(np.float32)]
        return pa.table(columns, schema=EDGE), compared

    def _alike(self, kind: Any, rank: U64, sketch: Any, one: Any, other: Any) -> tuple[Any, Any]:
        """Return (whether each pair is of one document, its estimated Jaccard), (N,) each."""
        jaccard = np.empty(len(one))
        for at in range(0, len(one), 1 << 16):  # bounds the memory of the comparison
            stop = at + (1 << 16)
            jaccard[at:stop] = estimate(sketch[one[at:stop]], sketch[other[at:stop]])
        mask = np.uint64(0xFFFFFFFF)
        same_id = (rank[one] & mask) == (rank[other] & mask)
        sure = np.where(kind[one] == 0, same_id, np.where(kind[one] == 1, jaccard > 0.999, False))
        return sure | ((kind[one] == 2) & (jaccard >= self.jaccard - SLACK)), jaccard


@dataclass(frozen=True)
class Components:
    """Joins the edges of all ranges into groups and says who goes. Unit spec: the edge files. Leaves `drops`."""

    def run(self, unit: Unit, store: Store) -> Result:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        files: tuple[Output, ...] = unit.spec
        drops = drops_of(pa.concat_tables([read_table(store, file) for file in files]).combine_chunks())
        sizes = np.bincount(drops["group"].to_numpy()) + 1 if drops.num_rows else np.zeros(0, int)
        notes = {"groups": len(sizes), "largest": int(sizes.max(initial=0))}
        return Result({"drops": drops}, notes=notes)


def drops_of(edges: pa.Table) -> pa.Table:
    """Return the rows that go, as DROP sorted by place: all of a group but the one of lowest rank.

    The reason is the strongest tie by which a better row exists: same locator, same text, near duplicate.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.concatenate([edges["one"].to_numpy(), edges["other"].to_numpy()])
    ranks = np.concatenate([edges["one_rank"].to_numpy(), edges["other_rank"].to_numpy()])
    places, first, inverse = np.unique(ends, return_index=True, return_inverse=True)
    if not len(places):
        return DROP.empty_table()
    rank = ranks[first]
    one, other = inverse[: edges.num_rows], inverse[edges.num_rows :]
    kind = edges["kind"].to_numpy()
    order = np.lexsort((places, rank))
    reason = np.full(len(places), -1)
    survivor = group = np.arange(len(places))
    for level in range(len(KINDS)):
        chosen = kind <= level
        graph = coo_array((np.ones(chosen.sum()), (one[chosen], other[chosen])), shape=(len(places),) * 2)
        _, group = connected_components(graph, directed=False)
        best = np.full(len(places), -1)
        best[group[order[::-1]]] = order[::-1]  # the last write, the lowest rank, wins
        survivor = best[group]
        reason[(survivor != np.arange(len(places))) & (reason < 0)] = level
    gone = np.flatnonzero(reason >= 0)
    _, number = np.unique(group[gone], return_inverse=True)
    return pa.table(
        [places[gone], pa.array(KINDS).take(pa.array(reason[gone])), places[survivor[gone]], number], schema=DROP
    )


def _matrix(column: Any) -> npt.NDArray[np.uint8]:
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    data = np.frombuffer(flat.buffers()[1], np.uint8) if len(flat) else np.zeros(0, np.uint8)
    offset = flat.offset * PERMUTATIONS
    return data[offset : offset + len(flat) * PERMUTATIONS].reshape(len(flat), PERMUTATIONS)


def _first_u64(values: list[bytes]) -> U64:
    return np.frombuffer(b"".join(value[:8] for value in values), ">u8").astype(np.uint64)


def _range_of(keys: U64, ranges: int) -> npt.NDArray[np.int64]:
    """Return the range of each key: equal slices of the 64-bit space."""
    return ((keys >> np.uint64(32)) * np.uint64(ranges) >> np.uint64(32)).astype(np.int64)
