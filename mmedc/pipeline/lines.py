"""The passes that take repeated lines out of the texts that stay, and their account."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from mmedc.dedup.lines import COMMON, RANGE_BYTES, Chosen, Repeats, Sight, Trim, groups_of
from mmedc.engine.commit import read_table
from mmedc.engine.unit import Entry, Pass, Unit, digest_of
from mmedc.policy import Policy
from mmedc.recipe import Lines
from mmedc.storage import Store

VERSION = 1
"""Raised when the code of one of these passes changes what it leaves."""
COUNT = 200
NOTES = ("documents", "passages", "boilerplate", "characters")


def line_passes(
    key: str,
    policy: Policy,
    sources: tuple[str, ...],
    limits: Lines,
    chosen: list[Chosen],
    sizes: list[dict[str, list[int]]],
    done: dict[str, list[Entry]],
    retries: int,
    range_bytes: int = RANGE_BYTES,
) -> Iterator[Pass]:
    """Yield the passes `lines`, `repeats` and `trim`, each planned from the entries in `done` of those before it.

    `sizes` are {lang: [rows, text bytes]} of each gather unit.
    """
    plain = [sum(size for _, size in by_lang.values()) for by_lang in sizes]
    ranges = max(1, -(-sum(plain) // range_bytes))
    groups = groups_of(chosen, plain)
    key = digest_of(key, [one.keep.sha256 for one in chosen], sources, limits.words, ranges, len(groups), VERSION)
    units = tuple(
        Unit(f"{group.number:06d}", f"texts {group.number + 1} of {len(groups)}", group,
             sum(plain[one.number] for one in group.units))
        for group in groups
    )  # fmt: skip
    yield Pass("lines", key, Sight(sources, limits.words, ranges), units, retries)

    files = tuple(entry.outputs["sightings"] for entry in done["lines"])
    size = sum(file.bytes for file in files) // ranges
    key = digest_of(key, limits.model_dump())
    cuts = tuple(Unit(f"{n:06d}", f"line range {n + 1} of {ranges}", n, size) for n in range(ranges))
    yield Pass("repeats", key, Repeats(limits, files), cuts, retries)

    lines = tuple(entry.outputs["lines"] for entry in done["lines"])
    repeats = tuple(entry.outputs["repeats"] for entry in done["repeats"])
    trim = Trim(policy, limits.passage, lines, repeats)
    yield Pass("trim", digest_of(key, policy.digest("decide")), trim, units, retries)


def trimmed(chosen: list[Chosen], entries: list[Entry]) -> tuple[list[Chosen], list[dict[str, list[int]]]]:
    """Return what `trim` left of each gather unit: its rows and edits, and their sizes by language."""
    outputs = {name: output for entry in entries for name, output in entry.outputs.items()}
    sizes: dict[str, Any] = {unit: by_lang for entry in entries for unit, by_lang in entry.notes["sizes"].items()}
    after = [
        replace(one, keep=outputs[f"keep-{one.number:06d}"], edits=outputs[f"edits-{one.number:06d}"]) for one in chosen
    ]
    return after, [sizes[str(one.number)] for one in chosen]


def commonest_lines(work: Store, entries: list[Entry]) -> pa.Table:
    """Return the COUNT lines that went from most documents, as COMMON rows without `at`, those of most first.

    Of a line that is among the commonest of only some groups of units, those groups' documents are counted.
    """
    whole: dict[int, dict[str, Any]] = {}
    for entry in entries:
        for row in read_table(work, entry.outputs["common"]).to_pylist():
            one = whole.setdefault(row["at"], row | {"documents": 0})
            one["documents"] += row["documents"]
    rows = sorted(whole.values(), key=lambda row: (-row["documents"], row["at"]))[:COUNT]
    return pa.Table.from_pylist(rows, COMMON).drop_columns(["at"])


def line_notes(entries: list[Entry]) -> dict[str, int]:
    """Return what `trim` counted: documents that changed or went, and what went from them."""
    return {name: sum(entry.notes[name] for entry in entries) for name in NOTES}
