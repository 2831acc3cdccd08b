"""A Ray that mmedc starts, looked at from outside: run by test_ray_guard.py in a process of its own."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import ray

from mmedc.engine.run import run_pass
from mmedc.engine.runner import OnRay
from mmedc.storage import Store
from tests.clusters import News, the_pass

STRANGER = """
import sys, ray
try:
    ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
except BaseException as problem:
    print("refused", type(problem).__name__)
else:
    print("let in", ray.cluster_resources())
"""


def stranger(address: str, **environment: str) -> str:
    """Try to join from a process that has another token, or none."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    command = [sys.executable, "-c", STRANGER, address]
    try:
        done = subprocess.run(command, env={**clean, **environment}, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return "refused: no answer"
    return done.stdout.strip() or f"refused: ended with {done.returncode}"


def listening(words: str) -> list[tuple[str, int]]:
    """Return the addresses at which the processes of ours with `words` in their command listen."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if words in " ".join(child.cmdline()):
                found += [one.laddr for one in child.net_connections() if one.status == psutil.CONN_LISTEN]
    return [(one.ip, one.port) for one in found]


def main(folder: Path) -> None:
    with OnRay(2) as on:
        entries = run_pass(the_pass(0.05), on, Store(str(folder / "c")), News())
        address = ray.get_runtime_context().gcs_address
        found = {
            "done": len(entries),
            "dashboard": sorted({ip for ip, _ in listening("dashboard/dashboard.py")}),
            "another token": stranger(address, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 64),
            "no token": stranger(address, RAY_AUTH_MODE="disabled", HOME=str(folder)),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
