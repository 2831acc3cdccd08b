"""The plan of a build: what it would do and about how long that would take. Nothing is changed."""

from typing import Any

from mmedc.pipeline.build import Build
from mmedc.sources import format_of

NAMES = ("ingest", "exchange", "match", "duplicates", "select", "publish")
"""The passes that every build has; whether there are others depends on the data."""


def plan_rows(build: Build) -> list[dict[str, Any]]:
    """Return a row per pass: units, units done, bytes still to read, estimated seconds on one core.

    Values that depend on the results of a pass that has not run yet are None.
    """
    found = {current.name: (current, done) for current, done in build.done()}
    found.setdefault(build.ingest.name, (build.ingest, {}))  # while the passes before it are not done
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
