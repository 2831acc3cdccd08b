"""The units of a pass that are in flight on Ray: handed out, attempted again, attempted twice near the end, landed.

Beside those of the pass that runs there may be units of the one that follows, which need GPUs. They are attempted once
and committed, so that the pass finds them done when its turn comes, as it finds those of an earlier run. What fails is
left to it.
"""

import contextlib
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import ray
from ray import cloudpickle
from ray import exceptions as ray_errors

from mmedc import modules
from mmedc.engine.cluster import Nodes
from mmedc.engine.meters import Meters, ProgressReader
from mmedc.engine.run import AnyPass, AnyUnit, Attempts, Following, Progress, run_unit
from mmedc.engine.stragglers import Stragglers
from mmedc.engine.unit import Commit, CommitFormat
from mmedc.storage import Store

REPORT_S = 0.5
LOSS_ERRORS = (
    ray_errors.WorkerCrashedError,
    ray_errors.NodeDiedError,
    ray_errors.OutOfMemoryError,
    ray_errors.ObjectLostError,
    ray_errors.TaskCancelledError,
    ray_errors.LocalRayletDiedError,
)
"""The exceptions that Ray raises when a worker or its node is lost while it runs a task."""


class Flight:
    """The units of a pass that wait, the attempts that are under way, and those that have ended.

    The largest units come first, so that none of them begins when all others are done. Near the end, when CPUs are
    free, a unit that is late is attempted a second time, on another node if there is one. In flight are at most
    twice as many tasks as there are CPUs, which is all that this process and Ray know of a pass at a time.
    """

    def __init__(
        self, current: AnyPass, units: list[AnyUnit], store: Store, attempts: Attempts | None, reader: ProgressReader
    ) -> None:
        """Wait with `units`; without `attempts`, those that fail are left undone."""
        self.running: dict[Any, AnyUnit] = {}
        self.current, self._store, self._attempts, self._reader = current, store, attempts, reader
        self._work, self._form = ray.put(cloudpickle.dumps(current.work)), CommitFormat(current.work)
        self._waiting = deque(sorted(units, key=lambda unit: -unit.bytes))
        self._exclusive = deque[AnyUnit]()
        self._stragglers, self._begun, self._all_begun = Stragglers(), dict[Any, float](), 0.0
        self.on_gpus = bool(current.gpus and ray.cluster_resources().get("GPU"))
        gpus = {"num_gpus": current.gpus} if self.on_gpus else {}
        # Ahead of its turn a unit takes a GPU only: it would wait for a CPU behind the units of the pass that runs.
        cpus = current.cpus if attempts else 0
        self._task: Any = _run.options(num_cpus=cpus, **gpus)
        self._elsewhere: Any = _run.options(num_cpus=cpus, scheduling_strategy="SPREAD", **gpus)

    @property
    def goes_on(self) -> bool:
        """Whether there is a unit that is not done."""
        return bool(self._waiting or self._exclusive or self.running)

    @property
    def left(self) -> int:
        """The number of units that are not done."""
        return len(self._waiting) + len(self._exclusive) + len({unit.id for unit in self.running.values()})

    def launch(self, nodes: Nodes) -> None:
        """Hand out as many units as may be in flight on the CPUs and GPUs there are."""
        slots = int(nodes.slots / self.current.cpus)
        if self.on_gpus:
            slots = max(1, min(slots, int(nodes.gpus / self.current.gpus)))
        while self._waiting and len(self.running) < 2 * slots:
            self._hand_out(self._waiting.popleft(), self._task)
        if self._exclusive and not self.running:
            self._hand_out(self._exclusive.popleft(), self._task)
        now = time.monotonic()
        if len(self.running) > slots:
            self._all_begun = now  # until then, some wait for a CPU
        elif not self._waiting and not self._exclusive and len(self.running) < slots and self.current.twice:
            ages = [
                (unit.id, unit.bytes, now - max(self._begun[task], self._all_begun))
                for task, unit in self.running.items()
            ]
            if late := self._stragglers.late(ages):
                self._hand_out(next(unit for unit in self.running.values() if unit.id == late), self._elsewhere)

    def landed(self, wait_s: float = REPORT_S) -> Iterator[Progress]:
        """Wait a moment, and yield the progress of the attempts that have ended."""
        ready, _ = ray.wait(list(self.running), timeout=wait_s) if self.running else ([], [])
        for task in ready:
            unit, begun = self.running.pop(task, None), self._begun.pop(task, 0.0)
            if unit is None:
                continue  # the second of two attempts, cancelled
            twins = [other for other, same in self.running.items() if same.id == unit.id]
            try:
                done = self._form.load(ray.get(task))
            except Exception as problem:
                if twins or self._attempts is None:
                    continue  # the other attempt decides, or that of the pass itself
                cause = getattr(problem, "cause", None) or problem
                progress = self._attempts.after(unit, cause, isinstance(problem, LOSS_ERRORS), str(problem))
                if progress.retried:
                    (self._exclusive if self._attempts.must_run_alone(unit) else self._waiting).append(unit)
                yield progress
                continue
            self._stragglers.done(unit.bytes, time.monotonic() - begun)
            for twin in twins:
                del self.running[twin], self._begun[twin]
                _cancel(twin)
            yield Progress(done=done)

    def cancel(self) -> None:
        """Cancel what is under way."""
        for task in self.running:
            _cancel(task)

    def add(self, unit: AnyUnit) -> None:
        """Have another unit handed out, after those that wait."""
        self._waiting.append(unit)

    def take(self, units: list[AnyUnit], attempts: Attempts) -> None:
        """Go on with these units only, those included that are under way."""
        self._attempts = attempts
        wanted = {unit.id for unit in units}
        for task in [task for task, unit in self.running.items() if unit.id not in wanted]:
            del self.running[task], self._begun[task]  # committed, before it was known that it has ended
        flying = {unit.id for unit in self.running.values()}
        self._waiting = deque(sorted((unit for unit in units if unit.id not in flying), key=lambda unit: -unit.bytes))

    def _hand_out(self, unit: AnyUnit, task: Any) -> None:
        made = task.remote(modules.folders(), self._work, self.current.folder, unit, self._store, self._reader.actor)
        self.running[made], self._begun[made] = unit, time.monotonic()


class Ahead:
    """Runs units of the pass that follows, of which each needs one unit of the pass that runs, while GPUs are there."""

    def __init__(self, following: Following, current: AnyPass, store: Store, reader: ProgressReader) -> None:
        self.following = following
        self.flight: Flight | None = None
        self._store, self._reader = store, reader
        self._numbers = following.numbers(current)
        self._ready: list[AnyUnit] = []
        self._meters = Meters(following.current.name)

    @property
    def left(self) -> int:
        """The number of units that could be run now."""
        return len(self._ready) + (self.flight.left if self.flight else 0)

    def add(self, done: Commit[Any]) -> None:
        """Add the units that need what a unit left."""
        self._ready.append(self.following.unit(self._numbers[done.unit], done.left))

    def launch(self, nodes: Nodes) -> None:
        """Hand out what is ready, if the cluster has GPUs; on CPUs nothing would be gained."""
        if self._ready and nodes.gpus:
            if self.flight is None:
                current = self.following.current
                self.flight = Flight(current, [], self._store, None, self._reader)
            for unit in self._ready:
                self.flight.add(unit)
            self._ready = []
        if self.flight:
            self.flight.launch(nodes)

    def landed(self) -> Iterator[Progress]:
        """Yield the units that have ended; those that failed are run again when their pass is."""
        for progress in self.flight.landed(wait_s=0) if self.flight else ():
            if progress.done:
                self._meters.count(progress)
                yield Progress(ahead=(self.following.current, progress.done))

    def cancel(self) -> None:
        """Cancel what is under way."""
        if self.flight:
            self.flight.cancel()


def _cancel(task: Any) -> None:
    with contextlib.suppress(Exception):
        ray.cancel(task, force=True)


@ray.remote(num_cpus=1, max_retries=0)  # type: ignore[untyped-decorator]
def _run(
    folders: tuple[str, ...], packed: bytes, folder: str, unit: AnyUnit, store: Store, progress_actor: Any
) -> bytes:
    modules.search_in(folders)  # before what may come from a module in them is unpickled
    work = cloudpickle.loads(packed)
    pending, reported = [0, 0], time.monotonic()

    def report(read: int, kept: int) -> None:
        nonlocal reported
        pending[0] += read
        pending[1] += kept
        if time.monotonic() - reported > REPORT_S:
            progress_actor.add.remote(*pending)
            pending[:], reported = [0, 0], time.monotonic()

    done = run_unit(work, folder, unit, store, report)
    progress_actor.add.remote(*pending)
    return CommitFormat(work).dump(done)
