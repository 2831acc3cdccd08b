"""Groups of duplicates, without a task that sees all of them: connected components by alternating stars.

Large-star and small-star (Kiveris et al., "Connected Components in MapReduce and Beyond", SoCC 2014)
over edges that are cut by the owner of a row. Small-star here joins all that a range holds by
union-find, so that a corpus of one range is done at once. The centre of every star is the row that
stays. Memory of a task: the edges of a range; of a giant's centre, its edges as they come.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmedc.dedup.records import (
    DROP,
    EDGE,
    KINDS,
    KNOWN,
    NODE,
    RANGE_EDGES,
    byte_matrix,
    cut,
    edges_of,
    group_of,
    owner_of,
    read_cut,
)
from mmedc.dedup.signature import estimate
from mmedc.engine.unit import DataFile, Stream, Unit, UnitFiles
from mmedc.storage import Store

NEAR = 2  # index into KINDS
GUARD = 0.3
"""How much less than the line a row may be like the one that stays; a chain of small changes ends there."""
SHOWN = 100  # clusters of a range that are candidates for the page of the worst
SAMPLES = 3  # rows of such a cluster

TIE = pa.schema([("place", pa.int64()), ("kind", pa.uint8()), ("to_place", pa.int64())])
"""The strongest tie of a row to a better one."""
CLUSTER = pa.schema(
    [
        ("survivor", pa.int64()),
        ("rows", pa.int64()),  # that go
        ("jaccard", pa.float32()),  # the lowest, estimated against the survivor
        ("samples", pa.list_(pa.int64())),  # places of the rows that are least like it
    ]
)


@dataclass(frozen=True)
class SmallStars:
    """What `SmallStar` leaves."""

    edges: DataFile
    ties: DataFile | None


@dataclass(frozen=True)
class SmallStar:
    """Joins the edges of a range into stars. Unit spec: the range; `files` are cut by the row that would go.

    Leaves `edges` from each row to the best of its component here, cut by the owners of both ends; the
    first time also `ties`, cut by owner. Notes: `joined`, the rows that were linked to another than before.
    """

    owners: int
    files: tuple[DataFile, ...]
    first: bool
    version: ClassVar[int] = 2

    def run(self, unit: Unit[int], out: UnitFiles) -> SmallStars:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        edges = read_cut(out.store, self.files, unit.spec, EDGE)
        ties = Stream(TIE, iter([strongest(edges)]), whole=True)
        joined = out.write("edges", _to_both(stars(edges), self.owners))
        return SmallStars(joined, out.write("ties", ties) if self.first else None)


def stars(edges: pa.Table) -> pa.Table:
    """Return EDGE rows from every row of `edges` to the best of its component, sorted by place."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not edges.num_rows:
        return edges
    names = [name for name, _ in NODE]
    nodes = pa.concat_tables(
        [edges.select(names), edges.select([f"to_{name}" for name in names]).rename_columns(names)]
    )
    places, at, ends = np.unique(nodes["place"].to_numpy(), return_index=True, return_inverse=True)
    nodes = nodes.take(pa.array(at))
    order = np.lexsort((places, nodes["rank"].to_numpy()))
    links = (ends[: edges.num_rows], ends[edges.num_rows :])
    graph = coo_array((np.ones(edges.num_rows, np.int8), links), shape=(len(places),) * 2)
    _, component = connected_components(graph, directed=False)
    best = np.empty(len(places), np.int64)
    best[component[order[::-1]]] = order[::-1]  # the last write, the best, wins
    centre = best[component]
    rest = np.flatnonzero(centre != np.arange(len(places)))
    return edges_of(np.full(len(rest), NEAR), nodes, rest, centre[rest])


def strongest(edges: pa.Table) -> pa.Table:
    """Return TIE rows: of each row's edges the one of the strongest kind, to the best row of that kind."""
    kind, place = edges["kind"].to_numpy(), edges["place"].to_numpy()
    order = np.lexsort((edges["to_place"].to_numpy(), edges["to_rank"].to_numpy(), kind, place))
    first = np.ones(len(order), bool)
    first[1:] = place[order][1:] != place[order][:-1]
    return edges.select(TIE.names).take(order[first])


@dataclass(frozen=True)
class LargeStars:
    """What `LargeStar` leaves, and how many links are not as they were before."""

    edges: tuple[DataFile, ...]
    changed: int


@dataclass(frozen=True)
class LargeStar:
    """Links the worse neighbours of every row to its best one. Unit spec: the range; `files` are cut by both ends.

    Reads its files some at a time, first for the best neighbour of each of its rows, then to link.
    Leaves `edges-N`, cut by the row that would go. Notes: `changed`, the links that are not as before; when
    no range has any, every component is a star.
    """

    owners: int
    files: tuple[DataFile, ...]
    version: ClassVar[int] = 2

    def run(self, unit: Unit[int], out: UnitFiles) -> LargeStars:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        number, store = unit.spec, out.store
        best = pa.table({name: pa.array([], kind) for name, kind in [("own", pa.int64()), *NODE]})
        batches: list[tuple[DataFile, ...]] = []
        last: pa.Table = None
        for files, last in self._batches(store, number):
            batches.append(files)
            itself = last.select(["own", "own_rank", "own", "own_sketch"]).rename_columns(best.column_names)
            best = _least(pa.concat_tables([best, last.select(best.column_names), itself]))
        held = last if len(batches) == 1 else None  # the usual case, in which nothing is read twice
        changed = 0

        def parts(files: tuple[DataFile, ...]) -> Iterator[pa.Table]:
            pairs = self._neighbours(store, files, number) if held is None else held
            worse = _before(pairs, "own_rank", "own", "rank", "place")
            pairs = pairs.filter(pa.array(worse))
            at = np.searchsorted(best["own"].to_numpy(), pairs["own"].to_numpy())
            to = best.take(pa.array(at))
            nonlocal changed
            changed += int((to["place"].to_numpy() != pairs["own"].to_numpy()).sum())
            columns = [np.full(len(at), NEAR, np.uint8), *(one[name] for one in (pairs, to) for name, _ in NODE)]
            edges = pa.table(columns, schema=EDGE)
            yield from cut(edges, owner_of(edges["place"].to_numpy(), self.owners), self.owners).parts

        edges = [
            out.write(f"edges-{turn:03d}", Stream(EDGE, parts(batch), whole=True)) for turn, batch in enumerate(batches)
        ]
        return LargeStars(tuple(edges), changed)

    def _batches(self, store: Store, number: int) -> Iterator[tuple[tuple[DataFile, ...], pa.Table]]:
        """Yield (files, their `_neighbours`), as many files at a time as bounded memory allows."""
        files: list[DataFile] = []
        parts: list[pa.Table] = []
        for file in self.files:
            pairs = self._neighbours(store, (file,), number)
            if not pairs.num_rows:
                continue
            if parts and sum(part.num_rows for part in parts) + pairs.num_rows > 2 * RANGE_EDGES:
                yield tuple(files), pa.concat_tables(parts).combine_chunks()
                files, parts = [], []
            files.append(file)
            parts.append(pairs)
        if parts:
            yield tuple(files), pa.concat_tables(parts).combine_chunks()

    def _neighbours(self, store: Store, files: tuple[DataFile, ...], number: int) -> pa.Table:
        """Return (own, own_rank, own_sketch, and the NODE columns of a neighbour) for the rows of this range."""
        edges = read_cut(store, files, number, EDGE)
        sides = []
        for own, other in (("", "to_"), ("to_", "")):
            mine = owner_of(edges[f"{own}place"].to_numpy(), self.owners) == number
            part = edges.filter(pa.array(mine))
            columns = {"own": part[f"{own}place"], "own_rank": part[f"{own}rank"], "own_sketch": part[f"{own}sketch"]}
            sides.append(pa.table({**columns, **{name: part[f"{other}{name}"] for name, _ in NODE}}))
        return pa.concat_tables(sides).combine_chunks()


@dataclass(frozen=True)
class Settled:
    """What `Settle` leaves, how many rows go, and how many stay because they are unlike their centre."""

    drops: DataFile
    clusters: DataFile
    dropped: int
    unlike: int


@dataclass(frozen=True)
class Settle:
    """Says which rows go. Unit spec: the range; `files` are stars, cut by both ends.

    A row that is much less like the row that stays than asked (`GUARD`) stays too, unless a better row has
    its very locator. Leaves `drops`, cut by group of gather units, and `clusters`, the largest and the loosest.
    """

    jaccard: float
    owners: int
    groups: tuple[int, ...]
    files: tuple[DataFile, ...]
    ties: tuple[DataFile, ...]
    """The ties of each range, one file a range."""
    version: ClassVar[int] = 2

    def run(self, unit: Unit[int], out: UnitFiles) -> Settled:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        store = out.store
        edges = read_cut(store, self.files, unit.spec, EDGE)
        edges = edges.filter(pa.array(owner_of(edges["place"].to_numpy(), self.owners) == unit.spec))
        edges = stars(edges)  # sorted; every row once
        ties = read_cut(store, (self.ties[unit.spec],), 0, TIE).sort_by("place")
        drops, kept = drops_of(edges, ties, self.jaccard - GUARD, self.groups[-1])
        groups = group_of(drops["place"].to_numpy(), self.groups)
        by_group = out.write("drops", cut(drops, groups, len(self.groups) - 1))
        return Settled(by_group, out.write("clusters", clusters(drops)), drops.num_rows, kept)


def drops_of(edges: pa.Table, ties: pa.Table, guard: float, published: int) -> tuple[pa.Table, int]:
    """Return the rows that go as DROP, and how many stay for being less than `guard` like their centre.

    `edges` and `ties` are sorted by place; every place of an edge occurs once. Units from number `published`
    on are of published corpora.
    """
    place, survivor = edges["place"].to_numpy(), edges["to_place"].to_numpy().copy()
    kind = np.full(len(place), NEAR, np.uint8)
    tied = ties["place"].to_numpy()
    at = np.minimum(np.searchsorted(tied, place), max(len(tied) - 1, 0))
    has = tied[at] == place if len(tied) else np.zeros(len(place), bool)
    kind[has] = ties["kind"].to_numpy()[at[has]]
    jaccard = estimate(byte_matrix(edges["sketch"]), byte_matrix(edges["to_sketch"]))
    alike = jaccard >= guard
    named = kind == 0
    astray = named & ~alike
    survivor[astray] = ties["to_place"].to_numpy()[at[astray]] if astray.any() else 0
    goes = alike | named
    kind[(survivor >> 32) >= published] = len(KINDS)
    reason = pa.array((*KINDS, KNOWN)).take(pa.array(kind))
    drops = pa.table([place, reason, survivor, jaccard.astype(np.float32)], schema=DROP).filter(pa.array(goes))
    return drops, int((~goes).sum())


def clusters(drops: pa.Table) -> pa.Table:
    """Return the largest and the loosest clusters among `drops` as CLUSTER rows."""
    order = np.lexsort((drops["place"].to_numpy(), drops["jaccard"].to_numpy(), drops["survivor"].to_numpy()))
    survivor, place = drops["survivor"].to_numpy()[order], drops["place"].to_numpy()[order]
    jaccard = drops["jaccard"].to_numpy()[order]
    starts = np.flatnonzero(np.concatenate([[True], survivor[1:] != survivor[:-1]])[: len(survivor)])
    rows = np.diff(np.concatenate([starts, [len(survivor)]]))
    by_size, by_likeness = np.argsort(-rows, kind="stable"), np.argsort(jaccard[starts], kind="stable")
    shown = np.unique(np.concatenate([by_size[:SHOWN], by_likeness[:SHOWN]]))
    samples = [place[starts[one] : starts[one] + min(rows[one], SAMPLES)].tolist() for one in shown]
    return pa.table([survivor[starts[shown]], rows[shown], jaccard[starts[shown]], samples], schema=CLUSTER)


def _to_both(edges: pa.Table, owners: int) -> Stream:
    """Return the edges cut by the owners of both ends; once where it is the same."""
    one, other = (owner_of(edges[name].to_numpy(), owners) for name in ("place", "to_place"))
    twice = np.flatnonzero(one != other)
    at = np.concatenate([np.arange(len(one)), twice])
    return cut(edges.take(pa.array(at)), np.concatenate([one, other[twice]]), owners)


def _before(table: pa.Table, rank: str, place: str, other_rank: str, other_place: str) -> npt.NDArray[np.bool_]:
    """Tell for each row of `table` whether the first node comes before the other."""
    a, b, c, d = (table[name].to_numpy() for name in (rank, other_rank, place, other_place))
    result: npt.NDArray[np.bool_] = (a < b) | ((a == b) & (c < d))
    return result


def _least(candidates: pa.Table) -> pa.Table:
    """Return for each `own` the best node among its candidates, sorted by it."""
    own, rank, place = (candidates[name].to_numpy() for name in ("own", "rank", "place"))
    order: Any = np.argsort(own, kind="stable")
    own, rank, place = own[order], rank[order], place[order]
    first = np.flatnonzero(np.concatenate([[True], own[1:] != own[:-1]])[: len(own)])
    if not len(first):
        return candidates
    size = np.diff(np.append(first, len(own)))
    among = rank == np.repeat(np.minimum.reduceat(rank, first), size)
    place = np.where(among, place, np.iinfo(np.int64).max)
    among = place == np.repeat(np.minimum.reduceat(place, first), size)
    at = np.flatnonzero(among)
    return candidates.take(pa.array(order[at[np.searchsorted(at, first)]])).combine_chunks()
