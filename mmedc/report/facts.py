"""What a report says of a corpus, or of a build that has not published yet: read once, in columns, from its files."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmedc.corpus.history import History
from mmedc.corpus.manifest import NAME, FunnelRow, Manifest, Stats, funnel_rows, read_manifest, read_reject, stats
from mmedc.corpus.outcome import Problem, problems_of
from mmedc.corpus.record import read_begun
from mmedc.corpus.summed import read_statistics
from mmedc.engine.chain import Count, Funnel, add_funnel
from mmedc.engine.journal import RunState, runs_in
from mmedc.engine.run import WORK
from mmedc.engine.unit import DataFile
from mmedc.errors import CorpusError
from mmedc.report.crawled import read_crawled, read_optouts
from mmedc.report.runs import standing
from mmedc.storage import Store, read_each

SAMPLES = 2
"""The number of documents of a language, and of a step and reason, that are shown."""
HEAD_CHARS = 420
HOSTS = 15
LEDGERS = 50
"""The number of units of an unfinished build whose ledgers are looked into for samples."""
SIZES = (2, 3, 4, 5, 10, 100, 1_000, 10_000)
"""The least sizes of the ranges by which clusters are counted."""
Bins = dict[tuple[float, float], int]


@dataclass(frozen=True)
class Sample:
    """The beginning of a document that was kept, or removed for a reason."""

    step: str
    reason: str
    lang: str
    locator: str
    text: str


@dataclass(frozen=True)
class Cluster:
    """A cluster of duplicates: its number of documents, the least similarity, and the document that stays."""

    documents: int
    similarity: float | None
    stays: str


@dataclass
class Facts:
    """What a report says; what is not known is empty."""

    corpus: str
    name: str
    manifest: Manifest | None = None
    totals: Stats | None = None
    run: RunState | None = None
    """The last run in the folder, if it has not ended, or has ended without publishing."""
    standing: str = ""
    funnel: tuple[FunnelRow, ...] = ()
    units: tuple[int, int] = (0, 0)
    """Of an unfinished build: the units of ingest that are committed, and all of them."""
    scored: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Likewise: the documents that ingest left, by language and source."""
    problems: list[Problem] = field(default_factory=list)
    histograms: pa.Table | None = None
    extremes: pa.Table | None = None
    hosts: list[dict[str, Any]] = field(default_factory=list)
    all_hosts: int = 0
    cluster_sizes: list[tuple[str, int, int]] = field(default_factory=list)
    """Of all clusters: a range of sizes, the clusters of such a size, and the documents that were removed from them.
    Empty where what the passes left is gone."""
    clusters: list[Cluster] = field(default_factory=list)
    contaminated: list[dict[str, Any]] = field(default_factory=list)
    """By benchmark: the hits, and the questions and documents that have one."""
    optouts: list[dict[str, Any]] = field(default_factory=list)
    kept: list[Sample] = field(default_factory=list)
    removed: list[Sample] = field(default_factory=list)

    def bins(self, measure: str, lang: str | None = None) -> Bins:
        """Return the documents in each bin of a measure that has any, of a language or of all."""
        if self.histograms is None:
            return {}
        chosen = (pc.field("measure") == measure) & pc.field("low").is_valid()
        if lang is not None:
            chosen &= pc.field("lang") == lang
        found: Bins = {}
        for row in self.histograms.filter(chosen).to_pylist():
            key = row["low"], row["high"]
            found[key] = found.get(key, 0) + row["documents"]
        return dict(sorted(found.items()))


def facts_of(corpus: str) -> Facts:
    """Return what is known of a corpus, and of a build of it that is under way.

    Memory: the statistics, and the columns of some documents. Raises: CorpusError where nothing has begun.
    """
    store = Store(corpus)
    runs = runs_in(store)
    begun = read_begun(store)
    run = runs[-1] if runs and (begun or not store.exists(NAME)) else None
    if not store.exists(NAME):
        if run is None:
            read_manifest(corpus)  # says what is missing
            raise CorpusError(f"{corpus}: no build has begun here")
        return _unfinished(corpus, store, run)
    manifest = read_manifest(corpus)
    found = Facts(corpus, manifest.name, manifest, stats(manifest), run, standing(run) if run else "", manifest.funnel)
    found.problems = problems_of(manifest)
    with contextlib.suppress(CorpusError):  # of an older version
        found.histograms = read_statistics(corpus, manifest, "histograms")
        found.extremes = read_statistics(corpus, manifest, "extremes")
        found.hosts, found.all_hosts = _hosts(read_statistics(corpus, manifest, "hosts"))
    with contextlib.suppress(CorpusError, FileNotFoundError):
        found.cluster_sizes = _cluster_sizes(History(corpus))
    with contextlib.suppress(CorpusError):
        found.clusters = _clusters(read_reject(corpus, "clusters", ""))
    with contextlib.suppress(CorpusError):
        found.contaminated = _contaminated(read_reject(corpus, "contamination", ""))
    if read_crawled(corpus, manifest):
        found.optouts = read_optouts(corpus, manifest)
    found.kept = list(_kept(store, manifest))
    with contextlib.suppress(CorpusError):
        found.removed = _chosen(read_reject(corpus, "samples", ""))
    return found


def _unfinished(corpus: str, store: Store, run: RunState) -> Facts:
    """Return what the committed units of an unfinished build say."""
    found = Facts(corpus, run.name, run=run, standing=standing(run))
    ingest = next((each for each in run.passes if each.name == "ingest"), None)
    if ingest is None or not ingest.folder:
        return found
    work, funnel = store.below(WORK), Funnel()
    ledgers: list[str] = []
    names = sorted(name for name in work.names(f"{ingest.folder}/units") if name.endswith(".json"))
    for data in read_each(work.get, names):
        left = json.loads(data)["left"]
        add_funnel(funnel, {step: Count(**count) for step, count in left["funnel"].items()})
        if left["keys"]["rows"]:
            with work.open_input(left["keys"]["path"]) as handle:
                keys = pq.read_table(handle, columns=["lang", "source"], use_threads=False)
            for row in keys.group_by(["lang", "source"], use_threads=False).aggregate([([], "count_all")]).to_pylist():
                found.scored[row["lang"], row["source"]] += row["count_all"]
        if left["removed"]["rows"] and len(ledgers) < LEDGERS:
            ledgers.append(left["removed"]["path"])
    found.funnel, found.units = funnel_rows(funnel), (len(names), max(ingest.units, len(names)))
    columns = ["step", "reason", "fate", "lang", "locator", "text"]
    rows: list[dict[str, Any]] = []
    for path in ledgers:
        with work.open_input(path) as handle:
            table = pq.read_table(handle, columns=columns, filters=[("sample", "==", True), ("fate", "==", "dropped")])
        rows += table.to_pylist()
    found.removed = _chosen(rows)
    return found


def _hosts(table: pa.Table) -> tuple[list[dict[str, Any]], int]:
    """Return the hosts with most documents in all languages, and how many hosts there are."""
    named = table.filter(pc.field("host").is_valid())
    total = named.group_by("host", use_threads=False).aggregate([("documents", "sum"), ("tokens", "sum")])
    best = total.sort_by([("documents_sum", "descending"), ("host", "ascending")]).slice(0, HOSTS)
    rows = [(row["host"], row["documents_sum"], row["tokens_sum"]) for row in best.to_pylist()]
    return [dict(zip(("host", "documents", "tokens"), row, strict=True)) for row in rows], total.num_rows


def _clusters(rows: list[dict[str, Any]]) -> list[Cluster]:
    found: dict[int, Cluster] = {}
    for row in rows:
        known = found.get(row["cluster"], Cluster(row["documents"], None, ""))
        alike = [value for value in (known.similarity, row["jaccard"]) if value is not None]
        stays = known.stays if row["fate"] == "goes" else row["locator"]
        found[row["cluster"]] = Cluster(row["documents"], min(alike) if alike else None, stays)
    return sorted(found.values(), key=lambda cluster: -cluster.documents)


def _cluster_sizes(history: History) -> list[tuple[str, int, int]]:
    """Return how many clusters have how many documents. Memory: 8 bytes for each document that was removed."""
    files = [DataFile(**left["drops"]) for left in history.left("drops")]
    parts = [history.read(file, ["survivor"])["survivor"].to_numpy() for file in files if file.rows]
    _, removed = np.unique(np.concatenate([np.zeros(0, np.int64), *parts]), return_counts=True)
    found = []
    for low, high in pairwise((*SIZES, 1 << 62)):
        mine = removed[(removed + 1 >= low) & (removed + 1 < high)]
        name = f"{low:,}" if high == low + 1 else f"{low:,} or more" if high == 1 << 62 else f"{low:,} to {high - 1:,}"
        found.append((name, len(mine), int(mine.sum())))
    return [each for each in found if each[1]]


def _contaminated(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    hits = Counter(row["benchmark"] for row in rows)
    return [
        {
            "benchmark": name,
            "hits": count,
            "questions": len({row["question"] for row in rows if row["benchmark"] == name}),
            "documents": len({row["id"] for row in rows if row["benchmark"] == name}),
        }
        for name, count in hits.most_common()
    ]


def _kept(store: Store, manifest: Manifest) -> Iterator[Sample]:
    """Yield the first documents of the smallest shard of each language."""
    for lang in sorted({shard.lang for shard in manifest.shards}):
        shard = min((each for each in manifest.shards if each.lang == lang), key=lambda each: (each.bytes, each.path))
        with store.open_input(shard.path) as handle:
            batches = pq.ParquetFile(handle).iter_batches(SAMPLES, columns=["locator", "text"], use_threads=False)
            batch = next(batches, None)
        for row in batch.to_pylist() if batch is not None else ():
            yield Sample("", "", lang, row["locator"], row["text"][:HEAD_CHARS])


def _chosen(rows: Sequence[dict[str, Any]]) -> list[Sample]:
    """Return the first samples of each step and reason, those with a text before others."""
    found: dict[tuple[str, str], list[Sample]] = {}
    for row in sorted(rows, key=lambda row: not row["text"]):
        mine = found.setdefault((row["step"], row["reason"]), [])
        if len(mine) < SAMPLES:
            text = (row["text"] or "")[:HEAD_CHARS]
            mine.append(Sample(row["step"], row["reason"], row["lang"] or "", row["locator"], text))
    return [sample for samples in found.values() for sample in samples]


def quantile(bins: Bins, share: float) -> float | None:
    """Return about the value below which a share of the documents lies, from the bins; None without any."""
    total, below = sum(bins.values()), 0
    for (low, high), count in bins.items():
        if count and below + count >= share * total:
            return low + (high - low) * (share * total - below) / count
        below += count
    return None


def by_kind(manifest: Manifest) -> dict[str, dict[str, int]]:
    """Return the tokens by language and kind."""
    found: dict[str, dict[str, int]] = {}
    for shard in manifest.shards:
        mine = found.setdefault(shard.lang, {})
        for kind, tokens in _kinds(shard):
            mine[kind] = mine.get(kind, 0) + tokens
    return {lang: dict(sorted(mine.items())) for lang, mine in sorted(found.items())}


def _kinds(shard: Any) -> Iterable[tuple[str, int]]:
    return [(kind, part.tokens) for kind, part in shard.kinds.items()] or [(shard.kind, shard.tokens)]
