"""The passes between gather and select: from keys to the rows that go."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from mmedc.dedup.exchange import Exchange, KeysOf, Match
from mmedc.dedup.groups import LargeStar, Settle, SmallStar
from mmedc.dedup.records import RANGE_EDGES, RANGE_RECORDS, ranges_for
from mmedc.dedup.signature import bands_for
from mmedc.dedup.weigh import Shingle, Texts, Weigh
from mmedc.engine.unit import Entry, Output, Pass, Unit, digest_of
from mmedc.policy import Policy

GROUP_ROWS = 100_000
"""Rows of keys that one task of exchange holds: about 100 MB of records."""
VERSION = 2
"""Raised when the code of one of these passes changes what it leaves."""


@dataclass(frozen=True)
class Dedup:
    """What the passes over keys depend on."""

    policy: Policy
    sources: tuple[str, ...]
    jaccard: float
    minhash: bool
    retries: int
    group_rows: int = GROUP_ROWS
    range_records: int = RANGE_RECORDS
    range_edges: int = RANGE_EDGES

    def passes(
        self,
        keys: list[Output],
        documents: list[Output],
        known: list[tuple[str, Output]],
        done: dict[str, list[Entry]],
    ) -> Iterator[Pass]:
        """Yield the passes in their order, each planned from the entries in `done` of those before it.

        `keys` and `documents` are those of the gather units, `known` (URL, file of keys) of published corpora.
        The last pass, `settle`, leaves `drops`, cut by the groups that `groups` returns.
        """
        groups = self.groups([output.rows for output in keys])
        parts = [KeysOf(number, output) for number, output in enumerate(keys)]
        chunks = [tuple(parts[low:high]) for low, high in pairwise(groups)]
        chunks += [(KeysOf(len(keys) + number, output, url),) for number, (url, output) in enumerate(known)]
        rows = sum(part.keys.rows for chunk in chunks for part in chunk)
        ranges = ranges_for(rows, bands_for(self.jaccard).count, self.range_records)
        key = digest_of(
            [part.keys.sha256 for chunk in chunks for part in chunk], groups, self.policy.digest("decide"),
            self.sources, ranges, self.minhash, VERSION,
        )  # fmt: skip
        exchange = Exchange(self.policy, self.sources, ranges, self.minhash)
        units = [
            Unit(f"{number:06d}", f"keys {number + 1} of {len(chunks)}", chunk, sum(one.keys.bytes for one in chunk))
            for number, chunk in enumerate(chunks)
        ]
        yield Pass("exchange", key, exchange, tuple(units), self.retries)

        files = _outputs(done["exchange"], "records")
        units = [_unit(number, ranges, "key range", number, files) for number in range(ranges)]
        owners = ranges_for(rows, 0, 2 * self.range_edges)
        key = digest_of(key, self.jaccard, owners)
        yield Pass("match", key, Match(self.jaccard, owners, groups, files), tuple(units), self.retries)

        edges = _outputs(done["match"], "edges")
        if sum(entry.notes["doubts"] for entry in done["match"]):
            count = len(groups) - 1
            doubts, asks = (_outputs(done["match"], role) for role in ("doubts", "asks"))
            texts = [tuple(enumerate(documents))[low:high] for low, high in pairwise(groups)]
            sets: tuple[Output, ...] = ()
            if any(file.rows for file in asks):
                units = [_unit(n, count, "texts", Texts(n, texts[n]), asks) for n in range(count)]
                yield Pass("shingle", key, Shingle(count, asks), tuple(units), self.retries)
                sets = _outputs(done["shingle"], "shingles")
            units = [_unit(n, count, "texts", Texts(n, texts[n]), doubts) for n in range(count)]
            yield Pass("weigh", key, Weigh(self.jaccard, owners, doubts, sets), tuple(units), self.retries)
            edges += _outputs(done["weigh"], "edges")
        yield from self._groups(key, edges, owners, groups, done)

    def _groups(
        self, key: str, edges: tuple[Output, ...], owners: int, groups: tuple[int, ...], done: dict[str, list[Entry]]
    ) -> Iterator[Pass]:
        """Yield star passes until every group is a star, then the pass that says who goes."""

        def over(name: str, work: SmallStar | LargeStar | Settle) -> Pass:
            units = [_unit(number, owners, "edges", number, work.files) for number in range(owners)]
            return Pass(name, key, work, tuple(units), self.retries)

        yield over("small-star-00", SmallStar(owners, edges, True))
        ties = _outputs(done["small-star-00"], "ties")
        stars = _outputs(done["small-star-00"], "edges")
        turn = 0
        while owners > 1:
            turn += 1
            yield over(f"large-star-{turn:02d}", LargeStar(owners, stars))
            large = done[f"large-star-{turn:02d}"]
            if not sum(entry.notes["changed"] for entry in large):
                break
            yield over(f"small-star-{turn:02d}", SmallStar(owners, _outputs(large, "edges-"), False))
            stars = _outputs(done[f"small-star-{turn:02d}"], "edges")
        yield over("settle", Settle(self.jaccard, owners, groups, stars, ties))

    def groups(self, rows: list[int]) -> tuple[int, ...]:
        """Return the first gather unit of each group of about `group_rows` rows, and the number of units at the end."""
        firsts, held = [0], 0
        for number, count in enumerate(rows):
            if held and held + count > self.group_rows:
                firsts.append(number)
                held = 0
            held += count
        return (*firsts, max(len(rows), 1))


def _outputs(entries: list[Entry], role: str) -> tuple[Output, ...]:
    """Return the outputs whose role is, or begins with, `role`."""
    return tuple(output for entry in entries for name, output in sorted(entry.outputs.items()) if name.startswith(role))


def _unit(number: int, count: int, what: str, spec: object, files: tuple[Output, ...]) -> Unit:
    """Return unit `number` of `count` that shares `files` evenly."""
    size = sum(file.bytes for file in files) // max(count, 1)
    return Unit(f"{number:06d}", f"{what} {number + 1} of {count}", spec, size)
