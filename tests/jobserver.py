"""A Ray cluster of one node on loopback, with its job server and a token, for tests of submissions."""

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

START_S = 120


class Head:
    """A head node with a job server, as `ray start --head` starts it; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.token = folder / "token"
        self.token.write_text(secrets.token_hex(32))
        self.token.chmod(0o600)
        self.place = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # paths of sockets must be short
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token),
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
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=START_S)
        assert done.returncode == 0, done.stdout + done.stderr
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Kill the processes of this cluster, which are those that name its folder, and no others."""
        until = time.monotonic() + 10
        while time.monotonic() < until:
            found = [each for each in psutil.process_iter(["cmdline"]) if self._is_mine(each)]
            for each in found:
                try:
                    each.kill()
                except psutil.Error:
                    continue
            if not found:
                return
            time.sleep(0.1)

    def _is_mine(self, process: psutil.Process) -> bool:
        try:
            named = self.place in " ".join(process.info["cmdline"] or ())
            return (named or process.environ().get("RAY_SESSION_DIR", "").startswith(self.place)) and (
                process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.Error:
            return False
