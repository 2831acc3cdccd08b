"""Runs units on Ray. The only file of mmedc's engine that knows Ray.

Plain tasks, one CPU each; a window of them in flight; results are a few hundred bytes. Ray retries
a task whose worker or node dies; a unit that raises is retried here. A retried or doubled attempt
is harmless, because a commit is.
"""

import contextlib
import os
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import ray

from mmedc.engine.run import Progress, describe, run_unit
from mmedc.engine.unit import Entry, Pass, Unit
from mmedc.errors import RequestError
from mmedc.storage import Store

WORKER_RETRIES = 3  # of a task whose worker or node died
REPORT_S = 0.5


class OnRay:
    """Runs units on a Ray cluster: one that it starts on this machine, or one at `address`.

    Use as a context manager; it leaves Ray as it found it.
    """

    def __init__(self, cpus: int | None = None, address: str | None = None) -> None:
        self.cpus, self.address = cpus, address
        self._own = False

    def __enter__(self) -> "OnRay":
        return self

    def _start(self) -> None:
        """Start or join Ray when there is something to run, and not before."""
        if ray.is_initialized():
            return
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
        # Ray's own announcements are no news to the user of a pipeline.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_DEDUP_LOGS", "0")
        if self.address:
            ray.init(address=self.address, **options)
        else:
            # "local" never joins a cluster that happens to run on this machine. Only paths and
            # counts pass through the object store, so it is kept small.
            cpus = self.cpus or os.cpu_count()
            ray.init(address="local", num_cpus=cpus, object_store_memory=100 << 20, include_dashboard=False, **options)
        self._own = True

    def __exit__(self, *_: object) -> None:
        if self._own:
            ray.shutdown()

    def run(self, one: Pass, units: list[Unit], store: Store) -> Iterator[Progress]:
        """Yield the news of each unit; see `mmedc.engine.run.Runner`."""
        self._start()
        slots = int(ray.cluster_resources().get("CPU", 0))
        if slots < 1:
            raise RequestError("the Ray cluster has no CPU to run on; start a worker node, or give --cpus")
        slots = min(slots, self.cpus or slots)
        board = _Board.options(num_cpus=0).remote()  # type: ignore[attr-defined]
        work = ray.put(one)
        waiting = deque((unit, 0) for unit in units)
        flying: dict[Any, tuple[Unit, int]] = {}
        seen = (0, 0)
        try:
            while waiting or flying:
                while waiting and len(flying) < 2 * slots:
                    unit, tries = waiting.popleft()
                    flying[_run.remote(work, unit, store, board)] = unit, tries
                ready, _ = ray.wait(list(flying), timeout=REPORT_S)
                with contextlib.suppress(ray.exceptions.RayError):
                    read, kept = ray.get(board.total.remote(), timeout=10)
                    yield Progress(read - seen[0], kept - seen[1])
                    seen = read, kept
                for task in ready:
                    unit, tries = flying.pop(task)
                    try:
                        yield Progress(done=Entry.from_json(ray.get(task)))
                    except Exception as problem:
                        cause = getattr(problem, "cause", None) or problem
                        if tries < one.retries and not isinstance(cause, RequestError):
                            waiting.append((unit, tries + 1))
                        else:
                            yield Progress(failed=(unit, describe(cause)))
        finally:
            for task in flying:
                ray.cancel(task, force=True)
            ray.kill(board)


@ray.remote(num_cpus=0)
class _Board:
    """Adds up what tasks say of their progress; nothing depends on it but the display."""

    def __init__(self) -> None:
        self.read = self.kept = 0

    def add(self, read: int, kept: int) -> None:
        self.read += read
        self.kept += kept

    def total(self) -> tuple[int, int]:
        return self.read, self.kept


@ray.remote(num_cpus=1, max_retries=WORKER_RETRIES)  # type: ignore[untyped-decorator]
def _run(one: Pass, unit: Unit, store: Store, board: Any) -> bytes:
    pending, told = [0, 0], time.monotonic()

    def said(read: int, kept: int) -> None:
        nonlocal told
        pending[0] += read
        pending[1] += kept
        if time.monotonic() - told > REPORT_S:
            board.add.remote(*pending)
            pending[:], told = [0, 0], time.monotonic()

    entry = run_unit(one, unit, store, said)
    board.add.remote(*pending)
    return entry.to_json()
