"""The build of a recipe: it runs the passes up to the published corpus and skips committed units.

`Build.compose` is the complete order of passes. The result of a pass is a variable there, so a later pass can only
use a result that exists, and leaving out a pass is a type error.
"""

import contextlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pyarrow as pa

from mmedc.corpus.keys import KnownKeys, WriteKeys, counted, published_keys
from mmedc.corpus.layout import Placement
from mmedc.corpus.manifest import Manifest, read_manifest
from mmedc.corpus.passes import Candidates, Select, ShardPlan, WriteShard, WrittenShard
from mmedc.corpus.record import PassRecord, begin, end, keep
from mmedc.corpus.tokens import TokenCounter, token_counter
from mmedc.dedup.clean import Decontaminate, Decontaminated
from mmedc.dedup.groups import GroupOfUnits, SortDrops
from mmedc.dedup.lines import Trimmed
from mmedc.dedup.questions import Questions, find_questions
from mmedc.document import document_schema
from mmedc.engine.commit import commits
from mmedc.engine.identity import digest_of
from mmedc.engine.lock import Lock
from mmedc.engine.run import WORK, AnyPass, Expecting, Following, Runner, Watcher, run_pass
from mmedc.engine.selection import Selection
from mmedc.engine.unit import Accounted, Commit, DataFile, Left, Pass, Spec, Unit, files_of
from mmedc.errors import CorpusError
from mmedc.pipeline.classify import Classified, checkpoint_digest, classifying
from mmedc.pipeline.crawl import crawls_of, run_crawls, show_crawls, with_archives
from mmedc.pipeline.custom import measures_among, own_columns
from mmedc.pipeline.dedup import Counts, Dedup, Run
from mmedc.pipeline.folder import OWNER, check_out, claim, forget_rejected, remember
from mmedc.pipeline.forget import check_not_brought_back
from mmedc.pipeline.ingest import Ingested, forgotten_by, ingest_pass
from mmedc.pipeline.lines import trim_lines, trimmed
from mmedc.pipeline.nodes import guard
from mmedc.pipeline.pages import with_pages
from mmedc.pipeline.publish import (
    add_statistics,
    contamination_of,
    describe,
    keys_made_by,
    lay_out,
    merge_rejects,
    show_clusters,
    show_contamination,
    show_lines,
)
from mmedc.pipeline.shares import Shares, shares_of
from mmedc.policy import Policy
from mmedc.recipe import Recipe
from mmedc.settings import as_written
from mmedc.sources import InputSplit, list_units
from mmedc.storage import Store


@dataclass(frozen=True)
class Tables:
    """The documents of an ingest unit and their keys, with a transformer's scores where the recipe asks for them."""

    documents: DataFile
    keys: DataFile


@dataclass(frozen=True)
class Built:
    """The results of the passes of a build from which the corpus is laid out."""

    sources: tuple[str, ...]
    """The source of each unit of ingest."""
    accounts: tuple[Sequence[Accounted], ...]
    """The results of each pass that removes rows, in the order of the passes."""
    counts: Counts
    decontaminated: list[Decontaminated]
    """Empty where the recipe names no questions."""
    trimmed: list[Trimmed]
    """Empty where the recipe does not ask for it."""
    shards: list[tuple[ShardPlan, WrittenShard]]
    keys: list[Placement]
    rejects: list[Placement]
    crawled: list[Placement]
    """The WARC files of sources that are crawled, and tables about them."""
    shares: Shares
    statistics: list[Placement]

    @property
    def placements(self) -> list[Placement]:
        """All files of the corpus, and their places in it."""
        shards = [Placement(shard.file, plan.path) for plan, shard in self.shards]
        return [*shards, *self.rejects, *self.keys, *self.crawled, *self.statistics]


@dataclass
class Running:
    """Runs passes one after another, and digests what they left."""

    runner: Runner
    store: Store
    watcher: Watcher
    lock: Lock | None = None
    passes: list[PassRecord] = field(default_factory=list)
    _digests: list[str] = field(default_factory=list)

    def __call__(self, current: Pass[Spec, Left], following: Following | None = None) -> list[Left]:
        """Run a pass; see `mmedc.pipeline.dedup.Run`."""
        if self.lock:
            self.lock.check()
        done = run_pass(current, self.runner, self.store, self.watcher, following=following)
        left = [commit.left for commit in done]
        self._digests.append(digest_of(current.folder, list(files_of(tuple(left)))))
        self.passes.append(PassRecord.of(current))
        return left

    @property
    def digest(self) -> str:
        """Of all passes and the files that they left: two builds with equal digests made the same."""
        return digest_of(self._digests)


class _Unfinished(Exception):
    """A pass has units that are not committed."""


@dataclass
class _Looking:
    """Reads committed results instead of running passes, up to the first pass that is not finished."""

    store: Store
    passes: list[tuple[AnyPass, dict[str, Commit[Any]]]] = field(default_factory=list)

    def __call__(self, current: Pass[Spec, Left], following: Following | None = None) -> list[Left]:
        """Return what the units left. Raises: _Unfinished."""
        done = commits(self.store.below(WORK), current) if self.store.exists(OWNER) else {}
        self.passes.append((current, dict(done)))
        if any(unit.id not in done for unit in current.units):
            raise _Unfinished
        return [done[unit.id].left for unit in current.units]


@dataclass(frozen=True)
class Build:
    """A recipe that is ready to run: everything that it names has been found and checked."""

    recipe: Recipe
    policy: Policy
    store: Store
    ingest: Pass[InputSplit, Ingested]
    questions: Questions | None
    """The benchmark questions that must not be in the corpus."""
    checkpoint: str
    """Digest of the classifier's files; empty without one."""
    columns: tuple[pa.Field, ...]
    """Those that the recipe's own steps and measures add to the documents."""
    known: list[KnownKeys]
    """The keys of published corpora whose documents must not be published again."""
    count: TokenCounter
    """Counts the tokens of what is published."""

    @classmethod
    def prepare(cls, recipe: Recipe, out: str) -> "Build":
        """Check everything that can be checked before work begins.

        Raises: RequestError of some kind for what is wrong.
        """
        check_out(out)
        check_not_brought_back(out, forgotten_by(recipe))
        columns = own_columns(recipe)
        policy = recipe.read_policy(measures_among(columns))
        with recipe.at("publish", "tokenizer"):
            count = token_counter(recipe.publish.tokenizer)
        if out in recipe.dedup.against:
            raise CorpusError(
                f"{out}: the recipe's dedup.against names the folder that it builds; choose another --out"
            )
        known = published_keys(recipe.dedup.against, keys_made_by(recipe))
        clean = recipe.decontaminate
        with recipe.at("decontaminate", "questions"):
            questions = find_questions(clean.questions, clean.words, clean.characters) if clean.questions else None
        with recipe.at("classify", "checkpoint"):
            checkpoint = checkpoint_digest(recipe.classify.checkpoint) if recipe.classify else ""
        ingest = ingest_pass(recipe, policy, list_units(recipe, policy), columns)
        crawls_of(ingest, recipe, Store(out).below(WORK))  # for what is wrong with their lists
        return cls(recipe, policy, Store(out), ingest, questions, checkpoint, columns, known, count)

    def run(self, runner: Runner, watcher: Watcher, again: str = "") -> Manifest:
        """Build the corpus and return its manifest.

        `again` is a reason of rejects: the units that have such rejects are read once more.

        Raises: UnitsFailed when units could not be done; the same call resumes where it stopped. FolderBusy when
        another run is under way in the folder.
        """
        claim(self.store, self.recipe)
        with Lock(self.store) as lock:
            begin(self.store, self.recipe.name)
            remember(self.store, self.recipe)
            if again:
                self._forget(again)
            guard(runner, self.store, self.recipe, self.ingest)
            if isinstance(runner, Expecting):
                runner.expect(self.ingest)
            running = Running(runner, self.store, watcher, lock)
            built = self.compose(running)
            lock.check()
            self._publish(running, built)
            end(self.store)
            return read_manifest(self.store.url)

    def _forget(self, reason: str) -> None:
        """Have the units of ingest read again that rejected records for a reason, if it is known which units it has."""
        with contextlib.suppress(_Unfinished):
            work = self.store.below(WORK)
            crawls = run_crawls(_Looking(self.store), self.ingest, self.recipe, work)
            forget_rejected(self.store, with_archives(crawls, self.ingest, self.recipe, work), reason)

    def _publish(self, running: Running, built: Built) -> None:
        """Turn the folder into the corpus of what the passes left."""
        manifest = describe(
            self.recipe,
            self.policy.name,
            tuple(field.name for field in self.columns),
            running.digest,
            built.shards,
            built.accounts,
            built.shares,
            built.counts,
            built.rejects,
            built.keys,
            built.crawled,
            contamination_of(self.questions, built.decontaminated) if self.questions else None,
            built.trimmed,
            built.statistics,
        )
        written = self.recipe.model_dump(mode="json", exclude_unset=True)
        keep(self.store, running.digest, written, self.policy, built.sources, running.passes)
        lay_out(self.store, manifest, built.placements, running.runner, running.watcher)

    def done(self) -> list[tuple[AnyPass, dict[str, Commit[Any]]]]:
        """Return the passes whose units are known, with the commits of each; touches nothing."""
        looking = _Looking(self.store)
        with contextlib.suppress(_Unfinished):
            self.compose(looking)
        return looking.passes

    def compose(self, run: Run) -> Built:
        """Run the passes in their order, and return their results."""
        recipe, policy, retries = self.recipe, self.policy.for_limits(), self.recipe.limits.retries
        sources, schema = tuple(recipe.sources), document_schema(self.columns)
        work = self.store.below(WORK)
        crawls = run_crawls(run, self.ingest, recipe, work)
        ingest = with_pages(run, with_archives(crawls, self.ingest, recipe, work), recipe, work)
        following = classifying(recipe, policy, self.checkpoint, len(ingest.units), schema)
        ingested = run(ingest, following)
        tables = [Tables(left.documents, left.keys) for left in ingested]
        if following is not None:
            classified: list[Classified] = run(following.over(ingested))
            tables = [Tables(left.documents, left.keys) for left in classified]
        dedup = Dedup(policy, sources, recipe.dedup.jaccard, recipe.dedup.minhash, retries, recipe.dedup.prefer)
        duplicates = dedup.run(run, [left.keys for left in tables], [left.documents for left in tables], self.known)

        groups = [GroupOfUnits(number, *ends) for number, ends in enumerate(pairwise(duplicates.groups))]
        size = sum(file.bytes for file in duplicates.drops) // len(groups)
        sort = tuple(Unit.of(group, f"units {group.first}–{group.end - 1}", size) for group in groups)
        dropped = run(Pass("drops", SortDrops(duplicates.drops), sort, retries))
        candidates = tuple(_candidates(ingest.units, tables, duplicates.groups, [left.drops for left in dropped]))
        published = tuple(as_written(known.corpus) for known in self.known)
        select = Select(policy, len(tables), published)
        selected = run(Pass("select", select, candidates, retries))
        accounts: list[Sequence[Accounted]] = [ingested, selected]
        selections = [
            Selection(number, unit.spec.source, left.documents, selected[number].keep, selected[number].sizes)
            for number, (unit, left) in enumerate(zip(candidates, tables, strict=True))
        ]
        decontaminated: list[Decontaminated] = []
        if self.questions is not None:
            clean = Decontaminate(self.questions, recipe.decontaminate.hits)
            decontaminated = run(Pass("decontaminate", clean, _units(ingest.units, selections), retries))
            accounts.append(decontaminated)
            selections = [
                Selection(old.number, old.source, old.documents, new.keep, new.sizes, new.edits)
                for old, new in zip(selections, decontaminated, strict=True)
            ]
        trims: list[Trimmed] = []
        untrimmed = selections
        if recipe.dedup.lines is not None:
            trims = trim_lines(run, policy, sources, recipe.dedup.lines, selections, retries, recipe.dedup.prefer)
            selections = trimmed(selections, trims)

        kept = counted([left.keys for left in tables], selections)
        units = tuple(Unit.of(spec, unit.label, spec.keys.bytes) for unit, spec in zip(ingest.units, kept, strict=True))
        keys = run(Pass("keys", WriteKeys(), units, retries))
        plans = self._shards(ingested, selections)
        units_of_shards = tuple(Unit.of(plan, plan.path, int(plan.high - plan.low)) for plan in plans)
        written = run(Pass("publish", WriteShard(self.count, schema), units_of_shards, retries))
        shards = _without_empty(list(zip(plans, written, strict=True)))
        shares = shares_of(run, ingest.units, accounts, trims, untrimmed, selections, retries)
        accounts += [trims] if trims else []
        rejects = [
            *merge_rejects(run, accounts, retries),
            *show_clusters(run, [left.documents for left in tables], duplicates.clusters, retries),
            *(show_lines(run, trims, retries) if trims else ()),
            *(show_contamination(run, decontaminated, retries) if decontaminated else ()),
        ]
        return Built(
            sources=tuple(unit.spec.source for unit in ingest.units),
            accounts=tuple(accounts),
            counts=duplicates.counts,
            decontaminated=decontaminated,
            trimmed=trims,
            shards=shards,
            keys=[Placement(left.keys, f"keys/{number:06d}.parquet") for number, left in enumerate(keys)],
            rejects=rejects,
            crawled=show_crawls(run, crawls, retries),
            shares=shares,
            statistics=add_statistics(run, shards, retries),
        )

    def _shards(self, ingested: list[Ingested], selections: list[Selection]) -> list[ShardPlan]:
        """Return the files of the corpus: for each language and source as many as its bytes need, of even size."""
        stored = sum(left.documents.bytes for left in ingested)
        plain = sum(left.text_bytes for left in ingested)
        text_per_shard = self.recipe.publish.shard * (plain / stored if stored else 1.0)
        by_name: dict[tuple[str, str], list[tuple[Selection, int]]] = {}
        for selection in selections:
            for lang, size in selection.sizes.items():
                by_name.setdefault((lang, selection.source), []).append((selection, size.text_bytes))
        plans = []
        for (lang, source), parts in sorted(by_name.items(), key=lambda item: item[0]):
            total = sum(size for _, size in parts)
            count = max(1, -(-total // max(int(text_per_shard), 1)))
            plans += _cut(lang, source, parts, total, count)
        return plans


def _candidates(
    ingested: Sequence[Unit[InputSplit]], tables: list[Tables], groups: tuple[int, ...], drops: list[DataFile]
) -> list[Unit[Candidates]]:
    units = []
    for number, (unit, left) in enumerate(zip(ingested, tables, strict=True)):
        group = bisect_right(groups, number) - 1
        part = number - groups[group]
        spec = Candidates(number, unit.spec.source, left.documents, left.keys, drops[group], part)
        units.append(Unit.of(spec, unit.label, left.keys.bytes))
    return units


def _units(ingested: Sequence[Unit[InputSplit]], selections: list[Selection]) -> tuple[Unit[Selection], ...]:
    return tuple(
        Unit.of(selection, unit.label, selection.documents.bytes)
        for unit, selection in zip(ingested, selections, strict=True)
    )


def _without_empty(shards: list[tuple[ShardPlan, WrittenShard]]) -> list[tuple[ShardPlan, WrittenShard]]:
    """Return the shards that have documents, numbered anew: no document begins in a range inside a large one."""
    by_name: dict[tuple[str, str], list[tuple[ShardPlan, WrittenShard]]] = {}
    for plan, shard in shards:
        if shard.file.rows:
            by_name.setdefault((plan.lang, plan.source), []).append((plan, shard))
    return [
        (replace(plan, number=number, count=len(part)), shard)
        for part in by_name.values()
        for number, (plan, shard) in enumerate(part)
    ]


def _cut(lang: str, source: str, parts: list[tuple[Selection, int]], total: int, count: int) -> list[ShardPlan]:
    """Return `count` shards of a language and source; (selection, bytes) `parts` hold `total` bytes of text.

    One walk over the parts: a part belongs to every shard whose range of bytes it meets.
    """
    bounds = [(total * number / count, total * (number + 1) / count) for number in range(count)]
    members: list[list[tuple[Selection, int]]] = [[] for _ in bounds]
    number, before = 0, 0
    for selection, size in parts:
        while number < count and bounds[number][1] <= before:
            number += 1
        for at in range(number, count):
            if bounds[at][0] >= before + size:
                break
            members[at].append((selection, before))
        before += size
    return [ShardPlan(lang, source, at, count, tuple(members[at]), low, high) for at, (low, high) in enumerate(bounds)]
