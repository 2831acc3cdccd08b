"""What a pass on Ray tells while it runs: counts for Prometheus, and live progress through an actor."""

import contextlib
from typing import Any

import ray
from ray import exceptions as ray_errors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mmedc.engine.run import Progress
from mmedc.engine.unit import Accounted


class Meters:
    """The metrics of a pass for Prometheus, through Ray's own exporter (`ray_mmedc_…`)."""

    def __init__(self, name: str) -> None:
        from ray.util.metrics import Counter, Gauge

        self._tags = {"pass": name}
        self._read = Counter("mmedc_documents_read", "Records read.", ("pass",))
        self._kept = Counter("mmedc_documents_kept", "Records that the steps of a pass kept.", ("pass",))
        self._rejected = Counter("mmedc_documents_rejected", "Records in quarantine.", ("pass",))
        self._units = Counter("mmedc_units", "Units that are done, tried again or failed.", ("pass", "fate"))
        self._in_flight = Gauge("mmedc_units_in_flight", "Units that are being worked on.", ("pass",))

    def in_flight(self, number: int) -> None:
        """Report how many units are in flight."""
        self._in_flight.set(number, self._tags)

    def count(self, progress: Progress) -> Progress:
        """Count `progress` and return it."""
        left = progress.done.left if progress.done else None
        if isinstance(left, Accounted) and left.funnel:  # exact; the live figures may miss the last batch of a unit
            counts = list(left.funnel.values())
            rejected = sum(sum(count.rejected.values()) for count in counts)
            for meter, value in (
                (self._read, counts[0].read),
                (self._kept, counts[-1].kept),
                (self._rejected, rejected),
            ):
                if value:
                    meter.inc(value, self._tags)
        for fate in ("done", "retried", "failed"):
            if getattr(progress, fate):
                self._units.inc(1, {**self._tags, "fate": fate})
        return progress


class ProgressReader:
    """Reads the progress that the tasks report to an actor; it never waits, because no result depends on it."""

    def __init__(self) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options = {"num_cpus": 0, "max_restarts": -1, "scheduling_strategy": here}
        self.actor = _ProgressActor.options(**options).remote()  # type: ignore[attr-defined]
        self._asked: Any = self.actor.total.remote()
        self._seen = (0, 0)

    def begin(self) -> None:
        """Ignore the progress that an earlier pass reported."""
        with contextlib.suppress(ray_errors.RayError, TimeoutError):
            self._seen = ray.get(self.actor.total.remote(), timeout=5)
        self._asked = self.actor.total.remote()

    def progress(self) -> Progress:
        """Return the progress since the last answer of the actor."""
        if not ray.wait([self._asked], timeout=0)[0]:
            return Progress()
        asked, self._asked = self._asked, self.actor.total.remote()
        try:
            read, kept = ray.get(asked)
        except ray_errors.RayError:
            return Progress()
        before = self._seen if read >= self._seen[0] else (0, 0)  # smaller: the actor was restarted
        self._seen = read, kept
        return Progress(read - before[0], kept - before[1])

    def close(self) -> None:
        """End the actor."""
        with contextlib.suppress(Exception):
            ray.kill(self.actor)


@ray.remote(num_cpus=0)
class _ProgressActor:
    """Adds up the progress that the tasks report."""

    def __init__(self) -> None:
        self.read = self.kept = 0

    def add(self, read: int, kept: int) -> None:
        self.read += read
        self.kept += kept

    def total(self) -> tuple[int, int]:
        return self.read, self.kept
