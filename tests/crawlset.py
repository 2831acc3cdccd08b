"""Crawls a set of hosts of the test web in a process that ends itself, as a kill would, at a point that is named.

    python -m tests.crawlset FOLDER ABOUT POINT COUNT

`ABOUT` is the file with what the server printed; the process ends the COUNTth time that it reaches POINT.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmedc.crawl import archive, frontier
from mmedc.crawl.plan import Plan
from mmedc.engine.run import run_unit
from mmedc.engine.unit import Commit, Unit
from mmedc.pipeline import hostset
from mmedc.pipeline.hostset import Crawled, CrawlHosts, HostSet
from mmedc.storage import Store

POINTS: dict[str, tuple[Any, str, bool]] = {
    "before the WARC is written": (archive.Segment, "flush", False),
    "before the frontier is written": (frontier.Frontier, "save", False),
    "inside the transaction": (frontier.Frontier, "_tell", True),
    "after the transaction": (frontier.Frontier, "save", True),
    "after a WARC file is closed": (archive.Segment, "close", True),
    "before the frontier is copied": (hostset._Keeper, "snapshot", False),
    "before the round is recorded": (frontier.Frontier, "end", False),
    "after the round is recorded": (frontier.Frontier, "end", True),
    "after the unit is committed": (Store, "put_new", True),
}
"""Point → what reaches it, and whether the process ends before or after that."""


def plan_of(about: dict[str, Any], **given: Any) -> Plan:
    names = tuple((host, address, port) for host, (address, port) in about["names"].items() if host != "rebinding.test")
    usual: dict[str, Any] = {
        "source": "web",
        "agent": "mmedc/0 (+https://example.org/bot)",
        "languages": ("en",),
        "filters": None,
        "sites": tuple(about["seeds"]),
        "sets": 1,
        "host_pages": 1000,
        "depth": 16,
        "delay_s": 0.01,
        "page_s": 5.0,
        "body_bytes": 1 << 20,
        "segment_bytes": 40_000,
        "honour": True,
        "allowed": tuple(host for host, _, _ in names),
        "names": names,
    }
    return Plan(**usual | given)


def crawl(folder: Path | str, plan: Plan, number: int = 0, budget: int = 1000, again: str = "") -> Commit[Crawled]:
    """Crawl one round of a set in this process, and commit it in a folder or an object store."""
    unit = Unit.of(HostSet(plan, number, 0, budget, (), again), "set", 1)
    return run_unit(CrawlHosts(), "crawl-0", unit, Store(str(folder)), lambda read, kept: None)


def end_at(point: str, count: int) -> None:
    """Have this process end the `count`th time that it reaches `point`."""
    owner, name, after = POINTS[point]
    whole: Callable[..., Any] = getattr(owner, name)
    reached = 0

    def ending(*given: Any, **named: Any) -> Any:
        nonlocal reached
        reached += 1
        if reached == count and not after:
            os._exit(9)
        left = whole(*given, **named)
        if reached == count:
            os._exit(9)
        return left

    setattr(owner, name, ending)


def tear(count: int) -> None:
    """Have this process end in the middle of the `count`th write to a WARC file."""
    whole, reached = os.write, 0

    def torn(file: int, data: Any) -> int:
        nonlocal reached
        reached += 1
        if reached == count:
            whole(file, data[: len(data) // 2])
            os._exit(9)
        return whole(file, data)

    archive.os.write = torn  # type: ignore[attr-defined]


if __name__ == "__main__":
    _, folder, about, point, count = sys.argv
    if point == "inside the write of a WARC":
        tear(int(count))
    elif point:
        end_at(point, int(count))
    crawl(folder, plan_of(json.loads(Path(about).read_text()), languages=()))  # no lexicons: it starts sooner
