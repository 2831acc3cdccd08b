"""What a Ray cluster is: what its nodes have, where its dashboard listens, how its autoscaler is told to grow.

Nothing runs on it.
"""

import contextlib
import ipaddress
import json
import math
import socket
import time
from collections import Counter
from dataclasses import dataclass

import ray
from ray.autoscaler.sdk import request_resources
from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_list, _internal_kv_put

from mmedc.errors import ClusterLost, RequestError

CONNECT_S = 3.0
ASKED_MOST = 2_000
"""The most tasks for which CPUs are asked at a time: the autoscaler packs each of them into a node at every update."""
ASKED_AGAIN_S = 30.0  # another driver on the same cluster may have asked for less meanwhile
FORGOTTEN_S = 4 * ASKED_AGAIN_S
WISHES = "mmedc:wish:"  # the keys of what drivers ask for
NODES_S = 1.0  # between checks of the nodes of the cluster
EMPTY_S = 120.0  # to wait for a node when none is left
COMING_S = 900.0  # the same while the autoscaler is starting nodes
APPEAR_S = 20.0  # to wait for the autoscaler to begin, where there is no node at first
RESUME_HINT = "committed units are kept: give the same command again when the cluster is up"
FALLEN = 0.8  # less than this share of what was asked for is worth telling


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process has joined."""

    cpus: dict[str, int]
    """The CPUs of each machine that runs units, by its address."""
    gpus: int
    dashboard: str
    """HOST:PORT of the dashboard; empty where there is none."""

    @property
    def exposed(self) -> bool:
        """Whether the dashboard answers at an address other than loopback."""
        host, _, port = self.dashboard.rpartition(":")
        if not port.isdigit() or _is_loopback(host):
            return False
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
        except OSError:
            return False
        return True


class Demand:
    """What the autoscaler of a cluster is told of the units that this driver has left.

    Without it, the autoscaler sees only the tasks in flight, twice as many as there are CPUs, and grows step by step.
    Ray keeps one such request for the whole cluster, and the last one counts. Therefore every driver writes its wish
    beside those of the others, and asks for their sum; a wish that has not been told again for `FORGOTTEN_S` does not
    count, because its driver is gone. A cluster without an autoscaler takes no notice.
    """

    def __init__(self) -> None:
        self._key = f"{WISHES}{ray.get_runtime_context().get_job_id()}"
        self._told: list[int] = []
        self._at = 0.0

    def tell(self, *tasks: tuple[float, float, int], most_cpus: int | None = None) -> None:
        """Say what is not done: (CPUs, GPUs, units) of each kind of task, for `most_cpus` CPUs of a kind at most."""
        wanted = []
        for cpus, _, units in tasks:
            most = min(units, ASKED_MOST)
            wanted.append(min(most, math.ceil(most_cpus / cpus)) if most_cpus else most)
        now = time.monotonic()
        known = len(wanted) == len(self._told) and now - self._at < ASKED_AGAIN_S
        if known and all(
            FALLEN * told < new <= told or new == told for new, told in zip(wanted, self._told, strict=True)
        ):
            return
        wish = [
            ({"CPU": cpus, **({"GPU": gpus} if gpus else {})}, number)
            for (cpus, gpus, _), number in zip(tasks, wanted, strict=True)
        ]
        with contextlib.suppress(Exception):  # a wish; whether the cluster is there is found elsewhere
            self._write(wish if any(wanted) else [])
            self._told, self._at = wanted, now

    def end(self) -> None:
        """Take back what was asked for."""
        with contextlib.suppress(Exception):
            self._write([])
        self._told = []

    def _write(self, wish: list[tuple[dict[str, float], int]]) -> None:
        """Write the wish of this driver, and ask for those of all."""
        if wish:
            _internal_kv_put(self._key, json.dumps({"at": time.time(), "wish": wish}), overwrite=True)
        else:
            _internal_kv_del(self._key)
        found = [json.loads(_internal_kv_get(key) or b"{}") for key in _internal_kv_list(WISHES)]
        wishes = [one for each in found if each and abs(time.time() - each["at"]) < FORGOTTEN_S for one in each["wish"]]
        share = min(1.0, ASKED_MOST / max(sum(number for _, number in wishes), 1))
        request_resources(bundles=[task for task, number in wishes for _ in range(math.ceil(number * share))])


class Nodes:
    """The numbers of CPUs and GPUs of the cluster; nodes join and leave, so it is read again regularly.

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
        self.slots, self.gpus, self._asked, self._since = 0, 0, 0.0, time.monotonic()
        self.check()
        while not self.slots:
            time.sleep(NODES_S)
            self.check()

    def check(self) -> None:
        """Count the CPUs to use, and the GPUs.

        Head and node are checked by opening a connection to each, because Ray's own calls would wait for a minute
        and then end this process without saying how to resume.

        Raises: ClusterLost when head or node do not answer, or when no CPU has come back; RequestError when there is
        none from the start, and none is coming.
        """
        now = time.monotonic()
        if now - self._asked < NODES_S:
            return
        for name, address in self._addresses.items():
            if not (opens(address) or opens(address)):
                raise ClusterLost(f"{name} is lost ({address[0]}:{address[1]} does not answer); {RESUME_HINT}")
        there = ray.cluster_resources()
        cpus, self.gpus = int(there.get("CPU", 0)), int(there.get("GPU", 0))
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


def opens(address: tuple[str, int]) -> bool:
    """Return whether a connection to an address can be opened."""
    try:
        socket.create_connection(address, timeout=10).close()
    except OSError:
        time.sleep(0.2)
        return False
    return True


def grows() -> bool:
    """Return whether the autoscaler of the cluster, if it has one, is starting nodes."""
    from ray.autoscaler.v2.sdk import get_cluster_status

    with contextlib.suppress(Exception):  # one of the two autoscalers of Ray is there, or none
        status = json.loads(_internal_kv_get("__autoscaling_status") or b"{}")
        report = status.get("autoscaler_report") or {}
        if report.get("pending_launches") or report.get("pending_nodes"):
            return True
    with contextlib.suppress(Exception):
        found = get_cluster_status(ray.get_runtime_context().gcs_address)
        return bool(found.pending_launches or found.pending_nodes)
    return False


def joined() -> Cluster:
    """Return what the cluster is that this process has joined."""
    cpus, gpus = Counter[str](), 0
    for node in ray.nodes():
        if node["Alive"]:
            cpus[node["NodeManagerAddress"]] += int(node["Resources"].get("CPU", 0))
            gpus += int(node["Resources"].get("GPU", 0))
    dashboard = ray._private.worker._global_node.webui_url or ""
    return Cluster({node: count for node, count in cpus.items() if count}, gpus, dashboard)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
