"""What of a corpus is to be forgotten: the documents that were asked for, and those that are nearly the same."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmedc.corpus.history import History
from mmedc.corpus.manifest import Manifest, Shard
from mmedc.dedup.signature import estimate
from mmedc.dedup.verify import jaccards, sets_of
from mmedc.document import document_id
from mmedc.errors import CorpusError
from mmedc.folding import plain_texts
from mmedc.forgetting import Entry, Forgotten, entry
from mmedc.pipeline.traces import MOST_PASSAGES, PASSAGES, Needles, passages_of
from mmedc.storage import Store

CLUSTERS = "rejects/clusters.parquet"
NEAR = 0.5
"""The Jaccard similarity of two texts, or the share of passages, from which one is reported as a neighbour."""
SLACK = 0.15
"""How much lower the estimate by sketches may be; three standard errors."""
COMPARED = 2_000
"""The number of forgotten documents whose neighbours are looked for."""
U8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Found:
    """A published document that is to be forgotten."""

    id: str
    lang: str
    source: str
    locator: str
    dois: tuple[str, ...]
    shard: str
    row: int
    passages: tuple[str, ...]


@dataclass(frozen=True)
class Neighbour:
    """A document that is nearly the same as one that is forgotten."""

    locator: str
    id: str
    of: str
    """The locator of the document that is forgotten."""
    how: Literal["like it", "holds it", "removed"]
    """`removed`: the build removed it as a duplicate, and a later one would keep it; the others are published."""
    alike: float
    """The Jaccard similarity of the texts; of one that holds it, the share of its passages."""

    @property
    def published(self) -> bool:
        """Whether it is in the corpus."""
        return self.how != "removed"


@dataclass
class Forgettable:
    """What is to be forgotten of a corpus."""

    entries: tuple[Entry, ...]
    documents: list[Found]
    neighbours: list[Neighbour] = field(default_factory=list)
    together: bool = False
    """Whether the neighbours are forgotten too."""
    domains: tuple[str, ...] = ()
    """Those that were asked for in plain words."""
    addresses: tuple[str, ...] = ()
    """Likewise."""
    certain: bool = True
    """Whether all documents that the build removed as duplicates of these are among the neighbours. What the passes of
    the build left says so; without it, `rejects/clusters.parquet` names those of the largest and the least alike."""

    def rows(self) -> dict[str, list[int]]:
        """Return the rows of each shard."""
        found: dict[str, list[int]] = {}
        for one in self.documents:
            found.setdefault(one.shard, []).append(one.row)
        return {path: sorted(rows) for path, rows in found.items()}

    def needles(self) -> Needles:
        """Return what must not be found any more."""
        return Needles(
            [*(one.locator for one in self.documents), *self.addresses],
            self.domains,
            (one.id for one in self.documents),
            (doi for one in self.documents for doi in one.dois),
            (passage for one in self.documents for passage in one.passages),
        )


def forgettable(
    corpus: str,
    manifest: Manifest,
    entries: tuple[Entry, ...],
    addresses: Iterable[str] = (),
    domains: Iterable[str] = (),
    together: bool = False,
) -> Forgettable:
    """Return what `entries` name in a corpus; with `together` their published neighbours as well.

    `addresses` and `domains` are the entries that were given in plain words, which are also looked for elsewhere.
    """
    store = Store(corpus)
    known = Forgotten(entries)
    asked = _texts(store, manifest, _matching(store, manifest, known))
    found = Forgettable(entries, asked, together=together, domains=tuple(domains), addresses=tuple(addresses))
    alike = _published(store, manifest, asked)
    held = [one for one in _holding(store, manifest, asked) if one.id not in {each.id for each in alike}]
    removed, found.certain = _removed(corpus, manifest, asked)
    found.neighbours = [*alike, *held, *removed]
    if together and found.neighbours:
        ids = pa.array([one.id for one in found.neighbours if one.published], pa.string())
        found.documents = [*asked, *_texts(store, manifest, _with_ids(store, manifest, ids))]
        more = (entry("url", one.locator) for one in found.neighbours)
        found.entries = tuple(sorted({*entries, *more}))
    return found


Places = dict[str, list[int]]


def _columns(store: Store, shard: Shard, columns: list[str]) -> pa.Table:
    with store.open_input(shard.path) as file:
        return pq.read_table(file, columns=columns, use_threads=False, page_checksum_verification=True)


def _matching(store: Store, manifest: Manifest, known: Forgotten) -> Places:
    """Return the rows of each shard that are to be forgotten."""
    found = {}
    columns = ["locator", *(["id"] if known.ids else []), *(["identifiers"] if known.dois else [])]
    for shard in manifest.shards:
        mine = named(known, _columns(store, shard, columns))
        if mine.any():
            found[shard.path] = np.flatnonzero(mine).tolist()
    return found


def named(known: Forgotten, table: pa.Table) -> npt.NDArray[np.bool_]:
    """Return which rows of a table are to be forgotten by what they are named: their address, host, id or DOI."""
    found = np.zeros(table.num_rows, bool)
    for name, test in known.tests.items():
        if name in table.column_names:
            values = table[name].to_pylist()
            found |= np.fromiter((value is not None and test(value) for value in values), bool, len(values))
    return found


def _with_ids(store: Store, manifest: Manifest, ids: pa.Array) -> Places:
    found = {}
    for shard in manifest.shards if len(ids) else ():
        mine = pc.is_in(_columns(store, shard, ["id"])["id"], ids).to_numpy()
        if mine.any():
            found[shard.path] = np.flatnonzero(mine).tolist()
    return found


def _texts(store: Store, manifest: Manifest, places: Places) -> list[Found]:
    """Return the documents at places, with passages of their texts."""
    total = sum(map(len, places.values()))
    most = max(1, min(PASSAGES, MOST_PASSAGES // max(total, 1)))
    found = []
    for shard in manifest.shards:
        if shard.path not in places:
            continue
        columns = ["id", "text", "locator", "identifiers"]
        table = _columns(store, shard, columns).take(places[shard.path])
        for row, one in zip(places[shard.path], table.to_pylist(), strict=True):
            dois = tuple(name[4:] for name in one["identifiers"] or () if name.startswith("doi:"))
            passages = tuple(passages_of(one["text"], most))
            found.append(Found(one["id"], shard.lang, shard.source, one["locator"], dois, shard.path, row, passages))
    return found


def _published(store: Store, manifest: Manifest, asked: list[Found]) -> list[Neighbour]:
    """Return the published documents whose texts are at least NEAR to one of those that were asked for."""
    if not asked or manifest.keys is None:
        return []
    mine = {one.id: one for one in asked[:COMPARED]}
    all_mine = pa.array([one.id for one in asked])
    tables = list(_keys(store, manifest))
    own = pa.concat_tables(table.filter(pc.is_in(table["id"], pa.array(list(mine)))) for table in tables)
    pairs: list[tuple[str, str]] = []
    sketches = _bytes(own["sketch"])
    for table in tables:
        others = table.filter(pc.invert(pc.is_in(table["id"], all_mine)))
        theirs, ids = _bytes(others["sketch"]), others["id"].to_pylist()
        for identity, sketch in zip(own["id"].to_pylist(), sketches, strict=True):
            alike = estimate(np.broadcast_to(sketch, theirs.shape), theirs) if len(theirs) else np.zeros(0)
            pairs += [(identity, ids[row]) for row in np.flatnonzero(alike >= NEAR - SLACK).tolist()]
    return list(_verified(store, manifest, mine, pairs))


def _keys(store: Store, manifest: Manifest) -> Iterator[pa.Table]:
    for file in manifest.keys.files if manifest.keys else ():
        with store.open_input(file.path) as handle:
            yield pq.read_table(handle, columns=["id", "sketch"], use_threads=False)


def _bytes(column: pa.ChunkedArray) -> U8:
    """Return a column of fixed binary values, (N, width)."""
    whole = column.combine_chunks()
    width = whole.type.byte_width
    data = np.frombuffer(whole.buffers()[1] or b"", np.uint8)[whole.offset * width :][: len(whole) * width]
    return data.reshape(-1, width)


def _verified(
    store: Store, manifest: Manifest, mine: dict[str, Found], pairs: list[tuple[str, str]]
) -> Iterator[Neighbour]:
    """Yield the neighbours whose texts are alike, the nearest first, each once."""
    if not pairs:
        return
    wanted = sorted({name for pair in pairs for name in pair})
    found = list(_of_ids(store, manifest, wanted))
    at = {one["id"]: place for place, one in enumerate(found)}
    texts = pa.array([one["text"] for one in found], pa.large_string())
    sets = pa.table({"place": np.arange(len(found)), "shingles": sets_of(plain_texts(texts))})
    one, other = (np.array([at[pair[side]] for pair in pairs], np.int64) for side in (0, 1))
    alike = jaccards(sets, sets, one, other)
    seen: set[str] = set()
    for place in np.argsort(-alike, kind="stable").tolist():
        here, there = pairs[place]
        if alike[place] >= NEAR and there not in seen:
            seen.add(there)
            locator = found[at[there]]["locator"]
            yield Neighbour(locator, there, mine[here].locator, "like it", round(float(alike[place]), 3))


def _holding(store: Store, manifest: Manifest, asked: list[Found]) -> Iterator[Neighbour]:
    """Yield the other documents that have at least NEAR of the passages of one of those that were asked for."""
    own, owners = {one.id for one in asked}, dict[bytes, list[int]]()
    for number, one in enumerate(asked):
        for passage in one.passages:
            owners.setdefault(passage.encode("utf-8", "surrogatepass"), []).append(number)
    needles = Needles([], [], [], [], (passage for one in asked for passage in one.passages))
    for shard in manifest.shards if asked else ():
        with store.open_input(shard.path) as handle:
            parquet = pq.ParquetFile(handle, page_checksum_verification=True)
            for batch in parquet.iter_batches(10_000, columns=["id", "locator", "text"], use_threads=False):
                hits = set(zip(*needles.rows(batch.column("text")), strict=True))
                shared = Counter((int(row), owner) for at, row in hits for owner in owners[needles.values[at]])
                best: dict[int, tuple[float, int]] = {}
                for (row, owner), times in shared.items():
                    best[row] = max(best.get(row, (0.0, 0)), (times / len(asked[owner].passages), -owner))
                for row, (share, owner) in sorted(best.items()):
                    identity = batch.column("id")[row].as_py()
                    if share >= NEAR and identity not in own:
                        locator = batch.column("locator")[row].as_py()
                        yield Neighbour(locator, identity, asked[-owner].locator, "holds it", round(share, 3))


def _of_ids(store: Store, manifest: Manifest, ids: list[str]) -> Iterator[dict[str, Any]]:
    for path, rows in _with_ids(store, manifest, pa.array(ids, pa.string())).items():
        shard = next(shard for shard in manifest.shards if shard.path == path)
        yield from _columns(store, shard, ["id", "locator", "text"]).take(rows).to_pylist()


def _removed(corpus: str, manifest: Manifest, asked: list[Found]) -> tuple[list[Neighbour], bool]:
    """Return the documents that the build removed in favour of those that were asked for, and whether these are all."""
    try:
        history = History(corpus)
        places = _places_of(history, {one.id: one.locator for one in asked})
        return [one for table in history.drops() for one in _dropped_for(history, table, places)], True
    except (CorpusError, FileNotFoundError):  # the passes of the build are gone
        return list(_of_clusters(Store(corpus), manifest, {one.locator for one in asked})), not asked


def _of_clusters(store: Store, manifest: Manifest, asked: set[str]) -> Iterator[Neighbour]:
    """Yield the documents that were removed from the clusters of those that were asked for, as far as named there."""
    if CLUSTERS not in {file.path for file in manifest.rejects}:
        return
    with store.open_input(CLUSTERS) as handle:
        rows = pq.read_table(handle, columns=["cluster", "fate", "jaccard", "locator"], use_threads=False).to_pylist()
    mine = {row["cluster"]: row["locator"] for row in rows if row["locator"] in asked}
    for row in rows:
        if row["cluster"] in mine and row["fate"] == "goes" and row["locator"] not in asked:
            yield Neighbour(row["locator"], "", mine[row["cluster"]], "removed", round(float(row["jaccard"] or 0), 3))


def _places_of(history: History, wanted: dict[str, str]) -> dict[int, str]:
    """Return the locators of documents by their places in ingest."""
    ids, found = pa.array(list(wanted), pa.string()), {}
    for unit, (_, keys) in enumerate(history.tables):
        if keys.rows and len(ids):
            column = history.read(keys, ["id"])["id"]
            for row in np.flatnonzero(pc.is_in(column, ids).to_numpy()).tolist():
                found[(unit << 32) + row] = wanted[column[row].as_py()]
    return found


def _dropped_for(history: History, drops: pa.Table, places: dict[int, str]) -> Iterator[Neighbour]:
    mine = drops.filter(pc.is_in(drops["survivor"], pa.array(list(places), drops.schema.field("survivor").type)))
    units = len(history.tables)
    for row in mine.to_pylist():
        unit, at = row["place"] >> 32, row["place"] & 0xFFFFFFFF
        if unit < units:
            locator = history.read(history.tables[unit][0], ["locator"])["locator"][at].as_py()
            identity = document_id(history.record.sources[unit], locator)
            yield Neighbour(locator, identity, places[row["survivor"]], "removed", round(float(row["jaccard"]), 3))
