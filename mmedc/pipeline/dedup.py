"""From the keys of documents to the rows that are duplicates: a shuffle by key range, then groups."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from mmedc.dedup.exchange import Exchange, KeysOf, Match
from mmedc.dedup.groups import LargeStar, Settle, Settled, SmallStar
from mmedc.dedup.records import RANGE_EDGES, RANGE_RECORDS, ranges_for
from mmedc.dedup.signature import bands_for
from mmedc.dedup.weigh import Shingle, Texts, Weigh
from mmedc.engine.unit import DataFile, Left, Pass, Spec, Unit, Work
from mmedc.policy import Policy

GROUP_ROWS = 100_000
"""Rows of keys that one task of the exchange holds: about 100 MB of records."""


class Run(Protocol):
    """Brings a pass to its end, and returns what its units left, in their order."""

    def __call__(self, current: Pass[Spec, Left]) -> list[Left]:
        """Run the pass."""


@dataclass(frozen=True)
class Counts:
    """What the passes over keys counted."""

    compared: int
    """Pairs compared by their sketches."""
    edges: int
    """Of these, pairs that are surely alike."""
    doubts: int
    """Of these, pairs so near the line that their texts were compared."""
    weighed: int
    alike: int
    """Of the doubtful pairs, those whose texts are alike."""
    unlike: int
    """Rows that stay because they are unlike the centre of their group."""


@dataclass(frozen=True)
class Duplicates:
    """The rows that are duplicates of others."""

    drops: tuple[DataFile, ...]
    """Cut by group of ingest units."""
    groups: tuple[int, ...]
    """The first ingest unit of each group, and the number of units at the end."""
    clusters: tuple[DataFile, ...]
    counts: Counts


@dataclass(frozen=True)
class Dedup:
    """The settings of deduplication."""

    policy: Policy
    sources: tuple[str, ...]
    """In the order of their precedence."""
    jaccard: float
    minhash: bool
    retries: int
    group_rows: int = GROUP_ROWS
    range_records: int = RANGE_RECORDS
    range_edges: int = RANGE_EDGES

    def run(
        self, run: Run, keys: list[DataFile], documents: list[DataFile], known: list[tuple[str, DataFile]]
    ) -> Duplicates:
        """Run the passes over the keys of all ingest units; `known` are (URL, file of keys) of published corpora."""
        groups = self.groups([file.rows for file in keys])
        parts = [KeysOf(number, file) for number, file in enumerate(keys)]
        chunks = [tuple(parts[low:high]) for low, high in pairwise(groups)]
        chunks += [(KeysOf(len(keys) + number, file, url),) for number, (url, file) in enumerate(known)]
        rows = sum(part.keys.rows for chunk in chunks for part in chunk)
        ranges = ranges_for(rows, bands_for(self.jaccard).count, self.range_records)
        owners = ranges_for(rows, 0, 2 * self.range_edges)

        exchange = Exchange(self.policy, self.sources, ranges, self.minhash)
        units = tuple(
            Unit.of(chunk, f"keys {number + 1} of {len(chunks)}", sum(part.keys.bytes for part in chunk))
            for number, chunk in enumerate(chunks)
        )
        records = tuple(left.records for left in run(Pass("exchange", exchange, units, self.retries)))

        match = Match(self.jaccard, owners, groups, records)
        matched = run(self._pass("match", match, ranges, "key range", records))
        edges = tuple(left.edges for left in matched)
        weighed = alike = 0
        if sum(left.doubtful for left in matched):
            doubts, asks = tuple(left.doubts for left in matched), tuple(left.asks for left in matched)
            numbered = tuple(enumerate(documents))
            texts = [Texts(number, numbered[low:high]) for number, (low, high) in enumerate(pairwise(groups))]
            shingles: tuple[DataFile, ...] = ()
            if any(file.rows for file in asks):
                shingled = run(self._over_texts("shingle", Shingle(len(texts), asks), texts, asks))
                shingles = tuple(left.shingles for left in shingled)
            weigh = Weigh(self.jaccard, owners, doubts, shingles)
            compared = run(self._over_texts("weigh", weigh, texts, doubts))
            edges += tuple(left.edges for left in compared)
            weighed, alike = sum(left.weighed for left in compared), sum(left.alike for left in compared)

        settled = self.settle(run, edges, owners, groups)
        counts = Counts(
            compared=sum(left.compared for left in matched),
            edges=sum(left.alike for left in matched),
            doubts=sum(left.doubtful for left in matched),
            weighed=weighed,
            alike=alike,
            unlike=sum(left.unlike for left in settled),
        )
        return Duplicates(
            tuple(left.drops for left in settled), groups, tuple(left.clusters for left in settled), counts
        )

    def settle(self, run: Run, edges: tuple[DataFile, ...], owners: int, groups: tuple[int, ...]) -> list[Settled]:
        """Run star passes over pairs until every group is a star, then the pass that says which rows are dropped.

        `edges` are cut by the owner of the row that would be dropped; `groups` are those of `Duplicates`.
        """
        first = run(self._pass("small-star-00", SmallStar(owners, edges, True), owners, "edges", edges))
        stars = tuple(left.edges for left in first)
        ties = tuple(left.ties for left in first if left.ties)
        turn = 0
        while owners > 1:
            turn += 1
            large = run(self._pass(f"large-star-{turn:02d}", LargeStar(owners, stars), owners, "edges", stars))
            if not sum(left.changed for left in large):
                break
            links = tuple(file for left in large for file in left.edges)
            small = run(self._pass(f"small-star-{turn:02d}", SmallStar(owners, links, False), owners, "edges", links))
            stars = tuple(left.edges for left in small)
        settle = Settle(self.jaccard, owners, groups, stars, ties)
        return run(self._pass("settle", settle, owners, "edges", stars))

    def _pass(
        self, name: str, work: Work[int, Left], count: int, what: str, files: tuple[DataFile, ...]
    ) -> Pass[int, Left]:
        """Return a pass over `count` ranges, which share `files` evenly."""
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
        for number, count in enumerate(rows):
            if held and held + count > self.group_rows:
                firsts.append(number)
                held = 0
            held += count
        return (*firsts, max(len(rows), 1))
