"""The passes that remove repeated lines from the kept texts, and their counts."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace
from typing import Any, ClassVar

import pyarrow as pa

from mmedc.corpus.layout import Table
from mmedc.dedup.lines import COMMON, RANGE_BYTES, Repeats, Sight, Trim, TrimCounts, Trimmed, groups_of
from mmedc.engine.commit import read_table
from mmedc.engine.selection import Selection
from mmedc.engine.unit import DataFile, Pass, Unit, UnitFiles
from mmedc.pipeline.dedup import Run
from mmedc.policy import Policy
from mmedc.recipe_parts import Lines

COUNT = 200
HELD = 10_000


def trim_lines(
    run: Run,
    policy: Policy,
    sources: tuple[str, ...],
    limits: Lines,
    selections: list[Selection],
    retries: int,
    kinds: tuple[str, ...] = (),
    range_bytes: int = RANGE_BYTES,
) -> list[Trimmed]:
    """Run the passes `lines`, `repeats` and `trim` over the selections; return the result of `trim` for each group."""
    text_bytes = [sum(size.text_bytes for size in selection.sizes.values()) for selection in selections]
    ranges = max(1, -(-sum(text_bytes) // range_bytes))
    groups = groups_of(selections)
    units = tuple(
        Unit.of(
            group,
            f"texts {group.number + 1} of {len(groups)}",
            sum(text_bytes[selection.number] for selection in group.units),
        )
        for group in groups
    )
    sighted = run(Pass("lines", Sight(sources, limits.words, ranges, kinds), units, retries))

    sightings = tuple(left.sightings for left in sighted)
    size = sum(file.bytes for file in sightings) // ranges
    cuts = tuple(Unit.of(number, f"line range {number + 1} of {ranges}", size) for number in range(ranges))
    repeated = run(Pass("repeats", Repeats(limits, sightings), cuts, retries))

    lines, repeats = tuple(left.lines for left in sighted), tuple(left.repeats for left in repeated)
    return run(Pass("trim", Trim(policy, limits.passage, lines, repeats), units, retries))


def trimmed(selections: list[Selection], groups: list[Trimmed]) -> list[Selection]:
    """Return the selections with the results of `trim`."""
    parts = {part.number: part for group in groups for part in group.units}
    return [
        replace(selection, keep=part.keep, edits=part.edits, sizes=part.sizes)
        for selection in selections
        for part in (parts[selection.number],)
    ]


@dataclass(frozen=True)
class ShowLines:
    """Writes the COUNT lines that were removed from the most documents, in that order, as COMMON rows without `at`.

    For a line that is among the most common lines of only some groups of units, only the documents of these groups
    are counted. Unit spec: the files of common lines of all groups.
    """

    version: ClassVar[int] = 1

    def run(self, unit: Unit[tuple[DataFile, ...]], out: UnitFiles) -> Table:
        """Compute the unit; see `mmedc.engine.unit.Work`."""
        rows = commonest(read_table(out.store, file) for file in unit.spec)
        return Table(out.write("lines", pa.Table.from_pylist(rows, COMMON).drop_columns(["at"])))


def commonest(tables: Iterable[pa.Table]) -> list[dict[str, Any]]:
    """Return the COUNT lines of the most documents in COMMON tables; at most twice HELD lines are in memory."""
    held: dict[int, dict[str, Any]] = {}
    for table in tables:
        for row in table.to_pylist():
            line = held.setdefault(row["at"], row | {"documents": 0})
            line["documents"] += row["documents"]
        if len(held) > 2 * HELD:
            held = {row["at"]: row for row in _most(held, HELD)}
    return _most(held, COUNT)


def _most(lines: dict[int, dict[str, Any]], count: int) -> list[dict[str, Any]]:
    return sorted(lines.values(), key=lambda row: (-row["documents"], row["at"]))[:count]


def total(groups: list[Trimmed]) -> TrimCounts:
    """Return the counts of `trim` over all groups."""
    return TrimCounts(*map(sum, zip(*(astuple(group.counts) for group in groups), strict=True)))
