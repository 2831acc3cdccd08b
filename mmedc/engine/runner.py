"""The runner that executes units on Ray. No other file of the engine imports Ray.

Units run as plain tasks of one CPU each, in a sliding window, and their results are a few hundred bytes. Ray
itself retries nothing: this process does, and reports it. When a worker or node dies while it runs a unit,
the unit is blamed only after that has happened many times. A repeated attempt is harmless, because of two
commits of a unit only one is valid.
"""

import contextlib
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle
from ray import exceptions as ray_errors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mmedc import modules
from mmedc.engine.cluster import Demand, grows
from mmedc.engine.local import LOCAL
from mmedc.engine.meters import Meters, ProgressReader
from mmedc.engine.preflight import OnEachNode
from mmedc.engine.run import AnyPass, AnyUnit, Attempts, Progress, run_unit
from mmedc.engine.stragglers import Stragglers
from mmedc.engine.unit import CommitFormat
from mmedc.errors import ClusterLost, RequestError
from mmedc.redact import first_line
from mmedc.storage import Store

REPORT_S = 0.5
NODES_S = 1.0  # between checks of the nodes of the cluster
NODE_ANSWERS_S = 60.0  # to wait for a node that is asked what it sees
NODE_LOST_S = 15.0  # to wait until Ray says that the node is gone whose answer was lost
EMPTY_S = 120.0  # to wait for a node when none is left
COMING_S = 900.0  # the same while the autoscaler is starting nodes
APPEAR_S = 20.0  # to wait for the autoscaler to begin, where there is no node at first
RESUME_HINT = "committed units are kept: give the same command again when the cluster is up"
LOSS_ERRORS = (
    ray_errors.WorkerCrashedError,
    ray_errors.NodeDiedError,
    ray_errors.OutOfMemoryError,
    ray_errors.ObjectLostError,
    ray_errors.TaskCancelledError,
    ray_errors.LocalRayletDiedError,
)
"""The exceptions that Ray raises when a worker or its node is lost while it runs a task."""


class OnRay:
    """Runs units on a Ray cluster that it starts on this machine (address `local`), or on the cluster at `address`.

    Use it as a context manager; on exit it shuts down Ray if it started or joined it.
    """

    def __init__(self, cpus: int | None = None, address: str | None = None) -> None:
        self.cpus, self.address = cpus, None if address == LOCAL else address
        self._own = False
        self._reader: ProgressReader | None = None
        self._check: Callable[[OnEachNode], None] | None = None

    def __enter__(self) -> "OnRay":
        return self

    def start(self) -> None:
        """Start or join Ray; called only when there is something to run."""
        if not ray.is_initialized():
            self._start()

    def _start(self) -> None:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
        # Ray's own announcements are of no use to the user of a pipeline.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_DEDUP_LOGS", "0")
        quiet_stdout()
        with _own_sigterm():
            self._initialise(options)
        self._own = True

    def _initialise(self, options: dict[str, Any]) -> None:
        if self.address:
            _check_address(self.address)
            head, _, port = self.address.rpartition(":")
            if port.isdigit() and "/" not in head and not _opens((head.strip("[]"), int(port))):
                raise RequestError(
                    f"--address {self.address}: nothing answers there. Is Ray up, and is this its head's port?"
                )
            _join(self.address, options)
        else:
            # "local" never joins a cluster that already runs on this machine. The object store is
            # small, because only paths and counts pass through it.
            _own_token()
            # With `ray[default]` a dashboard process that nobody asked for would show its metrics to everyone, without
            # a token. Ray has no switch for that; it only logs that it can't listen on a port that there is not.
            os.environ.setdefault("DASHBOARD_METRIC_PORT", "-1")
            cpus = self.cpus or os.cpu_count()
            ray.init(address="local", num_cpus=cpus, object_store_memory=100 << 20, include_dashboard=False, **options)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is ClusterLost:  # the cluster no longer answers; Ray cleans up when the process exits
            return
        if self._reader:
            self._reader.close()
        if self._own:
            ray.shutdown()

    def guard(self, check: Callable[[OnEachNode], None]) -> None:
        """Have `check` called before the first unit runs, if this is a cluster that was there."""
        self._check = check if self.address else None

    def run(self, current: AnyPass, units: list[AnyUnit], store: Store) -> Iterator[Progress]:
        """Yield the progress of each unit; see `mmedc.engine.run.Runner`.

        Raises: RequestError when there is no CPU to run on, ClusterLost when the connection to Ray is lost.
        """
        self.start()
        demand = Demand(current.cpus, current.gpus) if self.address else None
        if demand:
            demand.tell(len(units), self.cpus)
        nodes, meters, attempts = _Nodes(self.cpus, bool(demand)), Meters(current.name), Attempts(current.retries)
        if self._check:
            self._check(on_each_node)
            self._check = None
        if self._reader:
            self._reader.begin()
        reader = self._reader = self._reader or ProgressReader()
        flight = _Flight(current, units, store, attempts, reader)
        try:
            while flight.goes_on:
                nodes.check()
                flight.launch(nodes.slots)
                if demand:
                    demand.tell(flight.left, self.cpus)
                meters.in_flight(len(flight.running))
                yield meters.count(reader.progress())
                for progress in flight.landed():
                    yield meters.count(progress)
            meters.in_flight(0)
        except ClusterLost:
            flight.running.clear()  # nothing is left that could cancel the tasks
            raise
        finally:
            flight.cancel()
            if demand:
                demand.tell(0, None)


class _Flight:
    """The units of a pass that wait, the attempts that are under way, and those that have ended.

    The largest units come first, so that none of them begins when all others are done. Near the end, when CPUs are
    free, a unit that is late is attempted a second time, on another node if there is one. In flight are at most
    twice as many tasks as there are CPUs, which is all that this process and Ray know of a pass at a time.
    """

    def __init__(
        self, current: AnyPass, units: list[AnyUnit], store: Store, attempts: Attempts, reader: ProgressReader
    ) -> None:
        self.running: dict[Any, AnyUnit] = {}
        self._current, self._store, self._attempts, self._reader = current, store, attempts, reader
        self._work, self._form = ray.put(cloudpickle.dumps(current.work)), CommitFormat(current.work)
        self._waiting = deque(sorted(units, key=lambda unit: -unit.bytes))
        self._exclusive = deque[AnyUnit]()
        self._stragglers, self._begun, self._all_begun = Stragglers(), dict[Any, float](), 0.0
        gpus = {"num_gpus": current.gpus} if current.gpus and ray.cluster_resources().get("GPU") else {}
        self._task: Any = _run.options(num_cpus=current.cpus, **gpus)
        self._elsewhere: Any = _run.options(num_cpus=current.cpus, scheduling_strategy="SPREAD", **gpus)

    @property
    def goes_on(self) -> bool:
        """Whether there is a unit that is not done."""
        return bool(self._waiting or self._exclusive or self.running)

    @property
    def left(self) -> int:
        """The number of units that are not done."""
        return len(self._waiting) + len(self._exclusive) + len({unit.id for unit in self.running.values()})

    def launch(self, slots: int) -> None:
        """Hand out as many units as may be in flight on so many CPUs."""
        slots = int(slots / self._current.cpus)
        while self._waiting and len(self.running) < 2 * slots:
            self._hand_out(self._waiting.popleft(), self._task)
        if self._exclusive and not self.running:
            self._hand_out(self._exclusive.popleft(), self._task)
        now = time.monotonic()
        if len(self.running) > slots:
            self._all_begun = now  # until then, some wait for a CPU
        elif not self._waiting and not self._exclusive and len(self.running) < slots and self._current.twice:
            ages = [
                (unit.id, unit.bytes, now - max(self._begun[task], self._all_begun))
                for task, unit in self.running.items()
            ]
            if late := self._stragglers.late(ages):
                self._hand_out(next(unit for unit in self.running.values() if unit.id == late), self._elsewhere)

    def landed(self) -> Iterator[Progress]:
        """Wait a moment, and yield the progress of the attempts that have ended."""
        ready, _ = ray.wait(list(self.running), timeout=REPORT_S) if self.running else ([], [])
        for task in ready:
            unit, begun = self.running.pop(task, None), self._begun.pop(task, 0.0)
            if unit is None:
                continue  # the second of two attempts, cancelled
            twins = [other for other, same in self.running.items() if same.id == unit.id]
            try:
                done = self._form.load(ray.get(task))
            except Exception as problem:
                if twins:
                    continue  # the other attempt decides
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

    def _hand_out(self, unit: AnyUnit, task: Any) -> None:
        made = task.remote(modules.folders(), self._work, self._current.folder, unit, self._store, self._reader.actor)
        self.running[made], self._begun[made] = unit, time.monotonic()


def _cancel(task: Any) -> None:
    with contextlib.suppress(Exception):
        ray.cancel(task, force=True)


def on_each_node(function: Callable[[int], Any]) -> list[tuple[str, Any]]:
    """Call `function` on every node that has CPUs; see `mmedc.engine.preflight.OnEachNode`.

    A node that the cluster loses meanwhile is left out: no unit will run on it.
    """
    alive = _alive()
    asked = []
    for number, node in enumerate(alive):
        here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked.append(_call.options(scheduling_strategy=here).remote(function, number))
    ray.wait(asked, num_returns=len(asked), timeout=NODE_ANSWERS_S)
    found: list[tuple[str, Any]] = []
    for node, answer in zip(alive, asked, strict=True):
        name = f"node {node['NodeManagerAddress']} ({node['NodeManagerHostname']})"
        try:
            found.append((name, ray.get(answer, timeout=1)))
        except ray_errors.GetTimeoutError:
            ray.cancel(answer, force=True)
            found.append((name, TimeoutError(f"no answer within {NODE_ANSWERS_S:.0f} s; does a disk hang?")))
        except Exception as problem:
            lost = isinstance(problem, (*LOSS_ERRORS, ray_errors.TaskUnschedulableError))
            if not (lost and _is_gone(node["NodeID"])):
                found.append((name, getattr(problem, "cause", None) or problem))
    return found


def _alive() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]


def _is_gone(node_id: str) -> bool:
    """Return whether a node is lost; Ray notices it some seconds after the processes on it have ended."""
    until = time.monotonic() + NODE_LOST_S
    while any(node["NodeID"] == node_id for node in _alive()):
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


@ray.remote(num_cpus=0, max_retries=0)  # type: ignore[untyped-decorator]
def _call(function: Callable[[int], Any], number: int) -> Any:
    return function(number)


def quiet_stdout() -> None:
    """Keep what Ray says of lost nodes from standard output, where it would stand before the JSON of a command.

    Ray prints it there even where logs are not sent to the driver. The loss of a unit is reported by this module.
    """
    ray._private.worker.print_to_stdstream = lambda *_, **__: None


def _check_address(address: str) -> None:
    """Check that an address is one at which a node joins. Raises: RequestError that says what to do instead."""
    if "://" in address or address.endswith(":8265"):
        what = "Ray Client is not used" if address.startswith("ray://") else "a job server has this address"
        raise RequestError(
            f"--address {address}: {what}; `mmedc submit` takes http://HOST:8265, from any machine, and on a node of "
            "the cluster `--address auto` joins it, or HOST:6379 of its head"
        )


def _join(address: str, options: dict[str, Any]) -> None:
    """Join a cluster. Raises: RequestError in one line; what Ray writes meanwhile is not shown."""
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "5")  # Ray waits for 20; the port is open already
    with _Quiet() as quiet:
        try:
            ray.init(address=address, **options)
            return
        except (ConnectionError, RuntimeError, ValueError, ray_errors.RayError) as problem:
            said = f"{quiet.text()} {problem}"
            why = first_line(problem)
    if "InvalidAuthToken" in said or "AUTH_TOKEN" in said or "auth_token" in said:
        given = next((name for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH") if name in os.environ), "")
        found = f"{given} does not hold its token" if given else "no token was given, or that of another cluster"
        raise RequestError(
            f"--address {address}: the cluster asks for a token, and {found}; set RAY_AUTH_MODE=token, and "
            "RAY_AUTH_TOKEN_PATH to a file with the token that its head was started with"
        )
    raise RequestError(f"--address {address}: can't join ({why}). Is Ray up there, and is this one of its nodes?")


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep the handler of SIGTERM, which Ray replaces by one that exits silently, and interrupt where that one did."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


class _Quiet:
    """Keeps what this process writes to its standard error, below Python too, from the terminal."""

    def __enter__(self) -> "_Quiet":
        sys.stderr.flush()
        self._file, self._before = os.memfd_create("mmedc-ray"), os.dup(2)
        os.dup2(self._file, 2)
        return self

    def text(self) -> str:
        """Return what was written so far."""
        return os.pread(self._file, os.fstat(self._file).st_size, 0).decode("utf-8", "replace")

    def __exit__(self, *_: object) -> None:
        sys.stderr.flush()
        os.dup2(self._before, 2)
        os.close(self._before)
        os.close(self._file)


class _Nodes:
    """The number of CPUs of the cluster; nodes join and leave, so it is read again regularly.

    A cluster that `may_grow` may have none at first.
    """

    def __init__(self, most: int | None, may_grow: bool) -> None:
        self.most, self._may_grow, self._had_some = most, may_grow, False
        node_id = ray.get_runtime_context().get_node_id()
        own_node = next(node for node in ray.nodes() if node["NodeID"] == node_id)
        head, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        self._addresses = {
            "the head of the Ray cluster": (head.strip("[]"), int(port)),
            "Ray on this node": (own_node["NodeManagerAddress"], int(own_node["NodeManagerPort"])),
        }
        self.slots, self._asked, self._since = 0, 0.0, time.monotonic()
        self.check()
        while not self.slots:
            time.sleep(NODES_S)
            self.check()

    def check(self) -> None:
        """Count the CPUs to use.

        Head and node are checked by opening a connection to each, because Ray's own calls would wait for a minute
        and then end this process without saying how to resume.

        Raises: ClusterLost when head or node do not answer, or when no CPU has come back; RequestError when there is
        none from the start, and none is coming.
        """
        now = time.monotonic()
        if now - self._asked < NODES_S:
            return
        for name, address in self._addresses.items():
            if not (_opens(address) or _opens(address)):
                raise ClusterLost(f"{name} is lost ({address[0]}:{address[1]} does not answer); {RESUME_HINT}")
        cpus = int(ray.cluster_resources().get("CPU", 0))
        self.slots, self._asked = min(cpus, self.most or cpus), now
        if cpus:
            self._since, self._had_some = now, True
        elif now - self._since >= self._patience():
            if not self._had_some:
                raise RequestError("the Ray cluster has no CPU to run on; start a worker node, or give --cpus")
            raise ClusterLost(f"the Ray cluster has had no CPU for {now - self._since:.0f} s; {RESUME_HINT}")

    def _patience(self) -> float:
        """Return for how many seconds to go without a CPU."""
        if self._may_grow and grows():
            return COMING_S
        if self._had_some:
            return EMPTY_S
        return APPEAR_S if self._may_grow else 0.0


def _opens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=10).close()
    except OSError:
        time.sleep(0.2)
        return False
    return True


def _own_token() -> None:
    """Write a token that only this user can read, before Ray writes one that everyone can.

    Every port of the cluster asks for the token.
    """
    if os.environ.get("RAY_AUTH_MODE") != "token":
        os.environ.pop("RAY_AUTH_MODE", None)  # Ray turns tokens on for a cluster of its own
    if "RAY_AUTH_TOKEN" in os.environ:
        return
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    with contextlib.suppress(OSError):  # Ray reports the problem with the file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.chmod(0o600)
        if not path.stat().st_size:
            path.write_text(secrets.token_hex(32))


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
