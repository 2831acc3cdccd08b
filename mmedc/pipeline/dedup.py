"""Deduplication: from the keys of documents to the rows that are duplicates, by a shuffle into key ranges."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import count, pairwise
from typing import Protocol

from mmedc.corpus.keys import KnownKeys
from mmedc.dedup.exchange import Exchange, KeysOf, Match
from mmedc.dedup.groups import ROUNDS_BY_RANK, Decide, Drop, Release, Turn
from mmedc.dedup.records import RANGE_EDGES, RANGE_RECORDS, ranges_for
from mmedc.dedup.signature import bands_for
from mmedc.dedup.verify import Corpus, Published, Shingle, Texts, VerifyPairs
from mmedc.engine.run import Following
from mmedc.engine.unit import DataFile, Left, Pass, Spec, Unit, Work
from mmedc.policy import Policy

GROUP_ROWS = 100_000
"""Rows of keys that one task of the exchange holds: about 100 MB of records."""


class Run(Protocol):
    """Runs a pass to its end, and returns the results of its units, in their order."""

    def __call__(self, current: Pass[Spec, Left], following: Following | None = None) -> list[Left]:
        """Run the pass; units of `following` may be run meanwhile."""


@dataclass(frozen=True)
class Counts:
    """The counts of the passes over keys."""

    compared: int
    """The number of pairs compared by their sketches."""
    edges: int
    """The number of these pairs that are certainly alike."""
    doubts: int
    """The number of these pairs so near the threshold that their texts were compared."""
    verified: int
    alike: int
    """The number of the doubtful pairs whose texts are alike."""
    released: int
    """The number of rows that were compared again because the better row that they resemble was dropped."""

    def plus(self, other: "Counts", released: int) -> "Counts":
        """Return the sum of these counts and those of a further search over `released` rows."""
        sums = {field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)}
        return Counts(**{**sums, "released": self.released + released})


@dataclass(frozen=True)
class Search:
    """The settings of a search for pairs."""

    match: Match
    ranges: int
    texts: list[Texts]
    corpora: tuple[Corpus, ...]


@dataclass(frozen=True)
class FoundPairs:
    """The pairs that a search found; each file is divided by owner."""

    edges: tuple[DataFile, ...]
    watch: tuple[DataFile, ...]
    followers: tuple[DataFile, ...]
    """The rows that follow another row, for each key range."""
    counts: Counts


@dataclass(frozen=True)
class Duplicates:
    """The rows that are duplicates of others."""

    drops: tuple[DataFile, ...]
    """The dropped rows, divided by group of ingest units."""
    groups: tuple[int, ...]
    """The first ingest unit of each group, and the number of units at the end."""
    clusters: tuple[DataFile, ...]
    counts: Counts


@dataclass(frozen=True)
class Dedup:
    """The settings of deduplication."""

    policy: Policy
    sources: tuple[str, ...]
    """The sources in the order of their precedence."""
    jaccard: float
    minhash: bool
    retries: int
    kinds: tuple[str, ...] = ()
    """The kinds of documents that come before all others, in the order of their precedence."""
    group_rows: int = GROUP_ROWS
    range_records: int = RANGE_RECORDS
    range_edges: int = RANGE_EDGES

    def run(self, run: Run, keys: list[DataFile], documents: list[DataFile], known: Sequence[KnownKeys]) -> Duplicates:
        """Run the passes over the keys of all ingest units; `known` are the keys of published corpora."""
        groups = self.groups([file.rows for file in keys])
        parts = [KeysOf(number, file) for number, file in enumerate(keys)]
        chunks = [tuple(parts[low:high]) for low, high in pairwise(groups)]
        chunks += [(KeysOf(len(keys) + number, other.file, other.corpus),) for number, other in enumerate(known)]
        rows = sum(part.keys.rows for chunk in chunks for part in chunk)
        ranges = ranges_for(rows, bands_for(self.jaccard).count, self.range_records)
        owners = ranges_for(rows, 0, 2 * self.range_edges)

        exchange = Exchange(self.policy, self.sources, ranges, self.minhash, self.kinds)
        units = tuple(
            Unit.of(chunk, f"keys {number + 1} of {len(chunks)}", sum(part.keys.bytes for part in chunk))
            for number, chunk in enumerate(chunks)
        )
        records = tuple(left.records for left in run(Pass("exchange", exchange, units, self.retries)))
        corpora = {other.corpus: other.shards for other in known}
        search = Search(
            Match(
                self.jaccard, owners, (*groups, *range(len(keys) + 1, len(keys) + len(known) + 1)), len(keys), records
            ),
            ranges,
            self._texts(documents, groups, known),
            tuple(Corpus(url, shards) for url, shards in corpora.items()),
        )
        return self._search(run, search, groups)

    def _texts(self, documents: list[DataFile], groups: tuple[int, ...], known: Sequence[KnownKeys]) -> list[Texts]:
        """Return the groups of units whose texts are read together, those of published corpora last."""
        numbered, corpora = tuple(enumerate(documents)), list(dict.fromkeys(other.corpus for other in known))
        texts = [Texts(number, numbered[low:high]) for number, (low, high) in enumerate(pairwise(groups))]
        return texts + [
            Texts(
                len(texts) + number,
                published=Published(corpora.index(other.corpus), len(documents) + number, other.file),
            )
            for number, other in enumerate(known)
        ]

    def _search(self, run: Run, search: Search, groups: tuple[int, ...]) -> Duplicates:
        """Find pairs and decide which rows are dropped, until no two kept rows are alike.

        Rows that follow another row are not compared with each other. Those of them that are kept, because the row
        that they follow is dropped or not alike, are released, which means that they are compared again in their
        buckets.
        """
        owners = search.match.owners
        found = self._pairs(run, search, ())
        edges, watch, counts = found.edges, found.watch, found.counts
        turn = 0
        while True:
            drops = self.decide(run, edges, watch, owners, turn)
            release = Release(found.followers, drops)
            released = run(self._pass(_named("release", turn), release, owners, "rows", found.followers))
            rows = sum(left.rows for left in released)
            if not rows:
                break
            turn += 1
            again = self._pairs(run, search, tuple(left.places for left in released), turn)
            counts = counts.plus(again.counts, rows)
            if not again.counts.edges + again.counts.alike:
                break
            edges, watch = edges + again.edges, watch + again.watch
        dropped = run(self._pass("duplicates", Drop(groups, drops), owners, "rows", drops[0]))
        return Duplicates(
            tuple(left.drops for left in dropped), groups, tuple(left.clusters for left in dropped), counts
        )

    def _pairs(self, run: Run, search: Search, released: tuple[DataFile, ...], turn: int = 0) -> FoundPairs:
        """Return the pairs in all key ranges that are alike; pairs near the threshold are decided by their texts."""
        match = replace(search.match, released=released)
        matched = run(self._pass(_named("match", turn), match, search.ranges, "key range", released or match.files))
        edges, watch = tuple(left.edges for left in matched), tuple(left.watch for left in matched)
        verified = alike = 0
        if sum(left.doubtful for left in matched):
            doubts, asks = tuple(left.doubts for left in matched), tuple(left.asks for left in matched)
            shingles: tuple[DataFile, ...] = ()
            if any(file.rows for file in asks):
                shingle = Shingle(len(search.texts), asks, search.corpora)
                shingled = run(self._over_texts(_named("shingle", turn), shingle, search.texts, asks))
                shingles = tuple(left.shingles for left in shingled)
            verify = VerifyPairs(self.jaccard, match.owners, doubts, shingles)
            own = [part for part in search.texts if part.published is None]
            compared = run(self._over_texts(_named("verify-pairs", turn), verify, own, doubts))
            edges += tuple(left.edges for left in compared)
            watch += tuple(left.watch for left in compared)
            verified, alike = sum(left.verified for left in compared), sum(left.alike for left in compared)
        counts = Counts(
            compared=sum(left.compared for left in matched),
            edges=sum(left.alike for left in matched),
            doubts=sum(left.doubtful for left in matched),
            verified=verified,
            alike=alike,
            released=0,
        )
        return FoundPairs(edges, watch, tuple(left.followers for left in matched), counts)

    def decide(
        self, run: Run, edges: tuple[DataFile, ...], watch: tuple[DataFile, ...], owners: int, turn: int = 0
    ) -> tuple[tuple[DataFile, ...], ...]:
        """Run rounds over the pairs until it is decided for every row whether it is kept.

        `edges` and `watch` are divided by owner. Returns the files of dropped rows of each round, one per owner.
        """
        drops: list[tuple[DataFile, ...]] = []
        news: tuple[DataFile, ...] = ()
        first = True
        for number in count():
            quiet = number == ROUNDS_BY_RANK
            decide = Decide(owners, first, quiet, edges, watch, news)
            left = run(self._pass(f"{_named('decide', turn)}-{number:02d}", decide, owners, "rows", edges))
            drops.append(tuple(result.drops for result in left))
            if not sum(result.open for result in left):
                break
            edges, watch, news = (
                tuple(result.edges for result in left),
                tuple(result.watch for result in left),
                tuple(result.news for result in left),
            )
            first = quiet
            if quiet:
                turned = run(self._pass(_named("turn", turn), Turn(owners, edges, watch, news), owners, "rows", edges))
                edges, watch = tuple(result.edges for result in turned), tuple(result.watch for result in turned)
                news = ()
        return tuple(drops)

    def _pass(
        self, name: str, work: Work[int, Left], count: int, what: str, files: tuple[DataFile, ...]
    ) -> Pass[int, Left]:
        """Return a pass over `count` ranges; the sizes of its units assume that `files` are divided evenly."""
        size = sum(file.bytes for file in files) // max(count, 1)
        units = tuple(Unit.of(number, f"{what} {number + 1} of {count}", size) for number in range(count))
        return Pass(name, work, units, self.retries)

    def _over_texts(
        self, name: str, work: Work[Texts, Left], texts: list[Texts], files: tuple[DataFile, ...]
    ) -> Pass[Texts, Left]:
        """Return a pass over the texts of each group."""
        size = sum(file.bytes for file in files) // max(len(texts), 1)
        units = tuple(Unit.of(part, f"texts {part.number + 1} of {len(texts)}", size) for part in texts)
        return Pass(name, work, units, self.retries)

    def groups(self, rows: list[int]) -> tuple[int, ...]:
        """Return the first ingest unit of each group of about `group_rows` rows, and the number of units at the end."""
        firsts, held = [0], 0
        for number, size in enumerate(rows):
            if held and held + size > self.group_rows:
                firsts.append(number)
                held = 0
            held += size
        return (*firsts, max(len(rows), 1))


def _named(name: str, turn: int) -> str:
    """Return the name of a pass; passes after the first search for pairs are numbered."""
    return f"{name}-{turn}" if turn else name
