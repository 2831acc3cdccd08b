"""The plan of a build: what it would do and about how long that would take. Nothing is changed."""

import re
from typing import Any

from mmedc.engine.run import AnyPass
from mmedc.engine.unit import Commit
from mmedc.pipeline import crawl
from mmedc.pipeline.build import Build
from mmedc.pipeline.pages import units_of_books
from mmedc.policy import Policy
from mmedc.sources import format_of

START_S = 2.0
"""Seconds until the parser process of a core has loaded its models."""
UNIT_S = 0.05
"""Seconds that a unit costs however small it is: its files and its commit."""


def passes_of(build: Build) -> list[str]:
    """Return the names of the passes that a build always has, in their order; others depend on the data.

    `pages` runs only if the files of the sources of books include PDF.
    """
    recipe = build.recipe
    return [
        *([crawl.NAME] if crawled(build) else []),
        *(["covers", "pages"] if units_of_books(build.ingest) else []),
        "ingest",
        *(["classify"] if recipe.classify else []),
        *("exchange", "match", "decide", "release", "duplicates", "drops", "select"),
        *(["decontaminate"] if build.questions else []),
        *(["lines", "repeats", "trim"] if recipe.dedup.lines else []),
        *("keys", "publish", "tally", "rejects", "clusters"),
        *(["commonest"] if recipe.dedup.lines else []),
        *(["contamination"] if build.questions else []),
        *("statistics", "place"),
    ]


def plan_rows(build: Build) -> list[dict[str, Any]]:
    """Return a row per pass: units, units done, bytes still to read, estimated seconds on one core.

    The rounds of a repeated pass are one row. Values that depend on the results of a pass that has not run yet are
    None.
    """
    found: dict[str, list[tuple[AnyPass, dict[str, Commit[Any]]]]] = {}
    for current, done in build.done():
        found.setdefault(re.sub(r"-\d+$", "", current.name), []).append((current, done))
    rows: list[dict[str, Any]] = []
    for name, rounds in found.items():
        units = [(unit, unit.id in done) for current, done in rounds for unit in current.units]
        rows.append(
            {
                "pass": name,
                "units": len(units),
                "done": sum(done for _, done in units),
                "bytes": None if name == crawl.NAME else sum(unit.bytes for unit, done in units if not done),
                "seconds": _expected(name, rounds, build),
            }
        )
    if any(row["done"] < row["units"] for row in rows):
        ingest = build.ingest
        for name in passes_of(build):
            if name == ingest.name and name not in found and not crawled(build):
                size = sum(unit.bytes for unit in ingest.units)
                todo = {"units": len(ingest.units), "done": 0, "bytes": size, "seconds": _seconds(ingest, {})}
                rows.append({"pass": name, **todo})
            elif name not in found and not (name == "pages" and ingest.name in found):
                rows.append({"pass": name, "units": None, "done": 0, "bytes": None, "seconds": None})
    return rows


def crawled(build: Build) -> bool:
    """Return whether a source is crawled, so that the units of ingest are known only after that."""
    return any(unit.spec.config.format == crawl.NAME for unit in build.ingest.units)


def _expected(name: str, rounds: list[tuple[AnyPass, dict[str, Commit[Any]]]], build: Build) -> float | None:
    if name == crawl.NAME:
        current, done = rounds[-1]
        return crawl.seconds_of(unit for unit in current.units if unit.id not in done)
    return _seconds(*rounds[0]) if name == build.ingest.name else None


def notes_of(build: Build) -> list[str]:
    """Return what is to be said about the choice of what is read and published, such as the captures of an archive."""
    rule = build.policy.licences
    own = [_policy_said(name, policy) for name, policy in build.policy.of_sources.items()]
    return [*([rule.said] if rule else []), *own, *_notes_of_units(build)]


def _policy_said(source: str, policy: Policy) -> str:
    why = "; no limit on how medical a text is drops any of it" if policy.keeps else ""
    return f"source {source}: policy {policy.name}{why}"


def _notes_of_units(build: Build) -> list[str]:
    return [unit.spec.note for unit in build.ingest.units if unit.spec.note]


def _seconds(ingest: AnyPass, done: dict[str, Commit[Any]]) -> float:
    """Return about how long ingest still takes on one core: what is done says how fast, or else the format does."""
    left = [unit for unit in ingest.units if unit.id not in done]
    measured = sum(commit.seconds for commit in done.values())
    read = sum(unit.bytes for unit in ingest.units if unit.id in done)
    seconds = START_S if left else 0.0
    for unit in left:
        speed = read / measured if measured and read else format_of(unit.spec.config).bytes_per_s
        seconds += UNIT_S + unit.bytes / speed
    return seconds
