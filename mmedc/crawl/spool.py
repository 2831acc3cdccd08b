"""The files of a set of hosts: what is fetched goes to the open WARC file, and what became of it to the frontier."""

import time
from collections.abc import Callable
from pathlib import Path

from mmedc.crawl.archive import Segment, warcinfo
from mmedc.crawl.frontier import Frontier
from mmedc.crawl.plan import Keep, Plan
from mmedc.crawl.queued import Found, Item
from mmedc.crawl.status import NAME as STATUS
from mmedc.crawl.status import status_of


class Spool:
    """Takes records in memory; `save` makes them durable together with what the frontier noted."""

    def __init__(self, plan: Plan, number: int, folder: Path, frontier: Frontier, keep: "Keep | None") -> None:
        """Take up the open WARC file of the set `number` as the frontier knows it, or begin one."""
        self._plan, self._number, self._folder, self._frontier, self._keep = plan, number, folder, frontier, keep
        self._reported = time.time(), sum(host.fetched for host in frontier.hosts.values())
        self.segment = self._take_up()

    def _take_up(self) -> Segment:
        rows = self._frontier.segments()
        if rows and rows[-1].sha256 is None:
            row = rows[-1]
            segment = Segment(self._folder, row.number, row.name)
            there = segment.cut(row.bytes, row.records)
            if there < row.bytes:
                self._frontier.lost(row.number, there)
            return segment
        return self._begin(rows[-1].number + 1 if rows else 0)

    def _begin(self, number: int) -> Segment:
        name = f"{self._plan.source}-{self._number:04d}-{number:06d}.warc.gz"
        segment = Segment(self._folder, number, name)
        segment.cut(0, 0)
        segment.add([warcinfo(name, self._plan.agent, time.time())])
        return segment

    def write(self, records: list[bytes]) -> tuple[int, int]:
        """Add records to the open WARC file; return (offset, length) of the first."""
        return self.segment.add(records)

    def save(self, admits: Callable[[Found], str], close: bool = False) -> list[tuple[int, Item]]:
        """Make everything durable that was noted; return the (host, URL) that are newly queued.

        A WARC file that is large enough is closed; with `close` also one that holds any page.
        """
        self.segment.flush()
        fresh = self._frontier.save(self.segment.row, admits=admits)
        if self.segment.end >= self._plan.segment_bytes or (close and self.segment.records > 1):
            row = self.segment.close()
            if self._keep:
                self._keep.closed(row)
            self._frontier.save(None, [row])
            if self._keep:
                self._keep.snapshot()
            self.segment = self._begin(row.number + 1)
        return fresh

    def show(self, running: int, answered: int) -> None:
        """Write what the set has done so far for `mmedc crawl-status`."""
        now = time.time()
        rate = (answered - self._reported[1]) / max(now - self._reported[0], 0.001)
        self._reported = now, answered
        path = self._folder / STATUS
        temporary = path.with_suffix(".part")
        temporary.write_text(status_of(self._frontier, running, rate, now).model_dump_json())
        temporary.replace(path)
