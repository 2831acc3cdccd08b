"""Runs units on Ray. The only file of mmedc's engine that knows Ray.

Plain tasks, one CPU each; a window of them in flight; results are a few hundred bytes. Ray itself
retries nothing: this process does, and tells of it. A worker or node that dies under a unit is no
fault of the unit until it happens again and again. A retried or doubled attempt is harmless, because
a commit is.
"""

import contextlib
import os
import secrets
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray import exceptions as ray_errors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mmedc.engine.run import AnyPass, AnyUnit, Attempts, Progress, run_unit
from mmedc.engine.unit import Accounted, CommitFormat
from mmedc.errors import ClusterLost, RequestError
from mmedc.redact import first_line
from mmedc.storage import Store

REPORT_S = 0.5
NODES_S = 1.0  # between looks at the nodes of the cluster
EMPTY_S = 120.0  # to wait for a node when all are gone
GO_ON = "what is committed stays: give the same command again when it is up"
LOSSES = (
    ray_errors.WorkerCrashedError,
    ray_errors.NodeDiedError,
    ray_errors.OutOfMemoryError,
    ray_errors.ObjectLostError,
    ray_errors.TaskCancelledError,
    ray_errors.LocalRayletDiedError,
)
"""What Ray raises when a worker, or all of its node, went away under a task."""


class OnRay:
    """Runs units on a Ray cluster: one that it starts on this machine, or one at `address`.

    Use as a context manager; it leaves Ray as it found it.
    """

    def __init__(self, cpus: int | None = None, address: str | None = None) -> None:
        self.cpus, self.address = cpus, address
        self._own = False
        self._tally: _Tally | None = None

    def __enter__(self) -> "OnRay":
        return self

    def start(self) -> None:
        """Start or join Ray when there is something to run, and not before."""
        if ray.is_initialized():
            return
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
        # Ray's own announcements are no news to the user of a pipeline.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_DEDUP_LOGS", "0")
        on_sigterm = signal.getsignal(signal.SIGTERM)
        if self.address:
            head, _, port = self.address.rpartition(":")
            if port.isdigit() and "/" not in head and not _opens((head.strip("[]"), int(port))):
                raise RequestError(
                    f"--address {self.address}: nothing answers there. Is Ray up, and is this its head's port?"
                )
            try:
                ray.init(address=self.address, **options)
            except (ConnectionError, RuntimeError, ValueError, ray_errors.RayError) as problem:
                raise RequestError(
                    f"--address {self.address}: can't join ({first_line(problem)}). Is Ray up there, is this one of "
                    "its nodes, and does RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH hold its token?"
                ) from None
        else:
            # "local" never joins a cluster that happens to run on this machine. Only paths and
            # counts pass through the object store, so it is kept small.
            _own_token()
            cpus = self.cpus or os.cpu_count()
            ray.init(address="local", num_cpus=cpus, object_store_memory=100 << 20, include_dashboard=False, **options)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray takes it, to end without a word
        self._own = True

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is ClusterLost:  # nobody answers any more; Ray's farewell at the end of the process must do
            return
        if self._tally:
            self._tally.close()
        if self._own:
            ray.shutdown()

    def run(self, current: AnyPass, units: list[AnyUnit], store: Store) -> Iterator[Progress]:
        """Yield the progress of each unit; see `mmedc.engine.run.Runner`.

        Raises: RequestError when there is no CPU to run on, ClusterLost when Ray goes away.
        """
        self.start()
        nodes, meters, attempts = _Nodes(self.cpus), _Meters(current.name), Attempts(current.retries)
        if self._tally:
            self._tally.begin()
        tally = self._tally = self._tally or _Tally()
        work, form = ray.put(current.work), CommitFormat(current.work)
        task: Any = _run.options(num_gpus=current.gpus) if current.gpus and ray.cluster_resources().get("GPU") else _run
        waiting, roomy = deque(units), deque[AnyUnit]()
        flying: dict[Any, AnyUnit] = {}
        try:
            while waiting or roomy or flying:
                nodes.check()
                while waiting and len(flying) < 2 * nodes.slots:
                    unit = waiting.popleft()
                    flying[task.remote(work, current.folder, unit, store, tally.actor)] = unit
                if roomy and not flying:
                    unit = roomy.popleft()
                    flying[task.remote(work, current.folder, unit, store, tally.actor)] = unit
                ready, _ = ray.wait(list(flying), timeout=REPORT_S) if flying else ([], [])
                meters.flying(len(flying))
                yield meters.count(tally.progress())
                for result in ready:
                    unit = flying.pop(result)
                    try:
                        progress = Progress(done=form.load(ray.get(result)))
                    except Exception as problem:
                        cause = getattr(problem, "cause", None) or problem
                        progress = attempts.after(unit, cause, isinstance(problem, LOSSES))
                    if progress.retried:
                        (roomy if attempts.needs_room(unit) else waiting).append(unit)
                    yield meters.count(progress)
            meters.flying(0)
        except ClusterLost:
            flying.clear()  # nobody is there who could cancel it
            raise
        finally:
            for result in flying:
                with contextlib.suppress(Exception):
                    ray.cancel(result, force=True)


class _Nodes:
    """What the cluster can do at once; nodes come and go, so it is asked again and again."""

    def __init__(self, most: int | None) -> None:
        self.most = most
        here = ray.get_runtime_context().get_node_id()
        mine = next(node for node in ray.nodes() if node["NodeID"] == here)
        head, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        self._doors = {
            "the head of the Ray cluster": (head.strip("[]"), int(port)),
            "Ray on this node": (mine["NodeManagerAddress"], int(mine["NodeManagerPort"])),
        }
        self.slots, self._asked, self._since = 0, 0.0, time.monotonic()
        self.check()
        if not self.slots:
            raise RequestError("the Ray cluster has no CPU to run on; start a worker node, or give --cpus")

    def check(self) -> None:
        """Count the CPUs to use. Raises: ClusterLost when head or node are gone, or there has been no CPU for long.

        Head and node are asked by a bare connection: Ray's own calls would wait for a minute and then end
        this process without a word of how to go on.
        """
        now = time.monotonic()
        if now - self._asked < NODES_S:
            return
        for name, door in self._doors.items():
            if not (_opens(door) or _opens(door)):
                raise ClusterLost(f"{name} is gone ({door[0]}:{door[1]} does not answer); {GO_ON}")
        cpus = int(ray.cluster_resources().get("CPU", 0))
        self.slots, self._asked = min(cpus, self.most or cpus), now
        if cpus:
            self._since = now
        elif now - self._since > EMPTY_S:
            raise ClusterLost(f"the Ray cluster has had no CPU for {EMPTY_S:.0f} s; {GO_ON}")


def _opens(door: tuple[str, int]) -> bool:
    try:
        socket.create_connection(door, timeout=10).close()
    except OSError:
        time.sleep(0.2)
        return False
    return True


def _own_token() -> None:
    """Have a token that only this user can read before Ray writes one that all can; Ray asks for it at every port."""
    if os.environ.get("RAY_AUTH_MODE") != "token":
        os.environ.pop("RAY_AUTH_MODE", None)  # Ray turns tokens on for a cluster of its own
    if "RAY_AUTH_TOKEN" in os.environ:
        return
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    with contextlib.suppress(OSError):  # Ray says what is wrong with it
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.chmod(0o600)
        if not path.stat().st_size:
            path.write_text(secrets.token_hex(32))


class _Meters:
    """The numbers of a pass for Prometheus, by Ray's own exporter (`ray_mmedc_…`)."""

    def __init__(self, name: str) -> None:
        from ray.util.metrics import Counter, Gauge

        self._tags = {"pass": name}
        self._read = Counter("mmedc_documents_read", "Records read.", ("pass",))
        self._kept = Counter("mmedc_documents_kept", "Records that the steps of a pass kept.", ("pass",))
        self._rejected = Counter("mmedc_documents_rejected", "Records in quarantine.", ("pass",))
        self._units = Counter("mmedc_units", "Units that are done, tried again or failed.", ("pass", "fate"))
        self._flying = Gauge("mmedc_units_in_flight", "Units that are being worked on.", ("pass",))

    def flying(self, number: int) -> None:
        """Say how many units are in flight."""
        self._flying.set(number, self._tags)

    def count(self, progress: Progress) -> Progress:
        """Count `progress` and return it."""
        left = progress.done.left if progress.done else None
        if isinstance(left, Accounted) and left.funnel:  # exact, where the live figures may miss a unit's last batch
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


class _Tally:
    """Where tasks say how far they are; asked without waiting, since nothing depends on the answer."""

    def __init__(self) -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options = {"num_cpus": 0, "max_restarts": -1, "scheduling_strategy": here}
        self.actor = _Board.options(**options).remote()  # type: ignore[attr-defined]
        self._asked: Any = self.actor.total.remote()
        self._seen = (0, 0)

    def begin(self) -> None:
        """Leave what an earlier pass said to itself."""
        with contextlib.suppress(ray_errors.RayError, TimeoutError):
            self._seen = ray.get(self.actor.total.remote(), timeout=5)
        self._asked = self.actor.total.remote()

    def progress(self) -> Progress:
        """Return what came in since the last answer."""
        if not ray.wait([self._asked], timeout=0)[0]:
            return Progress()
        asked, self._asked = self._asked, self.actor.total.remote()
        try:
            read, kept = ray.get(asked)
        except ray_errors.RayError:
            return Progress()
        before = self._seen if read >= self._seen[0] else (0, 0)  # it was started anew
        self._seen = read, kept
        return Progress(read - before[0], kept - before[1])

    def close(self) -> None:
        """End the actor."""
        with contextlib.suppress(Exception):
            ray.kill(self.actor)


@ray.remote(num_cpus=0)
class _Board:
    """Adds up what tasks say of their progress."""

    def __init__(self) -> None:
        self.read = self.kept = 0

    def add(self, read: int, kept: int) -> None:
        self.read += read
        self.kept += kept

    def total(self) -> tuple[int, int]:
        return self.read, self.kept


@ray.remote(num_cpus=1, max_retries=0)  # type: ignore[untyped-decorator]
def _run(work: Any, folder: str, unit: AnyUnit, store: Store, board: Any) -> bytes:
    pending, reported = [0, 0], time.monotonic()

    def report(read: int, kept: int) -> None:
        nonlocal reported
        pending[0] += read
        pending[1] += kept
        if time.monotonic() - reported > REPORT_S:
            board.add.remote(*pending)
            pending[:], reported = [0, 0], time.monotonic()

    done = run_unit(work, folder, unit, store, report)
    board.add.remote(*pending)
    return CommitFormat(work).dump(done)
