"""A node is drained under a pass, as after the notice that a spot machine will be taken away.

    python benchmarks/cluster/drain.py FOLDER [--deadline 60] [--seconds 3]

Two raylets of one CPU run eight units; when the first is done, `ray drain-node` is called for one of them. Printed are
whether all units left what they should, which were tried again, and how long the node stayed.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import ray

sys.path.insert(0, str(Path(__file__).parents[2]))
from mmedc.engine.run import run_pass
from mmedc.engine.runner import OnRay
from mmedc.storage import Store
from tests import clusters


def main() -> None:
    """Run the scene."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--deadline", type=int, default=60, help="seconds that Ray is told the node has left")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a batch; a unit has four")
    given = parser.parse_args()
    cluster = clusters.start()
    clusters.add(cluster, 3)
    clusters.join(cluster.address)
    found: dict[str, Any] = {}

    def there() -> str:
        return next((n["NodeID"] for n in ray.nodes() if n["NodeManagerAddress"] == "127.0.0.3" and n["Alive"]), "")

    def drain() -> None:
        why = ("--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot")
        command = ["ray", "drain-node", "--address", cluster.address, "--node-id", there(), *why]
        subprocess.run([*command, "--deadline-remaining-seconds", str(given.deadline)], check=True)
        begun = time.monotonic()
        while there() and time.monotonic() - begun < 300:
            time.sleep(0.2)
        found["stayed_s"] = round(time.monotonic() - begun, 1)

    news = clusters.News(lambda: threading.Thread(target=drain).start())
    store = Store(given.folder)
    commits = run_pass(clusters.the_pass(given.seconds), OnRay(address=cluster.address), store, news)
    print(json.dumps({"kept": clusters.kept(store, commits), "retried": news.retried, **found}), flush=True)
    os._exit(0)  # the cluster ends with this process


if __name__ == "__main__":
    main()
