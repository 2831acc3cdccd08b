"""The event log for machines: one JSON object per line, with the unit and its files."""

import json
import time
from pathlib import Path
from typing import Any

from mmedc.engine.run import AnyPass, Progress, Watcher
from mmedc.engine.unit import Accounted, files_of
from mmedc.errors import RequestError
from mmedc.redact import redact


class Log:
    """Appends events to a file; see `mmedc.engine.run.Watcher`.

    Every line has `time` (seconds since 1970), `event` (begin, done, ahead, retried, failed, end) and `pass`. Lines of
    a unit also have `unit`, `label` and, when it is done, `shards` (the files that it wrote), `seconds`, `read`,
    `kept`, `dropped` and `rejected`; `ahead` is a unit of the pass `of`, which follows. Each line is
    written at once, without secrets.
    Raises: RequestError if the file can't be written.
    """

    def __init__(self, path: str) -> None:
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._file = Path(path).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115 (until `close`)
        except OSError as problem:
            raise RequestError(f"--log {path}: can't be written ({problem.strerror})") from None
        self._pass = ""

    def begin(self, current: AnyPass, done: int) -> None:
        """Write that a pass begins."""
        self._pass = current.name
        self._write("begin", key=current.key, units=len(current.units), done=done)

    def update(self, progress: Progress) -> None:
        """Write that a unit is done, retried or failed."""
        if progress.done:
            done = progress.done
            counts = list(done.left.funnel.values()) if isinstance(done.left, Accounted) else []
            self._write(
                "done",
                unit=done.unit,
                label=done.label,
                seconds=done.seconds,
                shards=sorted(file.path for file in files_of(done.left)),
                read=counts[0].read if counts else 0,
                kept=counts[-1].kept if counts else 0,
                dropped=sum(sum(count.dropped.values()) for count in counts),
                rejected=sum(sum(count.rejected.values()) for count in counts),
            )
        if progress.ahead:
            following, early = progress.ahead
            self._write("ahead", unit=early.unit, label=early.label, seconds=early.seconds, of=following.name)
        for event, attempt in (("retried", progress.retried), ("failed", progress.failed)):
            if attempt:
                self._write(event, unit=attempt[0].id, label=attempt[0].label, why=attempt[1])

    def end(self, current: AnyPass, seconds: float) -> None:
        """Write that a pass has ended."""
        self._write("end", seconds=round(seconds, 3))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, event: str, **values: Any) -> None:
        line = json.dumps({"time": round(time.time(), 3), "event": event, "pass": self._pass, **values})
        self._file.write(redact(line) + "\n")


class Watchers:
    """Forwards every call to several watchers."""

    def __init__(self, *each: Watcher) -> None:
        self.each = each

    def begin(self, current: AnyPass, done: int) -> None:
        """See `Watcher`."""
        for watcher in self.each:
            watcher.begin(current, done)

    def update(self, progress: Progress) -> None:
        """See `Watcher`."""
        for watcher in self.each:
            watcher.update(progress)

    def end(self, current: AnyPass, seconds: float) -> None:
        """See `Watcher`."""
        for watcher in self.each:
            watcher.end(current, seconds)
