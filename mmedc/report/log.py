"""What happened, for machines: a JSON object a line, with the unit and the files it left."""

import json
import time
from pathlib import Path
from typing import Any

from mmedc.engine.run import Progress, Watcher
from mmedc.engine.unit import Pass
from mmedc.errors import RequestError
from mmedc.redact import redact


class Log:
    """Appends events to a file; see `mmedc.engine.run.Watcher`.

    Every line has `time` (seconds since 1970), `event` (begin, done, retried, failed, end) and `pass`;
    those of a unit `unit`, `label` and, when it is done, `shards` (the files it left), `seconds`, `read`,
    `kept`, `dropped` and `rejected`. Lines are written whole, secrets taken out.
    Raises: RequestError when the file can't be written.
    """

    def __init__(self, path: str) -> None:
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._file = Path(path).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115 (until `close`)
        except OSError as problem:
            raise RequestError(f"--log {path}: can't be written ({problem.strerror})") from None
        self._pass = ""

    def begin(self, one: Pass, done: int) -> None:
        """Note that a pass begins."""
        self._pass = one.name
        self._write("begin", key=one.key, units=len(one.units), done=done)

    def tell(self, news: Progress) -> None:
        """Note what became of a unit."""
        if news.done:
            entry = news.done
            counts = list(entry.funnel.values())
            self._write(
                "done",
                unit=entry.unit,
                label=entry.label,
                seconds=entry.seconds,
                shards=sorted(output.path for output in entry.outputs.values()),
                read=counts[0].read if counts else 0,
                kept=counts[-1].kept if counts else 0,
                dropped=sum(sum(count.dropped.values()) for count in counts),
                rejected=sum(sum(count.rejected.values()) for count in counts),
            )
        for event, told in (("retried", news.retried), ("failed", news.failed)):
            if told:
                self._write(event, unit=told[0].id, label=told[0].label, why=told[1])

    def end(self, one: Pass, seconds: float) -> None:
        """Note that a pass is over."""
        self._write("end", seconds=round(seconds, 3))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, event: str, **values: Any) -> None:
        line = json.dumps({"time": round(time.time(), 3), "event": event, "pass": self._pass, **values})
        self._file.write(redact(line) + "\n")


class Watchers:
    """Tells several watchers the same."""

    def __init__(self, *each: Watcher) -> None:
        self.each = each

    def begin(self, one: Pass, done: int) -> None:
        """See `Watcher`."""
        for watcher in self.each:
            watcher.begin(one, done)

    def tell(self, news: Progress) -> None:
        """See `Watcher`."""
        for watcher in self.each:
            watcher.tell(news)

    def end(self, one: Pass, seconds: float) -> None:
        """See `Watcher`."""
        for watcher in self.each:
            watcher.end(one, seconds)
