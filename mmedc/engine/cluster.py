"""What a Ray cluster is: how many units its nodes run, and where its dashboard listens. Nothing runs on it."""

import ipaddress
import socket
from collections import Counter
from dataclasses import dataclass

import ray

CONNECT_S = 3.0


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
