"""What a build would do and about how long it would take; touches nothing."""

from typing import Any

from mmedc.pipeline.build import Build
from mmedc.sources import format_of

NAMES = ("ingest", "exchange", "match", "duplicates", "select", "publish")
"""The passes that every build has; others depend on what is found."""


def plan_rows(build: Build) -> list[dict[str, Any]]:
    """Return a row per pass: units, done, bytes still to do, estimated seconds on one core.

    A pass that depends on what is not there yet has None where nothing can be known.
    """
    found = {current.name: (current, done) for current, done in build.done()}
    rows: list[dict[str, Any]] = []
    for name in [*found, *(name for name in NAMES if name not in found)]:
        if name not in found:
            rows.append({"pass": name, "units": None, "done": 0, "bytes": None, "seconds": None})
            continue
        current, have = found[name]
        left = [unit for unit in current.units if unit.id not in have]
        seconds = None
        if current.name == build.ingest.name:
            measured = sum(commit.seconds for commit in have.values())
            done = sum(unit.bytes for unit in current.units if unit.id in have)
            seconds = 0.0
            for unit in left:
                speed = done / measured if measured and done else format_of(unit.spec.config).bytes_per_s
                seconds += unit.bytes / speed
        size = sum(unit.bytes for unit in left)
        rows.append({"pass": name, "units": len(current.units), "done": len(have), "bytes": size, "seconds": seconds})
    return rows
