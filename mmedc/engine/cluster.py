"""What a Ray cluster is: how many units its nodes run, where its dashboard listens, how its autoscaler is told to grow.

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
from ray.experimental.internal_kv import _internal_kv_get

CONNECT_S = 3.0
ASKED_MOST = 2_000
"""The most tasks for which CPUs are asked at a time: the autoscaler packs each of them into a node at every update."""
ASKED_AGAIN_S = 30.0  # another driver on the same cluster may have asked for less meanwhile
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
    """What the autoscaler of a cluster knows of the units that are left.

    Without it, the autoscaler sees only the tasks in flight, twice as many as there are CPUs, and grows step by step.
    A cluster has one such number: where several drivers use it, the last one that told it counts, and each tells
    its own again. A cluster without an autoscaler takes no notice.
    """

    def __init__(self, cpus: float, gpus: float) -> None:
        """Ask for tasks of so many CPUs and GPUs."""
        self._task = {"CPU": cpus, **({"GPU": gpus} if gpus else {})}
        self._told, self._at = 0, 0.0

    def tell(self, units: int, most_cpus: int | None) -> None:
        """Say that so many units are not done; no more than `most_cpus` CPUs are asked for."""
        wanted = min(units, ASKED_MOST)
        if most_cpus:
            wanted = min(wanted, math.ceil(most_cpus / self._task["CPU"]))
        now = time.monotonic()
        told_before = wanted <= self._told and (wanted > FALLEN * self._told or wanted == self._told)
        if told_before and (now - self._at < ASKED_AGAIN_S or not wanted):
            return
        with contextlib.suppress(Exception):  # a wish; whether the cluster is there is found elsewhere
            request_resources(bundles=[self._task] * wanted)
            self._told, self._at = wanted, now


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
