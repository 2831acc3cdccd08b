"""A Ray cluster of several nodes on this machine, each of one CPU and started in a folder of its own.

Nodes have addresses of their own (127.0.0.2, .3, …). Only processes that were started here are ever ended.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

STORE = 80_000_000
QUICK = '{"health_check_initial_delay_ms":0,"health_check_period_ms":500,"health_check_failure_threshold":3}'


class Raylets:
    """Nodes by their number, from 0 (the head) on. Use it as a context manager: all nodes end with it."""

    def __init__(self, folder: Path, count: int, hidden: Path | None = None) -> None:
        self.folder, self.hidden = folder, hidden
        self.temp = Path("/tmp", f"mr-{os.getpid()}")  # short: the paths of sockets have at most 107 bytes
        self.nodes: dict[int, subprocess.Popen[bytes]] = {}
        self.address = ""
        self.count = count

    def __enter__(self) -> "Raylets":
        for number in range(self.count):
            self.add(number)
        return self

    def __exit__(self, *_: object) -> None:
        for number in sorted(self.nodes, reverse=True):
            self.remove(number)
        shutil.rmtree(self.temp, ignore_errors=True)

    def add(self, number: int, blind: bool = False) -> None:
        """Start a node; a blind one sees an empty disk in place of the folder `hidden`."""
        place = self.folder / f"node{number}-{time.monotonic_ns()}"
        place.mkdir(parents=True)
        command = [str(Path(sys.executable).parent / "ray"), "start", f"--node-ip-address=127.0.0.{number + 2}"]
        command += ["--num-cpus=1", f"--object-store-memory={STORE}", "--block", "--disable-usage-stats"]
        command += [f"--temp-dir={self.temp}{number}", "--min-worker-port=0", "--max-worker-port=0"]
        if self.address:
            command += [f"--address={self.address}"]
        else:
            command += ["--head", "--port=0", "--include-dashboard=false", f"--system-config={QUICK}"]
        if blind:
            hide = f'mount -t tmpfs -o size=1m tmpfs {self.hidden} && exec "$@"'
            command = ["unshare", "-m", "sh", "-c", hide, "sh", *command]
        log = place / "log"
        environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_raylet_start_wait_time_s": "180"}
        with log.open("wb") as out:
            self.nodes[number] = subprocess.Popen(command, cwd=place, stdout=out, stderr=out, env=environment)
        until = time.monotonic() + 180
        while "Ray runtime started" not in (text := log.read_text()):
            if time.monotonic() > until or self.nodes[number].poll() is not None:
                raise RuntimeError(text)
            time.sleep(0.1)
        if not self.address and (found := re.search(r"--address='([^']+)'", text)):
            self.address = found[1]

    def remove(self, number: int) -> None:
        """Kill a node with everything that it started, as when a machine loses its power."""
        node = self.nodes.pop(number)
        try:
            family = [psutil.Process(node.pid), *psutil.Process(node.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            family = []
        for process in family:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        node.wait(timeout=60)
        shutil.rmtree(f"{self.temp}{number}", ignore_errors=True)

    def cpu_s(self) -> float:
        """Return the CPU seconds of all processes of all nodes, the ended ones included."""
        found = 0.0
        for node in self.nodes.values():
            own = psutil.Process(node.pid)
            for process in (own, *own.children(recursive=True)):
                try:
                    times: Any = process.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                found += times.user + times.system + times.children_user + times.children_system
        return found
