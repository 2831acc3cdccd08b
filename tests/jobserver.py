"""A Ray cluster of one node on loopback, with its job server and a token, for tests of submissions."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

START_S = 240
END_S = 20


class Head:
    """A head node with a job server, as `ray start --head` starts it; a context manager.

    Its token is that of the tests, which conftest.py makes.
    """

    def __init__(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # paths of sockets must be short
        self.environment = {
            **os.environ,
            "HOME": str(self.place),
            "RAY_AUTH_MODE": "token",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONWARNINGS": "ignore",
        }
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Head":
        command = [
            *("ray", "start", "--head", "--node-ip-address=127.0.0.2", "--port=0", "--num-cpus=2"),
            *("--dashboard-host=127.0.0.1", f"--dashboard-port={self.port}", "--dashboard-agent-listen-port=0"),
            *("--disable-usage-stats", f"--temp-dir={self.place}", "--object-store-memory=100000000"),
        ]
        try:
            done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=START_S)
            assert done.returncode == 0, done.stdout + done.stderr
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Kill the processes of this cluster, and no others, and delete its folder."""
        until = time.monotonic() + END_S
        while (found := self.left()) and time.monotonic() < until:
            for each in found:
                try:
                    each.kill()
                except psutil.Error:
                    continue
            time.sleep(0.1)
        shutil.rmtree(self.place, ignore_errors=True)

    def left(self) -> list[psutil.Process]:
        """Return the processes of this cluster: those that name its folder, and the drivers of its jobs."""
        return [each for each in psutil.process_iter(["cmdline"]) if self._is_mine(each)]

    def _is_mine(self, process: psutil.Process) -> bool:
        try:
            said = (*(process.info["cmdline"] or ()), *process.environ().values())
            named = any(str(self.place) in each for each in said)
            return named and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False
