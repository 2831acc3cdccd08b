"""Which rows are dropped as duplicates, decided in rounds of messages without a task that sees all of them.

A row is dropped if and only if a row that stays is like it and comes before it: what stays is the first maximal
independent set in the order of ranks. So no two rows that stay are like each other, as far as they were compared, and
every dropped row is like one that stays. Connected components have neither property: a chain of small changes joins
unlike documents.

Every pair lies with the owner of its worse row. A round applies the news about better rows, decides what can be
decided, and sends news to the owners who watch. The set is the same for any number of owners, because rounds are
synchronous. Ranks alone may need as many rounds as a chain is long; what is open after ROUNDS_BY_RANK of them is
decided in a random but fixed order, which takes about as many rounds as the logarithm of the rows (Luby, STOC 1985).
Memory of a task: the pairs of the rows it owns.
"""

from dataclasses import dataclass
from itertools import count, pairwise
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmedc.dedup.records import DROP, EDGE, KINDS, KNOWN, PLACES, cut, group_of, owner_of, read_cut
from mmedc.engine.commit import read_table
from mmedc.engine.unit import DataFile, Stream, Unit, UnitFiles
from mmedc.storage import Store
from mmedc.words import mix

ROUNDS_BY_RANK = 32
SHOWN = 100  # clusters of a range that are candidates for the page of the worst
SAMPLES = 3  # rows of such a cluster

WATCH = pa.schema([("place", pa.int64()), ("owner", pa.int64())])
"""An owner has rows that are dropped if the row at `place` stays."""
NEWS = pa.schema([("place", pa.int64()), ("stays", pa.bool_())])
"""What was decided about a row."""
CLUSTER = pa.schema(
    [
        ("survivor", pa.int64()),
        ("rows", pa.int64()),  # that are dropped
        ("jaccard", pa.float32()),  # the lowest of a row and the survivor
        ("samples", pa.list_(pa.int64())),  # places of the rows that are least like it
    ]
)

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Decided:
    """What `Decide` leaves: the state of an owner, and the news for the others."""

    edges: DataFile
    """Pairs whose worse row is open."""
    watch: DataFile
    """Watchers of rows that are open."""
    drops: DataFile
    """The rows dropped in this round."""
    news: DataFile
    """Cut by owner."""
    open: int
    """Pairs left."""


@dataclass(frozen=True)
class Decide:
    """One round for the rows of an owner; all rounds at once where there is one owner only. Unit spec: its number."""

    owners: int
    first: bool
    """Whether `edges` and `watch` are cut by owner; otherwise they are one file an owner, of the round before."""
    quiet: bool
    """Whether no row is made to stay, so that afterwards no row is dropped that others don't know of."""
    edges: tuple[DataFile, ...]
    watch: tuple[DataFile, ...]
    news: tuple[DataFile, ...]
    version: ClassVar[int] = 1

    def run(self, unit: Unit[int], out: UnitFiles) -> Decided:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        number, store = unit.spec, out.store
        read = read_cut if self.first else _read_own
        state = State(read(store, self.edges, number, EDGE), read(store, self.watch, number, WATCH))
        news = read_cut(store, self.news, number, NEWS)
        if self.owners == 1:
            drops, decided = state.finish(news), news.slice(0, 0).append_column("owner", pa.array([], pa.int64()))
        else:
            drops, decided = state.step(news, self.quiet)
        return Decided(
            edges=out.write("edges", _whole(state.edges)),
            watch=out.write("watch", _whole(state.watch)),
            drops=out.write("drops", _whole(drops)),
            news=out.write("news", cut(decided.select(NEWS.names), decided["owner"].to_numpy(), self.owners)),
            open=state.edges.num_rows,
        )


@dataclass(frozen=True)
class Turned:
    """What `Turn` leaves, each cut by owner."""

    edges: DataFile
    watch: DataFile


@dataclass(frozen=True)
class Turn:
    """Orders the open pairs of an owner at random, after a quiet round. Unit spec: its number."""

    owners: int
    edges: tuple[DataFile, ...]
    watch: tuple[DataFile, ...]
    news: tuple[DataFile, ...]
    version: ClassVar[int] = 1

    def run(self, unit: Unit[int], out: UnitFiles) -> Turned:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        number, store = unit.spec, out.store
        state = State(_read_own(store, self.edges, number, EDGE), _read_own(store, self.watch, number, WATCH))
        state.step(read_cut(store, self.news, number, NEWS), quiet=True)
        edges = turned(state.edges)
        return Turned(out.write("edges", by_owner(edges, self.owners)), out.write("watch", watches(edges, self.owners)))


def _whole(table: pa.Table) -> Stream:
    """Return a table as a file of one row group."""
    return Stream(table.schema, iter([table]), whole=True)


def _read_own(store: Store, files: tuple[DataFile, ...], number: int, schema: pa.Schema) -> pa.Table:
    """Return the file of an owner."""
    return read_table(store, files[number]) if files[number].rows else schema.empty_table()


def by_owner(edges: pa.Table, owners: int) -> Stream:
    """Return EDGE rows cut by the owner of the worse row."""
    return cut(edges, owner_of(edges["place"].to_numpy(), owners), owners)


def watches(edges: pa.Table, owners: int) -> Stream:
    """Return who watches the better rows of EDGE rows, as WATCH rows cut by the owner of the row watched."""
    watch = watchers(edges, owners)
    return cut(watch, owner_of(watch["place"].to_numpy(), owners), owners)


def watchers(edges: pa.Table, owners: int) -> pa.Table:
    """Return which owners watch the better rows of EDGE rows, as WATCH rows, each once."""
    better, owner = edges["to_place"].to_numpy(), owner_of(edges["place"].to_numpy(), owners)
    order = np.lexsort((owner, better))
    better, owner = better[order], owner[order]
    first = np.ones(len(order), bool)
    first[1:] = (better[1:] != better[:-1]) | (owner[1:] != owner[:-1])
    return pa.table([better[first], owner[first]], schema=WATCH)


class State:
    """What an owner knows: the open pairs of its rows, and who watches its rows."""

    def __init__(self, edges: pa.Table, watch: pa.Table) -> None:
        self.edges, self.watch = edges, watch

    def step(self, news: pa.Table, quiet: bool = False) -> tuple[pa.Table, pa.Table]:
        """Apply NEWS and decide what can be; return (dropped rows, news).

        The rows dropped are EDGE rows to a row that stays; the news have a column `owner` besides.

        A row is dropped when a row that it is like stays. It stays when no open row that it is like comes before it.
        """
        drops = self._apply(news)
        dropped = np.unique(drops["place"].to_numpy())
        watched = self.watch["place"].to_numpy()
        bound = np.concatenate([self.edges["place"].to_numpy(), dropped])
        stays = np.zeros(len(watched), bool) if quiet else ~np.isin(watched, bound)
        decided = stays | np.isin(watched, dropped)
        columns = [watched[decided], stays[decided], self.watch["owner"].to_numpy()[decided]]
        self.watch = self.watch.filter(pa.array(~decided))
        return drops, pa.table(columns, names=[*NEWS.names, "owner"])

    def finish(self, news: pa.Table) -> pa.Table:
        """Do all rounds, for an owner of all rows; return the rows dropped as `step` does."""
        parts = []
        for number in count():
            drops, news = self.step(news, quiet=number == ROUNDS_BY_RANK)
            parts.append(drops)
            if not self.edges.num_rows:
                return pa.concat_tables(parts)
            if number == ROUNDS_BY_RANK:
                self.step(news, quiet=True)
                self.edges = turned(self.edges)
                self.watch, news = watchers(self.edges, 1), news.slice(0, 0)
        raise AssertionError("unreachable")

    def _apply(self, news: pa.Table) -> pa.Table:
        """Drop the rows that are like a row that stays, and forget the pairs of rows that are dropped."""
        known, at = np.unique(news["place"].to_numpy(), return_index=True)
        stays = news["stays"].to_numpy()[at]
        worse, better = self.edges["place"].to_numpy(), self.edges["to_place"].to_numpy()
        reported = np.isin(better, known)
        to_staying = np.isin(better, known[stays])
        drops = strongest(self.edges.filter(pa.array(to_staying)))
        self.edges = self.edges.filter(pa.array(~reported & ~np.isin(worse, worse[to_staying]))).combine_chunks()
        return drops


def strongest(edges: pa.Table) -> pa.Table:
    """Return of each row's EDGE rows the one of the strongest kind, to the best row of that kind."""
    kind, place = edges["kind"].to_numpy(), edges["place"].to_numpy()
    order = np.lexsort((edges["to_place"].to_numpy(), edges["to_rank"].to_numpy(), kind, place))
    first = np.ones(len(order), bool)
    first[1:] = place[order][1:] != place[order][:-1]
    return edges.take(pa.array(order[first]))


def turned(edges: pa.Table) -> pa.Table:
    """Return EDGE rows in a random order of rows that depends on nothing but their ranks and places."""
    names = ("rank", "place", "to_rank", "to_place")
    rank, place, to_rank, to_place = (edges[name].to_numpy() for name in names)
    one, other = (mix(mix(a) ^ b.astype(np.uint64)) for a, b in ((rank, place), (to_rank, to_place)))
    swap = (one < other) | ((one == other) & (place < to_place))
    columns = {name: edges[name] for name in EDGE.names}
    for a, b in (("rank", "to_rank"), ("place", "to_place")):
        left, right = edges[a].to_numpy(), edges[b].to_numpy()
        columns[a], columns[b] = np.where(swap, right, left), np.where(swap, left, right)
    return pa.table(columns, schema=EDGE)


@dataclass(frozen=True)
class Released:
    """What `Release` leaves, cut by key range, and how many rows."""

    places: DataFile
    rows: int


@dataclass(frozen=True)
class Release:
    """Finds the rows that stay though a better one in a bucket stood for them: they must be compared again.

    Unit spec: the number of an owner.
    """

    followers: tuple[DataFile, ...]
    """A file of each key range, cut by owner."""
    drops: tuple[tuple[DataFile, ...], ...]
    """Of each round, a file of each owner."""
    version: ClassVar[int] = 1

    def run(self, unit: Unit[int], out: UnitFiles) -> Released:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        dropped = read_drops(out.store, self.drops, unit.spec)["place"].to_numpy()
        parts = [read_cut(out.store, (file,), unit.spec, PLACES)["place"].to_numpy() for file in self.followers]
        every = np.concatenate([np.zeros(0, np.int64), *parts])
        at = np.minimum(np.searchsorted(dropped, every), max(len(dropped) - 1, 0))
        stays = dropped[at] != every if len(dropped) else np.ones(len(every), bool)
        bounds = np.cumsum([0, *(len(part) for part in parts)])
        kept = [every[low:high][stays[low:high]] for low, high in pairwise(bounds.tolist())]
        target = np.repeat(np.arange(len(kept)), [len(part) for part in kept])
        places = pa.table([np.concatenate(kept)], schema=PLACES)
        return Released(out.write("places", cut(places, target, len(kept))), places.num_rows)


def read_drops(store: Store, drops: tuple[tuple[DataFile, ...], ...], owner: int) -> pa.Table:
    """Return what was dropped of an owner's rows, as EDGE rows sorted by place; `drops` are files of each round."""
    parts = [_read_own(store, files, owner, EDGE) for files in drops]
    return pa.concat_tables([EDGE.empty_table(), *parts]).combine_chunks().sort_by("place")


@dataclass(frozen=True)
class Dropped:
    """What `Drop` leaves."""

    drops: DataFile
    """DROP rows, cut by group of ingest units."""
    clusters: DataFile
    """The largest and the loosest clusters."""
    rows: int


@dataclass(frozen=True)
class Drop:
    """Lists the dropped rows of an owner by the groups of ingest units they are in. Unit spec: its number."""

    groups: tuple[int, ...]
    """The first ingest unit of each group; the last number is that of the first published file."""
    drops: tuple[tuple[DataFile, ...], ...]
    """Of each round, a file of each owner."""
    version: ClassVar[int] = 1

    def run(self, unit: Unit[int], out: UnitFiles) -> Dropped:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        drops = drops_of(read_drops(out.store, self.drops, unit.spec), self.groups[-1])
        groups = group_of(drops["place"].to_numpy(), self.groups)
        return Dropped(
            drops=out.write("drops", cut(drops, groups, len(self.groups) - 1)),
            clusters=out.write("clusters", clusters(drops)),
            rows=drops.num_rows,
        )


@dataclass(frozen=True)
class GroupOfUnits:
    """Some ingest units: `first` to before `end`."""

    number: int
    first: int
    end: int


@dataclass(frozen=True)
class SortedDrops:
    """What `SortDrops` leaves: DROP rows, a row group for each ingest unit of the group."""

    drops: DataFile


@dataclass(frozen=True)
class SortDrops:
    """Sorts the dropped rows of a group by ingest unit, so that `Select` reads only its own. Unit spec: GroupOfUnits.

    Without it every ingest unit would read a part of the file of every owner.
    """

    drops: tuple[DataFile, ...]
    """Of each owner, cut by group of ingest units."""
    version: ClassVar[int] = 1

    def run(self, unit: Unit[GroupOfUnits], out: UnitFiles) -> SortedDrops:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        group = unit.spec
        drops = read_cut(out.store, self.drops, group.number, DROP).sort_by("place")
        units = (drops["place"].to_numpy() >> 32) - group.first
        return SortedDrops(out.write("drops", cut(drops, units, group.end - group.first)))


def drops_of(edges: pa.Table, published: int) -> pa.Table:
    """Return EDGE rows, from dropped rows to those that stay, as DROP; units from `published` on are published."""
    kind = edges["kind"].to_numpy().copy()
    kind[(edges["to_place"].to_numpy() >> 32) >= published] = len(KINDS)
    reason = pa.array((*KINDS, KNOWN)).take(pa.array(kind))
    return pa.table([edges["place"], reason, edges["to_place"], edges["jaccard"]], schema=DROP)


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
