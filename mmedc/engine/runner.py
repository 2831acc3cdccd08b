"""The runner that executes units on Ray; see `flight` for the units, `cluster` for the nodes.

Units run as plain tasks of one CPU each, in a sliding window, and their results are a few hundred bytes. Ray
itself retries nothing: this process does, and reports it. When a worker or node dies while it runs a unit,
the unit is blamed only after that has happened many times. A repeated attempt is harmless, because of two
commits of a unit only one is valid.
"""

import contextlib
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import ray
from ray import exceptions as ray_errors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mmedc.engine.cluster import Demand, Nodes, opens
from mmedc.engine.flight import LOSS_ERRORS, Ahead, Flight
from mmedc.engine.local import LOCAL
from mmedc.engine.meters import Meters, ProgressReader
from mmedc.engine.preflight import OnEachNode
from mmedc.engine.run import AnyPass, AnyUnit, Attempts, Following, Progress
from mmedc.engine.unit import Commit
from mmedc.errors import ClusterLost, RequestError
from mmedc.redact import first_line
from mmedc.storage import Store

NODE_ANSWERS_S = 60.0  # to wait for a node that is asked what it sees
NODE_LOST_S = 15.0  # to wait until Ray says that the node is gone whose answer was lost


class OnRay:
    """Runs units on a Ray cluster that it starts on this machine (address `local`), or on the cluster at `address`.

    Use it as a context manager; on exit it shuts down Ray if it started or joined it.
    """

    def __init__(self, cpus: int | None = None, address: str | None = None) -> None:
        self.cpus, self.address = cpus, None if address == LOCAL else address
        self._own = False
        self._reader: ProgressReader | None = None
        self._check: Callable[[OnEachNode], None] | None = None
        self._following: tuple[Following, tuple[Commit[Any], ...]] | None = None
        self._ahead: Ahead | None = None

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
            if port.isdigit() and "/" not in head and not opens((head.strip("[]"), int(port))):
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
        if self._ahead:
            self._ahead.cancel()
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
        demand = Demand() if self.address else None
        if demand:
            demand.tell((current.cpus, current.gpus, len(units)), most_cpus=self.cpus)
        nodes, meters, attempts = Nodes(self.cpus, bool(demand)), Meters(current.name), Attempts(current.retries)
        if self._check:
            self._check(on_each_node)
            self._check = None
        if self._reader:
            self._reader.begin()
        reader = self._reader = self._reader or ProgressReader()
        flight = self._begun(current, units) or Flight(current, units, store, attempts, reader)
        ahead = self._ahead = self._prepared(current, store, reader)
        try:
            while flight.goes_on:
                nodes.check()
                flight.launch(nodes)
                if ahead:
                    ahead.launch(nodes)
                if demand:
                    later = [(ahead.following.current, ahead.left)] if ahead else []
                    tasks = [(each.cpus, each.gpus, left) for each, left in ((current, flight.left), *later)]
                    demand.tell(*tasks, most_cpus=self.cpus)
                meters.in_flight(len(flight.running))
                yield meters.count(reader.progress())
                for progress in flight.landed():
                    if progress.done and ahead:
                        ahead.add(progress.done)
                    yield meters.count(progress)
                yield from ahead.landed() if ahead else ()
            meters.in_flight(0)
        except ClusterLost:
            flight.running.clear()  # nothing is left that could cancel the tasks
            self._ahead = None
            raise
        finally:
            flight.cancel()
            if demand:
                demand.end()

    def overlap(self, following: Following, done: Iterable[Commit[Any]]) -> None:
        """Have units of a following pass run beside those of the next; see `mmedc.engine.run.Overlapping`."""
        self._following = following, tuple(done)

    def _prepared(self, current: AnyPass, store: Store, reader: ProgressReader) -> Ahead | None:
        """Return what runs units of the following pass beside `current`, if there is one."""
        if self._following is None:
            return None
        (following, done), self._following = self._following, None
        ahead = Ahead(following, current, store, reader)
        for commit in done:
            ahead.add(commit)
        return ahead

    def _begun(self, current: AnyPass, units: list[AnyUnit]) -> Flight | None:
        """Return the units that are under way already, if `current` is the pass of which some were run ahead."""
        ahead, self._ahead = self._ahead, None
        if ahead is None or ahead.flight is None:
            return None
        if ahead.following.current.folder != current.folder:
            ahead.cancel()
            return None
        ahead.flight.take(units, Attempts(current.retries))
        return ahead.flight


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
